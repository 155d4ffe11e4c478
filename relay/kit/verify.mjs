// What a receiver runs on Node 18 or newer: is this request from chainbell, is it fresh, does it say anything new, is
// anything missing? It stands alone, without a package to install: copy it. `relay/verify.py` is the same for Python;
// both pass `vectors.json`. What may not be believed is a WebhookInvalid, and verify() throws nothing else.
// Not here: a receiver's own storage (docs/webhooks.md).

import { createHash, createHmac, createPublicKey, timingSafeEqual, verify as verifySignature } from "node:crypto";

export const TOLERANCE_S = 300;
const SIGNATURES_MAX = 32; // more than any honest sender makes; what follows is not looked at
const AHEAD_MAX = 10_000; // events a tracker remembers beyond a gap; the gap itself is always remembered
const PAGE_EVENTS_MAX = 500;
const PULL_TIMEOUT_MS = 60_000;
const ED25519_SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex"); // what precedes the 32 bytes of a key in DER
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** This must not be believed; the message says why and holds no secret. */
export class WebhookInvalid extends Error {}

/** What is missing could not be had from the log; the message says why. */
export class GapRemains extends Error {}

/**
 * Returns {webhookId, timestampS, prevSequence} when one of `secrets` (whsec_…) or `publicKeys` (whpk_…) made a signature;
 * throws WebhookInvalid otherwise. `body` is the bytes as received, before any parsing; `headers` a Headers object or
 * request.headers. The timestamp may be `toleranceS` off `nowS` (Unix time) in either direction.
 */
export function verify(body, headers, options = {}) {
  if (typeof body !== "string" && !(body instanceof Uint8Array)) {
    throw new WebhookInvalid("the body is given as the bytes received, not as what a parser made of them");
  }
  const { secrets = [], publicKeys = [], nowS = Date.now() / 1000, toleranceS = TOLERANCE_S } = options;
  const found = readHeaders(headers);
  const webhookId = found.get("webhook-id") ?? "";
  const timestamp = found.get("webhook-timestamp") ?? "";
  if (!/^[\x00-\x2d\x2f-\x7f]+$/.test(webhookId)) {
    throw new WebhookInvalid("webhook-id is missing or malformed");
  }
  if (!/^[0-9]{1,12}$/.test(timestamp)) {
    throw new WebhookInvalid("webhook-timestamp is missing or malformed");
  }
  if (!(Math.abs(nowS - Number(timestamp)) <= toleranceS)) {
    throw new WebhookInvalid("webhook-timestamp is too old or in the future: check this machine's clock");
  }
  const content = Buffer.concat([Buffer.from(`${webhookId}.${timestamp}.`), Buffer.from(body)]);
  const offered = parseSignatures(found.get("webhook-signature") ?? "");
  const known =
    secrets.some((secret) => hmacMatches(secret, content, offered.v1)) ||
    publicKeys.some((key) => ed25519Matches(key, content, offered.v1a));
  if (!known) {
    throw new WebhookInvalid("no signature of this request was made with a key we know");
  }
  const prev = found.get("chainbell-prev-sequence") ?? "";
  return {
    webhookId,
    timestampS: Number(timestamp),
    prevSequence: /^[0-9]{1,19}$/.test(prev) ? Number(prev) : null,
  };
}

/**
 * The public keys of a list (/.well-known/chainbell/…/keys.json, as text) that may have signed at this Unix time: the
 * request's webhook-timestamp, which verify() holds against the clock. Only those of one endpoint where that is given.
 */
export function publicKeysAt(document, timestampS, { endpointId = null } = {}) {
  try {
    return JSON.parse(document)
      .keys.filter(
        (key) =>
          key.algorithm === "ed25519" &&
          (endpointId === null || endpointId === key.endpoint_id) &&
          Math.floor(unixTimeS(key.valid_from)) <= timestampS &&
          (key.valid_until === null || timestampS < unixTimeS(key.valid_until)),
      )
      .map((key) => key.public_key);
  } catch {
    throw new WebhookInvalid("this is not a list of public keys");
  }
}

