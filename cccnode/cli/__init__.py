"""The `cccnode` command: what operators, members and developers type."""
