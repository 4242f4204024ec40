/**
 * A client of a cccnode node for browsers and Node.js 18: one file, no dependency, no build.
 *
 *   import { Account, Client, transfer } from "./cccnode.js";
 *   const node = new Client("http://127.0.0.1:27601");
 *   const account = await Account.fromSeed(seed);
 *   const status = await node.send(account, [transfer("ccc1...", "uccc", 5n)]);
 *
 * Values are as everywhere in the RPC: big integers are decimal text in JSON and BigInt here, bytes are `0x` hexadecimal
 * in JSON and Uint8Array here, accounts are bech32m text.  The node is believed; it is yours, or you check its proofs.
 */

const VERSION = 1;
const TX = bytesOf("ccc/1/tx");
const SIGN = bytesOf("ccc/1/sign");
const ACCOUNT = bytesOf("ccc/1/account");
const ACCOUNT_BYTES = 20;
const PKCS8 = fromHex("0x302e020100300506032b657004220420");
const LIFETIME_MS = 60_000;
const FEE_MAX = 1_000_000n;
const WAIT_MS = 20_000;
const PATIENCE_MS = 60_000;
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 5_000;
const SILENCE_MS = 60_000;
const TAKEN = new Set(["tx/DUPLICATE", "pool/PENDING"]);
const UNCLEAR = new Set(["client/UNREACHABLE", "client/BAD_ANSWER", "rpc/TIMEOUT", "rpc/INTERNAL"]);
const PASSING = new Set([...UNCLEAR, "rpc/WAIT_TIMEOUT"]);

/** What went wrong, by the stable name of the node's error table; `client/...` is this side's word. */
export class ClientError extends Error {
  constructor(name, message, { code = 0, hint = "", retryable = false, textTh = "", details = {} } = {}) {
    super(`${name}: ${message}`);
    Object.assign(this, { name, code, hint, retryable, textTh, details });
  }

  static from(error) {
    const data = error?.data ?? {};
    return new ClientError(data.name ?? "rpc/UNKNOWN", error?.message ?? "", {
      code: error?.code, hint: data.hint, retryable: data.retryable === true, textTh: data.text_th, details: data.details,
    });
  }
}

// -- bytes -------------------------------------------------------------------------------------------------------------

function bytesOf(text) {
  return new TextEncoder().encode(text);
}

