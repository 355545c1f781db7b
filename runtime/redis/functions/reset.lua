-- reset: forget everything but the registry and begin a new history. For benchmarks in development.
-- KEYS genesis. ARGV history, epoch, number of partitions, then the ids of the webhook endpoints.
-- Returns how many keys were deleted. It is the one Function that looks for its keys, so it is
-- not called on a Redis Cluster (resetting.py).
-- Each partition and each endpoint is told the new history here, so that a worker which still
-- lives in the old one finds no place where it could write.
local function reset(keys, argv)
  local deleted = 0
  for _, pattern in ipairs({'{p[0-9][0-9]}:*', '{hook:*}:*'}) do
    for _, key in ipairs(redis.call('KEYS', pattern)) do
      deleted = deleted + redis.call('DEL', key)
    end
  end
  redis.call('HSET', keys[1], 'history_id', argv[1], 'epoch', argv[2])
  for partition = 0, tonumber(argv[3]) - 1 do
    redis.call('HSET', string.format('{p%02d}:batch', partition), 'history', argv[1])
  end
  for i = 4, #argv do
    redis.call('HSET', '{hook:' .. argv[i] .. '}:progress', 'history', argv[1], 'epoch', argv[2])
  end
  return deleted
end

offer('reset', reset)
