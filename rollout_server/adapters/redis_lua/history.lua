-- ARGV: 1 name or '', 2 only revisions below this, 3 limit. Returns lines, newest first
local oldest = tonumber(redis.call('HGET', META, 'oldest') or '0')
local from, limit = tonumber(ARGV[2]) - 1, tonumber(ARGV[3])
if from <= oldest or limit <= 0 then return {} end
if ARGV[1] == '' then
  return lines_of(redis.call('XREVRANGE', LOG, id_of(from), id_of(oldest + 1), 'COUNT', limit))
end
local lines = {}
for _, entry in ipairs(redis.call(
  'XREVRANGE', changes_of(ARGV[1]), id_of(from), id_of(oldest + 1), 'COUNT', limit)) do
  lines[#lines + 1] = line_at(tonumber(string.match(entry[1], '^%d+')))
end
return lines
