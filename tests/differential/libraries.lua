-- What FUNCTION LOAD is sent: a library behind each line of three dashes, its name behind them, or
-- `none` where it is no library. None of them keeps anything in variables of its own, since a
-- library of Redis does so between calls and one of a cluster does not.
--- lib1
#!lua name=lib1
redis.register_function('plain', function(keys, args) return {keys, args, #keys, #args} end)
redis.register_function('set', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
redis.register_function{
    function_name = 'get', callback = function(keys) return redis.call('GET', keys[1]) end,
    flags = {'no-writes'}, description = 'reads a string'
}
--- lib1
#!lua name=lib1
redis.register_function('plain', function() return 'of another version' end)
redis.register_function{
    function_name = 'get', callback = function(keys) return redis.call('STRLEN', keys[1]) end,
    flags = {'no-writes', 'allow-stale', 'no-cluster'}
}
--- lib2
#!lua name=lib2
local function push(keys, args)
    for _, each in ipairs(args) do redis.call('RPUSH', keys[1], each) end
    return redis.call('LRANGE', keys[1], 0, -1)
end
redis.register_function('push', push)
redis.register_function{function_name = 'fails', callback = function(keys)
    redis.call('SET', keys[1], 'before')
    error('left in the middle')
end, flags = {'allow-oom'}}
redis.register_function('fails_by_table', function() error({err = 'MINE in a table'}) end)
--- lib3
#!lua name=lib3
redis.register_function('plain', function() return 'taken' end)
--- lib3
#!lua name=lib3
redis.register_function{function_name = 'writes', callback = function(keys, args)
    return redis.pcall('SET', keys[1], args[1])
end, flags = {'no-writes'}}
redis.register_function('types', function(keys, args)
    return {1, 2.9, 'a', true, {ok = 'fine'}, {err = 'WRONG thing'}, {}, false, 3}
end)
redis.register_function('typed', function(keys, args)
    redis.setresp(3)
    return {double = 1.25, map = {a = 1}}
end)
--- lib3
#!lua name=lib3
redis.register_function('encode', function(keys, args)
    return {cjson.encode(args), cmsgpack.pack(args), struct.pack('>I2s', 7, args[1] or ''), bit.bor(1, 6)}
end)
redis.register_function('calls', function(keys, args) return redis.call(unpack(args)) end)
redis.register_function('globals', function() return KEYS end)
redis.register_function('defines', function() nowhere = 1 end)
redis.register_function('registers', function()
    redis.register_function('late', function() end)
end)
--- lib4
#!lua name=lib4
redis.register_function('version', function() return redis.REDIS_VERSION_NUM > 1 end)
redis.register_function('none', function() end)
--- lib4
#!lua name=lib4
--- lib4
#!lua name=lib4
redis.call('GET', 's1')
--- lib4
#!lua name=lib4
redis.register_function('none', function() end)
redis.register_function('none', function() end)
--- lib4
#!lua name=lib4
redis.register_function('bad name', function() end)
--- lib4
#!lua name=lib4
redis.register_function('none')
--- lib4
#!lua name=lib4
redis.register_function('none', 'no function')
--- lib4
#!lua name=lib4
redis.register_function(1, 2, 3)
--- lib4
#!lua name=lib4
redis.register_function{function_name = 'none', callback = function() end, flags = {'nonsense'}}
--- lib4
#!lua name=lib4
redis.register_function{function_name = 'none', callback = function() end, flags = 'no-writes'}
--- lib4
#!lua name=lib4
redis.register_function{function_name = 'none', callback = function() end, other = 1}
--- lib4
#!lua name=lib4
redis.register_function{callback = function() end}
--- lib4
#!lua name=lib4
redis.register_function{function_name = 'none'}
--- lib4
#!lua name=lib4
error('at once')
--- lib4
#!lua name=lib4
error({err = 'MINE at once'})
--- lib4
#!lua name=lib4
nowhere = 1
--- lib4
#!lua name=lib4
return nowhere
--- lib4
#!lua name=lib4
this is no library
--- lib4
#!lua name=lib4
redis.log(redis.LOG_DEBUG, 'x')
redis.setresp(3)
--- none
#!lua name=bad-name
redis.register_function('none', function() end)
--- none
#!lua name=
redis.register_function('none', function() end)
--- none
#!lua
redis.register_function('none', function() end)
--- none
#!lua name=lib4 name=lib4
redis.register_function('none', function() end)
--- none
#!lua name=lib4 other=1
redis.register_function('none', function() end)
--- none
#!js name=lib4
redis.register_function('none', function() end)
--- none
redis.register_function('none', function() end)
--- none
#!lua name=lib4
