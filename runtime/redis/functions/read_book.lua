-- read_book: the book of a symbol, for a broker.
-- KEYS book, books as an earlier version left them, heads, batch. ARGV symbol, mark of the broker.
-- Returns {awaited bell, book or nil}, see awaited_bell in common.lua.
local function read_book(keys, argv)
  local book = redis.call('GET', keys[1]) or redis.call('HGET', keys[2], argv[1])
  return {awaited_bell(keys[3], keys[4], argv[2]), book}
end

offer('read_book', read_book, {'no-writes'})
