"""One whole node: the only room that knows all others."""

from cccnode.node.run import run

__all__ = ["run"]
