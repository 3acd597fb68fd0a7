-- ARGV: 1 idempotency key, 2 now in ms, 3 keep keys for ms, 4 attempt: not empty where WAIT follows.
-- Returns {fingerprint, revision, at_ms, digest, body}, or nothing
local known = remembered(ARGV[1], tonumber(ARGV[2]) - tonumber(ARGV[3]))
if known and ARGV[4] ~= '' then redis.call('SET', TOUCHED, ARGV[4]) end
return known
