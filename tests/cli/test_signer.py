"""Commands of the remote signer, on both machines."""

import json
from pathlib import Path
from typing import Any

import pytest

from cccnode import keys
from cccnode.cli.main import run_cli
from cccnode.cli.testnet_files import prepare
from cccnode.home import Home
from cccnode.node.data import open_journal
from cccnode.signer.card import read_card
from cccnode.types.errors import NOT_SIGNING_JOURNAL_LOST
from storage.files import RealDisk


@pytest.fixture(scope="module")
def genesis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = prepare(Home(tmp_path_factory.mktemp("net") / "net"), validators=1, seed=b"signer", time_ms=1)
    return network.home.genesis_file


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = run_cli([*arguments, "--output", "json"])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else None


def test_a_new_signer(tmp_path: Path, genesis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A home with keys, marks and a card; a chain is allowed once, later only with a higher floor."""
    home = ["--home", str(tmp_path)]
    code, made = _json(capsys, "signer", "init", "--unencrypted", *home)
    assert (code, made["new"]) == (0, True)
    assert _json(capsys, "signer", "init", "--unencrypted", *home)[1]["error"]["name"] == "home/EXISTS"
    dial = "11" * 32 + "@127.0.0.1:1"
    assert _json(capsys, "signer", "run", "--dial", dial, *home)[1]["error"]["name"] == "signer/OTHER_CHAIN"
    allow = ["signer", "allow", "--genesis", str(genesis), *home]
    assert _json(capsys, *allow)[1]["floor"] == "0:0"
    assert _json(capsys, *allow)[1]["error"]["name"] == "signer/MARK_DAMAGED"
    assert _json(capsys, *allow, "--floor", "0:0")[1]["error"]["name"] == "signer/MARK_DAMAGED"
    assert _json(capsys, *allow, "--floor", "2:7")[1]["floor"] == "2:7"
    shown = _json(capsys, "signer", "status", *home)[1]
    assert shown["consensus_key"] == made["consensus_key"]
    assert [(mark["epoch"], mark["view"], mark["floor"]) for mark in shown["marks"]] == [(2, 7, True)]
    assert run_cli(["signer", "status", *home]) == 0
    assert "view" in capsys.readouterr().out


def test_a_node_takes_the_card(tmp_path: Path, genesis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A home without a validator key of its own, that knows its signer and may begin with an empty journal."""
    office, node = Home(tmp_path / "office"), Home(tmp_path / "node")
    made = _json(capsys, "signer", "init", "--unencrypted", "--home", str(office.root))[1]
    listen = ["--set", "signer.listen=127.0.0.1:27604"]
    arguments = ["init", "--genesis", str(genesis), "--unencrypted", *listen, "--home", str(node.root)]
    assert "validator_key" not in _json(capsys, *arguments)[1]
    assert not node.validator_key.exists()
    use = ["signer", "use", str(office.signer_card), "--home", str(node.root)]
    code, used = _json(capsys, *use)
    assert (code, used["dial"]) == (0, keys.read(node.node_key).pubkey + "@HOST:PORT")
    assert _json(capsys, *use)[1]["error"]["name"] == "keys/EXISTS"
    public = read_card(node.signer_card).public_key
    assert "0x" + public.hex() == made["consensus_key"]
    assert open_journal(RealDisk(node.data), 0, public).observe is None
    assert open_journal(RealDisk(node.data), 0, b"o" * 32).observe == NOT_SIGNING_JOURNAL_LOST.name


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "--dial", "x@h:1"],
        ["run", "--dial", "11" * 32],
        ["run", "--dial", "11" * 32 + "@h:70000"],
        ["run", *(word for _ in range(9) for word in ("--dial", "11" * 32 + "@h:1"))],
        ["allow", "--genesis", "g", "--floor", "3"],
        ["allow", "--genesis", "g", "--floor", "a:b"],
    ],
)
def test_wrong_usage(tmp_path: Path, genesis: Path, arguments: list[str]) -> None:
    """What cannot be meant is refused before anything is opened."""
    named = [str(genesis) if word == "g" else word for word in arguments]
    assert run_cli(["signer", *named, "--home", str(tmp_path)]) == 2
