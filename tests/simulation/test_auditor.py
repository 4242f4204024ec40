"""The auditor sees what it is there for, and lets pass what is legal."""

from collections import Counter

import pytest

from cccnode.types.vote import Kind, Proposal, nullified
from tests.simulation.auditor import Auditor, Violation, quorum_of

ONE = Proposal(5, 4, 3, b"a" * 32)
OTHER = Proposal(5, 3, 3, b"b" * 32)
LATER = Proposal(6, 5, 4, b"c" * 32)

Said = tuple[Kind, Proposal]


def auditor(**options: object) -> Auditor:
    """Four validators, the last one a liar."""
    return Auditor(honest=lambda identity: identity != 3, members=lambda _: 4, **options)


@pytest.mark.parametrize(
    ("votes", "said"),
    [
        ([(Kind.NOTARIZE, ONE), (Kind.NOTARIZE, OTHER)], "two notarize votes"),
        ([(Kind.FINALIZE, ONE), (Kind.FINALIZE, OTHER)], "two finalize votes"),
        ([(Kind.NULLIFY, nullified(5)), (Kind.FINALIZE, ONE)], "nullify and finalize"),
        ([(Kind.FINALIZE, ONE), (Kind.NULLIFY, nullified(5))], "nullify and finalize"),
        ([(Kind.NULLIFY, nullified(5)), (Kind.NOTARIZE, ONE)], "after a later one"),
        ([(Kind.NOTARIZE, LATER), (Kind.NULLIFY, nullified(5))], "after a later one"),
    ],
)
def test_invalid_votes_of_the_honest_are_seen(votes: list[Said], said: str) -> None:
    """Two votes that contradict each other, or go back, whatever lies between; a liar may say so."""
    for identity in (0, 3):
        audit = auditor()
        for kind, proposal in votes[:-1]:
            audit.vote(0, identity, kind, proposal)
        if identity == 3:
            audit.vote(0, identity, *votes[-1])
        else:
            with pytest.raises(Violation, match=said):
                audit.vote(0, identity, *votes[-1])


def test_what_is_legal_passes() -> None:
    """A vote again, nullify after notarize, finalizing what another leader's block was, the next epoch from view 1."""
    audit = auditor()
    for kind, proposal in (
        (Kind.NOTARIZE, ONE),
        (Kind.FINALIZE, OTHER),
        (Kind.NOTARIZE, ONE),
        (Kind.NOTARIZE, LATER),
        (Kind.NULLIFY, nullified(6)),
    ):
        audit.vote(0, 0, kind, proposal)
    audit.vote(1, 0, Kind.NULLIFY, nullified(1))
    with pytest.raises(Violation):
        audit.vote(0, 0, Kind.NULLIFY, nullified(9))


def test_the_order_may_be_left_out() -> None:
    """Without the audit of the order only contradictions count."""
    audit = auditor(ordered=False)
    audit.vote(0, 0, Kind.NULLIFY, nullified(5))
    audit.vote(0, 0, Kind.NOTARIZE, ONE)


def test_a_fork_is_seen() -> None:
    """Two blocks of one height."""
    audit = auditor()
    audit.delivered(7, b"a" * 32, 0)
    audit.delivered(7, b"a" * 32, 1)
    with pytest.raises(Violation, match="fork at height 7"):
        audit.delivered(7, b"b" * 32, 2)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ((Kind.FINALIZE, ONE), (Kind.NULLIFY, nullified(5)), "finalized and nullified"),
        ((Kind.NOTARIZE, ONE), (Kind.NOTARIZE, OTHER), "two notarizations"),
        ((Kind.FINALIZE, ONE), (Kind.FINALIZE, OTHER), "two finalizations"),
    ],
)
def test_certificates_that_contradict_are_seen(first: Said, second: Said, said: str) -> None:
    """From all votes that exist, whoever held them together."""
    audit = Auditor(honest=lambda _: False, members=lambda _: 4)
    for identity in range(3):
        audit.vote(0, identity, *first)
        audit.vote(0, identity, *second)

    with pytest.raises(Violation, match=said):
        audit.certificates(Counter())


def test_coverage_is_counted() -> None:
    """Views with both certificates, blocks that were notarized and are not final, votes that were looked at."""
    audit, coverage = auditor(), Counter[str]()
    for identity in range(3):
        audit.vote(0, identity, Kind.NOTARIZE, ONE)
        audit.vote(0, identity, Kind.NULLIFY, nullified(5))
    audit.certificates(coverage)

    assert coverage["views_notarized_and_nullified"] == coverage["notarized_orphans"] == 1
    assert 6 == coverage["votes_audited"]
    assert [1, 2, 3, 3, 4, 5, 5, 7] == [quorum_of(members) for members in (1, 2, 3, 4, 5, 6, 7, 10)]
