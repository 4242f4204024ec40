"""What must hold after any load: what was acknowledged happened once, everywhere alike, and no money came or went."""

import random
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.network.client import call
from benchmarks.network.cluster import Node
from benchmarks.network.watch import Watch
from cccnode.city import CITY
from cccnode.types.addresses import account_text
from genesis.bootstrap import ASSET
from genesis.document import Genesis

_TRANSACTIONS: Final = "cccnode_ledger_transactions_total"


async def verdict(
    watch: Watch, genesis: Genesis, acknowledged: Sequence[bytes], *, sample: int, accounts: bool
) -> dict[str, Any]:
    """Every check on an idle network."""
    roots = await roots_equal(watch)
    places = await executed_once(watch, acknowledged, sample)
    totals = decided(watch.nodes)
    supply = await supply_conserved(watch, genesis) if accounts else None
    distinct = len(set(acknowledged))
    complete = all(total["ok"] == distinct and total["failed"] == 0 for total in totals)
    return {
        "roots_equal": roots,
        "supply_conserved": supply,
        "acknowledged": distinct,
        "decided_per_node": totals,
        "every_acknowledged_executed_once": places["wrong"] == 0 and complete,
        "sampled": places["sampled"],
        "sampled_wrong": places["wrong"],
        "sound": roots and supply is not False and places["wrong"] == 0 and complete,
    }


async def roots_equal(watch: Watch) -> bool:
    """Whether all nodes report one state root and one block at one height."""
    for _ in range(50):
        statuses = await watch.statuses()
        if len({status["height"] for status in statuses}) == 1:
            return len({(status["state_root"], status["block_id"]) for status in statuses}) == 1
    return False


async def executed_once(watch: Watch, acknowledged: Sequence[bytes], sample: int) -> dict[str, int]:
    """Ask every node for a sample of acknowledged ids: executed with success, and at one place."""
    chosen = random.Random(1).sample(sorted(set(acknowledged)), min(sample, len(set(acknowledged))))
    calls = [call("tx_status", tx_id=f"0x{tx_id.hex()}") for tx_id in chosen]
    answers = [await connection.ask_all(calls) for connection in watch.connections]
    wrong = 0
    for rows in zip(*answers, strict=True):
        places = {(row["state"], row.get("height"), row.get("position"), row.get("code")) for row in rows}
        wrong += len(places) != 1 or rows[0]["state"] != "executed" or rows[0]["code"] != 0
    return {"sampled": len(chosen), "wrong": wrong}


def decided(nodes: Sequence[Node]) -> list[dict[str, int]]:
    """Decided transactions of every node by result, since its start."""
    found = []
    for node in nodes:
        metrics = node.metrics()
        found.append({result: int(metrics.get((_TRANSACTIONS, result), 0)) for result in ("ok", "failed", "skipped")})
    return found


async def supply_conserved(watch: Watch, genesis: Genesis) -> bool:
    """Whether the balances of all accounts and of the modules add up to what genesis issued."""
    accounts = [entry.account_id() for entry in genesis.accounts] + sorted(CITY.accounts)
    issued = sum(int(entry.balances.get(ASSET, 0)) for entry in genesis.accounts)
    calls = [call("bank_balance", account=account_text(account), asset=ASSET) for account in accounts]
    owned = 0
    for row in await watch.connections[0].ask_all(calls):
        owned += int(row["amount"])
    return owned == issued
