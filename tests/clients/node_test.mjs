// Answers on standard output, one JSON text a line, what tests/clients/test_js.py asks on standard input.
import { createInterface } from "node:readline";
import { Account, Client, accountText, encode, fromHex, parseAccount, signTransaction, toHex, transfer } from "../../clients/js/cccnode.js";

const asked = {
  encode: ({ value }) => toHex(encode(revive(value))),
  account: ({ bytes }) => accountText(fromHex(bytes)),
  parse: ({ text }) => toHex(parseAccount(text)),
  async sign({ seed, to, asset, amount, chain, until, salt, feeMax }) {
    const account = await Account.fromSeed(fromHex(seed));
    const options = { chain: fromHex(chain), validUntilMs: BigInt(until), salt: fromHex(salt), feeMax: BigInt(feeMax) };
    const signed = await signTransaction(account, [transfer(to, asset, BigInt(amount))], options);
    return { address: account.address, tx_id: toHex(signed.txId), raw: toHex(signed.raw) };
  },
  async send({ url, seed, to, amount, count }) {
    const node = new Client(url);
    const account = await Account.fromSeed(fromHex(seed));
    const send = () => node.send(account, [transfer(to, "uccc", BigInt(amount))]);
    return Promise.all(Array.from({ length: count }, send));
  },
  async events({ url, after, count, ...filters }) {
    const found = [];
    for await (const event of new Client(url).events({ after, ...filters })) {
      found.push(event);
      if (found.length === count) break;
    }
    return found;
  },
};

/** JSON has no bytes and no big integers: `{"int": "..."}` and `{"bytes": "0x..."}` stand for them. */
function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  return "int" in value ? BigInt(value.int) : fromHex(value.bytes);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { name, ...given } = JSON.parse(line);
  const answer = await Promise.resolve()
    .then(() => asked[name](given))
    .then((result) => ({ result }), (error) => ({ error: { name: error.name, message: error.message, details: error.details } }));
  console.log(JSON.stringify(answer));
}
process.exit(0);