/**
 * A verified body (bytes or text) as an event: {id, type, sequence, prevHash, logEpoch, objectId, version, data}.
 * `objectId` and `version` are null where it tells of nothing that has versions (chain.*, a test); `sequence` and
 * `prevHash` are null for a test.
 */
export function readEvent(body) {
  let parsed;
  try {
    parsed = JSON.parse(Buffer.from(body).toString("utf8"));
  } catch {
    throw new WebhookInvalid("the body is not an event");
  }
  return eventOf(parsed);
}

/**
 * Whether an event says anything new: "apply", "repeat" (the same event once more) or "stale" (a newer version is applied
 * already). `seen` is whether its id is stored, `held` the [logEpoch, version] its object stands at, or null. Read both,
 * and write what follows from them, in one transaction; answer 2xx in every case.
 */
export function judge(event, { seen, held }) {
  if (seen) return "repeat";
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
  bodies.forEach(([body, prevHash], position) => {
    if (expected !== null && expected !== prevHash) {
      throw new WebhookInvalid(`body ${position} does not follow the one before it`);
    }
    expected = sha256(body);
  });
}

function readHeaders(headers) {
  const pairs = typeof headers?.entries === "function" ? [...headers.entries()] : Object.entries(headers ?? {});
  return new Map(pairs.filter(([, value]) => typeof value === "string").map(([name, value]) => [name.toLowerCase(), value]));
}

function parseSignatures(header) {
  const offered = { v1: [], v1a: [] };
  let found = false;
  for (const part of header.split(" ", SIGNATURES_MAX)) {
    const comma = part.indexOf(",");
    const text = part.slice(comma + 1);
    if (comma < 0 || !BASE64.test(text)) continue;
    found = true;
    const version = part.slice(0, comma);
    if (version === "v1" || version === "v1a") offered[version].push(Buffer.from(text, "base64"));
  }
  if (!found) throw new WebhookInvalid("webhook-signature is missing or malformed");
  return offered;
}

function keyBytes(text, prefix) {
  const encoded = String(text).slice(prefix.length);
  if (!String(text).startsWith(prefix)) throw new WebhookInvalid(`the configured key does not start with ${prefix}`);
  if (!BASE64.test(encoded)) throw new WebhookInvalid(`what follows ${prefix} in the configured key is not base64`);
  return Buffer.from(encoded, "base64");
}

function hmacMatches(secret, content, offered) {
  const expected = createHmac("sha256", keyBytes(secret, "whsec_")).update(content).digest();
  return offered.some((one) => one.length === expected.length && timingSafeEqual(one, expected));
}

function ed25519Matches(publicKey, content, offered) {
  const raw = keyBytes(publicKey, "whpk_");
  if (raw.length !== 32) throw new WebhookInvalid("the configured public key is not an Ed25519 key");
  const key = createPublicKey({ key: Buffer.concat([ED25519_SPKI_PREFIX, raw]), format: "der", type: "spki" });
  return offered.some((one) => verifySignature(null, content, key, one));
}

function eventOf(parsed) {
  const data = parsed?.data;
  const isObject = (one) => one !== null && typeof one === "object" && !Array.isArray(one);
  const subject = isObject(data) ? Object.values(data).find((one) => isObject(one) && "id" in one && "version" in one) : null;
  const event = {
    id: parsed?.id,
    type: parsed?.type,
    sequence: parsed?.sequence,
    prevHash: parsed?.prev_hash,
    logEpoch: parsed?.log_epoch,
    objectId: subject?.id ?? null,
    version: subject?.version ?? null,
    data,
  };
  const texts = [event.id, event.type, event.prevHash ?? "", event.objectId ?? ""];
  const whole = [event.logEpoch, event.sequence ?? 0, event.version ?? 0];
  const complete = isObject(data) && event.sequence !== undefined && event.prevHash !== undefined;
  const versioned = !subject || (event.objectId !== null && event.version !== null);
  if (!complete || !versioned || texts.some((one) => typeof one !== "string") || !whole.every(Number.isSafeInteger)) {
    throw new WebhookInvalid("the body is not an event");
  }
  return event;
}

function unixTimeS(text) {
  const time = Date.parse(text);
  if (typeof text !== "string" || Number.isNaN(time)) throw new TypeError("not a time");
  return time / 1000;
}

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}
