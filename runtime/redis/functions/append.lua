-- append: commands into the logs of some partitions.
-- KEYS for each partition heads, bell, batch, events, records of client order ids, those before
-- them, then one log for each of its symbols.
-- ARGV history; limits: commands not applied, batches not stored, records, their age in ms; then
-- for each partition a section: n, n symbols, m, the marks of m brokers, c, then c commands, each
-- as (index of symbol, urgency, client, digest, command).
-- Returns for each partition HISTORY, or {time in ms, one value per command}: its sequence; -1 when
-- it was refused because too much is waiting; 'sequence:time:digest' of the first command of this
-- client field when there was one. The time never goes back. The mark of a broker is the field of
-- the heads under which the bell of his last command is kept.

local BELL_KEPT = 1024  -- A matcher that is further behind than this reads the heads instead.
-- A bell carries its commands, which spares the matcher the reading of the logs. It does so only
-- while few are waiting: a matcher that is behind reads many at once from the logs.
local CARRIED_MAX, WAITING_MAX = 64, 256

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

-- The bell of an append: the symbols that have news, and the commands themselves where it carries
-- them: their time, then under 'SYMBOL ID' each command with its id in the log.
local function ring(bell, number, symbols, stamp, carried)
  local entry = {'s', symbols}
  if carried then
    entry[3], entry[4] = 't', stamp
    for i = 1, #carried do entry[i + 4] = carried[i] end
  end
  redis.call('XADD', bell, 'MAXLEN', '~', BELL_KEPT, number .. '-0', unpack(entry))
end

-- One section: its keys begin at key, its arguments at at.
local function append_section(keys, key, argv, at)
  local heads, new_records, old_records = keys[key], keys[key + 4], keys[key + 5]
  local batch = redis.call('HMGET', keys[key + 2], 'history', 'applied')
  if batch[1] ~= argv[1] then return OTHER_HISTORY end
  local count = tonumber(argv[at])
  local symbols = {}
  for i = 1, count do symbols[i] = argv[at + i] end
  local marks = at + count + 1  -- Where their number stands.
  local commands = marks + tonumber(argv[marks]) + 1  -- And that of the commands.
  local total = tonumber(argv[commands])
  local known = redis.call('HMGET', heads, '@time', '@bell', '@count', unpack(symbols))
  local now = clock_ms()
  local time = math.max(now, tonumber(known[1] or 0))
  local stamp = int(time)
  local taken = tonumber(known[3] or 0)
  local waiting = taken - tonumber(batch[2] or 0)
  -- How full: below 1 everything is taken, below 2 what is urgent.
  local unstored = redis.call('XLEN', keys[key + 3]) / tonumber(argv[3])
  local backlog_max = tonumber(argv[2])
  local carried = total <= CARRIED_MAX and waiting <= WAITING_MAX and {}
  local sequences, named = {}, {}
  for i = 1, count do sequences[i] = tonumber(known[3 + i] or 0) end

  local reply, news, turned = {time}, 0, false
  for i = commands + 1, commands + 5 * total, 5 do
    local symbol, urgency, client = tonumber(argv[i]), tonumber(argv[i + 1]), argv[i + 2]
    local record = false
    if client ~= '' then
      record = redis.call('HGET', new_records, client) or redis.call('HGET', old_records, client)
    end
    if record then
      reply[#reply + 1] = record
    elseif urgency < 2 and math.max((waiting + news) / backlog_max, unstored) >= 1 + urgency then
      reply[#reply + 1] = -1
    else
      local sequence = sequences[symbol] + 1
      local id = int(sequence) .. '-0'
      sequences[symbol], named[symbol], news = sequence, true, news + 1
      redis.call('XADD', keys[key + 5 + symbol], id, 't', stamp, 'c', argv[i + 4])
      if carried then
        carried[#carried + 1] = symbols[symbol] .. ' ' .. id
        carried[#carried + 1] = argv[i + 4]
      end
      if client ~= '' then
        if not turned then
          turn_records(new_records, old_records, now, tonumber(argv[4]), tonumber(argv[5]))
          turned = true
        end
        redis.call('HSET', new_records, client, int(sequence) .. ':' .. stamp .. ':' .. argv[i + 3])
      end
      reply[#reply + 1] = sequence
    end
  end
  if news == 0 then return reply end
  local bell = int(tonumber(known[2] or 0) + 1)
  local updates, ringing = {'@time', stamp, '@bell', bell, '@count', int(taken + news)}, {}
  for i = 1, count do
    if named[i] then
      updates[#updates + 1] = symbols[i]
      updates[#updates + 1] = int(sequences[i])
      ringing[#ringing + 1] = symbols[i]
    end
  end
  for i = marks + 1, commands - 1 do
    updates[#updates + 1] = argv[i]
    updates[#updates + 1] = bell
  end
  redis.call('HSET', heads, unpack(updates))
  ring(keys[key + 1], bell, table.concat(ringing, ' '), stamp, carried)
  return reply
end

local function append(keys, argv)
  local replies, key, at = {}, 1, 6
  while at <= #argv do
    replies[#replies + 1] = append_section(keys, key, argv, at)
    local count = tonumber(argv[at])
    key = key + 6 + count
    at = at + count + 1
    at = at + tonumber(argv[at]) + 1
    at = at + 5 * tonumber(argv[at]) + 1
  end
  return replies
end

offer('append', append)
