-- ARGV: 1 serial that the caller has, or ''. Returns {serial, body}, {serial} where the caller has it, or {} for none
local serial = redis.call('HGET', NOTES, 'serial')
if not serial then return {} end
if serial == ARGV[1] then return {serial} end
return {serial, redis.call('HGET', NOTES, 'body')}
