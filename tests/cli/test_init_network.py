"""`cccnode card` and `cccnode init --network`: from one short text to the home of a node, against fake nodes."""

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cccnode import keys
from cccnode.card import Card, Checkpoint, Contact, card_text, read_card
from cccnode.city import CITY
from cccnode.cli.main import run_cli
from cccnode.client import wall_ms
from cccnode.config import load, split_contact
from cccnode.home import Home
from cccnode.ledger.state import DictState
from cccnode.rpc.downloads import ALLOCATION_FOLDER, GENESIS_PATH
from cccnode.types import errors
from cccnode.types.addresses import account_text
from cccnode.types.transaction import account_id
from cccnode.types.validators import node_id
from genesis.bootstrap import Demo, make_demo
from p2p.directory import make_certificate
from tests.support.fake_node import FakeNode, status
from tests.support.served import Served

HEIGHT = 40


def _demo(name: str = "city", *, accounts: int = 2, host: str = "127.0.0.1") -> Demo:
    return make_demo(
        4,
        certify=make_certificate,
        addresses=lambda number: [f"{host}:{4000 + number}"],
        accounts=accounts,
        seed=b"cards",
        name=name,
        time_ms=1,
    )


class Town:
    """Fake nodes of one demo network, each serving its genesis."""

    def __init__(self, demo: Demo, folder: Path, stack: ExitStack) -> None:
        self.demo, self.folder, self._stack = demo, folder, stack
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "genesis.json").write_bytes(demo.document)
        self.files = {GENESIS_PATH: folder / "genesis.json"}
        if demo.allocation is not None:
            (folder / demo.allocation[0]).write_bytes(demo.allocation[1])
            self.files[ALLOCATION_FOLDER + demo.allocation[0]] = folder / demo.allocation[0]

    def serve(self, number: int = 0, *, files: bool = True) -> Served:
        """Node `number`, at the tip."""
        partner = self.demo.partners[number]
        state = DictState()
        state.apply(CITY.genesis_writes(self.demo.genesis))
        node = FakeNode(registry=CITY, state_now=state)
        node.status_now = status(
            chain=self.demo.genesis.chain,
            chain_name=self.demo.genesis.document.name,
            node_key=partner.node_key,
            organisation=partner.name,
            height=HEIGHT,
            block_id=bytes([7]) * 32,
        )
        return self._stack.enter_context(Served(node, files=self.files if files else None))

    def card(self, *rpcs: str, expires_ms: int | None = None, chain: bytes | None = None) -> str:
        contacts = tuple(
            Contact(self.demo.partners[i].node_key, f"10.0.0.{i}:27600", rpc) for i, rpc in enumerate(rpcs or ("",))
        )
        return card_text(
            Card(
                chain or self.demo.genesis.chain,
                self.demo.genesis.document.name,
                contacts,
                Checkpoint(HEIGHT, bytes([7]) * 32),
                wall_ms() + 60_000 if expires_ms is None else expires_ms,
            )
        )


@pytest.fixture
def towns(tmp_path: Path) -> Iterator[Callable[..., Town]]:
    with ExitStack() as stack:
        yield lambda demo=None: Town(demo or _demo(), tmp_path / "town", stack)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = run_cli([*arguments, "--output", "json"])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else None


# card ---------------------------------------------------------------------------------------------------------------


def test_card_make(towns: Callable[..., Town], capsys: pytest.CaptureFixture[str]) -> None:
    """A running node gives a card: its chain, its tip, validators by key with addresses, RPC where it is known."""
    town = towns()
    first, second = town.serve(0), town.serve(2)
    code, made = _json(capsys, "card", "make", "--node", first.address, "--rpc", second.address, "--days", "2")
    assert code == 0
    card = read_card(made["card"])
    assert (card.chain, card.network) == (town.demo.genesis.chain, "city")
    assert card.checkpoint == Checkpoint(HEIGHT, bytes([7]) * 32)
    assert abs(card.expires_ms - wall_ms() - 2 * 86_400_000) < 3_600_000
    named = {contact.node_key: (contact.address, contact.rpc) for contact in card.contacts}
    assert len(named) == 4
    assert named[town.demo.partners[0].node_key] == ("127.0.0.1:4000", first.address)
    assert named[town.demo.partners[2].node_key] == ("127.0.0.1:4002", second.address)
    assert [bool(contact.rpc) for contact in card.contacts] == [True, True, False, False]


