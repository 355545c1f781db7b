-- bury: a message is given up and moves to the dead-letter list, unless it is gone meanwhile.
-- KEYS queue, messages, dead, times of death. ARGV message id, message, time in ms, how many are
-- kept. Returns 1, or 0 when it is gone.
local function bury(keys, argv)
  if redis.call('HDEL', keys[2], argv[1]) == 0 then return 0 end
  redis.call('ZREM', keys[1], argv[1])
  keep_message(keys[3], keys[4], argv[1], argv[2], argv[3], argv[4])
  return 1
end

offer('bury', bury, {'allow-oom'})
