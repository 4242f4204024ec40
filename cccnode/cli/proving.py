"""Evidence files: what nodes prove, in one file that can be checked without them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from cccnode.city.bank.state import balances_group
from cccnode.city.members.state import account_group
from cccnode.cli import output
from cccnode.cli.fields import account_of
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import node_addresses, run_calls
from cccnode.client import Client, from_hex
from cccnode.client.light import Broken, Kept, LightClient
from cccnode.codec import encode
from cccnode.evidence_verifier import REASONS, Refused, tell, verify
from cccnode.home import disk_fault
from cccnode.types.addresses import parse_account
from cccnode.types.errors import EVIDENCE_FILE
from cccnode.types.proofs import Evidence

_HASH_BYTES = 32


class Hex(click.ParamType[bytes]):
    """Bytes in hexadecimal, with or without 0x."""

    name = "hex"

    def __init__(self, size: int | None = None) -> None:
        """`size`: how many bytes; None: any number."""
        self._size = size

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """The bytes."""
        if isinstance(value, bytes):
            return value
        try:
            data = from_hex(str(value))
        except ValueError:
            self.fail(f"{value} is not hexadecimal", param, ctx)
        if not data or (self._size is not None and len(data) != self._size):
            self.fail(f"{self._size or 'some'} bytes are expected", param, ctx)
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    transactions: Sequence[bytes]
    groups: Sequence[bytes]
    heights: Sequence[int]


@click.command(epilog="Example: cccnode evidence export --tx 0x5f... --account ccc1... -o proof.cccevidence")
@click.option("--tx", "transactions", type=Hex(_HASH_BYTES), multiple=True, metavar="ID", help="With its receipt.")
@click.option("--account", "accounts", multiple=True, metavar="ccc1...|NAME", help="Its record and all its balances.")
@click.option("--group", "groups", type=Hex(), multiple=True, metavar="HEX", help="All items of a state group.")
@click.option("--block", "heights", type=click.IntRange(min=0), multiple=True, help="All receipts and events.")
@click.option("--genesis", type=Hex(_HASH_BYTES), metavar="HASH", help="Of the network; else the node's word for it.")
@click.option("-o", "path", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@also_here
@pass_options
def export(
    options: Options,
    *,
    transactions: tuple[bytes, ...],
    accounts: tuple[str, ...],
    groups: tuple[bytes, ...],
    heights: tuple[int, ...],
    genesis: bytes | None,
    path: Path,
) -> None:
    """Write proofs, certificates and the history of validators into one file, checked before it is written."""
    named = [parse_account(account_of(account, options)) for account in accounts]
    of_accounts = [group for account in named for group in (account_group(account), balances_group(account))]
    wanted = _Wanted(transactions=transactions, groups=(*groups, *of_accounts), heights=heights)
    if not (wanted.transactions or wanted.groups or wanted.heights):
        raise click.UsageError("name what to prove: --tx, --account, --group or --block")
    chain, evidence = run_calls(_prove(node_addresses(options), genesis, wanted))
    raw = encode(evidence)
    found = _verified(raw, chain)
    try:
        path.write_bytes(raw)
    except OSError as error:
        raise disk_fault(error, path) from error
    if options.json:
        shown = {"file": str(path), "bytes": len(raw), "genesis": "0x" + chain.hex(), "proofs": len(found) - 1}
        output.emit_json(shown)
        return
    click.echo(f"{path}: {len(raw)} " + options.text("bytes", "ไบต์"))
    hint = f"cccnode evidence verify {path} --genesis 0x{chain.hex()}"
    click.echo(options.text(f"Anyone can check it: {hint}", f"ใครก็ตรวจได้: {hint}"))


@click.command("verify", epilog="Example: cccnode evidence verify proof.cccevidence --genesis 0x3a...")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--genesis", type=Hex(_HASH_BYTES), required=True, metavar="HASH", help="As the network publishes it.")
@also_here
@pass_options
def check(options: Options, *, file: Path, genesis: bytes) -> None:
    """Check an evidence file and say what it proves; asks no node, and neither does evidence_verifier.py."""
    found = _verified(file.read_bytes(), genesis)
    if options.json:
        output.emit_json({"proven": [tell(kind, fields) for kind, fields in found]})
        return
    for kind, fields in found:
        click.echo(tell(kind, fields, options.lang))


@click.command(epilog="Example: cccnode evidence promise 0x96c420... -o broken.cccevidence")
@click.argument("promise", type=Hex(), metavar="HEX")
@click.option("--genesis", type=Hex(_HASH_BYTES), metavar="HASH", help="Of the network; else the node's word for it.")
@click.option("-o", "path", type=click.Path(path_type=Path, dir_okay=False), help="Proof of a broken one goes there.")
@also_here
@pass_options
def promise(options: Options, *, promise: bytes, genesis: bytes | None, path: Path | None) -> None:
    """Look whether a node kept its inclusion promise, in the certified receipts of the blocks that it named."""
    found, evidence = run_calls(_look(node_addresses(options), genesis, promise))
    word = found.promise
    if evidence is not None and path is not None:
        try:
            path.write_bytes(encode(evidence))
        except OSError as error:
            raise disk_fault(error, path) from error
    height = found.height if isinstance(found, Kept) else None
    shown = {
        "kept": height is not None,
        "height": None if height is None else str(height),
        "tx_id": "0x" + word.tx_id.hex(),
        "node": "0x" + word.node_key.hex(),
        "after": str(word.after),
        "by": str(word.by),
    }
    if options.json:
        output.emit_json(shown)
        return
    kept = options.text(f"kept: decided at height {height}", f"รักษาคำมั่น: ตัดสินที่ความสูง {height}")
    broken = options.text(f"BROKEN: not decided by height {word.by}", f"ผิดคำมั่น: ไม่ถูกตัดสินภายในความสูง {word.by}")
    click.echo(broken if height is None else kept)
    for line in output.table([("node", shown["node"]), ("transaction", shown["tx_id"])]):
        click.echo(line)


def _verified(raw: bytes, genesis: bytes) -> list[tuple[str, dict[str, object]]]:
    try:
        return verify(raw, genesis)
    except Refused as error:
        reason, *where = error.args
        english, thai = REASONS[reason]
        raise output.trouble(EVIDENCE_FILE, why=english, why_th=thai, where="".join(where)) from error


async def _prove(addresses: Sequence[str], genesis: bytes | None, wanted: _Wanted) -> tuple[bytes, Evidence]:
    """The chain and the proofs, from the first node whose answers hold."""
    if genesis is None:
        async with Client(addresses[0]) as node:
            genesis = await node.chain()
    async with LightClient(addresses, chain=genesis) as light:
        await light.sync()
        return genesis, light.evidence(
            transactions=[await light.transaction(tx_id) for tx_id in wanted.transactions],
            groups=[await light.group(group) for group in wanted.groups],
            events=[await light.events(height) for height in wanted.heights],
        )


async def _look(
    addresses: Sequence[str], genesis: bytes | None, promise: bytes
) -> tuple[Kept | Broken, Evidence | None]:
    """What became of a promise; where it was broken, the proofs of all blocks in question."""
    if genesis is None:
        async with Client(addresses[0]) as node:
            genesis = await node.chain()
    async with LightClient(addresses, chain=genesis) as light:
        await light.sync()
        found = await light.promise(promise)
        return found, light.evidence(events=found.blocks) if isinstance(found, Broken) else None
