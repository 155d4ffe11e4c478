// What holds a deposit against its chain, on Node 18 or newer: did this value reach that address, in the block with this
// hash? It stands alone, without a package to install: copy it. `verify_deposit.py` is the same for Python. The block's hash
// must come from somebody else than whoever gave the proof (docs/proofs.md). What shows nothing is a ProofInvalid, and
// verifyDeposit() throws nothing else.

import { createHash, scryptSync } from "node:crypto";

export const FORMAT = "chainbell-proof-1";
const PROOF_BYTES_MAX = 4 * 1024 * 1024; // of header and nodes together
const TEXT_LENGTH_MAX = 12 * 1024 * 1024;
const DEPTH_MAX = 32; // of the JSON; a proof needs three
const OPENINGS_MAX = 2_000; // of brackets and braces in the text, those in strings too
const NODES_MAX = 12; // of one path; the key of item 65,535 has six half bytes
const BRANCH_MAX = 30; // hashes beside the way from a transaction of Bitcoin's family to its root
const HEADERS_MAX = 144; // that follow the block in a proof of Bitcoin's family: a day of them
const SIGNED_HEADER_BYTES_MAX = 1_024; // of Tron's; one has about 105
const LEAF_BYTES_MAX = 512 * 1024;
const FIELDS_MAX = 1_000; // of one message of Tron's; a transaction has a dozen
const HEADER_FIELDS = [15, 26]; // with a 27th, Avalanche's does not commit to its own receipts (ACP-194)
const AMOUNT_LENGTH_MAX = 78;
const TRANSFER_TOPIC = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"; // Transfer(address,address,uint256)

/** This shows no deposit in the block with that hash; the message says why. */
export class ProofInvalid extends Error {}

/**
 * Returns what `proof` (the JSON as received, or parsed) shows of the block with `blockHash` (hex or 32 bytes):
 * {depositId, merchantId, chain, asset, kind, recipient, n, amountBaseUnits (a BigInt), txHash, height, blockHash, timeS,
 * headersCount, work (a BigInt), witness, signer, byAgreement}. Hashes and recipient are hex as the chain's nodes show them:
 * "0x…" on EVM chains; bare, and
 * the output's script, in Bitcoin's family; bare, and with its 41, on Tron. In Bitcoin's family `height` is only claimed, and
 * `work` is how many hashes the block and the
 * headers linked to it (`headersCount` in all) stand for, 0 where it is not checked.
 * `blockHash` is what a node you trust calls the canonical block of the proof's chain at the proof's height; whether that
 * block is final is a question to the same node. On Tron `signer` made the block's signature, for the `witness` that the
 * header names (often the same), and `byAgreement` are the words for what no header covers: "witness-schedule" (whether it
 * was that witness's turn), and of a token "logs": shown is a call that succeeded and asked for this transfer, not what the
 * contract logged. `signers` are the addresses (T…, or hex with 41) whose keys you accept under a block of Tron's;
 * without them any key will do, and the answer names it. Where nobody signs blocks, a proof with `signers` is refused.
 */
export function verifyDeposit(proof, blockHash, { signers = null } = {}) {
  const found = parseProof(proof);
  const claim = readClaim(found);
  if (claim.chain.startsWith("tron:")) return verifySigned(found, claim, wantedHash(blockHash, ""), signers);
  if (signers !== null) throw new ProofInvalid("blocks of this chain are signed by nobody who could be named");
  if (claim.kind === "utxo") return verifyOutput(found, claim, wantedHash(blockHash, ""));
  const wanted = wantedHash(blockHash);
  const headerBytes = bytesOf(found.header, "header");
  const paths = ["transaction", "receipt"].map((name) => nodesOf(found[name], name));
  const size = [headerBytes, ...paths.flat()].reduce((sum, one) => sum + one.length, 0);
  if (size > PROOF_BYTES_MAX) throw new ProofInvalid(`a proof has at most ${PROOF_BYTES_MAX} bytes`);
  const block = member(found, "block");
  if (!bytesOf(block.hash, "block.hash").equals(wanted) || !keccak256(headerBytes).equals(wanted)) {
    throw new ProofInvalid("this is the proof of another block");
  }
  const header = readHeader(headerBytes);
  if (BigInt(wholeOf(block.height, "block.height")) !== header.height) {
    throw new ProofInvalid("the block has another height than the proof says");
  }
  const key = keyOf(wholeOf(found.index, "index"));
  const envelope = walk(paths[0], header.transactionsRoot, key, "transaction");
  const receipt = walk(paths[1], header.receiptsRoot, key, "receipt");
  if (!keccak256(envelope).equals(claim.txHash)) {
    throw new ProofInvalid("another transaction stands at that place of the block");
  }
  checkAmount(claim, findAmount(claim, envelope, receipt));
  return prove(claim, { height: Number(header.height), blockHash: hexOf(wanted), timeS: Number(header.timeS) });
}

function checkAmount(claim, amount) {
  if (amount !== claim.amount) throw new ProofInvalid(`the chain says ${amount} base units, and the proof ${claim.amount}`);
}

function prove(claim, seen) {
  const { depositId, merchantId, chain, asset, kind, n, amount, prefix } = claim;
  const [recipient, txHash] = [claim.recipient, claim.txHash].map((one) => prefix + one.toString("hex"));
  const about = { depositId, merchantId, chain, asset, kind, recipient, n, amountBaseUnits: amount, txHash };
  return { ...about, headersCount: 1, work: 0n, witness: "", signer: "", byAgreement: [], ...seen };
}

