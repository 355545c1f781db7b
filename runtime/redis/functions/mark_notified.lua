-- mark_notified: tell up to which batches the webhooks are queued.
-- KEYS batch and notified of each partition. ARGV history, number of a batch for each partition.
-- Returns how many marks have moved; HISTORY. A mark never moves back: a notifier that was paused
-- for long may come late, when what follows its batch is trimmed already.
local function mark_notified(keys, argv)
  if not are_current(keys, 1, #keys, 2, argv[1]) then return OTHER_HISTORY end
  local moved = 0
  for i = 2, #keys, 2 do
    local number = argv[1 + i / 2]
    if tonumber(number) > tonumber(redis.call('GET', keys[i]) or 0) then
      redis.call('SET', keys[i], number)
      moved = moved + 1
    end
  end
  return moved
end

offer('mark_notified', mark_notified, {'allow-oom'})
