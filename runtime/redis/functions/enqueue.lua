-- enqueue: the messages of one batch into the queue of one webhook endpoint.
-- KEYS queue, messages, progress of the endpoint. ARGV history, epoch, partition name, batch
-- number, due time in ms, then (message id, message)...
-- Each batch of a partition is taken once: a repeat changes nothing. Returns how many were added;
-- 0 also when the endpoint is removed; HISTORY when it has seen a later history.
local function enqueue(keys, argv)
  if not enter_hook(keys, argv[1], argv[2]) then return OTHER_HISTORY end
  local done = redis.call('HMGET', keys[3], argv[3], 'removed')
  if done[2] or tonumber(done[1] or 0) >= tonumber(argv[4]) then return 0 end
  for i = 6, #argv, 2 do queue_message(keys, argv[i], argv[i + 1], argv[5]) end
  redis.call('HSET', keys[3], argv[3], argv[4])
  return (#argv - 5) / 2
end

offer('enqueue', enqueue, {'allow-oom'})
