-- resend: a message goes back into the queue of its endpoint, wherever it is.
-- KEYS queue, messages, progress, delivered, times of delivery, dead, times of death.
-- ARGV history, epoch, due time in ms, message id, message.
-- Returns 1, or 0 when the message is gone; HISTORY as enqueue.
local function resend(keys, argv)
  if not enter_hook(keys, argv[1], argv[2]) then return OTHER_HISTORY end
  local id = argv[4]
  local found = redis.call('HEXISTS', keys[2], id)
  for i = 4, 6, 2 do
    found = found + redis.call('HDEL', keys[i], id)
    redis.call('ZREM', keys[i + 1], id)
  end
  if found == 0 then return 0 end
  queue_message(keys, id, argv[5], argv[3])
  return 1
end

offer('resend', resend, {'allow-oom'})
