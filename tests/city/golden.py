"""One example of every message, in JSON and as bytes.

`python -m tests.city.golden` writes those of new messages into tests/vectors/messages.json and leaves the others alone;
to approve a changed format, take the message out of the file first.
"""

import json
import random
from pathlib import Path
from typing import Any

from cccnode.city import CITY
from cccnode.codec import decode, encode
from cccnode.rpc.values import writer
from tests.simulation.examples import example

FILE = Path(__file__).parents[1] / "vectors" / "messages.json"
_TRIES = 1_000


def golden() -> dict[str, Any]:
    """What the file holds: by name of the message, its JSON form and its bytes."""
    known: dict[str, Any] = json.loads(FILE.read_text())
    return known


def _made(name: str, kind: Any) -> dict[str, Any]:
    """An example that says as much as the type allows: the longest of a few."""
    rng = random.Random(name)
    drawn = (example(kind, rng) for _ in range(_TRIES))
    readable = [noun for noun in drawn if len(encode(noun)) < 600]
    noun = max(readable, key=lambda one: len(encode(one)))
    assert noun == decode(kind, encode(noun)), name
    return {"json": writer(kind)(noun), "bytes": encode(noun).hex()}


def main() -> None:
    """Write the file anew: what it has stays, what is no message any more goes."""
    known = golden() if FILE.exists() else {}
    rows = {row.kind.__name__: known.get(row.kind.__name__) or _made(row.kind.__name__, row.kind) for row in _sorted()}
    FILE.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def _sorted() -> list[Any]:
    return [CITY.messages[tag] for tag in sorted(CITY.messages)]


if __name__ == "__main__":
    main()
