// Runs the vectors given on stdin through relay/kit/verify.mjs; prints {count, failures}. The same in Python: test_kit.py.
import { isDeepStrictEqual } from "node:util";

import * as kit from "../../../relay/kit/verify.mjs";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const vectors = JSON.parse(text);

const orNull = (run) => {
  try {
    return run();
  } catch (error) {
    if (error instanceof kit.WebhookInvalid) return null;
    throw error;
  }
};

const runners = {
  verify(one) {
    const options = { secrets: one.secrets, publicKeys: one.public_keys, nowS: one.now_s };
    const isTwice = new Set(Object.keys(one.headers).map((name) => name.toLowerCase())).size < Object.keys(one.headers).length;
    const forms = isTwice ? [one.headers, one.headers] : [one.headers, new Headers(one.headers)];
    const answers = forms.map((headers) => {
      const found = orNull(() => kit.verify(Buffer.from(one.body), headers, options));
      return found && { webhook_id: found.webhookId, timestamp_s: found.timestampS, prev_sequence: found.prevSequence };
    });
    return [answers, [one.accepted, one.accepted]];
  },
  public_keys_at(one) {
    return [orNull(() => kit.publicKeysAt(one.document, one.timestamp_s, { endpointId: one.endpoint_id })), one.found];
  },
  events(one) {
    const found = orNull(() => kit.readEvent(Buffer.from(one.body)));
    const { sequence, objectId, version, logEpoch } = found ?? {};
    return [found && { sequence, object_id: objectId, version, log_epoch: logEpoch }, one.read];
  },
  judge(one) {
    const seen = new Map();
    const held = new Map();
    const verdicts = one.events.map(({ body }) => {
      const event = kit.readEvent(body);
      const verdict = kit.judge(event, { seen: seen.get(event.id), held: held.get(event.objectId) ?? null });
      if (!seen.has(event.id)) seen.set(event.id, event.bodyHash);
      if (verdict === "apply" && event.version !== null) held.set(event.objectId, [event.logEpoch, event.version]);
      return verdict;
    });
    return [verdicts, one.events.map(({ verdict }) => verdict)];
  },
  gaps(one) {
    const tracker = new kit.GapTracker({ completeTo: one.tracker.complete_to, start: one.tracker.start });
    const said = one.steps.map((step) => {
      if (step.saw) tracker.saw(...step.saw);
      else tracker.repaired(step.repaired);
      return [tracker.completeTo, tracker.gap, tracker.logEpoch];
    });
    return [said, one.steps.map((step) => [step.complete_to, step.gap, step.log_epoch])];
  },
  async repair(one) {
    const tracker = new kit.GapTracker({ completeTo: one.start, start: one.start });
    tracker.saw(...one.saw);
    const fetchPage = async (after) => {
      const items = one.log.filter((event) => event.sequence > after).slice(0, one.page_events);
      return { items, next: items.at(-1)?.sequence ?? null, head_sequence: one.head_sequence };
    };
    let applied = [];
    try {
      await kit.repair(tracker, fetchPage, async (event) => applied.push(event.sequence));
    } catch (error) {
      if (!(error instanceof kit.GapRemains)) throw error;
      applied = null;
    }
    return [[applied, tracker.completeTo], [one.applied, one.complete_to]];
  },
  chain(one) {
    const accepted = orNull(() => kit.verifyChain(one.bodies, one.previous) ?? true) !== null;
    return [accepted, one.accepted];
  },
};

const failures = [];
let count = 0;
for (const [group, run] of Object.entries(runners)) {
  for (const one of vectors[group]) {
    count += 1;
    const [found, wanted] = await run(one);
    if (!isDeepStrictEqual(found, wanted)) failures.push(`${group}: ${one.name}: ${JSON.stringify(found)}`);
  }
}
process.stdout.write(JSON.stringify({ count, failures }));
