-- register_instrument: list a symbol once, on the partition that has the fewest.
-- KEYS instruments, listed, registry, genesis. ARGV history, symbol, number of partitions.
-- Returns "SYMBOL:number:partition"; HISTORY.
local function register_instrument(keys, argv)
  if not is_exchange_current(keys[4], argv[1]) then return OTHER_HISTORY end
  local known = redis.call('HGET', keys[1], argv[2])
  if known then return known end
  local number = redis.call('HLEN', keys[1]) + 1
  local partition, fewest = 0, math.huge
  for i = 0, tonumber(argv[3]) - 1 do
    local count = tonumber(redis.call('HGET', keys[2], int(i)) or 0)
    if count < fewest then partition, fewest = i, count end
  end
  local instrument = argv[2] .. ':' .. int(number) .. ':' .. int(partition)
  redis.call('HSET', keys[1], argv[2], instrument)
  redis.call('HINCRBY', keys[2], int(partition), 1)
  add_to_registry(keys[3], 'i', instrument)
  return instrument
end

offer('register_instrument', register_instrument)
