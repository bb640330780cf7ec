"""Every command of redis-py that has data to answer with, once: the same from a redis-server and
from a cluster. Usage: redis_py.py REDIS_PORT NODE_PORT..."""

import inspect
import re
import sys

import redis
from redis.commands import core

# Methods that are not called: what they do is no part of a redis-server 7.0, or not of its data.
LEFT_OUT = re.compile(
    r"acl_|ar[a-z]+$|bgrewriteaof|bgsave|blmovem|client_|cluster|command$|command_docs|command_info"
    r"|command_getkeysandflags|command_list|config_|debug_|delex|digest|eval|failover|fcall"
    r"|function_"
    r"|h(p)?expire|h(p)?ttl|hpersist|hgetdel|hgetex|hsetex|himport|hotkeys|increx|info|lastsave"
    r"|latency_|lmovem|lolwut|memory_|migrate|module_|monitor|msetex|psync|quit|readonly|readwrite"
    r"|register_script|replicaof|reset|role|save|script_|sdiffcard|select|shutdown|slaveof|slowlog"
    r"|stralgo|sunioncard|sync|time|unwatch|wait|waitaof|watch|xackdel|xcfgset|xdelex|xnack|auth"
    r"|hello|scan_iter|hscan_iter|sscan_iter|zscan_iter|randomkey|object|dump|restore|pubsub_"
    r"|publish|spublish"
)

TOUR = """
set('s', 'text'); get('s'); append('s', ' more'); strlen('s'); getrange('s', 0, 3)
substr('s', 1, 2); setrange('s', 2, 'XX'); getset('s', 'new'); getdel('s'); get('s')
set('s', 'v', ex=1000); set('s', 'w', nx=True); set('s', 'w', xx=True, get=True, keepttl=True)
getex('s', exat=4102444800); expiretime('s'); pexpiretime('s'); persist('s'); ttl('s'); pttl('s')
setex('s', 1000, 'v'); psetex('s', 1000000, 'v'); setnx('s', 'w'); setnx('s2', 'w')
mset({'a': '1', 'b': '2'}); msetnx({'a': '1', 'c': '2'}); mget('a', 'b', 'none'); lcs('s', 's2')
incr('n'); incrby('n', 5); decr('n'); decrby('n', 3); incrbyfloat('n', 1.5)
expire('a', 1000); pexpire('a', 1000000, nx=True); expireat('a', 4102444800)
pexpireat('a', 4102444800000)
copy('a', 'a2'); exists('a', 'a2', 'none'); rename('a2', 'a3'); renamenx('a3', 'b')
touch('a', 'b')
type('a'); unlink('a3'); delete('b', 'none'); keys('a*'); move('s2', 1); swapdb(1, 2); dbsize()
scan(0, match='a*'); echo('hello'); ping(); command_count() > 200
command_getkeys('SET', 'a', 'b')
setbit('bits', 7, 1); getbit('bits', 7); bitcount('bits'); bitpos('bits', 1)
bitop('NOT', 'bits2', 'bits')
bitfield('bits').set('u8', 0, 255).get('u4', 2).execute(); bitfield_ro('bits', 'u8', 0)
hset('h', mapping={'f': '1', 'g': 'x'}); hget('h', 'f'); hgetall('h'); hmget('h', 'f', 'none')
hincrby('h', 'f', 3); hincrbyfloat('h', 'f', 0.25); hkeys('h'); hvals('h'); hlen('h')
hexists('h', 'g')
hsetnx('h', 'i', '1'); hstrlen('h', 'g'); hdel('h', 'g', 'none'); hscan('h')
hmset('h', {'j': '2'})
len(hrandfield('h', 2)); hrandfield('none')
rpush('l', 'a', 'b', 'c'); lpush('l', 'z'); lpushx('l', 'y'); rpushx('l', 'd'); lrange('l', 0, -1)
lindex('l', 1); linsert('l', 'BEFORE', 'b', 'aa'); llen('l'); lset('l', 0, 'Y')
lrem('l', 1, 'aa')
lpos('l', 'b'); lpop('l'); rpop('l', 2); ltrim('l', 0, 1); lmove('l', 'l2', 'LEFT', 'RIGHT')
rpoplpush('l', 'l2'); lmpop(2, 'l', 'l2', direction='LEFT', count=2)
rpush('l', 'a', 'b', 'c', 'd')
blpop('l', 1); brpop(['none', 'l'], 1); blmove('l', 'l2', 1); brpoplpush('l', 'l2', 1)
blmpop(1, 1, 'l2', direction='RIGHT'); blpop('none', 0.01); sort('l2', alpha=True)
sort_ro('l2', alpha=True)
sadd('t', 'a', 'b', '1'); scard('t'); sismember('t', 'a'); smismember('t', ['a', 'z'])
smembers('t')
sadd('u', 'b', 'c'); sdiff('t', 'u'); sdiffstore('v', 't', 'u'); sinter('t', 'u')
sintercard(2, ['t', 'u'])
sinterstore('v', 't', 'u'); sunion('t', 'u'); sunionstore('v', 't', 'u'); smove('t', 'u', 'a')
srem('t', '1')
sorted(sscan('v')[1]); len(srandmember('v', 2)); len(spop('v', 1)); scard('v')
zadd('z', {'a': 1, 'b': 2.5, 'c': 3}); zadd('z', {'a': 4}, gt=True, ch=True); zcard('z')
zcount('z', 1, 3)
zincrby('z', 1, 'a'); zscore('z', 'a'); zmscore('z', ['a', 'none']); zrank('z', 'b')
zrevrank('z', 'b')
zrange('z', 0, -1, withscores=True); zrevrange('z', 0, 1)
zrangebyscore('z', 0, 9, withscores=True)
zrevrangebyscore('z', 9, 0); zrangestore('y', 'z', 0, 1); zadd('x', {'a': 0, 'b': 0, 'c': 0})
zrangebylex('x', '-', '[b'); zrevrangebylex('x', '[b', '-'); zlexcount('x', '-', '+')
zremrangebylex('x', '[c', '[c'); zunion(['z', 'x'], withscores=True); zunionstore('w', ['z', 'x'])
zinter(['z', 'x'], withscores=True); zinterstore('w', {'z': 2, 'x': 1}); zintercard(2, ['z', 'x'])
zdiff(['z', 'x'], withscores=True); zdiffstore('w', ['z', 'x']); zscan('z')
len(zrandmember('z', 2))
zmpop(1, ['z'], min=True); zpopmin('z'); zpopmax('z'); zadd('z', {'a': 1, 'b': 2, 'c': 3, 'd': 4})
bzpopmin('z', 1); bzpopmax('z', 1); bzmpop(1, 1, ['z'], max=True); zrem('z', 'none')
zremrangebyrank('z', 0, 0); zremrangebyscore('z', 0, 9)
pfadd('p', 'a', 'b'); pfadd('q', 'c'); pfcount('p', 'q'); pfmerge('p', 'q'); pfcount('p')
geoadd('g', [13.36, 38.11, 'palermo', 15.08, 37.5, 'catania'])
geodist('g', 'palermo', 'catania', 'km')
geohash('g', 'palermo', 'none'); geopos('g', 'palermo', 'none')
geosearchstore('g2', 'g', member='palermo', radius=500, unit='km')
geosearch('g', longitude=15, latitude=37, radius=200, unit='km', withdist=True, sort='ASC')
georadius('g', 15, 37, 200, unit='km', sort='ASC')
georadiusbymember('g', 'palermo', 200, unit='km')
xadd('st', {'f': 'v'}, id='1-1'); xadd('st', {'f': 'w', 'g': 'x'}, id='2-1'); xlen('st')
xrange('st'); xrevrange('st')
xread({'st': '1-1'}); xgroup_create('st', 'grp', '0'); xgroup_createconsumer('st', 'grp', 'c1')
xreadgroup('grp', 'c1', {'st': '>'}, count=1); xpending('st', 'grp')['pending']
len(xpending_range('st', 'grp', '-', '+', 5))
xclaim('st', 'grp', 'c2', 0, ['1-1']); xautoclaim('st', 'grp', 'c1', 0); xack('st', 'grp', '1-1')
len(xinfo_groups('st')); xinfo_stream('st')['length']; len(xinfo_consumers('st', 'grp'))
xgroup_setid('st', 'grp', '0')
xgroup_delconsumer('st', 'grp', 'c1'); xgroup_destroy('st', 'grp'); xdel('st', '1-1')
xtrim('st', maxlen=0)
flushdb(); dbsize(); flushall()
"""


