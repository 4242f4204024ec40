"""A validator loses data that it cannot fetch again: it follows, says why it does not vote, and signs nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.end_to_end.load import Load, exactly_once, picture
from tests.end_to_end.processes import Network, advance, codes, equal_roots, height, signed_by
from tests.end_to_end.waiting import until


async def test_wiped_validator(networks: Callable[..., Network]) -> None:
    """Without its data/ a validator returns by itself as an observer; what only it had is provably expired."""
    city = networks(validators=4)
    city.start(0, 1, 2, 3)
    async with city.clients() as clients:
        await city.validating(clients, 0, 1, 2, 3)
        load = Load(city, clients, [0, 1, 2, 3])
        before = await picture(load, [0])
        async with load.running():
            await advance(clients[0], 10)
            load.targets = []
            city.kill(0, 1, 2)
            only_here = await load.send(3, lifetime_ms=15_000)
            assert only_here.acknowledged
            city.kill(3)
            shutil.rmtree(city.node(3).home.data)
            city.start(0, 1, 2, 3)
            status = await city.observing(clients, 3, "consensus/JOURNAL_LOST")
            assert status["reasons"][0]["remedy"]
            await city.validating(clients, 0, 1, 2)
            back = await height(clients[0])
            load.targets = [0, 1, 2, 3]
            for node in (0, 1, 2, 3):
                assert (await load.decided(node, only_here))["state"] == "expired"
            await advance(clients[0], 20)
            await load.final_everywhere([3, 0, 1, 2])
        await exactly_once(load, [0, 1, 2, 3], before, lost=[only_here])
        await equal_roots(clients)
        signers = await signed_by(clients[0], back + 1, await height(clients[0]))
        assert signers == {0, 1, 2}
        assert "observing" in city.log(3)

        city.kill(1)
        assert (await load.send(0)).acknowledged

        async def stalled() -> list[dict[str, Any]]:
            reasons = (await clients[0].status())["reasons"]
            return [reason for reason in reasons if reason["code"] == "consensus/NO_QUORUM"]

        (reason,) = await until(stalled, "node 0 says that an observer makes no quorum")
        assert reason["details"] == {"voting": "2", "needed": "3", "silent": "1 (org-01), 3 (org-03)"}


async def test_damaged_journal(city: Network, well: Load) -> None:
    """A journal damaged in the middle keeps the validator from signing; the file stays as it is for inspection."""
    async with well.running():
        await advance(well.clients[0], 8)
        city.stop(3)
        file = _journal(city, 3)
        sound = file.read_bytes()
        damaged = bytearray(sound)
        damaged[len(sound) // 2] ^= 0xFF
        file.write_bytes(damaged)
        well.targets = [0, 1, 2]
        city.start(3)
        status = await city.observing(well.clients, 3, "storage/JOURNAL_CORRUPT")
        assert "Keep the file" in status["reasons"][0]["remedy"]
        back = await height(well.clients[0])
        await advance(well.clients[0], 12)
        await well.final_everywhere([0, 1, 2, 3])
        assert 3 not in await signed_by(well.clients[0], back + 1, await height(well.clients[0]))
        city.stop(3)
        assert file.read_bytes() == damaged
        file.write_bytes(sound)  # the disk was at fault, not the file; nothing was signed in between
        city.start(3)
        await city.validating(well.clients, 3)
    await equal_roots(well.clients[:4])


async def test_deleted_journal(city: Network, well: Load) -> None:
    """A journal whose files are gone was not always empty: the validator observes, also where the folder is left."""
    await well.final_everywhere([0, 1, 2, 3])
    city.stop(3)
    file = _journal(city, 3)
    sound = file.read_bytes()
    file.unlink()
    city.start(3)
    await city.observing(well.clients, 3, "consensus/JOURNAL_LOST")
    await well.final_everywhere([0, 1, 2, 3])
    city.stop(3)
    assert list(file.parent.iterdir()) == []
    file.write_bytes(sound)  # found again: nothing was signed in between
    city.start(3)
    await city.validating(well.clients, 3)
    await equal_roots(well.clients[:4])


async def test_torn_journal(city: Network, well: Load) -> None:
    """A record that was half written when the power went is cut off: the validator recovers and signs."""
    async with well.running():
        await advance(well.clients[0], 8)
        city.kill(2)
        file = _journal(city, 2)
        whole = file.read_bytes()
        length = int.from_bytes(whole[:4])
        file.write_bytes(whole + whole[: 8 + length // 2])
        city.start(2)
        await city.validating(well.clients, 2)
        back = await height(well.clients[0])

        async def signs() -> bool:
            return 2 in await signed_by(well.clients[0], back, await height(well.clients[0]))

        await until(signs, "node 2 signs again")
    assert file.read_bytes().startswith(whole)
    assert "storage/JOURNAL_CORRUPT" not in codes(await well.clients[2].status())
    await equal_roots(well.clients[:4])


def _journal(city: Network, index: int) -> Path:
    return max((city.node(index).home.data / "journal" / "0").glob("*.log"))
