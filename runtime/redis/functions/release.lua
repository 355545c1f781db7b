-- release: give a lease up if it is still ours. KEYS lease. ARGV token. Returns 1 or 0.
-- It names no history: a token is new at every start, so it can only be this process's own.
local function release(keys, argv)
  if redis.call('GET', keys[1]) ~= argv[1] then return 0 end
  return redis.call('DEL', keys[1])
end

offer('release', release, {'allow-oom'})
