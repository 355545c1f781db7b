-- mark_stored: tell what PostgreSQL has of one partition; only now may closed orders leave.
-- KEYS batch, stored, then the closed orders and fill lists that begin to leave.
-- ARGV history, number of the last stored batch, seconds that they stay. Returns 1; HISTORY.
-- A watermark must move when memory is full, because it is what frees memory.
local function mark_stored(keys, argv)
  if not is_current(keys[1], argv[1]) then return OTHER_HISTORY end
  redis.call('SET', keys[2], argv[2])
  for i = 3, #keys do redis.call('EXPIRE', keys[i], argv[3]) end
  return 1
end

offer('mark_stored', mark_stored, {'allow-oom'})
