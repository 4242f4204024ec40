"""`cccnode validator`: ready or not, applying, resting, leaving, new keys; the ledger is real, the network is not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from cccnode import keys
from cccnode.city.registry.messages import RegistryAddNode, RegistryPropose
from cccnode.cli import preflight, rotation
from cccnode.cli.main import run_cli
from cccnode.config import render
from cccnode.crypto.signing import SigningKey
from cccnode.home import Home
from cccnode.keys import Role
from cccnode.node.data import open_journal
from cccnode.rpc.backend import Reason, ValidatorStatus
from cccnode.types import errors
from cccnode.types.validators import certificate_key
from p2p.directory import make_certificate
from storage.files import RealDisk
from tests.city.registry.town import Town
from tests.support.live_node import LiveNode
from tests.support.served import Served

PEER = 4
"""Number of the organisation that does not validate."""


class Operator:
    """The operator of one organisation: home, keys, and a node at the tip."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], served: Served, number: int) -> None:
        self.capsys, self.served, self.home = capsys, served, Home(folder)
        self.partner = self.node.town.demo.partners[number]
        self.node.node_key = self.partner.node_key
        self.home.root.mkdir()
        values = {"node.organisation": self.partner.name, "rpc.listen": served.address}
        self.home.config_file.write_text(render(values, profile="validator"))
        seed = SigningKey(self.partner.node_seed)
        keys.create(self.home.node_key, role=Role.NODE, passphrase=None, key=seed)
        keys.create(self.home.validator_key, role=Role.VALIDATOR, passphrase=None, key=self.partner.consensus)
        account = self.home.account_key(self.partner.name)
        keys.create(account, role=Role.ACCOUNT, passphrase=None, key=self.partner.owner)

    @property
    def node(self) -> LiveNode:
        assert isinstance(self.served.node, LiveNode)
        return self.served.node

    @property
    def town(self) -> Town:
        return self.node.town

    def run(self, *arguments: str) -> tuple[int, Any, str]:
        """One command: exit code, JSON, messages."""
        code = run_cli([*arguments, "--home", str(self.home.root), "--output", "json"])
        captured = self.capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else None, captured.err

    def failed(self, *arguments: str) -> set[str]:
        """The checks that fail."""
        _, shown, _ = self.run("validator", "check", "--wait", "1", *arguments)
        return {row["check"] for row in shown["checks"] if not row["passed"]}

    def sent(self) -> Any:
        (message,) = self.node.registry.decode(self.node.raws[-1]).messages
        return message


@pytest.fixture
def make(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(preflight, "FREE_BYTES_MIN", 1)  # this machine is not what is tested
    monkeypatch.setattr(preflight, "VERIFIES_PER_SECOND_MIN", 1)
    with Served(LiveNode(Town())) as served:
        served.node.town.spin(40)
        yield lambda number: Operator(tmp_path / "home", capsys, served, number)


# check and apply ----------------------------------------------------------------------------------------------------


def test_check(make: Any) -> None:
    """A candidate at the tip is ready: every check says what it found, the quorum with numbers."""
    candidate = make(PEER)
    code, shown, said = candidate.run("validator", "check")
    assert (code, shown["ready"]) == (0, True)
    found = {row["check"]: row["found"] for row in shown["checks"]}
    assert "4 live of 5, quorum 4" in found["quorum"]
    assert "linked with 4 of 4 validators, 2 needed" in found["links"]
    assert "cccnode validator apply" in said


def test_check_for_people(make: Any) -> None:
    """One line a check, with a word that stands out where something is missing, then what to do."""
    candidate = make(PEER)
    candidate.node.changes["behind"] = 500
    assert run_cli(["validator", "check", "--home", str(candidate.home.root)]) == 1
    captured = candidate.capsys.readouterr()
    assert "NO  tip" in captured.out
    assert "cccnode join status" in captured.err
    assert "validator/NOT_READY" in captured.err
    assert len(captured.out.splitlines()) < 16


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"behind": 21}, "tip"),
        ({"state": "catching_up"}, "tip"),
        ({"state": "diverged"}, "tip"),
        ({"reasons": [Reason(spec=errors.CLOCK_SKEW)]}, "clock"),
        (
            {
                "validators": [
                    ValidatorStatus(index=i, organisation="x", consensus_key=bytes(32), reachable=i == 0)
                    for i in range(4)
                ]
            },
            "links",
        ),
    ],
)
def test_not_ready(make: Any, changes: dict[str, Any], name: str) -> None:
    """A node that lags, has a wrong clock or too few links is not ready, by name."""
    candidate = make(PEER)
    candidate.node.changes.update(changes)
    assert candidate.failed() == {name}
    code, answer, _ = candidate.run("validator", "apply")
    assert (code, answer["error"]["name"]) == (1, "validator/NOT_READY")
    assert answer["error"]["details"]["checks"][0].startswith(name)
    assert candidate.node.raws == []


