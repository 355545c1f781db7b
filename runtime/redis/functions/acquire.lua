-- acquire: take leases that are free, or that an earlier incarnation of the same owner has (a
-- process that was started again in the place of a dead one). Of its own it takes all.
-- KEYS batch and lease of each partition. ARGV history, owner, incarnation, ttl in ms, how many free
-- ones at most. Returns for each partition 1 when it was taken, else 0; HISTORY.
local function acquire(keys, argv)
  if not are_current(keys, 1, #keys, 2, argv[1]) then return OTHER_HISTORY end
  local owner, token = argv[2] .. '/', argv[2] .. '/' .. argv[3]
  local wanted, taken = tonumber(argv[5]), {}
  for i = 2, #keys, 2 do
    local holder = redis.call('GET', keys[i])
    local is_own = holder and holder:sub(1, #owner) == owner
    local is_taken = is_own or (not holder and wanted > 0)
    if is_taken then redis.call('SET', keys[i], token, 'PX', argv[4]) end
    if is_taken and not is_own then wanted = wanted - 1 end
    taken[#taken + 1] = is_taken and 1 or 0
  end
  return taken
end

offer('acquire', acquire, {'allow-oom'})
