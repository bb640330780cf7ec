<?php
// What an application with phpredis does on every node, its sessions among that, and how it goes on
// when the leader dies.
//
// phpredis opens a connection again that has broken, waiting as its options say; a command that had
// no answer by then is an exception, after which the application asks again. So a write through the
// dying node may count twice. The processes at the other nodes see no error at all.

require __DIR__ . '/common.php';

const WRITES = 150;
const VISITS = 40;

ini_set('session.use_cookies', '0');
ini_set('session.use_only_cookies', '0');
ini_set('session.cache_limiter', '');
ini_set('session.save_handler', 'redis');
ini_set('redis.session.locking_enabled', '1');
ini_set('redis.session.lock_expire', '5');
ini_set('redis.session.lock_retries', '2000');
ini_set('redis.session.lock_wait_time', '5000');

function connect(int $position): Redis
{
    $client = new Redis();
    wait_until('a connection', function () use ($client, $position) {
        try {
            return $client->connect('127.0.0.1', PORTS[$position], 5);
        } catch (RedisException) {
            return false;
        }
    });
    $client->setOption(Redis::OPT_MAX_RETRIES, 20);
    $client->setOption(Redis::OPT_BACKOFF_ALGORITHM, Redis::BACKOFF_ALGORITHM_DECORRELATED_JITTER);
    $client->setOption(Redis::OPT_BACKOFF_BASE, 50);
    $client->setOption(Redis::OPT_BACKOFF_CAP, 500);
    $client->setOption(Redis::OPT_READ_TIMEOUT, 60);
    return $client;
}

function types(Redis $client, Redis $other): void
{
    expect($client->set('text', 'grüße', ['nx', 'ex' => 100]), true);
    expect($client->set('text', 'again', ['nx', 'ex' => 100]), false);
    expect($other->get('text'), 'grüße');
    expect($other->get('none'), false);
    expect($client->incrBy('number', 42), 42);
    expect($client->hMSet('hash', ['f' => '1', 'g' => '2']), true);
    expect($other->hGetAll('hash'), ['f' => '1', 'g' => '2']);
    expect($client->zAdd('sorted', 2.5, 'two', 1, 'one'), 2);
    expect($other->zRange('sorted', 0, -1, true), ['one' => 1.0, 'two' => 2.5]);
    expect($client->rPush('list', 'a', 'b'), 2);
    expect($other->blPop(['list'], 1), ['list', 'a']);
    expect($client->xAdd('stream', '1-1', ['field' => 'value']), '1-1');
    expect($other->xRange('stream', '-', '+'), ['1-1' => ['field' => 'value']]);
    expect($client->geoAdd('geo', 13.361389, 38.115556, 'Palermo'), 1);
    expect($other->geoDist('geo', 'Palermo', 'Palermo'), 0.0);
    expect($client->incr('hash'), false);
    expect(str_starts_with($client->getLastError(), 'WRONGTYPE'), true);
    $client->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_PHP);
    expect($client->set('object', ['a' => [1, 2.5, null]]), true);
    expect($client->get('object'), ['a' => [1, 2.5, null]]);
    $client->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_NONE);
}

function together(Redis $client, Redis $other): void
{
    $pipeline = $client->pipeline();
    foreach (range(0, 499) as $number) {
        $pipeline->set("p$number", $number)->incrBy('sum', $number);
    }
    $replies = $pipeline->exec();
    expect(count($replies), 1000);
    expect($replies[999], intdiv(499 * 500, 2));
    expect($client->multi()->set('a', '1')->get('a')->del('a')->exec(), [true, '1', 1]);
    $client->watch('watched');
    $other->set('watched', 'changed');
    expect($client->multi()->set('watched', 'mine')->exec(), false);
    $client->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
    [$found, $cursor] = [[], null];
    while ($keys = $client->scan($cursor, 'p*', 50)) {
        $found = [...$found, ...$keys];
    }
    expect(count(array_unique($found)), 500);
}

