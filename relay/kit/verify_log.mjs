// What holds a merchant's log against what its operator signed, on Node 18 or newer: was anything rewritten, dropped, or dated
// back? With strict.mjs it stands alone: copy both. `relay/verify_log.py` is the same for Python, and a test holds them against
// each other. What shows nothing is a ProofInvalid, and nothing else is thrown. Not here: webhooks (verify.mjs).

import { createHash } from "node:crypto";
import { Refused, decodeBase64, decodeKey, isSigned, isUnsound, member, parseJson, parseWhole } from "./strict.mjs";

const NOTE_LENGTH_MAX = 16_384;
const KEY_LIST_LENGTH_MAX = 262_144; // a merchant has at most a hundred endpoints, each with ten keys that are listed
const SIGNATURES_MAX = 32; // more than any honest signer makes; what follows is not looked at
const PATH_HASHES_MAX = 64; // a tree of 2**62 leaves needs fewer; a longer path is nobody's honest answer
const DATED_BACK_MAX_S = 300; // a list of keys may be signed so long before a change that had begun stands in the database
const ED25519 = 1;
const COSIGNATURE = 4;
const CHECKPOINT =
  /^(chainbell\/log\/(mer_[0-9a-z]{26})\/([1-9][0-9]{0,9})\/(0|[1-9][0-9]{0,14}))\n([1-9][0-9]{0,14})\n([A-Za-z0-9+/]{43}=)\n$/;
