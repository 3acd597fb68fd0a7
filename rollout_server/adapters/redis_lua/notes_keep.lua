-- ARGV: 1 fence, 2 body. Returns {'kept'} | {'fenced', newest token} | {'gone'}
local newest = redis.call('HGET', META, 'fence')
if not newest then return {'gone'} end
if newest ~= ARGV[1] then return {'fenced', newest} end
redis.call('HSET', NOTES, 'fence', ARGV[1], 'body', ARGV[2])
redis.call('HINCRBY', NOTES, 'serial', 1)
return {'kept'}