/** Checks that this event, by itself believed (verify, an inclusion proof), tells of what was proven; ProofInvalid. */
export function checkTold(proven, body) {
  let said;
  try {
    const event = JSON.parse(typeof body === "string" ? body : decodeText(body));
    const told = event.data.deposit;
    said = [event.merchant_id, told.id, told.tx_hash, told.amount_base_units, told.block.hash];
  } catch {
    throw new ProofInvalid("this is not the body of an event about a deposit in a block");
  }
  const { merchantId, depositId, txHash, amountBaseUnits, blockHash } = proven;
  const expected = [merchantId, depositId, txHash, String(amountBaseUnits), blockHash];
  if (!expected.every((one, place) => one === said[place])) throw new ProofInvalid("this event tells of something else");
}

/** The members of a proof as received, or as parsed before; ProofInvalid for no JSON object, or one nested deeply. */
export function parseProof(proof) {
  let found = proof;
  if (typeof proof === "string" || proof instanceof Uint8Array) {
    if (proof.length > TEXT_LENGTH_MAX) throw new ProofInvalid(`a proof has at most ${TEXT_LENGTH_MAX} bytes as text`);
    let text = "";
    try {
      text = typeof proof === "string" ? proof : decodeText(proof);
    } catch {
      throw new ProofInvalid("this is not JSON");
    }
    if (text.split(/[[{]/, OPENINGS_MAX + 2).length > OPENINGS_MAX + 1) {
      throw new ProofInvalid("no proof has so many lists and objects");
    }
    try {
      found = JSON.parse(text);
    } catch {
      throw new ProofInvalid("this is not JSON");
    }
  }
  if (!isObject(found)) throw new ProofInvalid("a proof is a JSON object");
  let level = [found];
  for (let depth = 0; depth < DEPTH_MAX; depth += 1) {
    level = level.flatMap((one) => Object.values(one).filter((inner) => inner !== null && typeof inner === "object"));
  }
  if (level.length > 0) throw new ProofInvalid(`a proof is nested at most ${DEPTH_MAX} deep`);
  return found;
}

const decodeText = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const hexOf = (bytes) => `0x${bytes.toString("hex")}`;

// --- what the proof says -------------------------------------------------------------------------------------------

const CHAIN = /^(?:eip155:[1-9][0-9]{0,31}|bip122:[0-9a-f]{32}|tron:0x[0-9a-f]{8})$/;
const NATIVE = /^\/slip44:(?:0|[1-9][0-9]{0,9})$/;
const MERCHANT = /^mer_[0-7][0-9a-hjkmnp-tv-z]{25}$/;
const AMOUNT = new RegExp(`^[1-9][0-9]{0,${AMOUNT_LENGTH_MAX - 1}}$`);
const TOKENS = new Map([
  ["token", "trc20"],
  ["trc10", "trc10"],
]);
const REFERENCES = { trc20: /^t[1-9a-z]{33}$/, trc10: /^[1-9][0-9]{0,18}$/ }; // on Tron; a contract in lower case
const CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz";

/** Who the deposit is, its id computed anew (the first 16 bytes of SHA-256 over what identifies it). */
function readClaim(proof) {
  if (own(proof, "format") !== FORMAT) throw new ProofInvalid(`this is no proof of the format ${FORMAT}`);
  const chain = textOf(own(proof, "chain"), CHAIN, "chain");
  const deposit = member(proof, "deposit");
  if (own(deposit, "chain") !== chain) throw new ProofInvalid("the deposit is of another chain than the proof");
  const [kind, asset] = [own(deposit, "kind"), own(deposit, "asset")];
  const [isUtxo, isTron] = [chain.startsWith("bip122:"), chain.startsWith("tron:")];
  const prefix = isUtxo || isTron ? "" : "0x";
  let name = kind === "token" && !isUtxo ? "erc20" : "";
  if (isTron) name = TOKENS.get(kind) ?? "";
  let contract = null;
  if (name && typeof asset === "string" && asset.startsWith(`${chain}/${name}:`)) {
    const reference = asset.slice(chain.length + name.length + 2);
    contract = isTron ? textOf(reference, REFERENCES[name], "contract") : bytesOf(reference, "contract", 20);
  } else if (
    kind !== (isUtxo ? "utxo" : "native") ||
    typeof asset !== "string" ||
    !asset.startsWith(chain) ||
    !NATIVE.test(asset.slice(chain.length))
  ) {
    throw new ProofInvalid("a proof is of a token's transfer or of the chain's coin, and its asset says so");
  }
  const merchantId = textOf(own(deposit, "merchant_id"), MERCHANT, "merchant_id");
  const recipient = bytesOf(own(deposit, "recipient"), "recipient", isUtxo ? null : isTron ? 21 : 20, prefix);
  const txHash = bytesOf(own(deposit, "tx_hash"), "tx_hash", 32, prefix);
  const n = wholeOf(own(deposit, "n"), "n");
  const amount = BigInt(textOf(own(deposit, "amount_base_units"), AMOUNT, "amount_base_units"));
  const [tx, to] = [txHash, recipient].map((one) => prefix + one.toString("hex"));
  const lines = ["chainbell-deposit-1", merchantId, chain, tx, kind, asset, to, String(n)];
  const digest = createHash("sha256").update(lines.join("\n")).digest("hex");
  const number = BigInt(`0x${digest.slice(0, 32)}`);
  let computed = "dep_";
  for (let shift = 125n; shift >= 0n; shift -= 5n) computed += CROCKFORD[Number((number >> shift) & 31n)];
  if (own(deposit, "id") !== computed) throw new ProofInvalid("the deposit's id is not the id of what is proven");
  return { depositId: computed, merchantId, chain, asset, kind, contract, recipient, txHash, n, amount, prefix };
}

function own(found, name) {
  return Object.hasOwn(found, name) ? found[name] : undefined;
}

function member(found, name) {
  const value = own(found, name);
  if (!isObject(value)) throw new ProofInvalid(`${name} is missing or no object`);
  return value;
}

function textOf(value, form, what) {
  if (typeof value !== "string" || !form.test(value)) throw new ProofInvalid(`${what} is missing or malformed`);
  return value;
}

function wholeOf(value, what) {
  if (!Number.isSafeInteger(value) || value < 0) throw new ProofInvalid(`${what} is no whole number from 0 to 2^53 - 1`);
  return Math.abs(value); // -0 is 0
}

/** Bytes in lower-case hex behind `prefix`; of this length, where one is given. */
function bytesOf(value, what, length = null, prefix = "0x") {
  if (typeof value === "string" && value.length <= 2 * PROOF_BYTES_MAX + 2 && value.startsWith(prefix)) {
    const digits = value.slice(prefix.length);
    const data = Buffer.from(digits, "hex");
    if (data.toString("hex") === digits && (length === null || data.length === length)) return data;
  }
  throw new ProofInvalid(`${what} is missing or no bytes in lower-case hex${prefix ? " after 0x" : ""}`);
}

function nodesOf(value, what) {
  if (!Array.isArray(value) || value.length < 1 || value.length > NODES_MAX) {
    throw new ProofInvalid(`${what} is no list of 1 to ${NODES_MAX} nodes`);
  }
  return Array.from(value, (one) => bytesOf(one, what));
}

function listOf(value, what, length, itemsMax) {
  if (!Array.isArray(value) || value.length > itemsMax) throw new ProofInvalid(`${what} is no list of at most ${itemsMax} items`);
  return Array.from(value, (one) => bytesOf(one, what, length));
}

function wantedHash(blockHash, prefix = "0x") {
  if (blockHash instanceof Uint8Array && blockHash.length === 32) return Buffer.from(blockHash);
  const ascii = typeof blockHash === "string" && /^[\x00-\x7f]*$/.test(blockHash.slice(0, 80));
  return bytesOf(ascii ? blockHash.toLowerCase() : null, "the block hash to hold it against", 32, prefix);
}

// --- Bitcoin and its like: an output under its block's Merkle root, and the headers behind it -------------------------

/** Whose headers carry their own work; of others (test networks, merged mining) only the links are checked. */
const WORKED = new Map([
  ["bip122:000000000019d6689c085ae165831e93", hashTwice], // Bitcoin
  ["bip122:12a765e31ffd4059bada1e25190f6e98", scrypt], // Litecoin
]);
const HEADER_BYTES = 80;
const CORE_BYTES_AMBIGUOUS = 64; // such a transaction may be an inner node of the tree (CVE-2017-12842); it shows nothing

function verifyOutput(found, claim, wanted) {
  const header = bytesOf(own(found, "header"), "header", HEADER_BYTES);
  const core = bytesOf(own(found, "raw_transaction"), "raw_transaction");
  const branch = listOf(own(found, "branch"), "branch", 32, BRANCH_MAX);
  const headers = listOf(own(found, "headers"), "headers", HEADER_BYTES, HEADERS_MAX);
  const block = member(found, "block");
  if (!bytesOf(own(block, "hash"), "block.hash", 32, "").equals(wanted) || !shown(hashTwice(header)).equals(wanted)) {
    throw new ProofInvalid("this is the proof of another block");
  }
  let node = hashTwice(core);
  if (core.length === CORE_BYTES_AMBIGUOUS || !shown(node).equals(claim.txHash)) {
    throw new ProofInvalid("raw_transaction is not the transaction of the deposit");
  }
  let index = wholeOf(own(found, "index"), "index");
  for (const beside of branch) {
    node = hashTwice(Buffer.concat(index % 2 ? [beside, node] : [node, beside]));
    index = Math.floor(index / 2);
  }
  if (index > 0 || !node.equals(header.subarray(36, 68))) {
    throw new ProofInvalid("the branch does not lead to the block's Merkle root");
  }
  const output = readOutputs(core)[claim.n];
  if (output === undefined || !output.script.equals(claim.recipient)) {
    throw new ProofInvalid("this transaction has no such output to the recipient");
  }
  checkAmount(claim, output.amount);
  return prove(claim, {
    height: wholeOf(own(block, "height"), "block.height"),
    blockHash: wanted.toString("hex"),
    timeS: header.readUInt32LE(68),
    headersCount: 1 + headers.length,
    work: checkHeaders([header, ...headers], WORKED.get(claim.chain)),
  });
}

function hashTwice(data) {
  return createHash("sha256").update(createHash("sha256").update(data).digest()).digest();
}

function scrypt(header) {
  return scryptSync(header, header, 32, { N: 1024, r: 1, p: 1 });
}

/** A hash in the order in which people read it. */
const shown = (hash) => Buffer.from(hash).reverse();

/** How many hashes these headers stand for; ProofInvalid where one does not follow the other, or lacks its work. */
function checkHeaders(headers, workOf) {
  let work = 0n;
  for (const [place, header] of headers.entries()) {
    if (place > 0 && !header.subarray(4, 36).equals(hashTwice(headers[place - 1]))) {
      throw new ProofInvalid("the headers do not follow each other");
    }
    if (workOf === undefined) continue;
    const [size, mantissa] = [header[75], header.readUIntLE(72, 3)];
    const fits = size >= 3 && size <= 32 && mantissa > 0 && mantissa < 0x800000;
    const target = fits ? BigInt(mantissa) << BigInt(8 * (size - 3)) : 0n;
    if (!fits || numberOf(shown(workOf(header))) > target) throw new ProofInvalid("a header has not the work that it claims");
    work += (1n << 256n) / (target + 1n);
  }
  return work;
}

/** Amounts and scripts of a transaction without witnesses, which must be all of `core`. */
function readOutputs(core) {
  let at = 4;
  let count;
  [count, at] = countAt(core, at);
  if (count === 0 || count > Math.floor(core.length / 41)) {
    throw new ProofInvalid("raw_transaction is none, or has its witnesses with it");
  }
  let size;
  for (let left = count; left > 0; left -= 1) {
    [size, at] = countAt(core, at + 36);
    at += size + 4;
  }
  [count, at] = countAt(core, at);
  const outputs = [];
  while (outputs.length < count && at <= core.length) {
    const amount = at + 8 > core.length ? 0n : core.readBigUInt64LE(at);
    [size, at] = countAt(core, at + 8);
    outputs.push({ amount, script: core.subarray(at, at + size) });
    at += size;
  }
  if (outputs.length !== count || at + 4 !== core.length) {
    throw new ProofInvalid("raw_transaction is none, or has its witnesses with it");
  }
  return outputs;
}

/** A count in its shortest form, and the place behind it. */
function countAt(data, at) {
  const first = at < data.length ? data[at] : 0xff;
  if (first < 0xfd) return [first, at + 1];
  const size = 2 << (first - 0xfd);
  const count = at + 1 + size > data.length ? -1 : Number(numberOf(shown(data.subarray(at + 1, at + 1 + size))));
  if (count < [0xfd, 0x10000, 2 ** 32][first - 0xfd]) {
    throw new ProofInvalid("raw_transaction holds a count in another form than the shortest, or ends in one");
  }
  return [count, at + 1 + size];
}

// --- Tron: a transaction with its result under the root of a header that a witness signed ---------------------------

/** What no header of Tron's covers, by the deposit's kind; words as in `/v1/chains`. */
const BY_AGREEMENT = {
  native: ["witness-schedule"],
  trc10: ["witness-schedule"],
  token: ["witness-schedule", "logs"],
};
const CONTRACTS = { native: 1n, trc10: 2n, token: 31n }; // TransferContract, TransferAssetContract, TriggerSmartContract
/** The first four bytes of keccak("transfer(address,uint256)"), and an address in a word, with Tron's own byte or without. */
const PLAIN_TRANSFER = /^a9059cbb0{22}(?:00|41)/;

const sha256 = (data) => createHash("sha256").update(data).digest();

function verifySigned(found, claim, wanted, signers) {
  const [header, leaf] = ["header", "leaf"].map((name) => bytesOf(own(found, name), name));
  const branch = listOf(own(found, "branch"), "branch", 32, BRANCH_MAX);
  if (header.length > SIGNED_HEADER_BYTES_MAX || leaf.length > LEAF_BYTES_MAX || leaf.length === 64) {
    throw new ProofInvalid("header or leaf has a size that none on this chain has"); // 64: an inner node
  }
  const [digest, fields] = [sha256(header), readFields(header, "header")];
  const [height, timeMs] = [intOf(fields, 7), intOf(fields, 1)];
  const block = member(found, "block");
  const told = bytesOf(own(block, "hash"), "block.hash", 32, "");
  const id = Buffer.concat([Buffer.alloc(8), digest.subarray(8)]);
  id.writeBigUInt64BE(BigInt.asUintN(64, height));
  if (height < 0n || timeMs < 0n || !told.equals(wanted) || !id.equals(wanted)) {
    throw new ProofInvalid("this is the proof of another block");
  }
  if (BigInt(wholeOf(own(block, "height"), "block.height")) !== height) {
    throw new ProofInvalid("the block has another height than the proof says");
  }
  const witness = lastBytes(fields, 9).toString("hex");
  const signer = Buffer.concat([Buffer.of(0x41), recover(digest, bytesOf(own(found, "signature"), "signature", 65))]);
  if (own(found, "witness") !== witness || own(found, "signer") !== signer.toString("hex")) {
    throw new ProofInvalid("the block has another witness or signer than the proof says");
  }
  const named = signers === null ? null : typeof signers === "string" ? [signers] : [...signers];
  if (named !== null && !named.some((one) => one === signer.toString("hex") || one === showAddress(signer))) {
    throw new ProofInvalid("the block is signed by nobody whom you named");
  }
  const byAgreement = BY_AGREEMENT[claim.kind];
  const said = own(found, "by_agreement");
  if (!Array.isArray(said) || said.length !== byAgreement.length || !byAgreement.every((one, at) => one === said[at])) {
    throw new ProofInvalid("the proof says of other things than it must that they rest on agreement");
  }
  const [index, count] = ["index", "count"].map((name) => wholeOf(own(found, name), name));
  const root = lastBytes(fields, 2);
  if (root.length === 0 || !climb(sha256(leaf), branch, index, count).equals(root)) {
    throw new ProofInvalid("the branch does not lead to the block's root");
  }
  checkAmount(claim, readAmount(claim, leaf));
  const about = { witness, signer: signer.toString("hex"), byAgreement };
  return prove(claim, { height: Number(height), blockHash: wanted.toString("hex"), timeS: Number(timeMs / 1000n), ...about });
}

/** The root above a leaf, nothing for too many hashes or too few; a node alone at the end of its level goes up as it is. */
function climb(leaf, branch, index, count) {
  if (index >= count || count > 2 ** BRANCH_MAX) {
    throw new ProofInvalid(`index is no place among at most 2^${BRANCH_MAX} transactions`);
  }
  let [node, at, used] = [leaf, index, 0];
  for (let width = count; width > 1; width = Math.ceil(width / 2)) {
    if ((at ^ 1) < width) {
      if (used === branch.length) return Buffer.alloc(0);
      const beside = branch[used];
      node = sha256(Buffer.concat(at & 1 ? [beside, node] : [node, beside]));
      used += 1;
    }
    at >>= 1;
  }
  return used < branch.length ? Buffer.alloc(0) : node;
}

/** What the one contract of a transaction moves to the recipient; ProofInvalid where it is another one, or failed. */
function readAmount(claim, leaf) {
  const fields = readFields(leaf, "leaf");
  const [raws, results] = [1, 5].map((number) => listBytes(fields, number));
  if (raws.length !== 1 || results.length > 1 || !sha256(raws[0]).equals(claim.txHash)) {
    throw new ProofInvalid("leaf is not the transaction of the deposit");
  }
  const result = readFields(Buffer.concat(results), "result");
  const outcome = intOf(result, 3);
  if (intOf(result, 2) !== 0n || (outcome !== 1n && (claim.kind === "token" || outcome !== 0n))) {
    throw new ProofInvalid("the transaction failed");
  }
  const contracts = listBytes(readFields(raws[0], "transaction"), 11);
  if (contracts.length !== 1) throw new ProofInvalid("the transaction has not exactly one contract");
  const contract = readFields(contracts[0], "contract");
  if (intOf(contract, 1) !== CONTRACTS[claim.kind]) throw new ProofInvalid("the transaction is no transfer of this kind");
  const wrapped = Buffer.concat(listBytes(contract, 2));
  const parameter = readFields(lastBytes(readFields(wrapped, "contract"), 2), "contract");
  let [asset, recipient, amount] = [null, lastBytes(parameter, 2), intOf(parameter, 3)];
  if (claim.kind === "trc10") {
    [asset, recipient, amount] = [lastBytes(parameter, 1).toString("latin1"), lastBytes(parameter, 3), intOf(parameter, 4)];
  } else if (claim.kind === "token") {
    const [called, data] = [lastBytes(parameter, 2), lastBytes(parameter, 4)];
    asset = called.length === 21 ? showAddress(called).toLowerCase() : "";
    if (data.length !== 68 || !PLAIN_TRANSFER.test(data.toString("hex"))) {
      throw new ProofInvalid("the transaction is no plain call of transfer(address,uint256)");
    }
    [recipient, amount] = [Buffer.concat([Buffer.of(0x41), data.subarray(16, 36)]), numberOf(data.subarray(36))];
  }
  if (asset !== claim.contract || !recipient.equals(claim.recipient) || recipient[0] !== 0x41 || claim.n || amount <= 0n) {
    throw new ProofInvalid("this transaction moved no such thing to the recipient");
  }
  return amount;
}

/** {number, wire, value} of each field of one Protocol Buffers message, numbers without sign. */
function readFields(data, what) {
  const fields = [];
  let at = 0;
  while (at < data.length) {
    let key;
    [key, at] = varintAt(data, at, what);
    const tag = Number(BigInt.asUintN(32, key));
    const [number, wire] = [tag >>> 3, tag & 7];
    let [value, size] = [0n, { 1: 8, 5: 4 }[wire] ?? 0];
    if (wire === 0 || wire === 2) {
      [value, at] = varintAt(data, at, what);
      if (wire === 2) size = Number(value);
    }
    if (![0, 1, 2, 5].includes(wire) || number === 0 || size > data.length - at || fields.length >= FIELDS_MAX) {
      throw new ProofInvalid(`the ${what} holds what is no field`);
    }
    fields.push({ number, wire, value: wire === 2 ? data.subarray(at, at + size) : value });
    at += size;
  }
  return fields;
}

function varintAt(data, at, what) {
  let value = 0n;
  for (let place = at; place < Math.min(at + 10, data.length); place += 1) {
    value |= BigInt(data[place] & 0x7f) << BigInt(7 * (place - at));
    if (data[place] < 0x80) return [BigInt.asUintN(64, value), place + 1];
  }
  throw new ProofInvalid(`the ${what} holds a number that is cut off or has no end`);
}

/** The int64 that counts, which is the last; 0 where there is none. */
function intOf(fields, number) {
  const found = fields.filter((one) => one.number === number && one.wire === 0).at(-1);
  return BigInt.asIntN(64, found?.value ?? 0n);
}

const listBytes = (fields, number) =>
  fields.filter((one) => one.number === number && one.wire === 2).map((one) => one.value);
const lastBytes = (fields, number) => listBytes(fields, number).at(-1) ?? Buffer.alloc(0);

/** Base58check. */
function showAddress(address) {
  let [number, text] = [numberOf(Buffer.concat([address, hashTwice(address).subarray(0, 4)])), ""];
  for (; number > 0n; number /= 58n) {
    text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[Number(number % 58n)] + text;
  }
  return text;
}

// --- whose key signed (SEC 1, 4.1.6, on secp256k1) --------------------------------------------------------------------

const P = 2n ** 256n - 2n ** 32n - 977n;
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const G = [
  0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n,
  0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n,
];

/** The last 20 bytes of Keccak of the key that made this signature: r, s (the lower of two) and 0, 1, 27 or 28. */
function recover(digest, signature) {
  const [r, s] = [numberOf(signature.subarray(0, 32)), numberOf(signature.subarray(32, 64))];
  const recovery = signature[64];
  const square = modulo(r * r * r + 7n, P);
  const y = powerOf(square, (P + 1n) / 4n);
  const isCurve = (y * y) % P === square;
  if (r <= 0n || r >= ORDER || s <= 0n || s > ORDER / 2n || ![0, 1, 27, 28].includes(recovery) || !isCurve) {
    throw new ProofInvalid("nobody made this signature");
  }
  const point = [r, (y & 1n) === BigInt(recovery % 27) ? y : P - y];
  const inverse = inverseOf(r, ORDER);
  const [byG, byPoint] = [modulo(-numberOf(digest) * inverse, ORDER), (s * inverse) % ORDER];
  const table = [null, G, point, add(G, point)];
  let key = null;
  for (let bit = 255n; bit >= 0n; bit -= 1n) {
    key = add(add(key, key), table[Number(((byG >> bit) & 1n) + 2n * ((byPoint >> bit) & 1n))]);
  }
  if (key === null) throw new ProofInvalid("nobody made this signature");
  return keccak256(Buffer.from(key.map((one) => one.toString(16).padStart(64, "0")).join(""), "hex")).subarray(12);
}

function add(one, other) {
  if (one === null || other === null) return one ?? other;
  let slope;
  if (one[0] === other[0]) {
    if (one[1] !== other[1]) return null;
    slope = (3n * one[0] * one[0] * inverseOf(2n * one[1], P)) % P;
  } else {
    slope = modulo((other[1] - one[1]) * inverseOf(modulo(other[0] - one[0], P), P), P);
  }
  const x = modulo(slope * slope - one[0] - other[0], P);
  return [x, modulo(slope * (one[0] - x) - one[1], P)];
}

const modulo = (value, by) => ((value % by) + by) % by;

function powerOf(value, exponent) {
  let [power, square] = [1n, value];
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) power = (power * square) % P;
    square = (square * square) % P;
  }
  return power;
}

