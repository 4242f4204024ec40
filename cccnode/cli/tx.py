"""`cccnode tx`: send what the city's modules offer, wait for it, look at it.  Verbs come from the module registry."""

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import click

from cccnode.city import CITY
from cccnode.cli import output
from cccnode.cli.council import BY_VOTE, ask_to_vote, ballot_options, city_proposal, consequences
from cccnode.cli.curl import curl_line
from cccnode.cli.fields import parameters, to_noun
from cccnode.cli.keys import named_key, open_key
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.cli.reach import load, talk
from cccnode.client import FEE_MAX, LIFETIME_MS, Account, Client, Signed, from_hex, to_hex, wall_ms
from cccnode.codec import Noun
from cccnode.config import LOOPBACK, PORTS
from cccnode.keys import Role
from cccnode.ledger.module import Message
from cccnode.ledger.registry import Registry
from cccnode.types import errors
from cccnode.types.addresses import account_text
from cccnode.types.errors import fault
from cccnode.types.limits import SALT_BYTES, TX_LIFETIME_MS_MAX
from cccnode.types.privacy import PUBLIC_TEXT_MAX
from cccnode.types.transaction import account_id, sign_transaction

_BALLOT: Final = ("title", "by_vote", "expedited")
_TITLE: Final = click.Option(["--title"], metavar="TEXT", help="What people vote on [what the command does].")
F = TypeVar("F", bound=Callable[..., Any])

Look = Callable[[Client, bytes], Awaitable[dict[str, Any]]]
"""What a transaction, by its id, led to: texts are shown to people, everything to programs."""

HOW: Final = ("sender", "fee_max", "valid_for_s", "do_wait", "print_curl", "offline", "secret")
"""Options of everything that sends a transaction, beside the fields of its message."""
RPC_DEFAULT: Final = f"{LOOPBACK}:{PORTS['rpc']}"


def tx_group(registry: Registry) -> click.Group:
    """`tx` with a subcommand for every verb of every module."""
    group = click.Group(
        "tx",
        help="Transactions: send, wait, show.",
        epilog="Example: cccnode tx transfer demo2 5000000 --from demo1",
        commands=[wait, show],
    )
    for verb in registry.verbs.values():
        assert verb.verb not in group.commands, f"tx {verb.verb} exists already"
        group.add_command(_verb_command(verb))
    return group


@click.command(epilog="Example: cccnode tx wait 0x5a... --valid-until-ms 1800000000000")
@click.argument("tx_id")
@click.option("--valid-until-ms", type=int, help="Its deadline: then any node can say that it expired.")
@click.option("--timeout", "timeout_s", type=click.IntRange(0, 600), default=60, help="Seconds to wait [60].")
@also_here
@pass_options
def wait(options: Options, tx_id: str, valid_until_ms: int | None, timeout_s: int) -> None:
    """Wait until a transaction is decided: executed, refused or expired."""
    identity = _tx_id(tx_id)
    status = talk(options, lambda node: node.wait(identity, valid_until_ms=valid_until_ms, timeout_ms=timeout_s * 1000))
    _outcome(options, status)


@click.command(epilog="Example: cccnode tx show 0x5a...")
@click.argument("tx_id")
@also_here
@pass_options
def show(options: Options, tx_id: str) -> None:
    """Show a decided transaction: its place, outcome, fields and events."""
    identity = to_hex(_tx_id(tx_id))
    found: dict[str, Any] = talk(options, lambda node: node.call("tx_get", tx_id=identity))
    if options.json:
        output.emit_json(found)
        return
    receipt, body = found["receipt"], found["transaction"]
    rows: list[tuple[object, ...]] = [
        ("id", found["tx_id"]),
        ("block", f"{found['height']} (position {found['position']})"),
        ("outcome", _word(receipt)),
        ("fee", receipt["fee_paid"]),
        ("account", body["account"]),
    ]
    rows += [("message", " ".join(f"{k}={v}" for k, v in message.items())) for message in body["messages"]]
    rows += [("event", " ".join(map(str, event))) for event in receipt["events"]]
    for line in output.table(rows, indent=""):
        click.echo(line)


