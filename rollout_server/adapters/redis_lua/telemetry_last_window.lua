-- Returns the last window that anything was put into, -1 before the first
local last = -1
for _, window in ipairs(redis.call('HVALS', RUNS)) do last = math.max(last, tonumber(window)) end
local processes = redis.call('ZREVRANGE', PROCESS_WINDOWS, 0, 0)
if processes[1] then last = math.max(last, tonumber(processes[1])) end
return last