function inverseOf(value, by) {
  let [left, right, one, other] = [by, value % by, 0n, 1n];
  while (right > 0n) {
    const times = left / right;
    [left, right, one, other] = [right, left - times * right, other, one - times * other];
  }
  return modulo(one, by);
}

// --- RLP, read strictly (Yellow Paper, appendix B) ------------------------------------------------------------------

/** The items of one list that is all of `encoded`; lists inside stay encoded, so depth costs nothing. */
function splitList(encoded, what) {
  const whole = readItem(encoded, 0, what);
  if (!whole.isList || whole.encoded.length !== encoded.length) throw new ProofInvalid(`the ${what} is not one RLP list`);
  const items = [];
  for (let at = 0; at < whole.payload.length; at += items.at(-1).encoded.length) {
    items.push(readItem(whole.payload, at, what));
  }
  return items;
}

function readItem(data, at, what) {
  if (at >= data.length) throw new ProofInvalid(`the ${what} ends within an RLP item`);
  const first = data[at];
  const isList = first >= 0xc0;
  let start = at + 1;
  let size = first - (isList ? 0xc0 : 0x80);
  if (first < 0x80) {
    [start, size] = [at, 1];
  } else if (size > 55) {
    const digits = data.subarray(start, start + size - 55);
    start += digits.length;
    size = digits.reduce((sum, one) => sum * 256 + one, 0);
    if (size < 56 || digits[0] === 0) {
      throw new ProofInvalid(`the ${what} has a length in another form than RLP's shortest`);
    }
  }
  if (start + size > data.length) throw new ProofInvalid(`the ${what} ends within an RLP item`);
  const payload = data.subarray(start, start + size);
  if (!isList && size === 1 && start > at && payload[0] < 0x80) {
    throw new ProofInvalid(`the ${what} has a byte in another form than RLP's shortest`);
  }
  return { isList, encoded: data.subarray(at, start + size), payload };
}

