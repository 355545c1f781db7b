-- commit: one batch of each of some partitions. Each partition is written whole or not at all.
-- KEYS for each partition lease, batch, open, positions, balances, events, dead, then one key for
-- each value or list of: snapshots, book changes, closed orders, fills, prices.
-- ARGV history, token, commit id, length of price lists, then for each partition a section:
--   number of its keys, number of its arguments that follow,
--   number of the batch before, hash, payload, number of log entries, bell, channel, message,
--   position pairs, balance pairs, open pairs, open removals: n, n values
--   snapshots, book changes, closed orders: n, n values              (one key each)
--   fills, then prices: n lists, each m, m values                    (one key each)
--   dead letters: n, n values; each letter is symbol, sequence, reason, entry
-- A section without a payload has no batch and ends with its message: only its bell is told.
-- Fill lists grow only while their order is open.
-- Returns for each partition OK; DUP when this commit was made before; FENCED when the lease is
-- another's; CONFLICT when the batch number has moved; HISTORY.
local COMMIT_KEYS, COMMIT_MARKS = 7, 9  -- What is in every section, and its two counts.

local function commit_refusal(lease, last, argv, before)
  if last[1] ~= argv[1] then return OTHER_HISTORY end
  if redis.call('GET', lease) ~= argv[2] then return 'FENCED' end
  local number = tonumber(last[2] or 0)
  if number == before + 1 and last[3] == argv[3] then return 'DUP' end
  if number ~= before then return 'CONFLICT' end
  return nil
end

local function commit_values(keys, key, argv, at)
  local function many(command, name)
    local count = tonumber(argv[at])
    call_many(command, name, argv, at + 1, at + count)
    at = at + 1 + count
  end
  local function each(command, name)
    local last = at + tonumber(argv[at])
    for i = at + 1, last do
      redis.call(command, keys[name], argv[i])
      name = name + 1
    end
    at = last + 1
    return name
  end
  many('HSET', keys[key + 3])
  many('HSET', keys[key + 4])
  many('HSET', keys[key + 2])
  many('HDEL', keys[key + 2])
  local name = each('SET', key + COMMIT_KEYS)
  name = each('APPEND', name)
  name = each('SET', name)
  for _, window in ipairs({false, argv[4]}) do
    local lists = tonumber(argv[at])
    at = at + 1
    for _ = 1, lists do
      many('RPUSH', keys[name])
      if window then redis.call('LTRIM', keys[name], -tonumber(window), -1) end
      name = name + 1
    end
  end
  for i = at + 1, at + tonumber(argv[at]), 4 do
    redis.call('XADD', keys[key + 6], 'MAXLEN', '~', 10000, '*', 'symbol', argv[i],
               'sequence', argv[i + 1], 'reason', argv[i + 2], 'entry', argv[i + 3])
  end
end

local function commit_partition(keys, key, argv, at)
  local batch, before = keys[key + 1], tonumber(argv[at + 2])
  local last = redis.call('HMGET', batch, 'history', 'number', 'commit', 'applied')
  local refusal = commit_refusal(keys[key], last, argv, before)
  if refusal then return refusal end
  local hash, payload, bell = argv[at + 3], argv[at + 4], argv[at + 6]
  if payload == '' then
    redis.call('HSET', batch, 'bell', bell)
  else
    commit_values(keys, key, argv, at + COMMIT_MARKS)
    local number = int(before + 1)
    redis.call('XADD', keys[key + 5], number .. '-0', 'h', hash, 'b', payload)
    redis.call('HSET', batch, 'number', number, 'hash', hash, 'commit', argv[3],
               'applied', int(tonumber(last[4] or 0) + tonumber(argv[at + 5])), 'bell', bell)
  end
  redis.call('PUBLISH', argv[at + 7], argv[at + 8])
  return 'OK'
end

local function commit(keys, argv)
  local replies, key, at = {}, 1, 5
  while at <= #argv do
    replies[#replies + 1] = commit_partition(keys, key, argv, at)
    key, at = key + tonumber(argv[at]), at + 2 + tonumber(argv[at + 1])
  end
  return replies
end

offer('commit', commit, {'allow-oom'})
