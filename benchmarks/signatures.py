"""What one signature check costs: every back end of the rule beside PyNaCl and cryptography, in one run.

By batch, by number of signers whose keys have tables, for keys never seen before, by share of bad signatures, with more
signers than the default budget has tables for, and by threads of one call.
"""

import argparse
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl.bindings import crypto_sign_open

from benchmarks.measure import Case, Spread, interleaved
from benchmarks.report import Benchmark, Figures, table
from cccnode.crypto.backend import PYNACL, Backend, load
from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import TABLE_BYTES, Verifier

_SEED: Final = 7
_RAW: Final = "PyNaCl, raw binding"
_WARMING: Final = 32
"""Signatures in one call while tables are made: so many a call builds."""


class _Samples:
    """Signed messages, columns side by side as `verify_many` takes them; `signers` keys take turns."""

    def __init__(self, count: int, *, signers: int, size: int, bad_share: float = 0.0) -> None:
        rng = random.Random(_SEED)
        owners = [SigningKey(rng.randbytes(32)) for _ in range(min(count, signers))]
        self.messages = [rng.randbytes(size) for _ in range(count)]
        keys = [owners[at % len(owners)] for at in range(count)]
        self.keys = [key.public_key for key in keys]
        self.signatures = [key.sign(message) for key, message in zip(keys, self.messages, strict=True)]
        for at in rng.sample(range(count), round(bad_share * count)):
            self.messages[at] = rng.randbytes(size)
        self.bad = round(bad_share * count)

    def shuffled(self) -> "_Samples":
        """The same in another order."""
        other, order = copy(self), list(range(len(self.messages)))
        random.Random(_SEED).shuffle(order)
        other.messages, other.keys, other.signatures = (
            [column[at] for at in order] for column in (self.messages, self.keys, self.signatures)
        )
        return other


def _rule(verifier: Verifier, samples: _Samples, batch: int) -> Case:
    """The protocol's rule, `batch` signatures a call."""

    def run() -> int:
        bad = 0
        for first in range(0, len(samples.messages), batch):
            part = slice(first, first + batch)
            verdicts = verifier.verify_many(samples.messages[part], samples.signatures[part], samples.keys[part])
            bad += verdicts.count(False)
        assert bad == samples.bad, "the rule misjudged a signature"
        return len(samples.messages)

    return run


def _raw_pynacl(samples: _Samples) -> Case:
    def run() -> int:
        for message, signature, key in zip(samples.messages, samples.signatures, samples.keys, strict=True):
            crypto_sign_open(signature + message, key)
        return len(samples.messages)

    return run


def _cryptography(samples: _Samples, *, parsed: bool) -> Case:
    known = [Ed25519PublicKey.from_public_bytes(key) for key in samples.keys]

    def run() -> int:
        keys: Sequence[Ed25519PublicKey] = (
            known if parsed else [Ed25519PublicKey.from_public_bytes(key) for key in samples.keys]
        )
        for message, signature, key in zip(samples.messages, samples.signatures, keys, strict=True):
            try:
                key.verify(signature, message)
            except InvalidSignature as error:
                raise AssertionError("a good signature was refused") from error
        return len(samples.messages)

    return run


def _back_ends() -> dict[str, Backend]:
    """Every one that this processor has, the fastest first."""
    kernel = load().kernel
    names = [name for name, present in kernel.back_ends() if present] if kernel else []
    return {name: Backend(kernel, wanted=name) for name in (*names, PYNACL)}


def _with_tables(using: Backend, samples: _Samples, table_bytes: int) -> Verifier:
    """A verifier in which all signers of `samples` have their tables."""
    verifier = Verifier(using=using, table_bytes=table_bytes)
    verifier.register(samples.keys)
    for first in range(0, len(set(samples.keys)) + _WARMING, _WARMING):
        part = slice(first, first + _WARMING)
        verifier.verify_many(samples.messages[part], samples.signatures[part], samples.keys[part])
    return verifier


def _native(options: argparse.Namespace, columns: Mapping[int, _Samples]) -> Iterator[tuple[str, Case]]:
    """Every native back end over every batch: keys with tables, and keys never seen before."""
    most = max(columns)
    for name, using in _back_ends().items():
        if name == PYNACL:
            continue
        for signers, samples in columns.items():
            verifier = _with_tables(using, samples, max(TABLE_BYTES, signers << 14))  # a table has 15 KB
            for batch in options.batches:
                yield f"{name}/registered={signers}/batch={batch}", _rule(verifier, samples, batch)
        stranger = Verifier(using=using, table_bytes=0)
        for batch in options.batches:
            yield f"{name}/unknown/batch={batch}", _rule(stranger, columns[most], batch)


