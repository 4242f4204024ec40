"""A node under cProfile: as `python -m cccnode`, and at its end the profile of the event loop lands in a file.

Profiling makes the loop about twice as slow; the shares are what one reads, with `python -m pstats FILE`.
"""

import cProfile
import os
from pathlib import Path

from cccnode.cli.main import main


def profiled() -> None:
    """Run the command line; write the profile named by CCCNODE_BENCHMARK_PROFILE."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        main()
    finally:
        profile.disable()
        profile.dump_stats(Path(os.environ["CCCNODE_BENCHMARK_PROFILE"]))


if __name__ == "__main__":
    profiled()
