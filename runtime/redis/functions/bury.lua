-- bury: a message is given up and moves to the dead-letter list, unless it is gone meanwhile.
-- KEYS queue, messages, dead. ARGV message id, message. Returns 1, or 0 when it is gone.
local function bury(keys, argv)
  if redis.call('HDEL', keys[2], argv[1]) == 0 then return 0 end
  redis.call('ZREM', keys[1], argv[1])
  redis.call('HSET', keys[3], argv[1], argv[2])
  return 1
end

offer('bury', bury, {'allow-oom'})
