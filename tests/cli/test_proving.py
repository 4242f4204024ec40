"""`cccnode evidence export` and `verify`, against a network whose signatures are genuine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cccnode.cli.main import run_cli
from cccnode.client.light import GENESIS_PATH
from cccnode.types.addresses import account_text
from tests.client.test_light import word
from tests.support.fake_node import status
from tests.support.proven import ProvenNode, SignedCouncil, proven_network
from tests.support.served import Served


@pytest.fixture(scope="module")
def network() -> Iterator[SignedCouncil]:
    with proven_network() as made:
        yield made


@pytest.fixture(scope="module")
def served(network: SignedCouncil, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("files") / "genesis.json"
    path.write_bytes(network.demo.document)
    node = ProvenNode(network)
    node.status_now = status(chain=network.demo.genesis.chain)
    with Served(node, files={GENESIS_PATH: path}) as running:
        yield running


def test_export_and_verify(
    network: SignedCouncil, served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file with a transaction, an account and a block; it verifies without a node, and says what it proves."""
    path, chain = tmp_path / "proof.cccevidence", "0x" + network.demo.genesis.chain.hex()
    account = account_text(network.demo.account(0))
    height = network.replica().decision(network.sent[0]).height
    what = ["--tx", "0x" + network.sent[0].hex(), "--account", account, "--block", str(height)]
    assert 0 == run_cli(["evidence", "export", *what, "-o", str(path), "--node", served.address, "--output", "json"])
    shown = json.loads(capsys.readouterr().out)
    assert (4, chain, path.stat().st_size) == (shown["proofs"], shown["genesis"], shown["bytes"])

    assert 0 == run_cli(["evidence", "verify", str(path), "--genesis", chain])
    assert "was decided in block" in capsys.readouterr().out
    assert 0 == run_cli(["evidence", "verify", str(path), "--genesis", chain, "--output", "json"])
    assert 5 == len(json.loads(capsys.readouterr().out)["proven"])
    text = ["evidence", "export", *what, "-o", str(path), "--node", served.address, "--genesis", chain]
    assert 0 == run_cli(text)
    assert chain in capsys.readouterr().out


def test_refused_files(
    network: SignedCouncil, served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """proof/EVIDENCE_FILE says why, in two languages."""
    path = tmp_path / "bad"
    path.write_bytes(b"\x93")
    chain = network.demo.genesis.chain.hex()
    assert 1 == run_cli(["evidence", "verify", str(path), "--genesis", chain])
    said = capsys.readouterr().err
    assert "proof/EVIDENCE_FILE" in said
    assert "no evidence file" in said


def test_other_networks(
    network: SignedCouncil, served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """client/UNPROVEN: a node of another network than the one asked for; nothing is written."""
    path = tmp_path / "none"
    given = ["evidence", "export", "--block", "1", "-o", str(path), "--node", served.address, "--genesis", "00" * 32]
    assert 1 == run_cli(given)
    assert "client/UNPROVEN" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize("wrong", [["--tx", "00"], ["--tx", "zz"], ["--account", "nobody"], []])
def test_usage(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]) -> None:
    """What to prove must be named, and well."""
    given = ["evidence", "export", *wrong, "-o", str(tmp_path / "f"), "--node", served.address]
    assert 2 == run_cli([*given, "--home", str(tmp_path)])
    assert capsys.readouterr().err


def test_unwritable(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A named error, with the place."""
    given = ["evidence", "export", "--block", "1", "-o", str(tmp_path / "no" / "f"), "--node", served.address]
    assert 0 != run_cli(given)
    assert "home/" in capsys.readouterr().err


def test_promise(network: SignedCouncil, served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kept or broken, in words and as JSON; the receipts that show a broken one are a file that anybody can check."""
    tx_id, path = network.sent[0], tmp_path / "broken.cccevidence"
    height = network.replica().decision(tx_id).height
    kept, broken = word(network, tx_id, height - 1, height), word(network, tx_id, height - 3, height - 1)
    where = ["--node", served.address]

    assert 0 == run_cli(["evidence", "promise", kept.hex(), *where])
    assert f"kept: decided at height {height}" in capsys.readouterr().out
    assert 0 == run_cli(["evidence", "promise", broken.hex(), "-o", str(path), *where])
    assert "BROKEN" in capsys.readouterr().out
    assert 0 == run_cli(["evidence", "promise", broken.hex(), *where, "--output", "json"])
    shown = json.loads(capsys.readouterr().out)
    assert (False, str(height - 1)) == (shown["kept"], shown["by"])
    assert 0 == run_cli(["evidence", "verify", str(path), "--genesis", network.demo.genesis.chain.hex()])
    assert 0 != run_cli(["evidence", "promise", "00ff", *where])
    assert "promise/FORGED" in capsys.readouterr().err
