-- commit: one batch of one partition, all or nothing.
-- KEYS lease, batch, open, positions, books, balances, events, dead, then the keys of the closed
-- orders, the fill lists and the price lists in the order of their sections.
-- ARGV history, token, expected number, commit id, hash, payload, length of price lists, number of
-- log entries, then sections:
--   position pairs, snapshot pairs, balance pairs, open pairs, open removals: n, n values
--   closed orders:     n, n values            (one key each)
--   fills, then prices: n lists, each m, m values (one key each)
--   dead letters:      n, each symbol, sequence, reason, entry
-- Fill lists grow only while their order is open.
-- Returns OK; DUP when this commit was made before; FENCED when the lease is another's; CONFLICT
-- when the batch number has moved; HISTORY.
local function commit(keys, argv)
  local last = redis.call('HMGET', keys[2], 'history', 'number', 'commit', 'applied')
  if last[1] ~= argv[1] then return OTHER_HISTORY end
  if redis.call('GET', keys[1]) ~= argv[2] then return 'FENCED' end
  local number = tonumber(last[2] or 0)
  local expected = tonumber(argv[3])
  if number == expected + 1 and last[3] == argv[4] then return 'DUP' end
  if number ~= expected then return 'CONFLICT' end

  local window = tonumber(argv[7])
  local at, key = 9, 9
  local function section(command, name)
    local count = tonumber(argv[at])
    call_many(command, name, argv, at + 1, at + count)
    at = at + 1 + count
  end
  section('HSET', keys[4])
  section('HSET', keys[5])
  section('HSET', keys[6])
  section('HSET', keys[3])
  section('HDEL', keys[3])
  local closed = tonumber(argv[at])
  for i = 1, closed do
    redis.call('SET', keys[key], argv[at + i])
    key = key + 1
  end
  at = at + 1 + closed
  local function lists(trim)
    local count = tonumber(argv[at])
    at = at + 1
    for _ = 1, count do
      section('RPUSH', keys[key])
      if trim then redis.call('LTRIM', keys[key], -window, -1) end
      key = key + 1
    end
  end
  lists(false)
  lists(true)
  local letters = tonumber(argv[at])
  for i = at + 1, at + 4 * letters, 4 do
    redis.call('XADD', keys[8], 'MAXLEN', '~', 10000, '*', 'symbol', argv[i],
               'sequence', argv[i + 1], 'reason', argv[i + 2], 'entry', argv[i + 3])
  end
  local next_number = int(expected + 1)
  redis.call('XADD', keys[7], next_number .. '-0', 'h', argv[5], 'b', argv[6])
  redis.call('HSET', keys[2], 'number', next_number, 'hash', argv[5], 'commit', argv[4],
             'applied', int(tonumber(last[4] or 0) + tonumber(argv[8])))
  return 'OK'
end

offer('commit', commit, {'allow-oom'})