def _verb_command(verb: Message) -> click.Command:
    """`cccnode tx VERB`: its fields, and who signs."""
    defaults = dict(verb.defaults)

    @pass_options
    def send(options: Options, /, **given: Any) -> None:
        how = {name: given.pop(name) for name in HOW}
        ballot = {name: given.pop(name) for name in _BALLOT if verb.decided}
        texts = {**defaults, **{name: value for name, value in given.items() if value not in (None, ())}}
        noun = to_noun(verb.kind, texts, options)
        if not verb.decided:
            send_message(options, noun, **how)
            return
        shown = " ".join(str(texts[name]) for name in verb.positional)
        says = options.text(verb.en, verb.th).rstrip(".")
        title = ballot.pop("title") or (f"{says}: {shown}" if shown else says)[:PUBLIC_TEXT_MAX]
        message = city_proposal(noun, title, **ballot)
        ask_to_vote(options, send_message(options, message, look=consequences, **how), ballot["by_vote"])

    command = click.Command(
        verb.verb,
        callback=also_here(send),
        help=f"{verb.en} {verb.th}",
        epilog=f"Example: cccnode tx {verb.verb} {_example(verb)}--from demo1",
        params=[
            *parameters(verb.kind, positional=verb.positional, optional=defaults),
            *([_TITLE, *ballot_options(BY_VOTE[0])] if verb.decided else ()),
            *signing_options(),
        ],
    )
    command.params += getattr(command.callback, "__click_params__", [])[::-1]
    return command


