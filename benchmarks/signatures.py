"""What one signature check costs: every back end of the rule beside PyNaCl and cryptography, in one run.

By batch, by number of signers whose keys have tables, for keys never seen before, and by share of bad signatures.
"""

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
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
            # The default budget holds about a thousand keys; more of them are measured with a larger one.
            verifier = _with_tables(using, samples, max(TABLE_BYTES, signers << 17))
            for batch in options.batches:
                yield f"{name}/registered={signers}/batch={batch}", _rule(verifier, samples, batch)
        stranger = Verifier(using=using, table_bytes=0)
        for batch in options.batches:
            yield f"{name}/unknown/batch={batch}", _rule(stranger, columns[most], batch)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=4_096, help="signatures in one repetition; default: %(default)s")
    parser.add_argument("--bytes", type=int, default=110, help="of a message; default: %(default)s")
    parser.add_argument("--signers", type=int, nargs="+", default=[100, 4_096], help="keys that take turns")
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[1, 8, 64, 256, 1_024, 4_096], help="signatures in one call"
    )
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
    cases["cryptography, keys parsed before"] = _cryptography(few, parsed=True)
    cases["cryptography, with key parsing"] = _cryptography(few, parsed=False)
    spreads = interleaved(cases, options.repetitions)
    ratios = {case: round(spreads[_RAW].least / spread.least, 2) for case, spread in spreads.items()}
    table(
        f"one signature over {options.bytes} bytes, processor time",
        ("verifier", "µs, min..median", "per second and core", "times PyNaCl"),
        [(case, str(spread), spread.per_second, ratios[case]) for case, spread in spreads.items()],
    )
    rule = spreads.get(f"{name}/registered={min(columns)}/batch={batch}", spreads[_RAW])
    return {
        "signatures": options.count,
        "message_bytes": options.bytes,
        "back_end": name,
        "cpu_us_per_signature": {case: spread.json() for case, spread in spreads.items()},
        "ratio_to_pynacl": {case: ratio for case, ratio in ratios.items() if "/batch=" in case},
        "call_of_64_in_pynacl_verifies": _call_of_64(spreads),
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
