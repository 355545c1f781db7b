-- push: one message that belongs to no batch into the queue of a webhook endpoint.
-- KEYS queue, messages, progress of the endpoint. ARGV history, epoch, due time in ms, message id,
-- message, and the entry of the registry that it tells of, or 0. An entry is told once.
-- Returns 1, or 0 when it was told before or the endpoint is removed; HISTORY as enqueue.
local function push(keys, argv)
  if not enter_hook(keys, argv[1], argv[2]) then return OTHER_HISTORY end
  local done = redis.call('HMGET', keys[3], 'noticed', 'removed')
  local entry = tonumber(argv[6])
  if done[2] or (entry > 0 and tonumber(done[1] or 0) >= entry) then return 0 end
  queue_message(keys, argv[4], argv[5], argv[3])
  if entry > 0 then redis.call('HSET', keys[3], 'noticed', argv[6]) end
  return 1
end

offer('push', push, {'allow-oom'})
