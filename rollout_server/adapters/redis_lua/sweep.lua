-- Drops entries that a checkpoint stands for. ARGV: 1 the last one to go, then the names that these changed
local upto = math.min(tonumber(ARGV[1]), tonumber(redis.call('HGET', META, 'oldest') or '0'))
redis.call('XTRIM', LOG, 'MINID', id_of(upto + 1))
for i = 2, #ARGV do
  local key = changes_of(ARGV[i])
  redis.call('XTRIM', key, 'MINID', id_of(upto + 1))
  if redis.call('XLEN', key) == 0 then
    redis.call('DEL', key)
    redis.call('SREM', NAMES, ARGV[i])
  end
end
return 1
