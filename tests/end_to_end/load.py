"""Continuous load, and the question that matters afterwards: was everything acknowledged done exactly once?"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from cccnode.city import CITY
from cccnode.city.bank.messages import BankTransfer
from cccnode.client import FEE_MAX, Client, ClientError, to_hex, wall_ms
from cccnode.crypto.hashing import ZERO
from cccnode.node.data import read_home_genesis
from cccnode.types.addresses import account_text
from cccnode.types.limits import SALT_BYTES
from cccnode.types.transaction import sign_transaction
from genesis.bootstrap import ASSET
from tests.end_to_end.processes import Network, equal_roots, height, many
from tests.end_to_end.waiting import beats, until

PER_SECOND = 15
LIFETIME_MS = 120_000
NOBODY = to_hex(ZERO)
"""Stands in receipts for a block's own rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A transfer of one unit, and what the node said that it was given to."""

    node: int
    tx_id: bytes
    raw: bytes
    valid_until_ms: int
    acknowledged: bool

    @property
    def question(self) -> dict[str, Any]:
        """Parameters of tx_status and tx_wait."""
        return {"tx_id": to_hex(self.tx_id), "valid_until_ms": str(self.valid_until_ms)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Everything that was decided up to one height, and what the accounts own then."""

    decided: Counter[str]
    """How often each transaction was decided."""
    owned: list[list[int]]
    """By node, as `Load.balances` says it."""


class Load:
    """Transfers of one unit from demo1 and demo2 to demo3, spread over the nodes that are `targets`."""

    def __init__(self, network: Network, clients: Sequence[Client], targets: Sequence[int]) -> None:
        self.clients, self.targets = clients, list(targets)
        self.at_once = 1
        """Transfers in one submission."""
        self.sent: list[Sent] = []
        self.chain = bytes.fromhex(network.testnet.shape.chain[2:])
        self.owners = [network.account(name) for name in network.testnet.account_names()]
        genesis = read_home_genesis(network.testnet.home.genesis_file)
        self.organisations = [row.account_id() for row in genesis.accounts if row.kind == "organisation"]
        self.supply = sum(int(row.balances.get(ASSET, 0)) for row in genesis.accounts)

    @property
    def acknowledged(self) -> list[Sent]:
        return [sent for sent in self.sent if sent.acknowledged]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load while the block runs."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def send(self, node: int, *, lifetime_ms: int = LIFETIME_MS) -> Sent:
        """One more, at one node."""
        tx_id, raw, until_ms = self.sign(lifetime_ms)
        acknowledged = False
        try:
            await self.clients[node].submit(raw)
            acknowledged = True
        except ClientError:
            pass  # the node was killed meanwhile: nobody promised anything
        finally:
            sent = Sent(node=node, tx_id=tx_id, raw=raw, valid_until_ms=until_ms, acknowledged=acknowledged)
            self.sent.append(sent)
        return sent

    async def send_batch(self, node: int, count: int) -> None:
        """So many more in one submission, at one node."""
        signed = [self.sign(number=len(self.sent) + at) for at in range(count)]
        answers = None
        try:
            answers = await self.clients[node].submit_batch([raw for _, raw, _ in signed])
        except ClientError:
            pass  # as in `send`
        finally:
            self.sent += [
                Sent(
                    node=node,
                    tx_id=tx_id,
                    raw=raw,
                    valid_until_ms=until,
                    acknowledged=bool(answers and not answers[at].error),
                )
                for at, (tx_id, raw, until) in enumerate(signed)
            ]

    def sign(self, lifetime_ms: int = LIFETIME_MS, *, number: int | None = None) -> tuple[bytes, bytes, int]:
        """A transfer that was not sent yet: id, bytes, deadline; it is the next one, or that `number`."""
        sender = self.owners[(len(self.sent) if number is None else number) % 2]
        until_ms = wall_ms() + lifetime_ms
        tx_id, raw = sign_transaction(
            chain=self.chain,
            account=sender.account,
            valid_until_ms=until_ms,
            salt=os.urandom(SALT_BYTES),
            fee_max=FEE_MAX,
            messages=[BankTransfer(self.owners[2].account, ASSET, 1)],
            keys=[sender.key],
        )
        return tx_id, raw, until_ms

    async def final_everywhere(self, nodes: Sequence[int]) -> None:
        """A new transfer, given to the first of these nodes, is executed on all of them at the same place."""
        sent = await self.send(nodes[0])
        assert sent.acknowledged
        answers = await asyncio.gather(*(self.decided(node, sent) for node in nodes))
        assert {answer["outcome"] for answer in answers} == {"ok"}
        assert len({(answer["height"], answer["position"]) for answer in answers}) == 1

    async def decided(self, node: int, sent: Sent) -> dict[str, Any]:
        """What became of a transfer, as one node knows it."""
        return await self.clients[node].wait(sent.tx_id, valid_until_ms=sent.valid_until_ms, timeout_ms=LIFETIME_MS)

    async def balances(self, node: int) -> list[int]:
        """What the three accounts, the organisations and the modules own, by one node's word: all money there is."""
        accounts = [*(owner.account for owner in self.owners), *self.organisations, *sorted(CITY.module_accounts)]
        answers = await many(
            self.clients[node], "bank_balance", [{"account": account_text(account)} for account in accounts]
        )
        return [int(answer["amount"]) for answer in answers]

    async def _run(self) -> None:
        async for _ in beats(PER_SECOND):
            if self.targets:
                node = self.targets[len(self.sent) // self.at_once % len(self.targets)]
                await (self.send(node) if self.at_once == 1 else self.send_batch(node, self.at_once))


async def exactly_once(
    load: Load, nodes: Sequence[int], before: Picture, *, lost: Sequence[Sent] = (), alone: bool = True
) -> None:
    """Every acknowledged transfer is executed once, at one place on every node, except the `lost`; money agrees.

    `alone`: nobody but loads has sent anything meanwhile.
    """
    first = nodes[0]
    promised = [sent for sent in load.acknowledged if sent not in lost]
    assert promised
    for sent in promised:
        became = await load.decided(first, sent)
        assert became.get("outcome") == "ok", f"number {load.sent.index(sent)}, sent to node {sent.node}: {became}"
    await equal_roots([load.clients[node] for node in nodes])  # a peer executes a moment after the validators
    said = [await many(load.clients[node], "tx_status", [sent.question for sent in promised]) for node in nodes]
    for node, answers in zip(nodes, said, strict=True):
        different = [(one, other) for one, other in zip(said[0], answers, strict=True) if one != other]
        assert not different, f"node {node} differs from node {first} in {len(different)}: {different[:3]}"
    now = await picture(load, nodes)
    assert set(now.decided.values()) <= {1}
    assert all(now.decided[to_hex(sent.tx_id)] for sent in promised)
    supplies = [await load.clients[node].call("bank_asset") for node in nodes]
    assert {supply["supply"] for supply in supplies} == {str(load.supply)}
    own = {to_hex(sent.tx_id) for sent in load.sent}
    moved = sum(times for tx_id, times in (now.decided - before.decided).items() if alone or tx_id in own)
    for owned in now.owned:
        assert sum(owned) == load.supply
        assert owned[2] - before.owned[0][2] == moved


async def picture(load: Load, nodes: Sequence[int]) -> Picture:
    """Wait for a moment without blocks: what was sent to a node that was killed may still be executed at any time."""

    async def still() -> Picture | None:
        then = await equal_roots([load.clients[node] for node in nodes])
        taken = Picture(
            decided=await decided_ids(load.clients[nodes[0]]), owned=[await load.balances(node) for node in nodes]
        )
        now = await equal_roots([load.clients[node] for node in nodes])
        return taken if now["block_id"] == then["block_id"] else None

    return await until(still, "a moment without blocks")


async def decided_ids(client: Client) -> Counter[str]:
    """How often each transaction was decided, counted over the whole chain."""
    last = await height(client)
    blocks = await many(client, "chain_block", [{"height": str(at)} for at in range(1, last + 1)])
    return Counter(receipt["tx_id"] for block in blocks for receipt in block["receipts"] if receipt["tx_id"] != NOBODY)