function stringAt(items, place, what, length = null) {
  const item = items[place];
  if (item === undefined || item.isList || (length !== null && item.payload.length !== length)) {
    throw new ProofInvalid(`the ${what} has another form than a proof needs`);
  }
  return item.payload;
}

function scalarAt(items, place, what) {
  const data = stringAt(items, place, what);
  if (data.length > 32 || data[0] === 0) {
    throw new ProofInvalid(`the ${what} has a number in another form than RLP's shortest`);
  }
  return numberOf(data);
}

const numberOf = (data) => (data.length === 0 ? 0n : BigInt(hexOf(data)));

// --- header and tries (Yellow Paper, 4.4 and appendix D) ------------------------------------------------------------

function readHeader(encoded) {
  const fields = splitList(encoded, "header");
  if (fields.length < HEADER_FIELDS[0] || fields.length > HEADER_FIELDS[1]) {
    throw new ProofInvalid("the header is of a kind this program does not know");
  }
  return {
    transactionsRoot: stringAt(fields, 4, "header", 32),
    receiptsRoot: stringAt(fields, 5, "header", 32),
    height: scalarAt(fields, 8, "header"),
    timeS: scalarAt(fields, 11, "header"),
  };
}

/** The half bytes of rlp(index), as hex digits. */
function keyOf(index) {
  if (index === 0) return "80";
  const digits = index.toString(16);
  const data = digits.length % 2 ? `0${digits}` : digits;
  return index < 0x80 ? data : (0x80 + data.length / 2).toString(16) + data;
}

