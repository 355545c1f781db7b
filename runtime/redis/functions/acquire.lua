-- acquire: take a free lease, or one of an earlier incarnation of the same owner (a process that
-- was started again in the place of a dead one).
-- KEYS lease, batch. ARGV history, owner, incarnation, ttl in ms. Returns 1 when taken, else 0;
-- HISTORY.
local function acquire(keys, argv)
  if not is_current(keys[2], argv[1]) then return OTHER_HISTORY end
  local owner, token = argv[2] .. '/', argv[2] .. '/' .. argv[3]
  local holder = redis.call('GET', keys[1])
  if holder and holder ~= token and holder:sub(1, #owner) ~= owner then return 0 end
  redis.call('SET', keys[1], token, 'PX', argv[4])
  return 1
end

offer('acquire', acquire, {'allow-oom'})
