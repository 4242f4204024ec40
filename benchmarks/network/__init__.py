"""Four validators as four processes on loopback, loaded over RPC: rate, finality, cost, and whether all is right."""

from benchmarks.network.run import BENCHMARK

__all__ = ["BENCHMARK"]
