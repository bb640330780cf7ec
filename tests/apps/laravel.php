<?php
// Laravel's cache, locks, limiters and queue, with both of its clients, phpredis and Predis; the
// leader dies while workers at every node take jobs under a lock.
//
// A worker of Laravel reserves a job with a script, in a sorted set by the time at which it is
// given out again: what a worker had in its hands when its node died runs again. A connection that
// breaks is an exception, after which the application, or its service manager, goes on.

require __DIR__ . '/common.php';
foreach (['Support', 'Redis', 'Cache', 'Queue', 'Container'] as $part) {
    require_once "Illuminate/$part/autoload.php";
}

use Illuminate\Cache\CacheManager;
use Illuminate\Cache\RateLimiter;
use Illuminate\Cache\RedisStore;
use Illuminate\Cache\Repository;
use Illuminate\Container\Container;
use Illuminate\Contracts\Cache\LockTimeoutException;
use Illuminate\Queue\RedisQueue;
use Illuminate\Redis\RedisManager;

const JOBS = 90;
const DELAYED = 10;

// After so many seconds a job may be given out again that a worker has reserved.
const RESERVED = 6;

// How long a lock lasts whose owner does not know of it, since the answer was lost with its node.
// The others wait that long with jobs in their hands.
const LOCKED = 2;

function redis(string $client, int $position): RedisManager
{
    $address = ['host' => '127.0.0.1', 'port' => PORTS[$position], 'database' => 0];
    $address += ['read_timeout' => 60, 'read_write_timeout' => 60];
    $settings = ['default' => $address, 'options' => ['prefix' => 'app_']];
    return new RedisManager(new Container(), $client, $settings);
}

function cache(RedisManager $redis): Repository
{
    return new Repository(new RedisStore($redis, 'cache:'));
}

function queue(RedisManager $redis): RedisQueue
{
    $queue = new RedisQueue($redis, 'default', 'default', RESERVED);
    $queue->setContainer(new Container());
    return $queue;
}

function caches(Repository $cache, Repository $other): void
{
    expect($cache->put('text', 'grüße', 100), true);
    expect($other->get('text'), 'grüße');
    expect($other->add('text', 'again', 100), false);
    expect($other->remember('made', 100, fn() => ['a' => 1]), ['a' => 1]);
    expect($cache->remember('made', 100, fn() => ['b' => 2]), ['a' => 1]);
    expect($cache->putMany(['x' => 1, 'y' => 2], 100), true);
    expect($other->many(['x', 'y', 'z']), ['x' => '1', 'y' => '2', 'z' => null]);
    expect($other->increment('x', 5), 6);
    expect($cache->pull('y'), '2');
    $cache->tags(['people', 'artists'])->put('john', 'lennon', 100);
    expect($other->tags(['people', 'artists'])->get('john'), 'lennon');
    $other->tags('people')->flush();
    expect($cache->tags(['people', 'artists'])->get('john'), null);
    $limiter = new RateLimiter($cache);
    $allowed = fn() => $limiter->attempt('login', 3, fn() => true, 100);
    expect([$allowed(), $allowed(), $allowed(), $allowed()], [true, true, true, false]);
}

function locks(Repository $cache, Repository $other): void
{
    $mine = $cache->lock('job', 100);
    expect($mine->get(), true);
    expect($other->lock('job', 100)->get(), false);
    // Another's release changes nothing; it is a script that compares the owner.
    expect($other->lock('job', 100)->release(), false);
    expect($other->restoreLock('job', $mine->owner())->release(), true);
    expect($other->lock('job', 100)->get(fn() => 'done'), 'done');
    $taken = $cache->lock('job', 100);
    $taken->get();
    try {
        $other->lock('job', 100)->block(0);
        throw new Exception('a lock was taken twice');
    } catch (LockTimeoutException) {
        $taken->release();
    }
}

