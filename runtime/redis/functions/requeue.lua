-- requeue: a message whose call failed is tried again later, unless it is gone meanwhile (a reset
-- has emptied the queue). KEYS queue, messages. ARGV message id, due time in ms, message.
-- Returns 1, or 0 when it is gone.
local function requeue(keys, argv)
  if redis.call('HEXISTS', keys[2], argv[1]) == 0 then return 0 end
  redis.call('HSET', keys[2], argv[1], argv[3])
  redis.call('ZADD', keys[1], argv[2], argv[1])
  return 1
end

offer('requeue', requeue, {'allow-oom'})
