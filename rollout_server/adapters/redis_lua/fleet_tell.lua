-- A server's sign of life, with what it has to tell; and who else there is.
-- ARGV: 1 replica, 2 its name, 3 run and 4 number of the last word it told, '0' and the last run to begin anew, 5 '1' if it leaves,
--       6 how long it is remembered in ms, 7 how many are, 8... words
-- Returns {'gone'} | {now, '1' if all it told is here, run, number, roll...}; the roll as field, value
local newest = redis.call('HGET', META, 'fence')
if not newest then return {'gone'} end
local FLEET, OWN = PREFIX .. 'fleet', PREFIX .. 'fleet:' .. ARGV[1]
local function id_of_one(found) return found[1] and found[1][1] end
local first = id_of_one(redis.call('XRANGE', OWN, '-', '+', 'COUNT', 1))
local last = id_of_one(redis.call('XREVRANGE', OWN, '+', '-', 'COUNT', 1))
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local roll, known, oldest, oldest_at = redis.call('HGETALL', FLEET), 0, nil, nil
local beat, forgot = 0, nil
local too_old = {}
for i = 1, #roll, 2 do
  local its_beat, at = string.match(roll[i + 1], '^(%d+) (%d+) ')
  if roll[i] == '-' then
    forgot = tonumber(roll[i + 1])
    if forgot + tonumber(ARGV[6]) < now then too_old[#too_old + 1] = '-' end
  elseif roll[i] == ARGV[1] then
    beat = tonumber(its_beat or '0')
  elseif not at or tonumber(at) + tonumber(ARGV[6]) < now then
    too_old[#too_old + 1] = roll[i]
  else
    known = known + 1
    if not oldest_at or tonumber(at) < oldest_at then oldest, oldest_at = roll[i], tonumber(at) end
  end
end
-- Everything was read, hence its type proven: from here on it is written.
local words, run, number, is_whole = #ARGV - 7, tonumber(ARGV[3]), tonumber(ARGV[4]), true
if run == 0 then
  run, number = math.max(now, number + 1), 0
  if last then run = math.max(run, tonumber(string.match(last, '^%d+')) + 1) else redis.call('DEL', OWN) end
else
  local here = text_of(run) .. '-'
  if first ~= here .. '1' then is_whole = false
  elseif words > 0 and last == here .. text_of(number + words) then number, words = number + words, 0 -- said twice
  elseif last ~= here .. text_of(number) then is_whole = false end
end
if is_whole then
  for i = 1, words do
    number = number + 1
    redis.call('XADD', OWN, text_of(run) .. '-' .. text_of(number), 'at', text_of(now), 'word', ARGV[7 + i])
  end
  if ARGV[3] == '0' then redis.call('XTRIM', OWN, 'MINID', text_of(run) .. '-1') end
  redis.call('PEXPIRE', OWN, ARGV[6])
end
for _, each in ipairs(too_old) do redis.call('HDEL', FLEET, each) end
if known >= tonumber(ARGV[7]) then
  redis.call('HDEL', FLEET, oldest)
  redis.call('HSET', FLEET, '-', text_of(now))
end
local line = {text_of(beat + 1), text_of(now), text_of(run), text_of(number), ARGV[5], ARGV[2]}
redis.call('HSET', FLEET, ARGV[1], table.concat(line, ' '))
redis.call('PEXPIRE', FLEET, ARGV[6])
return {text_of(now), is_whole and '1' or '0', text_of(run), text_of(number), unpack(redis.call('HGETALL', FLEET))}
