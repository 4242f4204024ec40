"""`python -m tests.end_to_end.frugal run ...`: cccnode whose files end after a few blocks, pruning all the time."""

import sys

from cccnode.cli.main import run_cli
from cccnode.node import pruning
from storage import retention
from storage.blocks import BlockFile

HEIGHTS = 8
"""Of a file."""

pruning.LOOK_MS = 50
retention.BLOCKS_MIN = 24
BlockFile.open.__func__.__kwdefaults__["segment_heights"] = HEIGHTS  # type: ignore[attr-defined]

sys.exit(run_cli())
