"""When a change passes: shares as data, their defaults, and how genesis writes them down.

A policy reads "at least 2/3 of validators within 86400000 ms", or "more than 1/2 of organisations within ...".
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cccnode.city.registry.messages import ChangeKind, Electorate, Policy
from cccnode.city.registry.state import Standing, organisation_names, read_consensus_key, read_organisation
from cccnode.codec import Noun
from cccnode.ledger.state import Reader
from cccnode.types.units import DAY_MS

_MAJORITY: Final = f"more than 1/2 of organisations within {7 * DAY_MS} ms"
_TWO_THIRDS: Final = f"at least 2/3 of validators within {7 * DAY_MS} ms"
_SOON: Final = f"at least 2/3 of validators within {DAY_MS} ms"
"""A candidate's receipt is judged when it is proposed; members who approve a day later see another network."""

_TEXT: Final = re.compile(
    r"(more than|at least) ([0-9]{1,4})/([0-9]{1,4}) of (organisations|validators) within ([0-9]+) ms"
)
PolicyText = Annotated[str, Meta(max_length=96, pattern=rf"^{_TEXT.pattern}\Z")]


class Params(Noun, frozen=True, array_like=True, gc=False):
    """What genesis may set: the policy of every kind of change."""

    admit_organisation: PolicyText = _MAJORITY
    """When a partner is taken in.  The organisations change it by a proposal of their own, as the ones below."""
    remove_organisation: PolicyText = _MAJORITY
    """When a partner is put out."""
    add_validator: PolicyText = _SOON
    """When an organisation may validate."""
    remove_validator: PolicyText = _TWO_THIRDS
    """When an organisation validates no more."""
    set_timers: PolicyText = _MAJORITY
    """When the times of the next epoch change."""
    set_limits: PolicyText = _MAJORITY
    """When the bounds of the next epoch change."""
    set_policy: PolicyText = _TWO_THIRDS
    """When one of these lines changes."""


def policies_of(params: Params) -> Mapping[ChangeKind, Policy]:
    """The policies that the parameters write down.

    Raises:
        ValueError: one of them cannot be; the text names it and says why.
    """
    return {kind: _read(kind.name.lower(), getattr(params, kind.name.lower())) for kind in ChangeKind}


def _read(name: str, text: str) -> Policy:
    found = _TEXT.fullmatch(text)
    assert found is not None, "the parameter's pattern was checked"
    how, numerator, denominator, of, lifetime_ms = found.groups()
    fields = (int(numerator), int(denominator), how == "more than", Electorate[of.upper()], int(lifetime_ms))
    try:
        policy = msgspec.convert(fields, Policy)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name}: {error}") from None
    if not attainable(policy):
        raise ValueError(f"{name}: nobody could reach that share")
    return policy


def attainable(policy: Policy) -> bool:
    """Whether all together could pass the change."""
    return policy.numerator < policy.denominator or (policy.numerator == policy.denominator and not policy.more)


def passes(policy: Policy, approving: int, electors: int) -> bool:
    """Whether that many of the electors are enough."""
    has, needs = approving * policy.denominator, electors * policy.numerator
    return approving > 0 and (has > needs or (has == needs and not policy.more))


def needed(policy: Policy, electors: int) -> int:
    """How many approvals are enough."""
    exact = max(1, -(-electors * policy.numerator // policy.denominator))
    return exact if passes(policy, exact, electors) else exact + 1


def electors(state: Reader, of: Electorate) -> tuple[str, ...]:
    """Whose approvals count now, by number of the organisation."""
    active = active_organisations(state)
    if of is Electorate.ORGANISATIONS:
        return tuple(active)
    return tuple(name for name in active if read_consensus_key(state, name) is not None)


def active_organisations(state: Reader) -> Iterable[str]:
    """Every organisation that takes part, by number."""
    for name in organisation_names(state):
        record = read_organisation(state, name)
        if record is not None and record.standing is Standing.ACTIVE:
            yield name
