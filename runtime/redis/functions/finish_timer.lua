-- finish_timer: a switch has fired, and is taken away unless it was armed again meanwhile.
-- KEYS timers, armed. ARGV member, id of the mass cancel. Returns 1, or 0 when it is another now.
-- It names no history: the id is new whenever a switch is armed.
local function finish_timer(keys, argv)
  if redis.call('HGET', keys[2], argv[1]) ~= argv[2] then return 0 end
  redis.call('ZREM', keys[1], argv[1])
  redis.call('HDEL', keys[2], argv[1])
  return 1
end

offer('finish_timer', finish_timer, {'allow-oom'})
