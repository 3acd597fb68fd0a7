-- ARGV: revisions whose digests are asked for.
-- Returns {epoch, revision, digest, at_ms, oldest, oldest_digest, marks, fence, last id of epochs, digest or '', ...}
local meta = redis.call(
  'HMGET', META, 'epoch', 'revision', 'digest', 'at_ms', 'oldest', 'oldest_digest', 'marks', 'fence')
local epochs = redis.call('XREVRANGE', EPOCHS, '+', '-', 'COUNT', 1)
meta[9] = epochs[1] and epochs[1][1] or '0-0'
for i, revision in ipairs(ARGV) do
  local line = line_at(tonumber(revision))
  meta[9 + i] = line and line[3] or (revision == meta[5] and meta[6]) or ''
end
return meta
