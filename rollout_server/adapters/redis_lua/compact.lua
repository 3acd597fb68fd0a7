-- Puts a checkpoint in the place of the one that it was folded from.
-- ARGV: 1 revision of that one, 2 revision, 3 digest, 4 body, 5 signature,
--       then (idempotency key, revision) of entries that go: what still answers is kept beside the key.
-- Returns 1 if it was put in force, else 0
if redis.call('HGET', META, 'oldest') ~= ARGV[1] then return 0 end
redis.call('EXISTS', CHECKPOINT)
local kept = {}
for i = 6, #ARGV, 2 do
  local key = key_of(ARGV[i])
  if redis.call('HGET', key, 'revision') == ARGV[i + 1] then
    local line = line_at(tonumber(ARGV[i + 1]))
    if line then kept[#kept + 1] = {key, line} end
  end
end
for _, each in ipairs(kept) do
  redis.call('HSET', each[1], 'entry_at_ms', each[2][2], 'digest', each[2][3], 'body', each[2][4])
end
redis.call('HSET', CHECKPOINT, 'body', ARGV[4], 'signature', ARGV[5])
redis.call('HSET', META, 'oldest', ARGV[2], 'oldest_digest', ARGV[3])
return 1
