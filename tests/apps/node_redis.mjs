// What an application with node-redis does on every node, and how it goes on when the leader dies.
//
// node-redis connects again by itself and keeps what it had not yet sent. What it had sent and had
// no answer to is rejected, and the application decides: here it asks again, so that a write
// through the dying node may count twice. The others see no error at all.

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
  within,
} from "./common.mjs";

const { createClient, createCluster } = load("redis");

const WRITES = 300;

// One server in the place of three knows no cluster.
const isStandIn = ports[0] === ports[1];

const url = (position) => `redis://127.0.0.1:${ports[position]}`;

async function connect(position, options = {}) {
  const client = createClient({ url: url(position), ...options });
  client.on("error", () => {});
  return client.connect();
}

async function types(client, other) {
  assert.equal(await client.set("text", "grüße", { EX: 100 }), "OK");
  assert.equal(await other.get("text"), "grüße");
  assert.equal(await client.incrBy("number", 42), 42);
  await client.hSet("hash", { f: "1", g: "2" });
  assert.deepEqual({ ...(await other.hGetAll("hash")) }, { f: "1", g: "2" });
  await client.zAdd("sorted", [{ score: 2.5, value: "two" }, { score: 1, value: "one" }]);
  assert.deepEqual(await other.zRangeWithScores("sorted", 0, -1), [
    { value: "one", score: 1 },
    { value: "two", score: 2.5 },
  ]);
  await client.sAdd("set", ["x", "y"]);
  assert.equal(await other.sIsMember("set", "x"), 1);
  await client.xAdd("stream", "1-1", { field: "value" });
  const [entry] = await other.xRange("stream", "-", "+");
  assert.deepEqual([entry.id, { ...entry.message }], ["1-1", { field: "value" }]);
  await assert.rejects(client.incr("hash"), /WRONGTYPE/);
  const keys = [];
  for await (const found of client.scanIterator({ MATCH: "s*" })) keys.push(...[found].flat());
  assert.deepEqual(keys.sort(), ["set", "sorted", "stream"]);
}

async function together(client, other) {
  // Commands of one tick go out as one pipeline.
  const sums = await Promise.all(range(500).map((number) => client.incrBy("sum", number)));
  assert.equal(sums.at(-1), (499 * 500) / 2);
  assert.deepEqual(await client.multi().set("a", "1").get("a").del("a").exec(), ["OK", "1", 1]);
  await client.watch("watched");
  await other.set("watched", "changed");
  await assert.rejects(client.multi().set("watched", "mine").exec(), /watched keys/i);
}

async function scripts(client, other) {
  const lua = "return redis.call('INCRBY', KEYS[1], ARGV[1])";
  const options = { keys: ["scripted"], arguments: ["40"] };
  assert.equal(await client.eval(lua, options), 40);
  const sha = await client.scriptLoad(lua);
  assert.equal(await other.evalSha(sha, { ...options, arguments: ["2"] }), 42);
}

async function messages(position, publisher, options) {
  const subscriber = await connect(position, options);
  const heard = [];
  const listen = (message, channel) => heard.push(`${channel} ${message}`);
  await subscriber.subscribe("news", listen);
  await subscriber.pSubscribe("weather.*", listen);
  const expected = [];
  for (const number of range(50)) {
    await publisher.publish("news", `${number}`);
    await publisher.publish("weather.paris", `${number}`);
    expected.push(`news ${number}`, `weather.paris ${number}`);
  }
  await waitUntil("all messages", () => heard.length >= expected.length);
  assert.deepEqual(heard, expected);
  subscriber.destroy();
}

/** Asks until it is answered, as long as the connection is what fails. */
async function persist(counts, command) {
  for (;;) {
    try {
      return await command();
    } catch (error) {
      // A node that has just been started is not ready yet and says so.
      const isPassing = !/^[A-Z]+ /.test(error.message) || error.message.startsWith("LOADING");
      if (!isPassing) throw error;
      counts.errors += 1;
      await sleep(50);
    }
  }
}

async function write(client, writer, counts) {
  for (const number of range(WRITES)) {
    await persist(counts, () => client.sAdd("written", `${writer}:${number}`));
    await persist(counts, () => client.incr(`written:${writer}`));
    counts.acknowledged += 1;
  }
}

async function clients() {
  const all = await Promise.all(range(3).map((position) => connect(position)));
  if (isStandIn) return all;
  const rootNodes = range(3).map((position) => ({ url: url(position) }));
  const cluster = createCluster({ rootNodes });
  cluster.on("error", () => {});
  return [...all, await cluster.connect()];
}

async function goOn() {
  const checker = await connect(1);
  await checker.flushAll();
  const resubscribed = await connect(0);
  const heard = new Set();
  await resubscribed.subscribe("news", (message) => heard.add(message));
  const blocked = (await connect(2)).blPop("queue", 0);
  const writers = await clients();
  const counts = writers.map(() => ({ acknowledged: 0, errors: 0 }));
  const ends = writers.map((client, writer) => write(client, writer, counts[writer]));
  const acknowledged = () => counts.reduce((sum, count) => sum + count.acknowledged, 0);
  await waitUntil("half of the writes", () => acknowledged() > (writers.length * WRITES) / 2);
  killTheLeader();
  await within("all writes", Promise.all(ends), 90);
  assert.equal(await checker.sCard("written"), writers.length * WRITES);
  for (const [writer, { errors }] of counts.entries()) {
    const count = Number(await checker.get(`written:${writer}`));
    say(`writer ${writer}: ${count} for ${WRITES}, ${errors} errors`);
    const isSurvivor = writer === 1 || writer === 2;
    assert(count >= WRITES && count <= WRITES + (isSurvivor ? 0 : 1), `writer ${writer}: ${count}`);
    if (isSurvivor) assert.equal(errors, 0);
  }
  await checker.rPush("queue", "pushed");
  assert.equal((await within("BLPOP", blocked)).element, "pushed");
  await waitUntil("the subscriber hears again", async () => {
    await checker.publish("news", "again");
    return heard.has("again");
  });
}

run(async () => {
  for (const [position, RESP] of [[0, 2], [1, 3], [2, 2], [0, 3]]) {
    const client = await connect(position, { RESP });
    const other = await connect((position + 1) % 3, { RESP });
    await client.flushAll();
    await types(client, other);
    await together(client, other);
    await scripts(client, other);
    await messages(position, other, { RESP });
    client.destroy();
    other.destroy();
  }
  await goOn();
});
