// A receiver that missed webhooks: pulls its first gap from the API given on stdin, prints what it applied.
import { GapTracker, pullPages, repair } from "../../relay/kit/verify.mjs";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const { base_url: baseUrl, key, types, saw } = JSON.parse(text);
const tracker = new GapTracker({ completeTo: 0 });
tracker.saw(...saw);
const applied = [];
let status = 200;
try {
  await repair(tracker, pullPages(baseUrl, key, { types }), (event) => applied.push([event.sequence, event.objectId, event.version]));
} catch (error) {
  status = error.status;
}
process.stdout.write(JSON.stringify({ applied, complete_to: tracker.completeTo, gap: tracker.gap, status }));
