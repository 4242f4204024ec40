"""`python -m tests.end_to_end.shifted run ...`: cccnode on a machine whose wall clock is `SHIFT_MS` ahead."""

import os
import sys
import time

from cccnode.cli.main import run_cli

SHIFT_NS = int(os.environ["SHIFT_MS"]) * 1_000_000
_true_ns = time.time_ns
time.time_ns = lambda: _true_ns() + SHIFT_NS

sys.exit(run_cli())
