"""`cccnode incident`: record what enters a node's consensus core, and replay such a capsule on any machine."""

import asyncio
from pathlib import Path
from typing import Any, BinaryIO, Final

import aiohttp
import click

from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.output import Trouble
from cccnode.cli.reach import from_client, load
from cccnode.cli.story import Story
from cccnode.cli.testnet_files import Testnet
from cccnode.client import error_from
from cccnode.crypto.verifying import verify_many
from cccnode.home import disk_fault
from cccnode.types import errors
from cccnode.types.errors import Fault, fault
from consensus.capsule import FILE_BYTES_MAX, SECONDS_MAX, Capsule, Cause, mend, read_capsule
from consensus.replay import Replay

_PATIENCE_S: Final = 30
"""A node that says nothing for so long beyond the recording has gone."""
_CAUSES: Final = {
    Cause.TIME: ("the time was over", "ครบเวลา"),
    Cause.STOPPED: ("it was stopped", "ถูกหยุด"),
    Cause.LIMIT: ("it reached the largest size", "ถึงขนาดสูงสุด"),
    Cause.EPOCH: ("the epoch ended", "สิ้นสุดยุค"),
    Cause.FAILED: ("the consensus engine failed", "แกนฉันทามติขัดข้อง"),
    Cause.CUT: ("the link to the node ended", "การเชื่อมต่อกับโหนดสิ้นสุด"),
}


@click.group(epilog="Example: cccnode incident record --seconds 30 --out stall.capsule")
def incident() -> None:
    """Incident capsules: record, replay."""


@incident.command(epilog="Example: cccnode incident record --node 2 --seconds 30 --out stall.capsule")
@click.option("--seconds", type=click.IntRange(1, SECONDS_MAX), default=60, show_default=True, help="How long.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write.")
@click.option("--reason", default="", help="A sentence for whoever replays it.")
@click.option("--ops", metavar="HOST:PORT", default="", help="The node's operator port [from the home's settings].")
@also_here
@pass_options
def record(options: Options, *, seconds: int, out: Path, reason: str, ops: str) -> None:
    """Record all that enters a node's consensus core. Ctrl-C ends it early; nothing stays on the node."""
    address = ops_address(options, ops)
    try:
        with out.open("xb") as file:
            whole = _fetch(address, {"seconds": seconds, "reason": reason}, file)
        if not whole:
            out.write_bytes(mend(out.read_bytes()))
        capsule = read_capsule(out.read_bytes())
    except FileExistsError as error:
        raise click.UsageError(f"{out} exists already; nothing was changed") from error
    except OSError as error:
        raise disk_fault(error, out) from error
    except Fault as error:
        out.unlink()
        if error.spec is not errors.INCIDENT_INVALID:
            raise
        raise fault(errors.UNREACHABLE, ops=address, why="the node went away before there was anything") from error
    except Trouble:
        out.unlink()
        raise
    _show(options, _summary(out, capsule, options))


@incident.command(epilog="Example: cccnode incident replay stall.capsule --check-signatures")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--all", "whole", is_flag=True, help="Every view at length, not only those that had trouble.")
@click.option("--check-signatures", is_flag=True, help="Verify them anew instead of believing what was recorded.")
@also_here
@pass_options
def replay(options: Options, *, file: Path, whole: bool, check_signatures: bool) -> None:
    """Replay a capsule: what happened in each view, and whether every effect is as it was then."""
    capsule = read_capsule(_read(file))
    replayed = Replay(capsule, verify_many=verify_many if check_signatures else None)
    story = Story(capsule.config, replayed.start)
    difference: Fault | None = None
    try:
        for step in replayed.steps():
            story.add(step)
    except Fault as found:
        difference = found
    summary = _summary(file, capsule, options)
    if options.json:
        output.emit_json(
            {
                "capsule": summary,
                "views": story.as_json(),
                "replayed": story.steps,
                "equal": difference is None,
                "difference": None if difference is None else output.from_fault(difference).as_json()["error"],
            }
        )
    else:
        _show(options, summary)
        for line in ["", *story.lines(options, whole=whole), ""]:
            click.echo(line)
    if difference is not None:
        raise output.trouble(difference.spec, printed=True, **difference.values)
    if not options.json:
        click.echo(_verdict(options, story, capsule))


def ops_address(options: Options, ops: str) -> str:
    """Where the node's operator port is; without a number a test network's first node."""
    if ops:
        return ops.removeprefix("http://").rstrip("/")
    if options.node and not options.node.isdigit():
        raise click.UsageError("--node takes the number of a test network's node here; for others give --ops")
    network = Testnet.open(options.home) if options.node else Testnet.find(options.home)
    if network is not None:
        return network.node(int(options.node or 0)).ops
    return load(options).config.ops.listen


def _fetch(address: str, asked: dict[str, Any], file: BinaryIO) -> bool:
    """Write the capsule as it comes; whether it came to its end.

    Raises:
        Trouble: the node refused, or could not be reached.
    """
    try:
        return asyncio.run(_stream(address, asked, file))
    except KeyboardInterrupt:
        return False


async def _stream(address: str, asked: dict[str, Any], file: BinaryIO) -> bool:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_PATIENCE_S, sock_read=asked["seconds"] + _PATIENCE_S)
    size = 0
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"http://{address}/incident", json=asked) as response,
        ):
            if response.content_type == "application/json":
                raise from_client(error_from((await response.json()).get("error")))
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > FILE_BYTES_MAX:
                    raise fault(errors.OVERSIZE, bytes_max=FILE_BYTES_MAX)
                file.write(chunk)
                file.flush()
    except (aiohttp.ClientError, ConnectionError, TimeoutError, ValueError) as error:
        if not size:
            raise output.trouble(errors.UNREACHABLE, ops=address, why=str(error) or "no answer in time") from error
        return False
    return True


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise disk_fault(error, file) from error


def _summary(file: Path, capsule: Capsule, options: Options) -> dict[str, object]:
    head, steps = capsule.head, capsule.steps
    seconds = (steps[-1].now_ms - head.now_ms) // 1_000 if steps else 0
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "program": head.program,
        "chain": "0x" + capsule.config.chain.hex(),
        "node": "0x" + head.node.hex(),
        "organisation": capsule.organisation,
        "epoch": capsule.config.epoch,
        "wall_ms": str(head.wall_ms),
        "reason": head.reason,
        "events": len(steps),
        "seconds": seconds,
        "asked_seconds": head.seconds,
        "ended": options.text(*_CAUSES[capsule.end.cause]),
        "cause": capsule.end.cause.name.lower(),
    }


def _show(options: Options, summary: dict[str, object]) -> None:
    if options.json:
        output.emit_json(summary)
        return
    for line in output.table([(key, value) for key, value in summary.items() if value != ""], indent=""):
        click.echo(line)


def _verdict(options: Options, story: Story, capsule: Capsule) -> str:
    state = capsule.end.state is not None
    return options.text(
        f"Equal: {story.steps} events had the same {story.effects} effects as then"
        + (", and the engine's state after the last is the same." if state else "."),
        f"ตรงกัน: {story.steps} เหตุการณ์ให้ผล {story.effects} รายการเหมือนเดิม" + (" และสถานะสุดท้ายตรงกัน" if state else ""),
    )
