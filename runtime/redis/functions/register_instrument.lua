-- register_instrument: list a symbol once, on the least busy partition; of equally busy ones on that
-- which has the fewest.
-- KEYS instruments, listed, registry, genesis. ARGV history, symbol, half-life in ms, how many
-- commands a second make no difference, then for each partition its commands a second.
-- What a new symbol will add is not known yet. It counts as much as the mean of all symbols, and
-- less with time, as its own commands become part of the load that is measured.
-- Returns "SYMBOL:number:partition"; HISTORY.
local function expected_load(told, now, half_life)
  local load, since = (told or ''):match('^([^:]+):(%d+)$')
  if not load then return 0 end
  return tonumber(load) * 0.5 ^ (math.max(0, now - tonumber(since)) / half_life)
end

local function register_instrument(keys, argv)
  if not is_exchange_current(keys[4], argv[1]) then return OTHER_HISTORY end
  local known = redis.call('HGET', keys[1], argv[2])
  if known then return known end
  local number = redis.call('HLEN', keys[1]) + 1
  local now, half_life, step = clock_ms(), tonumber(argv[3]), tonumber(argv[4])
  local partition, least, fewest, expected, total = 0, math.huge, math.huge, 0, 0
  for i = 0, #argv - 5 do
    local told = redis.call('HMGET', keys[2], int(i), int(i) .. ':expected')
    local count, load = tonumber(told[1] or 0), tonumber(argv[5 + i])
    local soon = expected_load(told[2], now, half_life)
    local busy = math.floor((load + soon) / step)
    if busy < least or busy == least and count < fewest then
      partition, least, fewest, expected = i, busy, count, soon
    end
    total = total + load
  end
  local instrument = argv[2] .. ':' .. int(number) .. ':' .. int(partition)
  redis.call('HSET', keys[1], argv[2], instrument)
  redis.call('HINCRBY', keys[2], int(partition), 1)
  if total > 0 then
    local mean = string.format('%.3f:%.0f', expected + total / number, now)
    redis.call('HSET', keys[2], int(partition) .. ':expected', mean)
  end
  add_to_registry(keys[3], 'i', instrument)
  return instrument
end

offer('register_instrument', register_instrument)
