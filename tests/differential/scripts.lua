-- What EVAL is sent: a script behind each line of three dashes. Those behind `--- reads` write
-- nothing. None of them answers what Redis leaves open: orders of sets and hashes, clocks, chance.
--- writes
return redis.call('SET', KEYS[1], ARGV[1])
--- writes
return redis.call('INCRBY', KEYS[1], ARGV[1])
--- writes
return redis.pcall('INCRBYFLOAT', KEYS[1], ARGV[1])
--- writes
redis.call('SET', 's1', ARGV[1])
return redis.call('APPEND', 's1', ARGV[2])
--- writes
local old = redis.call('GET', 's2')
redis.call('SET', 's2', (old or '') .. 'x')
if old and #old > 40 then redis.call('DEL', 's2') end
return old
--- writes
return {redis.call('RPUSH', 'l1', unpack(ARGV)), redis.call('LPOP', 'l1'), redis.call('LLEN', 'l1')}
--- writes
local moved = {}
while #moved < 3 do
    local one = redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
    if not one then break end
    moved[#moved + 1] = one
end
return moved
--- writes
for at = 1, 10 do
    redis.call('ZADD', 'z1', at / 4, 'm' .. at)
end
return redis.call('ZRANGE', 'z1', 0, -1, 'WITHSCORES')
--- writes
redis.setresp(3)
redis.call('ZADD', 'z2', 1.5, 'm1', 2, 'm2')
return redis.call('ZSCORE', 'z2', 'm1')
--- writes
return redis.call('ZINCRBY', KEYS[1], ARGV[1], 'm1')
--- writes
return redis.call('HSET', 'h1', ARGV[1], ARGV[2])
--- writes
redis.call('HINCRBY', 'h2', 'f1', 1)
return redis.call('HMGET', 'h2', 'f1', 'f2', 'none')
--- writes
return redis.call('HINCRBYFLOAT', 'h3', 'f1', ARGV[1])
--- writes
return redis.call('SADD', 't1', unpack(ARGV))
--- writes
local members = redis.call('SMEMBERS', 't1')
table.sort(members)
return members
--- writes
return redis.call('SMOVE', 't1', 't2', ARGV[1])
--- writes
return redis.call('SUNIONSTORE', 't3', KEYS[1], KEYS[2])
--- writes
return redis.call('XADD', 'x1', 'NOMKSTREAM', '1000000-' .. redis.call('XLEN', 'x1'), 'f1', ARGV[1])
--- writes
redis.pcall('XADD', 'x2', '40-1', 'f1', 'v1')
return redis.call('XRANGE', 'x2', '-', '+')
--- writes
return redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 2)
--- writes
return redis.call('SETBIT', 'b1', 7, 1) + redis.call('BITCOUNT', 'b1')
--- writes
return redis.call('BITFIELD', 'b2', 'INCRBY', 'u8', 0, 100, 'OVERFLOW', 'FAIL', 'INCRBY', 'u8', 0, 100)
--- writes
return redis.call('PFADD', 'p1', unpack(ARGV))
--- writes
return redis.call('GEOADD', 'g1', '13.36', '38.11', 'place1', '15.087', '37.5', 'place2')
--- writes
return redis.call('RENAME', KEYS[1], KEYS[2])
--- writes
return redis.call('COPY', KEYS[1], KEYS[2], 'REPLACE')
--- writes
return redis.call('DEL', unpack(KEYS))
--- writes
return {redis.call('EXPIRE', KEYS[1], 1000000), redis.call('TTL', KEYS[1]) > 0}
--- writes
return {redis.call('PERSIST', KEYS[1]), redis.call('PTTL', KEYS[1])}
--- writes
return redis.call('EXPIREAT', KEYS[1], 1)
--- writes
redis.call('SELECT', 2)
return redis.call('SET', 's1', ARGV[1])
--- writes
return redis.call('SORT', 'l1', 'ALPHA', 'STORE', 'l2')
--- writes
redis.call('SET', 's3', 'before')
redis.call('LPUSH', 's3', 'fails')
redis.call('SET', 's3', 'never')
--- writes
redis.call('SET', 's3', 'before')
error('left in the middle')
--- writes
redis.call('SET', 's3', 'before')
error({err = 'MINE left in the middle', other = 1})
--- writes
local ok, err = pcall(redis.call, 'LPUSH', 's1', 'x')
return {tostring(ok), type(err), type(err) == 'table' and err.err or err}
--- writes
local reply = redis.pcall(ARGV[1], KEYS[1], ARGV[2])
if type(reply) == 'table' and reply.err then return {'failed', reply.err} end
return 'done'
--- writes
redis.call('PUBLISH', 'news1', ARGV[1])
return 'told'
--- writes
return {redis.call('GETSET', 's4', ARGV[1]), redis.call('SETNX', 's4', 'x'), redis.call('STRLEN', 's4')}
--- writes
return redis.call('SET', 's4', ARGV[1], 'GET', 'KEEPTTL')
--- writes
return redis.call('MSET', 's1', 'a', 's2', 'b')
--- writes
return redis.call('LINSERT', 'l3', 'BEFORE', ARGV[1], ARGV[2])
--- writes
return {redis.call('ZADD', 'z3', 'GT', 'CH', '1', 'm1'), redis.call('ZPOPMIN', 'z3', 2)}
--- writes
redis.setresp(3)
return redis.call('ZPOPMAX', 'z1', 2)
--- writes
return redis.call('ZUNIONSTORE', 'z4', 2, KEYS[1], KEYS[2], 'WEIGHTS', 1, 2)
--- writes
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
--- writes
local current = redis.call('INCR', 'n1')
if current > 50 then redis.call('SET', 'n1', 0) end
return redis.status_reply('AT ' .. current)
--- writes
#!lua flags=no-writes
return redis.call('SET', KEYS[1], 'x')
--- writes
#!lua
return redis.call('LPUSH', 'l4', 'x', 2, 3.5)
--- writes
#!lua flags=nonsense
return 1
--- writes
#!js
return 1
--- writes
redis.call('SPUBLISH', 'news2', 'x')
return 'told'
--- writes
return redis.call('FLUSHDB')
--- writes
local all = {}
for at, key in ipairs(KEYS) do all[at] = redis.call('TYPE', key) end
return all
--- writes
redis.breakpoint()
redis.debug('x')
return redis.log(redis.LOG_WARNING, 'x')
--- reads
return redis.call('GET', KEYS[1])
--- reads
return redis.call('SET', KEYS[1], 'x')
--- reads
return redis.pcall('DEL', KEYS[1])
--- reads
return {KEYS, ARGV, #KEYS, #ARGV}
--- reads
return redis.call(unpack(ARGV))
--- reads
return {1, 2.9, -2.9, 'a', true, {ok = 'fine'}, {err = 'WRONG thing'}, {}, {{}}, false, nil, 3}
--- reads
redis.setresp(3)
return {true, false, {double = 1.25}, {map = {a = 1}}, {set = {a = true}}, {big_number = '12'}}
--- reads
redis.setresp(3)
return {{verbatim_string = {format = 'txt', string = ARGV[1]}}, redis.call('GET', 'none')}
--- reads
redis.setresp(4)
--- reads
return tonumber(ARGV[1]) * 2
--- reads
return tostring(tonumber(ARGV[1]))
--- reads
return string.format('%5.2f|%d|%s|%q|%x', 1.005, 42, ARGV[1], ARGV[1], 255)
--- reads
return cjson.encode({[ARGV[1]] = {1, 2.5, true, cjson.null}})
--- reads
return cjson.encode({ARGV[1], 1e15, 0.1, -0, 1 / 3, {}})
--- reads
return cjson.decode('{"a":[1,2,{"b":null}]}').a[tonumber(ARGV[1])]
--- reads
local ok, value = pcall(cjson.decode, ARGV[1])
return {ok, type(value), not ok and value or 'fine'}
--- reads
return cjson.decode('[1, -2.5e1, "x\\u00e9\\n", true, false, null, []]')
--- reads
return struct.pack('>I2<i4Bdsz', 513, -2, 7, 1.5, 'ab', 'cd')
--- reads
return {struct.unpack('>I2<i4', ARGV[1])}
--- reads
return {struct.size('>I2i8'), struct.unpack('>I2', '\1\2'), struct.pack('bH', 300, 70000)}
--- reads
return {bit.band(12, 10), bit.bor(12, 3), bit.bxor(5, 1), bit.bnot(0), bit.lshift(1, 31), bit.tohex(255, 4)}
--- reads
return {bit.rshift(-1, 28), bit.arshift(-16, 2), bit.rol(1, 33), bit.ror(1, 1), bit.bswap(1), bit.tobit(2 ^ 32 + 5)}
--- reads
return bit.band(ARGV[1], 255)
--- reads
return cmsgpack.pack({1, -1, 300, 1.5, 'x', true, {}})
--- reads
return cmsgpack.unpack(cmsgpack.pack(ARGV[1]))
--- reads
local ok, value = pcall(cmsgpack.unpack, ARGV[1])
return {ok, type(value)}
--- reads
return redis.sha1hex(ARGV[1])
--- reads
return redis.error_reply(ARGV[1])
--- reads
return redis.status_reply('FINE')
--- reads
return nowhere
--- reads
nowhere = 1
--- reads
return KEYS[1] .. ARGV[1]
--- reads
local t = {}
return t.a.b
--- reads
return (function(...) return select('#', ...) end)(unpack(ARGV))
--- reads
this is no script
--- reads
local parts = {}
for word in string.gmatch(ARGV[1], '%w+') do parts[#parts + 1] = string.upper(word) end
table.sort(parts, function(a, b) return a > b end)
return parts
--- reads
return {math.floor(-1.5), math.max(1, 5, 3), math.fmod(-7, 3), 7 % -3, 2 ^ 10, math.huge > 1}
--- reads
return {tostring(1e15), tostring(2 ^ 53), tostring(0.1), tostring(-1 / 0), tostring(100), 1e300}
--- reads
return {string.rep('ab', 3, ','), ('x'):byte(), string.char(0, 255), ('abc'):sub(-2), #ARGV[1]}
--- reads
return {string.find(ARGV[1], 'v(%d)'), (string.gsub(ARGV[1], '%d', '<%0>'))}
--- reads
return redis.call('LRANGE', KEYS[1], 0, -1)
--- reads
redis.setresp(3)
return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
--- reads
return redis.call('ZRANGEBYSCORE', 'z1', '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, 3)
--- reads
redis.setresp(3)
return redis.call('HGET', 'h1', 'f1')
--- reads
return {redis.call('EXISTS', unpack(KEYS)), redis.call('TYPE', KEYS[1]).ok}
--- reads
return redis.call('MGET', unpack(KEYS))
--- reads
return redis.call('XRANGE', KEYS[1], '-', '+')
--- reads
return redis.call('XINFO', 'GROUPS', 'none')
--- reads
return redis.call('GEOPOS', 'g1', 'place1', 'none')
--- reads
return redis.call('GEOSEARCH', 'g1', 'FROMLONLAT', 15, 37, 'BYRADIUS', 400, 'km', 'ASC', 'WITHDIST')
--- reads
return redis.call('SISMEMBER', 't1', ARGV[1]) == 1
--- reads
return redis.call('GETRANGE', KEYS[1], 0, 3)
--- reads
return redis.call('NOSUCH', KEYS[1])
--- reads
return redis.call('GET')
--- reads
return redis.call()
--- reads
return redis.call('GET', {})
--- reads
return redis.call('MULTI')
--- reads
return redis.call('SUBSCRIBE', 'news1')
--- reads
return redis.call('EVAL', 'return 1', 0)
--- reads
#!lua flags=no-writes
return redis.call('GET', KEYS[1])
--- reads
#!lua flags=no-writes,allow-stale
return 'all of it'
--- reads
#!lua name=x
return 1
--- reads
#!lua
return 1
