"""A node that looks at itself every millisecond of processor time: what its loop did under load lands in a text file.

It is run as `python -m cccnode` is.  Time in C counts for the line that called it, time of other threads for whatever
the loop was at.
"""

import os
import signal
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

from cccnode.cli.main import main

BEGIN: Final = signal.SIGUSR1
"""A new profile begins."""
END: Final = signal.SIGUSR2
"""It ends and is written to the file named by CCCNODE_BENCHMARK_PROFILE."""
_PERIOD_S: Final = 0.001
_ROWS: Final = 70

_own: Counter[str] = Counter()
_within: Counter[str] = Counter()


def _begin(*_: object) -> None:
    _own.clear()
    _within.clear()
    signal.setitimer(signal.ITIMER_PROF, _PERIOD_S, _PERIOD_S)


def _look(_: int, frame: FrameType | None) -> None:
    if frame is not None:
        _own[f"{_name(frame)}:{frame.f_lineno}"] += 1
    names = set()
    while frame is not None:
        names.add(_name(frame))
        frame = frame.f_back
    _within.update(names)


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{'/'.join(Path(code.co_filename).parts[-3:])} {code.co_qualname}"


def _end(*_: object) -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    total = max(1, _own.total())
    lines = [f"{total} looks", ""]
    for title, counts in (("a line, and what it called in C", _own), ("a function, and all that it called", _within)):
        lines.append(f"% of the time in {title}")
        lines += [f"{100 * count / total:6.2f}  {name}" for name, count in counts.most_common(_ROWS)]
        lines.append("")
    Path(os.environ["CCCNODE_BENCHMARK_PROFILE"]).write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    signal.signal(BEGIN, _begin)
    signal.signal(END, _end)
    signal.signal(signal.SIGPROF, _look)
    main()
