"""What each kind of proposal needs (modules.md 3.3), as data."""

from typing import Final

from cccnode.city.gov.messages import Kind
from cccnode.city.gov.state import CITIZENS, Mode, Params, Rule
from cccnode.ledger.policies import AllOf, AtLeast, Chamber, Policy

_CHAMBERS: Final = tuple(Chamber(pillar) for pillar in range(1, CITIZENS + 1))
THREE: Final[Policy] = AllOf((AtLeast(3, _CHAMBERS), Chamber(CITIZENS)))
"""Three of four chambers, the citizens' among them."""
FOUR: Final[Policy] = AllOf(_CHAMBERS)
ORGANISATIONS_QUORUM: Final = 5_000
CITIZENS_QUORUM: Final = 3_000
_HALF: Final = 5_000
_TWO_THIRDS: Final = 6_666

_MEMBERS: Final = {Kind.TEXT: (1_000, _HALF, 0), Kind.ADMIT_MEMBER: (3_000, _HALF, 0)}
"""Quorum, threshold, and how many times the parameter `lock_ms` is waited, where persons vote together."""


def rule_of(kind: Kind, params: Params, *, spends: int = 0) -> Rule:
    """What a proposal of this kind needs; `spends`: the largest amount that it pays out."""
    match kind:
        case Kind.TEXT | Kind.ADMIT_MEMBER:
            quorum, threshold, locks = _MEMBERS[kind]
            return _together(Mode.MEMBER, quorum, threshold, locks * params.lock_ms)
        case Kind.REMOVE_MEMBER:
            return _together(Mode.MEMBER, 5_000, _TWO_THIRDS, params.lock_ms)
        case Kind.SPEND:
            chambers = THREE if spends > params.spend_big else None
            return _together(Mode.QUADRATIC, 3_000, _HALF, params.lock_ms, chambers)
        case Kind.UPGRADE | Kind.CHARTER:
            return _chambers(FOUR, _TWO_THIRDS, 2 * params.lock_ms)
        case _:
            return _chambers(THREE, _HALF, params.lock_ms)


def expedited() -> Rule:
    """What an expedited proposal needs, whatever its kind."""
    return _chambers(FOUR, _TWO_THIRDS, 0)


def _together(mode: Mode, quorum: int, threshold: int, lock_ms: int, chambers: Policy | None = None) -> Rule:
    return Rule(mode, quorum, ORGANISATIONS_QUORUM, CITIZENS_QUORUM, threshold, chambers, lock_ms)


def _chambers(chambers: Policy, threshold: int, lock_ms: int) -> Rule:
    return Rule(Mode.NOBODY, 0, ORGANISATIONS_QUORUM, CITIZENS_QUORUM, threshold, chambers, lock_ms)
