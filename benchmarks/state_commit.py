"""What committing the state costs per updated group: staged tree and synced batch, by size of state and block."""

import argparse
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.measure import Stopwatch
from benchmarks.report import Benchmark, Figures, table
from cccnode.codec import encode
from cccnode.crypto.trees import Changes
from storage.leveldb import LevelDB
from storage.state import State

_FILL: Final = 50_000
"""Groups written at once while the state is filled."""
_ITEM: Final = b"uccc"


def _name(number: int) -> bytes:
    """The name of a group as long as that of an account's balances."""
    return b"b/" + number.to_bytes(20, "big")


@contextmanager
def _filled(folder: Path, groups: int, *, depth: int, cache_mb: int) -> Iterator[tuple[LevelDB, State]]:
    """A state of `groups` balances on LevelDB, opened anew, so that the cache holds what opening leaves in it."""
    engine = LevelDB(folder / f"state-{groups}-{cache_mb}")
    state = State.open(engine, depth=depth, root=None, cache_bytes=cache_mb << 20)
    for first in range(0, groups, _FILL):
        writes: dict[bytes, Changes] = {
            _name(number): {_ITEM: encode(10**9 + number)} for number in range(first, min(first + _FILL, groups))
        }
        staged = state.stage(writes).finish()
        engine.write(staged.puts, sync=True)
        state.adopt(staged)
    root = state.root
    try:
        yield engine, State.open(engine, depth=depth, root=root, cache_bytes=cache_mb << 20)
    finally:
        engine.close()


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--groups", type=int, nargs="+", default=[10_000, 100_000], help="groups in the state; default: %(default)s")
    add("--updates", type=int, nargs="+", default=[200, 2_000, 20_000], help="groups changed by one block")
    add("--inserts", type=float, default=0.05, help="share of them that are new; default: %(default)s")
    add("--depth", type=int, default=16, help="2^depth buckets; default: %(default)s")
    add("--cache-mb", type=int, nargs="+", default=[512], help="state cache; a small one shows cold reads")


def _run(options: argparse.Namespace) -> Figures:
    cases = []
    for groups in options.groups:
        for cache_mb in options.cache_mb:
            with (
                TemporaryDirectory(prefix="cccnode-state-") as folder,
                _filled(Path(folder), groups, depth=options.depth, cache_mb=cache_mb) as (engine, state),
            ):
                watches = {count: Stopwatch() for count in options.updates if count <= groups}
                _repeat(engine, state, groups, options, watches)
                cases += [(groups, cache_mb, count, watch.spreads()) for count, watch in watches.items()]
    stages = list(cases[0][3])
    table(
        "state commit, processor µs per updated group, min..median",
        ("groups", "cache MB", "updates", *stages, "groups/s"),
        [
            (
                f"{groups:,}",
                cache_mb,
                f"{count:,}",
                *(str(spread) for spread in spreads.values()),
                spreads["total"].per_second,
            )
            for groups, cache_mb, count, spreads in cases
        ],
    )
    largest = cases[-1][3]
    return {
        "cpu_us_per_group": {stage: spread.json() for stage, spread in largest.items()},
        "cpu_us_per_tx": {
            stage: {key: 2 * value for key, value in spread.json().items()} for stage, spread in largest.items()
        },
        "groups_per_s_per_core": round(largest["total"].per_second),
        "cases": [
            {
                "groups": groups,
                "cache_mb": cache_mb,
                "updates": count,
                "cpu_us_per_group": {stage: spread.json() for stage, spread in spreads.items()},
            }
            for groups, cache_mb, count, spreads in cases
        ],
    }


def _repeat(
    engine: LevelDB, state: State, groups: int, options: argparse.Namespace, watches: dict[int, Stopwatch]
) -> None:
    """Blocks of every size in turn."""
    rng, newest = random.Random(groups), groups
    for _ in range(options.repetitions):
        for count, watch in watches.items():
            fresh = round(count * options.inserts)
            numbers = [*rng.sample(range(groups), count - fresh), *range(newest, newest + fresh)]
            newest += fresh
            writes = {_name(number): {_ITEM: encode(rng.randrange(10**12))} for number in numbers}
            staged = watch.add("stage", lambda writes=writes: state.stage(writes).finish(), count)  # type: ignore[misc]
            watch.add("write", lambda staged=staged: engine.write(staged.puts, sync=True), count)  # type: ignore[misc]
            watch.add("adopt", lambda staged=staged: state.adopt(staged), count)  # type: ignore[misc]
            watch.end()


BENCHMARK: Final = Benchmark(
    name="state_commit",
    en="The staged tree and the synced LevelDB batch, per updated group (a transfer updates two).",
    example="--groups 100000 1000000 --cache-mb 512 64 --json",
    repetitions=7,
    arguments=_arguments,
    run=_run,
)