def _crowd(using: Backend, options: argparse.Namespace) -> Iterator[tuple[str, Case]]:
    """More signers than the default budget has tables for, in turn and at random."""
    batch = 256
    for signers in options.crowds:
        samples = _Samples(signers, signers=signers, size=options.bytes)
        verifier = _with_tables(using, samples, TABLE_BYTES)
        name = f"{signers} registered signers under {TABLE_BYTES >> 20} MiB, {batch} a call"
        yield f"{name}, in turn", _rule(verifier, samples, batch)
        yield f"{name}, at random", _rule(verifier, samples.shuffled(), batch)


def _threads(samples: _Samples, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Microseconds a signature, wall and processor time, of one call by one thread and by two."""
    cases = {}
    for count in (1, 2):
        using = Backend(load().kernel, threads=str(count))
        cases[f"{count} with tables"] = _rule(_with_tables(using, samples, TABLE_BYTES), samples, len(samples.messages))
        cases[f"{count} without tables"] = _rule(Verifier(using=using, table_bytes=0), samples, len(samples.messages))
    cpu, wall = (
        interleaved(cases, options.repetitions),
        interleaved(cases, options.repetitions, clock=time.monotonic_ns),
    )
    table(
        f"one call with {len(samples.messages)} signatures by threads",
        ("threads", "µs wall, min..median", "µs processor, min..median"),
        [(name, str(wall[name]), str(cpu[name])) for name in cases],
    )
    return {name: {"wall": round(wall[name].least, 3), "cpu": round(cpu[name].least, 3)} for name in cases}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=4_096, help="signatures in one repetition; default: %(default)s")
    parser.add_argument("--bytes", type=int, default=110, help="of a message; default: %(default)s")
    parser.add_argument("--signers", type=int, nargs="+", default=[100, 4_096], help="keys that take turns")
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[1, 8, 64, 256, 1_024, 4_096], help="signatures in one call"
    )
    parser.add_argument("--crowds", type=int, nargs="*", default=[4_096, 10_000], help="signers under the usual budget")
    parser.add_argument("--bad", type=float, nargs="+", default=[0.01, 0.1, 0.5, 1.0], help="shares of bad signatures")


def _run(options: argparse.Namespace) -> Figures:
    columns = {signers: _Samples(options.count, signers=signers, size=options.bytes) for signers in options.signers}
    few = columns[min(columns)]
    batch = max(options.batches)
    name, using = next(iter(_back_ends().items()))
    cases = {_RAW: _raw_pynacl(few)}
    cases |= dict(_native(options, columns))
    for share in options.bad:
        bad = _Samples(options.count, signers=min(columns), size=options.bytes, bad_share=share)
        cases[f"{name}, {share:.0%} bad, {batch} a call"] = _rule(_with_tables(using, bad, TABLE_BYTES), bad, batch)
    cases |= dict(_crowd(using, options)) if name != PYNACL else {}
    cases["cryptography, keys parsed before"] = _cryptography(few, parsed=True)
    cases["cryptography, with key parsing"] = _cryptography(few, parsed=False)
    spreads = interleaved(cases, options.repetitions)
    ratios = {case: round(spreads[_RAW].least / spread.least, 2) for case, spread in spreads.items()}
    table(
        f"one signature over {options.bytes} bytes, processor time",
        ("verifier", "µs, min..median", "per second and core", "times PyNaCl"),
        [(case, str(spread), spread.per_second, ratios[case]) for case, spread in spreads.items()],
    )
    threads = _threads(few, options) if name != PYNACL else {}
    rule = spreads.get(f"{name}/registered={min(columns)}/batch={batch}", spreads[_RAW])
    return {
        "signatures": options.count,
        "message_bytes": options.bytes,
        "back_end": name,
        "cpu_us_per_signature": {case: spread.json() for case, spread in spreads.items()},
        "ratio_to_pynacl": {case: ratio for case, ratio in ratios.items() if "/batch=" in case},
        "call_of_64_in_pynacl_verifies": _call_of_64(spreads),
        "us_per_signature_by_threads": threads,
        "cpu_us_per_tx": {"verify": rule.json()},
        "signatures_per_s_per_core": round(rule.per_second),
        "rule_over_raw": round(rule.middle / spreads[_RAW].middle, 4),
    }


def _call_of_64(spreads: Mapping[str, Spread]) -> dict[str, float]:
    """What one call with 64 signatures costs, as a number of single PyNaCl verifications."""
    return {
        case: round(64 * spread.least / spreads[_RAW].least, 2)
        for case, spread in spreads.items()
        if case.endswith("/batch=64")
    }


BENCHMARK: Final = Benchmark(
    name="signatures",
    en="The Ed25519 rule with every back end against PyNaCl and cryptography: by batch, signers and bad signatures.",
    example="--count 1024 --json",
    repetitions=11,
    arguments=_arguments,
    run=_run,
)
