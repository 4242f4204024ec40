"""`cccnode consensus watch`: the current view with its votes, and every validator, drawn anew each second."""

import asyncio
import sys
from typing import Any, Final

import click

from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import talk
from cccnode.client import Client

_CLEAR: Final = "\x1b[H\x1b[J"
_VOTES: Final = (("notarize", "N"), ("finalize", "F"), ("nullify", "-"))
"""Kinds of votes, and the letter that stands for each."""


@click.group(epilog="Example: cccnode consensus watch")
def consensus() -> None:
    """Views and votes as they happen: watch."""


@consensus.command(epilog="Example: cccnode consensus watch --node 0 --every 0.5")
@click.option("--every", type=click.FloatRange(0.1, 60), default=1.0, show_default=True, help="Seconds between looks.")
@click.option("--count", type=click.IntRange(min=0), default=0, help="End after so many looks [0: Ctrl-C ends it].")
@also_here
@pass_options
def watch(options: Options, *, every: float, count: int) -> None:
    """Watch one node: epoch, view, leader, who voted for what, who lags. JSON: one object for each look."""

    async def look(client: Client) -> None:
        looks = 0
        while True:
            status = await client.call("chain_status")
            observed = (await client.call("node_doctor", observation=True))["observation"]
            _show(options, status, observed)
            looks += 1
            if looks == count:
                return
            await asyncio.sleep(every)

    talk(options, look)


def _show(options: Options, status: dict[str, Any], observed: dict[str, Any]) -> None:
    if options.json:
        output.emit_json({"status": status, "observation": observed})
    else:
        lines = screen(options, status, observed)
        click.echo((_CLEAR if sys.stdout.isatty() else "") + "\n".join(lines))
    sys.stdout.flush()


def screen(options: Options, status: dict[str, Any], observed: dict[str, Any]) -> list[str]:
    """One look for people."""
    text, own = options.text, observed["own"]
    waits = observed["waiting_for"] or text("nothing to do", "ไม่มีงาน")
    head = [
        (text("Network", "เครือข่าย"), f"{status['chain_name']}  {status['organisation']}  {status['state']}"),
        (text("Height", "ความสูง"), f"{status['height']}  final {status['final_height']}  behind {status['behind']}"),
        (text("Epoch, view", "ยุค รอบ"), f"{own['epoch']}, {own['view']}  leader {observed['leader']}"),
        (text("This view", "รอบนี้"), f"{observed['view_ms']} ms  {waits}"),
        (text("Blocks a minute", "บล็อกต่อนาที"), "-" if observed["rate"] is None else str(observed["rate"])),
        (text("Waiting", "ธุรกรรมรอ"), str(observed["waiting"])),
    ]
    titles = (
        "",
        text("organisation", "องค์กร"),
        text("votes", "คะแนน"),
        text("executed", "ดำเนินการถึง"),
        text("lag", "ตามหลัง"),
        text("silent", "เงียบ"),
        text("round trip", "ไปกลับ"),
        "",
    )
    rows = [_row(options, status, observed, seen) for seen in observed["validators"]]
    legend = text("votes: N notarize, F finalize, - nullify; * leader", "คะแนน: N รับรอง F ปิด - ข้าม; * ผู้นำ")
    return [*output.table(head, indent=""), "", *output.table([titles, *rows], indent=""), "", legend]


def _row(options: Options, status: dict[str, Any], observed: dict[str, Any], seen: dict[str, Any]) -> tuple[str, ...]:
    index = seen["index"]
    mine = index == observed["me"]
    votes = "".join(letter if index in observed[kind] else "." for kind, letter in _VOTES)
    executed = status["height"] if mine else seen["executed"]
    lag = "" if executed is None else str(max(0, int(status["height"]) - int(executed)))
    state = (
        options.text("this node", "โหนดนี้") if mine else "" if seen["linked"] else options.text("NOT LINKED", "ไม่เชื่อมต่อ")
    )
    return (
        f"{index}{'*' if index == observed['leader'] else ''}",
        seen["organisation"],
        votes,
        "-" if executed is None else str(executed),
        lag,
        _milliseconds(seen["silent_ms"]),
        _milliseconds(seen["rtt_ms"]),
        state,
    )


def _milliseconds(value: object) -> str:
    return "" if value is None else f"{value} ms"
