-- mark_notified: tell up to which batch of one partition the webhooks are queued.
-- KEYS batch, notified. ARGV history, number of the batch. Returns 1; HISTORY.
local function mark_notified(keys, argv)
  if not is_current(keys[1], argv[1]) then return OTHER_HISTORY end
  redis.call('SET', keys[2], argv[2])
  return 1
end

offer('mark_notified', mark_notified, {'allow-oom'})
