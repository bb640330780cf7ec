// What the scenarios in JavaScript share. Usage of each: SCENARIO.mjs PORT.. SENTINEL_PORT.., three
// of each, the leader's first

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

export { assert, sleep };

export const ports = process.argv.slice(2, 5).map(Number);

export const sentinelPorts = process.argv.slice(5, 8).map(Number);

/** Loads an installed package; they do not lie beside the sources. */
export const load = createRequire(`${process.env.MAYFLY_NODE_MODULES}/`);

export const say = (text) => process.stdout.write(`${text}\n`);

/** Asks for it; it dies a moment later, and its port soon has another node. */
export const killTheLeader = () => say("kill the leader");

/** Asks for a new process in the place of each node; then there is the key `rolled`. */
export const restartEachNode = () => say("restart each node");

export const range = (count) => Array.from({ length: count }, (_, number) => number);

/** Resolves with what the condition resolves with when that is true. */
export async function waitUntil(what, condition, seconds = 90) {
  const deadline = performance.now() + 1000 * seconds;
  for (;;) {
    const found = await condition();
    if (found) return found;
    assert(performance.now() < deadline, `${what}: not within ${seconds} seconds`);
    await sleep(20);
  }
}

/** Rejects when a promise takes too long. */
export async function within(what, promise, seconds = 60) {
  const timer = new AbortController();
  const late = sleep(1000 * seconds, undefined, { signal: timer.signal }).then(
    () => assert.fail(`${what}: not within ${seconds} seconds`),
    () => undefined,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

/** Runs a scenario and ends the process, whatever connections are still open. */
export async function run(scenario) {
  try {
    await scenario();
  } catch (error) {
    process.stderr.write(`${error?.stack ?? error}\n`);
    process.exit(1);
  }
  process.stdout.write("all passed\n", () => process.exit(0));
}