/** What stands at `key` under `root`, led there by these nodes and no others, each named by its hash in the one before. */
function walk(nodes, root, key, what) {
  let [expected, rest] = [root, key];
  for (const [position, node] of nodes.entries()) {
    if (position > 0 && node.length < 32) throw new ProofInvalid(`the ${what}'s path holds a node that stands inside another`);
    if (!keccak256(node).equals(expected)) throw new ProofInvalid(`the ${what}'s path does not lead from the block's root`);
    let child = { isList: true, encoded: node };
    while (child.isList) {
      // a node of less than 32 bytes stands inside the one that names it
      let ends;
      [ends, child, rest] = step(splitList(child.encoded, what), rest, what);
      if (child.isList && child.encoded.length >= 32) throw new ProofInvalid(`the ${what}'s path holds what is no node`);
      if (ends) {
        if (position !== nodes.length - 1) throw new ProofInvalid(`the ${what}'s path goes on behind its end`);
        if (child.isList || child.payload.length === 0) throw new ProofInvalid(`the ${what} at the end of the path is none`);
        return child.payload;
      }
    }
    if (child.payload.length !== 32) throw new ProofInvalid(`nothing stands in the block at this place of the ${what}s`);
    expected = child.payload;
  }
  throw new ProofInvalid(`the ${what}'s path ends before its end`);
}

