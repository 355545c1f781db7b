-- read_order: an order wherever it is in Redis.
-- KEYS open, closed order, fills, log of the symbol. ARGV field of the order, id of its log entry.
-- Returns {record, fills}, or {nil, log entries}, none or one, where no commit has it.
local function read_order(keys, argv)
  local record = redis.call('GET', keys[2]) or redis.call('HGET', keys[1], argv[1])
  if record then return {record, redis.call('LRANGE', keys[3], 0, -1)} end
  return {false, redis.call('XRANGE', keys[4], argv[2], argv[2])}
end

offer('read_order', read_order, {'no-writes'})
