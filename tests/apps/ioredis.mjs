// What an application with ioredis does on every node, and how it goes on when the leader dies:
// by itself, with the settings that it has if nobody sets any.

import {
  assert,
  killTheLeader,
  load,
  ports,
  range,
  run,
  say,
  waitUntil,
  within,
} from "./common.mjs";

const { Redis, Cluster } = load("ioredis");

const WRITES = 300;

// One server in the place of three knows no cluster.
const isStandIn = ports[0] === ports[1];

function connect(position, options = {}) {
  const client = new Redis(ports[position], "127.0.0.1", options);
  // Without a listener it prints each failed attempt to connect.
  client.on("error", () => {});
  return client;
}

async function types(client, other) {
  assert.equal(await client.set("text", "grüße", "EX", 100), "OK");
  assert.equal(await other.get("text"), "grüße");
  assert.equal(await client.incrby("number", 42), 42);
  await client.hset("hash", { f: "1", g: "2" });
  assert.deepEqual(await other.hgetall("hash"), { f: "1", g: "2" });
  await client.zadd("sorted", 2.5, "two", 1, "one");
  assert.deepEqual(await other.zrange("sorted", 0, -1, "WITHSCORES"), ["one", "1", "two", "2.5"]);
  await client.xadd("stream", "1-1", "field", "value");
  assert.deepEqual(await other.xrange("stream", "-", "+"), [["1-1", ["field", "value"]]]);
  const bytes = Buffer.from(range(256));
  await client.set("bytes", bytes);
  assert.deepEqual(await other.getBuffer("bytes"), bytes);
  await assert.rejects(client.incr("hash"), /^ReplyError: WRONGTYPE/);
  const keys = [];
  for await (const found of client.scanStream({ match: "s*", count: 2 })) keys.push(...found);
  assert.deepEqual(keys.sort(), ["sorted", "stream"]);
}

async function together(client, other) {
  const pipeline = client.pipeline();
  for (const number of range(500)) pipeline.set(`p${number}`, number).incrby("sum", number);
  const replies = await pipeline.exec();
  assert.equal(replies.length, 1000);
  assert(replies.every(([error]) => error === null));
  assert.equal(await other.get("sum"), String((499 * 500) / 2));
  const transaction = await client.multi().set("a", "1").get("a").del("a").exec();
  assert.deepEqual(transaction, [[null, "OK"], [null, "1"], [null, 1]]);
  await client.watch("watched");
  await other.set("watched", "changed");
  assert.equal(await client.multi().set("watched", "mine").exec(), null);
}

async function scripts(client, other) {
  client.defineCommand("addTo", {
    numberOfKeys: 1,
    lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
  });
  assert.equal(await client.addTo("scripted", 40), 40);
  // By its digest now, which all nodes know.
  assert.equal(await client.addTo("scripted", 2), 42);
  assert.equal(await other.get("scripted"), "42");
}

async function messages(position, publisher) {
  const subscriber = connect(position);
  const heard = [];
  subscriber.on("message", (channel, message) => heard.push(`${channel} ${message}`));
  subscriber.on("pmessage", (pattern, channel, message) => heard.push(`${channel} ${message}`));
  await subscriber.subscribe("news");
  await subscriber.psubscribe("weather.*");
  const expected = [];
  for (const number of range(50)) {
    await publisher.publish("news", number);
    await publisher.publish("weather.paris", number);
    expected.push(`news ${number}`, `weather.paris ${number}`);
  }
  await waitUntil("all messages", () => heard.length >= expected.length);
  assert.deepEqual(heard, expected);
  subscriber.disconnect();
}

/** Writes one after the other; each is counted, and leaves a trace of its own. */
async function write(client, writer, progress) {
  for (const number of range(WRITES)) {
    await client.sadd("written", `${writer}:${number}`);
    await client.incr(`written:${writer}`);
    progress.acknowledged += 1;
  }
}

async function goOn() {
  const checker = connect(1);
  await checker.flushall();
  const clients = [connect(0), connect(1), connect(2)];
  if (!isStandIn) {
    const cluster = new Cluster(ports.map((port) => ({ host: "127.0.0.1", port })));
    cluster.on("error", () => {});
    clients.push(cluster);
  }
  const resubscribed = connect(0, { autoResubscribe: true });
  const heard = new Set();
  resubscribed.on("message", (channel, message) => heard.add(message));
  await resubscribed.subscribe("news");
  const blocked = connect(2).blpop("queue", 0);
  const progress = { acknowledged: 0 };
  const writers = clients.map((client, writer) => write(client, writer, progress));
  await waitUntil("half of the writes", () => progress.acknowledged > 2 * WRITES);
  killTheLeader();
  await within("all writes", Promise.all(writers), 90);
  assert.equal(await checker.scard("written"), clients.length * WRITES);
  for (const writer of range(clients.length)) {
    const count = Number(await checker.get(`written:${writer}`));
    say(`writer ${writer}: ${count} for ${WRITES}`);
    // ioredis sends a command again that had no answer when the connection broke (though never a
    // transaction), so a write through the dying node may count twice. No other does.
    const most = writer === 1 || writer === 2 ? WRITES : WRITES + 1;
    assert(count >= WRITES && count <= most, `writer ${writer}: ${count}`);
  }
  await checker.rpush("queue", "pushed");
  assert.deepEqual(await within("BLPOP", blocked), ["queue", "pushed"]);
  await waitUntil("the subscriber hears again", async () => {
    await checker.publish("news", "again");
    return heard.has("again");
  });
}

run(async () => {
  for (const position of range(ports.length)) {
    const [client, other] = [connect(position), connect((position + 1) % 3)];
    await client.flushall();
    await types(client, other);
    await together(client, other);
    await scripts(client, other);
    await messages(position, other);
    client.disconnect();
    other.disconnect();
  }
  await goOn();
});
