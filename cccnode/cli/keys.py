"""`cccnode keys`: make a key file, show what one says without opening it."""

from pathlib import Path

import click

from cccnode import keys as key_files
from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.crypto.signing import SigningKey
from cccnode.home import Home
from cccnode.keys import KeyFile, Role
from cccnode.node.data import found
from cccnode.types.addresses import account_text
from cccnode.types.transaction import account_id

ROLES = list(map(str, Role))


@click.group(epilog="Example: cccnode keys new account alice")
def keys() -> None:
    """Key files: new, show, certificate."""


@keys.command(epilog="Example: cccnode keys new account alice --passphrase-file ~/secret")
@click.argument("role", type=click.Choice(ROLES))
@click.argument("name", required=False)
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="File whose first line protects the key.")
@click.option("--unencrypted", is_flag=True, help="For demo networks only: anyone who reads the file has the key.")
@also_here
@pass_options
def new(options: Options, role: str, name: str | None, *, passphrase_file: Path | None, unencrypted: bool) -> None:
    """Make a new key: node, validator (a further one beside the old), or account NAME."""
    if (role == Role.ACCOUNT) != bool(name):
        raise click.UsageError("an account key needs a NAME" if not name else f"a {role} key has no NAME")
    passphrase = None if unencrypted else ask_passphrase(passphrase_file, confirm=True)
    path = key_path(options.home, role=Role(role), name=name)
    document = key_files.create(path, role=Role(role), passphrase=passphrase, description=name or role)
    if document.role is Role.VALIDATOR:
        found(options.home.data, document.public_key)
    _show(options, path, document)


@keys.command(epilog="Example: cccnode keys show node")
@click.argument("name")
@also_here
@pass_options
def show(options: Options, name: str) -> None:
    """Show the public part of a key: `node`, `validator`, the name of an account, or a file."""
    path = named_key(options.home, name)
    _show(options, path, key_files.read(path))


@keys.command(epilog="Example: cccnode keys certificate --output json")
@click.option("--passphrase-file", "secret", type=click.Path(path_type=Path), help="File whose first line opens it.")
@also_here
@pass_options
def certificate(options: Options, secret: Path | None) -> None:
    """Print the certificate of this node's key, as `cccnode tx add-node` takes it on another node of yours."""
    from p2p.directory import make_certificate  # noqa: PLC0415 - slow import, needed here only

    key = open_key(options.home.node_key, Role.NODE, secret)
    text = "0x" + make_certificate(key.seed).hex()
    if options.json:
        output.emit_json({"node_key": "0x" + key.public_key.hex(), "certificate": text})
        return
    click.echo(text)


def key_path(home: Home, *, role: Role, name: str | None) -> Path:
    """Where a new key of the home goes."""
    match role:
        case Role.NODE:
            return home.first_node_key
        case Role.VALIDATOR:
            return home.fresh_key(Role.VALIDATOR)
        case Role.ACCOUNT:
            return home.account_key(_simple(name or ""))


def named_key(home: Home, name: str) -> Path:
    """The key file behind a name: a role (its newest key), an account of the home, or a path."""
    if "/" in name or name.endswith(".json"):
        return Path(name)
    if name == Role.NODE:
        return home.node_key
    if name == Role.VALIDATOR:
        return (home.validator_keys or [home.validator_key])[-1]
    return home.account_key(_simple(name))


def ask_passphrase(file: Path | None, *, confirm: bool, of: str = "") -> str:
    """The passphrase from file, environment, or the person at the terminal."""
    found = key_files.find_passphrase(file)
    if found is not None:
        return found
    prompt = f"Passphrase of {of}" if of else "Passphrase"
    answer: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    return answer


def open_key(path: Path, role: Role, secret: Path | None) -> SigningKey:
    """The private key in a file; its passphrase from file, environment or the person, where it needs one.

    Raises:
        Fault: `keys/...`.
    """
    passphrase = ask_passphrase(secret, confirm=False, of=path.name) if key_files.read(path).encrypted else None
    return key_files.unlock(path, role=role, passphrase=passphrase)


def _simple(name: str) -> str:
    if not name or not all(character.isalnum() or character in "-_." for character in name) or name.startswith("."):
        raise click.UsageError("a key's NAME is letters, digits, - _ and .")
    return name


def _show(options: Options, path: Path, document: KeyFile) -> None:
    shown: dict[str, object] = {
        "file": str(path),
        "role": document.role.value,
        "public_key": "0x" + document.pubkey,
        "encrypted": document.encrypted,
    }
    if document.role is Role.ACCOUNT:
        shown["account"] = account_text(account_id(document.public_key))
    if options.json:
        output.emit_json(shown)
    else:
        for line in output.table(list(shown.items()), indent=""):
            click.echo(line)
    if not document.encrypted:
        output.say(key_files.WARNING)
