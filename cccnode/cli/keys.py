"""`cccnode keys`: make a key file, show what one says without opening it."""

from pathlib import Path

import click

from cccnode import keys as key_files
from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.home import Home
from cccnode.keys import KeyFile, Role
from cccnode.types.addresses import account_text
from cccnode.types.transaction import account_id

ROLES = list(map(str, Role))


@click.group(epilog="Example: cccnode keys new account alice")
def keys() -> None:
    """Key files: new, show."""


@keys.command(epilog="Example: cccnode keys new account alice --passphrase-file ~/secret")
@click.argument("role", type=click.Choice(ROLES))
@click.argument("name", required=False)
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="File whose first line protects the key.")
@click.option("--unencrypted", is_flag=True, help="For demo networks only: anyone who reads the file has the key.")
@also_here
@pass_options
def new(options: Options, role: str, name: str | None, *, passphrase_file: Path | None, unencrypted: bool) -> None:
    """Make a new key: node, validator, or account NAME."""
    if role == Role.ACCOUNT and not name:
        raise click.UsageError("an account key needs a NAME")
    passphrase = None if unencrypted else ask_passphrase(passphrase_file, confirm=True)
    path = key_path(options.home, role=Role(role), name=name)
    document = key_files.create(path, role=Role(role), passphrase=passphrase, description=name or role)
    _show(options, path, document)


@keys.command(epilog="Example: cccnode keys show node")
@click.argument("name")
@also_here
@pass_options
def show(options: Options, name: str) -> None:
    """Show the public part of a key: `node`, `validator`, the name of an account, or a file."""
    path = named_key(options.home, name)
    _show(options, path, key_files.read(path))


def key_path(home: Home, *, role: Role, name: str | None) -> Path:
    """Where a key of the home lies."""
    match role:
        case Role.NODE:
            return home.node_key
        case Role.VALIDATOR:
            return home.validator_key
        case Role.ACCOUNT:
            return home.account_key(_simple(name or ""))


def named_key(home: Home, name: str) -> Path:
    """The key file behind a name: a role, an account of the home, or a path."""
    if "/" in name or name.endswith(".json"):
        return Path(name)
    if name in (Role.NODE, Role.VALIDATOR):
        return key_path(home, role=Role(name), name=None)
    return home.account_key(_simple(name))


def ask_passphrase(file: Path | None, *, confirm: bool) -> str:
    """The passphrase from file, environment, or the person at the terminal."""
    found = key_files.find_passphrase(file)
    if found is not None:
        return found
    answer: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    return answer


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
