-- ARGV: 1 token. The token stays the newest one, so that what was decided under it still counts
if redis.call('HGET', LEASE, 'token') ~= ARGV[1] then return 0 end
return redis.call('DEL', LEASE)
