// A site with Express: sessions in connect-redis, limits by rate-limiter-flexible, a server process
// at each node, and the leader dies while visitors come.
//
// node-redis rejects what it had sent to the dying node and had no answer to, and the site answers
// that visitor with an error of its own; the visitor comes again. At the other nodes nobody does.

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

const express = load("express");
const session = load("express-session");
const { RedisStore } = load("connect-redis");
const { RateLimiterRedis } = load("rate-limiter-flexible");
const { createClient } = load("redis");
const { Redis } = load("ioredis");

const VISITORS = 3;
const VISITS = 60;
const ALLOWED = 40;

/** A server at one node: its address. */
async function serve(position) {
  const client = createClient({ url: `redis://127.0.0.1:${ports[position]}` });
  client.on("error", () => {});
  await client.connect();
  const store = new RedisStore({ client, prefix: "session:" });
  const limits = new Redis(ports[position], "127.0.0.1");
  limits.on("error", () => {});
  const limiter = new RateLimiterRedis({
    storeClient: limits,
    points: ALLOWED,
    duration: 600,
    keyPrefix: "limit",
  });
  const site = express();
  site.use(session({ store, secret: "of a test", resave: false, saveUninitialized: false }));
  site.get("/", (request, response) => {
    request.session.visits = (request.session.visits ?? 0) + 1;
    response.send(String(request.session.visits));
  });
  site.get("/limited", (request, response, next) => limiter.consume("all").then(
    () => response.send("yes"),
    (refusal) => (refusal instanceof Error ? next(refusal) : response.status(429).send("no")),
  ));
  // Without this it prints each error.
  site.use((error, request, response, next) => {
    // A session that cannot be saved is known only when the page has been sent.
    if (!response.headersSent) response.status(500).send(error.message);
  });
  const server = site.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return `http://127.0.0.1:${server.address().port}`;
}

class Visitor {
  cookie = "";
  failures = 0;

  async get(address) {
    const response = await fetch(address, { headers: { cookie: this.cookie } });
    this.cookie = response.headers.get("set-cookie")?.split(";")[0] ?? this.cookie;
    return [response.status, await response.text()];
  }

  /** Comes again until it is answered. */
  async visit(address) {
    for (;;) {
      const [status, text] = await this.get(address);
      if (status === 200) return Number(text);
      this.failures += 1;
      await sleep(20);
    }
  }
}

run(async () => {
  const checker = new Redis(ports[1], "127.0.0.1");
  await checker.flushall();
  const sites = await Promise.all(range(3).map(serve));
  const traveller = new Visitor();
  // A session that was saved through any node is there at the others.
  for (const number of range(9)) {
    assert.equal(await traveller.visit(`${sites[number % 3]}/`), number + 1);
  }
  const visitors = range(VISITORS).map(() => new Visitor());
  let visits = 0;
  const counts = visitors.map(async (visitor, position) => {
    let count = 0;
    for (const number of range(VISITS)) {
      const next = await visitor.visit(`${sites[position]}/`);
      // At the dying node a session may not be saved, or be although the visitor saw an error.
      const isExpected = position === 0 ? Math.abs(next - count - 1) <= 1 : next === number + 1;
      assert(isExpected, `${next} after ${count} at ${position}`);
      count = next;
      visits += 1;
    }
    return count;
  });
  const limited = range(3).map(async (position) => {
    let allowed = 0;
    const visitor = new Visitor();
    for (const number of range(VISITS / 2)) {
      const [status] = await visitor.get(`${sites[position]}/limited`);
      // ioredis asks again by itself, for the servers at all nodes.
      assert([200, 429].includes(status), `${status} at ${position}`);
      allowed += status === 200;
      await sleep(number % 3);
    }
    return allowed;
  });
  await waitUntil("a part of the visits", () => visits > (VISITORS * VISITS) / 3);
  killTheLeader();
  const found = await within("all visits", Promise.all(counts), 90);
  const allowed = (await within("the limit", Promise.all(limited))).reduce((sum, n) => sum + n, 0);
  const failures = visitors.map((visitor) => visitor.failures);
  say(`visits ${found}, errors ${failures}, ${allowed} of ${ALLOWED} allowed`);
  assert.deepEqual(failures.slice(1), [0, 0]);
  assert.deepEqual(found.slice(1), [VISITS, VISITS]);
  // One may have been counted twice, when its answer was lost with the node.
  assert(allowed === ALLOWED || allowed === ALLOWED - 1, `${allowed}`);
  assert.equal((await checker.keys("session:*")).length, VISITORS + 1);
});
