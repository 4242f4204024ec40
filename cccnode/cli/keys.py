"""`cccnode keys`: make a key file, with backup words or without, bring keys in and out, show what a file says."""

import secrets
import sys
from pathlib import Path
from typing import Final

import click

from cccnode import keys as key_files
from cccnode import words
from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.crypto.signing import SigningKey
from cccnode.home import Home
from cccnode.keys import KeyFile, Role
from cccnode.node.data import found
from cccnode.types.addresses import account_text
from cccnode.types.transaction import account_id

ROLES = list(map(str, Role))
ASKED_WORDS: Final = 3
"""So many of new backup words a person must type again."""


@click.group(epilog="Example: cccnode keys new account alice")
def keys() -> None:
    """Key files: new, list, show, words, import, export, certificate."""


@keys.command(epilog="Example: cccnode keys new account alice --passphrase-file ~/secret")
@click.argument("role", type=click.Choice(ROLES))
@click.argument("name", required=False)
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="File whose first line protects the key.")
@click.option("--unencrypted", is_flag=True, help="For demo networks only: anyone who reads the file has the key.")
@click.option("--words", "with_words", is_flag=True, help="Make it out of 24 backup words, which are shown once.")
@also_here
@pass_options
def new(
    options: Options, role: str, name: str | None, *, passphrase_file: Path | None, unencrypted: bool, with_words: bool
) -> None:
    """Make a new key: node, validator (a further one beside the old), or account NAME."""
    path = _new_path(options, role, name)
    passphrase = None if unencrypted else ask_passphrase(passphrase_file, confirm=True)
    made = words.new_words() if with_words else None
    if made is not None:
        _show_words(options, made)
    document = key_files.create(
        path,
        role=Role(role),
        passphrase=passphrase,
        description=name or role,
        key=None if made is None else words.key_of_words(made, role),
        derivation="" if made is None else words.path_of(role),
    )
    if document.role is Role.VALIDATOR:
        found(options.home.data, document.public_key)
    _show(options, path, document, backup=made)


@keys.command("list", epilog="Example: cccnode keys list")
@also_here
@pass_options
def list_keys(options: Options) -> None:
    """List the key files of the home: what they say without being opened."""
    home = options.home
    paths = [*home.node_keys, *home.validator_keys, *sorted((home.keys / "accounts").glob("*.json"))]
    rows = [_facts(path, key_files.read(path)) for path in paths if path.exists()]
    if options.json:
        output.emit_json(rows)
        return
    for line in output.table([(row["role"], row["public_key"], row["file"]) for row in rows], indent=""):
        click.echo(line)


@keys.command("words", epilog="Example: cccnode keys words account --file ~/words.txt")
@click.argument("role", type=click.Choice(ROLES))
@click.option("--number", type=click.IntRange(0, words.NUMBER_MAX), default=0, help="Which key of that role [0].")
@click.option(
    "--file", "source", type=click.Path(path_type=Path), help="File that holds the words; else they are asked."
)
@also_here
@pass_options
def check_words(options: Options, role: str, number: int, source: Path | None) -> None:
    """Check backup words: which key they give. Nothing is written."""
    key = words.key_of_words(_ask_words(source), role, number)
    shown = {"role": role, "path": words.path_of(role, number), **_public(Role(role), key.public_key)}
    if options.json:
        output.emit_json(shown)
        return
    for line in output.table(list(shown.items()), indent=""):
        click.echo(line)


@keys.command("import", epilog="Example: cccnode keys import account alice --words")
@click.argument("role", type=click.Choice(ROLES))
@click.argument("name", required=False)
@click.option("--file", "source", type=click.Path(path_type=Path), help="PEM (PKCS#8), hexadecimal seed, or words.")
@click.option("--words", "from_words", is_flag=True, help="Out of backup words: those in --file, or asked for.")
@click.option("--number", type=click.IntRange(0, words.NUMBER_MAX), default=0, help="Which key of the words [0].")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="File whose first line protects the key.")
@click.option("--unencrypted", is_flag=True, help="For demo networks only: anyone who reads the file has the key.")
@also_here
@pass_options
def import_key(
    options: Options,
    role: str,
    name: str | None,
    source: Path | None,
    number: int,
    *,
    from_words: bool,
    passphrase_file: Path | None,
    unencrypted: bool,
) -> None:
    """Bring a key in from backup words or from another program's file.

    A validator key that comes from elsewhere may have voted there: with it, a home whose vote journal it does not find
    observes until the next epoch.
    """
    path = _new_path(options, role, name)
    if source is None and not from_words:
        raise click.UsageError("give --words, or --file with a PEM file or a hexadecimal seed")
    if from_words:
        key, derivation = words.key_of_words(_ask_words(source), role, number), words.path_of(role, number)
    else:
        assert source is not None, "one of the two is given"
        key, derivation = key_files.read_private(source), ""
    passphrase = None if unencrypted else ask_passphrase(passphrase_file, confirm=True)
    document = key_files.create(
        path, role=Role(role), passphrase=passphrase, description=name or role, key=key, derivation=derivation
    )
    _show(options, path, document)


