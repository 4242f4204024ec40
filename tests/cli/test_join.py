"""`cccnode join`: the request, what members see of it, and where a newcomer stands at every step."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cccnode import keys
from cccnode.card import Card, Checkpoint, Contact, card_text
from cccnode.city.registry.messages import AdmitOrganisation, NodeOffer, RegistryApprove
from cccnode.cli.join_text import read_join
from cccnode.cli.main import run_cli
from cccnode.client import Client, wall_ms
from cccnode.config import render
from cccnode.home import Home
from cccnode.keys import Role
from cccnode.types.addresses import account_text
from cccnode.types.block import block_id
from cccnode.types.errors import JOIN_WAITED
from cccnode.types.transaction import account_id
from cccnode.types.validators import node_id
from p2p.directory import make_certificate
from tests.city.registry.town import Town
from tests.support.live_node import LiveNode
from tests.support.served import Served

DEAD = "127.0.0.1:1"


class Newcomer:
    """The home of an organisation that is not in yet, and the network that it wants to join."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], stack: ExitStack) -> None:
        self.home, self.capsys, self._stack = Home(folder), capsys, stack
        self.town = Town()
        self.contact = stack.enter_context(Served(LiveNode(self.town)))
        self.home.root.mkdir()
        self.home.genesis_file.write_bytes(self.town.demo.document)
        self.set_up(rpc=DEAD)
        for path, role in (
            (self.home.node_key, Role.NODE),
            (self.home.validator_key, Role.VALIDATOR),
            (self.home.account_key("cmu"), Role.ACCOUNT),
        ):
            keys.create(path, role=role, passphrase=None)

    @property
    def node_key(self) -> bytes:
        return keys.read(self.home.node_key).public_key

    def set_up(self, *, rpc: str, contacts: tuple[str, ...] | None = None, organisation: str = "cmu") -> None:
        """Write settings and card."""
        values = {"node.organisation": organisation, "rpc.listen": rpc}
        self.home.config_file.write_text(render(values, profile="validator"))
        addresses = (DEAD, self.contact.address) if contacts is None else contacts
        named = tuple(Contact(bytes([i]) * 32, "a:1", address) for i, address in enumerate(addresses))
        checkpoint = Checkpoint(1, block_id(self.town.header))
        card = Card(self.town.chain, "town", named, checkpoint, wall_ms() + 60_000)
        self.home.card_file.write_text(card_text(card))

    def run_node(self, **changes: Any) -> LiveNode:
        """The own node runs from now on."""
        node = LiveNode(self.town, self.node_key, **changes)
        self.set_up(rpc=self._stack.enter_context(Served(node)).address)
        return node

    def request(self, *arguments: str) -> tuple[int, Any]:
        return self.json("join", "request", "--pillar", "academia", "--address", "node.cmu.example:27600", *arguments)

    def admit(self) -> None:
        """The members take the organisation in, as it asked."""
        change = read_join(self.request()[1]["request"]).change
        assert "admitted" in self.town.decide(change)

    def json(self, *arguments: str) -> tuple[int, Any]:
        code = run_cli([*arguments, "--home", str(self.home.root), "--output", "json"])
        out = self.capsys.readouterr().out
        return code, json.loads(out) if out else None

    def status(self) -> Any:
        code, found = self.json("join", "status")
        assert code == 0
        return found


@pytest.fixture
def newcomer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Newcomer]:
    with ExitStack() as stack:
        yield Newcomer(tmp_path / "home", capsys, stack)


# request and show ---------------------------------------------------------------------------------------------------


def test_request(newcomer: Newcomer) -> None:
    """The request holds the organisation, its account, the node with certificate and address, for this chain."""
    code, shown = newcomer.request()
    assert code == 0
    found = read_join(shown["request"])
    assert found.chain == newcomer.town.chain
    seed = keys.unlock(newcomer.home.node_key, role=Role.NODE).seed
    assert found.change.nodes == (NodeOffer(make_certificate(seed), ("node.cmu.example:27600",)),)
    owner = keys.read(newcomer.home.account_key("cmu")).public_key
    assert shown["account"] == account_text(account_id(owner))
    assert shown["nodes"][0]["node_id"] == node_id(newcomer.node_key).hex()
    assert (shown["organisation"], shown["pillar"]) == ("cmu", "academia")


def test_request_is_taken_by_the_ledger(newcomer: Newcomer) -> None:
    """What is asked for is what the registry's rules accept, and the organisation is in."""
    newcomer.admit()
    assert newcomer.node_key in {row.node_key for row in newcomer.town.ask("nodes")}


