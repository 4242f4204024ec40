"""Judge fixed cases with one built extension: `python -m tests.crypto.check_build FILE SIZE [BACK_END...]`.

Exits with 1 and says how many verdicts differ from those of PyNaCl.  For builds with checked bounds, planted faults or
sanitizers, and for running under valgrind: nothing else of the node is loaded.
"""

import importlib.util
import random
import sys
from typing import Any

from tests.crypto import cases
from tests.crypto.cases import Case, columns

SHARED = 700
"""Signatures in one call that several threads do."""


def load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("_kernel", path)
    assert spec
    assert spec.loader
    kernel = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kernel)
    return kernel


def differences(kernel: Any, number: int, judged: list[Case]) -> int:
    """Over batches of many sizes, without tables and while tables are made and replaced; then shared out to threads."""
    expected = [case.verdict() for case in judged]
    known = tuple(case.key for case in judged if len(case.key) == 32)
    found = 0
    for budget in (0, 2 << 20):
        cache, first, rng = kernel.keys_new(budget, 1), 0, random.Random(1)
        kernel.keys_register(cache, known)
        while first < len(judged):
            part = slice(first, first + rng.choice((1, 2, 7, 8, 9, 40, 150)))
            given, _ = kernel.verify(cache, number, *columns(judged[part]))
            found += sum(a is not b for a, b in zip(given, expected[part], strict=True))
            whole = [case for case in judged[part] if len(case.signature) == 64 and len(case.key) == 32]
            found += packed_differences(kernel, cache, number, whole)
            first = part.stop
    cache, many = kernel.keys_new(2 << 20, 1, 3), -(-SHARED // len(judged))
    kernel.keys_register(cache, known[::2])
    for _ in range(3):
        given, _ = kernel.verify(cache, number, *columns(judged * many))
        found += sum(a is not b for a, b in zip(given, expected * many, strict=True))
    return found


def packed_differences(kernel: Any, cache: Any, number: int, judged: list[Case]) -> int:
    """The packed form, with the first bytes of the first message as prefix; its buffers end where the bytes end."""
    prefix = judged[0].message[:7] if judged else b""
    chosen = [case for case in judged if case.message.startswith(prefix)]
    rest = [case.message[len(prefix) :] for case in chosen]
    ends = b"".join(sum(map(len, rest[: at + 1])).to_bytes(8, "little") for at in range(len(rest)))
    _, signatures, keys = columns(chosen)
    given, _ = kernel.verify_packed(cache, number, b"".join(rest), ends, b"".join(signatures), b"".join(keys), prefix)
    return sum(bool(a) is not case.verdict() for a, case in zip(given, chosen, strict=True))


def main() -> int:
    path, size, *names = sys.argv[1:]
    kernel = load(path)
    judged = cases.fuzzed(11, int(size)) + cases.edge_cases(1)[:: max(1, 2_000 // int(size))]
    found = 0
    for number, (name, present) in enumerate(kernel.back_ends()):
        if name in (names or [name]):
            count = differences(kernel, number, judged) if present else None
            print(f"{name}: " + ("not shown, this processor lacks it" if count is None else f"{count} differences"))
            found += count or 0
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
