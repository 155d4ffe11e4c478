// Runs calls given on stdin through the kits for Node; prints what each gave, or the kind of its refusal. The same in Python:
// test_kits_agree.py.
import * as log from "../../../relay/kit/verify_log.mjs";
import * as kit from "../../../relay/kit/verify.mjs";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const bytes = (one) => Buffer.from(one, "base64");
const view = (found) => ({ ...found, rootHash: found.rootHash.toString("hex") });

const calls = {
  verify: ([body, headers, secrets, publicKeys, nowS]) => {
    const found = kit.verify(bytes(body), headers, { secrets, publicKeys, nowS });
    return [found.webhookId, found.timestampS, found.prevSequence];
  },
  read_event: ([body]) => {
    const event = kit.readEvent(bytes(body));
    return [event.id, event.type, event.sequence, event.prevHash, event.logEpoch, event.objectId, event.version, event.bodyHash];
  },
  public_keys_at: ([document, atS]) => kit.publicKeysAt(bytes(document), atS),
  checkpoint: ([note, who]) => Object.values(view(log.verifyCheckpoint(note, who))),
  inclusion: ([body, path, note, who]) => {
    log.verifyInclusion(bytes(body), path, log.verifyCheckpoint(note, who));
    return true;
  },
  consistency: ([first, second, path, who]) => {
    log.verifyConsistency(log.verifyCheckpoint(first, who), log.verifyCheckpoint(second, who), path);
    return true;
  },
  proof: ([proof, body, who]) => log.verifyProof(proof, bytes(body), who).size,
  bodies: ([bodies, note, who]) => {
    log.verifyBodies(bodies.map(bytes), log.verifyCheckpoint(note, who));
    return true;
  },
  anchor: ([note, anchored]) => {
    log.verifyAnchor(note, anchored);
    return true;
  },
  key_list: ([document, who]) => log.verifyKeyList(bytes(document), who),
  key_growth: ([first, second, who]) => {
    log.verifyKeyGrowth(bytes(first), bytes(second), who);
    return true;
  },
};

const said = JSON.parse(text).map(([name, given]) => {
  try {
    return calls[name](given);
  } catch (error) {
    const kinds = [log.HistoryLost, log.ProofInvalid, kit.WebhookInvalid];
    const kind = kinds.find((one) => error instanceof one);
    if (kind === undefined) throw error;
    return kind.name;
  }
});
process.stdout.write(JSON.stringify(said));
