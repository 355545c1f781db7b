-- forget_hook: drop all that is kept of a webhook endpoint that is removed.
-- KEYS progress, then the others. ARGV how long the mark stays, in ms: whoever has not heard of the
-- removal queues nothing meanwhile. Returns how many keys were dropped.
local function forget_hook(keys, argv)
  local dropped = redis.call('DEL', unpack(keys, 2))
  redis.call('HSET', keys[1], 'removed', 1)
  redis.call('PEXPIRE', keys[1], argv[1])
  return dropped
end

offer('forget_hook', forget_hook, {'allow-oom'})
