"""Commands that talk to a node: status, tx, query, against a fake node in another thread."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from cccnode import codec, keys
from cccnode.city import CITY
from cccnode.cli.main import run_cli
from cccnode.cli.options import Options
from cccnode.cli.query import query_group
from cccnode.cli.tx import tx_group
from cccnode.home import Home
from cccnode.keys import Role
from cccnode.rpc.backend import Reason
from cccnode.types import errors
from cccnode.types.addresses import account_text
from cccnode.types.errors import fault
from tests.support.fake_node import ACCOUNT, KEY, NOW_MS, OTHER, FakeNode, PocketPay, payment, pocket_registry, status
from tests.support.served import Served


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(FakeNode(registry=CITY, decide_at_once=True)) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    keys.create(Home(tmp_path).account_key("alice"), role=Role.ACCOUNT, passphrase=None, key=KEY)
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str], served: Served, *arguments: str) -> tuple[int, Any]:
    code = run_cli([*arguments, "--node", served.address, "--output", "json"])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else None


def test_status_json(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON value with everything that a script asks for, reasons with remedies."""
    served.node.status_now = status(state="stalled", reasons=[Reason(spec=errors.NO_QUORUM, values={"missing": [2]})])
    code, shown = _json(capsys, served, "status")
    assert code == 0
    assert {"chain", "height", "epoch", "view", "state", "validators", "peers", "behind", "reasons"} <= set(shown)
    (reason,) = shown["reasons"]
    assert (reason["code"], reason["text"]) == ("consensus/NO_QUORUM", errors.NO_QUORUM.en)
    assert reason["remedy"]


