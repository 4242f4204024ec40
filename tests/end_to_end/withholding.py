"""`python -m tests.end_to_end.withholding run ...`: cccnode that lists batches and keeps them to itself.

It neither pushes nor announces nor hands out a batch (J9), and is honest in everything else.
"""

import sys

from cccnode.cli.main import run_cli
from cccnode.driver.dissemination import Dissemination

Dissemination._broadcast = lambda self, channel, payload: None  # type: ignore[method-assign]
Dissemination._serve = lambda self, peer, ids: None  # type: ignore[method-assign]
Dissemination.greet = lambda self, peer: None  # type: ignore[method-assign]

sys.exit(run_cli())
