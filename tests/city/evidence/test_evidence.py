"""Votes that contradict each other: judged by their epoch's validators, recorded once and for ever."""

from collections.abc import Sequence

import pytest

from cccnode.city import CITY
from cccnode.city.bank.state import balance
from cccnode.city.evidence import EvidenceAnswer, EvidenceReport, ListParams, errors
from cccnode.city.registry.messages import RegistryPause, RegistryPropose, RemoveValidator
from cccnode.codec import Malformed, decode, encode
from cccnode.types.vote import Kind, Proposal, Vote, nullified, vote_bytes
from tests.city.registry.town import Town

A = Proposal(9, 8, 7, b"a" * 32)
B = Proposal(9, 8, 7, b"b" * 32)
LATER = Proposal(10, 9, 8, b"c" * 32)
ZERO = nullified(9)
N, Z, F = Kind.NOTARIZE, Kind.NULLIFY, Kind.FINALIZE

Cast = tuple[Kind, Proposal]


def _vote(town: Town, cast: Cast, *, signer: int = 2, epoch: int = 0, chain: bytes | None = None) -> Vote:
    kind, proposal = cast
    key = town.consensus[town.members[signer]]
    return Vote(kind, proposal, signer, key.sign(vote_bytes(kind, chain or town.chain, epoch, proposal)))


def _report(town: Town, first: Cast, second: Cast, *, signer: int = 2, epoch: int = 0) -> EvidenceReport:
    votes = [_vote(town, cast, signer=signer, epoch=epoch) for cast in (first, second)]
    return EvidenceReport(epoch, *votes)


def _list(town: Town, after: int = 0, limit: int = 64) -> EvidenceAnswer:
    answer = CITY.answer("evidence_list", town.state, ListParams(after, limit))
    assert isinstance(answer, EvidenceAnswer)
    return answer


def _town(validators: int = 4, blocks: int = 1) -> Town:
    town = Town(validators, peers=1)
    town.spin(blocks)
    return town


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((N, A), (N, B)),
        ((N, A), (N, Proposal(9, 7, 7, b"a" * 32))),
        ((F, A), (F, B)),
        ((Z, ZERO), (F, A)),
        ((F, A), (Z, ZERO)),
    ],
)
def test_faults(first: Cast, second: Cast) -> None:
    """Two notarize votes, two finalize votes, or a nullify and a finalize vote of one view are recorded."""
    town = _town()
    report = _report(town, first, second)
    assert "ok" == town.send("demo0", report)

    assert [("evidence", "recorded", 1, 0, 9, 2, "org-02", 0)] == town.events
    (record,) = _list(town).records
    assert (1, 0, 9, 2, "org-02", report.first, report.second, town.accounts["demo0"]) == (
        record.number,
        record.epoch,
        record.view,
        record.signer,
        record.organisation,
        record.first,
        record.second,
        record.reporter,
    )
    assert (town.height, town.header.time_ms, 0) == (record.height, record.time_ms, record.proposal)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((N, A), (N, A)),
        ((F, A), (F, A)),
        ((N, A), (F, A)),
        ((N, A), (F, B)),
        ((N, A), (Z, ZERO)),
        ((Z, ZERO), (Z, ZERO)),
        ((F, A), (F, LATER)),
        ((Z, ZERO), (F, LATER)),
        ((Z, Proposal(9, 8, 7, bytes(32))), (F, A)),
        ((Z, Proposal(9, 8, 7, bytes(32))), (Z, ZERO)),
    ],
)
def test_invalid_pairs(first: Cast, second: Cast) -> None:
    """What an honest validator may sign, or what is no vote at all, proves nothing."""
    town = _town()

    assert errors.NO_CONTRADICTION.name == town.send("org-00", _report(town, first, second))
    assert 0 == _list(town).count


def test_invalid_signers() -> None:
    """The two votes are of one signer, whose index the epoch has."""
    town = _town()
    one, two = _vote(town, (N, A), signer=1), _vote(town, (N, B), signer=2)
    strange = [Vote(row.kind, row.proposal, 4, row.signature) for row in (one, two)]

    assert errors.NO_CONTRADICTION.name == town.send("org-00", EvidenceReport(0, one, two))
    assert errors.UNKNOWN_SIGNER.name == town.send("org-00", EvidenceReport(0, *strange))


def test_invalid_signatures() -> None:
    """Both signatures are by that validator's key, over that epoch and this chain."""
    town = _town()
    good, other = _vote(town, (N, A)), _vote(town, (N, B))
    wrong = [
        _vote(town, (N, B), epoch=1),
        _vote(town, (N, B), chain=bytes(32)),
        Vote(N, B, 2, bytes(64)),
        Vote(N, B, 2, _vote(town, (N, B), signer=1).signature),
        Vote(N, B, 2, _vote(town, (F, B)).signature),
    ]

    for vote in wrong:
        assert errors.SIGNATURE.name == town.send("org-00", EvidenceReport(0, good, vote))
        assert errors.SIGNATURE.name == town.send("org-00", EvidenceReport(0, vote, good))
    assert "ok" == town.send("org-00", EvidenceReport(0, good, other))


def test_recorded_once() -> None:
    """A fault is (epoch, view, signer): whoever reports it again, with whichever votes, is refused by name."""
    town = _town()
    assert "ok" == town.send("org-00", _report(town, (N, A), (N, B)))

    for report in (_report(town, (N, A), (N, B)), _report(town, (N, B), (N, A)), _report(town, (F, A), (F, B))):
        assert errors.KNOWN.name == town.send("org-01", report)
    assert "ok" == town.send("org-01", _report(town, (N, A), (N, B), signer=1))
    assert 2 == _list(town).count


