"""`kill -9` at random moments of whatever a node does with its disk: what was acknowledged stays, and peers agree.

A sample in the suite; two hundred moments with `-m long`.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import CCCNODE, END_S, ROOT, Network, advance, equal_roots, height
from tests.end_to_end.waiting import a_while, until

FRUGAL = (sys.executable, "-m", "tests.end_to_end.frugal")
SETTINGS = {"storage.snapshot_blocks": 16, "storage.snapshot_behind": 40}
VALIDATORS = (0, 1, 2, 3)
VICTIM, PEER = 3, 4
KINDS = ("commit", "snapshot", "prune", "backup", "restore", "sync")
SECONDS_MAX = 1.5
"""Until the kill: longer than any of these takes here."""


class Campaign:
    """A network under load, one of whose nodes is killed again and again."""

    def __init__(self, network: Network, clients: Any, rng: Random, folder: Path) -> None:
        self.network, self.clients, self.rng, self.folder = network, clients, rng, folder
        self.load = Load(network, clients, [0, 1, 2])
        self.killed: Counter[str] = Counter()

    async def moment(self, kind: str) -> None:
        """One kill, and what must be true after it."""
        async with self.load.running():
            await advance(self.clients[0], 2)
            self.load.targets = [0, 1, 2, VICTIM]
            self.killed[await getattr(self, f"_{kind}")()] += 1
            self.load.targets = [0, 1, 2]
            for index in {VICTIM, PEER} - set(self.network.processes):
                self._start(index)
            await self.network.validating(self.clients, VICTIM)
            await until(self._follows, lambda: f"the peer follows: {self.network.log(PEER)[-2000:]}")
        await self.load.final_everywhere([0, VICTIM, PEER])
        await equal_roots(self.clients)

    def _start(self, index: int) -> None:
        self.network.start(index, program=FRUGAL)

    async def _follows(self) -> bool:
        return await height(self.clients[PEER]) + 8 >= await height(self.clients[0])

    async def _kill(self, index: int) -> None:
        """Kill a node at a random moment; its home is sound, whatever it was doing."""
        await a_while(self.rng, SECONDS_MAX)
        self.network.kill(index)
        if (self._home(index).data / "state").exists() and not (self._home(index).data / "restored").exists():
            shown = await self._command("db", "verify", "--home", str(self._home(index).root))
            assert shown["verdict"] == "sound", shown

    def _home(self, index: int) -> Any:
        return self.network.node(index).home

    # What is interrupted

    async def _commit(self) -> str:
        await self._kill(VICTIM)
        return "commit"

    async def _snapshot(self) -> str:
        asked = self._begin("snapshot", "create", "--node", str(VICTIM), "--home", str(self.network.testnet.home.root))
        await self._kill(VICTIM)
        await self._end(asked)
        return "snapshot"

    async def _prune(self) -> str:
        before = await self._earliest()

        async def pruned() -> bool:
            return await self._earliest() != before

        await until(pruned, lambda: f"it prunes: {self.network.log(VICTIM)[-1000:]}")
        await self._kill(VICTIM)
        return "prune"

    async def _earliest(self) -> str:
        status = await self.clients[VICTIM].status()
        return str(status["earliest"]["blocks"])

    async def _backup(self) -> str:
        """The node, or whoever writes the backup; then the folder has the earlier backup or the new one."""
        arguments = ("db", "backup", str(self.folder), "--home", str(self._home(VICTIM).root))
        writing = self._begin(*arguments)
        what = self.rng.choice(["backup (node)", "backup (writer)"])
        if what == "backup (node)":
            await self._kill(VICTIM)
        else:
            await a_while(self.rng, SECONDS_MAX)
            writing.send_signal(signal.SIGKILL)
        await self._end(writing)
        if (self.folder / "manifest.json").exists():
            assert (await self._command("db", "verify", str(self.folder)))["verdict"] == "sound"
        await self._command(*arguments)
        assert (await self._command("db", "verify", str(self.folder)))["verdict"] == "sound"
        return what

    async def _restore(self) -> str:
        """Half a restore is none: the peer has what it had, or what was restored."""
        if not (self.folder / "manifest.json").exists():
            await self._command("db", "backup", str(self.folder), "--home", str(self._home(VICTIM).root))
        self.network.stop(PEER)
        arguments = ("db", "restore", str(self.folder), "--replace", "--home", str(self._home(PEER).root))
        writing = self._begin(*arguments)
        await a_while(self.rng, SECONDS_MAX)
        writing.send_signal(signal.SIGKILL)
        await self._end(writing)
        if self.rng.random() < 0.5:
            await self._command(*arguments)
        return "restore"

    async def _sync(self) -> str:
        """A peer without data is killed on its way to the tip."""
        self.network.stop(PEER)
        shutil.rmtree(self._home(PEER).data)
        self._start(PEER)
        await self._kill(PEER)
        return "sync"

    # Commands

    def _begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([*CCCNODE, *arguments], cwd=ROOT, env=env, start_new_session=True, **quiet)

    async def _end(self, process: subprocess.Popen[bytes]) -> None:
        await asyncio.to_thread(process.wait, END_S)

    async def _command(self, *arguments: str) -> Any:
        """What a command that must succeed prints."""
        process = await asyncio.create_subprocess_exec(
            *CCCNODE,
            *arguments,
            "--output",
            "json",
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), END_S)
        assert process.returncode == 0, f"{arguments}: {out.decode()}{err.decode()}"
        return json.loads(out)


async def campaign(network: Network, folder: Path, *, seed: int, kinds: list[str]) -> Counter[str]:
    """Kill at each of these; say what was killed how often."""
    for index in (VICTIM, PEER):
        config = network.node(index).home.config_file
        text = config.read_text() + '\n[retention]\nblocks = "24 blocks"\n'
        if index == VICTIM:  # The validator gets to the tip block by block, the peer by a snapshot.
            text = text.replace("snapshot_behind = 40", "snapshot_behind = 0")
        config.write_text(text)
    network.start(0, 1, 2)
    network.start(VICTIM, PEER, program=FRUGAL)
    async with network.clients() as clients:
        await network.validating(clients, *VALIDATORS)
        found = Campaign(network, clients, Random(seed), folder)
        before = await picture(found.load, [0])
        for kind in kinds:
            await found.moment(kind)
        await exactly_once(found.load, [0, 1, 2], before)
        await equal_roots(clients)
    return found.killed


@pytest.mark.timeout(400)
async def test_killed_at_anything(networks: Callable[..., Network], tmp_path: Path) -> None:
    """Four moments: while it commits, while it is backed up, while that is restored, on its way to the tip."""
    network = networks(validators=4, peers=1, settings=SETTINGS)
    kinds = ["commit", "backup", "restore", "sync"]
    killed = await campaign(network, tmp_path / "backup", seed=0, kinds=kinds)
    assert sum(killed.values()) == len(kinds)


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("seed", range(1, 21))
async def test_killed_two_hundred_times(networks: Callable[..., Network], tmp_path: Path, seed: int) -> None:
    """Ten moments of each of twenty seeds: two hundred kills, each kind about as often as the others."""
    network = networks(validators=4, peers=1, settings=SETTINGS)
    kinds = [KINDS[at % len(KINDS)] for at in range(10 * seed, 10 * seed + 10)]
    Random(seed).shuffle(kinds)
    killed = await campaign(network, tmp_path / "backup", seed=seed, kinds=kinds)
    assert sum(killed.values()) == 10
