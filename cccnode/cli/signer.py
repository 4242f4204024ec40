"""`cccnode signer`: the key that votes, on a machine of its own, which dials the node and opens no port."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cccnode import keys as key_files
from cccnode.cli import output
from cccnode.cli.keys import ask_passphrase, open_key
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.home import Home, HomeLock, disk_fault
from cccnode.keys import Role
from cccnode.types import errors
from cccnode.types.errors import fault

if TYPE_CHECKING:
    from cccnode.signer.holder import Contact
    from cccnode.signer.mark import Marks


@click.group(epilog="Example: cccnode signer init --home /var/lib/cccnode-signer")
def signer() -> None:
    """A validator's key on another machine: init, allow, run, status there; use on the node."""


@signer.command(epilog="Example: cccnode signer init --home /var/lib/cccnode-signer --passphrase-file ~/secret")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="File whose first line protects the keys.")
@click.option("--unencrypted", is_flag=True, help="For demo networks only: keys in clear.")
@also_here
@pass_options
def init(options: Options, *, passphrase_file: Path | None, unencrypted: bool) -> None:
    """Prepare a signer's home: a consensus key, a key for its connections, and the card for the node.

    A consensus key in keys/validator.json is kept; what it has signed elsewhere, `allow --floor` says.
    """
    from cccnode.signer.card import SignerCard, card_bytes  # noqa: PLC0415 - slow imports, as below
    from p2p.directory import make_certificate  # noqa: PLC0415

    home = options.home
    if home.signer_card.exists():
        raise fault(errors.HOME_EXISTS, home=str(home.root))
    with HomeLock.take(home):
        made = not home.validator_key.exists()
        passphrase = None if unencrypted else ask_passphrase(passphrase_file, confirm=made)
        if made:
            key_files.create(home.validator_key, role=Role.VALIDATOR, passphrase=passphrase, description="signer")
        transport = key_files.create(home.node_key, role=Role.NODE, passphrase=passphrase, description="of the signer")
        public = key_files.read(home.validator_key).public_key
        if made:
            _marks(home, public).found()
        seed = key_files.unlock(home.node_key, role=Role.NODE, passphrase=passphrase).seed
        card = SignerCard(consensus_key=public.hex(), certificate=make_certificate(seed).hex())
        _write(home.signer_card, card_bytes(card))
    shown = {"home": str(home.root), "consensus_key": "0x" + public.hex(), "signer_key": "0x" + transport.pubkey}
    _tell(options, {**shown, "card": str(home.signer_card), "new": made})


@signer.command(epilog="Example: cccnode signer allow --genesis genesis.json --home /var/lib/cccnode-signer")
@click.option("--genesis", type=click.Path(path_type=Path), required=True, help="The document of the chain.")
@click.option("--floor", metavar="EPOCH:VIEW", help="Sign nothing up to there: needed for a key made elsewhere.")
@also_here
@pass_options
def allow(options: Options, genesis: Path, floor: str | None) -> None:
    """Let the signer sign for a chain. Its mark only rises: a floor below it is refused."""
    from cccnode.node.data import read_home_outline  # noqa: PLC0415

    chain = read_home_outline(genesis).chain
    epoch, view = _floor(floor)
    with HomeLock.take(options.home):
        marks = _marks(options.home, _public(options.home))
        if floor is None and not marks.made:
            raise fault(
                errors.SIGNER_DAMAGED,
                why="this key was not made here, or has a mark: say with --floor EPOCH:VIEW what it has signed",
            )
        mark = marks.allow(chain, epoch=epoch, view=view)
    _tell(options, {"chain": "0x" + chain.hex(), "floor": f"{mark.epoch}:{mark.view}"})


