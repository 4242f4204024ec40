"""The city decides who validates and what a transaction costs, while money moves: votes, not members' approvals."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import pytest

from cccnode import keys
from cccnode.city.bank.state import Params
from cccnode.city.gov import GovPropose, GovVote, ParamSet
from cccnode.city.gov.messages import Choice, Kind
from cccnode.city.registry.errors import RETIRED
from cccnode.city.registry.messages import RegistryRetireFounders, RegistrySchedule
from cccnode.client import Account, Client, ClientError, to_hex
from cccnode.codec import Noun, encode
from cccnode.keys import Role
from cccnode.types.addresses import parse_account
from cccnode.types.errors import OUTDATED, POOL_NOT_READY, UPGRADE_PLANNED
from cccnode.types.transaction import account_id
from tests.end_to_end.conftest import VALIDATORS
from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import Network, advance, codes, equal_roots, height, many, refused, run
from tests.end_to_end.test_membership import FEES, NAME, follows, prepares, told, typed, votes
from tests.end_to_end.waiting import until

RULES: dict[str, dict[str, int | str | bool]] = {
    "gov": {"voting_ms": 60_000, "lock_ms": 0, "late_ms": 0, "gov_deposit": 1_000, "max_open": 8}
}
"""A vote of a minute, and so an expedited one of fifteen seconds."""
CHAMBERS = (0, 1, 2)
"""Government, academia and private; the chamber of the citizens is that of persons."""
DEARER = 2 * Params().fee_base
LEAVER = 3
FEATURE = "milestones"
OLD = 3
ALTERED = (sys.executable, "-m", "tests.end_to_end.altered")
BY_VOTE = ("--by-vote", "deposit", "--expedited")


@pytest.mark.timeout(400)
async def test_the_city_decides(networks: Callable[..., Network]) -> None:
    """Founders retire, fees rise, a partner comes in and validates, a founder's node validates no more: all by vote."""
    city = networks(validators=4, guests=1, parameters=RULES)
    guest = city.invite()
    city.start(*VALIDATORS)
    async with city.clients() as clients:
        await city.validating(clients, *VALIDATORS)
        load = Load(city, clients, VALIDATORS)
        before = await picture(load, [0])
        persons = [city.account(name) for name in ("demo1", "demo2")]  # What demo3 gets is counted: it pays nothing.
        voters = [*persons, *(owner(city, index) for index in CHAMBERS)]
        async with load.running():
            request = await prepares(city, guest.index)  # First: commands take their time, and votes end.
            retired = await proposed(load, voters[0], Kind.CHARTER, RegistryRetireFounders())
            dearer = await proposed(load, voters[1], Kind.PARAM, ParamSet("bank", "fee_base", DEARER))
            admitted = await by_command(city, 0, "org", "propose", "--join", request)
            await decide(load, voters, retired, dearer, admitted)
            await follows(city, load, guest.index)

            account = await given_fees(city, load, guest.index)
            retired_way = await asyncio.to_thread(run, "validator", "apply", "--home", str(guest.home.root))
            assert RETIRED.name in retired_way.stderr, "the members' own approvals have ended"
            joined = await by_command(city, guest.index, "validator", "apply")
            await decide(load, voters, joined)
            await city.validating(clients, guest.index)
            since = await height(clients[0])
            await until(lambda: votes(load, NAME, since), "the newcomer votes")

            leaver = f"org-{LEAVER:02}"
            removed = await by_command(city, guest.index, "org", "propose", "--remove-validator", leaver)
            await decide(load, [*voters, account], removed)
            await city.observing(clients, LEAVER, "consensus/NOT_A_VALIDATOR")
            everybody = ["org-00", "org-01", "org-02", NAME]
            await until(lambda: validate(load, everybody), "the epoch without it, on every node")
            city.stop(0)  # Three of four: without the newcomer's votes nothing goes on.
            load.targets = [1, 2, guest.index]
            await advance(clients[1], 4)
            city.start(0)
            await city.validating(clients, 0)
        everywhere = [*VALIDATORS, guest.index]
        await exactly_once(load, everywhere, before, alone=False)
        await same_fees(load, dearer, everywhere)


@pytest.mark.timeout(300)
async def test_an_old_program_stops_by_name(networks: Callable[..., Network]) -> None:
    """New rules begin when three of four know them; the fourth was warned, stops, says why, and comes back upgraded."""
    city = networks(validators=4, parameters=RULES)
    city.start(0, 1, 2, program=ALTERED, env={"FEATURE": FEATURE})
    city.start(OLD)
    async with city.clients() as clients:
        await city.validating(clients, *VALIDATORS)
        load = Load(city, clients, [0, 1, 2])
        persons = [city.account(name) for name in ("demo1", "demo2")]
        voters = [*persons, *(owner(city, index) for index in CHAMBERS)]
        planned = await proposed(load, voters[0], Kind.UPGRADE, RegistrySchedule(FEATURE, 1, bytes(32)))
        await decide(load, voters, planned)
        await until(lambda: says(clients[OLD], UPGRADE_PLANNED.name), "the old program warns")
        declare = ("validator", "ready", FEATURE, "--home")
        unknown = await asyncio.to_thread(run, *declare, str(city.node(OLD).home.root))
        assert OUTDATED.name in unknown.stderr, "it does not declare what it does not know"
        assert (await clients[0].call("chain_features"))["active"] == []
        for index in (0, 1):
            await typed(city.node(index).home.root, *declare[:-1])
        before = await picture(load, [0])
        load.targets, load.at_once = [OLD], 16  # What it acknowledges up to its last moment must happen.
        async with load.running():
            await typed(city.node(2).home.root, *declare[:-1])
            await until(lambda: says(clients[OLD], OUTDATED.name), "the old program stops")
        for node in (0, 1, 2):
            await until(lambda node=node: is_active(clients[node]), "the others go on by the new rules")
        assert (await clients[OLD].status())["state"] == "outdated"
        assert (await refused_by(load, OLD)).name == POOL_NOT_READY.name
        load.targets = [0, 1, 2]
        await exactly_once(load, load.targets, before, alone=False)
        city.stop(OLD)
        city.start(OLD)
        await until(lambda: says(clients[OLD], OUTDATED.name), "a restart does not teach it")
        city.stop(OLD)
        city.start(OLD, program=ALTERED, env={"FEATURE": FEATURE})
        await city.validating(clients, *VALIDATORS)
        await load.final_everywhere(VALIDATORS)
        await equal_roots(clients)


