-- A write for WAIT to wait for, if the history holds what the caller rests on.
-- ARGV: 1 revision, 2 its digest, 3 attempt. Returns 1, 0 where another entry or none is there, -1 where no environment is
local meta = redis.call('HMGET', META, 'oldest', 'oldest_digest')
if not meta[1] then return -1 end
local line = line_at(tonumber(ARGV[1]))
local digest = line and line[3] or (ARGV[1] == meta[1] and meta[2]) or ''
if digest ~= ARGV[2] and tonumber(ARGV[1]) >= tonumber(meta[1]) then return 0 end
redis.call('SET', TOUCHED, ARGV[3])
return 1
