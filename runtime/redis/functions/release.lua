-- release: give leases up that are still ours. KEYS leases. ARGV token. Returns how many were.
-- It names no history: a token is new at every start, so it can only be this process's own.
local function release(keys, argv)
  local released = 0
  for _, lease in ipairs(keys) do
    if redis.call('GET', lease) == argv[1] then released = released + redis.call('DEL', lease) end
  end
  return released
end

offer('release', release, {'allow-oom'})
