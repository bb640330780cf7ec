// ioredis and node-redis while each node is restarted, one after the other: no request of ioredis
// fails, with the settings that it has if nobody sets any.
//
// node-redis keeps what it has not sent, and rejects what it has sent and had no answer to when its
// connection ends; the application asks again. It does not look whether a node is ready, so the
// application is also told LOADING, by a node that is about to join. Both are all that may happen.

import {
  assert,
  load,
  ports,
  range,
  restartEachNode,
  run,
  say,
  sleep,
  waitUntil,
  within,
} from "./common.mjs";

const { Redis } = load("ioredis");
const { createClient } = load("redis");

function withIoredis(position) {
  const client = new Redis(ports[position], "127.0.0.1");
  client.on("error", () => {});
  return { add: client.sadd.bind(client), push: client.rpush.bind(client), refusals: [] };
}

async function withNodeRedis(position) {
  const client = createClient({ url: `redis://127.0.0.1:${ports[position]}` });
  client.on("error", () => {});
  await client.connect();
  const refusals = [];
  const again = (command) => async (...words) => {
    for (;;) {
      try {
        return await command(...words);
      } catch (error) {
        refusals.push(error.message);
        await sleep(20);
      }
    }
  };
  const [add, push] = [client.sAdd.bind(client), client.rPush.bind(client)];
  return { add: again(add), push: again(push), refusals };
}

run(async () => {
  const checker = new Redis(ports[1], "127.0.0.1");
  checker.on("error", () => {});
  await checker.flushall();
  const clients = new Map();
  for (const position of range(3)) {
    clients.set(`ioredis ${position}`, withIoredis(position));
    clients.set(`node-redis ${position}`, await withNodeRedis(position));
  }
  const rounds = new Map([...clients.keys()].map((name) => [name, 0]));
  let hasEnded = false;
  const ends = [...clients].map(async ([name, client]) => {
    while (!hasEnded) {
      await client.push(`list:${name}`, String(rounds.get(name)));
      await client.add(`set:${name}`, String(rounds.get(name)));
      rounds.set(name, rounds.get(name) + 1);
    }
  });
  const failure = Promise.all(ends);
  const all = (what, least) => Promise.race([
    failure,
    waitUntil(what, () => [...rounds].every(([name, count]) => count > (least.get(name) ?? 20))),
  ]);
  await all("some work of all", new Map());
  restartEachNode();
  await Promise.race([
    failure,
    waitUntil("the restart of all nodes", () => checker.get("rolled")),
  ]);
  await all("work of all thereafter", new Map(rounds));
  hasEnded = true;
  await within("the last requests", failure);
  for (const [name, { refusals }] of clients) {
    const count = rounds.get(name);
    const again = (await checker.llen(`list:${name}`)) - count;
    const texts = [...new Set(refusals)].join(", ");
    say(`${name}: ${count} rounds, ${again} writes made again, ${refusals.length} errors ${texts}`);
    assert.equal(await checker.scard(`set:${name}`), count);
    // Only a write whose answer was lost; each client lost its connection once.
    assert(again === 0 || again === 1, `${name}: ${again}`);
    const isPassing = (text) => !/^[A-Z]+ /.test(text) || text.startsWith("LOADING ");
    assert(refusals.every(isPassing), `${name}: ${texts}`);
  }
});
