"""Is this node ready to validate?  Every check has a verdict, what was found, and what to do about it."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cccnode import keys
from cccnode.city.registry.state import consensus_key_group
from cccnode.cli.keys import named_key
from cccnode.cli.options import Options
from cccnode.cli.output import Trouble, trouble
from cccnode.client import FEE_MAX, Client, ClientError, from_hex, to_hex
from cccnode.codec import DecodeError, decode
from cccnode.crypto.signing import SigningKey
from cccnode.crypto.verifying import verify_many
from cccnode.home import Home
from cccnode.types import errors
from cccnode.types.addresses import account_text
from cccnode.types.proofs import GroupProof
from cccnode.types.transaction import account_id
from cccnode.types.validators import faults, quorum

AT_TIP_BLOCKS: Final = 20
"""As `chain_status` calls a node behind."""
FREE_BYTES_MIN: Final = 2 * 1024**3
VERIFIES_PER_SECOND_MIN: Final = 2_000
"""Four times the signatures of five hundred transactions a second: their own, and the votes on them."""
SKIPPABLE: Final = ("disk", "speed")
"""What is about the machine alone, which its operator may know better."""
_SAMPLE: Final = 256

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must be right before a node validates."""

    name: str
    passed: bool
    found: str
    remedy: str = ""

    def line(self) -> str:
        """For the list of what is missing."""
        return f"{self.name}: {self.found}" + ("" if self.passed or not self.remedy else f" ({self.remedy})")

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {"check": self.name, "passed": self.passed, "found": self.found, "remedy": self.remedy}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the own node says."""

    status: Json
    record: Json
    """Of this epoch: chain_validators."""
    organisations: Sequence[Json]
    nodes: Sequence[Json]
    used: frozenset[str]
    """Public keys of the home's consensus keys that were registered once."""
    checkpoints: Sequence[Json]
    arithmetic: Json | None
    """registry_preflight of the organisation's joining; None for an unknown organisation."""
    balance: int
    """Of the organisation's account, in base units of the fee asset."""


async def ask(node: Client, home: Home, organisation: str, *, flagged: bool) -> Asked:
    """Everything that the checks need."""
    organisations = await node.call("registry_organisations")
    row = next((row for row in organisations if row["name"] == organisation), None)
    known = row is not None
    return Asked(
        status=await node.status(),
        record=await node.call("chain_validators"),
        organisations=organisations,
        nodes=await node.call("registry_nodes"),
        used=await used_keys(node, home),
        checkpoints=await node.call("registry_checkpoints"),
        arithmetic=await node.call("registry_preflight", organisation=organisation, joins=True, flagged=flagged)
        if known
        else None,
        balance=await _balance(node, row["account"]) if row is not None and row["account"] else 0,
    )


async def used_keys(node: Client, home: Home) -> frozenset[str]:
    """The consensus keys of the home that were ever registered: none is registered twice."""
    used = set()
    for path in home.validator_keys:
        document = keys.read(path)
        proven = await node.call("state_proof", group=to_hex(consensus_key_group(document.public_key)))
        try:
            proof = decode(GroupProof, from_hex(proven["proof"])).proof
        except DecodeError as error:
            raise trouble(errors.BAD_ANSWER, url=node.url, why=str(error)) from error
        if proof.items or proof.hidden:
            used.add(document.pubkey)
    return frozenset(used)


async def _balance(node: Client, account: str) -> int:
    try:
        return int((await node.call("bank_balance", account=account))["amount"])
    except ClientError as error:
        if error.name != errors.NOT_FOUND.name:
            raise
        return 0


def checks(options: Options, asked: Asked, organisation: str, *, sender: str | None = None) -> list[Check]:
    """All of them, in the order in which a newcomer gets them right; `sender` is the account key to be used."""
    return [
        *_membership(options, asked, organisation),
        *_chain(asked),
        _disk(options),
        _speed(),
        *_keys(options, asked, organisation, sender or organisation),
        _arithmetic(asked, organisation),
    ]


def require(found: Sequence[Check], *, skip: Sequence[str] = ()) -> None:
    """Refuse to go on when something is missing, but for what the operator takes upon himself.

    Raises:
        Trouble: `validator/NOT_READY`, with every check that fails.
    """
    failed = [check.line() for check in found if not check.passed and check.name not in skip]
    if failed:
        raise trouble(errors.VALIDATOR_NOT_READY, checks=failed)


def not_ready(found: Sequence[Check]) -> Trouble | None:
    """The same as an error to show after the list."""
    failed = [check.name for check in found if not check.passed]
    return trouble(errors.VALIDATOR_NOT_READY, failed=", ".join(failed), printed=True) if failed else None


