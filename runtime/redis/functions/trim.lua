-- trim: drop what is stored (and, of the events, notified) from the streams of one partition.
-- KEYS batch, streams... ARGV history, then for each stream the last sequence that may go.
-- Returns how many entries were dropped; HISTORY.
local function trim(keys, argv)
  if not is_current(keys[1], argv[1]) then return OTHER_HISTORY end
  local dropped = 0
  for i = 2, #keys do
    local first_kept = int(tonumber(argv[i]) + 1) .. '-0'
    dropped = dropped + redis.call('XTRIM', keys[i], 'MINID', '=', first_kept)
  end
  return dropped
end

offer('trim', trim, {'allow-oom'})
