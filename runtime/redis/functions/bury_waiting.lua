-- bury_waiting: what waits for an endpoint that is disabled moves to the dead-letter list.
-- KEYS queue, messages, dead, times of death. ARGV time in ms, how many at most, how many are kept.
-- Returns how many have moved.
local function bury_waiting(keys, argv)
  local ids = redis.call('ZRANGE', keys[1], 0, argv[2] - 1)
  for _, id in ipairs(ids) do
    local message = redis.call('HGET', keys[2], id)
    redis.call('HDEL', keys[2], id)
    redis.call('ZREM', keys[1], id)
    if message then keep_message(keys[3], keys[4], id, message, argv[1], argv[3]) end
  end
  return #ids
end

offer('bury_waiting', bury_waiting, {'allow-oom'})
