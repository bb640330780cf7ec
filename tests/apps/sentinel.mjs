// Clients that find the leader by Sentinel, and the leader dies: ioredis and node-redis follow to
// the next one by themselves, with the settings that they have if nobody sets any.
//
// node-redis reads from replicas, too, if it is told to. ioredis asks a replica for its role, and
// does not take one that says that it is a master, as every node here is.

import {
  assert,
  killTheLeader,
  load,
  ports,
  range,
  run,
  say,
  sentinelPorts,
  sleep,
  waitUntil,
  within,
} from "./common.mjs";

const { Redis } = load("ioredis");
const { createSentinel } = load("redis");

const WRITES = 300;
const MASTER = "mymaster";

const sentinels = sentinelPorts.map((port) => ({ host: "127.0.0.1", port }));

function withIoredis(options = {}) {
  const client = new Redis({ sentinels, name: MASTER, ...options });
  client.on("error", () => {});
  return client;
}

async function withNodeRedis(options = {}) {
  const client = createSentinel({ name: MASTER, sentinelRootNodes: sentinels, ...options });
  client.on("error", () => {});
  return client.connect();
}

/** Asks until it is answered; a command without an answer may be asked again. */
async function persist(counts, command) {
  for (;;) {
    try {
      return await command();
    } catch (error) {
      // What a node has answered is no matter of a broken connection.
      if (/^[A-Z]+ /.test(error.message)) throw error;
      counts.errors += 1;
      await sleep(50);
    }
  }
}

async function write(add, count, name, counts) {
  for (const number of range(WRITES)) {
    await persist(counts, () => add("written", `${name}:${number}`));
    await persist(counts, () => count(`written:${name}`));
    counts.acknowledged += 1;
  }
}

run(async () => {
  const checker = new Redis(ports[1], "127.0.0.1");
  await checker.flushall();
  const plain = withIoredis();
  const first = await withNodeRedis();
  const pooled = await withNodeRedis({ masterPoolSize: 3, replicaPoolSize: 1, RESP: 3 });
  const leads = async (client) => (await client.info("raft")).includes("raft_role:leader");
  await waitUntil("ioredis at the leader", async () => {
    if (await leads(plain)) return true;
    // Nobody leaves a node for no reason but this one, that another has just been elected.
    plain.disconnect(true);
    return false;
  });
  assert.equal(await first.incr("number"), 1);
  assert.equal(await pooled.get("number"), "1");
  assert.deepEqual(await first.multi().set("a", "1").get("a").exec(), ["OK", "1"]);
  const heard = new Set();
  const subscriber = withIoredis();
  subscriber.on("message", (channel, message) => heard.add(message));
  await subscriber.subscribe("news");
  await pooled.subscribe("news", (message) => heard.add(`${message} in node-redis`));

  const clients = {
    ioredis: plain,
    "node-redis": first,
    "node-redis-pool": pooled,
  };
  const counts = {};
  const ends = Object.entries(clients).map(([name, client]) => {
    counts[name] = { acknowledged: 0, errors: 0 };
    const add = (client.sadd ?? client.sAdd).bind(client);
    return write(add, client.incr.bind(client), name, counts[name]);
  });
  const half = (ends.length * WRITES) / 2;
  await waitUntil("half of the writes", () => {
    const acknowledged = Object.values(counts).map((each) => each.acknowledged);
    return acknowledged.reduce((sum, each) => sum + each, 0) > half;
  });
  killTheLeader();
  await within("all writes", Promise.all(ends), 90);
  assert.equal(await checker.scard("written"), ends.length * WRITES);
  for (const [name, { errors }] of Object.entries(counts)) {
    const count = Number(await checker.get(`written:${name}`));
    say(`${name}: ${count} for ${WRITES}, ${errors} errors`);
    // A write whose answer was lost with the leader is made again, and may count twice.
    assert(count >= WRITES && count <= WRITES + 1, `${name}: ${count}`);
  }
  assert.equal(counts.ioredis.errors, 0);
  await waitUntil("the subscribers hear again", async () => {
    await checker.publish("news", "again");
    return heard.has("again") && heard.has("again in node-redis");
  });
});