function limiters(RedisManager $redis): void
{
    $run = fn($limiter) => $limiter->block(0)->then(fn() => 'ran', fn() => 'refused');
    $throttle = fn() => $run($redis->throttle('throttled')->allow(2)->every(60));
    expect([$throttle(), $throttle(), $throttle()], ['ran', 'ran', 'refused']);
    $inner = null;
    $funnel = fn() => $redis->funnel('funnel')->limit(1)->releaseAfter(60)->block(0);
    $outer = $funnel()->then(function () use ($funnel, &$inner) {
        $inner = $funnel()->then(fn() => 'ran', fn() => 'refused');
        return 'ran';
    });
    expect([$outer, $inner, $run($funnel())], ['ran', 'refused', 'ran']);
}

/** Jobs need no class here: a worker reads what they say. */
function push(RedisQueue $queue, int $number, int $delay = 0): void
{
    $payload = json_encode(['id' => "j$number", 'attempts' => 0, 'number' => $number]);
    if ($delay === 0) {
        $queue->pushRaw($payload);
    } else {
        // What `later` does with a payload of its own making.
        $method = new ReflectionMethod($queue, 'laterRaw');
        $method->invoke($queue, $delay, $payload);
    }
}

/** What a worker does until it is told to end; at the dying node it starts over when it must. */
function work(string $client, int $position): void
{
    while (true) {
        try {
            $redis = redis($client, $position);
            [$queue, $connection] = [queue($redis), $redis->connection()];
            while (!$connection->get('end')) {
                $job = $queue->pop();
                if ($job === null) {
                    usleep(20_000);
                    continue;
                }
                $number = $job->payload()['number'];
                $lock = cache($redis)->lock('counting', LOCKED);
                $lock->block(60, function () use ($connection, $number) {
                    // Two at once would lose a count; what has been counted is in one transaction.
                    $count = (int) $connection->get('count');
                    $connection->transaction(function ($transaction) use ($count, $number) {
                        $transaction->set('count', $count + 1);
                        $transaction->hIncrBy('runs', $number, 1);
                    });
                });
                $job->delete();
            }
            return;
        } catch (RedisException | Predis\PredisException | ErrorException $error) {
            if ($position !== 0) {
                throw $error;
            }
            usleep(50_000);
        }
    }
}

function main(): void
{
    foreach (['phpredis', 'predis'] as $client) {
        foreach ([0, 1, 2] as $position) {
            [$redis, $other] = [redis($client, $position), redis($client, ($position + 1) % 3)];
            $redis->connection()->flushdb();
            caches(cache($redis), cache($other));
            locks(cache($redis), cache($other));
            limiters($redis);
        }
    }
    $redis = redis('phpredis', 1);
    [$queue, $connection] = [queue($redis), $redis->connection()];
    $connection->flushdb();
    $places = [['phpredis', 0], ['predis', 0], ['phpredis', 1], ['predis', 2]];
    $workers = array_map(fn($place) => new Process('laravel.php', ['work', ...$place]), $places);
    array_map(fn($number) => push($queue, $number), range(1, JOBS));
    array_map(fn($number) => push($queue, JOBS + $number, 1), range(1, DELAYED));
    wait_until('a third of the jobs', fn() => $connection->hlen('runs') > JOBS / 3);
    say('kill the leader');
    wait_until('all jobs', fn() => $connection->hlen('runs') === JOBS + DELAYED
        && $queue->size() === 0);
    $connection->set('end', '1');
    array_map(fn($worker) => $worker->finish(), $workers);
    $runs = array_map(intval(...), $connection->hgetall('runs'));
    $twice = count(array_filter($runs, fn($count) => $count > 1));
    say(count($runs) . " jobs, $twice of them more than once");
    // No count was lost: each worker had read what the one before it wrote.
    expect((int) $connection->get('count'), array_sum($runs));
    // A worker has one job in its hands.
    expect($twice <= count($workers), true);
    say('all passed');
}

match ($argv[7] ?? 'main') {
    'main' => main(),
    'work' => work($argv[8], (int) $argv[9]),
};
