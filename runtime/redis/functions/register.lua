-- register: an entry into the registry. KEYS registry, genesis. ARGV history, encoded entry.
-- Returns its sequence; HISTORY.
local function register(keys, argv)
  if not is_exchange_current(keys[2], argv[1]) then return OTHER_HISTORY end
  return add_to_registry(keys[1], 'e', argv[2])
end

offer('register', register)
