-- renew: keep a lease that is still ours. KEYS lease, batch. ARGV history, token, ttl in ms.
-- Returns 1, or 0 when the lease is another's or gone; HISTORY.
local function renew(keys, argv)
  if not is_current(keys[2], argv[1]) then return OTHER_HISTORY end
  if redis.call('GET', keys[1]) ~= argv[2] then return 0 end
  redis.call('PEXPIRE', keys[1], argv[3])
  return 1
end

offer('renew', renew, {'allow-oom'})