def calls():
    for line in TOUR.strip().splitlines():
        yield from line.split("; ")


def commands():
    for methods in inspect.getmro(core.CoreCommands):
        if methods.__module__ == core.__name__:
            yield from (name for name, value in vars(methods).items()
                        if not name.startswith("_") and callable(value))


class Methods(dict):
    """The names of a client's methods, as variables."""

    def __init__(self, client):
        super().__init__()
        self.client = client

    def __missing__(self, name):
        return getattr(self.client, name)


def answer(client, call):
    names = Methods(client)
    names.update(len=len, sorted=sorted)
    try:
        return eval(call, {"__builtins__": {}}, names)  # the text above, nobody else's
    except redis.ResponseError as error:
        return f"error: {error}"


def in_order(value):
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, dict):
        return sorted((key, in_order(each)) for key, each in value.items())
    return value


def main():
    ports = [int(port) for port in sys.argv[1:]]
    called = set(re.findall(r"([a-z_0-9]+)\(", TOUR))
    missed = [name for name in commands() if name not in called and not LEFT_OUT.match(name)]
    assert not missed, f"never called: {sorted(set(missed))}"
    for protocol in (2, 3):
        options = {"decode_responses": True, "protocol": protocol, "socket_timeout": 30}
        server, *nodes = [redis.Redis("127.0.0.1", port, **options) for port in ports]
        server.flushall()
        nodes[0].flushall()
        for number, call in enumerate(calls()):
            wanted, got = answer(server, call), answer(nodes[number % len(nodes)], call)
            same = in_order(wanted) == in_order(got)
            assert same, f"{call} (RESP{protocol}): redis {wanted!r}, mayfly {got!r}"
    print(f"redis-py: {len(called)} methods, the same from both")


main()