/** One node deeper: whether that is the end, what it names or holds, and what is left of the key. */
function step(node, rest, what) {
  if (node.length === 17) {
    return rest === "" ? [true, node[16], rest] : [false, node[parseInt(rest[0], 16)], rest.slice(1)];
  }
  if (node.length !== 2) throw new ProofInvalid(`the ${what}'s path holds what is no node`);
  const path = stringAt(node, 0, what).toString("hex");
  if (!/^(?:[13]|[02]0)/.test(path)) throw new ProofInvalid(`the ${what}'s path holds what is no node`);
  const shared = path.slice("02".includes(path[0]) ? 2 : 1);
  const isLeaf = "23".includes(path[0]);
  if (!rest.startsWith(shared) || (isLeaf ? shared !== rest : shared === "")) {
    throw new ProofInvalid(`nothing stands in the block at this place of the ${what}s`);
  }
  return [isLeaf, node[1], rest.slice(shared.length)];
}

// --- what moved -----------------------------------------------------------------------------------------------------

/** Where `to` and `value` stand, by type/number of fields; other types carry value outside of what their hash covers. */
const CALLS = new Map([
  ["0/9", [3, 4]], // legacy: nonce, gas price, gas, to, value, data, signature
  ["1/11", [4, 5]], // EIP-2930
  ["2/12", [5, 6]], // EIP-1559
  ["3/14", [5, 6]], // EIP-4844
  ["4/13", [5, 6]], // EIP-7702
  ["100/5", [3, 4]], // Arbitrum: a deposit from the parent chain
  ["101/8", [5, 6]], // Arbitrum: unsigned
  ["102/8", [5, 6]], // Arbitrum: a contract of the parent chain
  ["104/12", [5, 6]], // Arbitrum: a retry
  ["122/14", [5, 6]], // Celo, CIP-66
  ["123/13", [5, 6]], // Celo, CIP-64
  ["126/6", [2, 3]], // Scroll: a message from the parent chain
  ["126/8", [2, 4]], // OP stack: a deposit from the parent chain
]);
const OP_DEPOSIT = "126/8";

