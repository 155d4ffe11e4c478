// The sender one builds from BullMQ and undici: a job for each delivery, signed and posted as the relay does.
//
// Lives here: filling a queue (`enqueue`) and working on it (`work`, until standard input ends), as the first line of standard
// input says (assignment.py). Does not live here: the Redis server (stores.py), and what is measured (deliver_with_peers.py).

import { createHmac, createPrivateKey, sign } from "node:crypto";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import process from "node:process";
import { promisify } from "node:util";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { Agent, request } from "undici";

const QUEUE = "deliveries";
const ENQUEUED_AT_ONCE = 1_000;
const ATTEMPT_TIMEOUT_MS = 15_000;
const JOB_OPTIONS = {
  attempts: 10,
  backoff: { type: "exponential", delay: 5_000, jitter: 0.2 },
  removeOnComplete: true,
  removeOnFail: false,
};
const signInThread = promisify(sign); // faster here than on the one thread that does all else
const ED25519_PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

function connect(told) {
  return new Redis({ path: told.store, maxRetriesPerRequest: null });
}

async function enqueue(told) {
  const queue = new Queue(QUEUE, { connection: connect(told) });
  let waiting = [];
  let enqueued = 0;
  const flush = async () => {
    await queue.addBulk(waiting);
    enqueued += waiting.length;
    waiting = [];
  };
  for await (const line of createInterface({ input: createReadStream(told.jobs_path) })) {
    waiting.push({ name: "deliver", data: JSON.parse(line), opts: JOB_OPTIONS });
    if (waiting.length === ENQUEUED_AT_ONCE) await flush();
  }
  await flush();
  console.log(enqueued);
  process.exit(0);
}

function work(told) {
  const secret = Buffer.from(told.keys.secret, "base64");
  const seed = Buffer.from(told.keys.seed, "base64");
  const key = createPrivateKey({ key: Buffer.concat([ED25519_PKCS8_HEAD, seed]), format: "der", type: "pkcs8" });
  const agent = new Agent({
    connections: told.tuning.concurrency,
    headersTimeout: ATTEMPT_TIMEOUT_MS,
    bodyTimeout: ATTEMPT_TIMEOUT_MS,
  });

  async function deliver(job) {
    const { url, webhook_id, delivery_id, body } = job.data;
    const timestamp = Math.floor(Date.now() / 1000);
    const content = Buffer.from(`${webhook_id}.${timestamp}.${body}`);
    const v1 = createHmac("sha256", secret).update(content).digest("base64");
    const v1a = (await signInThread(null, content, key)).toString("base64");
    const answer = await request(url, {
      dispatcher: agent,
      method: "POST",
      headers: {
        accept: "*/*",
        "content-type": "application/json",
        "user-agent": "bullmq-webhooks/1",
        "webhook-id": webhook_id,
        "webhook-timestamp": String(timestamp),
        "webhook-signature": `v1,${v1} v1a,${v1a}`,
        "chainbell-delivery": delivery_id,
      },
      body,
    });
    await answer.body.dump();
    if (answer.statusCode < 200 || answer.statusCode > 299) throw new Error(`answered ${answer.statusCode}`);
  }

  const worker = new Worker(QUEUE, deliver, { connection: connect(told), concurrency: told.tuning.concurrency });
  worker.on("failed", (job, error) => console.error(`failed: ${job?.id}: ${error.message}`));
  worker.on("error", (error) => console.error(`error: ${error.message}`));
}

const lines = createInterface({ input: process.stdin });
let begun = false;
lines.on("line", (line) => {
  if (begun) return;
  begun = true;
  const told = JSON.parse(line);
  if (told.task === "enqueue") enqueue(told);
  else work(told);
});
lines.on("close", () => begun && process.exit(0));
