"""`cccnode org`: what organisations decide, against a ledger that is real and a network that is not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cccnode import keys
from cccnode.city import CITY
from cccnode.city.gov.messages import Kind
from cccnode.city.gov.state import read_messages, read_proposal
from cccnode.city.registry.messages import (
    AddValidator,
    RegistryApprove,
    RegistryRemoveValidator,
    RegistrySchedule,
    RemoveValidator,
)
from cccnode.cli.join_text import join_text
from cccnode.cli.main import run_cli
from cccnode.config import render
from cccnode.crypto.signing import SigningKey
from cccnode.home import Home
from cccnode.keys import Role
from tests.city.registry.town import Town
from tests.support.live_node import LiveNode
from tests.support.served import Served

NEWCOMER, NODE = SigningKey(bytes(31) + b"\x07"), SigningKey(bytes(31) + b"\x08")


class Desk:
    """The homes of the first four organisations, and a node that all of them ask."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], served: Served, town: Town) -> None:
        self.folder, self.capsys, self.served, self.town = folder, capsys, served, town
        for partner in town.demo.partners:
            home = Home(folder / partner.name)
            home.root.mkdir()
            home.config_file.write_text(render({"node.organisation": partner.name}, profile="validator"))
            keys.create(home.account_key(partner.name), role=Role.ACCOUNT, passphrase=None, key=partner.owner)

    def run(self, number: int, *arguments: str) -> tuple[int, Any, str]:
        """One command of organisation `number`: exit code, JSON, messages."""
        home = self.folder / f"org-0{number}"
        where = ["--home", str(home), "--node", self.served.address, "--output", "json"]
        code = run_cli([*arguments, *where])
        captured = self.capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else None, captured.err

    @property
    def node(self) -> LiveNode:
        assert isinstance(self.served.node, LiveNode)
        return self.served.node


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    town = Town()
    with Served(LiveNode(town)) as served:
        yield Desk(tmp_path, capsys, served, town)


def _request(town: Town, name: str = "cmu", *, chain: bytes | None = None) -> str:
    change = town.admission(name, nodes=0)
    town.owners[name] = NEWCOMER
    change = type(change)(name, change.pillar, (type(change.keys[0])(NEWCOMER.public_key),), 1, ())
    return join_text(chain or town.chain, change, [NEWCOMER], made_ms=1)


def test_admission(desk: Desk) -> None:
    """A join request is proposed, approved by a majority, and carried out; each command says how it stands."""
    code, shown, _ = desk.run(0, "org", "propose", "--join", _request(desk.town))
    assert (code, shown["outcome"], shown["proposal"]) == (0, "ok", "1")
    code, listed, _ = desk.run(1, "org", "proposals")
    (row,) = listed["open"]
    assert (row["approving"], row["needed"], row["change"]["name"]) == (1, 3, "cmu")
    assert desk.run(1, "org", "approve", "1")[0] == 0
    code, shown, said = desk.run(2, "org", "approve", "1")
    assert (code, shown["decision"]) == (0, "executed")
    assert "admit organisation cmu" in said
    assert "cmu" in {row.name for row in desk.town.ask("organisations")}
    _, listed, _ = desk.run(1, "org", "proposals")
    assert (listed["open"], listed["decided"][0]["ending"]) == ([], "executed")


def test_by_vote(desk: Desk) -> None:
    """The same changes go before the city instead, where the organisations' approvals have no say."""
    admission, removal = ("--join", _request(desk.town)), ("--remove-validator", "org-03")
    for number, change in enumerate((admission, ("--remove", "org-03"), removal), 1):
        code, shown, said = desk.run(number, "org", "propose", *change, "--by-vote", "endorsed", "--flagged")
        assert (code, shown["proposal"]) == (0, str(number))
        assert f"cccnode tx gov-endorse {number} " in said
    _, listed, _ = desk.run(0, "org", "proposals")
    assert listed["open"] == []
    rows = [read_proposal(desk.town.overlay, number) for number in (1, 2, 3)]
    assert [(row.kind.name.lower(), row.title, row.expedited) for row in rows if row is not None] == [
        ("admit_organisation", "admit organisation cmu", False),
        ("remove_organisation", "remove organisation org-03", False),
        ("remove_validator", "let org-03 validate no more", False),
    ]
    (packed,) = read_messages(desk.town.overlay, rows[2]) if rows[2] is not None else ()
    assert CITY.decode_message(packed) == RegistryRemoveValidator(RemoveValidator("org-03"), True)
    assert desk.run(0, "org", "propose", "--remove", "org-03", "--by-vote", "endorsed", "--expedited")[0] == 0
    fourth = read_proposal(desk.town.overlay, 4)
    assert fourth is not None
    assert fourth.expedited
    code, _, said = desk.run(0, "org", "propose", "--remove", "org-02", "--expedited")
    assert (code, "--expedited goes with --by-vote" in said) == (2, True)


def test_what_only_a_vote_carries_out(desk: Desk) -> None:
    """The verb of such a message puts it before the city, with a title that says what is decided."""
    for words in (
        ("gov-param-set", "bank", "fee_base", "5"),
        ("city-schedule-feature", "milestones", "9", "0x" + "ab" * 32),
    ):
        code, shown, said = desk.run(0, "tx", *words, "--from", "org-00", "--by-vote", "endorsed")
        assert (code, f"gov-endorse {shown['proposal']} " in said) == (0, True)
    first, second = (read_proposal(desk.town.overlay, number) for number in (1, 2))
    assert first is not None
    assert second is not None
    assert (first.kind, first.title) == (Kind.PARAM, "Set a parameter of a module: bank fee_base 5")
    assert (second.kind, len(second.title)) == (Kind.UPGRADE, 120)
    (packed,) = read_messages(desk.town.overlay, second)
    assert CITY.decode_message(packed) == RegistrySchedule("milestones", 9, b"\xab" * 32)
    words = ("tx", "mem-remove", "org-00", "--from", "org-00", "--title", "Out", "--by-vote", "endorsed", "--expedited")
    assert desk.run(0, *words)[0] != 0


