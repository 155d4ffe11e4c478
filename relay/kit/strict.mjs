// What both kits read in one way only, whatever language they are written in: JSON, whole numbers, base64, Ed25519. Shared by
// verify.mjs and verify_log.mjs, and copied with them. `relay/strict.py` is the same for Python, and a test holds them against
// each other. What is refused is a Refused, which they turn into their own.

import { createPublicKey, verify as verifySignature } from "node:crypto";

const DEPTH_MAX = 100;
const SECRET_BYTES_MIN = 24;
const SECRET_BYTES_MAX = 64;
const ED25519_SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex"); // what precedes the 32 bytes of a key in DER
// The end of the text ends a string, too, so that each character is looked at once, whatever stands there.
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?$)/gs;
const UNSOUND_POINT = new RegExp(
  "^(?:0[01](?:00){31}|ec(?:ff){30}7f|26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05|" +
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a|(?:e[d-f]|f.)(?:ff){30}7f)$",
);

/** What is written in another way than both kits read. */
export class Refused extends Error {}

export const isObject = (one) => one !== null && typeof one === "object" && !Array.isArray(one);

/** A member of a parsed object, not of what all objects have; undefined where it is none. */
export const member = (parsed, name) => (isObject(parsed) && Object.hasOwn(parsed, name) ? parsed[name] : undefined);

/** Bytes or text: UTF-8 without a mark, nested at most DEPTH_MAX deep; of a name that is there twice, the last. */
export function parseJson(raw) {
  try {
    const text = typeof raw === "string" ? raw : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
    let depth = 0;
    for (const [bracket] of text.replace(STRING, "").matchAll(/[[\]{}]/g)) {
      depth += bracket === "[" || bracket === "{" ? 1 : -1;
      if (depth > DEPTH_MAX) throw new Refused("nested too deep");
    }
    return JSON.parse(text);
  } catch {
    throw new Refused("this is not JSON as it is read here");
  }
}

/** 7 and 7.0 are one number in JSON; below zero, and what not every language can count, is none of ours. */
export function parseWhole(value) {
  if (!Number.isSafeInteger(value) || value < 0) throw new Refused("this is not a whole number");
  return value + 0; // -0 is 0
}

/** RFC 4648 section 4, in its one spelling. */
export function decodeBase64(text) {
  const raw = Buffer.from(text, "base64");
  if (raw.toString("base64") !== text) throw new Refused("this is not how these bytes are written");
  return raw;
}

/** The bytes of whsec_… (24 to 64), or those of whpk_…: 32, and a sound Ed25519 key. */
export function decodeKey(text, prefix) {
  if (typeof text !== "string" || !text.startsWith(prefix)) {
    throw new Refused(`the configured key does not start with ${prefix}`);
  }
  let raw;
  try {
    raw = decodeBase64(text.slice(prefix.length));
  } catch {
    throw new Refused(`what follows ${prefix} in the configured key is not base64`);
  }
  if (prefix === "whsec_" && !(SECRET_BYTES_MIN <= raw.length && raw.length <= SECRET_BYTES_MAX)) {
    throw new Refused(`a secret has ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX} bytes`);
  }
  if (prefix === "whpk_" && (raw.length !== 32 || isUnsound(raw))) throw new Refused("this is not a sound Ed25519 key");
  return raw;
}

/** Whether it is of small order, under which anybody signs, or not written as RFC 8032 says; its sign is no matter. */
export function isUnsound(point) {
  const positive = Buffer.from(point);
  positive[31] &= 0x7f;
  return UNSOUND_POINT.test(positive.toString("hex"));
}

/** Whether one of these is this key's signature of the content. */
export function isSigned(rawKey, content, offered) {
  return offered.some((signature) => {
    if (signature.length !== 64 || isUnsound(signature.subarray(0, 32))) return false;
    try {
      const key = createPublicKey({ key: Buffer.concat([ED25519_SPKI_PREFIX, rawKey]), format: "der", type: "spki" });
      return verifySignature(null, content, key, signature);
    } catch {
      return false; // no point of the curve
    }
  });
}
