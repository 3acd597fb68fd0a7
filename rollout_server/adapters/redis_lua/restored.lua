-- The last of a restore: the environment is there, and may be served. May run twice.
-- ARGV: 1 epoch, then (field, value) pairs of the meta
redis.call('XADD', EPOCHS, '*', 'epoch', ARGV[1])
redis.call('HSET', META, 'epoch', unpack(ARGV))
redis.call('DEL', RESTORING)
return {}
