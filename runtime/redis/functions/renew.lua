-- renew: keep the leases that are still ours.
-- KEYS batch and lease of each partition. ARGV history, token, ttl in ms.
-- Returns for each partition 1, or 0 when its lease is another's or gone; HISTORY.
local function renew(keys, argv)
  if not are_current(keys, 1, #keys, 2, argv[1]) then return OTHER_HISTORY end
  local kept = {}
  for i = 2, #keys, 2 do
    local is_ours = redis.call('GET', keys[i]) == argv[2]
    if is_ours then redis.call('PEXPIRE', keys[i], argv[3]) end
    kept[#kept + 1] = is_ours and 1 or 0
  end
  return kept
end

offer('renew', renew, {'allow-oom'})
