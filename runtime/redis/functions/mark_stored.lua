-- mark_stored: tell what PostgreSQL has; only now may closed orders leave, and only now may brokers
-- be told the execution reports of the batches.
-- KEYS batch, stored and reports of each partition, then the closed orders and fill lists that begin
-- to leave. ARGV history, seconds that they stay, how many partitions, for each the number of the last
-- stored batch and how many batches with reports it has, then of all these batches the number and
-- the numbers of their reports, encoded.
-- Returns how many partitions were marked; HISTORY.
-- A batch whose reports are told already is passed over, so telling again is harmless. What is
-- marked must be marked when memory is full too, because a watermark is what frees memory.
local function last_told(stream)
  if redis.call('EXISTS', stream) == 0 then return 0 end
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return tonumber(info[i + 1]:match('^(%d+)-')) end
  end
end

local function mark_stored(keys, argv)
  local partitions = tonumber(argv[3])
  if not are_current(keys, 1, 3 * partitions, 3, argv[1]) then return OTHER_HISTORY end
  local at = 4 + 2 * partitions
  for i = 1, partitions do
    redis.call('SET', keys[3 * i - 1], argv[2 + 2 * i])
    local reports, count = keys[3 * i], tonumber(argv[3 + 2 * i])
    local last = count > 0 and last_told(reports)
    for _ = 1, count do
      if tonumber(argv[at]) > last then
        redis.call('XADD', reports, argv[at] .. '-0', 'r', argv[at + 1])
      end
      at = at + 2
    end
  end
  for i = 3 * partitions + 1, #keys do redis.call('EXPIRE', keys[i], argv[2]) end
  return partitions
end

offer('mark_stored', mark_stored, {'allow-oom'})