def test_judged_by_the_epoch() -> None:
    """The validators of the votes' epoch judge, also when they are long gone; a future epoch cannot be judged."""
    town = _town(5, blocks=5)
    assert "ok" == town.send("org-00", RegistryPause())
    old = _report(town, (N, A), (N, B), signer=0)
    town.turn()
    new = _report(town, (N, A), (N, B), signer=0, epoch=1)

    assert errors.UNKNOWN_EPOCH.name == town.send("demo0", _report(town, (N, A), (N, B), epoch=2))
    assert ["ok", "ok"] == [town.send("demo0", report) for report in (old, new)]
    assert ["org-00", "org-01"] == [row.organisation for row in _list(town).records]


def test_before_the_first_block() -> None:
    """Nobody knows an epoch's validators until its first block is executed."""
    town = Town(4)

    assert errors.UNKNOWN_EPOCH.name == town.send("org-00", _report(town, (N, A), (N, B)))
    assert "ok" == town.send("org-00", _report(town, (N, A), (N, B)))


# -- what it leads to ------------------------------------------------------------------------------------------------


def test_removal_is_proposed() -> None:
    """Where an organisation reports, a proposal to remove the validator is opened in its name; nothing is slashed."""
    town = _town()
    before = balance(town.overlay, town.accounts["org-02"], "uccc")
    assert "ok" == town.send("org-00", _report(town, (N, A), (N, B)))

    assert [
        ("registry", "proposed", 1, "org-00", "remove_validator", "org-02", False),
        ("registry", "approved", 1, "org-00", False),
        ("evidence", "recorded", 1, 0, 9, 2, "org-02", 1),
    ] == [event[:7] if event[1] == "proposed" else event for event in town.events]
    (proposal,) = town.ask("proposals")
    assert (RemoveValidator("org-02"), "org-00") == (proposal.change, proposal.proposer)
    assert 1 == _list(town).records[0].proposal
    assert before == balance(town.overlay, town.accounts["org-02"], "uccc")


def test_no_second_proposal() -> None:
    """None is opened where the same is proposed, the organisation has no room, or nothing is to be removed."""
    town = _town(7, blocks=7)

    def proposals(report: EvidenceReport, by: str) -> int:
        assert "ok" == town.send(by, report)
        return _list(town).records[-1].proposal

    assert "ok" == town.send("org-01", RegistryPropose(RemoveValidator("org-02"), False))
    assert 0 == proposals(_report(town, (N, A), (N, B)), "org-00")
    for name in ("org-03", "org-04", "org-05", "org-06"):
        assert "ok" == town.send("org-00", RegistryPropose(RemoveValidator(name), False))
    assert 0 == proposals(_report(town, (N, A), (N, B), signer=1), "org-00")
    assert "ok" == town.send("org-06", RegistryPause())
    assert 0 == proposals(_report(town, (N, A), (N, B), signer=6), "org-01")
    assert 0 == proposals(_report(town, (F, A), (Z, ZERO), signer=0), "demo0")


def test_one_voice_may_be_enough() -> None:
    """Where the reporter's approval is enough and the others keep their quorum, the validator is out at once."""
    town = Town(4, parameters={"registry": {"remove_validator": "at least 1/4 of validators within 60000 ms"}})
    town.spin(4)
    assert "ok" == town.send("org-00", _report(town, (N, A), (N, B)))

    assert ["proposed", "approved", "validator_removed", "executed", "recorded"] == [row[1] for row in town.events]
    town.turn()
    assert ["org-00", "org-01", "org-03"] == town.members


# -- questions -------------------------------------------------------------------------------------------------------


def _views(town: Town, count: int) -> Sequence[EvidenceReport]:
    proposals = [(Proposal(n, n - 1, n, b"a" * 32), Proposal(n, n - 1, n, b"b" * 32)) for n in range(1, count + 1)]
    return [_report(town, (N, one), (N, two)) for one, two in proposals]


def test_pages() -> None:
    """The list is read by number, at most 64 at a time, with no gaps."""
    town = _town()
    for report in _views(town, 5):
        assert "ok" == town.send("demo0", report)

    assert [1, 2, 3, 4, 5] == [row.number for row in _list(town).records]
    assert [3, 4] == [row.number for row in _list(town, after=2, limit=2).records]
    assert ((), 5) == (_list(town, after=5).records, _list(town, after=5).count)
    assert () == _list(town, after=2**62).records


@pytest.mark.parametrize("limit", [0, 65])
def test_invalid_page(limit: int) -> None:
    """A page has 1 to 64 entries."""
    with pytest.raises(Malformed):
        decode(ListParams, encode([0, limit]))


@pytest.mark.parametrize("vote", [[4, [9, 8, 7, bytes(32)], 2, bytes(64)], [1, [9, 8, 7, bytes(31)], 2, bytes(64)], []])
def test_invalid_form(vote: list[object]) -> None:
    """What is no vote does not decode."""
    good = [1, [9, 8, 7, bytes(32)], 2, bytes(64)]
    with pytest.raises(Malformed):
        decode(EvidenceReport, encode([0x0401, 0, good, vote]))


def test_weight() -> None:
    """A report weighs what its two signature checks and the proposal may cost."""
    town = _town()

    assert 136 == CITY.weight([_report(town, (N, A), (N, B))])