def _membership(options: Options, asked: Asked, organisation: str) -> Iterator[Check]:
    own = "0x" + keys.read(options.home.node_key).pubkey
    yield Check(
        name="node",
        passed=asked.status["node"] == own,
        found=own if asked.status["node"] == own else f"the node that answers is {asked.status['node']}, not {own}",
        remedy="ask the node of this home, restarted after its key was rotated",
    )
    row = next((row for row in asked.organisations if row["name"] == organisation), None)
    standing = "unknown" if row is None else row["standing"]
    yield Check(
        name="organisation",
        passed=standing == "active",
        found=f"{organisation} is {standing}",
        remedy="join first: cccnode join status",
    )
    owner = next((row["organisation"] for row in asked.nodes if row["node_key"] == own), "nobody")
    yield Check(
        name="registered",
        passed=owner == organisation,
        found=f"this node is registered to {owner}",
        remedy="cccnode keys certificate, then cccnode tx add-node",
    )
    yield Check(
        name="fees",
        passed=asked.balance >= FEE_MAX,
        found=f"the organisation's account holds {asked.balance} base units",
        remedy=f"have a member send it at least {FEE_MAX}: cccnode tx transfer",
    )


def _chain(asked: Asked) -> Iterator[Check]:
    status = asked.status
    reasons = [reason["code"] for reason in status["reasons"]]
    behind = int(status["behind"])
    follows = status["state"] not in {"catching_up", "diverged"} and int(status["height"]) > 0
    yield Check(
        name="tip",
        passed=follows and behind <= AT_TIP_BLOCKS,
        found=f"height {status['height']}, {behind} behind, {status['state']}",
        remedy="wait until the node has caught up: cccnode join status",
    )
    yield Check(
        name="clock",
        passed=errors.CLOCK_SKEW.name not in reasons,
        found="as its peers' clocks" if errors.CLOCK_SKEW.name not in reasons else "not as its peers' clocks",
        remedy=errors.CLOCK_SKEW.remedy,
    )
    linked = [row["organisation"] for row in status["validators"] if row["reachable"]]
    members = len(status["validators"])
    needed = faults(members) + 1
    yield Check(
        name="links",
        passed=len(linked) >= needed,
        found=f"linked with {len(linked)} of {members} validators, {needed} needed",
        remedy="see cccnode doctor: open the p2p port both ways",
    )


def _disk(options: Options) -> Check:
    free = shutil.disk_usage(options.home.root).free
    return Check(
        name="disk",
        passed=free >= FREE_BYTES_MIN,
        found=f"{free >> 20} MiB free, {FREE_BYTES_MIN >> 20} needed",
        remedy="free space, or move the home to a larger disk",
    )


def _speed(clock: Callable[[], float] = time.process_time) -> Check:
    """Verify a sample of signatures and count, in processor time: what else runs now says little about the machine."""
    key = SigningKey(bytes(32))
    messages = [number.to_bytes(8, "big") for number in range(_SAMPLE)]
    signatures = [key.sign(message) for message in messages]
    begun = clock()
    verdicts = verify_many(messages, signatures, [key.public_key] * _SAMPLE)
    speed = int(_SAMPLE / max(clock() - begun, 1e-6))
    return Check(
        name="speed",
        passed=all(verdicts) and speed >= VERIFIES_PER_SECOND_MIN,
        found=f"{speed} signatures verified a second, {VERIFIES_PER_SECOND_MIN} needed",
        remedy="use a faster machine, or take load off this one",
    )


def _keys(options: Options, asked: Asked, organisation: str, sender: str) -> Iterator[Check]:
    found = candidate_key(options.home, asked.used)
    yield Check(
        name="key",
        passed=found is not None,
        found="no consensus key that is new to the network" if found is None else f"{found.name}, never used",
        remedy="cccnode keys new validator",
    )
    row = next((row for row in asked.organisations if row["name"] == organisation), None)
    acts = row["account"] if row is not None else None
    path = named_key(options.home, sender)
    own = account_text(account_id(keys.read(path).public_key)) if path.exists() else "not here"
    yield Check(
        name="account",
        passed=own == acts and acts is not None,
        found=f"{acts or 'nobody'} acts for {organisation}; {path.name} is {own}",
        remedy="name the organisation's account key with --from, or bring its file here",
    )


def candidate_key(home: Home, used: frozenset[str]) -> Path | None:
    """The file of the newest consensus key, unless it was registered already."""
    newest = home.validator_keys[-1:]
    return next((path for path in newest if keys.read(path).pubkey not in used), None)


def _arithmetic(asked: Asked, organisation: str) -> Check:
    """Whether the network would stand it if this newcomer were dead."""
    row = asked.arithmetic
    if row is None:
        return Check(name="quorum", passed=False, found="not a member", remedy="join first")
    now = len(asked.record["validators"])
    others = [name for name in row["silent"] if name != organisation]
    silent = f"; silent: {', '.join(others)}" if others else ""
    return Check(
        name="quorum",
        passed=row["safe"],
        found=f"now {now} validators, quorum {quorum(now)}; with you, if you were dead: "
        f"{row['live']} live of {row['validators']}, quorum {row['quorum']}{silent}",
        remedy="bring the silent validators back first; a network below four needs --flagged",
    )
