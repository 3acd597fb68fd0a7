-- One entry, or nothing. The caller made the entry upon the head that it knew.
--
-- ARGV: 1 attempt, 2 revision of the head, 3 its digest, 4 fence or 0, 5 epoch or '', 6 idempotency key or '',
--       7 fingerprint, 8 now in ms, 9 keep keys for ms, 10 at_ms, 11 digest, 12 body, 13 number of reads, 14 number of
--       changes, then (name, version) for each read, then (name, mark or '', body or '') for each change: no mark deletes.
-- Returns {'done'} | {'known', ...line} | {'moved', name, version...} | {'fenced', token} | {'epoch', epoch}
--       | {'head', revision, digest, at_ms, oldest, digest at ARGV 2 or ''} | {'void'} | {'gone'}
local attempt, fence, now_ms, keep_ms = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[8]), tonumber(ARGV[9])
local key, fingerprint, at_ms, digest, body = ARGV[6], ARGV[7], ARGV[10], ARGV[11], ARGV[12]
local meta = redis.call('HMGET', META, 'epoch', 'revision', 'digest', 'at_ms', 'oldest', 'marks', 'fence')
if not meta[2] then return {'gone'} end
local revision = tonumber(meta[2])

if key ~= '' then
  local known = remembered(key, now_ms - keep_ms)
  if known then
    redis.call('SET', TOUCHED, attempt)  -- a write of this connection, so that WAIT has something to wait for
    return {'known', unpack(known)}
  end
end
if redis.call('EXISTS', void_of(attempt)) == 1 then return {'void'} end
if fence ~= 0 and fence ~= tonumber(meta[7]) then return {'fenced', meta[7]} end
if ARGV[5] ~= '' and ARGV[5] ~= meta[1] then return {'epoch', meta[1]} end

local reads, changes = tonumber(ARGV[13]), tonumber(ARGV[14])
local names = {}
for i = 1, reads do names[i] = ARGV[13 + 2 * i] end
local moved = {'moved'}
for i, found in ipairs(values_of(VERSIONS, names)) do
  local version = found and string.match(found, '^%d+') or '0'
  if version ~= ARGV[14 + 2 * i] then
    moved[#moved + 1] = names[i]
    moved[#moved + 1] = version
  end
end
if #moved > 1 then return moved end

if ARGV[2] ~= meta[2] or ARGV[3] ~= meta[3] then
  local known = line_at(tonumber(ARGV[2]))
  return {'head', meta[2], meta[3], meta[4], meta[5], known and known[3] or ''}
end

local function xor(left, right)
  local a, b, words = {struct.unpack('>I4I4I4I4I4I4I4I4', left)}, {struct.unpack('>I4I4I4I4I4I4I4I4', right)}, {}
  for i = 1, 8 do words[i] = bit.bxor(a[i], b[i]) % 4294967296 end
  return struct.pack('>I4I4I4I4I4I4I4I4', unpack(words))
end

local first, changed, marks = 14 + 2 * reads, {}, meta[6]
for i = 1, changes do changed[i] = ARGV[first + 3 * i - 2] end
for i, found in ipairs(values_of(VERSIONS, changed)) do
  if found then marks = xor(marks, string.sub(found, -32)) end
  local mark = ARGV[first + 3 * i - 1]
  if mark ~= '' then marks = xor(marks, mark) end
  redis.call('XLEN', changes_of(changed[i]))  -- a key of another type must fail here, before anything is written
end
redis.call('HLEN', BODIES)
redis.call('SCARD', NAMES)

revision = text_of(revision + 1)
redis.call('XADD', LOG, id_of(tonumber(revision)), 'at_ms', at_ms, 'digest', digest, 'body', body)
redis.call('HSET', META, 'revision', revision, 'digest', digest, 'at_ms', at_ms, 'marks', marks)
for i, name in ipairs(changed) do
  local mark = ARGV[first + 3 * i - 1]
  if mark == '' then
    redis.call('HDEL', VERSIONS, name)
    redis.call('HDEL', BODIES, name)
  else
    redis.call('HSET', VERSIONS, name, revision .. ' ' .. mark)
    redis.call('HSET', BODIES, name, ARGV[first + 3 * i])
  end
  redis.call('XADD', changes_of(name), id_of(tonumber(revision)), 'r', '')
  redis.call('SADD', NAMES, name)
end
if key ~= '' then
  redis.call('DEL', key_of(key))
  redis.call('HSET', key_of(key), 'fingerprint', fingerprint, 'revision', revision, 'at_ms', ARGV[8])
  redis.call('PEXPIRE', key_of(key), keep_ms)
end
return {'done'}
