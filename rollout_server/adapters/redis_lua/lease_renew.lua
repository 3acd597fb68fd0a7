-- ARGV: 1 token, 2 term in ms. Returns 1 while nobody has taken it over, else 0
if redis.call('HGET', META, 'fence') ~= ARGV[1] then return 0 end
redis.call('HSET', LEASE, 'token', ARGV[1])
redis.call('HINCRBY', LEASE, 'beat', 1)
redis.call('PEXPIRE', LEASE, ARGV[2])
return 1