def test_proposals_for_people(desk: Desk) -> None:
    """A table that says what, how far, by whom and for how long; in both languages."""
    desk.run(0, "org", "propose", "--remove-validator", "org-03")
    where = ["--home", str(desk.folder / "org-01"), "--node", desk.served.address]
    assert run_cli(["org", "proposals", *where]) == 0
    shown = desk.capsys.readouterr().out
    assert "let org-03 validate no more" in shown
    assert "1/3 approvals (org-00)" in shown
    assert "by org-00" in shown
    assert run_cli(["org", "proposals", "--lang", "th", *where]) == 0
    assert "ให้ org-03 เลิกเป็นผู้ตรวจสอบ" in desk.capsys.readouterr().out


def test_request_from_a_file(desk: Desk, tmp_path: Path) -> None:
    """A join request may come as a file."""
    path = tmp_path / "request.txt"
    path.write_text(_request(desk.town) + "\n")
    assert desk.run(0, "org", "propose", "--join", str(path))[0] == 0


def test_invalid_request(desk: Desk) -> None:
    """A spoilt request, and one for another network, are refused before anything is sent."""
    code, answer, _ = desk.run(0, "org", "propose", "--join", "cccjoin1qqqqqqqq")
    assert (code, answer["error"]["name"]) == (1, "join/MALFORMED")
    code, answer, _ = desk.run(0, "org", "propose", "--join", _request(desk.town, chain=bytes(32)))
    assert (code, answer["error"]["name"]) == (1, "core/WRONG_CHAIN")
    assert desk.node.raws == []


@pytest.mark.parametrize("arguments", [[], ["--remove", "a", "--remove-validator", "b"]])
def test_invalid_usage(desk: Desk, arguments: list[str]) -> None:
    """One change at a time."""
    assert desk.run(0, "org", "propose", *arguments)[0] == 2


def test_failed_change_is_named(desk: Desk) -> None:
    """What the ledger refuses is told by its name, with the remedy."""
    assert desk.run(0, "org", "propose", "--join", _request(desk.town, "org-01"))[0] == 1
    code, shown, said = desk.run(0, "org", "approve", "9")
    assert (code, shown["outcome"]) == (1, "failed")
    assert said.startswith("registry/UNKNOWN_PROPOSAL")


def test_withdraw(desk: Desk) -> None:
    """The proposer takes a proposal back; another may not."""
    desk.run(0, "org", "propose", "--remove", "org-04")
    assert desk.run(1, "org", "withdraw", "1")[2].startswith("registry/NOT_PROPOSER")
    code, shown, _ = desk.run(0, "org", "withdraw", "1")
    assert (code, shown["proposal"]) == (0, "1")
    assert desk.town.ask("proposals") == ()


def _candidacy(desk: Desk) -> tuple[int, bytes]:
    """An open proposal to make the fifth organisation a validator; its node."""
    desk.town.spin(40)
    change = desk.town.candidacy("org-04")
    assert isinstance(change, AddValidator)
    return desk.town.propose("org-00", change), change.receipt.node_key


def _sent(desk: Desk) -> RegistryApprove:
    message = desk.town.overlay and desk.node.raws[-1]
    (found,) = desk.node.registry.decode(message).messages
    assert isinstance(found, RegistryApprove)
    return found


def test_approval_of_a_candidate_that_is_reached(desk: Desk) -> None:
    """A member whose node is linked with the candidate's, at the tip, says so by itself; then it passes."""
    number, node = _candidacy(desk)
    desk.node.heights[node] = desk.town.height
    desk.run(1, "org", "approve", str(number))
    assert _sent(desk).reached
    code, shown, _ = desk.run(2, "org", "approve", str(number))
    assert (code, shown["decision"]) == (0, "executed")
    assert "org-04" in desk.town.members


@pytest.mark.parametrize("behind", [None, 1000])
def test_approval_of_a_candidate_that_is_not_reached(desk: Desk, behind: int | None) -> None:
    """A member whose node does not reach the candidate's, or finds it far behind, approves without vouching for it."""
    number, node = _candidacy(desk)
    if behind is not None:
        desk.node.heights[node] = desk.town.height - behind
    _, _, said = desk.run(1, "org", "approve", str(number))
    assert not _sent(desk).reached
    assert "does not reach" in said


def test_change_that_cannot_be_carried_out_now(desk: Desk) -> None:
    """Approved by enough and still refused: the approval stands, and the numbers are told."""
    number, node = _candidacy(desk)
    desk.node.heights[node] = desk.town.height
    desk.town.hush("org-03")
    desk.run(1, "org", "approve", str(number))
    code, shown, _ = desk.run(2, "org", "approve", str(number))
    assert code == 0
    assert "registry/QUORUM_AT_RISK" in shown["decision"]


def test_other_account(desk: Desk) -> None:
    """An account that acts for no organisation is refused by name; without settings --from must be given."""
    home = Home(desk.folder / "org-01")
    keys.create(home.account_key("member"), role=Role.ACCOUNT, passphrase=None, key=desk.town.demo.accounts[0])
    _, _, said = desk.run(1, "org", "propose", "--remove", "org-03", "--from", "member")
    assert said.startswith("registry/NOT_ORGANISATION")
    home.config_file.write_text("")
    assert desk.run(1, "org", "propose", "--remove", "org-03")[0] == 2
