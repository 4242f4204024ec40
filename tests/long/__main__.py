"""Run what is missing of the full counts, remember each step, write one result file per name: `make long`."""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.long.plan import Step, last_object, merged, steps
from tests.tidy.source import ROOT, files

RESULTS = ROOT / "benchmarks" / "results"
PROGRESS = RESULTS / "long.partial.json"

_NOTHING_COLLECTED = 5
"""pytest's exit code where no test carries the mark."""


def main() -> int:
    """Run the chosen steps that are not done yet; 0 when all are done and passed."""
    options = _options()
    chosen = [step for step in steps() if options.only in ("", step.name)]
    if options.list or not chosen:
        print("\n".join(f"{step.key}: python {' '.join(step.arguments)}" for step in chosen or steps()))
        return 0 if chosen else 2
    RESULTS.mkdir(parents=True, exist_ok=True)
    tree = _tree()
    done: dict[str, Any] = {} if options.restart else _progress(tree)
    for number, step in enumerate(chosen, start=1):
        if step.key in done:
            continue
        print(f"[{number}/{len(chosen)}] {step.key}", flush=True)
        result = _run(step)
        if result is None:
            print(f"{step.key} failed; `make long` tries it again and goes on from there", file=sys.stderr)
            return 1
        done[step.key] = result
        _replace(PROGRESS, {"tree": tree, "done": done})
        _write_result(step.name, tree, done)
    print(f"{len(chosen)} steps done; results in {RESULTS.relative_to(ROOT)}/")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.long", description=__doc__)
    parser.add_argument("--list", action="store_true", help="show the steps and stop")
    parser.add_argument("--only", default="", metavar="NAME", help="run the steps of one name")
    parser.add_argument("--restart", action="store_true", help="forget what is done")
    return parser.parse_args()


def _run(step: Step) -> dict[str, Any] | None:
    """The step's summary with its duration, or None when it failed; its output is shown as it comes."""
    started = time.monotonic()
    command = [sys.executable, *step.arguments]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode and not (process.returncode == _NOTHING_COLLECTED and not step.summary):
        return None
    summary = last_object("".join(lines)) if step.summary else {"summary": lines[-1].strip(" =\n") if lines else ""}
    return {"seconds": round(time.monotonic() - started), **summary}


def _write_result(name: str, tree: str, done: dict[str, Any]) -> None:
    """Write the result of `name` once all its steps are done."""
    mine = [step for step in steps() if step.name == name]
    if any(step.key not in done for step in mine):
        return
    frame = {
        "schema": 1,
        "name": name,
        "commit": _git("rev-parse", "HEAD"),
        "tree": tree,
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "command": f"python {' '.join(mine[0].arguments)}" + (f" (and {len(mine) - 1} more)" if len(mine) > 1 else ""),
        "repetitions": 1,
    }
    _replace(RESULTS / f"{name}.json", frame | merged([done[step.key] for step in mine]))


def _progress(tree: str) -> dict[str, Any]:
    """What is done for this very tree."""
    try:
        remembered = json.loads(PROGRESS.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(remembered["done"]) if remembered.get("tree") == tree else {}


def _tree() -> str:
    """A name for the content of every source file: figures of another tree do not count."""
    digest = hashlib.sha256()
    for path in files(".py"):
        digest.update(path.as_posix().encode() + b"\0" + (ROOT / path).read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _git(*arguments: str) -> str:
    """One line from git, or "unknown" outside a clone."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _replace(path: Path, value: dict[str, Any]) -> None:
    """Write JSON so that a stop in the middle leaves the old file."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    fresh.replace(path)


if __name__ == "__main__":
    sys.exit(main())
