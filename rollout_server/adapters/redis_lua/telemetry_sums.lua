-- ARGV: 1 run, 2 metric ('' for exposures), 3 after, 4 through. Returns {bound or '', {window, {field, value, ...}}, ...}
local answer = {redis.call('HGET', of_run(ARGV[1], 'bounds'), ARGV[2]) or ''}
for _, window in ipairs(redis.call('ZRANGEBYSCORE', windows_of(ARGV[1], ARGV[2]), '(' .. ARGV[3], ARGV[4])) do
  answer[#answer + 1] = {window, redis.call('HGETALL', window_of(ARGV[1], ARGV[2], window))}
end
return answer
