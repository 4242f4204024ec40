"""`cccnode status`: how the node is, in one screen, with reasons and remedies."""

from typing import Any

import click

from cccnode.cli import output
from cccnode.cli.council import duration
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import talk


@click.command(epilog="Example: cccnode status --node 2 --output json")
@also_here
@pass_options
def status(options: Options) -> None:
    """How the node is, and why."""
    answer = talk(options, lambda client: client.status())
    if options.json:
        output.emit_json(answer)
        return
    for line in status_lines(answer, options):
        click.echo(line)


def status_lines(status: dict[str, Any], options: Options) -> list[str]:
    """A status for people."""
    text = options.text
    voter = f"{text('validator', 'ผู้ตรวจสอบ')} {status['validator']}"
    role = text("peer", "โหนดทั่วไป") if status["validator"] is None else voter
    organisation = status["organisation"] or text("not registered", "ยังไม่ได้ลงทะเบียน")
    height = f"{status['height']} (final {status['final_height']}, behind {status['behind']})"
    lines = output.table(
        [
            (text("State", "สถานะ"), f"{status['state']}, {organisation} ({role})"),
            (text("Chain", "เครือข่าย"), f"{status['chain']} ({status['chain_name']})"),
            (text("Height", "ความสูง"), height),
            (text("View", "รอบ"), f"{status['view']}, leader {status['leader']}, epoch {status['epoch']}"),
            (text("Peers", "โหนดที่เชื่อมต่อ"), f"{status['peers']}"),
            (text("Waiting", "ธุรกรรมรอ"), f"{status['mempool']}"),
        ],
        indent="",
    )
    if status.get("snapshot"):
        lines.append(f"{text('Snapshot', 'สแนปช็อต')}  {snapshot_text(status['snapshot'], options)}")
    lines += _kept(status, options)
    validators = output.table([_validator(row, options) for row in status["validators"]])
    lines += ["", text("Validators", "ผู้ตรวจสอบ"), *validators]
    if status["reasons"]:
        lines += ["", text("Reasons", "สาเหตุ")]
    for reason in status["reasons"]:
        thai = options.lang == "th"
        lines.append(f"  {reason['code']}: {reason['text_th'] if thai else reason['text']}")
        lines += [f"    {key}: {_shown(value)}" for key, value in reason["details"].items()]
        lines.append(f"    {text('remedy', 'วิธีแก้')}: {reason['remedy_th'] if thai else reason['remedy']}")
    return lines


def snapshot_text(progress: dict[str, Any], options: Options) -> str:
    """How far a node has come that begins at a snapshot."""
    share = 100 * progress["done"] // max(1, progress["pieces"])
    rate = f"{int(progress['bytes_per_s']) / 1e6:.1f} MB/s"
    left = (
        "" if progress["eta_ms"] is None else f", {options.text('about', 'อีกราว')} {duration(int(progress['eta_ms']))}"
    )
    return f"{progress['stage']} {share} %, {rate}{left} ({progress['height']})"


def _kept(status: dict[str, Any], options: Options) -> list[str]:
    """From which height on what is kept, and how much room it takes."""
    earliest = [f"{kind} {height}" for kind, height in status["earliest"].items() if int(height) > 1]
    sizes = {kind: int(size) for kind, size in status["usage_bytes"].items()}
    taken = [f"{kind} {size / 1e6:,.0f}" for kind, size in sizes.items() if size >= 500_000]
    rows = []
    if earliest:
        rows.append((options.text("Kept from", "เก็บตั้งแต่"), ", ".join(earliest)))
    if sizes:
        rows.append((options.text("Disk", "ดิสก์"), f"{sum(sizes.values()) / 1e6:,.0f} MB ({', '.join(taken) or '-'})"))
    return output.table(rows, indent="")


def _validator(row: dict[str, Any], options: Options) -> tuple[object, ...]:
    reach = options.text("reachable", "ติดต่อได้") if row["reachable"] else options.text("NOT REACHABLE", "ติดต่อไม่ได้")
    executed = "" if row["executed"] is None else f"executed {row['executed']}"
    return row["index"], row["organisation"], reach, executed


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
