-- read_prices: the prices of the last trades of a symbol, for a broker.
-- KEYS prices, heads, batch. ARGV number of trades, mark of the broker.
-- Returns {awaited bell, prices}, oldest first, see awaited_bell in common.lua.
local function read_prices(keys, argv)
  return {awaited_bell(keys[2], keys[3], argv[2]), redis.call('LRANGE', keys[1], -argv[1], -1)}
end

offer('read_prices', read_prices, {'no-writes'})
