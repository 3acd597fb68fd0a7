-- ARGV: 1 epoch that is to end, or '' for whichever there is, 2 the new one. Returns 1 if it was put in force, else 0
local now = redis.call('HGET', META, 'epoch')
if not now then return -1 end
if ARGV[1] ~= '' and ARGV[1] ~= now then return 0 end
redis.call('XADD', EPOCHS, '*', 'epoch', ARGV[2])
redis.call('HSET', META, 'epoch', ARGV[2])
return 1
