-- ARGV: 1 run, 2 fence, 3 body, then (metric, window) for each judged one.
-- Returns {'kept'} | {'fenced', newest token} | {'back', metric, window that was judged}
local run, fence, judged = ARGV[1], tonumber(ARGV[2]), of_run(ARGV[1], 'judged')
local key = of_run(run, 'checkpoint')
local newest = math.max(tonumber(redis.call('HGET', key, 'fence') or '0'), tonumber(redis.call('HGET', META, 'fence') or '0'))
if newest > fence then return {'fenced', text_of(newest)} end
for i = 4, #ARGV, 2 do
  local known = redis.call('HGET', judged, ARGV[i])
  if known and tonumber(known) > tonumber(ARGV[i + 1]) then return {'back', ARGV[i], known} end
end
redis.call('HSETNX', RUNS, run, '-1')
for i = 4, #ARGV, 2 do redis.call('HSET', judged, ARGV[i], ARGV[i + 1]) end
redis.call('HSET', key, 'fence', ARGV[2], 'body', ARGV[3])
return {'kept'}
