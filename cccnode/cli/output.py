"""What a command says and where: results on standard output, messages on standard error, errors with cause and remedy.

With `--output json` standard output holds exactly one JSON value (or nothing).  Exit codes: 0 done, 1 failed, 2 wrong
usage, 75 try again later, 78 configuration (a supervisor must not restart on it).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
import msgspec

from cccnode.types import errors
from cccnode.types.errors import ErrorSpec, Fault

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
TEMPORARY: Final = 75
CONFIGURATION: Final = 78

_LINES_MAX: Final = 16
_LINE_MAX: Final = 300

_CONFIGURATION_AREAS: Final = ("config", "genesis", "keys", "card")
_CONFIGURATION_NAMES: Final = frozenset(
    spec.name
    for spec in (
        errors.HOME_OTHER_CHAIN,
        errors.HOME_FORMAT,
        errors.HOME_EXISTS,
        errors.HOME_EMPTY,
        errors.DISK_READ_ONLY,
        errors.LISTEN_FAILED,
        errors.ENGINE_MISSING,
        errors.STATE_CORRUPT,
        errors.BLOCKS_CORRUPT,
        errors.JOURNAL_CORRUPT,
        errors.DATA_DAMAGED,
        errors.DIVERGED,
        errors.OUTDATED,
        errors.SAFETY_ALARM,
        errors.SIGNER_CHAIN,
        errors.SIGNER_DAMAGED,
        errors.SIGNER_IDENTITY,
    )
)
_TEMPORARY_NAMES: Final = frozenset(
    spec.name for spec in (errors.HOME_LOCKED, errors.PORT_IN_USE, errors.DISK_FULL, errors.TESTNET_NOT_READY)
)


class Trouble(click.ClickException):
    """An expected error on its way to the screen; holds everything that is shown."""

    def __init__(
        self,
        *,
        name: str,
        text: str,
        remedy: str,
        text_th: str = "",
        remedy_th: str = "",
        details: Mapping[str, object] | None = None,
        retryable: bool = False,
        printed: bool = False,
    ) -> None:
        """An error by name, with its remedy in both languages."""
        super().__init__(text)
        self.name = name
        self.text = text
        self.remedy = remedy
        self.text_th = text_th
        self.remedy_th = remedy_th
        self.details = details or {}
        self.printed = printed
        """Whether standard output holds its one JSON value already."""
        self.code = exit_code(name, retryable=retryable)

    def lines(self, lang: str) -> list[str]:
        """The error on a screen: cause, values, remedy."""
        thai = lang == "th"
        text = self.text_th if thai and self.text_th else self.text
        remedy = self.remedy_th if thai and self.remedy_th else self.remedy
        shown = [f"{self.name}: {text}"]
        for key, value in self.details.items():
            items = value if isinstance(value, (list, tuple)) else [f"{key}: {_plain(value)}"]
            shown += [f"  - {_plain(item)}"[:_LINE_MAX] for item in items]
        if len(shown) > _LINES_MAX:
            shown = [*shown[:_LINES_MAX], f"  ... and {len(shown) - _LINES_MAX} more"]
        label = "วิธีแก้" if thai else "remedy"
        return [*shown, f"  {label}: {remedy}"] if remedy else shown

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "error": {
                "name": self.name,
                "text": self.text,
                "remedy": self.remedy,
                "text_th": self.text_th,
                "remedy_th": self.remedy_th,
                "details": {key: _jsonable(value) for key, value in self.details.items()},
            }
        }


def trouble(spec: ErrorSpec, *, printed: bool = False, **values: object) -> Trouble:
    """An error of the table with its values."""
    return from_fault(Fault(spec, values), printed=printed)


def from_fault(error: Fault, *, printed: bool = False) -> Trouble:
    """A named error, ready for the screen."""
    spec = error.spec
    return Trouble(
        name=spec.name,
        text=spec.en,
        remedy=spec.remedy,
        text_th=spec.th,
        remedy_th=spec.remedy_th,
        details=error.values,
        retryable=spec.retryable,
        printed=printed,
    )


def exit_code(name: str, *, retryable: bool) -> int:
    """The exit code that belongs to a named error."""
    if name.partition("/")[0] in _CONFIGURATION_AREAS or name in _CONFIGURATION_NAMES:
        return CONFIGURATION
    return TEMPORARY if retryable or name in _TEMPORARY_NAMES else FAILED


def emit_json(value: object) -> None:
    """One JSON value on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def say(text: str) -> None:
    """A message for the person, on standard error."""
    click.echo(text, err=True)


def table(rows: Sequence[Sequence[object]], *, indent: str = "  ") -> list[str]:
    """Rows as aligned lines; columns are as wide as their widest cell."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells if i < len(row)) for i in range(max(map(len, cells), default=0))]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))).rstrip()
        for row in cells
    ]


def _plain(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def _jsonable(value: object) -> Any:
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    return value if isinstance(value, (bool, str)) or value is None else _plain(value)
