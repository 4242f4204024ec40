"""Policies as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.ledger.policies import AllOf, AnyOf, Apart, AtLeast, Chamber, Holder, Owner, Policy, Role
from cccnode.ledger.policy_text import parse_policy, policy_text
from cccnode.types.addresses import account_text
from cccnode.types.errors import POLICY_INVALID, Fault

ADDRESS = bytes(range(20))
_LEAVES = st.one_of(
    st.just(Owner()),
    st.builds(Holder, st.binary(min_size=20, max_size=20)),
    st.builds(Role, st.sampled_from(["council", "a-b-9"]), st.integers(1, 255), st.sampled_from(Apart)),
    st.builds(Chamber, st.integers(1, 4)),
)


def _tree(parts: st.SearchStrategy[Policy]) -> st.SearchStrategy[Policy]:
    rows = st.lists(parts, min_size=1, max_size=3, unique=True).map(tuple)
    counted = rows.flatmap(lambda row: st.builds(AtLeast, st.integers(1, len(row)), st.just(row)))
    return st.one_of(st.builds(AllOf, rows), st.builds(AnyOf, rows), counted)


_POLICIES = st.one_of(_LEAVES, _tree(_LEAVES), _tree(st.one_of(_LEAVES, _tree(_LEAVES))))


@given(_POLICIES)
def test_what_is_written_is_read(policy: Policy) -> None:
    """Every policy has a text, and the text has that policy."""
    assert policy == parse_policy(policy_text(policy))


def test_an_example() -> None:
    """Spaces do not matter; a role alone means one holder."""
    text = f"any( owner,all(role(council,2,pillar), account({account_text(ADDRESS)})) )"
    expected = AnyOf((Owner(), AllOf((Role("council", 2, Apart.PILLAR), Holder(ADDRESS)))))

    assert expected == parse_policy(text)
    assert Role("auditor", 1, Apart.NOTHING) == parse_policy("role(auditor)")
    assert AtLeast(2, (Chamber(1), Chamber(4), Owner())) == parse_policy(
        "at_least(2, chamber(government), chamber(citizens), owner)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nobody",
        "owner owner",
        "role",
        "role()",
        "role(a,)",
        "role(a, 0)",
        "role(a, 256)",
        "role(a, many)",
        "role(a, 2, city)",
        "role(role(a))",
        "chamber()",
        "chamber(king)",
        "account(ccc1qqq)",
        "all()",
        "all(owner",
        "all(owner owner)",
        "all owner",
        "all(owner, owner)",
        "at_least(owner)",
        "at_least(3, owner, role(a))",
        "at_least(0, owner)",
        "any(owner, %)",
        "all(" * 500 + "owner" + ")" * 500,
        "any(any(any(any(any(owner)))))",
        "any(" + ", ".join(f"role(a, {n})" for n in range(1, 40)) + ")",
    ],
)
def test_invalid_text(text: str) -> None:
    """What cannot be read, or could never hold, is refused with a reason."""
    with pytest.raises(Fault) as caught:
        parse_policy(text)
    assert caught.value.spec is POLICY_INVALID
