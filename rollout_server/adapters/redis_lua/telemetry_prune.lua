-- ARGV: 1 windows below this go, 2 instances heard before this (ms) go, then runs that stay whatever their windows.
-- Returns how many sums went
local before, kept, gone = tonumber(ARGV[1]), {}, 0
for i = 3, #ARGV do kept[ARGV[i]] = true end
local runs = redis.call('HGETALL', RUNS)
for i = 1, #runs, 2 do
  local run, is_over = runs[i], not kept[runs[i]] and tonumber(runs[i + 1]) < before
  for _, metric in ipairs(redis.call('SMEMBERS', of_run(run, 'metrics'))) do
    local key, upto = windows_of(run, metric), is_over and '+inf' or '(' .. ARGV[1]
    if metric ~= '' or is_over then
      for _, window in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', upto)) do
        local cells = window_of(run, metric, window)
        if metric ~= '' then gone = gone + redis.call('HLEN', cells) end
        redis.call('UNLINK', cells)
      end
      redis.call('ZREMRANGEBYSCORE', key, '-inf', upto)
    end
    if is_over then redis.call('UNLINK', of_run(run, 'outcomes:' .. metric)) end
  end
  if is_over then
    for _, name in ipairs({'bounds', 'judged', 'strata', 'metrics', 'units', 'checkpoint'}) do
      redis.call('UNLINK', of_run(run, name))
    end
    redis.call('HDEL', RUNS, run)
  end
end
for _, window in ipairs(redis.call('ZRANGEBYSCORE', PROCESS_WINDOWS, '-inf', '(' .. ARGV[1])) do
  redis.call('HDEL', PROCESSES, window .. ' lived', window .. ' lost')
end
redis.call('ZREMRANGEBYSCORE', PROCESS_WINDOWS, '-inf', '(' .. ARGV[1])
for _, instance in ipairs(redis.call('ZRANGEBYSCORE', HEARD, '-inf', '(' .. ARGV[2])) do
  redis.call('HDEL', INSTANCES, instance)
end
redis.call('ZREMRANGEBYSCORE', HEARD, '-inf', '(' .. ARGV[2])
return gone
