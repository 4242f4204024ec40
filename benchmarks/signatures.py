"""What one signature check costs: the rule against the libraries beneath it, by batch size and share of bad ones."""

import argparse
import random
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl.bindings import crypto_sign_open

from benchmarks.measure import Case, Spread, interleaved
from benchmarks.report import Benchmark, Figures, table
from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import verify_many

_MESSAGE_BYTES: Final = 200
"""About the signed part of a transfer."""
_SEED: Final = 7


class _Samples:
    """Signed messages, columns side by side as `verify_many` takes them."""

    def __init__(self, count: int, bad_share: float = 0.0) -> None:
        rng = random.Random(_SEED)
        owners = [SigningKey(rng.randbytes(32)) for _ in range(min(count, 256))]
        self.messages = [rng.randbytes(_MESSAGE_BYTES) for _ in range(count)]
        keys = [owners[at % len(owners)] for at in range(count)]
        self.keys = [key.public_key for key in keys]
        self.signatures = [key.sign(message) for key, message in zip(keys, self.messages, strict=True)]
        for at in rng.sample(range(count), round(bad_share * count)):
            self.messages[at] = rng.randbytes(_MESSAGE_BYTES)
        self.bad = round(bad_share * count)


def _rule(samples: _Samples, batch: int) -> Case:
    """The protocol's rule, `batch` signatures a call."""

    def run() -> int:
        bad = 0
        for first in range(0, len(samples.messages), batch):
            part = slice(first, first + batch)
            verdicts = verify_many(samples.messages[part], samples.signatures[part], samples.keys[part])
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


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=2_048, help="signatures in one repetition; default: %(default)s")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64, 512], help="signatures in one call")
    parser.add_argument("--bad", type=float, nargs="+", default=[0.01, 0.1, 0.5], help="shares of bad signatures")


def _run(options: argparse.Namespace) -> Figures:
    good = _Samples(options.count)
    cases = {f"verify_many, {batch} a call": _rule(good, batch) for batch in options.batches}
    cases |= {
        f"verify_many, {share:.0%} bad": _rule(_Samples(options.count, share), options.batches[-1])
        for share in options.bad
    }
    cases["PyNaCl, raw binding"] = _raw_pynacl(good)
    cases["cryptography, keys parsed before"] = _cryptography(good, parsed=True)
    cases["cryptography, with key parsing"] = _cryptography(good, parsed=False)
    spreads = interleaved(cases, options.repetitions)
    table(
        f"one signature over {_MESSAGE_BYTES} bytes, processor time",
        ("verifier", "µs, min..median", "per second and core"),
        [(name, str(spread), spread.per_second) for name, spread in spreads.items()],
    )
    rule = spreads[f"verify_many, {options.batches[-1]} a call"]
    return {
        "signatures": options.count,
        "cpu_us_per_signature": {name: spread.json() for name, spread in spreads.items()},
        "cpu_us_per_tx": {"verify": rule.json()},
        "signatures_per_s_per_core": round(rule.per_second),
        "rule_over_raw": _ratio(rule, spreads["PyNaCl, raw binding"]),
    }


def _ratio(one: Spread, other: Spread) -> float:
    return round(one.middle / other.middle, 3)


BENCHMARK: Final = Benchmark(
    name="signatures",
    en="The Ed25519 rule (verify_many) against the libraries beneath it, by batch size and share of bad signatures.",
    example="--count 1024 --json",
    repetitions=7,
    arguments=_arguments,
    run=_run,
)
