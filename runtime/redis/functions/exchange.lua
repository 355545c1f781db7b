#!lua name=exchange_v2
-- The Redis Functions of the exchange. Rules: every key is declared; all checks come before the
-- first write, because a Function that fails half-way keeps what it wrote; no arithmetic on money
-- and no JSON, because Lua numbers are doubles; times and sequences stay below 2^53.

local UNPACK_MAX = 4000  -- unpack() puts its values on the C stack, which holds 8000.
local BELL_KEPT = 4096   -- A matcher further behind than this reads the heads instead.

local function int(number)
  return string.format('%.0f', number)
end

-- redis.call with a long tail of arguments, in bites of an even number of them.
local function call_many(command, key, values, first, last)
  while first <= last do
    local stop = math.min(first + UNPACK_MAX - 1, last)
    redis.call(command, key, unpack(values, first, stop))
    first = stop + 1
  end
end

-- The records of client order ids: a hash that is written and the one before it. When the first
-- has reached its size or its age it takes the other's place, so both stay bounded, and a record
-- is found for at least that long or that many.
local function turn_records(new, old, now, count_max, age_max)
  local since = redis.call('HGET', new, '@since')
  if since and now - tonumber(since) < age_max and redis.call('HLEN', new) <= count_max then
    return
  end
  if since then
    redis.call('UNLINK', old)
    redis.call('RENAME', new, old)
    redis.call('PEXPIRE', old, int(age_max))
  end
  redis.call('HSET', new, '@since', int(now))
  redis.call('PEXPIRE', new, int(2 * age_max))
end