function scripts(Redis $client, Redis $other): void
{
    $lua = "return redis.call('INCRBY', KEYS[1], ARGV[1])";
    expect($client->eval($lua, ['scripted', 40], 1), 40);
    expect($other->evalSha(sha1($lua), ['scripted', 2], 1), 42);
    expect($other->script('exists', sha1($lua)), [1]);
}

/** One visitor of a site: what the pages of a visit have noted is there for the next. */
function session(int $position, string $id): int
{
    if (session_status() === PHP_SESSION_ACTIVE) {
        // One that could not be written.
        session_abort();
    }
    session_save_path('tcp://127.0.0.1:' . PORTS[$position] . '?timeout=2&prefix=SESSION:');
    session_id($id);
    expect(session_start(), true);
    $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
    $count = $_SESSION['count'];
    expect(session_write_close(), true);
    return $count;
}

/** Listens until it is told the end. phpredis itself listens until its connection breaks. */
function listen(int $position): void
{
    $heard = [];
    $client = connect($position);
    try {
        $client->subscribe(['news'], function ($client, $channel, $message) use (&$heard) {
            $heard[] = $message;
            if ($message === 'end') {
                $client->close();
            }
        });
    } catch (RedisException) {
        // It has, then.
    }
    expect($heard, [...array_map(strval(...), range(0, 99)), 'end']);
}

/** Asks until it is answered; whoever is at a node that stays is answered at once. */
function persist(int $position, callable $command): mixed
{
    return wait_until('an answer', function () use ($position, $command) {
        try {
            return $command();
        } catch (RedisException | ErrorException $error) {
            if ($position !== 0) {
                throw $error;
            }
            return null;
        }
    });
}

function write(int $position): void
{
    $client = connect($position);
    foreach (range(1, WRITES) as $number) {
        persist($position, function () use ($client, $position, $number) {
            $added = $client->sAdd('written', "$position:$number");
            // An answer that is no number is that of a node which has just started.
            return $added !== false && $client->incr("written:$position");
        });
    }
    foreach (range(1, VISITS) as $visit) {
        persist($position, fn() => session($position, "own$position"));
        if ($position !== 0) {
            session($position, 'shared');
        }
    }
}

function tour(): void
{
    foreach ([0, 1, 2] as $position) {
        [$client, $other] = [connect($position), connect(($position + 1) % 3)];
        $client->flushAll();
        types($client, $other);
        together($client, $other);
        scripts($client, $other);
        expect(session($position, 'visitor'), 1);
        expect(session(($position + 1) % 3, 'visitor'), 2);
        $listener = new Process('phpredis.php', ['listen', $position]);
        $listeners = fn() => connect($position)->pubsub('numsub', ['news'])['news'];
        wait_until('a listener', fn() => $listeners() > 0);
        foreach ([...range(0, 99), 'end'] as $message) {
            $other->publish('news', $message);
        }
        $listener->finish();
    }
}

function main(): void
{
    tour();
    $checker = connect(1);
    $checker->flushAll();
    $writers = array_map(fn($at) => new Process('phpredis.php', ['write', $at]), [0, 1, 2]);
    wait_until('half of the writes', fn() => $checker->sCard('written') > 3 * WRITES / 2);
    say('kill the leader');
    array_map(fn($writer) => $writer->finish(), $writers);
    expect($checker->sCard('written'), 3 * WRITES);
    foreach ([0, 1, 2] as $writer) {
        $count = (int) $checker->get("written:$writer");
        say("writer $writer: $count for " . WRITES);
        expect($count >= WRITES && $count <= WRITES + ($writer === 0 ? 1 : 0), true);
        $visits = session(1, "own$writer") - 1;
        expect($visits >= VISITS && $visits <= VISITS + ($writer === 0 ? 1 : 0), true);
    }
    expect(session(2, 'shared'), 2 * VISITS + 1);
    say('all passed');
}

match ($argv[7] ?? 'main') {
    'main' => main(),
    'listen' => listen((int) $argv[8]),
    'write' => write((int) $argv[8]),
};
