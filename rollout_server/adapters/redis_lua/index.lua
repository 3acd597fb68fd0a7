-- Which entries changed which resource, as the store's index has it. ARGV: names. Returns a list of revisions for each
local oldest, answer = tonumber(redis.call('HGET', META, 'oldest') or '0'), {}
for i, name in ipairs(ARGV) do
  local revisions = {}
  for n, entry in ipairs(redis.call('XRANGE', changes_of(name), id_of(oldest + 1), '+')) do
    revisions[n] = string.match(entry[1], '^%d+')
  end
  answer[i] = revisions
end
return answer
