"""`cccnode` with stand-in nodes: `python -m tests.support.stub_testnet testnet up ...`."""

import sys

from cccnode.cli import supervisor
from cccnode.cli.main import run_cli

supervisor.PROGRAM = (sys.executable, "-m", "tests.support.stub_node")
sys.exit(run_cli())
