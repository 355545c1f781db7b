-- arm_timer: a dead-man switch fires after a while, unless it is armed again before.
-- KEYS timers, armed, genesis. ARGV history, member, id of the mass cancel, timeout in ms (0 takes
-- the switch away). Returns when it fires in ms, 0 when it is taken away; HISTORY.
local function arm_timer(keys, argv)
  if not is_exchange_current(keys[3], argv[1]) then return OTHER_HISTORY end
  if tonumber(argv[4]) == 0 then
    redis.call('ZREM', keys[1], argv[2])
    redis.call('HDEL', keys[2], argv[2])
    return 0
  end
  local fires = clock_ms() + tonumber(argv[4])
  redis.call('ZADD', keys[1], int(fires), argv[2])
  redis.call('HSET', keys[2], argv[2], argv[3])
  return fires
end

offer('arm_timer', arm_timer, {'allow-oom'})
