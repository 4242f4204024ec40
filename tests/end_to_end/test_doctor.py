"""`cccnode doctor` beside real processes in which one thing is wrong: it names the cause, and those whom it concerns.

It is asked as an operator asks: all nodes together, and one alone.
"""

import asyncio
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cccnode.cli.output import FAILED, OK, TEMPORARY
from cccnode.doctor.absence import DISK_FULL_MB
from cccnode.types import errors
from tests.end_to_end.conftest import VALIDATORS
from tests.end_to_end.load import Load
from tests.end_to_end.processes import SHIFTED, Network, advance, run
from tests.end_to_end.test_disks import small_disk
from tests.end_to_end.waiting import until
from tests.support.proxy import Line, Passage

ALTERED = (sys.executable, "-m", "tests.end_to_end.altered")
HOUR_MS = 3_600_000
FAR_MS = 500
"""A delay that is worth a word: twice Δ there and back."""
OTHERS = [0, 1, 2]
BLOCKED = {"stalled", "isolated", "not_running"}
TRIES = 60
"""So often the doctor is asked, which takes about a second each time."""
PIECE = bytes(1 << 20)

Named = tuple[str, list[int]]
"""The code of a cause and the validators it names."""
Cause = Mapping[str, Any]


def ask(network: Network, *nodes: int, lang: str = "en") -> tuple[int, dict[str, Any]]:
    """Exit code and answer of the command, for these nodes or for all of the network."""
    named = [word for node in nodes for word in ("--node", str(node))]
    home = ("--home", str(network.testnet.home.root))
    done = run("doctor", *home, *named, "--output", "json", "--lang", lang)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


async def diagnosed(network: Network, verdict: str, *causes: Named, nodes: Sequence[int] = ()) -> list[Cause]:
    """Ask until exactly this is said; every answer has the right exit code, names and a remedy."""
    wanted = verdict, list(causes)
    heard: list[tuple[str, list[Named]]] = []
    """What was said instead, each once."""

    async def said() -> list[Cause]:
        code, answer = await asyncio.to_thread(ask, network, *nodes)
        assert code == (FAILED if answer["verdict"] in BLOCKED else OK), answer
        for cause in answer["causes"]:
            assert cause["text"]
            assert cause["remedy"]
            assert all(row["organisation"] == f"org-{row['index']:02}" for row in cause["validators"]), cause
        now = answer["verdict"], [(cause["code"], _places(cause["validators"])) for cause in answer["causes"]]
        if now == wanted:
            return [answer, *answer["causes"]]
        if now not in heard:
            heard.append(now)
        return []

    try:
        return (await until(said, f"{nodes or 'all'} say {wanted}", tries=TRIES))[1:]
    except AssertionError as never:
        never.add_note(f"the doctor said {heard}")
        raise