def signing_options(*, by_organisation: bool = False) -> list[click.Parameter]:
    """How a message is signed and sent; an organisation's account need not be named on its own node."""
    whose = (
        "Its account key [node.organisation of config.toml]."
        if by_organisation
        else "Name of an account key, or its file."
    )
    return [
        click.Option(["--from", "sender"], required=not by_organisation, metavar="KEY", help=whose),
        click.Option(["--fee-max"], type=click.IntRange(min=0), default=FEE_MAX, help=f"Most to pay [{FEE_MAX}]."),
        click.Option(
            ["--valid-for", "valid_for_s"],
            type=click.IntRange(1, TX_LIFETIME_MS_MAX // 1000),
            default=LIFETIME_MS // 1000,
            help=f"Seconds until it can no longer happen [{LIFETIME_MS // 1000}].",
        ),
        click.Option(["--wait/--no-wait", "do_wait"], default=True, help="Wait until it is decided [yes]."),
        click.Option(["--print-curl"], is_flag=True, help="Sign only, and print a curl line that sends it."),
        click.Option(["--offline"], is_flag=True, help="The same, asking no node: the home's genesis names the chain."),
        click.Option(
            ["--passphrase-file", "secret"],
            type=click.Path(path_type=Path),
            help="File whose first line opens the key.",
        ),
    ]


def signed_by_organisation(command: F) -> F:
    """Give a command of an organisation the options of `send_message`, as keyword arguments of the names in `HOW`."""
    taken = getattr(command, "__click_params__", [])
    command.__click_params__ = [*reversed(signing_options(by_organisation=True)), *taken]  # type: ignore[attr-defined]
    return command


def send_message(
    options: Options,
    message: Noun,
    *,
    sender: str | None,
    fee_max: int,
    valid_for_s: int,
    do_wait: bool,
    print_curl: bool,
    offline: bool,
    secret: Path | None,
    look: Look | None = None,
) -> dict[str, Any]:
    """Sign one message for an account, send it, wait for the decision and show it; its status.

    `look` finds out what more there is to show of a transaction that succeeded.

    Raises:
        Trouble: it was refused, failed, expired, or the node cannot be asked.
    """
    account = unlock(options, sender or organisation_of(options), secret)
    until = wall_ms() + valid_for_s * 1000
    if offline:
        signed = sign_offline(options, account, message, valid_until_ms=until, fee_max=fee_max)
        click.echo(curl_line(f"http://{options.node or RPC_DEFAULT}/rpc", signed))
        return {}

    async def act(node: Client) -> tuple[str, Signed, dict[str, Any]]:
        signed = await node.sign(account, [message], valid_until_ms=until, fee_max=fee_max)
        if print_curl:
            return node.url, signed, {}
        await node.submit(signed.raw)
        if not do_wait:
            return node.url, signed, {"tx_id": to_hex(signed.tx_id), "state": "admitted"}
        left_ms = valid_for_s * 1000 + LIFETIME_MS
        status = await node.wait(signed.tx_id, valid_until_ms=until, timeout_ms=left_ms)
        if look is not None and status.get("outcome") == "ok":
            more.update(await look(node, signed.tx_id))
        return node.url, signed, status

    more: dict[str, Any] = {}
    url, signed, status = talk(options, act)
    if print_curl:
        click.echo(curl_line(url, signed))
        return status
    _outcome(options, {**status, "valid_until_ms": str(until), "account": account_text(account.account)}, more)
    return {**status, **more}


def sign_offline(options: Options, account: Account, message: Noun, *, valid_until_ms: int, fee_max: int) -> Signed:
    """Sign where no node is in reach, for the chain of the home's genesis document.

    Raises:
        Fault: `home/EMPTY`, `genesis/INVALID`, or what the disk answers.
    """
    from cccnode.node.data import read_home_outline  # noqa: PLC0415 - needed here only

    file = options.home.genesis_file
    if not file.exists():
        raise fault(errors.HOME_EMPTY, home=str(options.home.root), missing=file.name)
    tx_id, raw = sign_transaction(
        chain=read_home_outline(file).chain,
        account=account.account,
        valid_until_ms=valid_until_ms,
        salt=os.urandom(SALT_BYTES),
        fee_max=fee_max,
        messages=[message],
        keys=[account.key],
    )
    return Signed(tx_id=tx_id, raw=raw, valid_until_ms=valid_until_ms)


def _outcome(options: Options, status: dict[str, Any], more: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Say what became of a transaction; a failed one is a failed command."""
    if options.json:
        output.emit_json({**status, **more})
    else:
        rows = [("id", status["tx_id"]), ("state", _word(status))]
        if "height" in status:
            rows.append(("block", status["height"]))
        rows += [(name, value) for name, value in more.items() if isinstance(value, str)]
        for line in output.table(rows, indent=""):
            click.echo(line)
    error = status.get("error")
    if error is not None:
        data = error["data"]
        raise output.Trouble(
            name=data["name"],
            text=error["message"],
            remedy=data["hint"],
            text_th=data["text_th"],
            remedy_th=data["hint_th"],
            details=data["details"],
            printed=options.json,
        )
    if status["state"] == "expired":
        raise output.trouble(errors.TX_EXPIRED, printed=options.json)


def _word(status: dict[str, Any]) -> str:
    """`executed (ok)`, `executed (failed: bank/INSUFFICIENT)`, `expired` ..."""
    state = str(status.get("state", "executed"))
    if "outcome" not in status:
        return state
    error = status.get("error")
    return f"{state} ({status['outcome']}{': ' + error['data']['name'] if error else ''})"


def organisation_of(options: Options) -> str:
    """The organisation whose node this is, by its settings.

    Raises:
        click.UsageError: they do not say.
    """
    name = load(options).config.node.organisation
    if not name:
        raise click.UsageError("which organisation? give --from KEY, or set node.organisation in config.toml")
    return name


def unlock(options: Options, name: str, secret: Path | None) -> Account:
    """An account whose key lies in the home, or in a file of that name."""
    key = open_key(named_key(options.home, name), Role.ACCOUNT, secret)
    return Account(account_id(key.public_key), key)


def _tx_id(text: str) -> bytes:
    try:
        identity = from_hex(text)
    except ValueError:
        identity = b""
    if len(identity) != 32:
        raise click.UsageError("a transaction id is 0x and 64 hexadecimal digits")
    return identity


def _example(verb: Message) -> str:
    return "".join(f"{name.upper()} " for name in verb.positional)


tx = tx_group(CITY)
