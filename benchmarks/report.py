"""What every benchmark reports beside its figures: where and how they were measured; tables and JSON."""

import argparse
import json
import os
import platform
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

SCHEMA: Final = 1
"""Raised when a key changes its meaning."""
_LIBRARIES: Final = ("aiohttp", "cryptography", "msgspec", "plyvel", "plyvel-ci", "pynacl", "uvloop")
_ROOT: Final = Path(__file__).parent.parent

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One row of the table of benchmarks."""

    name: str
    en: str
    """One sentence for `--help`."""
    example: str
    repetitions: int
    arguments: Callable[[argparse.ArgumentParser], None]
    """Adds its options."""
    run: Callable[[argparse.Namespace], Figures]
    """Measures, prints its table on the way and returns its figures."""


def emit(benchmark: Benchmark, figures: Figures, *, command: Sequence[str], repetitions: int, as_json: bool) -> None:
    """Print where this was measured and, if asked, everything as one line of JSON."""
    where = machine()
    common = {
        "schema": SCHEMA,
        "name": benchmark.name,
        "commit": commit(),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": where,
        "command": shlex.join(["python", "-m", "benchmarks", *command]),
        "repetitions": repetitions,
    }
    facts = (where["cpu"], f"{where['cores']} cores", f"{where['memory_gb']} GB", where["python"], common["commit"])
    print("\n" + ", ".join(str(fact) for fact in facts))
    if as_json:
        print(json.dumps({**common, **figures}), flush=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: the first column left, the others right; floats with a sensible number of digits."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in [list(columns), *texts]) for at in range(len(columns))]
    print(f"\n{title}")
    for row in [list(columns), *texts]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells).rstrip(), flush=True)


def _text(cell: object) -> str:
    if not isinstance(cell, float):
        return "-" if cell is None else str(cell)
    return f"{cell:,.0f}" if abs(cell) >= 1_000 else f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"


def machine() -> dict[str, Any]:
    """Processor, memory, kernel, interpreter and the libraries that matter."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages * page / 2**30, 1),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": _versions(),
    }


def commit() -> str:
    """The short commit of this tree, with `-dirty` when files differ from it; `unknown` outside a repository."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        return f"{head}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _versions() -> Mapping[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
