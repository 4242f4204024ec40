"""A node under cProfile: as `python -m cccnode`, and what its event loop did while it was loaded lands in a file.

Processor time, not the clock.  Profiling makes the loop about twice as slow; the shares are what one reads, with
`python -m pstats FILE`.
"""

import cProfile
import os
import signal
import time
from pathlib import Path
from typing import Final

from cccnode.cli.main import main

BEGIN: Final = signal.SIGUSR1
"""A new profile begins."""
END: Final = signal.SIGUSR2
"""It ends and is written to the file named by CCCNODE_BENCHMARK_PROFILE."""


class _Profiling:
    """The profile that is running, if one is."""

    def __init__(self) -> None:
        self._profile = cProfile.Profile(time.thread_time_ns, 1e-9)

    def begin(self, *_: object) -> None:
        """Forget what was, and begin."""
        self._profile = cProfile.Profile(time.thread_time_ns, 1e-9)
        self._profile.enable()

    def end(self, *_: object) -> None:
        """Write it."""
        self._profile.disable()
        self._profile.dump_stats(Path(os.environ["CCCNODE_BENCHMARK_PROFILE"]))


if __name__ == "__main__":
    profiling = _Profiling()
    signal.signal(BEGIN, profiling.begin)
    signal.signal(END, profiling.end)
    main()
