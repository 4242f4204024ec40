// Move money and wait until it is final: `node transfer.mjs URL SEED TO AMOUNT`; SEED is 0x and 64 hexadecimal digits.
import { Account, Client, fromHex, transfer } from "../clients/js/cccnode.js";

const [url, seed, to, amount] = process.argv.slice(2);
const status = await new Client(url).send(await Account.fromSeed(fromHex(seed)), [transfer(to, "uccc", BigInt(amount))]);
console.log(status.state, status.outcome, "in block", status.height, status.tx_id);
