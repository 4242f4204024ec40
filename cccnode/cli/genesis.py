"""`cccnode genesis`: several organisations write one genesis document, compare it aloud, and sign it.

Everybody works on a copy of the draft in a folder of his own; `collect` joins copies in any order into the same file.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cccnode import keys as key_files
from cccnode import words
from cccnode.cli import output
from cccnode.cli.init import ORGANISATION
from cccnode.cli.keys import open_key
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.crypto.signing import SigningKey
from cccnode.home import Home, disk_fault
from cccnode.keys import Role
from cccnode.types import errors
from cccnode.types.errors import fault

if TYPE_CHECKING:
    from genesis.document import Document

PILLARS: Final = ("government", "private", "academia", "citizens")
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(epilog="Example: cccnode genesis new bangmod --to draft.json")
def genesis() -> None:
    """Found a network together: new, add-org, add-validator, collect, hash, sign, verify."""


@genesis.command(epilog="Example: cccnode genesis new bangmod --to draft.json")
@click.argument("name")
@click.option("--to", "target", type=_FILE, required=True, help="The draft to make.")
@also_here
@pass_options
def new(options: Options, name: str, target: Path) -> None:
    """Begin a draft: a name, a time, an asset for fees, and no organisation yet. Edit it before it is passed on."""
    from genesis.ceremony import begin, draft_bytes, read_draft  # noqa: PLC0415 - slow import, as below

    raw = draft_bytes(begin(name, time_ms=time.time_ns() // 1_000_000))
    read_draft(raw)
    if target.exists():
        raise fault(errors.HOME_EXISTS, path=str(target))
    _write(target, raw)
    _tell(options, {"file": str(target), "name": name})


@genesis.command(
    "add-org", epilog="Example: cccnode genesis add-org draft.json cmu --pillar academia --address h:27600"
)
@click.argument("draft", type=_FILE)
@click.argument("name")
@click.option("--pillar", type=click.Choice(PILLARS), required=True)
@click.option("--address", "addresses", multiple=True, metavar="HOST:PORT", help="Where others reach its node.")
@click.option("--passphrase-file", "secret", type=click.Path(path_type=Path), help="File whose first line opens it.")
@also_here
@pass_options
def add_org(
    options: Options, draft: Path, name: str, pillar: str, addresses: tuple[str, ...], secret: Path | None
) -> None:
    """Add this home's organisation to a draft: its node key, and the key of its account NAME."""
    from genesis import ceremony  # noqa: PLC0415
    from genesis.document import NodeEntry  # noqa: PLC0415
    from p2p.directory import make_certificate  # noqa: PLC0415

    if not ORGANISATION.match(name):
        raise click.UsageError("a name is small letters, digits and -, at most 64, beginning with no -")
    node = open_key(options.home.node_key, Role.NODE, secret)
    entry = NodeEntry(key=node.public_key.hex(), certificate=make_certificate(node.seed).hex(), addresses=addresses)
    account = key_files.read(options.home.account_key(name)).public_key
    changed = ceremony.add_organisation(
        _read(draft),
        name=name,
        pillar=pillar,  # type: ignore[arg-type]  # one of PILLARS, which are names of pillars
        nodes=[entry],
        account_key=account,
    )
    _save(draft, changed)
    _tell(options, {"file": str(draft), "organisation": name, "node_key": "0x" + entry.key})


@genesis.command("add-validator", epilog="Example: cccnode genesis add-validator draft.json cmu")
@click.argument("draft", type=_FILE)
@click.argument("name")
@click.option("--key", "public", metavar="HEX", help="Its consensus key, where a remote signer holds it.")
@also_here
@pass_options
def add_validator(options: Options, draft: Path, name: str, public: str | None) -> None:
    """Let an organisation of the draft validate, with this home's validator key."""
    from genesis import ceremony  # noqa: PLC0415

    try:
        key = bytes.fromhex(public.removeprefix("0x")) if public is not None else None
    except ValueError as error:
        raise click.UsageError("--key is 64 hexadecimal digits") from error
    if key is None:
        key = key_files.read((options.home.validator_keys or [options.home.validator_key])[-1]).public_key
    _save(draft, ceremony.add_validator(_read(draft), name=name, consensus_key=key))
    _tell(options, {"file": str(draft), "organisation": name, "consensus_key": "0x" + key.hex()})