def test_status_text(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """A screen for people, in both languages, that says why a node does not go on."""
    served.node.status_now = status(state="stalled", reasons=[Reason(spec=errors.NO_QUORUM)], validator=None)
    for lang, text, remedy in (
        ("en", "Validators", errors.NO_QUORUM.remedy),
        ("th", "ผู้ตรวจสอบ", errors.NO_QUORUM.remedy_th),
    ):
        assert run_cli(["status", "--node", served.address, "--lang", lang]) == 0
        shown = capsys.readouterr().out
        assert text in shown
        assert "consensus/NO_QUORUM" in shown
        assert remedy in shown
        assert len(shown.splitlines()) <= 24


def test_transfer(served: Served, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`tx transfer` signs with the key named, sends, waits, and shows the outcome."""
    arguments = ["tx", "transfer", account_text(OTHER), "5", "--from", "alice", "--home", str(home)]
    code, shown = _json(capsys, served, *arguments)
    assert (code, shown["state"], shown["outcome"], shown["account"]) == (0, "executed", "ok", account_text(ACCOUNT))
    (message,) = CITY.decode(served.node.raws[0]).messages
    assert (message.to, message.asset, message.amount) == (OTHER, "uccc", 5)
    assert run_cli([*arguments, "--node", served.address]) == 0
    assert "executed (ok)" in capsys.readouterr().out


def test_transfer_to_a_key_by_name(served: Served, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An account may be given by the name of its key in the home."""
    assert _json(capsys, served, "tx", "transfer", "alice", "5", "--from", "alice", "--home", str(home))[0] == 0
    assert CITY.decode(served.node.raws[0]).messages[0].to == ACCOUNT


def test_multi_transfer(served: Served, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list of nouns is typed as colon-separated fields."""
    outputs = [f"{account_text(OTHER)}:uccc:5", "alice:uccc:6"]
    code, _ = _json(capsys, served, "tx", "multi-transfer", *outputs, "--from", "alice", "--home", str(home))
    assert code == 0
    message = CITY.decode(served.node.raws[0]).messages[0]
    assert [(output.to, output.amount) for output in message.outputs] == [(OTHER, 5), (ACCOUNT, 6)]


def test_print_curl(served: Served, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--print-curl sends nothing and prints a line that would: the transaction, no key."""
    arguments = ["tx", "transfer", "alice", "5", "--from", "alice", "--home", str(home), "--print-curl"]
    assert run_cli([*arguments, "--node", served.address]) == 0
    line = capsys.readouterr().out
    assert line.startswith(f"curl -s http://{served.address}/rpc -d '[")
    assert served.node.raws == []
    assert KEY.seed.hex() not in line
    batch = json.loads(line[line.index("'") + 1 : line.rindex("'")])
    assert [call["method"] for call in batch] == ["tx_submit", "tx_wait"]


def test_no_wait(served: Served, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--no-wait answers as soon as the node has the transaction durably, with its id and deadline."""
    arguments = ["tx", "transfer", "alice", "5", "--from", "alice", "--home", str(home), "--no-wait"]
    code, shown = _json(capsys, served, *arguments)
    assert (code, shown["state"]) == (0, "admitted")
    assert {"tx_id", "valid_until_ms"} <= set(shown)


def test_invalid_transfer(served: Served, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong values are usage errors; a missing key and a refusing node are named."""
    base = ["tx", "transfer", account_text(OTHER)]
    there = ["--from", "alice", "--home", str(home)]
    assert run_cli([*base, "-5", *there]) == 2
    assert run_cli([*base, "5.0", *there]) == 2
    assert run_cli([*base, str(2**63), *there]) == 2
    assert run_cli([*base, "5", "--asset", "NO", *there]) == 2
    capsys.readouterr()
    assert _json(capsys, served, *base, "5", "--from", "bob", "--home", str(home))[1]["error"]["name"] == "keys/MISSING"

    async def refuse(raws: Any) -> Any:
        return [(b"", fault(errors.POOL_FULL)) for _ in raws]

    served.node.submit = refuse  # type: ignore[method-assign]
    code, answer = _json(capsys, served, *base, "5", *there)
    assert (code, answer["error"]["name"]) == (75, "pool/FULL")


def test_failed_transaction_fails_the_command(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """A transaction that was executed and failed: the outcome on stdout once, the reason on stderr, exit 1."""
    tx_id, raw = payment()
    served.node.decide(tx_id, raw, code=errors.TX_BELOW_THRESHOLD.code)
    assert run_cli(["tx", "wait", tx_id.hex(), "--node", served.address, "--output", "json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["outcome"] == "refused"
    assert captured.err.startswith("tx/BELOW_THRESHOLD")


def test_wait_for_expired(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """An expired transaction is told by name."""
    arguments = ["tx", "wait", "0x" + bytes(32).hex(), "--valid-until-ms", str(NOW_MS - 1)]
    assert run_cli([*arguments, "--node", served.address]) == 1
    assert "tx/EXPIRED" in capsys.readouterr().err


def test_wait_timeout(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """Not decided in time is temporary."""
    code, answer = _json(capsys, served, "tx", "wait", "0x" + bytes(32).hex(), "--timeout", "0")
    assert (code, answer["error"]["name"]) == (75, "rpc/WAIT_TIMEOUT")


def test_tx_show(capsys: pytest.CaptureFixture[str]) -> None:
    """A decided transaction for people: outcome, message, events."""
    tx_id, raw = payment()
    with Served(FakeNode()) as served:
        served.node.decide(tx_id, raw)
        assert run_cli(["tx", "show", "0x" + tx_id.hex(), "--node", served.address]) == 0
        shown = capsys.readouterr().out
        assert "PocketPay" in shown
        assert "executed (ok)" in shown
        assert _json(capsys, served, "tx", "show", tx_id.hex())[1]["tx_id"] == "0x" + tx_id.hex()


def test_verbs_and_queries_come_from_modules(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A module that nobody else knows has its verb and its query on the command line."""
    registry = pocket_registry()
    with Served(FakeNode(decide_at_once=True)) as served:
        served.node.state_now.apply({b"pocket/" + ACCOUNT: {b"uccc": codec.encode(77)}})
        options = Options(home_path=str(home), node=served.address, output="json")
        _run(tx_group(registry), ["pay", account_text(OTHER), "9", "--from", "alice"], options)
        assert registry.decode(served.node.raws[0]).messages == (PocketPay(OTHER, "uccc", 9),)
        assert json.loads(capsys.readouterr().out)["outcome"] == "ok"
        _run(query_group(registry), ["pocket_content", "alice"], options)
        assert json.loads(capsys.readouterr().out) == {"account": account_text(ACCOUNT), "amount": "77"}
        options.output = "text"
        _run(query_group(registry), ["pocket_content", "alice", "--asset", "uccc"], options)
        assert "amount   77" in capsys.readouterr().out


def _run(group: click.Group, arguments: list[str], options: Options) -> None:
    group.main(arguments, standalone_mode=False, obj=options)