def _places(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """The validators that rows name; numbers in evidence are strings."""
    return [int(row["index"]) for row in rows]


# Nothing wrong


async def test_nothing_wrong(town: Network, wired: Load) -> None:
    """Without work the network is idle, which nobody is blamed for; with work it is healthy, and no cause is named."""
    (idle,) = await diagnosed(town, "idle", ("doctor/IDLE", []))
    assert "heartbeat_ms" in idle["evidence"]
    async with wired.running():
        await advance(wired.clients[0])
        assert await diagnosed(town, "healthy") == []
        assert await diagnosed(town, "healthy", nodes=[3]) == []


# Validators that are not there


async def test_two_of_four_killed(city: Network, well: Load) -> None:
    """Both are named, by all together and by one survivor; in Thai too."""
    city.kill(2, 3)
    try:
        for nodes in (VALIDATORS, [0]):
            (cause,) = await diagnosed(city, "stalled", ("doctor/OFFLINE", [2, 3]), nodes=nodes)
            numbers = [cause["evidence"][name] for name in ("available", "needed", "validators")]
            assert numbers == ["2", "3", "4"]
            assert not any(row["connected"] for row in cause["evidence"]["seen"])
        code, thai = await asyncio.to_thread(ask, city, 0, lang="th")
        assert (code, thai["verdict"], thai["causes"][0]["code"]) == (FAILED, "stalled", "doctor/OFFLINE")
        assert thai["causes"][0]["text"] == errors.OFFLINE.th
        assert thai["causes"][0]["remedy"] == errors.OFFLINE.remedy_th
    finally:
        city.start(2, 3)
    await city.validating(well.clients, *VALIDATORS)


async def test_frozen(town: Network, wired: Load) -> None:
    """A process that hangs keeps its connections and says nothing: it is offline, and its process is named."""
    async with wired.running():
        wired.targets = OTHERS
        await advance(wired.clients[0])
        town.freeze(3)
        (cause,) = await diagnosed(town, "degraded", ("doctor/OFFLINE", [3]))
        (seen,) = cause["evidence"]["seen"]
        assert (seen["found"], seen["process"]) == ("doctor/NOT_ANSWERING", str(town.processes[3].pid))
        await diagnosed(town, "degraded", ("doctor/OFFLINE", [3]), nodes=[0])
    town.thaw(3)
    await town.validating(wired.clients, 3)


# Lines


async def test_two_against_two(town: Network, wired: Load) -> None:
    """All nodes together know both sides; one alone names the other side, and says that it sees one side only."""
    async with wired.running():
        wired.targets = []
        with town.proxy.laid(Line(passage=Passage.HELD), [0, 1], [2, 3]):
            (cause,) = await diagnosed(town, "stalled", ("doctor/PARTITION", [0, 1, 2, 3]))
            assert cause["evidence"]["sides"] == [["0", "1"], ["2", "3"]]
            assert "seen_from" not in cause["evidence"]
            for node, other in ((0, [2, 3]), (3, [0, 1])):
                (cause,) = await diagnosed(town, "stalled", ("doctor/PARTITION", other), nodes=[node])
                assert cause["evidence"]["sides"][1] == list(map(str, other))
                assert cause["evidence"]["seen_from"] == "one side only"
        with town.proxy.laid(Line(passage=Passage.CUT), [0, 1], [2, 3]):
            await diagnosed(town, "stalled", ("doctor/PARTITION", [0, 1, 2, 3]))
    await town.validating(wired.clients, *VALIDATORS)


async def test_slow(town: Network, wired: Load) -> None:
    """A validator behind a long line is slow, whoever is asked, itself too; its round trips are the evidence."""
    with town.proxy.laid(Line(delay_ms=FAR_MS), [3]):
        for nodes in ([], [0], [3]):

            async def told(nodes: Sequence[int] = nodes) -> bool:
                """Slowness may show in late reports before the first ping has gone over the long line."""
                (cause,) = await diagnosed(town, "degraded", ("doctor/SLOW", [3]), nodes=nodes)
                return int(cause["evidence"]["seen"][0]["rtt_ms"]) >= FAR_MS // 2

            await until(told, f"{nodes or 'all'} have measured the round trip", tries=TRIES)
    await town.validating(wired.clients, *VALIDATORS)


# Machines that are not as the others


async def test_other_clock_and_other_version(town: Network, wired: Load) -> None:
    """A clock an hour ahead is named with its offset, by that machine too; another program beside it is named too."""
    clock, version = ("doctor/WRONG_CLOCK", [3]), ("doctor/OTHER_VERSION", [2])
    town.stop(3)
    town.start(3, program=SHIFTED, env={"SHIFT_MS": str(HOUR_MS)})
    for nodes, mine in (((), None), ((0,), False), ((3,), True)):
        (cause,) = await diagnosed(town, "degraded", clock, nodes=nodes)
        (row,) = cause["evidence"]["clocks"]
        assert abs(int(row["ahead_ms"]) - HOUR_MS) < HOUR_MS / 100
        assert cause["evidence"].get("this_machine") is mine
        assert "NTP" in cause["remedy"]
    town.stop(2)
    town.start(2, program=ALTERED, env={"VERSION": "0.0.9"})
    for nodes in ((), (2,)):
        _, cause = await diagnosed(town, "degraded", clock, version, nodes=nodes)
        assert cause["evidence"]["versions"] == [{"index": "2", "version": "0.0.9"}]
    town.stop(2, 3)
    town.start(2, 3)
    await town.validating(wired.clients, 2, 3)


async def test_other_root(networks: Callable[..., Network]) -> None:
    """A program that takes another fee has other results: the odd one is named, by itself too, with both roots."""
    village = networks(validators=4)
    village.start(*OTHERS)
    village.start(3, program=ALTERED, env={"FEE_MORE": "1"})
    async with village.clients() as clients:
        await village.validating(clients, *VALIDATORS)
        load = Load(village, clients, OTHERS)
        async with load.running():
            for nodes in ((0,), (), (3,)):
                (cause,) = await diagnosed(village, "degraded", ("doctor/OTHER_ROOT", [3]), nodes=nodes)
                assert set(cause["evidence"]["majority"]) <= {"0", "1", "2"}
                odd, usual = cause["evidence"]["roots"]
                assert (odd["index"], usual["index"]) == ("3", cause["evidence"]["majority"][0])
                assert odd["state_root"] != usual["state_root"]
                assert ("detail" in cause["evidence"]) is (nodes != (0,)), "what the odd one says of itself"


@pytest.mark.needs("mount")
async def test_full_disk(networks: Callable[..., Network]) -> None:
    """Little space is a warning; a validator that stopped for want of it is named with that reason, not as offline."""
    village = networks(validators=4)
    home = village.node(3).home.root
    aside = home.with_name("aside")
    home.rename(aside)
    with small_disk(home, f"{2 * DISK_FULL_MB}m"):
        shutil.copytree(aside, home, dirs_exist_ok=True)
        try:
            await _fills_up(village, home / "ballast")
        finally:
            village.stop_all()


async def _fills_up(village: Network, ballast: Path) -> None:
    village.start(*VALIDATORS)
    async with village.clients() as clients:
        await village.validating(clients, *VALIDATORS)
        load = Load(village, clients, OTHERS)
        async with load.running():
            (cause,) = await diagnosed(village, "degraded", ("doctor/DISK_LOW", [3]))
            assert int(cause["evidence"]["disks"][0]["free_mb"]) < 2 * DISK_FULL_MB
            _fill(ballast)
            assert await asyncio.to_thread(village.exit_code, 3) == TEMPORARY
            for nodes in ((), (0,)):
                (cause,) = await diagnosed(village, "degraded", ("home/DISK_FULL", [3]), nodes=nodes)
                assert "last_words" in cause["evidence"]["seen"][0]
                assert "Free space" in cause["remedy"]


def _fill(ballast: Path) -> None:
    """Take all space, as a neighbour's file would."""
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(PIECE)