def test_request_text(newcomer: Newcomer) -> None:
    """Standard output holds the text and nothing else; what to do with it is said beside."""
    where = ["--home", str(newcomer.home.root)]
    assert run_cli(["join", "request", "--pillar", "private", "--address", "h:1", *where]) == 0
    captured = newcomer.capsys.readouterr()
    assert read_join(captured.out).change.name == "cmu"
    assert captured.out.count("\n") == 1
    assert "cccnode org propose --join" in captured.err


def test_request_with_the_advertised_addresses(newcomer: Newcomer) -> None:
    """Without --address the node is offered where its settings say that others reach it."""
    with newcomer.home.config_file.open("a") as file:
        file.write('[p2p]\nadvertise = ["node.cmu.example:27600"]\n')
    _, shown = newcomer.json("join", "request", "--pillar", "private")
    assert shown["nodes"][0]["addresses"] == ["node.cmu.example:27600"]


@pytest.mark.parametrize("address", ["0.0.0.0:27600", "[::]:27600", "h:0"])
def test_invalid_address(newcomer: Newcomer, address: str) -> None:
    """An address that nobody can dial is not offered to anybody."""
    assert newcomer.json("join", "request", "--pillar", "private", "--address", address)[0] == 2


def test_invalid_request(newcomer: Newcomer) -> None:
    """No address, no name, no key, no genesis: each is named."""
    assert newcomer.json("join", "request", "--pillar", "private")[0] == 2
    assert newcomer.request("--org", "CMU")[0] == 2
    assert newcomer.request("--account", "nobody")[1]["error"]["name"] == "keys/MISSING"
    newcomer.home.genesis_file.unlink()
    code, answer = newcomer.request()
    assert (code, answer["error"]["name"]) == (78, "home/EMPTY")


def test_show(newcomer: Newcomer, tmp_path: Path) -> None:
    """A member sees who asks for what, from the text or from a file, without a node or a home."""
    _, made = newcomer.request()
    path = tmp_path / "request.txt"
    path.write_text(made["request"])
    for given in (made["request"], str(path)):
        code = run_cli(["join", "show", given, "--output", "json"])
        assert (code, json.loads(newcomer.capsys.readouterr().out)["organisation"]) == (0, "cmu")
    assert run_cli(["join", "show", str(path)]) == 0
    captured = newcomer.capsys.readouterr()
    assert node_id(newcomer.node_key).hex() in captured.out
    assert "Compare the node id" in captured.err


def test_invalid_show(newcomer: Newcomer) -> None:
    """A spoilt request is refused by name."""
    code, answer = newcomer.json("join", "show", "cccjoin1nonsense")
    assert (code, answer["error"]["name"]) == (1, "join/MALFORMED")


# status -------------------------------------------------------------------------------------------------------------


def test_nobody_answers(newcomer: Newcomer) -> None:
    """No contact and no own node: said so, with the contacts that are silent."""
    newcomer.set_up(rpc=DEAD, contacts=(DEAD,))
    found = newcomer.status()
    assert (found["stage"], found["silent"]) == ("alone", [DEAD])


