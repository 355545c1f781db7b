-- news: the bells of some partitions that were not heard yet, and the entries that they name.
-- KEYS n bells, n batches, n positions. ARGV history, entries of a log, n times the last bell that
-- was heard, n times what the names of the logs begin with, then (index of partition, symbol)...
-- of logs that may have more entries without a new bell.
-- Returns for each partition with news {index, last bell, symbol, entries, symbol, entries...};
-- the bell is -1 when one before it is missing; HISTORY.
-- The entries follow the positions of the last commit. The logs are not among KEYS, because only
-- the bells tell which they are; they lie in the slot of their bell.
local BELLS_MAX = 1000

local function news_symbols(keys, argv)
  local count, found = #keys / 3, {}
  local function add(index, symbol)
    local news = found[index] or {last = argv[2 + index], symbols = {}, known = {}}
    found[index] = news
    if symbol and not news.known[symbol] then
      news.known[symbol] = true
      news.symbols[#news.symbols + 1] = symbol
    end
    return news
  end
  for i = 3 + 2 * count, #argv, 2 do add(tonumber(argv[i]), argv[i + 1]) end

  local streams = {unpack(keys, 1, count)}
  for i = 1, count do streams[count + i] = argv[2 + i] .. '-0' end
  local index = 1
  for _, stream in ipairs(redis.call('XREAD', 'COUNT', BELLS_MAX, 'STREAMS', unpack(streams)) or {}) do
    while keys[index] ~= stream[1] do index = index + 1 end
    local last = tonumber(argv[2 + index])
    for _, bell in ipairs(stream[2]) do
      local number = tonumber(bell[1]:match('^%d+'))
      last = number == last + 1 and number or math.huge
      for symbol in bell[2][2]:gmatch('%S+') do add(index, symbol) end
    end
    add(index).last = last == math.huge and '-1' or int(last)
  end
  return found
end

local function news(keys, argv)
  local count, reply = #keys / 3, {}
  for index, found in pairs(news_symbols(keys, argv)) do
    if not is_current(keys[count + index], argv[1]) then return OTHER_HISTORY end
    local part = {index, found.last}
    local positions = {}
    if #found.symbols > 0 then
      positions = redis.call('HMGET', keys[2 * count + index], unpack(found.symbols))
    end
    for i, symbol in ipairs(found.symbols) do
      local applied = positions[i] and positions[i]:match('^%d+') or '0'
      part[#part + 1] = symbol
      part[#part + 1] = redis.call('XRANGE', argv[2 + count + index] .. symbol,
                                   '(' .. applied .. '-0', '+', 'COUNT', argv[2])
    end
    reply[#reply + 1] = part
  end
  return reply
end

offer('news', news, {'no-writes'})