function join(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** `0x` and lower-case hexadecimal. */
export function toHex(bytes) {
  return "0x" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes behind `0x...`. */
export function fromHex(text) {
  if (!/^0x([0-9a-f]{2})*$/.test(text)) throw new TypeError(`not 0x and lower-case hexadecimal: ${text}`);
  return Uint8Array.from(text.slice(2).match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
}

// -- canonical MessagePack ---------------------------------------------------------------------------------------------

/** The one encoding of a value: integers (number or BigInt), text, bytes, booleans, null and arrays of them. */
export function encode(value) {
  if (value === null) return Uint8Array.of(0xc0);
  if (typeof value === "boolean") return Uint8Array.of(value ? 0xc3 : 0xc2);
  if (typeof value === "string") return encodeText(bytesOf(value));
  if (value instanceof Uint8Array) return join(head(value.length, [[0xff, 0xc4], [0xffff, 0xc5]], 0xc6), value);
  if (Array.isArray(value)) {
    const start = value.length < 16 ? Uint8Array.of(0x90 | value.length) : head(value.length, [[0xffff, 0xdc]], 0xdd);
    return join(start, ...value.map(encode));
  }
  return encodeInteger(value);
}

function encodeText(bytes) {
  if (bytes.length < 32) return join(Uint8Array.of(0xa0 | bytes.length), bytes);
  return join(head(bytes.length, [[0xff, 0xd9], [0xffff, 0xda]], 0xdb), bytes);
}

function encodeInteger(value) {
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new TypeError(`not an exact integer: ${value}`);
  const number = BigInt(value);
  if (number < 0n || number >= 1n << 64n) throw new RangeError(`out of range: ${number}`);
  if (number < 128n) return Uint8Array.of(Number(number));
  if (number <= 0xffffffffn) return head(Number(number), [[0xff, 0xcc], [0xffff, 0xcd]], 0xce);
  const bytes = new Uint8Array(9);
  bytes[0] = 0xcf;
  new DataView(bytes.buffer).setBigUint64(1, number);
  return bytes;
}

/** A tag and a number in the fewest bytes: of one, two or four. */
function head(number, tags, last) {
  const [, tag] = tags.find(([most]) => number <= most) ?? [0, last];
  const width = tag === last ? 4 : tags.length === 2 && tag === tags[0][1] ? 1 : 2;
  const bytes = new Uint8Array(1 + width);
  const view = new DataView(bytes.buffer);
  bytes[0] = tag;
  if (width === 1) view.setUint8(1, number);
  else if (width === 2) view.setUint16(1, number);
  else view.setUint32(1, number);
  return bytes;
}

// -- accounts as people read them: bech32m (BIP-350) -------------------------------------------------------------------

const ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const BECH32M = 0x2bc830a3;
const EXPANDED = [3, 3, 3, 0, 3, 3, 3];

function polymod(words) {
  let residue = 1;
  for (const word of words) {
    const top = residue >>> 25;
    residue = ((residue & 0x1ffffff) << 5) ^ word;
    GENERATOR.forEach((generator, i) => (residue ^= (top >>> i) & 1 ? generator : 0));
  }
  return residue >>> 0;
}

function regroup(words, width, to) {
  let value = 0, bits = 0;
  const found = [];
  for (const word of words) {
    value = ((value << width) | word) & 0xffff;
    bits += width;
    for (; bits >= to; found.push((value >>> bits) & ((1 << to) - 1))) bits -= to;
  }
  return found;
}

/** `ccc1...` for the 20 bytes of an account. */
export function accountText(account) {
  const words = regroup(account, 8, 5);
  const residue = polymod([...EXPANDED, ...words, 0, 0, 0, 0, 0, 0]) ^ BECH32M;
  for (let i = 0; i < 6; i++) words.push((residue >>> (5 * (5 - i))) & 31);
  return "ccc1" + words.map((word) => ALPHABET[word]).join("");
}

/** The 20 bytes behind `ccc1...`; a typing error is noticed. */
export function parseAccount(text) {
  const lower = text.toLowerCase();
  const words = Array.from(lower.slice(4), (character) => ALPHABET.indexOf(character));
  const mixed = text !== lower && text !== text.toUpperCase();
  if (mixed || !lower.startsWith("ccc1") || words.includes(-1) || polymod([...EXPANDED, ...words]) !== BECH32M)
    throw new TypeError(`not an account: ${text}`);
  const bytes = Uint8Array.from(regroup(words.slice(0, -6), 5, 8));
  if (bytes.length !== ACCOUNT_BYTES) throw new TypeError(`not an account: ${text}`);
  return bytes;
}

// -- keys and transactions ---------------------------------------------------------------------------------------------

/** An account with the key that acts for it. */
export class Account {
  constructor(id, publicKey, key) {
    Object.assign(this, { id, publicKey, key });
  }

  /** The account opened with the Ed25519 key of a 32-byte seed; `address` where that key has replaced another. */
  static async fromSeed(seed, address) {
    const key = await crypto.subtle.importKey("pkcs8", join(PKCS8, seed), { name: "Ed25519" }, true, ["sign"]);
    const { x } = await crypto.subtle.exportKey("jwk", key);
    const text = atob(x.replaceAll("-", "+").replaceAll("_", "/"));
    const publicKey = Uint8Array.from(text, (character) => character.charCodeAt(0));
    const id = address ? parseAccount(address) : (await sha256(ACCOUNT, publicKey)).slice(0, ACCOUNT_BYTES);
    return new Account(id, publicKey, key);
  }

  /** A new one; keep the seed. */
  static async generate() {
    const seed = crypto.getRandomValues(new Uint8Array(32));
    return { account: await Account.fromSeed(seed), seed };
  }

  /** `ccc1...`. */
  get address() {
    return accountText(this.id);
  }

  async sign(bytes) {
    return new Uint8Array(await crypto.subtle.sign({ name: "Ed25519" }, this.key, bytes));
  }
}

/** Move an amount, in base units, to another account. */
export function transfer(to, asset, amount) {
  return [0x0201, parseAccount(to), asset, BigInt(amount)];
}

/** Build, sign and encode a transaction of one signer: `{ txId, raw, validUntilMs }`.  Messages are arrays: tag, fields. */
export async function signTransaction(account, messages, { chain, validUntilMs, salt, feeMax = FEE_MAX }) {
  const part = encode([VERSION, chain, account.id, validUntilMs, salt, null, feeMax, messages, [account.publicKey]]);
  const signature = await account.sign(join(SIGN, part));
  const raw = join(Uint8Array.of(0x9a), part.slice(1), encode([signature]));
  return { txId: await sha256(TX, part), raw, validUntilMs };
}

// -- the node ----------------------------------------------------------------------------------------------------------

/** One node's RPC. */
export class Client {
  #ids = 0;
  #chain;

  constructor(url, { timeoutMs = 30_000, fetch = globalThis.fetch.bind(globalThis) } = {}) {
    this.url = url.replace(/\/(rpc)?$/, "");
    Object.assign(this, { timeoutMs, fetch });
  }

  /** The result of one method; parameters by name, in JSON form. */
  async call(method, params = {}, { timeoutMs = this.timeoutMs } = {}) {
    const id = ++this.#ids;
    let answer;
    try {
      const response = await this.fetch(this.url + "/rpc", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", id, method, params }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      answer = await response.json();
    } catch (error) {
      const name = error instanceof SyntaxError ? "client/BAD_ANSWER" : "client/UNREACHABLE";
      throw new ClientError(name, String(error), { retryable: name === "client/UNREACHABLE" });
    }
    if (answer?.error) throw ClientError.from(answer.error);
    if (answer?.id !== id || !("result" in answer)) throw new ClientError("client/BAD_ANSWER", "not a JSON-RPC answer");
    return answer.result;
  }

  /** The chain id, asked once. */
  async chain() {
    this.#chain ??= fromHex((await this.call("chain_status")).chain);
    return this.#chain;
  }

  /** A signed transaction for this node's chain, not sent yet. */
  async sign(account, messages, { lifetimeMs = LIFETIME_MS, feeMax = FEE_MAX } = {}) {
    const salt = crypto.getRandomValues(new Uint8Array(8));
    const until = Date.now() + lifetimeMs;
    const chain = await this.#patiently(() => this.chain(), until);
    return signTransaction(account, messages, { chain, validUntilMs: BigInt(until), salt, feeMax });
  }

  /** Sign, send, and wait for the decision: its status, `executed` or `expired`. */
  async send(account, messages, options) {
    return this.deliver(await this.sign(account, messages, options));
  }

  /**
   * Send these bytes until the node knows what became of them: the status.  The same bytes are decided at most once,
   * so they may be sent again after every disconnect; nothing is signed anew here.
   */
  async deliver({ txId, raw, validUntilMs }) {
    const byId = { tx_id: toHex(txId), valid_until_ms: String(validUntilMs) };
    let unclear = false;
    for (const pauses = new Pauses(); ; await pauses.next()) {
      try {
        if (!(unclear && Date.now() >= validUntilMs)) await this.#submit(raw, unclear);
        unclear = true;
        return await this.call("tx_wait", { ...byId, timeout_ms: WAIT_MS }, { timeoutMs: WAIT_MS + this.timeoutMs });
      } catch (error) {
        if (error.name === "tx/EXPIRED" && !unclear) return { tx_id: byId.tx_id, state: "expired" };
        unclear ||= UNCLEAR.has(error.name);
        if (!(error.retryable || PASSING.has(error.name))) throw error;
        if (Date.now() > Number(validUntilMs) + PATIENCE_MS)
          throw new ClientError("client/UNDECIDED", `ask tx_status later: ${error.message}`, { details: byId });
      }
    }
  }

  /** What the node says once it answers. */
  async #patiently(ask, untilMs) {
    for (const pauses = new Pauses(); ; await pauses.next()) {
      try {
        return await ask();
      } catch (error) {
        if (!error.retryable || Date.now() > untilMs) throw error;
      }
    }
  }

  async #submit(raw, unclear) {
    try {
      await this.call("tx_submit", { transaction: toHex(raw) });
    } catch (error) {
      if (!TAKEN.has(error.name) && (error.retryable || UNCLEAR.has(error.name) || !unclear)) throw error;
    }
  }

  /**
   * Events behind a cursor (`"0"`: all that are kept; none: from now on), each once, for ever, across disconnects.
   * Throws `events/LAGGED` when events behind the cursor are no longer kept.  Leave the loop with `break`.
   */
  async *events({ after, module, name, account } = {}) {
    let cursor = after;
    for (const pauses = new Pauses(); ; await pauses.next()) {
      const given = Object.entries({ after: cursor, module, name, account }).filter(([, value]) => value !== undefined);
      const hangup = new AbortController();
      try {
        for await (const message of this.#messages(new URLSearchParams(given), hangup)) {
          if (message.event === "lagged") {
            const error = ClientError.from(JSON.parse(message.data));
            if (cursor === undefined || isBehind(cursor, error.details.oldest ?? "0")) throw error;
            break; // It was read too slowly; what was on its way is still there.
          }
          if (message.data) {
            const event = JSON.parse(message.data);
            cursor = event.cursor;
            pauses.begin();
            yield event;
          } else cursor = message.id || cursor;
        }
      } catch (error) {
        if (error instanceof ClientError && !error.retryable) throw error;
      } finally {
        hangup.abort();
      }
    }
  }

  /** The messages of one connection. */
  async *#messages(query, hangup) {
    let alarm = setTimeout(() => hangup.abort(), SILENCE_MS);
    try {
      const headers = { Accept: "text/event-stream" };
      const response = await this.fetch(`${this.url}/v1/events?${query}`, { headers, signal: hangup.signal });
      if (!response.ok) throw await refusal(response);
      let text = "";
      for await (const chunk of pieces(response.body.pipeThrough(new TextDecoderStream()))) {
        clearTimeout(alarm);
        alarm = setTimeout(() => hangup.abort(), SILENCE_MS);
        const messages = (text + chunk).split("\n\n");
        text = messages.pop();
        for (const message of messages) yield fieldsOf(message);
      }
    } finally {
      clearTimeout(alarm);
    }
  }
}

/** Longer and longer ones, by chance up to half shorter, so that clients do not come in step. */
class Pauses {
  #ms = PAUSE_MS_MIN;

  begin() {
    this.#ms = PAUSE_MS_MIN;
  }

  next() {
    const ms = this.#ms * (0.5 + Math.random() / 2);
    this.#ms = Math.min(2 * this.#ms, PAUSE_MS_MAX);
    return new Promise((resolve) => setTimeout(resolve, ms));
  }
}

async function* pieces(stream) {
  const reader = stream.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}

function fieldsOf(message) {
  return Object.fromEntries(
    message.split("\n").map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1).trimStart()]),
  );
}

async function refusal(response) {
  const answer = await response.json().catch(() => ({}));
  return ClientError.from(answer.error ?? { code: answer.code, message: answer.title, data: answer });
}

/** Whether a cursor lies before another; the end of a block lies behind all of it. */
function isBehind(cursor, other) {
  const place = (text) => (text.includes("/") ? text.split("/").map(Number) : [Number(text), Infinity, 0]);
  const [here, there] = [place(cursor), place(other)];
  const differs = here.findIndex((number, i) => number !== there[i]);
  return differs >= 0 && here[differs] < there[differs];
}