@keys.command("export", epilog="Example: cccnode keys export alice --to alice.pem")
@click.argument("name")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="File to make, mode 0600.")
@click.option("--passphrase-file", "secret", type=click.Path(path_type=Path), help="File whose first line opens it.")
@also_here
@pass_options
def export_key(options: Options, name: str, target: Path, secret: Path | None) -> None:
    """Write a key in clear, as PEM (PKCS#8), for another program. Whoever reads that file has the key."""
    path = named_key(options.home, name)
    document = key_files.read(path)
    if document.role is Role.VALIDATOR:
        output.say(
            options.text(
                "Warning: two machines that vote with one validator key can contradict each other.",
                "คำเตือน: เครื่องสองเครื่องที่ลงคะแนนด้วยกุญแจเดียวกันอาจลงคะแนนขัดกัน",
            )
        )
    key_files.write_pem(target, open_key(path, document.role, secret))
    _show(options, target, document, clear=True)


@keys.command(epilog="Example: cccnode keys show node")
@click.argument("name")
@also_here
@pass_options
def show(options: Options, name: str) -> None:
    """Show the public part of a key: `node`, `validator`, the name of an account, or a file."""
    path = named_key(options.home, name)
    _show(options, path, key_files.read(path))


@keys.command(epilog="Example: cccnode keys address cmu")
@click.argument("name")
@also_here
@pass_options
def address(options: Options, name: str) -> None:
    """Print the account of a key and nothing else: for scripts."""
    account = account_text(account_id(key_files.read(named_key(options.home, name)).public_key))
    if options.json:
        output.emit_json({"account": account})
    else:
        click.echo(account)


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


def _new_path(options: Options, role: str, name: str | None) -> Path:
    """Where a new key of the home goes; an account's has a name, the others have none."""
    if (role == Role.ACCOUNT) != bool(name):
        raise click.UsageError("an account key needs a NAME" if not name else f"a {role} key has no NAME")
    return key_path(options.home, role=Role(role), name=name)


def _ask_words(source: Path | None) -> str:
    """Checked backup words from a file that only its owner reads, or from the person."""
    if source is None:
        return words.check_words(str(click.prompt("Words", hide_input=True, err=True)))
    return words.check_words(key_files.find_passphrase(source) or "")


def _show_words(options: Options, made: str) -> None:
    """Show new words once; a person at a terminal types three of them, so that the paper is known to hold them."""
    listed = made.split()
    if options.json:
        return  # they stand in the answer
    output.say(
        options.text(
            "Write these words on paper, in order. Whoever has them has the key; they are never shown again.",
            "จดคำเหล่านี้ลงกระดาษตามลำดับ ผู้ที่มีคำเหล่านี้มีกุญแจ และจะไม่แสดงอีก",
        )
    )
    rows = [
        [f"{place:2}. {word}" for place, word in enumerate(listed, 1) if place % 6 == row % 6] for row in range(1, 7)
    ]
    for line in output.table(rows):
        click.echo(line)
    if options.yes or not sys.stdin.isatty():
        return
    for place in sorted(secrets.SystemRandom().sample(range(1, len(listed) + 1), ASKED_WORDS)):
        while (
            click.prompt(options.text(f"Word {place}", f"คำที่ {place}"), err=True).strip().lower() != listed[place - 1]
        ):
            output.say(options.text("That is another word: look at the paper.", "ไม่ตรง โปรดดูที่กระดาษ"))


def _public(role: Role, public_key: bytes) -> dict[str, object]:
    shown: dict[str, object] = {"public_key": "0x" + public_key.hex()}
    if role is Role.ACCOUNT:
        shown["account"] = account_text(account_id(public_key))
    return shown


def _facts(path: Path, document: KeyFile) -> dict[str, object]:
    public = _public(document.role, document.public_key)
    key = {"public_key": public.pop("public_key")}
    shown = {"file": str(path), "role": document.role.value, **key, "encrypted": document.encrypted, **public}
    return {**shown, "path": document.path} if document.path else shown


def _show(options: Options, path: Path, document: KeyFile, *, backup: str | None = None, clear: bool = False) -> None:
    shown = {**_facts(path, document), **({"encrypted": False} if clear else {})}
    if options.json:
        output.emit_json(shown if backup is None else {**shown, "words": backup})
    else:
        for line in output.table(list(shown.items()), indent=""):
            click.echo(line)
    if clear:
        output.say(
            options.text("NOT ENCRYPTED: delete this file when the other program has it.", "ไม่เข้ารหัส: ลบไฟล์นี้เมื่อใช้เสร็จ")
        )
    elif not document.encrypted:
        output.say(key_files.WARNING)
