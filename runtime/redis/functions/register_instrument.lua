-- register_instrument: list a symbol once, on the least busy partition; of equally busy ones on that
-- which has the fewest.
-- KEYS instruments, listed, registry, genesis. ARGV history, symbol, how busy each partition is.
-- Returns "SYMBOL:number:partition"; HISTORY.
local function register_instrument(keys, argv)
  if not is_exchange_current(keys[4], argv[1]) then return OTHER_HISTORY end
  local known = redis.call('HGET', keys[1], argv[2])
  if known then return known end
  local number = redis.call('HLEN', keys[1]) + 1
  local partition, least, fewest = 0, math.huge, math.huge
  for i = 0, #argv - 3 do
    local busy = tonumber(argv[3 + i])
    local count = tonumber(redis.call('HGET', keys[2], int(i)) or 0)
    if busy < least or busy == least and count < fewest then
      partition, least, fewest = i, busy, count
    end
  end
  local instrument = argv[2] .. ':' .. int(number) .. ':' .. int(partition)
  redis.call('HSET', keys[1], argv[2], instrument)
  redis.call('HINCRBY', keys[2], int(partition), 1)
  add_to_registry(keys[3], 'i', instrument)
  return instrument
end

offer('register_instrument', register_instrument)
