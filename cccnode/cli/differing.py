"""Where a diverged node went wrong: the block by its results, the keys by the state trees, the transaction by replay.

The node stopped, so its state stays as it was soon after the mistake; its peers go on.  What both have to agree about
is the chain, so it is executed again here.  That outcome is compared with the certified results.  Where it agrees with
them, it is the reference, and the node's state is compared with it.  Where it repeats the mistake, it stands for the
node, and is carried on to the height at which a peer answers, whose state is then the reference.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cccnode.client import Client, ClientError, from_hex, to_hex
from cccnode.node.replaying import Change, Executed, Key, Replay, Start, leads_to
from cccnode.rpc.values import ValueFault, reader
from cccnode.types.addresses import ACCOUNT_BYTES, account_text
from cccnode.types.block import FinalBlock, Header
from cccnode.types.block import block_id as id_of
from cccnode.types.errors import (
    BAD_ANSWER,
    NO_WITNESS,
    NOT_DIVERGED,
    NOT_FOUND,
    PRUNED,
    REPLAY_IMPOSSIBLE,
    Fault,
    fault,
)
from cccnode.types.validators import EpochRecord, epoch_record_hash

STEP: Final = 8
"""Levels of the tree that one question spans."""
NODES_MAX: Final = 256
"""Differing nodes of one level that are followed; a report need not list a whole state."""
GONE: Final = frozenset({PRUNED.name, NOT_FOUND.name})
"""What a node says of heights that it keeps no more."""
KEYS_MAX: Final = 256
"""Differing items that are listed."""

Begin = Callable[[int], Start]
"""A state that is certain, at this height at most."""
Progress = Callable[[int, int], None]
"""Told of heights executed again, and of how many there are."""


class Source:
    """One node, asked for what this needs."""

    def __init__(self, client: Client) -> None:
        """Ask with this client."""
        self.client, self.url = client, client.url

    async def results(self, height: int) -> dict[str, Any]:
        """What executing a height gave there."""
        found: dict[str, Any] = await self.client.call("chain_results", height=str(height))
        return found

    async def receipts(self, height: int) -> list[dict[str, Any]]:
        """The receipts of a block."""
        return list((await self.client.call("chain_block", height=str(height)))["receipts"])

    async def block(self, height: int) -> FinalBlock:
        """A block without its certificates."""
        said = await self.client.call("chain_block", height=str(height))
        header = {name: value for name, value in said["header"].items() if name != "block_id"}
        batches = tuple(tuple(from_hex(raw) for raw in batch) for batch in said["batches"])
        return FinalBlock(reader(Header)(header, "header"), batches, None, ())

    async def header(self, height: int) -> Header:
        """A final header."""
        said = await self.client.call("chain_header", height=str(height))
        header = {name: value for name, value in said.items() if name != "block_id"}
        read: Header = reader(Header)(header, "header")
        return read

    async def nodes(self, level: int, first: int, count: int) -> tuple[int, bytes]:
        """Hashes of the state tree, and the height at which they stand."""
        said = await self.client.call("state_nodes", level=level, first=first, count=count)
        return int(said["height"]), from_hex(said["hashes"])

    async def bucket(self, bucket: int, after: bytes) -> tuple[int, dict[bytes, bytes], bool]:
        """Groups of a bucket with their hashes, and whether more follow."""
        said = await self.client.call("state_bucket", bucket=bucket, after=to_hex(after))
        groups = {from_hex(group): from_hex(digest) for group, digest in said["groups"]}
        return int(said["height"]), groups, bool(said["more"])

    async def group(self, group: bytes) -> tuple[int, dict[bytes, bytes]]:
        """The items of a group."""
        said = await self.client.call("state_group", group=to_hex(group))
        return int(said["height"]), {from_hex(item): from_hex(value) for item, value in said["items"]}


@dataclass(slots=True)
class Search:
    """One divergence on its way to being found."""

    own: Source
    peers: Sequence[Source]
    begin: Begin
    progress: Progress
    found: dict[str, Any] = field(default_factory=dict)
    """The report so far."""

    async def run(self) -> dict[str, Any]:
        """The report.

        Raises:
            Fault: divergence/NOT_DIVERGED or divergence/NO_WITNESS.
            ClientError: the node, or the peer that was chosen, does not answer.
        """
        status = await self.own.client.status()
        seen = await self._certified(status)
        witness = await self._witness(seen)
        height = await self._first_block(witness, seen.exec_height)
        ours, theirs = await self.own.results(height), await witness.results(height)
        self.found |= {"height": height, "block_id": ours["block_id"], "ours": ours, "certified": theirs}
        self.found["receipts"] = await self._receipts(witness, height)
        try:
            await self._replay(witness, seen, int(status["height"]))
        except Fault as broken:
            self.found["replay"] = {"agrees_with": None, "why": str(broken)}
        except ValueFault as broken:
            raise fault(BAD_ANSWER, url=witness.url, why=str(broken)) from broken
        self.found["transactions"] = self._transactions()
        return self.found

    async def _certified(self, status: dict[str, Any]) -> Header:
        """The final header that reports other results than the node's."""
        reason = next((row for row in status["reasons"] if row["code"] == "storage/DIVERGED"), None)
        if reason is None:
            raise fault(NOT_DIVERGED, url=self.own.url, state=status["state"])
        details = reason["details"]
        seen = await self.own.header(int(details["first_seen_at"]))
        self.found |= {
            "chain": status["chain"],
            "node": status["node"],
            "organisation": status["organisation"],
            "stopped_at": int(status["height"]),
            "seen_in": {
                "height": seen.height,
                "block_id": to_hex(id_of(seen)),
                "exec_height": seen.exec_height,
                "state_root": to_hex(seen.state_root),
                "results_root": to_hex(seen.results_root),
            },
        }
        return seen

    async def _witness(self, seen: Header) -> Source:
        """The first peer whose results are the certified ones; what each of them says goes into the report."""
        said, chosen = [], None
        for peer in self.peers:
            try:
                results = await peer.results(seen.exec_height)
            except ClientError as error:
                said.append({"url": peer.url, "error": str(error)})
                continue
            certified = results["results_root"] == to_hex(seen.results_root)
            said.append({"url": peer.url, "results_root": results["results_root"], "certified": certified})
            chosen = chosen or (peer if certified else None)
        self.found["peers"] = said
        if chosen is None:
            asked = [f"{row['url']}: {row.get('error', 'has other results')}" for row in said]
            raise fault(NO_WITNESS, asked=asked)
        self.found["witness"] = chosen.url
        return chosen

    async def _first_block(self, witness: Source, last: int) -> int:
        """The first height whose results differ: both have the same genesis, and one difference stays in the root.

        Looked for from the newest on, for a node notices soon, and old results may be kept no more.
        """
        equal, differs, step = 0, last, 1
        while differs > step:
            if await self._equal(witness, last - step):
                equal = last - step
                break
            differs, step = last - step, step * 2
        while differs - equal > 1:
            middle = (equal + differs) // 2
            if await self._equal(witness, middle):
                equal = middle
            else:
                differs = middle
        return differs

    async def _equal(self, witness: Source, height: int) -> bool:
        """Whether both have the same results; what either keeps no more is taken as equal, and noted."""
        try:
            ours, theirs = await self.own.results(height), await witness.results(height)
        except ClientError as error:
            if error.name not in GONE:
                raise
            self.found["unknown_until"] = max(height, self.found.get("unknown_until", 0))
            return True
        return bool(ours["results_root"] == theirs["results_root"])

    async def _receipts(self, witness: Source, height: int) -> list[dict[str, Any]]:
        """Receipts of the block that differ, by position."""
        ours, theirs = await self.own.receipts(height), await witness.receipts(height)
        rows = []
        for position in range(max(len(ours), len(theirs))):
            mine = ours[position] if position < len(ours) else None
            other = theirs[position] if position < len(theirs) else None
            if mine != other:
                tx_id = (mine or other or {}).get("tx_id")
                rows.append({"position": position, "tx_id": tx_id, "ours": mine, "certified": other})
        return rows[:KEYS_MAX]

    async def _replay(self, witness: Source, seen: Header, stopped_at: int) -> None:
        """Execute the chain again and compare the states."""
        height: int = self.found["height"]
        start = await asyncio.to_thread(self.begin, height - 1)
        replay = Replay(start, find_record=await self._records(witness))
        self.found["replayed_from"] = replay.height
        await self._advance(replay, height - 1, witness)
        leaves = [await witness.results(at) for at in range(height, seen.exec_height + 1)]
        proven = leads_to(replay.results, [_leaf(leaf) for leaf in leaves], seen.results_root)
        changes: list[Change] = []
        executed = replay.apply(await self._block(height, witness), changes)
        root = to_hex(executed.results_root)
        agrees = [name for name in ("ours", "certified") if self.found[name]["results_root"] == root]
        side = agrees[0] if agrees else "neither"
        self.found["proven"] = proven
        self.found["replay"] = {"agrees_with": side, "results_root": root}
        other = witness if side == "ours" else self.own
        written: dict[Key, int] = {change.key: height for change in changes}

        async def reach(target: int) -> None:
            await self._advance(replay, target, witness, written)

        rows = await different(replay, other, reach)
        self._describe(rows, side, executed, changes, written)

    async def _records(self, witness: Source) -> Callable[[bytes], EpochRecord | None]:
        """The current epoch's record, for an epoch that began by an agreement after a quorum was lost."""
        known: dict[bytes, EpochRecord] = {}
        for source in (self.own, witness):
            said = await source.client.call("chain_validators")
            fields = {name: said[name] for name in EpochRecord.__struct_fields__}
            record = reader(EpochRecord)(fields, "record")
            known[epoch_record_hash(record)] = record
        return known.get

    async def _advance(
        self, replay: Replay, height: int, witness: Source, written: dict[Key, int] | None = None
    ) -> None:
        """Execute up to a height; `written` gets the last height at which any of its keys was written."""
        while replay.height < height:
            executed = replay.apply(await self._block(replay.height + 1, witness))
            for key in written or ():
                if written is not None and key[1] in executed.outcome.writes.get(key[0], {}):
                    written[key] = executed.height
            self.progress(replay.height, height)

    async def _block(self, height: int, witness: Source) -> FinalBlock:
        """A block from whoever keeps it: the node itself, its witness, or another peer, such as an archive.

        Raises:
            Fault: divergence/REPLAY_IMPOSSIBLE: nobody does.
        """
        mine = [self.own] if height <= self.found["stopped_at"] else []
        why = ""
        for source in [*mine, witness, *(peer for peer in self.peers if peer is not witness)]:
            try:
                return await source.block(height)
            except ClientError as error:
                why = str(error)
        raise fault(REPLAY_IMPOSSIBLE, height=height, reason=why)

    def _describe(
        self,
        rows: Sequence["Difference"],
        side: str,
        executed: Executed,
        changes: Sequence[Change],
        written: dict[Key, int],
    ) -> None:
        """The differing items, those that this block wrote first, and those that nobody wrote since before the rest."""
        height = executed.height
        ordered = sorted(rows, key=lambda row: (row.key not in written, written.get(row.key, 0) > height, row.key))
        self.found["keys"] = [
            {
                "bucket": row.bucket,
                "group": to_hex(row.key[0]),
                "item": to_hex(row.key[1]),
                "name": f"{name_text(row.key[0])} {name_text(row.key[1])}".strip(),
                "compared_at": row.height,
                "ours": _hex(row.replayed if side == "ours" else row.other),
                "certified": _hex(row.other if side == "ours" else row.replayed),
                "last_written_at": written.get(row.key),
                "changed_by": [_change_row(change, executed) for change in changes if change.key == row.key],
            }
            for row in ordered[:KEYS_MAX]
        ]
        self.found["differing_keys"] = len(rows)

    def _transactions(self) -> list[str]:
        """Those that may have been computed differently: by their receipts, else as writers of the differing keys."""
        named = [row["tx_id"] for row in self.found["receipts"] if row["tx_id"]]
        for row in self.found.get("keys", ()):
            named += [change["tx_id"] for change in row["changed_by"] if change["tx_id"] is not None]
        return list(dict.fromkeys(named))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One item of the state that a node holds otherwise than the replay."""

    bucket: int
    key: Key
    height: int
    """At which both stood when it was read."""
    replayed: bytes | None
    other: bytes | None


async def different(replay: Replay, other: Source, reach: Callable[[int], Awaitable[None]]) -> list[Difference]:
    """What differs between the state here and that of a node, which may go on meanwhile: the replay follows it."""

    async def follow(height: int) -> None:
        if height < replay.height:
            raise fault(NO_WITNESS, asked=[f"{other.url}: it is behind the replay"])
        await reach(height)

    level, places = replay.state.depth, [0]
    while level > 0:
        span = min(STEP, level)
        level -= span
        below: list[int] = []
        for place in places:
            height, hashes = await other.nodes(level, place << span, 1 << span)
            await follow(height)
            mine = replay.state.nodes(level, place << span, 1 << span)
            below += [(place << span) + at for at in range(1 << span) if mine[at << 5 :][:32] != hashes[at << 5 :][:32]]
        places = below[:NODES_MAX]
    rows: list[Difference] = []
    for bucket in places:
        for group in await _groups(replay, other, bucket, follow):
            height, items = await other.group(group)
            await follow(height)
            mine_now = replay.state.group(group)
            for item in sorted({*items, *mine_now}):
                if items.get(item) != mine_now.get(item):
                    values = {"replayed": mine_now.get(item), "other": items.get(item)}
                    rows.append(Difference(bucket=bucket, key=(group, item), height=height, **values))
    return rows


async def _groups(replay: Replay, other: Source, bucket: int, follow: Callable[[int], Awaitable[None]]) -> list[bytes]:
    """The differing groups of a bucket."""
    after, more, found = b"", True, list[bytes]()
    while more:
        height, theirs, more = await other.bucket(bucket, after)
        await follow(height)
        last = max(theirs, default=b"")
        mine = {
            group: digest
            for group, digest in replay.state.listing(bucket).items()
            if group > after and (not more or group <= last)
        }
        found += [group for group in sorted({*theirs, *mine}) if theirs.get(group) != mine.get(group)]
        after = last
    return found


def name_text(name: bytes) -> str:
    """A group or an item for people: text with an account or a key at its end, as far as it is text."""
    prefix, slash, rest = name.partition(b"/")
    if slash and len(rest) == ACCOUNT_BYTES:
        return f"{prefix.decode('ascii', 'replace')}/{account_text(rest)}"
    text = name.decode("utf-8", "replace")
    return text if text.isprintable() and "\ufffd" not in text else to_hex(name)


def _change_row(change: Change, executed: Executed) -> dict[str, Any]:
    """One write for the report; the block's own rules have no transaction."""
    number = change.transaction
    return {
        "transaction": number,
        "tx_id": None if number is None else to_hex(executed.transactions[number].id),
        "before": _hex(change.before),
        "after": _hex(change.after),
    }


def _leaf(results: dict[str, Any]) -> tuple[int, bytes, bytes]:
    return int(results["height"]), from_hex(results["state_root"]), from_hex(results["receipts_root"])


def _hex(value: bytes | None) -> str | None:
    return None if value is None else to_hex(value)