async def says(client: Client, reason: str) -> bool:
    """Whether a node gives this reason."""
    return reason in codes(await client.status())


async def is_active(client: Client) -> bool:
    """Whether a node's epoch has the feature."""
    return FEATURE in (await client.call("chain_features"))["active"]


async def refused_by(load: Load, node: int) -> ClientError:
    """The error of a submission to a node."""
    return await refused(load.clients[node].submit(load.sign()[1]))


async def validate(load: Load, names: Sequence[str]) -> bool:
    """Whether these and nobody else validate, by every node's word."""
    records = await asyncio.gather(*(client.call("chain_validators") for client in load.clients))
    return all([row["organisation"] for row in record["validators"]] == names for record in records)


def owner(city: Network, index: int) -> Account:
    """An organisation's account."""
    home = city.node(index).home
    name = NAME if index not in VALIDATORS else f"org-{index:02}"
    key = keys.unlock(home.account_key(name), role=Role.ACCOUNT)
    return Account(account_id(key.public_key), key)


async def proposed(load: Load, by: Account, kind: Kind, message: Noun) -> int:
    """Put a message to an expedited vote; the proposal's number."""
    text = sha256(b"published elsewhere").digest()
    proposal = GovPropose(kind, (encode(message),), f"A vote on {type(message).__name__}", text, True, False)
    client = load.clients[0]
    signed = await client.sign(by, [proposal])
    await client.submit(signed.raw)
    assert (await client.wait(signed.tx_id))["outcome"] == "ok"
    found = await client.call("tx_get", tx_id=to_hex(signed.tx_id))
    return next(int(event[2]) for event in found["receipt"]["events"] if event[:2] == ["gov", "proposed"])


async def by_command(city: Network, index: int, *words: str) -> int:
    """Put a change to an expedited vote as an operator does; the proposal's number."""
    return int((await told(city.node(index).home.root, *words, *BY_VOTE))["proposal"])


async def decide(load: Load, voters: Sequence[Account], *proposals: int) -> None:
    """Everybody says yes to all of these, each at another node, and the ledger carries them out by itself."""

    async def vote(at: int, voter: Account) -> None:
        client = load.clients[load.targets[at % len(load.targets)]]
        ballots: list[Noun] = [GovVote(number, Choice.YES) for number in proposals]
        signed = await client.sign(voter, ballots)
        await client.submit(signed.raw)
        assert (await client.wait(signed.tx_id))["outcome"] == "ok"

    await asyncio.gather(*(vote(at, voter) for at, voter in enumerate(voters)))
    for number in proposals:

        async def executed(number: int = number) -> bool:
            row = await load.clients[0].call("gov_proposal", proposal=str(number))
            assert row["status"] in {"voting", "executed"}, row
            return bool(row["status"] == "executed")

        await until(executed, f"proposal {number} is carried out")


async def given_fees(city: Network, load: Load, index: int) -> Account:
    """The newcomer can pay for what it says."""
    account = (await told(city.node(index).home.root, "keys", "show", NAME))["account"]
    await typed(city.testnet.home.root, "tx", "transfer", account, FEES, "--from", "demo1")
    load.organisations.append(parse_account(account))
    return owner(city, index)


async def same_fees(load: Load, proposal: int, nodes: Sequence[int]) -> None:
    """On every node the same fee is taken up to the height of the decision, and the new one after it."""
    said = []
    for node in nodes:
        client = load.clients[node]
        last = int((await equal_roots([load.clients[each] for each in nodes]))["height"])
        blocks = await many(client, "chain_block", [{"height": str(at)} for at in range(1, last + 1)])
        rows: list[tuple[int, str, Any]] = []
        for at, block in enumerate(blocks, 1):
            events = [event for receipt in block["receipts"] for event in receipt["events"]]
            rows += [
                (at, "decided", 0) for event in events if event[:2] == ["gov", "executed"] and int(event[2]) == proposal
            ]
            own = {to_hex(sent.tx_id) for sent in load.sent}
            rows += [(at, "fee", int(receipt["fee_paid"])) for receipt in block["receipts"] if receipt["tx_id"] in own]
        said.append(rows)
    assert all(rows == said[0] for rows in said)
    (turn,) = [at for at, what, _ in said[0] if what == "decided"]
    before = {fee for at, what, fee in said[0] if what == "fee" and at <= turn}
    after = {fee for at, what, fee in said[0] if what == "fee" and at > turn}
    assert (len(before), len(after)) == (1, 1)
    assert after.pop() - before.pop() == DEARER - Params().fee_base