@pytest.mark.parametrize("answer", [None, [], {}, "x", {"validators": 1}, [{"name": 1}]])
def test_contact_that_answers_nonsense(newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Answers that are not a cccnode's are named as such, and nothing falls over."""

    async def call(*_: object, **__: object) -> Any:
        return answer

    monkeypatch.setattr(Client, "call", call)
    code, found = newcomer.json("join", "status")
    assert (code, found["error"]["name"]) == (1, "client/BAD_ANSWER")


def test_not_proposed(newcomer: Newcomer) -> None:
    """Before anybody proposed it: with which id to ask, and the command that makes the request."""
    found = newcomer.status()
    assert found["stage"] == "not_proposed"
    assert found["node_id"] == node_id(newcomer.node_key).hex()
    assert found["asked"] == newcomer.contact.address
    assert found["silent"] == [DEAD]
    assert found["next"].startswith("cccnode join request --org cmu")


def _change(newcomer: Newcomer) -> AdmitOrganisation:
    return read_join(newcomer.request()[1]["request"]).change


def test_proposed(newcomer: Newcomer) -> None:
    """While members approve: the number, how many of how many, and who."""
    newcomer.town.propose("org-00", _change(newcomer))
    found = newcomer.status()
    assert found["stage"] == "proposed"
    assert "1/3" in found["why"]
    assert "org-00" in found["why"]
    assert not found["next"]


def test_not_admitted(newcomer: Newcomer) -> None:
    """A proposal that ended otherwise is named, so that a new request is made."""
    number = newcomer.town.propose("org-00", _change(newcomer))
    newcomer.town.block(time_ms=newcomer.town.header.time_ms + 366 * 86_400_000)
    found = newcomer.status()
    assert found["stage"] == "not_admitted"
    assert f"proposal {number} is expired" in found["why"]


def test_admitted_and_not_running(newcomer: Newcomer) -> None:
    """Admitted, and the own node is not up: run it."""
    newcomer.admit()
    found = newcomer.status()
    assert (found["stage"], found["own_node"]) == ("not_running", None)
    assert found["next"].startswith("cccnode run")


def test_another_node_of_a_member(newcomer: Newcomer) -> None:
    """The organisation is in and this node is not: its certificate is what to give."""
    newcomer.admit()
    keys.create(newcomer.home.fresh_key("node"), role=Role.NODE, passphrase=None)
    found = newcomer.status()
    assert found["stage"] == "node_unregistered"
    account = account_text(account_id(keys.read(newcomer.home.account_key("cmu")).public_key))
    assert newcomer.json("keys", "address", "cmu") == (0, {"account": account})
    code, shown = newcomer.json("keys", "certificate")
    assert (code, shown["node_key"]) == (0, found["node"])
    assert bytes.fromhex(shown["node_key"][2:]) in bytes.fromhex(shown["certificate"][2:])


def test_waiting_node_is_seen(newcomer: Newcomer) -> None:
    """A node that runs before it was admitted is shown with its reasons."""
    newcomer.run_node(state="observing", height=0, peers=0)
    found = newcomer.status()
    assert found["stage"] == "not_proposed"
    assert found["own_node"]["height"] == "0"


def test_catching_up(newcomer: Newcomer) -> None:
    """While it catches up: how far it is, and no command but patience."""
    newcomer.admit()
    newcomer.town.spin(100)
    newcomer.run_node(state="catching_up", height=newcomer.town.height // 4)
    found = newcomer.status()
    assert found["stage"] == "catching_up"
    assert found["own_node"]["percent"] in {24, 25}
    assert found["own_node"]["behind"] > 60
    assert found["own_node"]["eta"] is None


def test_ready(newcomer: Newcomer) -> None:
    """At the tip: READY, and how to go on to validating."""
    newcomer.admit()
    newcomer.run_node(peers=4)
    found = newcomer.status()
    assert found["stage"] == "ready"
    assert "READY, 0 behind, 4 peers" in found["why"]
    assert found["next"].startswith("cccnode validator check")


def test_applied_and_validating(newcomer: Newcomer) -> None:
    """On the way to a validator: the proposal, the next epoch, and then the vote."""
    newcomer.admit()
    newcomer.run_node()
    newcomer.town.spin(40)
    number = newcomer.town.propose("org-00", newcomer.town.candidacy("cmu"))
    assert newcomer.status()["stage"] == "applied"
    for name in ("org-00", "org-01", "org-02"):
        assert newcomer.town.send(name, RegistryApprove(number, True)) == "ok"
    assert newcomer.status()["stage"] == "validator_next"
    newcomer.town.settle()
    assert newcomer.status()["stage"] == "validating"


def test_waiting_for_a_stage(newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says each stage on the way, ends as soon as the one is reached, and says what is missing when time is over."""
    steps = iter([newcomer.admit, newcomer.run_node])
    monkeypatch.setattr("cccnode.cli.join.time.sleep", lambda _: next(steps)())

    assert newcomer.json("join", "status", "--wait", "ready")[1]["stage"] == "ready"
    monkeypatch.setattr("cccnode.cli.join.time.sleep", lambda _: None)
    code, answer = newcomer.json("join", "status", "--wait", "validating", "--timeout", "1")
    assert code != 0
    assert (answer["error"]["name"], answer["error"]["details"]["stage"]) == (JOIN_WAITED.name, "ready")


def test_status_for_people(newcomer: Newcomer) -> None:
    """A few lines, in both languages."""
    newcomer.admit()
    newcomer.run_node(peers=4)
    for lang, word in (("en", "next"), ("th", "ขั้นต่อไป")):
        assert run_cli(["join", "status", "--home", str(newcomer.home.root), "--lang", lang]) == 0
        shown = newcomer.capsys.readouterr().out
        assert word in shown
        assert "cccnode validator check" in shown
        assert len(shown.splitlines()) <= 10


def test_founder_without_a_card(newcomer: Newcomer) -> None:
    """A home without a card asks its own node alone."""
    newcomer.admit()
    newcomer.run_node()
    newcomer.home.card_file.unlink()
    assert newcomer.status()["stage"] == "ready"
