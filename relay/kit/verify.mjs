// What a receiver runs on Node 18 or newer: is this request from chainbell, is it fresh, does it say anything new, is
// anything missing? With strict.mjs it stands alone, without a package to install: copy both. `relay/verify.py` is the same
// for Python; both pass `vectors.json`. What may not be believed is a WebhookInvalid, and verify() throws nothing else.
// Not here: a receiver's own storage (docs/webhooks.md).

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { Refused, decodeBase64, decodeKey, isObject, isSigned, member, parseJson, parseWhole } from "./strict.mjs";

export const TOLERANCE_S = 300;
const SIGNATURES_MAX = 32; // more than any honest sender makes; what follows is not looked at
const AHEAD_MAX = 10_000; // events a tracker remembers beyond a gap; the gap itself is always remembered
const PAGE_EVENTS_MAX = 500;
const PULL_TIMEOUT_MS = 60_000;
const HEADERS = new Set([
  "webhook-id",
  "webhook-timestamp",
  "webhook-signature",
  "chainbell-prev-sequence",
  "chainbell-covers",
  "chainbell-signature",
]);
const TIME = /^([12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/;

/** This must not be believed; the message says why and holds no secret. */
export class WebhookInvalid extends Error {}

/** What is missing could not be had from the log; the message says why. */
export class GapRemains extends Error {}

/**
 * Returns {webhookId, timestampS, prevSequence} when one of `secrets` (whsec_…) or `publicKeys` (whpk_…) made a signature;
 * throws WebhookInvalid otherwise. `body` is the bytes as received, before any parsing; `headers` a Headers object or
 * request.headers; one of ours that is there twice is refused. `prevSequence` is null for a test, and where no signature
 * covers it. The timestamp may be `toleranceS` off `nowS` (Unix time) in either direction.
 */
export function verify(body, headers, options = {}) {
  if (typeof body !== "string" && !(body instanceof Uint8Array)) {
    throw new WebhookInvalid("the body is given as the bytes received, not as what a parser made of them");
  }
  const { secrets = [], publicKeys = [], nowS = Date.now() / 1000, toleranceS = TOLERANCE_S } = options;
  const found = readHeaders(headers);
  const webhookId = found.get("webhook-id") ?? "";
  const timestamp = found.get("webhook-timestamp") ?? "";
  if (!/^[!-+/-~-]+$/.test(webhookId)) {
    throw new WebhookInvalid("webhook-id is missing or malformed");
  }
  if (!/^[0-9]{1,12}$/.test(timestamp)) {
    throw new WebhookInvalid("webhook-timestamp is missing or malformed");
  }
  if (!(Math.abs(nowS - Number(timestamp)) <= toleranceS)) {
    throw new WebhookInvalid("webhook-timestamp is too old or in the future: check this machine's clock");
  }
  const content = Buffer.concat([Buffer.from(`${webhookId}.${timestamp}.`), Buffer.from(body)]);
  if (!isSignedBy(content, found.get("webhook-signature") ?? "", secrets, publicKeys)) {
    throw new WebhookInvalid("no signature of this request was made with a key we know");
  }
  const prev = found.get("chainbell-prev-sequence") ?? "";
  const covers = found.get("chainbell-covers") ?? "";
  const beside = `chainbell-headers-1\n${webhookId}\n${timestamp}\n${prev}\n${covers}\n`.replace(/[^\0-\x7f]/gu, "?");
  const isVouched =
    found.has("chainbell-signature") &&
    isSignedBy(Buffer.from(beside), found.get("chainbell-signature"), secrets, publicKeys);
  const prevSequence = isVouched && /^[0-9]{1,16}$/.test(prev) && Number.isSafeInteger(Number(prev)) ? Number(prev) : null;
  return { webhookId, timestampS: Number(timestamp), prevSequence };
}

/**
 * The public keys of a list (/.well-known/chainbell/…/keys.json, as text) that may have signed at this Unix time: the
 * request's webhook-timestamp, which verify() holds against the clock. Only those of one endpoint where that is given.
 */
export function publicKeysAt(document, timestampS, { endpointId = null } = {}) {
  const found = [];
  try {
    const keys = member(parseJson(document), "keys");
    if (!Array.isArray(keys)) throw new Refused("no list");
    for (const key of keys) {
      const names = ["public_key", "valid_until", "algorithm", "endpoint_id"];
      const [publicKey, until, algorithm, endpoint] = names.map((name) => need(key, name));
      if (algorithm !== "ed25519" || (endpointId !== null && endpointId !== endpoint)) continue;
      const begun = unixTimeS(need(key, "valid_from"))[0] <= timestampS;
      if (begun && (until === null || isBefore(timestampS, unixTimeS(until)))) {
        decodeKey(publicKey, "whpk_");
        found.push(publicKey);
      }
    }
  } catch {
    throw new WebhookInvalid("this is not a list of public keys");
  }
  return found;
}

/**
 * A verified body (bytes or text) as an event: {id, type, sequence, prevHash, logEpoch, objectId, version, data, bodyHash}.
 * Its object is the member of `data` that the type names: of deposit.final the deposit. `objectId` and `version` are null
 * where that has no versions (chain.*, a test); `sequence` and `prevHash` are null for a test; `bodyHash`, the SHA-256 of the
 * body in hex, is null for an event of a page, whose bytes nobody kept.
 */
export function readEvent(body) {
  try {
    return { ...eventOf(parseJson(body)), bodyHash: sha256(body) };
  } catch {
    throw new WebhookInvalid("the body is not an event");
  }
}

/**
 * Whether an event says anything new: "apply", "repeat" (the same event once more), "stale" (a newer version is applied
 * already) or "contradicts" (the same id with another body: keep both, each signed, and apply neither). `seen` is the
 * `bodyHash` stored with its id (true where only the id was kept), `held` the [logEpoch, version] its object stands at, or
 * null. Read both, and write what follows from them, in one transaction; answer 2xx, but for what contradicts.
 */
export function judge(event, { seen, held }) {
  if (seen) return seen === true || event.bodyHash === null || event.bodyHash === seen ? "repeat" : "contradicts";
  if (event.version !== null && held !== null) {
    const [epoch, version] = held;
    if (event.logEpoch < epoch || (event.logEpoch === epoch && event.version <= version)) return "stale";
  }
  return "apply";
}

/**
 * Finds what is missing from chainbell-prev-sequence; a gap is a reason to fetch, never to reject. Nothing is missing up
 * to `completeTo`: keep it with `logEpoch`, and start with both again. `start` is the sequence your endpoint began behind.
 * After a restored backup a log counts on from what the backup held, in a new epoch; then everything behind `start` counts
 * as missing until it is fetched.
 */
export class GapTracker {
  #ahead = new Map();

  constructor({ completeTo, logEpoch = 1, start = 0 }) {
    Object.assign(this, { completeTo, logEpoch, start });
  }

  /** Note one verified event: `sequence` and `logEpoch` of its body, and the header that came with it (null: none). */
  saw(sequence, prevSequence, logEpoch = 1) {
    if (logEpoch > this.logEpoch) {
      this.logEpoch = logEpoch;
      this.completeTo = Math.min(this.completeTo, this.start);
      this.#ahead.clear();
    }
    if (logEpoch < this.logEpoch || sequence <= this.completeTo) return;
    const before = prevSequence === null ? sequence - 1 : Math.min(prevSequence, sequence - 1);
    if (before <= this.completeTo || this.#ahead.size < AHEAD_MAX) {
      this.#ahead.set(sequence, before);
      this.#close();
    }
  }

  /** Note that everything up to this sequence is there now. */
  repaired(upTo) {
    this.completeTo = Math.max(this.completeTo, upTo);
    this.#close();
  }

  /** [after, upTo]: GET /v1/events?after_sequence=after has what is missing; null when nothing is. */
  get gap() {
    if (this.#ahead.size === 0) return null;
    let first = Infinity;
    for (const sequence of this.#ahead.keys()) first = Math.min(first, sequence);
    return [this.completeTo, this.#ahead.get(first)];
  }

  #close() {
    for (const sequence of [...this.#ahead.keys()].sort((one, other) => one - other)) {
      if (this.#ahead.get(sequence) > this.completeTo) break;
      this.completeTo = Math.max(this.completeTo, sequence);
      this.#ahead.delete(sequence);
    }
  }
}

/**
 * Closes the tracker's first gap by pulling it: `fetchPage(afterSequence)` asks GET /v1/events, `apply(event)` stands
 * repeats as it does for webhooks; both may be async. Returns how many events were handed on, ascending. The tracker
 * advances page by page, so an exception on the way loses nothing. GapRemains where the log does not reach so far (yet).
 */
export async function repair(tracker, fetchPage, apply) {
  const gap = tracker.gap;
  if (gap === null) return 0;
  let [after, upTo] = gap;
  let applied = 0;
  while (after < upTo) {
    const page = await fetchPage(after);
    const events = page.items.map(eventOf);
    let last = after;
    for (const event of events) {
      if (event.sequence === null || event.sequence <= last) {
        throw new GapRemains("the log does not answer in ascending order");
      }
      last = event.sequence;
      if (last <= upTo) {
        await apply(event);
        applied += 1;
      }
    }
    if (events.length === 0 && page.head_sequence < upTo) {
      throw new GapRemains(`the log ends at ${page.head_sequence}, before ${upTo}`);
    }
    after = events.length > 0 ? last : upTo;
    tracker.repaired(Math.min(after, upTo));
  }
  return applied;
}

/** A fetchPage by HTTP; give it the `types` of your endpoint's filter. Throws with the status of a refusal (410: not kept). */
export function pullPages(baseUrl, apiKey, { types = [] } = {}) {
  return async (afterSequence) => {
    const url = new URL("/v1/events", baseUrl);
    url.searchParams.set("after_sequence", String(afterSequence));
    url.searchParams.set("limit", String(PAGE_EVENTS_MAX));
    if (types.length > 0) url.searchParams.set("types", types.join(","));
    const answer = await fetch(url, {
      headers: { authorization: `Bearer ${apiKey}` },
      redirect: "error", // followed, it would carry the API key to another server
      signal: AbortSignal.timeout(PULL_TIMEOUT_MS),
    });
    if (!answer.ok) throw Object.assign(new Error(`chainbell answered ${answer.status}`), { status: answer.status });
    return answer.json();
  };
}

/**
 * Checks that consecutive [body, prevHash] of one log follow one another, the first behind `previousBody` where that is
 * known; throws WebhookInvalid where the chain breaks.
 */
export function verifyChain(bodies, previousBody = null) {
  let expected = previousBody === null ? null : sha256(previousBody);
  let position = 0;
  for (const [body, prevHash] of bodies) {
    if (expected !== null && expected !== prevHash) {
      throw new WebhookInvalid(`body ${position} does not follow the one before it`);
    }
    expected = sha256(body);
    position += 1;
  }
}

function readHeaders(headers) {
  const pairs = typeof headers?.entries === "function" ? [...headers.entries()] : Object.entries(headers ?? {});
  const found = new Map();
  for (const [name, value] of pairs) {
    const lower = name.toLowerCase();
    if (!HEADERS.has(lower) || typeof value !== "string") continue;
    if (found.has(lower)) throw new WebhookInvalid(`${lower} is there twice`);
    found.set(lower, value);
  }
  return found;
}

function isSignedBy(content, header, secrets, publicKeys) {
  const offered = parseSignatures(header);
  return (
    [...secrets].some((secret) => hmacMatches(secret, content, offered.get("v1") ?? [])) ||
    [...publicKeys].some((key) => isSigned(keyBytes(key, "whpk_"), content, offered.get("v1a") ?? []))
  );
}

function parseSignatures(header) {
  const offered = new Map();
  for (const part of header.split(" ", SIGNATURES_MAX)) {
    const [version, text, more] = part.split(",");
    if (more !== undefined) throw new WebhookInvalid("a list of signatures is there twice");
    if (text === undefined) continue;
    try {
      offered.set(version, [...(offered.get(version) ?? []), decodeBase64(text)]);
    } catch {
      continue;
    }
  }
  if (offered.size === 0) throw new WebhookInvalid("webhook-signature is missing or malformed");
  return offered;
}

function keyBytes(text, prefix) {
  try {
    return decodeKey(text, prefix);
  } catch (error) {
    throw new WebhookInvalid(error.message);
  }
}

function hmacMatches(secret, content, offered) {
  const expected = createHmac("sha256", keyBytes(secret, "whsec_")).update(content).digest();
  return offered.some((one) => one.length === expected.length && timingSafeEqual(one, expected));
}

function eventOf(parsed) {
  const notAnEvent = () => new WebhookInvalid("the body is not an event");
  const [id, type, data, sequence, prevHash, epoch] = ["id", "type", "data", "sequence", "prev_hash", "log_epoch"].map(
    (name) => member(parsed, name),
  );
  if (typeof id !== "string" || typeof type !== "string" || !isObject(data)) throw notAnEvent();
  if (prevHash !== null && typeof prevHash !== "string") throw notAnEvent();
  const subject = member(data, type.split(".")[0]);
  const hasVersions = member(subject, "id") !== undefined && member(subject, "version") !== undefined;
  if (hasVersions && typeof subject.id !== "string") throw notAnEvent();
  try {
    return {
      id,
      type,
      sequence: sequence === null ? null : parseWhole(sequence),
      prevHash,
      logEpoch: parseWhole(epoch),
      objectId: hasVersions ? subject.id : null,
      version: hasVersions ? parseWhole(subject.version) : null,
      data,
      bodyHash: null,
    };
  } catch {
    throw notAnEvent();
  }
}

function need(parsed, name) {
  const value = member(parsed, name);
  if (value === undefined) throw new Refused(`no ${name}`);
  return value;
}

/** Whole seconds, and whether there is a fraction beyond them. */
function unixTimeS(text) {
  const found = typeof text === "string" ? TIME.exec(text) : null;
  const time = found === null ? NaN : Date.parse(`${found[1]}Z`);
  if (Number.isNaN(time) || new Date(time).toISOString().slice(0, 19) !== found[1]) throw new Refused("not a time");
  return [time / 1000, /[1-9]/.test(found[2] ?? "")];
}

const isBefore = (timestampS, [untilS, andMore]) => timestampS < untilS || (timestampS === untilS && andMore);

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}
