"""What verifies signatures is said at start; whoever's transaction succeeded gets a table of its key."""

import os
import subprocess
import sys

import structlog

from cccnode.crypto.verifying import Verifier
from cccnode.node import signatures
from tests.node.support import Watched


def test_members_are_registered_by_what_they_do() -> None:
    """After a block with their transactions the keys of its signers are known."""
    watched, verifier = Watched(), Verifier()
    watched.node.replica.decided_hooks.append(signatures.Signers(verifier).applied)
    for _ in range(5):
        watched.send()
        watched.run(300)

    expected = 0 if verifier.register([b"\x07" * 32]) == 0 else 1
    assert (verifier.tables().registered > 1) == bool(expected), "where there is no kernel nobody is registered"


def test_the_log_says_why_it_is_not_the_fastest() -> None:
    """One line where there is a reason, none where all is as it should be."""
    with structlog.testing.capture_logs() as lines:
        found = signatures.begin()

    assert ([found.reason] if found.reason else []) == [line["reason"] for line in lines]


def test_an_operator_may_force_one() -> None:
    """CCCNODE_VERIFY chooses."""
    done = subprocess.run(
        [sys.executable, "-c", "from cccnode.node import signatures; print(signatures.begin().backend)"],
        env={**os.environ, "CCCNODE_VERIFY": "pynacl"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "pynacl"
