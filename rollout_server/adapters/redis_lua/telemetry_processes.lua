-- ARGV: 1 'add', 2 window, 3 lived, 4 lost | 1 'read', 2 after, 3 through. Returns {window, lived, lost, ...}
if ARGV[1] == 'add' then
  redis.call('ZADD', PROCESS_WINDOWS, ARGV[2], ARGV[2])
  redis.call('HINCRBY', PROCESSES, ARGV[2] .. ' lived', ARGV[3])
  redis.call('HINCRBY', PROCESSES, ARGV[2] .. ' lost', ARGV[4])
  return {}
end
local answer = {}
for _, window in ipairs(redis.call('ZRANGEBYSCORE', PROCESS_WINDOWS, '(' .. ARGV[2], ARGV[3])) do
  local counts = redis.call('HMGET', PROCESSES, window .. ' lived', window .. ' lost')
  answer[#answer + 1] = window
  answer[#answer + 1] = counts[1] or '0'
  answer[#answer + 1] = counts[2] or '0'
end
return answer