def test_card_make_text(towns: Callable[..., Town], capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output holds the card and nothing else; warnings stand on standard error."""
    node = towns().serve(0)
    assert run_cli(["card", "make", "--node", node.address, "--org", "org-00"]) == 0
    captured = capsys.readouterr()
    assert read_card(captured.out).contacts[0].address == "127.0.0.1:4000"
    assert captured.out.count("\n") == 1
    assert "one node only" in captured.err
    assert "only this machine reaches" in captured.err


def test_card_make_for_others(towns: Callable[..., Town], capsys: pytest.CaptureFixture[str]) -> None:
    """That the operator asked a node on its own machine is no RPC address for a newcomer elsewhere."""
    node = towns(_demo(host="node.example")).serve(0)
    assert run_cli(["card", "make", "--node", node.address]) == 0
    captured = capsys.readouterr()
    assert read_card(captured.out).rpc_addresses == ()
    assert "names no RPC address" in captured.err


def test_invalid_card_make(towns: Callable[..., Town], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown organisation, a node of another chain and one that does not answer are named."""
    town = towns()
    node = town.serve(0)
    code, answer = _json(capsys, "card", "make", "--node", node.address, "--org", "nobody")
    assert (code, answer["error"]["name"]) == (75, "rpc/NOT_FOUND")
    assert "org-03" in answer["error"]["details"]["organisations"]
    with ExitStack() as stack:
        foreign = Town(_demo("other"), tmp_path / "other", stack).serve(0)
        code, answer = _json(capsys, "card", "make", "--node", node.address, "--rpc", foreign.address)
    assert (code, answer["error"]["name"]) == (1, "core/WRONG_CHAIN")
    code, answer = _json(capsys, "card", "make", "--node", node.address, "--rpc", "127.0.0.1:1")
    assert (code, answer["error"]["name"]) == (75, "client/UNREACHABLE")


def test_card_show(towns: Callable[..., Town], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text or file, with or without line breaks: the same card, on one screen."""
    town = towns()
    text = town.card("a.example:27601", "https://b.example")
    file = tmp_path / "network.card"
    file.write_text(f"{text[:70]}\n{text[70:]}\n")
    code, shown = _json(capsys, "card", "show", text)
    assert (code, shown["expired"]) == (0, False)
    assert _json(capsys, "card", "show", str(file)) == (0, shown)
    assert shown["chain"] == "0x" + town.demo.genesis.chain.hex()
    assert shown["contacts"][1]["rpc"] == "https://b.example"
    assert run_cli(["card", "show", text]) == 0
    out = capsys.readouterr().out
    assert node_id(town.demo.partners[0].node_key).hex() in out
    assert f"height {HEIGHT}" in out
    assert len(out.splitlines()) < 20


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda text: text[:-1] + ("q" if text[-1] != "q" else "p"), "card/CHECKSUM"),
        (lambda text: "nonsense", "card/MALFORMED"),
        (lambda text: "/no/such/file.card", "card/MALFORMED"),
    ],
)
def test_invalid_card_show(
    towns: Callable[..., Town], capsys: pytest.CaptureFixture[str], spoil: Callable[[str], str], name: str
) -> None:
    """A spoilt card is named, with what to do."""
    code, answer = _json(capsys, "card", "show", spoil(towns().card()))
    assert (code, answer["error"]["name"]) == (78, name)
    assert answer["error"]["remedy"]


def test_expired_card(towns: Callable[..., Town], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An expired card is still shown, fails the command, and is not used."""
    text = towns().card(expires_ms=1)
    assert run_cli(["card", "show", text]) == 78
    captured = capsys.readouterr()
    assert "EXPIRED" in captured.out
    assert captured.err.startswith("card/EXPIRED")
    code, answer = _json(capsys, "init", "--network", text, "--unencrypted", "--home", str(home))
    assert (code, answer["error"]["name"]) == (78, "card/EXPIRED")
    assert not home.exists()


# init ---------------------------------------------------------------------------------------------------------------


def _init(capsys: pytest.CaptureFixture[str], home: Path, card: str, *more: str) -> tuple[int, Any]:
    arguments = ["init", "--network", card, "--org", "cmu", "--home", str(home), *more]
    return _json(capsys, *arguments, *(() if "--passphrase-file" in more else ("--unencrypted",)))


def test_init(towns: Callable[..., Town], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A card makes a home: the genesis it names, three keys, pinned contacts, and what to type next."""
    town = towns()
    text = town.card(town.serve().address, "b.example:27601")
    code, made = _init(capsys, home, text, "--set", "rpc.listen=127.0.0.1:5555")
    assert code == 0
    assert made["chain"] == "0x" + town.demo.genesis.chain.hex()
    here = Home(home)
    assert here.genesis_file.read_bytes() == town.demo.document
    key = keys.read(here.account_key("cmu")).public_key
    assert made["account"] == account_text(account_id(key))
    assert made["node_id"] == node_id(keys.read(here.node_key).public_key).hex()
    assert made["validator_key"] == "0x" + keys.read(here.validator_key).pubkey
    settings = load(here, environment={}).config
    assert (settings.node.organisation, settings.rpc.listen) == ("cmu", "127.0.0.1:5555")
    assert [split_contact(contact) for contact in settings.p2p.bootstrap] == [
        (town.demo.partners[0].node_key, "10.0.0.0:27600"),
        (town.demo.partners[1].node_key, "10.0.0.1:27600"),
    ]
    assert read_card(here.card_file.read_text()) == read_card(text)
    assert [step.split()[1] for step in made["next"]] == ["join", "run", "join"]
    code, answer = _init(capsys, home, text)
    assert (code, answer["error"]["name"]) == (78, "home/EXISTS")


def test_init_text(towns: Callable[..., Town], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people: what was made, then the commands in order."""
    card = towns().card(towns().serve().address)
    assert run_cli(["init", "--network", card, "--org", "cmu", "--unencrypted", "--home", str(home)]) == 0
    captured = capsys.readouterr()
    assert "node_id" in captured.out
    assert "cccnode join request --org cmu" in captured.err


def test_init_behind_loopback_warns(towns: Callable[..., Town], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A node that listens for its own machine only, among contacts that are elsewhere, is told."""
    card = towns().card(towns().serve().address)
    arguments = ["init", "--network", card, "--unencrypted", "--home"]
    assert run_cli([*arguments, str(home)]) == 0
    assert "other machines cannot reach this node" in capsys.readouterr().err
    assert run_cli([*arguments, str(home) + "2", "--set", "p2p.listen=0.0.0.0:27600"]) == 0
    assert "other machines" not in capsys.readouterr().err


def test_init_encrypts(
    towns: Callable[..., Town], home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless told otherwise every key is under the passphrase and readable by its owner only."""
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    code, _ = _init(capsys, home, towns().card(towns().serve().address), "--passphrase-file", str(secret))
    assert code == 0
    here = Home(home)
    for path in (here.node_key, here.validator_key, here.account_key("cmu")):
        assert keys.read(path).encrypted
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_init_of_a_peer(towns: Callable[..., Town], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A peer has no consensus key."""
    code, made = _init(capsys, home, towns().card(towns().serve().address), "--profile", "peer")
    assert code == 0
    assert "validator_key" not in made
    assert not Home(home).validator_key.exists()


def test_init_with_allocation(towns: Callable[..., Town], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A genesis with an allocation file brings it along, checked by its hash."""
    town = towns(_demo(accounts=1001))
    code, _ = _init(capsys, home, town.card(town.serve().address))
    assert code == 0
    name, content = town.demo.allocation or ("", b"")
    assert (home / name).read_bytes() == content


def test_init_with_given_genesis(towns: Callable[..., Town], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A card without RPC addresses is enough when the document came another way."""
    town = towns()
    code, _ = _init(capsys, home, town.card(), "--genesis", str(town.folder / "genesis.json"))
    assert code == 0
    assert Home(home).card_file.exists()


def test_init_goes_on_to_the_next_contact(
    towns: Callable[..., Town], home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Contacts that are down, have no document, or lie about it are passed over."""
    town = towns()
    with ExitStack() as stack:
        liar = Town(_demo("other"), tmp_path / "other", stack).serve(1)
        card = town.card("127.0.0.1:1", liar.address, town.serve(2, files=False).address, town.serve(3).address)
        code, made = _init(capsys, home, card)
    assert (code, made["network"]) == (0, "city")


def test_invalid_genesis_of_contacts(
    towns: Callable[..., Town], home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only liars: the error names each contact and what it gave, and no home is made."""
    town = towns()
    with ExitStack() as stack:
        liar = Town(_demo("other"), tmp_path / "other", stack).serve(1)
        code, answer = _init(capsys, home, town.card(liar.address, "127.0.0.1:1"))
    assert (code, answer["error"]["name"]) == (78, "card/OTHER_GENESIS")
    assert len(answer["error"]["details"]["contacts"]) == 2
    assert not home.exists()


def test_invalid_allocation_of_a_contact(
    towns: Callable[..., Town], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An allocation file that is not the document's is refused like a wrong document."""
    town = towns(_demo(accounts=1001))
    name, content = town.demo.allocation or ("", b"")
    (town.folder / name).write_bytes(content[:-2])
    code, answer = _init(capsys, home, town.card(town.serve().address))
    assert (code, answer["error"]["name"]) == (78, "card/OTHER_GENESIS")


def test_invalid_given_genesis(towns: Callable[..., Town], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A document of another network is refused, whoever gave it."""
    town = towns()
    card = town.card(chain=bytes(32))
    code, answer = _init(capsys, home, card, "--genesis", str(town.folder / "genesis.json"))
    assert (code, answer["error"]["name"]) == (78, "card/OTHER_GENESIS")
    assert not home.exists()


def test_no_contact_answers(towns: Callable[..., Town], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody there is temporary; a card without RPC addresses says what else to give."""
    code, answer = _init(capsys, home, towns().card("127.0.0.1:1"))
    assert (code, answer["error"]["name"]) == (75, "client/UNREACHABLE")
    code, answer = _init(capsys, home, towns().card())
    assert "--genesis FILE" in answer["error"]["details"]["why"]
    assert not home.exists()


@pytest.mark.parametrize("more", [[], ["--genesis", "x", "--org", "CMU"], ["--genesis", "x", "--org", "../x"]])
def test_invalid_usage(home: Path, more: list[str]) -> None:
    """Neither card nor genesis, or a name that the registry would not take, is wrong usage."""
    assert run_cli(["init", "--unencrypted", "--home", str(home), *more]) == 2


def test_broken_document_of_a_contact(
    towns: Callable[..., Town], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no genesis document at all is refused, and the reason is told."""
    town = towns()
    (town.folder / "genesis.json").write_bytes(msgspec.json.encode({"format": 9}))
    code, answer = _init(capsys, home, town.card(town.serve().address))
    assert (code, answer["error"]["name"]) == (78, errors.CARD_OTHER_GENESIS.name)