function findAmount(claim, envelope, receipt) {
  const outcome = splitList(openEnvelope(receipt)[1], "receipt");
  const status = stringAt(outcome, 0, "receipt");
  if (outcome.length < 4 || status.length > 1 || (status.length === 1 && status[0] !== 1)) {
    throw new ProofInvalid("the receipt does not say whether the transaction succeeded");
  }
  const succeeded = status.length === 1;
  let moves = [];
  if (claim.kind === "native") moves = listNative(envelope, succeeded);
  else if (succeeded) moves = listTokens(outcome[3], claim.contract);
  const amounts = moves.filter(([recipient, amount]) => recipient.equals(claim.recipient) && amount > 0n);
  if (claim.n >= amounts.length) {
    throw new ProofInvalid(`this transaction moved no such thing to the recipient${succeeded ? "" : ": it failed"}`);
  }
  return amounts[claim.n][1];
}

/** The type and the list of a transaction or receipt (EIP-2718). */
function openEnvelope(encoded) {
  if (encoded[0] >= 0xc0) return [0, encoded];
  if (encoded[0] === 0 || encoded[0] >= 0x80) {
    throw new ProofInvalid("a transaction or receipt in an envelope that does not exist");
  }
  return [encoded[0], encoded.subarray(1)];
}

/** Recipients and amounts of the native coin that the transaction itself carries, in their order. */
function listNative(envelope, succeeded) {
  const [kind, encoded] = openEnvelope(envelope);
  const fields = splitList(encoded, "transaction");
  const form = `${kind}/${fields.length}`;
  if (!CALLS.has(form)) {
    throw new ProofInvalid(`what a transaction of type 0x${kind.toString(16)} moves is not covered by its hash`);
  }
  const moves = [];
  if (form === OP_DEPOSIT) {
    // minted to its sender, whether or not the rest succeeds
    moves.push([stringAt(fields, 1, "transaction", 20), scalarAt(fields, 3, "transaction")]);
  }
  const [to, value] = CALLS.get(form);
  const recipient = stringAt(fields, to, "transaction");
  if (succeeded && recipient.length === 20) moves.push([recipient, scalarAt(fields, value, "transaction")]);
  return moves;
}

