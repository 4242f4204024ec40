"""The answer of the doctor: one word, and causes with the validators they name, evidence, and what to do next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cccnode.types import errors
from cccnode.types.errors import ErrorSpec


class Verdict(StrEnum):
    """How the chain is, as far as the observers can tell."""

    HEALTHY = "healthy"
    """Blocks come."""
    IDLE = "idle"
    """Nothing to do, and nothing in the way."""
    DEGRADED = "degraded"
    """Blocks come, and something is wrong."""
    STALLED = "stalled"
    """No block can come, or none comes."""
    ISOLATED = "isolated"
    """The node that was asked reaches nobody; the chain may well go on without it."""
    NOT_RUNNING = "not_running"
    """No node that was asked runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A validator by name."""

    index: int
    organisation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One reason, and whom it concerns."""

    spec: ErrorSpec
    members: tuple[Member, ...] = ()
    """Nobody: this machine, or the whole network."""
    evidence: Mapping[str, object] = field(default_factory=dict)
    """What was seen: plain values, and lists of them by validator."""
    because: ErrorSpec | None = None
    """A more exact reason, whose text follows and whose remedy is the better one."""
    silences: bool = False
    """Whether the votes of those named are missing."""

    def text(self, lang: str = "en") -> str:
        """What is wrong."""
        told = [self.spec] if self.because is None else [self.spec, self.because]
        return " ".join(spec.th if lang == "th" else spec.en for spec in told)

    def remedy(self, lang: str = "en") -> str:
        """What to do next."""
        spec = self.because or self.spec
        return spec.remedy_th if lang == "th" else spec.remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is wrong: the most serious cause first, and no cause that another one explains."""

    verdict: Verdict
    causes: tuple[Cause, ...] = ()


_SERIOUSNESS: Final = (
    errors.NODE_UNREGISTERED,
    errors.NET_WRONG_CHAIN,
    errors.NET_VERSION,
    errors.NO_PEERS,
    errors.PARTITION,
    errors.OTHER_ROOT,
    errors.DISK_FULL,
    errors.DISK_READ_ONLY,
    errors.DISK_FAILED,
    errors.NET_DUPLICATE,
    errors.OFFLINE,
    errors.UNREACHABLE,
    errors.NOT_SIGNING,
    errors.WRONG_CLOCK,
    errors.OTHER_VERSION,
    errors.NO_QUORUM,
    errors.EPOCH_PENDING,
    errors.FALLEN_BEHIND,
    errors.SLOW,
    errors.LINK_DOWN,
    errors.NOT_ANSWERING,
    errors.DOUBLE_VOTE,
    errors.DISK_LOW,
    errors.INDEX_BEHIND,
    errors.NOT_RUNNING,
    errors.IDLE,
)
_RANK: Final = {spec.name: rank for rank, spec in enumerate(_SERIOUSNESS)}


def in_order(causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """The most serious first: what takes votes away before what does not, then by kind.

    A reason that this list does not know is what a machine said of itself, and stands before the others of its kind.
    """
    return tuple(
        sorted(
            causes,
            key=lambda cause: (
                not cause.silences,
                _RANK.get(cause.spec.name, -1),
                cause.spec.name,
                [member.index for member in cause.members],
            ),
        )
    )
