-- beat: the heartbeat of a process. KEYS members. ARGV instance, heartbeat.
-- Returns the time (seconds, microseconds) and the heartbeats of all members.
-- It is taken when memory is full, because full memory is no sign of death.
local function beat(keys, argv)
  redis.call('HSET', keys[1], argv[1], argv[2])
  return {redis.call('TIME'), redis.call('HVALS', keys[1])}
end

offer('beat', beat, {'allow-oom'})
