// BullMQ: workers on all nodes, and the leader dies while they work. ioredis, which it uses, knows
// one address for a connection, so the worker at the dying node waits for the next node there.
// A job whose worker could not renew its lock is found by the others and given out again: each
// job runs at least once.

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

const { FlowProducer, Queue, QueueEvents, Worker } = load("bullmq");

const JOBS = 120;
const RETRIED = 10;
const DELAYED = 10;

const at = (position) => ({
  connection: { host: "127.0.0.1", port: ports[position], maxRetriesPerRequest: null },
});

const runs = new Map();

async function work(job) {
  runs.set(job.id, (runs.get(job.id) ?? 0) + 1);
  await sleep(5);
  if (job.name === "retried" && job.attemptsMade === 0) throw new Error("meant to happen once");
  if (job.name === "parent") {
    const children = Object.values(await job.getChildrenValues());
    return children.reduce((sum, value) => sum + value, 0);
  }
  return 2 * job.data.number;
}

function worker(position) {
  const options = { ...at(position), concurrency: 4, lockDuration: 4000, stalledInterval: 1000 };
  const made = new Worker("work", work, options);
  // Without a listener an error would end the process.
  made.on("error", () => {});
  return made;
}

async function results(queue, ids) {
  const jobs = await Promise.all(ids.map((id) => queue.getJob(id)));
  return jobs.map((job) => job.returnvalue);
}

run(async () => {
  const queue = new Queue("work", at(1));
  queue.on("error", () => {});
  await queue.obliterate({ force: true });
  const events = new QueueEvents("work", at(2));
  events.on("error", () => {});
  const completed = new Set();
  events.on("completed", ({ jobId }) => completed.add(jobId));
  await events.waitUntilReady();
  const workers = range(3).map(worker);

  const plain = await queue.addBulk(
    range(JOBS).map((number) => ({
      name: "plain",
      data: { number },
      opts: { jobId: `p${number}` },
    })),
  );
  const retried = await queue.addBulk(
    range(RETRIED).map((number) => ({
      name: "retried",
      data: { number },
      opts: { jobId: `r${number}`, attempts: 5, backoff: { type: "fixed", delay: 100 } },
    })),
  );
  const delayed = await queue.addBulk(
    range(DELAYED).map((number) => ({
      name: "delayed",
      data: { number },
      opts: { jobId: `d${number}`, delay: 500, priority: 1 + (number % 3) },
    })),
  );
  await waitUntil("a third of the jobs", async () => (await queue.getCompletedCount()) > JOBS / 3);
  killTheLeader();
  const flows = new FlowProducer(at(2));
  flows.on("error", () => {});
  const flow = await flows.add({
    name: "parent",
    queueName: "work",
    data: {},
    children: range(5).map((number) => ({ name: "child", queueName: "work", data: { number } })),
  });
  const all = JOBS + RETRIED + DELAYED + 6;
  await waitUntil("all jobs", async () => (await queue.getCompletedCount()) === all)
    .catch(async (error) => {
      throw new Error(`${error.message}: ${JSON.stringify(await queue.getJobCounts())}`);
    });
  say(JSON.stringify(await queue.getJobCounts()));
  for (const jobs of [plain, retried, delayed]) {
    const doubled = jobs.map((job) => 2 * job.data.number);
    assert.deepEqual(await results(queue, jobs.map((job) => job.id)), doubled);
  }
  assert.deepEqual(await results(queue, [flow.job.id]), [20]);
  await waitUntil("the event of each job", () => completed.size === all);
  const doubled = [...runs].filter(([id, count]) => count > (id.startsWith("r") ? 2 : 1));
  say(`run more often than asked: ${JSON.stringify(doubled)}`);
  // A worker has at most four jobs in its hands.
  assert(doubled.length <= 4);
  await Promise.all(workers.map((made) => made.close()));
});
