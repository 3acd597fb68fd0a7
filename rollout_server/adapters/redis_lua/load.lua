-- ARGV: revisions whose digests are asked for.
-- Returns {meta as in standing.lua, the last two lines, versions, bodies}
local meta = redis.call(
  'HMGET', META, 'epoch', 'revision', 'digest', 'at_ms', 'oldest', 'oldest_digest', 'marks', 'fence')
meta[9] = '0-0'
for i, revision in ipairs(ARGV) do
  local line = line_at(tonumber(revision))
  meta[9 + i] = line and line[3] or (revision == meta[5] and meta[6]) or ''
end
local last = lines_of(redis.call('XREVRANGE', LOG, '+', '-', 'COUNT', 2))
return {meta, last, redis.call('HGETALL', VERSIONS), redis.call('HGETALL', BODIES)}