const PROOF = /^c2sp\.org\/tlog-proof@v1\n(?:extra [A-Za-z0-9+/=]*\n)?index (0|[1-9][0-9]{0,14})\n((?:[A-Za-z0-9+/]{43}=\n)*)\n/;
const ANCHOR = /^(?:0x)?(?:6a24)?63626c31([0-9a-f]{64})$/i; // "cbl1" and the hash, as calldata or behind OP_RETURN
const VERIFIER_KEY = /^([!-*,-~]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{44})$/;
const TIME = /^[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z$/;

/** This checkpoint or proof shows nothing, or the log is not the one that was signed; the message says why. */
export class ProofInvalid extends Error {}

/**
 * The log says itself, by its epoch, that a restored backup lacked events which an earlier checkpoint holds. What stood before
 * is still to be shown: hold the new checkpoint against one you kept of at most its `epochAfter`.
 */
export class HistoryLost extends ProofInvalid {}

/**
 * What `note` says of the log of `merchantId`, if `publicKey` (whpk_…, the one you noted when you first met this log) signed
 * it: {merchantId, size, rootHash, logEpoch, epochAfter, timeS, witnesses}. `witnesses` are verifier keys of those you trust;
 * the answer names those who signed along.
 */
export function verifyCheckpoint(note, { merchantId, publicKey, witnesses = [] }) {
  const [text, lines] = splitNote(note);
  const found = CHECKPOINT.exec(text);
  if (found === null) throw new ProofInvalid("this is not a checkpoint of chainbell");
  const rawKey = keyBytes(publicKey);
  const [logEpoch, epochAfter, size] = found.slice(3, 6).map(Number);
  if (found[2] !== merchantId) throw new ProofInvalid("this is a checkpoint of another log");
  if (epochAfter > size || (logEpoch === 1 && epochAfter > 0)) throw new ProofInvalid("no log began its epoch there");
  const times = cosigned(text, lines, found[1], rawKey);
  if (times.length === 0 || !isSigned(rawKey, Buffer.from(text), signaturesOf(lines, found[1], rawKey, ED25519))) {
    throw new ProofInvalid("the key we know did not sign this checkpoint");
  }
  const rootHash = decodeHash(found[6]);
  const cosigners = witnesses.map(parseWitness).filter(([name, raw]) => cosigned(text, lines, name, raw).length > 0);
  const timeS = Math.max(...times);
  return { merchantId, size, rootHash, logEpoch, epochAfter, timeS, witnesses: cosigners.map(([name]) => name) };
}

/** Checks that this event (the bytes as received) stands in the log of `checkpoint`; `path` is hashes in hex. */
export function verifyInclusion(body, path, checkpoint) {
  checkPlace(body, parsePath(path), checkpoint);
}

/** Checks one event by one file, offline: `proof` is GET /v1/events/{id}/tlog-proof. Returns its checkpoint. */
export function verifyProof(proof, body, { merchantId, publicKey, witnesses = [] }) {
  const found = PROOF.exec(proof.slice(0, 2 * NOTE_LENGTH_MAX));
  const hashes = found === null ? [] : found[2].split("\n").slice(0, -1);
  if (found === null || hashes.length > PATH_HASHES_MAX) throw new ProofInvalid("this is not a tlog-proof");
  const checkpoint = verifyCheckpoint(proof.slice(found[0].length), { merchantId, publicKey, witnesses });
  if (checkPlace(body, hashes.map(decodeHash), checkpoint) !== Number(found[1]) + 1) {
    throw new ProofInvalid("this proof is of another event");
  }
  return checkpoint;
}

/**
 * Checks that the log of `second` is the log of `first`, which you kept, and what was told since. `path` is hashes in hex.
 * HistoryLost where a later epoch admits that it began before the end of `first`.
 */
export function verifyConsistency(first, second, path) {
  if (first.merchantId !== second.merchantId) throw new ProofInvalid("these are checkpoints of two logs");
  if (second.logEpoch === first.logEpoch && second.epochAfter !== first.epochAfter) {
    throw new ProofInvalid("two beginnings of one epoch were signed");
  }
  if (second.timeS < first.timeS) throw new ProofInvalid("the second checkpoint was signed before the first");
  if (second.logEpoch > first.logEpoch && second.epochAfter < first.size) {
    const began = `epoch ${second.logEpoch} goes on behind ${second.epochAfter} events`;
    throw new HistoryLost(`${began}, ${first.size} had been signed`);
  }
  if (second.logEpoch < first.logEpoch || second.size < first.size) {
    throw new ProofInvalid("the second checkpoint is of an earlier log than the first");
  }
  const hashes = parsePath(path);
  if (first.size === second.size) {
    if (hashes.length > 0 || !first.rootHash.equals(second.rootHash)) {
      throw new ProofInvalid("the log was rewritten: two logs of one size were signed");
    }
    return;
  }
  let [place, last] = [first.size - 1, second.size - 1];
  while (place % 2 === 1) [place, last] = [half(place), half(last)];
  if (place === 0) hashes.unshift(first.rootHash); // the first tree is a perfect subtree of the second
  if (hashes.length === 0) throw new ProofInvalid("the path is too short");
  const [inner, outer] = climb(hashes[0], hashes.slice(1), place, last);
  if (!inner.equals(first.rootHash) || !outer.equals(second.rootHash)) {
    throw new ProofInvalid("the log was rewritten: it does not continue the one that was signed before");
  }
}

/** Checks that these are all bodies of the log of `checkpoint`, in their order. Needs no proof. */
export function verifyBodies(bodies, checkpoint) {
  const peaks = [];
  let count = 0;
  for (const body of bodies) {
    let root = leafOf(body);
    count += 1;
    for (let left = count; left % 2 === 0; left = half(left)) root = nodeOf(peaks.pop(), root);
    peaks.push(root);
  }
  if (count !== checkpoint.size) throw new ProofInvalid(`${checkpoint.size} events were signed, these are ${count}`);
  let root = peaks.pop();
  while (peaks.length > 0) root = nodeOf(peaks.pop(), root);
  if (!root.equals(checkpoint.rootHash)) throw new ProofInvalid("these are not the events that were signed");
}

/**
 * Checks that a transaction holds the hash of exactly this note, which therefore existed when its block was made. `anchored` is
 * its input data, or the script of one of its outputs, in hex. Whose note it is, verifyCheckpoint says.
 */
export function verifyAnchor(note, anchored) {
  const found = typeof anchored === "string" ? ANCHOR.exec(anchored) : null;
  if (found === null) throw new ProofInvalid("this holds no note of chainbell");
  if (typeof note !== "string" || note.length > NOTE_LENGTH_MAX) {
    throw new ProofInvalid("this is no note, or too long for one");
  }
  if (createHash("sha256").update(note, "utf8").digest("hex") !== found[1].toLowerCase()) {
    throw new ProofInvalid("another note was anchored");
  }
}

/** Checks that the key of the log signed this list of webhook keys (keys.json, its bytes); returns when, in Unix time. */
export function verifyKeyList(document, { merchantId, publicKey }) {
  const [note, keys] = readKeyList(document);
  const name = `chainbell/keys/${merchantId}`;
  const [text, signatures] = splitNote(note, KEY_LIST_LENGTH_MAX);
  const [title, time, ...lines] = text.split("\n").slice(0, -1);
  const told = [...keys].map(([key, [begun, until]]) => `${key} ${begun} ${until ?? "-"}`);
  if (title !== name || !/^time [1-9][0-9]{0,11}$/.test(time ?? "") || lines.join("\n") !== told.join("\n")) {
    throw new ProofInvalid("this is not what was signed of the keys");
  }
  const rawKey = keyBytes(publicKey);
  if (!isSigned(rawKey, Buffer.from(text), signaturesOf(signatures, name, rawKey, ED25519))) {
    throw new ProofInvalid("the key of the log did not sign this list");
  }
  return Number(time.slice(5));
}

/**
 * Checks that between two signed lists, of which you kept the first, no key was dated back. Keys may come, end and go; one that
 * was not there may not have begun before, nor an end once told be another.
 */
export function verifyKeyGrowth(first, second, { merchantId, publicKey }) {
  const [wasS, isS] = [first, second].map((one) => verifyKeyList(one, { merchantId, publicKey }));
  if (isS < wasS) throw new ProofInvalid("the second list was signed before the first");
  const [, before] = readKeyList(first);
  const horizonS = wasS - DATED_BACK_MAX_S;
  for (const [key, [begun, until]] of readKeyList(second)[1]) {
    const was = before.get(key);
    if (was === undefined) {
      if (unixTimeS(begun) < horizonS) throw new ProofInvalid(`${key} was dated back: it was not listed then`);
      continue;
    }
    if (was[0] !== begun) throw new ProofInvalid(`${key} has another beginning than it had`);
    if (was[1] !== until && (was[1] !== null || unixTimeS(until) < horizonS)) {
      throw new ProofInvalid(`${key} has another end than it had, or ended before anybody was told`);
    }
  }
}

function readKeyList(document) {
  const keys = new Map();
  try {
    const parsed = parseJson(document);
    const [note, rows] = [member(parsed, "note"), member(parsed, "keys")];
    if (typeof note !== "string" || !Array.isArray(rows)) throw new Refused("no list");
    for (const row of rows) {
      const [end, key, begun, until] = ["endpoint_id", "public_key", "valid_from", "valid_until"].map((name) => member(row, name));
      const isWhole =
        matches(end, /^end_[0-9a-z]{26}$/) &&
        matches(key, /^whpk_[A-Za-z0-9+/]{43}=$/) &&
        matches(begun, TIME) &&
        (until === null || matches(until, TIME));
      if (!isWhole || keys.has(`${end} ${key}`)) throw new Refused("out of form");
      keys.set(`${end} ${key}`, [begun, until]);
    }
    return [note, keys];
  } catch {
    throw new ProofInvalid("this is not a signed list of public keys");
  }
}

const matches = (value, form) => typeof value === "string" && form.test(value);

function unixTimeS(text) {
  const whole = (text ?? "").slice(0, 19);
  const time = Date.parse(`${whole}Z`);
  if (Number.isNaN(time) || new Date(time).toISOString().slice(0, 19) !== whole) throw new ProofInvalid("this is not a time");
  return time / 1000;
}

const half = (number) => Math.floor(number / 2); // not >> 1, which knows 32 bits

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

const leafOf = (body) => sha256(Buffer.from([0]), sha256(body));

const nodeOf = (left, right) => sha256(Buffer.from([1]), left, right);

/** From a subtree at `place` of a row whose last is `last` to the roots: of the tree that ends with it, and of all. */
function climb(start, path, place, last) {
  let [inner, outer] = [start, start];
  for (const other of path) {
    if (last === 0) throw new ProofInvalid("the path is too long");
    if (place % 2 === 1 || place === last) {
      [inner, outer] = [nodeOf(other, inner), nodeOf(other, outer)];
      while (place > 0 && place % 2 === 0) [place, last] = [half(place), half(last)];
    } else {
      outer = nodeOf(outer, other);
    }
    [place, last] = [half(place), half(last)];
  }
  if (last > 0) throw new ProofInvalid("the path is too short");
  return [inner, outer];
}

function checkPlace(body, path, checkpoint) {
  let sequence, merchantId;
  try {
    const event = parseJson(body);
    [sequence, merchantId] = [parseWhole(member(event, "sequence")), member(event, "merchant_id")];
  } catch {
    throw new ProofInvalid("this is not the body of an event that has a place in the log");
  }
  if (merchantId !== checkpoint.merchantId || sequence < 1 || sequence > checkpoint.size) {
    throw new ProofInvalid("this checkpoint does not speak of this event");
  }
  const [, root] = climb(leafOf(body), path, sequence - 1, checkpoint.size - 1);
  if (!root.equals(checkpoint.rootHash)) throw new ProofInvalid("this event does not stand there in the log that was signed");
  return sequence;
}

function parsePath(path) {
  if (!Array.isArray(path) || path.length > PATH_HASHES_MAX || !path.every((one) => matches(one, /^[0-9a-f]{64}$/))) {
    throw new ProofInvalid(`a path is a list of at most ${PATH_HASHES_MAX} hashes in hex`);
  }
  return path.map((one) => Buffer.from(one, "hex"));
}

function decodeHash(text) {
  try {
    return decodeBase64(text);
  } catch {
    throw new ProofInvalid("this is not how a hash is written");
  }
}

/** The text, which has no empty line, and the signature lines. */
function splitNote(note, lengthMax = NOTE_LENGTH_MAX) {
  if (typeof note !== "string" || [...note].length > lengthMax) throw new ProofInvalid("this is no note, or too long for one");
  const end = note.indexOf("\n\n");
  if (end < 0) throw new ProofInvalid("this note is not signed");
  return [note.slice(0, end + 1), note.slice(end + 2).split("\n", SIGNATURES_MAX)];
}

/** What the key with this name and kind signed; others on the same note are not ours to judge. */
function signaturesOf(lines, name, rawKey, kind) {
  const keyId = sha256(Buffer.from(`${name}\n`), Buffer.from([kind]), rawKey).subarray(0, 4);
  const prefix = `\u2014 ${name} `;
  const found = [];
  for (const line of lines) {
    try {
      const raw = line.startsWith(prefix) ? decodeBase64(line.slice(prefix.length)) : Buffer.alloc(0);
      if (raw.subarray(0, 4).equals(keyId)) found.push(raw.subarray(4));
    } catch {
      continue;
    }
  }
  return found;
}

/** When (Unix time) the key signed along, as C2SP tlog-cosignature says. */
function cosigned(text, lines, name, rawKey) {
  const times = [];
  for (const raw of signaturesOf(lines, name, rawKey, COSIGNATURE)) {
    const timeS = raw.length === 72 ? Number(raw.readBigUInt64BE(0)) : NaN;
    const content = Buffer.from(`cosignature/v1\ntime ${timeS}\n${text}`);
    if (Number.isSafeInteger(timeS) && isSigned(rawKey, content, [raw.subarray(8)])) times.push(timeS);
  }
  return times;
}

function parseWitness(verifierKey) {
  const found = VERIFIER_KEY.exec(verifierKey);
  const raw = found === null ? Buffer.alloc(0) : decodeHash(found[3]);
  if (raw.length !== 33 || raw[0] !== COSIGNATURE || isUnsound(raw.subarray(1))) {
    throw new ProofInvalid("this is not the verifier key of a witness");
  }
  if (sha256(Buffer.from(`${found[1]}\n`), raw).toString("hex").slice(0, 8) !== found[2]) {
    throw new ProofInvalid("this verifier key contradicts itself");
  }
  return [found[1], raw.subarray(1)];
}

function keyBytes(text) {
  try {
    return decodeKey(text, "whpk_");
  } catch (error) {
    throw new ProofInvalid(error.message);
  }
}
