-- enqueue: the messages of one batch into the queue of one webhook endpoint.
-- KEYS queue, messages, progress of the endpoint. ARGV history, epoch, partition name, batch
-- number, due time in ms, then (message id, message without its sequence)...
-- Each batch of a partition is taken once: a repeat changes nothing, so a message keeps its
-- sequence. Returns how many were added; HISTORY when the endpoint has seen a later history.
local function enqueue(keys, argv)
  local done = redis.call('HMGET', keys[3], 'history', 'epoch', argv[3], 'sequence')
  if done[1] ~= argv[1] then
    if done[1] then
      if tonumber(done[2]) >= tonumber(argv[2]) then return OTHER_HISTORY end
      redis.call('DEL', keys[1], keys[2], keys[3])  -- What is left belongs to an earlier history.
      done = {}
    end
    redis.call('HSET', keys[3], 'history', argv[1], 'epoch', argv[2])
  end
  if tonumber(done[3] or 0) >= tonumber(argv[4]) then return 0 end
  local sequence = tonumber(done[4] or 0)
  for i = 6, #argv, 2 do
    sequence = sequence + 1
    redis.call('HSET', keys[2], argv[i], int(sequence) .. ' 0 ' .. argv[i + 1])
    redis.call('ZADD', keys[1], argv[5], argv[i])
  end
  redis.call('HSET', keys[3], argv[3], argv[4], 'sequence', int(sequence))
  return (#argv - 5) / 2
end

offer('enqueue', enqueue, {'allow-oom'})
