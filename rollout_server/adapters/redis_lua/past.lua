-- The last change of each resource by a point of the past.
-- ARGV: 1 revision or '', 2 time in ms or ''; with neither, now.
-- Returns {epoch, revision of the head, oldest, wanted revision, its line or {}, name, revision, name, revision, ...}
local meta = redis.call('HMGET', META, 'epoch', 'revision', 'oldest')
local head, oldest = tonumber(meta[2]), tonumber(meta[3])
local wanted = head
if ARGV[1] ~= '' then
  wanted = tonumber(ARGV[1])
elseif ARGV[2] ~= '' then
  local low, high = oldest, head  -- times never fall along the log: the last entry at or before the time
  while low < high do
    local middle = math.ceil((low + high) / 2)
    local line = line_at(middle)
    if line and tonumber(line[2]) <= tonumber(ARGV[2]) then low = middle else high = middle - 1 end
  end
  wanted = low
end
local answer = {meta[1], meta[2], meta[3], text_of(wanted), line_at(wanted) or {}}
if wanted <= oldest or wanted > head then return answer end
for _, name in ipairs(redis.call('SMEMBERS', NAMES)) do
  local last = redis.call('XREVRANGE', changes_of(name), id_of(wanted), id_of(oldest + 1), 'COUNT', 1)
  if #last > 0 then
    answer[#answer + 1] = name
    answer[#answer + 1] = string.match(last[1][1], '^%d+')
  end
end
return answer
