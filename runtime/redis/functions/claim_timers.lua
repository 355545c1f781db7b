-- claim_timers: the switches that are due, for one process to fire. A claim is a lease: the switch
-- is due again when it ends, unless finish_timer has taken the switch away.
-- KEYS timers, armed, genesis. ARGV history, lease in ms, how many at most.
-- Returns member and id of the mass cancel, in turn; HISTORY.
local function claim_timers(keys, argv)
  if not is_exchange_current(keys[3], argv[1]) then return OTHER_HISTORY end
  local now = clock_ms()
  local due = redis.call('ZRANGEBYSCORE', keys[1], '-inf', int(now), 'LIMIT', 0, argv[3])
  local reply = {}
  for _, member in ipairs(due) do
    redis.call('ZADD', keys[1], int(now + tonumber(argv[2])), member)
    reply[#reply + 1] = member
    reply[#reply + 1] = redis.call('HGET', keys[2], member)
  end
  return reply
end

offer('claim_timers', claim_timers, {'allow-oom'})
