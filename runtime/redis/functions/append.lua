-- append: commands into the logs of one partition.
-- KEYS heads, bell, batch, events, records of client order ids, those before them, one log per
-- symbol. ARGV history; limits: commands not applied, batches not stored, records, their age in
-- ms; then n, n symbols, m, the marks of m brokers, then (index of symbol, urgency, client, digest,
-- command)...
-- Returns {time in ms, one value per command}: its sequence; -1 when it was refused because too
-- much is waiting; 'sequence:time:digest' of the first command of this client field when there
-- was one. The time never goes back. The mark of a broker is the field of the heads under which
-- the bell of his last command is kept.

local BELL_KEPT = 4096  -- A matcher that is further behind than this reads the heads instead.

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

local function append(keys, argv)
  local heads, bell, new_records, old_records = keys[1], keys[2], keys[5], keys[6]
  local batch = redis.call('HMGET', keys[3], 'history', 'applied')
  if batch[1] ~= argv[1] then return OTHER_HISTORY end
  local count = tonumber(argv[6])
  local symbols = {}
  for i = 1, count do symbols[i] = argv[6 + i] end
  local marks = 7 + count  -- Where their number stands.
  local first = marks + tonumber(argv[marks]) + 1
  local known = redis.call('HMGET', heads, '@time', '@bell', '@count', unpack(symbols))
  local now = clock_ms()
  local time = math.max(now, tonumber(known[1] or 0))
  local stamp = int(time)
  local taken = tonumber(known[3] or 0)
  local applied = tonumber(batch[2] or 0)
  -- How full: below 1 everything is taken, below 2 what is urgent.
  local unstored = redis.call('XLEN', keys[4]) / tonumber(argv[3])
  local backlog_max = tonumber(argv[2])
  local sequences, named = {}, {}
  for i = 1, count do sequences[i] = tonumber(known[3 + i] or 0) end

  local reply = {time}
  local ring = false
  for i = first, #argv, 5 do
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
        turn_records(new_records, old_records, now, tonumber(argv[4]), tonumber(argv[5]))
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
  for i = marks + 1, first - 1 do
    updates[#updates + 1] = argv[i]
    updates[#updates + 1] = next_bell
  end
  redis.call('HSET', heads, unpack(updates))
  redis.call('XADD', bell, 'MAXLEN', '~', BELL_KEPT, next_bell .. '-0', 's', table.concat(news, ' '))
  return reply
end

offer('append', append)
