-- untell: forget the reports that were told when PostgreSQL has come back as an older copy.
-- KEYS batch, lease of the persister and reports. ARGV history, token, the last batch that
-- PostgreSQL has. Returns 1 when reports were told beyond it, and all of them are forgotten; 0;
-- HISTORY. Only the owner of the partition may say so.
local function untell(keys, argv)
  if not is_current(keys[1], argv[1]) then return OTHER_HISTORY end
  if redis.call('GET', keys[2]) ~= argv[2] then return 0 end
  local last = redis.call('XREVRANGE', keys[3], '+', '-', 'COUNT', 1)
  if #last == 0 or tonumber(last[1][1]:match('^(%d+)-')) <= tonumber(argv[3]) then return 0 end
  return redis.call('DEL', keys[3])
end

offer('untell', untell, {'allow-oom'})
