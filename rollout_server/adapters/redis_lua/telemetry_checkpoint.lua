-- ARGV: 1 run. Returns {fence, body, {metric, window, ...}}, or nothing
local kept = redis.call('HMGET', of_run(ARGV[1], 'checkpoint'), 'fence', 'body')
if not kept[2] then return nil end
return {kept[1], kept[2], redis.call('HGETALL', of_run(ARGV[1], 'judged'))}
