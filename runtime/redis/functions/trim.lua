-- trim: drop from the streams what is stored, and of the events only what is notified too.
-- KEYS batch, notified, events and reports of each partition, then the logs. The reports leave with
-- their events.
-- ARGV history, how many partitions, the last stored batch of each, the last stored sequence of
-- each log. Returns for each partition the last batch whose event is gone; HISTORY.
local function trim(keys, argv)
  local partitions = tonumber(argv[2])
  if not are_current(keys, 1, 4 * partitions, 4, argv[1]) then return OTHER_HISTORY end
  local function drop(stream, last)
    redis.call('XTRIM', stream, 'MINID', '=', int(last + 1) .. '-0')
  end
  local gone = {}
  for i = 1, partitions do
    local notified = tonumber(redis.call('GET', keys[4 * i - 2]) or 0)
    gone[i] = math.min(tonumber(argv[2 + i]), notified)
    drop(keys[4 * i - 1], gone[i])
    drop(keys[4 * i], gone[i])
  end
  for i = 4 * partitions + 1, #keys do drop(keys[i], tonumber(argv[i - 3 * partitions + 2])) end
  return gone
end

offer('trim', trim, {'allow-oom'})
