-- done: a message was delivered, and is kept for a while, unless it is gone meanwhile (a reset).
-- KEYS queue, messages, progress, delivered, times of delivery. ARGV message id, message, time in
-- ms, how long it is kept in ms, how many are kept. Returns 1, or 0 when it is gone.
local function done(keys, argv)
  if redis.call('HDEL', keys[2], argv[1]) == 0 then return 0 end
  redis.call('ZREM', keys[1], argv[1])
  redis.call('HSET', keys[3], 'delivered', argv[3])
  keep_message(keys[4], keys[5], argv[1], argv[2], argv[3], argv[5])
  redis.call('PEXPIRE', keys[4], argv[4])
  redis.call('PEXPIRE', keys[5], argv[4])
  local old = redis.call(
    'ZRANGE', keys[5], '-inf', int(argv[3] - argv[4]), 'BYSCORE', 'LIMIT', 0, 10)
  for _, id in ipairs(old) do
    redis.call('HDEL', keys[4], id)
    redis.call('ZREM', keys[5], id)
  end
  return 1
end

offer('done', done, {'allow-oom'})
