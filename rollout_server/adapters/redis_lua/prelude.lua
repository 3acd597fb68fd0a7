-- Comes before every script. KEYS[1] is the environment's "meta"; every other key is made of its prefix, and so lies
-- under its hash tag. A script either reads all that it needs before its first write, or writes nothing.
local META = KEYS[1]
local PREFIX = string.sub(META, 1, -5)
local LOG, EPOCHS = PREFIX .. 'log', PREFIX .. 'epochs'
local VERSIONS, BODIES, NAMES = PREFIX .. 'versions', PREFIX .. 'bodies', PREFIX .. 'names'
local CHECKPOINT, LEASE, TOUCHED = PREFIX .. 'checkpoint', PREFIX .. 'lease', PREFIX .. 'touched'
local NOTES, RESTORING = PREFIX .. 'notes', PREFIX .. 'restoring'
local AT_ONCE = 1000

local function changes_of(name) return PREFIX .. 'changes:' .. name end
local function key_of(idempotency_key) return PREFIX .. 'key:' .. idempotency_key end
local function void_of(attempt) return PREFIX .. 'void:' .. attempt end
local function id_of(revision) return string.format('%.0f-0', revision) end
local function text_of(number) return string.format('%.0f', number) end

-- A stream's entry as a table of its fields.
local function fields_of(entry)
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  fields.revision = string.match(entry[1], '^%d+')
  return fields
end

-- One line of the log as {revision, at_ms, digest, body}; nil where it is not there.
local function line_at(revision)
  local found = redis.call('XRANGE', LOG, id_of(revision), id_of(revision))
  if #found == 0 then return nil end
  local fields = fields_of(found[1])
  return {fields.revision, fields.at_ms, fields.digest, fields.body}
end

local function lines_of(found)
  local lines = {}
  for i, entry in ipairs(found) do
    local fields = fields_of(entry)
    lines[i] = {fields.revision, fields.at_ms, fields.digest, fields.body}
  end
  return lines
end

-- HMGET of any number of fields; false where there is none.
local function values_of(key, fields)
  local values = {}
  for first = 1, #fields, AT_ONCE do
    local last = math.min(first + AT_ONCE - 1, #fields)
    for i, value in ipairs(redis.call('HMGET', key, unpack(fields, first, last))) do values[first + i - 1] = value end
  end
  return values
end

-- What an idempotency key wrote: {fingerprint, revision, at_ms, digest, body}; nil where it is not remembered.
local function remembered(idempotency_key, forgotten_ms)
  local key = key_of(idempotency_key)
  local known = redis.call('HMGET', key, 'fingerprint', 'revision', 'at_ms', 'entry_at_ms', 'digest', 'body')
  if not known[1] or tonumber(known[3]) <= forgotten_ms then return nil end
  if known[6] then return {known[1], known[2], known[4], known[5], known[6]} end
  local line = line_at(tonumber(known[2]))
  if not line then return {known[1], known[2], '', '', ''} end
  return {known[1], line[1], line[2], line[3], line[4]}
end
