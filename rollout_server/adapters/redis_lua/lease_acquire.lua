-- ARGV: 1 the caller's token or '0', 2 term in ms, 3 token and 4 beat that stood still for a whole term, or ''
-- Returns {'held', token} | {'other', token, beat}
local fence = redis.call('HGET', META, 'fence')
if not fence then return {'gone'} end
local lease = redis.call('HMGET', LEASE, 'token', 'beat')
if lease[1] and lease[1] == fence then
  if lease[1] == ARGV[1] then
    redis.call('HINCRBY', LEASE, 'beat', 1)
    redis.call('PEXPIRE', LEASE, ARGV[2])
    return {'held', fence}
  end
  if lease[1] ~= ARGV[3] or lease[2] ~= ARGV[4] then return {'other', lease[1], lease[2]} end
end
-- By the clock, not by one: a token that a failover lost must not come a second time.
local time = redis.call('TIME')
local token = text_of(math.max(tonumber(fence) + 1, tonumber(time[1]) * 1000000 + tonumber(time[2])))
redis.call('DEL', LEASE)
redis.call('HSET', LEASE, 'token', token, 'beat', '0')
redis.call('PEXPIRE', LEASE, ARGV[2])
redis.call('HSET', META, 'fence', token)
return {'held', token}
