// Socket.IO: a server at each node, and what one sends to a room its clients at all servers hear;
// the leader dies meanwhile. By Pub/Sub, and by a stream.
//
// Who listens by Pub/Sub at the dying node misses what is published until it has subscribed again.
// A stream is read on where the last message was; the servers at the other nodes miss nothing. To
// ask all servers something, the adapter of Pub/Sub counts them with PUBSUB NUMSUB, which tells of
// the node that is asked; that of streams has the servers tell of themselves.

import { createServer } from "node:http";

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

const { Redis } = load("ioredis");
const { Server } = load("socket.io");
const { io: connect } = load("socket.io-client");
const { createAdapter: byPubSub } = load("@socket.io/redis-adapter");
const { createAdapter: byStream } = load("@socket.io/redis-streams-adapter");

const MESSAGES = 100;

function client(position) {
  const made = new Redis(ports[position], "127.0.0.1", { maxRetriesPerRequest: null });
  made.on("error", () => {});
  return made;
}

const adapters = {
  "Pub/Sub": (position) => byPubSub(client(position), client(position)),
  stream: (position) => byStream(client(position), { readCount: 10 }),
};

/** A server, and a client of it that is in the room. */
async function serve(makeAdapter, position) {
  const http = createServer();
  const server = new Server(http, { adapter: makeAdapter(position) });
  server.on("connection", (socket) => socket.join("room"));
  http.listen(0, "127.0.0.1");
  await new Promise((resolve) => http.once("listening", resolve));
  const visitor = connect(`http://127.0.0.1:${http.address().port}`, { transports: ["websocket"] });
  const heard = [];
  visitor.on("news", (number) => heard.push(number));
  await new Promise((resolve) => visitor.once("connect", resolve));
  return { server, visitor, heard };
}

async function exchange(name, servers, isKilled) {
  await waitUntil(`all servers hear by ${name}`, async () => {
    servers[1].server.to("room").emit("news", "first");
    await sleep(50);
    return servers.every(({ heard }) => heard.includes("first"));
  });
  for (const number of range(MESSAGES)) {
    servers[1 + (number % 2)].server.to("room").emit("news", number);
    if (isKilled && number === MESSAGES / 2) killTheLeader();
    await sleep(5);
  }
  const numbers = ({ heard }) => heard.filter(Number.isInteger).sort((a, b) => a - b);
  await waitUntil(`all messages by ${name}`, () =>
    servers.slice(1).every((each) => numbers(each).length >= MESSAGES));
  for (const each of servers.slice(1)) assert.deepEqual(numbers(each), range(MESSAGES));
  // The server at the node that died hears again.
  await waitUntil(`the first hears again by ${name}`, async () => {
    servers[2].server.to("room").emit("news", "again");
    await sleep(50);
    return servers[0].heard.includes("again");
  });
  const counts = servers.map((each) => numbers(each).length);
  say(`by ${name}: ${counts}`);
  return counts;
}

run(async () => {
  const checker = client(1);
  await checker.flushall();
  const made = {};
  for (const [name, makeAdapter] of Object.entries(adapters)) {
    made[name] = await Promise.all(range(3).map((position) => serve(makeAdapter, position)));
  }
  // The messages of both are on their way when the leader dies.
  const exchanges = Object.entries(made).map(([name, servers], which) =>
    exchange(name, servers, which === 0));
  const [, counts] = await within("all messages", Promise.all(exchanges), 90);
  assert.equal(counts[0], MESSAGES, "a stream is read on where the last message was");
});