/** Recipients and amounts of one token's ERC-20 transfers, in their order. */
function listTokens(logs, contract) {
  const moves = [];
  for (const log of splitList(logs.encoded, "receipt")) {
    const fields = splitList(log.encoded, "receipt");
    if (fields.length !== 3) throw new ProofInvalid("the receipt holds what is no log");
    if (!stringAt(fields, 0, "receipt", 20).equals(contract)) continue;
    const topics = splitList(fields[1].encoded, "receipt").map((topic) => stringAt([topic], 0, "receipt", 32));
    const data = stringAt(fields, 2, "receipt");
    if (topics.length === 3 && topics[0].toString("hex") === TRANSFER_TOPIC && data.length === 32) {
      moves.push([topics[2].subarray(12), numberOf(data)]);
    }
  }
  return moves;
}

// --- Keccak-256 (the original padding, as Ethereum uses it; node:crypto has the later one of FIPS 202 only) -----------

const RATE = 136;
const [ROUNDS, MOVES] = [listRounds(), listMoves()];

/** The constants of the 24 rounds as [low, high] halves. */
function listRounds() {
  const constants = [];
  let register = 1;
  for (let round = 0; round < 24; round += 1) {
    const halves = [0, 0];
    for (let power = 0; power < 7; power += 1) {
      const bit = (1 << power) - 1;
      if (register & 1) halves[bit >> 5] |= 1 << (bit & 31);
      register = (register << 1) ^ (register >> 7 ? 0x171 : 0);
    }
    constants.push(halves);
  }
  return constants;
}

/** [from which lane, to which, turned by how much], beginning with lane 0 which stays. */
function listMoves() {
  const moves = [[0, 0, 0]];
  let [x, y] = [1, 0];
  for (let step = 0; step < 24; step += 1) {
    const [turnedX, turnedY] = [y, (2 * x + 3 * y) % 5];
    moves.push([x + 5 * y, turnedX + 5 * turnedY, (((step + 1) * (step + 2)) / 2) % 64]);
    [x, y] = [turnedX, turnedY];
  }
  return moves;
}

/** The 32-byte digest of `data`. */
export function keccak256(data) {
  const padded = Buffer.alloc((Math.floor(data.length / RATE) + 1) * RATE);
  padded.set(data);
  padded[data.length] = 0x01;
  padded[padded.length - 1] |= 0x80;
  const lanes = new Int32Array(50); // low and high halves in turn
  for (let start = 0; start < padded.length; start += RATE) {
    for (let half = 0; half < RATE / 4; half += 1) lanes[half] ^= padded.readInt32LE(start + 4 * half);
    permute(lanes);
  }
  const digest = Buffer.alloc(32);
  for (let half = 0; half < 8; half += 1) digest.writeInt32LE(lanes[half], 4 * half);
  return digest;
}

function permute(lanes) {
  const sums = new Int32Array(10);
  const turned = new Int32Array(50);
  for (const [low, high] of ROUNDS) {
    for (let half = 0; half < 10; half += 1) {
      sums[half] = lanes[half] ^ lanes[half + 10] ^ lanes[half + 20] ^ lanes[half + 30] ^ lanes[half + 40];
    }
    for (const [source, target, by] of MOVES) {
      const before = 2 * ((source + 4) % 5);
      const after = 2 * ((source + 1) % 5);
      const mixedLow = sums[before] ^ ((sums[after] << 1) | (sums[after + 1] >>> 31));
      const mixedHigh = sums[before + 1] ^ ((sums[after + 1] << 1) | (sums[after] >>> 31));
      let one = lanes[2 * source] ^ mixedLow;
      let other = lanes[2 * source + 1] ^ mixedHigh;
      if (by >= 32) [one, other] = [other, one];
      const turn = by & 31;
      turned[2 * target] = turn ? (one << turn) | (other >>> (32 - turn)) : one;
      turned[2 * target + 1] = turn ? (other << turn) | (one >>> (32 - turn)) : other;
    }
    for (let row = 0; row < 50; row += 10) {
      for (let half = 0; half < 10; half += 1) {
        lanes[row + half] =
          turned[row + half] ^ (~turned[row + ((half + 2) % 10)] & turned[row + ((half + 4) % 10)]);
      }
    }
    lanes[0] ^= low;
    lanes[1] ^= high;
  }
}
