"""`python -m benchmarks NAME [options] [--json]`: one benchmark, its table and, if asked, one JSON object last."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks import (
    block_validation,
    catch_up,
    city,
    consensus,
    endurance,
    events,
    export,
    join,
    memory,
    network,
    page,
    rpc,
    signatures,
    state_commit,
)
from benchmarks.report import Benchmark, emit

BENCHMARKS: Final[tuple[Benchmark, ...]] = (
    signatures.BENCHMARK,
    block_validation.BENCHMARK,
    state_commit.BENCHMARK,
    consensus.BENCHMARK,
    network.BENCHMARK,
    city.BENCHMARK,
    catch_up.BENCHMARK,
    join.BENCHMARK,
    memory.BENCHMARK,
    export.BENCHMARK,
    events.BENCHMARK,
    endurance.BENCHMARK,
    rpc.BENCHMARK,
    page.BENCHMARK,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line names; the exit code is 1 when the benchmark found something wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure cccnode; see benchmarks/README.md."
    )
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for benchmark in BENCHMARKS:
        one = names.add_parser(
            benchmark.name,
            help=benchmark.en,
            description=benchmark.en,
            epilog=f"example: python -m benchmarks {benchmark.name} {benchmark.example}",
        )
        one.add_argument("--json", action="store_true", help="print one JSON object as the last line")
        one.add_argument("--repetitions", type=int, default=benchmark.repetitions, help="default: %(default)s")
        benchmark.arguments(one)
        one.set_defaults(benchmark=benchmark)
    options = parser.parse_args(arguments)
    given = list(sys.argv[1:] if arguments is None else arguments)
    figures = options.benchmark.run(options)
    emit(options.benchmark, figures, command=given, repetitions=options.repetitions, as_json=options.json)
    return 0 if figures.get("sound", True) else 1


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except BrokenPipeError:  # Whoever read the output, such as head, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