@genesis.command(epilog="Example: cccnode genesis collect genesis.json */genesis.json")
@click.argument("target", type=_FILE)
@click.argument("copies", type=_FILE, nargs=-1, required=True)
@also_here
@pass_options
def collect(options: Options, target: Path, copies: tuple[Path, ...]) -> None:
    """Join copies of a draft, or of a document with signatures, into TARGET; their order is nothing."""
    from genesis import ceremony  # noqa: PLC0415

    whole = ceremony.merge([_read(path) for path in copies])
    _save(target, whole)
    _tell(options, {"file": str(target), **_figures(whole)})


@genesis.command("hash", epilog="Example: cccnode genesis hash genesis.json")
@click.argument("document", type=_FILE)
@also_here
@pass_options
def hash_document(options: Options, document: Path) -> None:
    """Print the hash that is the chain id, and words to compare aloud; signatures do not change it."""
    _tell(options, {"file": str(document), **_figures(_read(document))})


@genesis.command(epilog="Example: cccnode genesis sign genesis.json")
@click.argument("document", type=_FILE)
@click.option("--passphrase-file", "secret", type=click.Path(path_type=Path), help="File whose first line opens keys.")
@also_here
@pass_options
def sign(options: Options, document: Path, secret: Path | None) -> None:
    """Sign a document with those keys of this home that it lists; compare its words with the others before."""
    from genesis import ceremony  # noqa: PLC0415

    found = _read(document)
    figures = _figures(found)
    if not options.json:
        output.say(f"{figures['hash']}\n{figures['words']}")
    if not options.yes and not options.json:
        click.confirm(
            options.text("Do all others have these words?", "ทุกฝ่ายเห็นคำเหล่านี้ตรงกันหรือไม่"), abort=True, err=True
        )
    signed = ceremony.sign(found, _listed(found, options.home, secret))
    _save(document, signed)
    _tell(options, {"file": str(document), **_figures(signed)})


@genesis.command(epilog="Example: cccnode genesis verify genesis.json")
@click.argument("document", type=_FILE)
@also_here
@pass_options
def verify(options: Options, document: Path) -> None:
    """Check a document as a node does: every rule, and every signature that it lists."""
    from cccnode.node.data import read_home_genesis  # noqa: PLC0415

    found = read_home_genesis(document).document
    _tell(options, {"file": str(document), "valid": True, "signed": found.signed, **_figures(found)})


def _listed(document: "Document", home: Home, secret: Path | None) -> list[SigningKey]:
    """The private keys of the home that the document lists; no others are opened."""
    from genesis.document import signers  # noqa: PLC0415

    wanted = {key for _, key in signers(document)}
    paths = [(Role.VALIDATOR, path) for path in home.validator_keys]
    paths += [(Role.ACCOUNT, path) for path in sorted((home.keys / "accounts").glob("*.json"))]
    return [open_key(path, role, secret) for role, path in paths if key_files.read(path).pubkey in wanted]


def _figures(document: "Document") -> dict[str, object]:
    from genesis.document import chain_id, signers  # noqa: PLC0415

    chain = chain_id(document)
    given = {(entry.organisation, entry.key) for entry in document.signatures}
    return {
        "hash": "0x" + chain.hex(),
        "words": words.fingerprint(chain),
        "organisations": [entry.name for entry in document.organisations],
        "validators": [entry.name for entry in document.organisations if entry.consensus_key is not None],
        "unsigned": sorted({signer[0] for signer in signers(document) if signer not in given}),
    }


def _read(path: Path) -> "Document":
    from genesis.ceremony import read_draft  # noqa: PLC0415

    try:
        return read_draft(path.read_bytes())
    except FileNotFoundError as error:
        raise fault(errors.GENESIS_INVALID, path=str(path), why="no such file") from error
    except OSError as error:
        raise disk_fault(error, path) from error


def _save(path: Path, document: "Document") -> None:
    from genesis.ceremony import draft_bytes  # noqa: PLC0415

    _write(path, draft_bytes(document))


def _write(path: Path, raw: bytes) -> None:
    """As a whole, or not at all."""
    temporary = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(raw)
        temporary.replace(path)
    except OSError as error:
        raise disk_fault(error, path) from error


def _tell(options: Options, shown: dict[str, object]) -> None:
    if options.json:
        output.emit_json(shown)
        return
    plain = [(key, ", ".join(map(str, value)) if isinstance(value, list) else value) for key, value in shown.items()]
    for line in output.table(plain, indent=""):
        click.echo(line)
