-- mark_stored: tell what PostgreSQL has; only now may closed orders leave.
-- KEYS batch and stored of each partition, then the closed orders and fill lists that begin to
-- leave. ARGV history, seconds that they stay, number of the last stored batch for each partition.
-- Returns how many partitions were marked; HISTORY.
-- A watermark must move when memory is full, because it is what frees memory.
local function mark_stored(keys, argv)
  local partitions = #argv - 2
  if not are_current(keys, 1, 2 * partitions, 2, argv[1]) then return OTHER_HISTORY end
  for i = 1, partitions do redis.call('SET', keys[2 * i], argv[2 + i]) end
  for i = 2 * partitions + 1, #keys do redis.call('EXPIRE', keys[i], argv[2]) end
  return partitions
end

offer('mark_stored', mark_stored, {'allow-oom'})
