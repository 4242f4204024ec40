"""`python -m cccnode`: the same as the `cccnode` command."""

from cccnode.cli.main import main

main()
