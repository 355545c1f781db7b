-- trim: drop from the streams what is stored, and of the events only what is notified too.
-- KEYS batch, notified and events of each partition, then the logs.
-- ARGV history, how many partitions, the last stored batch of each, the last stored sequence of
-- each log. Returns for each partition the last batch whose event is gone; HISTORY.
local function trim(keys, argv)
  local partitions = tonumber(argv[2])
  if not are_current(keys, 1, 3 * partitions, 3, argv[1]) then return OTHER_HISTORY end
  local function drop(stream, last)
    redis.call('XTRIM', stream, 'MINID', '=', int(last + 1) .. '-0')
  end
  local gone = {}
  for i = 1, partitions do
    local notified = tonumber(redis.call('GET', keys[3 * i - 1]) or 0)
    gone[i] = math.min(tonumber(argv[2 + i]), notified)
    drop(keys[3 * i], gone[i])
  end
  for i = 3 * partitions + 1, #keys do drop(keys[i], tonumber(argv[i - 2 * partitions + 2])) end
  return gone
end

offer('trim', trim, {'allow-oom'})