-- KEYS heads, bell, batch, events, records of client order ids, those before them, one log per
-- symbol. ARGV limits: commands not applied, batches not stored, records, their age in ms; then
-- n, n symbols, then (index of symbol, urgency, client, digest, command)...
-- Returns {time in ms, one value per command}: its sequence; -1 when it was refused because too
-- much is waiting; 'sequence:time:digest' of the first command of this client field when there
-- was one. The time never goes back.
local function append(keys, argv)
  local heads, bell, new_records, old_records = keys[1], keys[2], keys[5], keys[6]
  local count = tonumber(argv[5])
  local symbols = {}
  for i = 1, count do symbols[i] = argv[5 + i] end
  local known = redis.call('HMGET', heads, '@time', '@bell', '@count', unpack(symbols))
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local time = math.max(now, tonumber(known[1] or 0))
  local stamp = int(time)
  local taken = tonumber(known[3] or 0)
  local applied = tonumber(redis.call('HGET', keys[3], 'applied') or 0)
  -- How full: below 1 everything is taken, below 2 what is urgent.
  local unstored = redis.call('XLEN', keys[4]) / tonumber(argv[2])
  local backlog_max = tonumber(argv[1])
  local sequences, named = {}, {}
  for i = 1, count do sequences[i] = tonumber(known[3 + i] or 0) end

  local reply = {time}
  local ring = false
  for i = 6 + count, #argv, 5 do
    local symbol, urgency, client = tonumber(argv[i]), tonumber(argv[i + 1]), argv[i + 2]
    local record = false
    if client ~= '' then
      record = redis.call('HGET', new_records, client) or redis.call('HGET', old_records, client)
    end
    if record then
      reply[#reply + 1] = record
    elseif urgency < 2 and math.max((taken - applied) / backlog_max, unstored) >= 1 + urgency then
      reply[#reply + 1] = -1
    else
      local sequence = sequences[symbol] + 1
      sequences[symbol], named[symbol], ring = sequence, true, true
      taken = taken + 1
      redis.call('XADD', keys[6 + symbol], int(sequence) .. '-0', 't', stamp, 'c', argv[i + 4])
      if client ~= '' then
        turn_records(new_records, old_records, now, tonumber(argv[3]), tonumber(argv[4]))
        redis.call('HSET', new_records, client, int(sequence) .. ':' .. stamp .. ':' .. argv[i + 3])
      end
      reply[#reply + 1] = sequence
    end
  end
  if not ring then return reply end
  local next_bell = int(tonumber(known[2] or 0) + 1)
  local updates, news = {'@time', stamp, '@bell', next_bell, '@count', int(taken)}, {}
  for i = 1, count do
    if named[i] then
      updates[#updates + 1] = symbols[i]
      updates[#updates + 1] = int(sequences[i])
      news[#news + 1] = symbols[i]
    end
  end
  redis.call('HSET', heads, unpack(updates))
  redis.call('XADD', bell, 'MAXLEN', '~', BELL_KEPT, next_bell .. '-0', 's', table.concat(news, ' '))
  return reply
end

-- One batch of one partition, all or nothing. KEYS lease, batch, open, positions, books, balances,
-- events, dead, then the keys of the closed orders, the fill lists and the price lists in the
-- order of their sections. ARGV token, expected number, commit id, hash, payload, length of price
-- lists, number of log entries, then sections:
--   position pairs, snapshot pairs, balance pairs, open pairs, open removals: n, n values
--   closed orders:     n, n values            (one key each)
--   fills, then prices: n lists, each m, m values (one key each)
--   dead letters:      n, each symbol, sequence, reason, entry
-- Fill lists grow only while their order is open.
local function commit(keys, argv)
  if redis.call('GET', keys[1]) ~= argv[1] then return 'FENCED' end
  local last = redis.call('HMGET', keys[2], 'number', 'commit', 'applied')
  local number = tonumber(last[1] or 0)
  local expected = tonumber(argv[2])
  if number == expected + 1 and last[2] == argv[3] then return 'DUP' end
  if number ~= expected then return 'CONFLICT' end

  local window = tonumber(argv[6])
  local at, key = 8, 9
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
  redis.call('XADD', keys[7], next_number .. '-0', 'h', argv[4], 'b', argv[5])
  redis.call('HSET', keys[2], 'number', next_number, 'hash', argv[4], 'commit', argv[3],
             'applied', int(tonumber(last[3] or 0) + tonumber(argv[7])))
  return 'OK'
end

-- KEYS leases...; ARGV ttl in ms, then the token that each lease must still hold.
-- Returns 1 or 0 for each: 0 means the lease is another's, or gone.
local function renew(keys, argv)
  local held = {}
  for i, key in ipairs(keys) do
    if redis.call('GET', key) == argv[1 + i] then
      redis.call('PEXPIRE', key, argv[1])
      held[i] = 1
    else
      held[i] = 0
    end
  end
  return held
end

-- KEYS lease; ARGV token. Gives the lease up if it is still ours.
local function release(keys, argv)
  if redis.call('GET', keys[1]) ~= argv[1] then return 0 end
  return redis.call('DEL', keys[1])
end

-- KEYS lease; ARGV owner, incarnation, ttl. Takes a free lease, or one of an earlier incarnation
-- of the same owner (a process that was started again in the place of a dead one).
-- Returns 1 when taken.
local function acquire(keys, argv)
  local owner, token = argv[1] .. '/', argv[1] .. '/' .. argv[2]
  local holder = redis.call('GET', keys[1])
  if holder and holder ~= token and holder:sub(1, #owner) ~= owner then return 0 end
  redis.call('SET', keys[1], token, 'PX', argv[3])
  return 1
end

-- The next entry of the registry: field e is an encoded entry, field i a listed instrument.
local function add_to_registry(key, field, value)
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
  local sequence = 1
  if #last > 0 then sequence = tonumber(last[1][1]:match('^(%d+)-')) + 1 end
  redis.call('XADD', key, int(sequence) .. '-0', field, value)
  return sequence
end

-- KEYS registry; ARGV entry. Returns its sequence.
local function register(keys, argv)
  return add_to_registry(keys[1], 'e', argv[1])
end

-- KEYS instruments, listed, registry; ARGV symbol, number of partitions. Lists a symbol once, on
-- the partition that has the fewest. Returns "SYMBOL:number:partition".
local function list_instrument(keys, argv)
  local known = redis.call('HGET', keys[1], argv[1])
  if known then return known end
  local number = redis.call('HLEN', keys[1]) + 1
  local partition, fewest = 0, math.huge
  for i = 0, tonumber(argv[2]) - 1 do
    local count = tonumber(redis.call('HGET', keys[2], int(i)) or 0)
    if count < fewest then partition, fewest = i, count end
  end
  local instrument = argv[1] .. ':' .. int(number) .. ':' .. int(partition)
  redis.call('HSET', keys[1], argv[1], instrument)
  redis.call('HINCRBY', keys[2], int(partition), 1)
  add_to_registry(keys[3], 'i', instrument)
  return instrument
end

-- KEYS queue, messages, progress of one endpoint; ARGV partition name, batch number, due time in
-- ms, then (message id, message without its sequence)... Each batch of a partition is taken once:
-- a repeat changes nothing, so a message keeps its sequence for ever. Returns how many were added.
local function enqueue(keys, argv)
  local done = redis.call('HMGET', keys[3], argv[1], 'sequence')
  if tonumber(done[1] or 0) >= tonumber(argv[2]) then return 0 end
  local sequence = tonumber(done[2] or 0)
  for i = 4, #argv, 2 do
    sequence = sequence + 1
    redis.call('HSET', keys[2], argv[i], int(sequence) .. ' 0 ' .. argv[i + 1])
    redis.call('ZADD', keys[1], argv[3], argv[i])
  end
  redis.call('HSET', keys[3], argv[1], argv[2], 'sequence', int(sequence))
  return (#argv - 3) / 2
end

-- KEYS strings; ARGV a value for each. Watermarks must move when memory is full: they are what
-- frees it.
local function mark(keys, argv)
  for i, key in ipairs(keys) do redis.call('SET', key, argv[i]) end
  return #keys
end

-- KEYS members; ARGV member, its heartbeat. Full memory is no sign of death.
local function beat(keys, argv)
  return redis.call('HSET', keys[1], argv[1], argv[2])
end

-- For benchmarks in development: forget everything but the registry. The one Function that looks
-- for its keys, so it does not work on a Cluster.
local function reset(_, _)
  local count = 0
  for _, pattern in ipairs({'{p[0-9][0-9]}:*', '{hook:*}:*'}) do
    for _, key in ipairs(redis.call('KEYS', pattern)) do
      redis.call('DEL', key)
      count = count + 1
    end
  end
  return count
end

redis.register_function('exchange_v2_append', append)
redis.register_function('exchange_v2_reset', reset)
redis.register_function{
  function_name = 'exchange_v2_commit', callback = commit, flags = {'allow-oom'}}
redis.register_function{
  function_name = 'exchange_v2_renew', callback = renew, flags = {'allow-oom'}}
redis.register_function{
  function_name = 'exchange_v2_release', callback = release, flags = {'allow-oom'}}
redis.register_function{
  function_name = 'exchange_v2_acquire', callback = acquire, flags = {'allow-oom'}}
redis.register_function{
  function_name = 'exchange_v2_mark', callback = mark, flags = {'allow-oom'}}
redis.register_function{
  function_name = 'exchange_v2_beat', callback = beat, flags = {'allow-oom'}}
redis.register_function('exchange_v2_register', register)
redis.register_function('exchange_v2_list_instrument', list_instrument)
redis.register_function{
  function_name = 'exchange_v2_enqueue', callback = enqueue, flags = {'allow-oom'}}
