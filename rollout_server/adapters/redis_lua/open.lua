-- Makes the environment where there is none, if it may, and says what there is.
-- ARGV: 1 environment, 2 format, 3 mark of the server's key, 4 epoch, 5 digest of the beginning, 6 marks of nothing, 7 1 if it may be made
-- Returns {'restoring'} | {'type', key, type} | {'foreign', key} | {'absent'} | {format, environment, key mark, 1 if it was made now}
if redis.call('EXISTS', RESTORING) == 1 then return {'restoring'} end
local types = {
  {META, 'hash'}, {LOG, 'stream'}, {EPOCHS, 'stream'}, {VERSIONS, 'hash'}, {BODIES, 'hash'}, {NAMES, 'set'},
  {CHECKPOINT, 'hash'}, {LEASE, 'hash'}, {TOUCHED, 'string'}, {NOTES, 'hash'},
  {PREFIX .. 'fleet', 'hash'},
}
local others = nil
for _, each in ipairs(types) do
  local found = redis.call('TYPE', each[1]).ok
  if found ~= 'none' and found ~= each[2] then return {'type', each[1], found} end
  if found ~= 'none' and each[1] ~= META then others = each[1] end
end
local meta = redis.call('HMGET', META, 'format', 'environment', 'key')
if meta[1] and meta[2] then return {meta[1], meta[2], meta[3] or '', '0'} end
if redis.call('EXISTS', META) == 1 then return {'foreign', META} end
if others then return {'foreign', others} end
if ARGV[7] ~= '1' then return {'absent'} end
redis.call('XADD', EPOCHS, '*', 'epoch', ARGV[4])
redis.call('HSET', META, 'format', ARGV[2], 'environment', ARGV[1], 'key', ARGV[3], 'epoch', ARGV[4],
  'revision', '0', 'digest', ARGV[5], 'at_ms', '0', 'oldest', '0', 'oldest_digest', ARGV[5], 'marks', ARGV[6],
  'fence', '0')
return {ARGV[2], ARGV[1], ARGV[3], '1'}
