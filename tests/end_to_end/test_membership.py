"""Who validates changes while money moves: by the commands of the manual, as operators type them."""

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cccnode.types.addresses import parse_account
from tests.end_to_end.conftest import VALIDATORS
from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import Network, advance, codes, equal_roots, headers, height, run, signed_by
from tests.end_to_end.waiting import until

PAUSE_MS_MAX = 5_000
"""Between two blocks, by their own times."""
FEES = "10000000"
"""What a member gives a new organisation for its fees, in base units."""
NAME = "newcomer"


async def typed(home: Path, *words: str) -> str:
    """What a command printed; the load goes on meanwhile."""
    done = await asyncio.to_thread(run, *words, "--home", str(home))
    assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
    return done.stdout


async def told(home: Path, *words: str) -> dict[str, Any]:
    """The same as JSON."""
    return json.loads(await typed(home, *words, "--output", "json"))


@pytest.mark.long  # Minutes on a busy machine; `test_joining` shows the way in on every run.
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("at_once", "per_second"), [(1, 0), (100, 500)])
async def test_members_come_and_go(networks: Callable[..., Network], at_once: int, per_second: int) -> None:
    """A fifth joins and validates, a founder leaves, another changes all its keys: no pause, all money moves once."""
    city = networks(validators=4, guests=1)
    guest = city.invite()
    city.start(*VALIDATORS)
    async with city.clients() as clients:
        await city.validating(clients, *VALIDATORS)
        load = Load(city, clients, VALIDATORS)
        load.at_once = at_once
        before = await picture(load, [0])
        async with load.running():
            begun = await advance(clients[0])
            await joins(city, load, guest.index)
            await becomes_validator(city, load, guest.index)
            await leaves(city, load, 3)
            load.targets = [0, 1, guest.index]
            await rotates(city, load, 2)
            ended = await advance(clients[0], 8)
        left = [0, 1, 2, guest.index]
        rows = await headers(clients[0], begun, ended)
        times = [int(row["time_ms"]) for row in rows]
        assert sum(int(row["tx_count"]) for row in rows[1:]) * 1000 >= per_second * (times[-1] - times[0])
        assert max(later - earlier for earlier, later in pairwise(times)) <= PAUSE_MS_MAX
        await exactly_once(load, left, before, alone=False)
        await equal_roots([clients[index] for index in left])


async def joins(city: Network, load: Load, index: int) -> None:
    """From a network card to a node that follows, with the approval of three members."""
    members = [city.node(member).home.root for member in VALIDATORS]
    proposed = await told(members[0], "org", "propose", "--join", await prepares(city, index))
    await asyncio.gather(*(told(member, "org", "approve", str(proposed["proposal"])) for member in members[1:3]))
    await follows(city, load, index)


async def prepares(city: Network, index: int) -> str:
    """From a network card to a node that runs and waits to be let in; its join request."""
    guest = city.node(index)
    card = (await told(city.testnet.home.root, "card", "make"))["card"]
    places = {"p2p.listen": guest.p2p, "rpc.listen": guest.rpc, "ops.listen": guest.ops, "storage.cache_mb": 16}
    settings = [word for key, value in places.items() for word in ("--set", f"{key}={value}")]
    await typed(guest.home.root, "init", "--network", card, "--org", NAME, "--unencrypted", *settings)
    request = await told(
        guest.home.root, "join", "request", "--org", NAME, "--pillar", "academia", "--address", guest.p2p
    )
    city.start(index)
    return str(request["request"])


async def follows(city: Network, load: Load, index: int) -> None:
    """Wait until a newcomer's node is at the tip."""

    async def at_tip() -> bool:
        status = await load.clients[index].status()
        return int(status["height"]) > 0 and codes(status) == ["consensus/NOT_A_VALIDATOR"]

    await until(at_tip, "the newcomer's node is at the tip")
    assert (await told(city.node(index).home.root, "join", "status"))["stage"] == "ready"


async def becomes_validator(city: Network, load: Load, index: int) -> None:
    """It applies, three validators approve, and its node votes by itself in the next epoch."""
    guest, members = city.node(index).home.root, [city.node(member).home.root for member in VALIDATORS]
    account = (await told(guest, "keys", "show", NAME))["account"]
    await typed(city.testnet.home.root, "tx", "transfer", account, FEES, "--from", "demo1")
    load.organisations.append(parse_account(account))
    applied = await told(guest, "validator", "apply")
    await asyncio.gather(*(told(member, "org", "approve", str(applied["proposal"])) for member in members[:3]))
    await city.validating(load.clients, index)
    since = await height(load.clients[0])
    await until(lambda: votes(load, NAME, since), "the newcomer votes")


async def leaves(city: Network, load: Load, index: int) -> None:
    """A founder takes its node out of service, leaves for good, and stops it: then nobody knows the node any more."""
    load.targets = [target for target in load.targets if target != index]
    for sent in [sent for sent in load.acknowledged if sent.node == index]:
        assert (await load.decided(0, sent))["outcome"] == "ok"
    await typed(city.node(index).home.root, "validator", "leave", "--yes")

    async def gone() -> bool:
        record = await load.clients[0].call("chain_validators")
        return f"org-{index:02}" not in {row["organisation"] for row in record["validators"]}

    await until(gone, "the epoch without the founder")
    city.stop(index)


async def rotates(city: Network, load: Load, index: int) -> None:
    """A founder votes with another consensus key, and is then known by another node key."""
    home = city.node(index).home.root
    organisation = f"org-{index:02}"
    old = await keys_of(load, organisation)
    await typed(home, "validator", "rotate-key", "--unencrypted")

    async def renewed(which: str) -> bool:
        return (await keys_of(load, organisation))[which] != old[which]

    await until(lambda: renewed("consensus_key"), "the epoch with the new consensus key")
    since = await height(load.clients[0])
    await until(lambda: votes(load, organisation, since), "it votes with the new key")
    await typed(home, "validator", "rotate-key", "--transport", "--unencrypted")
    city.stop(index)
    city.start(index)
    await city.validating(load.clients, index)
    await typed(home, "validator", "rotate-key", "--transport", "--unencrypted")
    await until(lambda: renewed("node_keys"), "the record without the old node key")
    since = await height(load.clients[0])
    await until(lambda: votes(load, organisation, since), "it votes over the new node key")


async def keys_of(load: Load, organisation: str) -> dict[str, Any]:
    """A validator's row in the current epoch's record."""
    record = await load.clients[0].call("chain_validators")
    return next(row for row in record["validators"] if row["organisation"] == organisation)


async def votes(load: Load, organisation: str, since: int) -> bool:
    """Whether it signed a block of the current epoch from this height on."""
    client = load.clients[0]
    record = await client.call("chain_validators")
    names = [row["organisation"] for row in record["validators"]]
    rows = await headers(client, since, await height(client))
    first = next((int(row["height"]) for row in rows if row["epoch"] == record["epoch"]), None)
    if first is None or organisation not in names:
        return False
    return names.index(organisation) in await signed_by(client, first, int(rows[-1]["height"]))
