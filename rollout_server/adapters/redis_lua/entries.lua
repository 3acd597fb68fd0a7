-- ARGV: 1 only revisions above this, 2 limit. Returns {revision of the head, oldest, lines, ascending}
local meta = redis.call('HMGET', META, 'revision', 'oldest')
if not meta[1] then return {} end
local after, limit, found = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
if limit > 0 and after >= tonumber(meta[2]) then
  found = redis.call('XRANGE', LOG, id_of(after + 1), '+', 'COUNT', limit)
end
return {meta[1], meta[2], lines_of(found)}
