// A lock as Redisson builds it: a hash of its owner with a time to live, taken, given back and kept
// alive by scripts, whose end is published so that those who wait need not ask again and again.
//
// Every taker gets a number that grows, in the script that takes the lock. What the lock protects
// refuses numbers that are not larger than the last one, since no lock with a time to live can keep
// an owner out who was held up for longer than that. Such a one starts over.

import {
  assert,
  killTheLeader,
  load,
  ports,
  range,
  run,
  say,
  sleep,
  waitUntil,
} from "./common.mjs";

const { Redis } = load("ioredis");

const OWNERS = 6;
const TURNS = 25;
const LEASE_MS = 4000;

const scripts = {
  // Nothing if it is taken now, else for how many milliseconds it is another's.
  take: `
    if redis.call('exists', KEYS[1]) == 0 then
      redis.call('incr', KEYS[2])
    elseif redis.call('hexists', KEYS[1], ARGV[2]) == 0 then
      return {redis.call('pttl', KEYS[1]), false}
    end
    redis.call('hincrby', KEYS[1], ARGV[2], 1)
    redis.call('pexpire', KEYS[1], ARGV[1])
    return {false, redis.call('get', KEYS[2])}`,
  // Nothing if it is not this owner's, 0 if it is still, 1 if it is free now.
  give: `
    if redis.call('hexists', KEYS[1], ARGV[2]) == 0 then return nil end
    if redis.call('hincrby', KEYS[1], ARGV[2], -1) > 0 then
      redis.call('pexpire', KEYS[1], ARGV[1])
      return 0
    end
    redis.call('del', KEYS[1])
    redis.call('publish', KEYS[2], 'free')
    return 1`,
  keep: `
    if redis.call('hexists', KEYS[1], ARGV[2]) == 0 then return 0 end
    redis.call('pexpire', KEYS[1], ARGV[1])
    return 1`,
  // What the lock protects: 1 if it was written.
  write: `
    if tonumber(ARGV[1]) <= tonumber(redis.call('hget', KEYS[1], 'fence') or '0') then return 0 end
    redis.call('hset', KEYS[1], 'fence', ARGV[1], 'count', ARGV[2])
    redis.call('rpush', KEYS[2], ARGV[3])
    return 1`,
};
const keyCounts = { take: 2, give: 2, keep: 1, write: 2 };

class Owner {
  constructor(number) {
    this.name = `owner:${number}`;
    // Two owners at each node; the first two are at the one that dies.
    const port = ports[Math.floor(number / 2)];
    this.client = new Redis(port, "127.0.0.1", { maxRetriesPerRequest: null });
    this.listener = new Redis(port, "127.0.0.1", { maxRetriesPerRequest: null });
    for (const connection of [this.client, this.listener]) connection.on("error", () => {});
    for (const [name, lua] of Object.entries(scripts)) {
      this.client.defineCommand(name, { numberOfKeys: keyCounts[name], lua });
    }
    this.wake = () => {};
    this.woken = 0;
    this.listener.on("message", () => this.wake());
  }

  /** Returns the number of this taking. */
  async take() {
    for (;;) {
      const free = new Promise((resolve) => {
        this.wake = () => {
          this.woken += 1;
          resolve();
        };
      });
      const [remaining, fence] = await this.client.take("lock", "fences", LEASE_MS, this.name);
      if (fence !== null) return Number(fence);
      await Promise.race([free, sleep(Math.max(remaining, 1))]);
    }
  }

  /** All that it does with the lock: whether it was let. */
  async turn(number) {
    const fence = await this.take();
    const keeper = setInterval(
      () => this.client.keep("lock", LEASE_MS, this.name).catch(() => {}),
      LEASE_MS / 4,
    );
    try {
      // Read, think, write: two at once would lose a count.
      const count = Number(await this.client.hget("protected", "count"));
      await sleep(1);
      const job = `${this.name} ${number}`;
      return await this.client.write("protected", "trace", fence, count + 1, job);
    } finally {
      clearInterval(keeper);
      // More than once if a broken connection made the client take it twice.
      while ((await this.client.give("lock", "released", LEASE_MS, this.name)) === 0);
    }
  }
}

run(async () => {
  const owners = range(OWNERS).map((number) => new Owner(number));
  const checker = new Redis(ports[1], "127.0.0.1");
  await checker.flushall();
  await Promise.all(owners.map((owner) => owner.listener.subscribe("released")));
  let refused = 0;
  const ends = owners.map(async (owner) => {
    for (const number of range(TURNS)) {
      while ((await owner.turn(number)) !== 1) refused += 1;
    }
  });
  const written = async () => Number(await checker.hget("protected", "count"));
  await waitUntil("a third of the turns", async () => (await written()) > (OWNERS * TURNS) / 3);
  killTheLeader();
  await Promise.all(ends);
  const trace = await checker.lrange("trace", 0, -1);
  const twice = trace.length - new Set(trace).size;
  const woken = owners.reduce((sum, owner) => sum + owner.woken, 0);
  say(`${trace.length} turns, ${twice} twice, ${refused} refused, ${woken} times woken`);
  // No count was lost: each writer had read what the one before it wrote.
  assert.equal(await written(), trace.length);
  assert.equal(new Set(trace).size, OWNERS * TURNS);
  assert.equal(await checker.exists("lock"), 0);
  assert(woken > 0);
});
