-- beat: the heartbeat of a process. KEYS members. ARGV instance, heartbeat. Returns the number of
-- fields added. It is taken when memory is full, because full memory is no sign of death.
local function beat(keys, argv)
  return redis.call('HSET', keys[1], argv[1], argv[2])
end

offer('beat', beat, {'allow-oom'})
