-- What became of a commit whose answer was lost: it is written, or it never will be.
-- ARGV: 1 attempt, 2 revision, 3 digest of the entry, 4 keep the refusal for ms. Returns {'done'} | {'void'}
local line = line_at(tonumber(ARGV[2]))
if line and line[3] == ARGV[3] then
  redis.call('SET', TOUCHED, ARGV[1])
  return {'done'}
end
redis.call('SET', void_of(ARGV[1]), '', 'PX', ARGV[4])
return {'void'}