def test_machine_not_ready(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is too slow or whose disk is full is not ready."""
    candidate = make(PEER)
    monkeypatch.setattr(preflight, "FREE_BYTES_MIN", 2**62)
    monkeypatch.setattr(preflight, "VERIFIES_PER_SECOND_MIN", 10**9)
    assert candidate.failed() == {"disk", "speed"}
    assert candidate.run("validator", "apply", "--skip", "disk")[0] == 1
    assert candidate.run("validator", "apply", "--skip", "disk", "--skip", "speed")[0] == 0


def test_keys_not_ready(make: Any) -> None:
    """Without a consensus key, or the organisation's account key, or with another node's home, it is not ready."""
    candidate = make(PEER)
    candidate.home.validator_key.unlink()
    candidate.home.account_key(candidate.partner.name).unlink()
    assert candidate.failed() == {"key", "account"}
    candidate.node.node_key = candidate.town.demo.partners[0].node_key
    assert "node" in candidate.failed()


def test_member_without_money(make: Any) -> None:
    """An organisation that was just admitted owns nothing, and is told who can help."""
    candidate = make(PEER)
    candidate.town.decide(candidate.town.admission("cmu"))
    candidate.home.config_file.write_text(
        render({"node.organisation": "cmu", "rpc.listen": candidate.served.address}, profile="validator")
    )
    assert {"fees", "registered", "account"} <= candidate.failed()


def test_quorum_at_risk(make: Any) -> None:
    """With a silent validator a dead newcomer could stop the network: refused with the numbers, nothing is sent."""
    candidate = make(PEER)
    candidate.town.hush("org-03")
    _, shown, _ = candidate.run("validator", "check")
    row = next(row for row in shown["checks"] if row["check"] == "quorum")
    assert not row["passed"]
    assert "3 live of 5, quorum 4; silent: org-03" in row["found"]


def test_apply(make: Any) -> None:
    """Applying signs a receipt for the newest checkpoint with the consensus key, and the ledger takes it."""
    candidate = make(PEER)
    code, shown, said = candidate.run("validator", "apply")
    assert (code, shown["outcome"], shown["proposal"]) == (0, "ok", "1")
    assert "cccnode org approve 1" in said
    message = candidate.sent()
    assert isinstance(message, RegistryPropose)
    receipt = message.change.receipt
    assert receipt.consensus_key == keys.read(candidate.home.validator_key).public_key
    assert receipt.node_key == candidate.partner.node_key
    assert receipt.height == candidate.town.ask("checkpoints")[-1].height


def test_apply_again_with_a_new_key(make: Any) -> None:
    """The newest key that the network does not know is the one to apply with."""
    member = make(0)
    assert "key" in member.failed()
    assert member.run("keys", "new", "validator", "--unencrypted")[0] == 0
    assert "key" not in member.failed()


# status, pause, leave -----------------------------------------------------------------------------------------------


def test_status(make: Any) -> None:
    """A validator sees its place, its key, what it signed and led, and that it signs now."""
    member = make(0)
    code, shown, _ = member.run("validator", "status")
    assert (code, shown["index"], shown["epoch"], shown["when"]) == (0, 0, "0", "now")
    assert shown["consensus_key"] == shown["next_key"] == "0x" + keys.read(member.home.validator_key).pubkey
    assert (shown["blocks"], shown["signed"], shown["led"]) == (16, 16, 4)
    assert run_cli(["validator", "status", "--home", str(member.home.root)]) == 0
    assert "signed" in member.capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"state": "observing", "reasons": [Reason(spec=errors.NOT_SIGNING_JOURNAL_LOST)]}, "next epoch"),
        ({"validator": None, "state": "observing"}, "another key or node"),
    ],
)
def test_status_says_why_not_now(make: Any, changes: dict[str, Any], fragment: str) -> None:
    """A validator that does not vote hears why, and when it will."""
    member = make(0)
    member.node.changes.update(changes)
    _, shown, _ = member.run("validator", "status")
    assert fragment in shown["when"]
    assert not shown["signs"]
    assert len(shown["reasons"]) == len(changes.get("reasons", ()))


def test_status_of_a_candidate(make: Any) -> None:
    """Before it validates, the command that comes next; once approved, the epoch that it waits for."""
    candidate = make(PEER)
    assert "cccnode validator apply" in candidate.run("validator", "status")[1]["when"]
    candidate.node.ends_epochs = False
    candidate.town.decide(candidate.town.candidacy(candidate.partner.name))
    assert "next epoch" in candidate.run("validator", "status")[1]["when"]


def test_pause(make: Any) -> None:
    """Pausing ends with the epoch; the organisation stays."""
    member = make(0)
    member.town.decide(member.town.candidacy("org-04"))
    member.town.settle()
    code, shown, _ = member.run("validator", "pause")
    assert (code, shown["outcome"]) == (0, "ok")
    assert "org-00" not in member.town.members


@pytest.mark.parametrize("verb", ["pause", "leave"])
def test_pause_at_risk(make: Any, verb: str) -> None:
    """Going while others are silent would stop the network: refused with the numbers before anything is sent."""
    member = make(0)
    member.town.hush("org-02", "org-03")
    code, answer, _ = member.run("validator", verb, "--yes")
    assert (code, answer["error"]["name"]) == (75, "registry/QUORUM_AT_RISK")
    assert answer["error"]["details"]["silent"] == "org-02, org-03"
    assert member.node.raws == []


def test_leave(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving is for good, so it asks first."""
    member = make(PEER)
    monkeypatch.setattr("click.confirm", lambda *_, **__: (_ for _ in ()).throw(click.Abort))
    assert member.run("validator", "leave")[0] == 130
    assert member.node.raws == []
    code, shown, _ = member.run("validator", "leave", "--yes")
    assert (code, shown["outcome"]) == (0, "ok")
    assert {row.name: row.standing.name for row in member.town.ask("organisations")}["org-04"] == "LEFT"


# keys ---------------------------------------------------------------------------------------------------------------


def test_rotate_key(make: Any) -> None:
    """A new key file beside the old one, proved to the registry, which has it vote from the next epoch on."""
    member = make(0)
    old = keys.read(member.home.validator_key).public_key
    code, shown, said = member.run("validator", "rotate-key", "--unencrypted")
    assert (code, shown["outcome"]) == (0, "ok")
    assert shown["key_file"].endswith("validator-2.json")
    new = keys.read(Path(shown["key_file"])).public_key
    assert keys.read(member.home.validator_key).public_key == old
    assert member.town.record.validators[0].consensus_key == new
    assert "next epoch" in said
    assert open_journal(RealDisk(member.home.data), 1, new).observe is None, "it never voted"


def test_rotate_key_again_after_a_failure(make: Any) -> None:
    """A key that was made and not registered, because the sending failed, is taken by the next try."""
    member = make(0)
    member.run("validator", "rotate-key", "--unencrypted", "--fee-max", "0")
    assert len(member.home.validator_keys) == 2
    code, _, _ = member.run("validator", "rotate-key", "--unencrypted")
    assert (code, len(member.home.validator_keys)) == (0, 2)


def test_rotate_key_encrypts(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new key is under the passphrase of the environment; another passphrase than the node's is refused."""
    member = make(0)
    member.home.node_key.unlink()
    keys.create(
        member.home.node_key,
        role=Role.NODE,
        passphrase="correct horse",
        key=SigningKey(member.partner.node_seed),
    )
    monkeypatch.setenv("CCCNODE_PASSPHRASE", "another one")
    code, answer, _ = member.run("validator", "rotate-key")
    assert (code, answer["error"]["name"]) == (78, "keys/PASSPHRASE")
    assert len(member.home.validator_keys) == 1
    monkeypatch.setenv("CCCNODE_PASSPHRASE", "correct horse")
    assert member.run("validator", "rotate-key")[0] == 0
    assert keys.read(member.home.validator_keys[-1]).encrypted


def test_rotate_transport_key(make: Any) -> None:
    """Register the new node key, restart, remove the old one: one command three times, and never a gap."""
    member = make(0)
    old = member.partner.node_key
    code, shown, said = member.run("validator", "rotate-key", "--transport", "--unencrypted")
    assert (code, shown["outcome"]) == (0, "ok")
    new = keys.read(member.home.node_key).public_key
    message = member.sent()
    assert isinstance(message, RegistryAddNode)
    assert certificate_key(message.certificate) == new
    assert message.addresses == _addresses(member.town, old)
    assert set(member.town.record.validators[0].node_keys) == {old, new}
    assert "Restart the node" in said
    assert member.run("validator", "rotate-key", "--transport")[1] == {"next": "restart", "node_key": "0x" + new.hex()}
    assert len(member.node.raws) == 1
    member.node.node_key = new
    code, _, said = member.run("validator", "rotate-key", "--transport")
    assert (code, member.town.record.validators[0].node_keys) == (0, (new,))
    assert "Done" in said


def _addresses(town: Town, key: bytes) -> tuple[str, ...]:
    return next(row.addresses for row in town.ask("nodes") if row.node_key == key)


def test_rotate_transport_key_after_an_interruption(make: Any) -> None:
    """A node key that was made, or even registered, and not put into use is taken up where it was left."""
    member = make(0)
    keys.create(member.home.next_node_key, role=Role.NODE, passphrase=None)
    seed = keys.unlock(member.home.next_node_key, role=Role.NODE).seed
    assert member.town.send("org-00", RegistryAddNode(make_certificate(seed), ("10.0.0.7:1",))) == "ok"
    member.town.settle()
    code, _, _ = member.run("validator", "rotate-key", "--transport")
    assert code == 0
    assert member.node.raws == []
    assert member.home.node_key.name == "node-2.json"


def test_rotate_transport_key_waits_for_the_epoch(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new node key is not put into use before the epoch lists it: votes over it would not count."""
    monkeypatch.setattr(rotation, "POLLS", 2)
    monkeypatch.setattr(rotation, "POLL_S", 0)
    member = make(0)
    member.node.ends_epochs = False
    assert member.run("validator", "rotate-key", "--transport", "--unencrypted")[0] == 75
    assert member.home.node_key.name == "node.json"
    member.town.settle()
    assert member.run("validator", "rotate-key", "--transport")[0] == 0
    assert member.home.node_key.name == "node-2.json"


def test_rotate_of_another_node(make: Any) -> None:
    """A node that is not of this home is left alone."""
    member = make(0)
    member.node.node_key = member.town.demo.partners[1].node_key
    code, answer, _ = member.run("validator", "rotate-key", "--transport")
    assert (code, answer["error"]["name"]) == (78, "home/OTHER_CHAIN")
