"""How long a node keeps what it could do without: a policy for each kind of data.

Ages are counted in header time from the newest executed block, never by the clock of the machine: equal chains are
pruned equally, in a simulation too.
"""

import re
from dataclasses import dataclass, fields
from typing import Final, Self

from cccnode.types.errors import CONFIG_INVALID, fault

KEEP_PATTERN: Final = r"^(all|[1-9][0-9]{0,8}(d|h|m|s| blocks))$"
"""What `Keep.parse` reads."""
_MILLISECONDS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000}
_BLOCKS: Final = " blocks"


@dataclass(frozen=True, slots=True)
class Keep:
    """How much of one kind is kept: everything, so much time, or so many blocks."""

    milliseconds: int | None = None
    blocks: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`all`, or a number with `d`, `h`, `m`, `s` behind it, or with ` blocks`.

        Raises:
            Fault: config/INVALID.
        """
        if not re.fullmatch(KEEP_PATTERN, text):
            raise fault(CONFIG_INVALID, problems=[f"{text!r} must read all, 30d, 12h, 10m, 90s or 5000 blocks"])
        if text == "all":
            return cls()
        if text.endswith(_BLOCKS):
            return cls(blocks=int(text.removesuffix(_BLOCKS)))
        return cls(milliseconds=int(text[:-1]) * _MILLISECONDS[text[-1]])

    @property
    def everything(self) -> bool:
        """Whether nothing is ever dropped."""
        return self.milliseconds is None and self.blocks is None

    def drops(self, *, blocks: int, age_ms: int) -> bool:
        """Whether a block may go that has so many blocks above it and is so much older than the newest."""
        if self.blocks is not None:
            return blocks >= self.blocks
        return self.milliseconds is not None and age_ms >= self.milliseconds


ALL: Final = Keep()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What a node keeps, by kind."""

    blocks: Keep = ALL
    """Final blocks with their transactions."""
    receipts: Keep = ALL
    """What their transactions led to."""
    index: Keep = ALL
    """Where each transaction was decided."""
    history: Keep = ALL
    """Which transactions concern each account."""
    headers: Keep = ALL
    """Headers and results by height, beyond those that proofs from genesis on need."""

    @property
    def everything(self) -> bool:
        """Whether nothing is ever pruned."""
        return all(getattr(self, kind.name).everything for kind in fields(self))


KINDS: Final = tuple(kind.name for kind in fields(Retention))
