"""Policies against a second reading of what they mean, their limits, and the reasons that they give."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.codec import decode, encode
from cccnode.ledger.policies import (
    DEPTH_MAX,
    AllOf,
    AnyOf,
    Apart,
    AtLeast,
    Chamber,
    Holder,
    Owner,
    Policy,
    Role,
    check,
    judge,
    reasons,
)
from cccnode.types.errors import POLICY_INVALID, Fault

ACCOUNTS = [bytes([number]) * 20 for number in range(6)]
ROLES = {0: ("council",), 1: ("council", "auditor"), 2: ("council",), 3: (), 4: ("auditor",), 5: ()}
ORGANISATIONS = ("depa", "depa", "rangsit", "", "rangsit", "")
PILLARS = (1, 1, 3, 4, 3, 0)


@dataclass
class Town:
    """Six accounts, some of whom approve."""

    approving: list[bytes] = field(default_factory=list)
    owner: bytes | None = ACCOUNTS[3]
    chambers: frozenset[int] = frozenset()

    def has_role(self, account: bytes, name: str) -> bool:
        return name in ROLES[account[0]]

    def organisation(self, account: bytes) -> str:
        return ORGANISATIONS[account[0]]

    def pillar(self, account: bytes) -> int:
        return PILLARS[account[0]]

    def carried(self, pillar: int) -> bool:
        return pillar in self.chambers


LEAVES: st.SearchStrategy[Policy] = st.one_of(
    st.just(Owner()),
    st.builds(Holder, st.sampled_from(ACCOUNTS)),
    st.builds(Role, st.sampled_from(["council", "auditor", "nobody"]), st.integers(1, 3), st.sampled_from(Apart)),
    st.builds(Chamber, st.integers(1, 4)),
)


def _inner(parts: st.SearchStrategy[Policy]) -> st.SearchStrategy[Policy]:
    several = st.lists(parts, min_size=1, max_size=4).map(tuple)
    return st.one_of(
        st.builds(AllOf, several), st.builds(AnyOf, several), st.builds(AtLeast, st.integers(1, 4), several)
    )


POLICIES = st.recursive(LEAVES, _inner, max_leaves=12)


def _meant(policy: Policy, town: Town) -> bool:
    """The same, said in another way."""
    match policy:
        case Owner():
            return town.owner in town.approving
        case Holder():
            return policy.account in town.approving
        case Chamber():
            return policy.pillar in town.chambers
        case Role(name=name, number=number, apart=apart):
            table: list[Callable[[int], object]] = [lambda n: n, ORGANISATIONS.__getitem__, PILLARS.__getitem__]
            kinds = {table[apart](account[0]) for account in town.approving if name in ROLES[account[0]]}
            return len([kind for kind in kinds if kind or apart is Apart.NOTHING]) >= number
        case AllOf():
            return all(_meant(part, town) for part in policy.parts)
        case AnyOf():
            return any(_meant(part, town) for part in policy.parts)
        case AtLeast():
            return [_meant(part, town) for part in policy.parts].count(True) >= policy.number


@given(POLICIES, st.sets(st.sampled_from(ACCOUNTS)), st.frozensets(st.integers(1, 4)))
def test_means_what_it_says(policy: Policy, approving: set[bytes], chambers: frozenset[int]) -> None:
    """The evaluator agrees with the second reading; it gives reasons exactly when it says no; its bytes come back."""
    town = Town(sorted(approving), chambers=chambers)
    verdict = judge(policy, town)

    assert _meant(policy, town) == verdict.holds
    for language in ("en", "th"):
        assert verdict.holds == ([*reasons(verdict, language)] == [])
    assert policy == decode(Policy, encode(policy))  # type: ignore[arg-type]
    assert verdict == decode(type(verdict), encode(verdict))


@given(POLICIES, st.sets(st.sampled_from(ACCOUNTS)), st.sampled_from(ACCOUNTS))
def test_one_more_approval_never_hurts(policy: Policy, approving: set[bytes], other: bytes) -> None:
    """What holds goes on to hold when somebody else approves too."""
    before = judge(policy, Town(sorted(approving))).holds

    assert before <= judge(policy, Town(sorted(approving | {other}))).holds


def test_reasons_name_what_is_missing() -> None:
    """Each missing part has a line, indented under the part that it belongs to."""
    policy = AllOf((Owner(), AnyOf((Role("council", 2, Apart.PILLAR), Chamber(4)))))
    verdict = judge(policy, Town([ACCOUNTS[0], ACCOUNTS[1], ACCOUNTS[3]]))

    assert [
        "all 2 of these must hold; 1 do",
        "  one of these must hold; none does",
        "    2 holders of the role council must approve; 1 that count did",
        "    the chamber of citizens has not carried it",
    ] == [*reasons(verdict)]


def _deep(levels: int) -> Policy:
    policy: Policy = Owner()
    for _ in range(levels):
        policy = AllOf((policy,))
    return policy


@pytest.mark.parametrize(
    "policy",
    [
        _deep(DEPTH_MAX + 1),
        AnyOf(tuple(AllOf(tuple(Holder(bytes([a, b]) * 10) for b in range(11))) for a in range(3))),
        AtLeast(2, (Owner(),)),
        AtLeast(2, (Owner(), Owner())),
    ],
)
def test_invalid_policies(policy: Policy) -> None:
    """Too deep, too many leaves, more parts than there are, one part twice."""
    with pytest.raises(Fault) as refused:
        check(policy)
    assert refused.value.spec is POLICY_INVALID


def test_limits_are_allowed() -> None:
    """What is exactly as large as allowed passes."""
    check(_deep(DEPTH_MAX))
    check(AnyOf(tuple(AllOf(tuple(Holder(bytes([a, b]) * 10) for b in range(16))) for a in range(2))))
