"""`cccnode restart`: the ceremony by which a network goes on after more than f validators are lost for ever (J22)."""

from pathlib import Path

import click
from msgspec.structs import replace

from cccnode import keys
from cccnode.cli import output
from cccnode.cli.keys import ask_passphrase, named_key
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import load
from cccnode.config import Config
from cccnode.keys import Role
from cccnode.node import ceremony
from cccnode.types.errors import RESTART_REFUSED, fault
from cccnode.types.restart import Approval, RestartCertificate, restart_bytes

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(epilog="Example: cccnode restart propose --keep org0 --keep org2 --out city.restart")
def restart() -> None:
    """After a quorum is lost for ever: propose, sign, approve, merge, show, accept, forget.

    The survivors stop their nodes.  The one with the greatest height proposes; each survivor signs, each organisation
    approves; everybody who goes on accepts the finished certificate and starts the node.  Without it a node refuses the
    blocks that follow.
    """


@restart.command(epilog="Example: cccnode restart propose --keep org0 --keep org2 --out city.restart")
@click.option("--keep", multiple=True, required=True, metavar="NAME", help="An organisation that validates on.")
@click.option("--out", type=FILE, required=True, help="Where the certificate goes.")
@also_here
@pass_options
def propose(options: Options, keep: tuple[str, ...], out: Path) -> None:
    """Begin a certificate: this home's newest block, and who validates from there on."""
    certificate = ceremony.propose(_config(options), frozenset(keep))
    ceremony.write_certificate(out, certificate)
    _show(options, certificate)


@restart.command(epilog="Example: cccnode restart sign city.restart")
@click.argument("file", type=FILE)
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="File whose first line opens the key.")
@also_here
@pass_options
def sign(options: Options, file: Path, passphrase_file: Path | None) -> None:
    """Sign as a survivor, with this home's consensus key; its data must end with the block that is named.

    From then on its node votes no more in the epoch that is given up.
    """
    certificate, found = ceremony.read_certificate(file), _config(options)
    encrypted = any(keys.read(path).encrypted for path in found.home.validator_keys)
    passphrase = ask_passphrase(passphrase_file, confirm=False) if encrypted else None
    certificate = ceremony.sign(found, certificate, ceremony.consensus_keys(found, passphrase))
    ceremony.write_certificate(file, certificate)
    _show(options, certificate)


@restart.command(epilog="Example: cccnode restart approve city.restart --org org3 --from org3")
@click.argument("file", type=FILE)
@click.option("--org", required=True, metavar="NAME", help="The organisation that approves.")
@click.option("--from", "sender", required=True, metavar="KEY", help="A key of its account: name or file.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="File whose first line opens the key.")
@also_here
@pass_options
def approve(options: Options, file: Path, org: str, sender: str, passphrase_file: Path | None) -> None:
    """Approve as an organisation, with a key of its account; more than two thirds of them must."""
    certificate, path = ceremony.read_certificate(file), named_key(options.home, sender)
    passphrase = ask_passphrase(passphrase_file, confirm=False) if keys.read(path).encrypted else None
    key = keys.unlock(path, role=Role.ACCOUNT, passphrase=passphrase)
    signature = key.sign(restart_bytes(certificate.restart))
    certificate = _merged(
        certificate, replace(certificate, approvals=(Approval(org, (key.public_key,), (signature,)),))
    )
    ceremony.write_certificate(file, certificate)
    _show(options, certificate)


@restart.command(epilog="Example: cccnode restart merge a.restart b.restart --out city.restart")
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--out", type=FILE, required=True, help="Where the certificate with all signatures goes.")
@also_here
@pass_options
def merge(options: Options, files: tuple[Path, ...], out: Path) -> None:
    """Put the signatures of several copies of one certificate together."""
    certificate = ceremony.read_certificate(files[0])
    for file in files[1:]:
        certificate = _merged(certificate, ceremony.read_certificate(file))
    ceremony.write_certificate(out, certificate)
    _show(options, certificate)


@restart.command(epilog="Example: cccnode restart show city.restart")
@click.argument("file", type=FILE)
@also_here
@pass_options
def show(options: Options, file: Path) -> None:
    """Show what a certificate says and who has signed."""
    _show(options, ceremony.read_certificate(file))


@restart.command(epilog="Example: cccnode restart accept city.restart")
@click.argument("file", type=FILE)
@also_here
@pass_options
def accept(options: Options, file: Path) -> None:
    """Accept a finished certificate for this home: its node follows it from the next start on."""
    certificate = ceremony.read_certificate(file)
    _show(options, certificate)
    if not options.yes and not options.json:
        click.confirm("Have the organisations really agreed on this?", abort=True, err=True)
    kept = ceremony.accept(_config(options), certificate)
    output.say(options.text(f"Accepted: {kept}. Start the node.", f"ยอมรับแล้ว: {kept} เริ่มโหนดได้"))


@restart.command(epilog="Example: cccnode restart forget")
@also_here
@pass_options
def forget(options: Options) -> None:
    """Withdraw what was accepted and has not begun yet."""
    gone = [str(path) for path in ceremony.forget(options.home)]
    if options.json:
        output.emit_json({"removed": gone})
    for path in gone:
        output.say(path)


def _config(options: Options) -> Config:
    return load(options).config


def _merged(one: RestartCertificate, other: RestartCertificate) -> RestartCertificate:
    """All signatures of two copies.

    Raises:
        Fault: consensus/RESTART_REFUSED: they are over different things.
    """
    if one.restart != other.restart:
        raise fault(RESTART_REFUSED, reason="the files are not copies of one certificate")
    survivors = tuple(mine or theirs for mine, theirs in zip(one.survivors, other.survivors, strict=True))
    known: dict[tuple[str, tuple[bytes, ...]], Approval] = {
        (approval.organisation, approval.keys): approval for approval in (*one.approvals, *other.approvals)
    }
    approvals = tuple(known[name] for name in sorted(known))
    return RestartCertificate(restart=one.restart, survivors=survivors, approvals=approvals)


def _show(options: Options, certificate: RestartCertificate) -> None:
    agreed = certificate.restart
    signed = [
        row.organisation
        for row, signature in zip(agreed.record.validators, certificate.survivors, strict=True)
        if signature is not None
    ]
    shown: dict[str, object] = {
        "chain": "0x" + agreed.chain.hex(),
        "height": str(agreed.height),
        "block_id": "0x" + agreed.block_id.hex(),
        "epoch": agreed.record.epoch,
        "validators": [row.organisation for row in agreed.record.validators],
        "signed": signed,
        "approved": sorted({approval.organisation for approval in certificate.approvals}),
    }
    if options.json:
        output.emit_json(shown)
        return
    rows = [(name, ", ".join(value) if isinstance(value, list) else value) for name, value in shown.items()]
    for line in output.table(rows, indent=""):
        click.echo(line)
