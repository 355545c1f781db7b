-- commit: one batch of each of some partitions. Each partition is written whole or not at all.
-- KEYS for each partition lease, batch, open, positions, balances, events, dead, holdings,
-- instruments, then one key for each value or list of: snapshots, book changes, closed orders,
-- fills, prices.
-- ARGV history, token, commit id, length of price lists, then for each partition a section:
--   its header, hash, payload, channel, message, then as many values as the header says of
--   position pairs, balance pairs, holding pairs, instrument pairs, open pairs, open removals,
--   snapshots, book changes, closed orders                           (one key each),
--   the lengths of the fill lists, then of the price lists           (one key each),
--   the values of these lists, and for each dead letter symbol, sequence, reason, entry.
-- The header is fifteen unsigned numbers of eight bytes, little-endian: the number of the batch
-- before, the number of log entries, the bell, and the twelve numbers of values.
-- A section without a payload has no batch: only its bell is told.
-- Fill lists grow only while their order is open.
-- Returns for each partition OK; DUP when this commit was made before; FENCED when the lease is
-- another's; CONFLICT when the batch number has moved; HISTORY.
local COMMIT_KEYS, COMMIT_MARKS = 9, 5  -- What is in every section.
local COMMIT_HEADER = '<I8I8I8I8I8I8I8I8I8I8I8I8I8I8I8'

local function commit_refusal(lease, last, argv, before)
  if last[1] ~= argv[1] then return OTHER_HISTORY end
  if redis.call('GET', lease) ~= argv[2] then return 'FENCED' end
  local number = tonumber(last[2] or 0)
  if number == before + 1 and last[3] == argv[3] then return 'DUP' end
  if number ~= before then return 'CONFLICT' end
  return nil
end

local function commit_values(keys, key, argv, at, counts)
  local function many(command, name, count)
    if count > 0 then call_many(command, name, argv, at, at + count - 1) end
    at = at + count
  end
  local name = key + COMMIT_KEYS
  local function each(command, count)
    for _ = 1, count do
      redis.call(command, keys[name], argv[at])
      name, at = name + 1, at + 1
    end
  end
  many('HSET', keys[key + 3], counts[4])
  many('HSET', keys[key + 4], counts[5])
  many('HSET', keys[key + 7], counts[6])
  many('HSET', keys[key + 8], counts[7])
  many('HSET', keys[key + 2], counts[8])
  many('HDEL', keys[key + 2], counts[9])
  each('SET', counts[10])
  each('APPEND', counts[11])
  each('SET', counts[12])
  local lengths, fills, prices = at, counts[13], counts[14]
  at = at + fills + prices
  for i = 0, fills + prices - 1 do
    many('RPUSH', keys[name], tonumber(argv[lengths + i]))
    if i >= fills then redis.call('LTRIM', keys[name], -tonumber(argv[4]), -1) end
    name = name + 1
  end
  for _ = 1, counts[15] do
    redis.call('XADD', keys[key + 6], 'MAXLEN', '~', 10000, '*', 'symbol', argv[at],
               'sequence', argv[at + 1], 'reason', argv[at + 2], 'entry', argv[at + 3])
    at = at + 4
  end
end

local function commit_partition(keys, key, argv, at, counts)
  local batch, before = keys[key + 1], counts[1]
  local last = redis.call('HMGET', batch, 'history', 'number', 'commit', 'applied')
  local refusal = commit_refusal(keys[key], last, argv, before)
  if refusal then return refusal end
  local hash, payload, bell = argv[at + 1], argv[at + 2], int(counts[3])
  if payload == '' then
    redis.call('HSET', batch, 'bell', bell)
  else
    commit_values(keys, key, argv, at + COMMIT_MARKS, counts)
    local number = int(before + 1)
    redis.call('XADD', keys[key + 5], number .. '-0', 'h', hash, 'b', payload)
    redis.call('HSET', batch, 'number', number, 'hash', hash, 'commit', argv[3],
               'applied', int(tonumber(last[4] or 0) + counts[2]), 'bell', bell)
  end
  redis.call('SPUBLISH', argv[at + 3], argv[at + 4])
  return 'OK'
end

local function commit(keys, argv)
  local replies, key, at = {}, 1, 5
  while at <= #argv do
    local counts = {struct.unpack(COMMIT_HEADER, argv[at])}
    replies[#replies + 1] = commit_partition(keys, key, argv, at, counts)
    -- Over what belongs to this section, also where it was refused.
    at = at + COMMIT_MARKS
    key = key + COMMIT_KEYS
    for i = 4, 12 do at = at + counts[i] end
    for i = 10, 14 do key = key + counts[i] end
    local lengths = at
    at = at + counts[13] + counts[14]
    for i = lengths, at - 1 do at = at + tonumber(argv[i]) end
    at = at + 4 * counts[15]
  end
  return replies
end

offer('commit', commit, {'allow-oom'})
