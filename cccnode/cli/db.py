"""`cccnode db`: what a node keeps, backed up, verified, restored; checked, mended, counted."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from cccnode.cli import output
from cccnode.cli.incident import ops_address
from cccnode.cli.meter import Meter, amount
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.pruning import prune
from cccnode.cli.reach import from_client
from cccnode.cli.testnet_files import Testnet
from cccnode.client import error_from
from cccnode.home import Home, HomeLock, lock_holder
from cccnode.types import errors
from cccnode.types.errors import fault

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(epilog="Example: cccnode db backup /mnt/backup --home ~/.cccnode")
def db() -> None:
    """What a node keeps: backup, verify, restore; check, repair, stats, compact, prune, reindex."""


@db.command(epilog="Example: cccnode db backup /mnt/backup --home ~/.cccnode")
@click.argument("folder", type=FOLDER)
@click.option("--with-keys", is_flag=True, help="Also the key files, as they are. Keep such a folder like the keys.")
@click.option("--ops", metavar="HOST:PORT", default="", help="The node's operator port [from the home's settings].")
@also_here
@pass_options
def backup(options: Options, *, folder: Path, with_keys: bool, ops: str) -> None:
    """Back up a node into a folder, whether it runs or not; again into the same folder adds only what is new.

    Everything in it is of one height. The vote journal is never in it, nor are the keys unless asked for.
    """
    from cccnode.node.backups import Taking, locked_folder, running_source, stopped_source  # noqa: PLC0415 - slow

    home = chosen_home(options)
    if folder.resolve().is_relative_to(home.data.resolve()):
        raise click.UsageError("the folder lies in the data that it is to be a backup of")
    with ExitStack() as stack:
        stack.enter_context(locked_folder(folder))
        if lock_holder(home) is not None:
            source = running_source(ops_address(options, ops), lambda answer: from_client(error_from(answer["error"])))
        else:
            stack.enter_context(HomeLock.take(home))
            source = stack.enter_context(stopped_source(home))
        taking = Taking(home, folder, source, with_keys=with_keys)
        meter = run(options, taking.expected, taking.steps())
    manifest = taking.manifest
    assert manifest is not None, "all steps are taken"
    if folder.stat().st_dev == home.root.stat().st_dev:
        output.say(
            options.text(
                "Note: the folder is on the disk of the node; a backup that is to survive that disk lies elsewhere.",
                "หมายเหตุ: โฟลเดอร์อยู่บนดิสก์เดียวกับโหนด ควรเก็บข้อมูลสำรองไว้ที่อื่น",
            )
        )
    shown = {
        "folder": str(folder),
        **described(manifest),
        "written_bytes": taking.written,
        "seconds": round(meter.seconds, 1),
        "earlier_height": None if taking.earlier is None else str(taking.earlier.height),
    }
    show(options, shown)


@db.command(epilog="Example: cccnode db verify /mnt/backup")
@click.argument("folder", type=FOLDER, required=False)
@also_here
@pass_options
def verify(options: Options, *, folder: Path | None) -> None:
    """Check a backup, or without FOLDER the data of a stopped home, wholly and alone: no other node is asked.

    Sums, links of blocks, certificates, receipts, histories, state root, and in a home the index.
    """
    from cccnode.node.verifying import BackupCheck, HomeCheck  # noqa: PLC0415 - slow

    with ExitStack() as stack:
        check: BackupCheck | HomeCheck
        if folder is not None:
            check = BackupCheck(folder)
        else:
            home = chosen_home(options)
            stack.enter_context(HomeLock.take(home))
            check = HomeCheck(home)
        stack.callback(check.close)
        meter = run(options, check.expected, check.steps())
        shown = {**check.summary(), "seconds": round(meter.seconds, 1), "verdict": check.verdict}
        findings = [str(finding) for finding in check.audit.findings]
    show(options, shown | ({"findings": findings} if options.json else {}))
    if findings:
        raise output.trouble(errors.DATA_DAMAGED, printed=True, findings=findings)


@db.command(epilog="Example: cccnode db restore /mnt/backup --home /var/lib/cccnode")
@click.argument("folder", type=FOLDER)
@click.option("--replace", is_flag=True, help="Replace the data that the home has; votes, batches and keys stay.")
@click.option("--with-keys", is_flag=True, help="Also the keys that the backup holds, where the home has none.")
@also_here
@pass_options
def restore(options: Options, *, folder: Path, replace: bool, with_keys: bool) -> None:
    """Put a backup into the home of a stopped node, on this or another machine.

    A validator restored where its vote journal is not observes until the next epoch, so that it cannot contradict what
    it signed before; one that kept its journal goes on.
    """
    from cccnode.node.backups import restore_home  # noqa: PLC0415 - slow
    from storage.backup import Backup  # noqa: PLC0415 - as above
    from storage.files import RealDisk  # noqa: PLC0415 - as above

    home = chosen_home(options, empty=True)
    if not folder.is_dir():
        raise fault(errors.BACKUP_INVALID, path=str(folder), reason="there is no such folder")
    with HomeLock.take(home):
        manifest = Backup(RealDisk(folder)).manifest
        steps = restore_home(home, folder, replace=replace, with_keys=with_keys)
        meter = run(options, 2 * manifest.size, steps)
    show(options, {"home": str(home.root), **described(manifest), "seconds": round(meter.seconds, 1)})


@db.command(epilog="Example: cccnode db check --home ~/.cccnode")
@also_here
@pass_options
def check(options: Options) -> None:
    """The quick check of a stopped home, in seconds: its newest blocks and results, and the state root.

    Every start of a node does the same and says so in its log. `verify` checks everything.
    """
    from cccnode.node.verifying import quick_check  # noqa: PLC0415 - slow

    home = chosen_home(options)
    with HomeLock.take(home):
        audit = quick_check(home)
    findings = [str(finding) for finding in audit.findings]
    verdict = "sound" if audit.sound else "damaged"
    shown = {"height": str(audit.content.origin.applied.height), **audit.counts, "verdict": verdict}
    show(options, shown | ({"findings": findings} if options.json else {}))
    if findings:
        raise output.trouble(errors.DATA_DAMAGED, printed=True, findings=findings)


@db.command(epilog="Example: cccnode db repair --home ~/.cccnode")
@also_here
@pass_options
def repair(options: Options) -> None:
    """Mend a damaged home whose node is stopped, by what costs least; says what it did and what it could not.

    Votes and keys are never touched. What is given up is set aside under data/damaged-N, for you to inspect and delete.
    """
    from cccnode.node.mending import Mending  # noqa: PLC0415 - slow

    home = chosen_home(options)
    with HomeLock.take(home):
        mending = Mending(home)
        run(options, 0, mending.steps())
    report = mending.report
    rows = {
        "found": report.found,
        "done": report.done,
        "lost": report.lost,
        "set_aside": [] if report.aside is None else [str(report.aside)],
        "next": [report.following],
    }
    if options.json:
        output.emit_json(rows)
        return
    for name, lines in rows.items():
        for line in lines or ["-"]:
            click.echo(f"{name:<10} {line}")


@db.command(epilog="Example: cccnode db stats --home ~/.cccnode --output json")
@also_here
@pass_options
def stats(options: Options) -> None:
    """Bytes and files by kind; rows too while the node is stopped."""
    from cccnode.node.counting import stats as count  # noqa: PLC0415 - slow

    found = count(chosen_home(options))
    if options.json:
        output.emit_json(found)
        return
    rows = [
        (
            kind,
            f"{row['files']} files",
            amount(float(str(row["bytes"]))),
            ", ".join(f"{name} {value}" for name, value in row.items() if name not in {"files", "bytes"}),
        )
        for kind, row in found.items()
    ]
    for line in output.table(rows, indent=""):
        click.echo(line)


@db.command(epilog="Example: cccnode db compact --home ~/.cccnode")
@also_here
@pass_options
def compact(options: Options) -> None:
    """Give the space of deleted rows in state, index and history back to the disk. The node is stopped."""
    from cccnode.node.counting import compact as compact_home  # noqa: PLC0415 - slow

    home = chosen_home(options)
    with HomeLock.take(home):
        found = compact_home(home)
    if options.json:
        output.emit_json(found)
        return
    rows = [(kind, amount(row["before_bytes"]), "->", amount(row["after_bytes"])) for kind, row in found.items()]
    for line in output.table(rows, indent=""):
        click.echo(line)


@db.command(epilog="Example: cccnode db reindex --home ~/.cccnode")
@also_here
@pass_options
def reindex(options: Options) -> None:
    """Fill the transaction index of a stopped node anew, from its receipts."""
    from cccnode.node.counting import Reindexing  # noqa: PLC0415 - slow

    home = chosen_home(options)
    with ExitStack() as stack:
        stack.enter_context(HomeLock.take(home))
        work = Reindexing(home)
        stack.callback(work.close)
        meter = run(options, work.expected, work.steps())
    show(
        options,
        {"height": str(work.height), "transactions": work.transactions, "seconds": round(meter.seconds, 1)},
    )


db.add_command(prune)


def chosen_home(options: Options, *, empty: bool = False) -> Home:
    """The home that is meant: `--node N` of a test network, or `--home`; `empty`: it may have no genesis yet.

    Raises:
        Fault: home/EMPTY, or testnet/...
    """
    home = Testnet.open(options.home).node(int(options.node)).home if options.node.isdigit() else options.home
    if not empty and not home.genesis_file.exists():
        raise fault(errors.HOME_EMPTY, home=str(home.root), missing=home.genesis_file.name)
    return home


def run(options: Options, total: int, steps: Iterator[tuple[str, int]]) -> Meter:
    """Take all steps; say on a terminal how far it is."""
    meter = Meter(options, total)
    try:
        for what, size in steps:
            meter.add(what, size)
    finally:
        meter.end()
    return meter


def described(manifest: Any) -> dict[str, object]:
    """A backup in a few words."""
    blocks = manifest.parts.get("blocks", ())
    return {
        "chain": "0x" + manifest.chain,
        "height": str(manifest.height),
        "first_block": str(blocks[0].first) if blocks else None,
        "block_id": "0x" + manifest.block_id,
        "state_root": "0x" + manifest.state_root,
        "files": len(manifest.names),
        "bytes": manifest.size,
    }


def show(options: Options, found: dict[str, Any]) -> None:
    """Results as rows, or as JSON."""
    if options.json:
        output.emit_json(found)
        return
    rows = [(name, amount(value) if name.endswith("bytes") else value) for name, value in found.items()]
    for line in output.table([row for row in rows if row[1] is not None], indent=""):
        click.echo(line)
