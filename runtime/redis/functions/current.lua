-- current: whether partitions are still in the history that the caller knows.
-- KEYS batch of each partition. ARGV history. Returns 1 or 0.
-- A worker puts this call behind its reads in the same pipeline. A history never comes back, so
-- what was read before a 1 was read in the caller's history.
local function current(keys, argv)
  for _, batch in ipairs(keys) do
    if not is_current(batch, argv[1]) then return 0 end
  end
  return 1
end

offer('current', current, {'no-writes'})
