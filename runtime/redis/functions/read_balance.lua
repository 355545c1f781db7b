-- read_balance: the cash of a broker in some partitions.
-- KEYS balances, heads and batch of each partition. ARGV broker, mark of the broker.
-- Returns for each partition the awaited bell, and the cash or nil, see awaited_bell in common.lua.
local function read_balance(keys, argv)
  local reply = {}
  for at = 1, #keys, 3 do
    reply[#reply + 1] = awaited_bell(keys[at + 1], keys[at + 2], argv[2])
    reply[#reply + 1] = redis.call('HGET', keys[at], argv[1])
  end
  return reply
end

offer('read_balance', read_balance, {'no-writes'})
