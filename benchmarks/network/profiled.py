"""A node that looks at itself every millisecond of processor time: what its loop did under load lands in a text file.

It is run as `python -m cccnode` is.  A look counts as much as the processor time of the loop's thread since the last
one; time in C counts for the line that called it, that of the loop itself mostly for what it calls next.  Other threads
are told of by their whole processor time.
"""

import os
import signal
import threading
import time
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

_HOUSES: Final = ("cccnode", "consensus", "storage", "p2p", "genesis")
_LOOP: Final = "the event loop: sockets, TLS, HTTP"

_own: Counter[str] = Counter()
_within: Counter[str] = Counter()
_rooms: Counter[str] = Counter()
_spent: dict[str, int] = {}
"""Processor time of each thread in nanoseconds: negative at the beginning, to which the end is added."""
_last = 0


def _begin(*_: object) -> None:
    for counts in (_own, _within, _rooms, _spent):
        counts.clear()
    _read_threads(-1)
    global _last  # noqa: PLW0603 - a signal handler has nowhere else
    _last = time.thread_time_ns()
    signal.setitimer(signal.ITIMER_PROF, _PERIOD_S, _PERIOD_S)


def _read_threads(sign: int) -> None:
    named = [
        (thread.name, time.pthread_getcpuclockid(thread.ident)) for thread in threading.enumerate() if thread.ident
    ]
    _spent.setdefault("all", 0)
    _spent["all"] += sign * time.process_time_ns()
    for name, clock in named:
        _spent[name] = _spent.get(name, 0) + sign * time.clock_gettime_ns(clock)


def _look(_: int, frame: FrameType | None) -> None:
    global _last
    now = time.thread_time_ns()
    weight, _last = now - _last, now
    if frame is not None:
        _own[f"{_name(frame)}:{frame.f_lineno}"] += weight
        _rooms[_room(frame)] += weight
    names = set()
    while frame is not None:
        names.add(_name(frame))
        frame = frame.f_back
    for name in names:
        _within[name] += weight


def _room(frame: FrameType | None) -> str:
    """Of our own rooms the one whose code was at work, or on whose behalf a library was."""
    while frame is not None:
        parts = Path(frame.f_code.co_filename).parts
        for at, part in enumerate(parts[:-1]):
            if part in _HOUSES and "site-packages" not in parts:
                inner = parts[at + 1] if part == "cccnode" else ""
                if not inner.startswith(("cli", "__main__")):
                    return f"{part}/{inner}".rstrip("/")
        frame = frame.f_back
    return _LOOP


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{'/'.join(Path(code.co_filename).parts[-3:])} {code.co_qualname}"


def _end(*_: object) -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    _read_threads(+1)
    total = max(1, _own.total())
    lines = ["seconds of processor time by thread; what `all` has more, threads of libraries had"]
    lines += [f"{spent / 1e9:8.2f}  {name}" for name, spent in sorted(_spent.items())]
    lines.append("")
    for title, counts in (
        ("a room, of the thread with the loop", _rooms),
        ("a line, and what it called in C", _own),
        ("a function, and all that it called", _within),
    ):
        lines.append(f"% of the time in {title}")
        lines += [f"{100 * count / total:6.2f}  {name}" for name, count in counts.most_common(_ROWS)]
        lines.append("")
    Path(os.environ["CCCNODE_BENCHMARK_PROFILE"]).write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    signal.signal(BEGIN, _begin)
    signal.signal(END, _end)
    signal.signal(signal.SIGPROF, _look)
    main()
