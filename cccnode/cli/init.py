"""`cccnode init`: the home of a node, from a genesis document or from a network card (conventions.md 4a)."""

import asyncio
import re
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click

from cccnode import config as settings
from cccnode import keys
from cccnode.card import Card, card_text
from cccnode.cli import output
from cccnode.cli.card import LOOPBACK, card_of
from cccnode.cli.fetching import fetch_genesis
from cccnode.cli.keys import ask_passphrase
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.home import Home, disk_fault
from cccnode.keys import KeyFile, Role
from cccnode.types import errors
from cccnode.types.addresses import account_text
from cccnode.types.errors import fault
from cccnode.types.transaction import account_id
from cccnode.types.validators import node_id

ORGANISATION: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
"""A name as the registry takes it."""


@click.command(epilog="Example: cccnode init --network network.card --org chiang-mai --passphrase-file ~/secret")
@click.option("--genesis", type=click.Path(path_type=Path), metavar="FILE", help="The network's genesis document.")
@click.option("--network", "network", metavar="CARD|FILE", help="A network card: fetches and checks the genesis.")
@click.option("--org", "organisation", metavar="NAME", help="Whose node it is: also makes its account key.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="File whose first line protects the keys.")
@click.option("--unencrypted", is_flag=True, help="For demo networks only: keys in clear.")
@click.option("--set", "flags", multiple=True, metavar="SECTION.KEY=VALUE", help="A setting for config.toml.")
@also_here
@pass_options
def init(
    options: Options,
    genesis: Path | None,
    network: str | None,
    organisation: str | None,
    passphrase_file: Path | None,
    flags: tuple[str, ...],
    *,
    unencrypted: bool,
) -> None:
    """Prepare the home of a node: new keys, settings, genesis. Nothing that exists is changed."""
    home = options.home
    if home.config_file.exists() or home.genesis_file.exists():
        raise fault(errors.HOME_EXISTS, home=str(home.root))
    if genesis is None and network is None:
        raise click.UsageError("give --network CARD (to join a network) or --genesis FILE")
    name = _organisation(organisation)
    with ExitStack() as stack:
        card = None if network is None else card_of(network, now_ms=time.time_ns() // 1_000_000)
        if genesis is None:
            assert card is not None, "one of the two is given"
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cccnode-")))
            genesis = _fetched(card, folder)
        document, files = _read_genesis(genesis)
        if card is not None and document.chain != card.chain:
            raise fault(errors.CARD_OTHER_GENESIS, path=str(genesis), chain=document.chain, card=card.chain)
        chosen, profile = _settings(options, flags, card, name)
        paths = _key_paths(home, profile, name, remote="signer.listen" in chosen)
        fresh = {role for role, path in paths.items() if not path.exists()}
        passphrase = None if unencrypted or not fresh else ask_passphrase(passphrase_file, confirm=True)
        made = _make_keys(paths, name or home.root.name, passphrase)
        _write(home, files, genesis, settings.render(chosen, profile=profile), card)
    if Role.VALIDATOR in fresh:
        from cccnode.node.data import found  # noqa: PLC0415 - the city's rules, needed here only

        found(home.data, made[Role.VALIDATOR].public_key)  # made just now: it has never voted
    _show(options, home, document, made, profile=profile, joining=card is not None, name=name)
    if card is not None:
        _warn_of_loopback(options, str(chosen.get("p2p.listen", settings.P2pSection().listen)), card)


def _organisation(name: str | None) -> str:
    if name is None:
        return ""
    if not ORGANISATION.match(name):
        raise click.UsageError("--org: a name is small letters, digits and -, at most 64, beginning with no -")
    return name


def _fetched(card: Card, folder: Path) -> Path:
    """The card's genesis document, in a folder, fetched from the first contact that has it and checked."""
    return asyncio.run(fetch_genesis(card, folder))


def _settings(options: Options, flags: tuple[str, ...], card: Card | None, name: str) -> tuple[dict[str, object], str]:
    """What config.toml will hold, and the profile."""
    loaded = settings.load(options.home, flags=flags, profile=options.profile, environment={})
    chosen = {key: value for key, value in loaded.values().items() if loaded.origins[key] == "flag"}
    if name:
        chosen.setdefault("node.organisation", name)
    if card is not None:
        contacts = [f"{contact.node_key.hex()}@{contact.address}" for contact in card.contacts]
        chosen.setdefault("p2p.bootstrap", contacts)
    return chosen, loaded.config.profile


def _key_paths(home: Home, profile: str, name: str, *, remote: bool) -> dict[Role, Path]:
    """Which keys a home of this profile has; where a signer elsewhere holds the validator key, it has none."""
    paths = {Role.NODE: home.node_key}
    if profile not in {"peer", "archive"} and not remote:
        paths[Role.VALIDATOR] = home.validator_key
    if name:
        paths[Role.ACCOUNT] = home.account_key(name)
    return paths


def _make_keys(paths: dict[Role, Path], whose: str, passphrase: str | None) -> dict[Role, KeyFile]:
    """Keys that were made before, for a genesis ceremony, stay; the others are made."""
    return {
        role: keys.read(path)
        if path.exists()
        else keys.create(path, role=role, passphrase=passphrase, description=f"{role} of {whose}")
        for role, path in paths.items()
    }


def _write(home: Home, files: list[Path], genesis: Path, config: str, card: Card | None) -> None:
    try:
        for source in files:
            shutil.copyfile(source, home.root / ("genesis.json" if source == genesis else source.name))
        if card is not None:
            home.card_file.write_text(card_text(card) + "\n", encoding="utf-8")
        home.config_file.write_text(config, encoding="utf-8")
    except OSError as error:
        raise disk_fault(error, home.root) from error


def _read_genesis(path: Path) -> tuple[Any, list[Path]]:
    """A checked genesis and the files that hold it."""
    from genesis.document import read_document, read_genesis  # noqa: PLC0415 - needed here only

    try:
        raw = path.read_bytes()
        entry = read_document(raw).allocation
        allocation = None if entry is None else path.parent / entry.file_name
        content = None if allocation is None else allocation.read_bytes()
    except FileNotFoundError as error:
        raise fault(errors.GENESIS_INVALID, path=str(error.filename), why="no such file") from error
    except OSError as error:
        raise disk_fault(error, path) from error
    return read_genesis(raw, content), [path] if allocation is None else [path, allocation]


def _show(
    options: Options,
    home: Home,
    document: Any,
    made: dict[Role, KeyFile],
    *,
    profile: str,
    joining: bool,
    name: str,
) -> None:
    shown: dict[str, object] = {
        "home": str(home.root),
        "chain": "0x" + document.chain.hex(),
        "network": document.document.name,
        **{f"{role}_key": "0x" + file.pubkey for role, file in made.items()},
        "node_id": node_id(made[Role.NODE].public_key).hex(),
        "profile": profile,
        "keeps": _kept(home),
    }
    if Role.ACCOUNT in made:
        shown["account"] = account_text(account_id(made[Role.ACCOUNT].public_key))
    steps = _next(home, joining=joining, name=name)
    if options.json:
        output.emit_json({**shown, "next": steps})
        return
    for line in output.table(list(shown.items()), indent=""):
        click.echo(line)
    output.say(options.text("Next:", "ขั้นต่อไป:"))
    for step in steps:
        output.say(f"  {step}")


def _kept(home: Home) -> str:
    """How long this node keeps what, by kind: the role's policies, or what the operator chose."""
    values = settings.load(home, environment={}).values()
    kinds = {key.partition(".")[2]: value for key, value in values.items() if key.startswith("retention.")}
    return ", ".join(f"{kind} {keep}" for kind, keep in kinds.items())


def _warn_of_loopback(options: Options, listen: str, card: Card) -> None:
    """A node that only its own machine reaches joins, but nobody dials it."""
    away = [contact.address for contact in card.contacts if not contact.address.startswith(LOOPBACK)]
    if listen.startswith(LOOPBACK) and away:
        output.say(
            options.text(
                f"Warning: p2p.listen is {listen}: other machines cannot reach this node. In config.toml, section "
                'p2p, set listen = "0.0.0.0:27600" and advertise to the address at which others find it.',
                f"คำเตือน: p2p.listen คือ {listen} เครื่องอื่นติดต่อโหนดนี้ไม่ได้ ให้แก้ listen และ advertise ใน config.toml",
            )
        )


def _next(home: Home, *, joining: bool, name: str) -> list[str]:
    """The commands to type now, in order."""
    run = f"cccnode run --home {home.root}"
    if not joining:
        return [run]
    who = name or "NAME"
    return [
        f"cccnode join request --org {who} --pillar PILLAR --address HOST:PORT --home {home.root}",
        f"{run}   (it waits until the members admit {who})",
        f"cccnode join status --home {home.root}",
    ]
