-- What the Functions share. Rules for all of them: every key is declared; all checks come before
-- the first write, because a Function that fails half-way keeps what it wrote; there is no
-- arithmetic on money and no JSON, because Lua numbers are doubles; times and sequences stay
-- below 2^53.

-- The answer to a call that names another history than the one that Redis holds.
local OTHER_HISTORY = 'HISTORY'

local UNPACK_MAX = 4000  -- unpack() puts its values on the C stack, which holds 8000.

local function int(number)
  return string.format('%.0f', number)
end

-- The clock of Redis, in ms.
local function clock_ms()
  local clock = redis.call('TIME')
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end

-- redis.call with a long tail of arguments, in bites of an even number of them.
local function call_many(command, key, values, first, last)
  while first <= last do
    local stop = math.min(first + UNPACK_MAX - 1, last)
    redis.call(command, key, unpack(values, first, stop))
    first = stop + 1
  end
end

-- Whether the partition of this batch key is in the history that the caller knows.
local function is_current(batch, history)
  return redis.call('HGET', batch, 'history') == history
end

-- The same for many partitions: the first of their batch keys, the last, and the step between two.
local function are_current(keys, first, last, step, history)
  for i = first, last, step do
    if not is_current(keys[i], history) then return false end
  end
  return true
end

-- The same for the keys of the exchange itself, whose genesis names its history.
local function is_exchange_current(genesis, history)
  return redis.call('HGET', genesis, 'history_id') == history
end

-- The last bell that a command of a broker has rung in a partition, where no commit has reached it;
-- else 0. The mark is the field of the heads that names this bell.
local function awaited_bell(heads, batch, mark)
  local rung = tonumber(redis.call('HGET', heads, mark) or 0)
  local reached = rung > 0 and redis.call('HGET', batch, 'bell')
  if reached and rung > tonumber(reached) then return rung end
  return 0
end

-- The next entry of the registry: field e is an encoded entry, field i a listed instrument.
local function add_to_registry(key, field, value)
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
  local sequence = 1
  if #last > 0 then sequence = tonumber(last[1][1]:match('^(%d+)-')) + 1 end
  redis.call('XADD', key, int(sequence) .. '-0', field, value)
  return sequence
end

-- Whether the queue of a webhook endpoint is in this history, or goes over to it now: what is left
-- of an earlier history is dropped. KEYS queue, messages and progress of the endpoint come first.
local function enter_hook(keys, history, epoch)
  local known = redis.call('HMGET', keys[3], 'history', 'epoch')
  if known[1] == history then return true end
  if known[1] then
    if tonumber(known[2]) >= tonumber(epoch) then return false end
    redis.call('DEL', keys[1], keys[2], keys[3])
  end
  redis.call('HSET', keys[3], 'history', history, 'epoch', epoch)
  return true
end

-- Put a message into the queue of a webhook endpoint, to be sent at a time in ms.
local function queue_message(keys, id, message, due)
  redis.call('HSET', keys[2], id, message)
  redis.call('ZADD', keys[1], due, id)
end

-- Keep a message in a hash under its id, and in a sorted set under a time; of more than ``most``
-- the oldest go.
local function keep_message(kept, at, id, message, time, most)
  redis.call('HSET', kept, id, message)
  redis.call('ZADD', at, time, id)
  local surplus = redis.call('ZCARD', at) - tonumber(most)
  if surplus <= 0 then return end
  for _, old in ipairs(redis.call('ZRANGE', at, 0, surplus - 1)) do
    redis.call('HDEL', kept, old)
    redis.call('ZREM', at, old)
  end
end

local function offer(name, callback, flags)
  redis.register_function{
    function_name = LIBRARY .. '_' .. name, callback = callback, flags = flags or {}}
end
