"""Every decoder of foreign or stored bytes, fed with valid encodings that were damaged on purpose.

The fuzzer is guided by the answers: a damaged input that gets an answer nobody got before (another error text, digits
aside, or another kind of value) becomes something to damage further, so edits go where the decoder makes distinctions.
Whatever comes, a decoder answers with a value or with its named error; where the encoding is canonical, a value that
was read has exactly the bytes it was read from.

    python -m tests.simulation.fuzzing --edits 1000000 --seed 7 [NAME...]
"""

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cccnode.codec import encode
from cccnode.types.errors import Fault

CORPUS_MAX = 400
EXAMPLES = 12
INPUT_BYTES_MAX = 20_000
_DIGITS = re.compile(r"\d+")

MSGPACK = (
    b"\xc0", b"\xc1", b"\xc2", b"\x00", b"\x7f", b"\xff", b"\x80", b"\x90", b"\xa0", b"\xc4\x00", b"\xd9\x01\xff",
    b"\xcc\x01", b"\xcd\x00\x01", b"\xce\xff\xff\xff\xff", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xd3\xff\xff\xff\xff\xff\xff\xff\xff", b"\xdc\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xca\x7f\xc0\x00\x00", b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\xd6\xff\x00\x00\x00\x00", b"\x91" * 3_000, b"\x81\x00" * 2_000,
)  # fmt: skip
"""Pieces of MessagePack where decoders differ: numbers written too long, lengths beyond the end, depth, floats."""

TEXT = (
    b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b",", b":", b"null", b"true", b"-0", b"1e999", b"NaN",
    b"Infinity", b"0x", b"1" * 400, b"-1", b"\xff", b"\xed\xa0\x80", b"\x00", b"\n", b"#", b"=", b"'", b"[" * 3_000,
    b'{"a":' * 2_000, b'"a":1,"a":2', b" " * 50,
)  # fmt: skip
"""The same for JSON and TOML."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """One way in."""

    name: str
    read: Callable[[bytes], Any]
    samples: tuple[bytes, ...]
    errors: tuple[type[Exception], ...]
    """What it may answer instead of a value."""
    exact: bool = False
    """Whether a value that was read encodes to the very bytes it was read from."""
    tokens: tuple[bytes, ...] = MSGPACK
    cost: int = 1
    """How many edits of an ordinary decoder one of these costs; so many times fewer are tried."""


@dataclass(slots=True)
class Fuzzed:
    """What came of it."""

    edits: int = 0
    read: int = 0
    """Inputs that were a value after all."""
    answers: dict[str, bytes] = field(default_factory=dict)
    """Every kind of answer, with the first input that got it."""
    wrong: list[str] = field(default_factory=list)
    """Inputs that broke the promise, in hexadecimal, with what happened."""


def fuzz(decoder: Decoder, *, edits: int, seed: int) -> Fuzzed:
    """So many damaged inputs, the same for the same seed."""
    rng, found = random.Random(f"{decoder.name} {seed}"), Fuzzed()
    corpus = list(decoder.samples)
    for raw in corpus:
        _try(decoder, raw, found)
    assert found.read, f"{decoder.name}: no sample is valid: {list(found.answers)}"
    for _ in range(edits // decoder.cost):
        base = corpus[int(rng.random() * len(corpus))]
        raw = damaged(base, corpus, decoder.tokens, rng)
        if _try(decoder, raw, found) and len(corpus) < CORPUS_MAX:
            corpus.append(raw)
    found.edits = edits // decoder.cost
    return found


def _try(decoder: Decoder, raw: bytes, found: Fuzzed) -> bool:
    """Feed one input; whether its answer is new."""
    try:
        value = decoder.read(raw)
    except decoder.errors as error:
        answer = f"{type(error).__name__} {_DIGITS.sub('#', _words(error))[:120]}"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        found.wrong.append(f"{raw[:200].hex()}: {type(error).__name__}: {error}"[:600])
        answer = f"wrong {type(error).__name__}"
    else:
        found.read += 1
        answer = f"read {type(value).__name__}"
        if decoder.exact and encode(value) != raw:
            found.wrong.append(f"{raw[:200].hex()}: another encoding of {value!r}"[:600])
    if answer in found.answers:
        return False
    found.answers[answer] = raw
    return True


def _words(error: Exception) -> str:
    """What an error says, without the path of a file."""
    if isinstance(error, Fault):
        return f"{error.spec.name} {[value for name, value in error.values.items() if name != 'path']}"
    return str(error)


def damaged(raw: bytes, corpus: list[bytes], tokens: tuple[bytes, ...], rng: random.Random) -> bytes:
    """A copy with one edit to four."""
    data = bytearray(raw)
    while True:
        place = int(rng.random() * (len(data) + 1))
        what = int(rng.random() * 9)
        if what == 0 and place < len(data):
            data[place] ^= 1 << int(rng.random() * 8)
        elif what == 1 and place < len(data):
            data[place] = int(rng.random() * 256)
        elif what == 2:
            del data[place : place + 1 + int(rng.random() * 8)]
        elif what == 3:
            data[place:place] = tokens[int(rng.random() * len(tokens))]
        elif what == 4:
            token = tokens[int(rng.random() * len(tokens))]
            data[place : place + len(token)] = token
        elif what == 5:
            del data[place:]
        elif what == 6:
            data[place:place] = data[place : place + 1 + int(rng.random() * 40)]
        elif what == 7:
            other = corpus[int(rng.random() * len(corpus))]
            data[place:] = other[int(rng.random() * (len(other) + 1)) :]
        elif place < len(data):
            data[place] = (data[place] + (1 if rng.random() < 0.5 else 255)) & 255
        if rng.random() < 0.6 or len(data) > INPUT_BYTES_MAX:
            return bytes(data[:INPUT_BYTES_MAX])


def main() -> int:
    """Fuzz what the command line asks for, for as long as it asks."""
    from tests.simulation.decoders import decoders  # noqa: PLC0415 - it builds on this file

    parser = argparse.ArgumentParser(prog="python -m tests.simulation.fuzzing", description=__doc__)
    parser.add_argument("names", nargs="*", help="decoders; all if none is named")
    parser.add_argument("--edits", type=int, default=200_000, help="damaged inputs for each decoder")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other inputs")
    options = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for decoder in decoders(Path(folder)):
            if options.names and decoder.name not in options.names:
                continue
            found = fuzz(decoder, edits=options.edits, seed=options.seed)
            bad += len(found.wrong)
            print(
                f"{decoder.name:24}{found.edits:>10,} edits {found.read:>9,} read "
                f"{len(found.answers):>5} answers {len(found.wrong):>3} wrong",
                flush=True,
            )
            for wrong in found.wrong[:3]:
                print(f"  {wrong}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