@signer.command(epilog="Example: cccnode signer run --dial NODEKEY@node.example:27604 --home /var/lib/cccnode-signer")
@click.option("--dial", "nodes", multiple=True, required=True, metavar="KEY@HOST:PORT", help="A node's signer.listen.")
@click.option("--passphrase-file", "secret", type=click.Path(path_type=Path), help="File whose first line opens keys.")
@click.option("--parent", type=int, hidden=True, help="End when this process ends.")
@also_here
@pass_options
def run(options: Options, nodes: tuple[str, ...], secret: Path | None, parent: int | None) -> None:
    """Sign what the nodes ask for, until Ctrl-C; one that is away is dialled again."""
    from cccnode.cli.node import end_with, run_until_stopped  # noqa: PLC0415
    from cccnode.signer.holder import NODES_MAX, Holder  # noqa: PLC0415
    from cccnode.telemetry import start_logging  # noqa: PLC0415
    from p2p.directory import Identity  # noqa: PLC0415

    if parent is not None:
        end_with(parent)
    if len(nodes) > NODES_MAX:
        raise click.UsageError(f"a signer serves at most {NODES_MAX} nodes")
    contacts = [_contact(node) for node in nodes]
    home = options.home
    with HomeLock.take(home):
        marks = _marks(home, _public(home))
        if not marks.known:
            raise fault(errors.SIGNER_CHAIN, home=str(home.root))
        key = open_key(home.validator_key, Role.VALIDATOR, secret)
        identity = Identity(open_key(home.node_key, Role.NODE, secret).seed)
        start_logging(level="info", form="json" if options.json else "text")
        run_until_stopped(Holder(key=key, marks=marks, identity=identity).serve(contacts))


@signer.command(epilog="Example: cccnode signer status --home /var/lib/cccnode-signer")
@also_here
@pass_options
def status(options: Options) -> None:
    """Show the mark of each chain: the newest view in which this signer has signed, and what."""
    key = _public(options.home)
    marks = [
        {
            "chain": "0x" + mark.chain.hex(),
            "epoch": mark.epoch,
            "view": mark.view,
            "notarized": mark.notarized is not None,
            "left": mark.left.name.lower() if mark.left is not None else None,
            "floor": mark.closed,
        }
        for mark in _marks(options.home, key).known.values()
    ]
    if options.json:
        output.emit_json({"consensus_key": "0x" + key.hex(), "marks": marks})
        return
    click.echo(f"consensus_key  0x{key.hex()}")
    for line in output.table([list(mark) for mark in marks[:1]] + [list(mark.values()) for mark in marks]):
        click.echo(line)


@signer.command(epilog="Example: cccnode signer use signer.json --home /var/lib/cccnode")
@click.argument("card", type=click.Path(path_type=Path))
@also_here
@pass_options
def use(options: Options, card: Path) -> None:
    """On the node: take the card of its signer. Then set signer.listen in config.toml and start the node."""
    from cccnode.node.data import found  # noqa: PLC0415
    from cccnode.signer.card import card_bytes, read_card  # noqa: PLC0415

    home, read = options.home, read_card(card)
    if home.signer_card.exists():
        raise fault(errors.KEY_EXISTS, path=str(home.signer_card))
    with HomeLock.take(home):
        _write(home.signer_card, card_bytes(read))
        # The signer's mark remembers what was signed, so this node may begin with an empty journal.
        found(home.data, read.public_key)
    node = key_files.read(home.node_key).pubkey
    _tell(
        options,
        {"card": str(home.signer_card), "consensus_key": "0x" + read.consensus_key, "dial": f"{node}@HOST:PORT"},
    )


def _floor(text: str | None) -> tuple[int, int]:
    if text is None:
        return 0, 0
    epoch, colon, view = text.partition(":")
    if not (colon and epoch.isdecimal() and view.isdecimal() and max(int(epoch), int(view)) < 2**63):
        raise click.UsageError("--floor reads EPOCH:VIEW, two whole numbers")
    return int(epoch), int(view)


def _contact(text: str) -> "Contact":
    from cccnode.signer.holder import Contact  # noqa: PLC0415

    key, at, address = text.partition("@")
    host, colon, port = address.rpartition(":")
    try:
        node = bytes.fromhex(key.removeprefix("0x"))
    except ValueError:
        node = b""
    if not (at and colon and host and port.isdecimal() and len(node) == 32 and int(port) < 65_536):
        raise click.UsageError("--dial reads KEY@HOST:PORT, with the 64 hexadecimal digits of the node's key")
    return Contact(node_key=node, host=host.strip("[]"), port=int(port))


def _public(home: Home) -> bytes:
    return key_files.read(home.validator_key).public_key


def _marks(home: Home, key: bytes) -> "Marks":
    from cccnode.signer.mark import Marks  # noqa: PLC0415
    from storage.files import RealDisk  # noqa: PLC0415

    return Marks(RealDisk(home.data / "marks"), key)


def _write(path: Path, raw: bytes) -> None:
    """As a whole, or not at all."""
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.write_bytes(raw)
        temporary.replace(path)
    except OSError as error:
        raise disk_fault(error, path) from error


def _tell(options: Options, shown: dict[str, object]) -> None:
    if options.json:
        output.emit_json(shown)
        return
    for line in output.table(list(shown.items()), indent=""):
        click.echo(line)
