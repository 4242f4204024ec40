"""How far a long command is: on a terminal, one line with rate and time left; nothing where nobody looks."""

import sys
import time
from collections.abc import Callable
from typing import Final

import click

from cccnode.cli.council import duration
from cccnode.cli.options import Options

EVERY_S: Final = 0.2
"""Between two updates of the line."""
_WIDE: Final = 78


def amount(size: float) -> str:
    """Bytes in their largest unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


class Meter:
    """One line on standard error."""

    def __init__(
        self, options: Options, total: int, *, shown: bool | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`total`: bytes to come, about; 0: nobody knows."""
        self._total, self._clock = total, clock
        self._shown = (sys.stderr.isatty() and not options.json) if shown is None else shown
        self._began = self._last = clock()
        self.done = 0

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._began

    def add(self, what: str, size: int) -> None:
        """So many bytes more are done."""
        self.done += size
        now = self._clock()
        if self._shown and now - self._last >= EVERY_S:
            self._last = now
            click.echo("\r" + self.line(what).ljust(_WIDE), err=True, nl=False)

    def line(self, what: str) -> str:
        """What is shown."""
        spent = max(self.seconds, 1e-3)
        rate = self.done / spent
        text = f"  {what}: {amount(self.done)}"
        if self._total > self.done:
            text += f" of {amount(self._total)}"
        text += f", {amount(rate)}/s"
        if self._total > self.done and rate > 0:
            text += f", {duration(int(1000 * (self._total - self.done) / rate))} left"
        return text

    def end(self) -> None:
        """Clear the line."""
        if self._shown:
            click.echo("\r" + " " * _WIDE + "\r", err=True, nl=False)
