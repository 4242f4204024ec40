"""Which bodies are valid (J2, J5)."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from cccnode.ingress import checked_batch
from cccnode.ledger.validity import CheckedBatch, check_body, check_window, ends_epoch
from cccnode.types.block import Header, body_root
from cccnode.types.errors import BLOCK_INVALID, Fault
from cccnode.types.limits import BLOCK_WEIGHT_MAX
from cccnode.types.validators import Limits
from tests.support.city import City


def _batches(city: City, *sizes: int) -> list[CheckedBatch]:
    return [checked_batch([city.verified(city.sign(city.transfer())) for _ in range(size)]) for size in sizes]


def _header(city: City, batches: Sequence[CheckedBatch], **changes: object) -> Header:
    true = {
        "body_root": body_root(tuple(batch.id for batch in batches)),
        "tx_count": sum(len(batch.transactions) for batch in batches),
        "body_bytes": sum(batch.size for batch in batches),
    }
    return replace(city.next_header(), **(true | changes))


def test_body() -> None:
    """A body that is what its header announces is valid; so is an empty one."""
    city = City()
    batches = _batches(city, 1, 3)

    check_body(_header(city, batches), [batch.id for batch in batches], batches)
    check_body(_header(city, []), [], [])


@pytest.mark.parametrize("changes", [{"body_root": bytes(32)}, {"tx_count": 5}, {"body_bytes": 1}])
def test_invalid_announcement(changes: dict[str, object]) -> None:
    """A header that announces another root, count or size is invalid."""
    city = City()
    batches = _batches(city, 1, 3)
    with pytest.raises(Fault) as caught:
        check_body(_header(city, batches, **changes), [batch.id for batch in batches], batches)

    assert (BLOCK_INVALID, *changes) == (caught.value.spec, caught.value.values["rule"])


def _rule(header: Header, body: Sequence[bytes], batches: Sequence[CheckedBatch]) -> object:
    with pytest.raises(Fault) as caught:
        check_body(header, body, batches)
    assert caught.value.spec is BLOCK_INVALID
    return caught.value.values["rule"]


def test_invalid_bodies() -> None:
    """A batch listed twice, other batches than listed, and too many of anything are each named."""
    city = City()
    one, two = _batches(city, 1, 2)
    heavy = [CheckedBatch(id=bytes([n]) * 32, transactions=(), size=0, weight=BLOCK_WEIGHT_MAX) for n in range(2)]
    large = CheckedBatch(id=b"l" * 32, transactions=(), size=4 * 1024 * 1024 + 1, weight=0)
    many = [CheckedBatch(id=n.to_bytes(32, "big"), transactions=(), size=0, weight=0) for n in range(4_097)]

    assert "a batch is listed twice" == _rule(_header(city, [one, one]), [one.id, one.id], [one, one])
    assert "batches differ from the body" == _rule(_header(city, [one]), [one.id], [two])
    assert "weight" == _rule(_header(city, heavy), [batch.id for batch in heavy], heavy)
    assert "body_bytes" == _rule(_header(city, [large]), [large.id], [large])
    assert "batches" == _rule(_header(city, many), [batch.id for batch in many], many)


@pytest.mark.parametrize(("edge", "valid"), [(0, True), (1, False)])
def test_window_total(edge: int, valid: bool) -> None:
    """Transactions of blocks inside the window count, those at its edge do not (J5)."""
    limits = Limits(tx_lifetime_max_ms=1_000, window_tx_max=100)
    header = replace(City().next_header(), time_ms=5_000, tx_count=10)
    ancestors = [(4_500, 50), (4_001, 40), (4_000 + edge, 1), (3_000, 99)]
    if valid:
        check_window(header, ancestors, limits)
        return
    with pytest.raises(Fault) as caught:
        check_window(header, ancestors, limits)

    assert (BLOCK_INVALID, 101) == (caught.value.spec, caught.value.values["found"])


START = 100
START_MS = 1_000_000


@pytest.mark.parametrize(
    ("changes", "limits", "due", "ends"),
    [
        ({"height": 130, "exec_height": 128}, Limits(), False, False),
        ({"height": 109, "exec_height": 108}, Limits(epoch_blocks=10), False, False),
        ({"height": 110, "exec_height": 108}, Limits(epoch_blocks=10), False, True),
        ({"height": 111, "exec_height": 100}, Limits(epoch_blocks=10), False, True),
        ({"time_ms": START_MS + 9_999}, Limits(epoch_ms=10_000), False, False),
        ({"time_ms": START_MS + 10_000}, Limits(epoch_ms=10_000), False, True),
        ({"height": 102, "exec_height": 100}, Limits(), True, True),
        ({"height": 102, "exec_height": 99}, Limits(), True, False),
        ({"height": 102, "exec_height": 99, "time_ms": START_MS + 10_000}, Limits(epoch_ms=10_000), False, False),
        ({"height": 116, "exec_height": 99}, Limits(epoch_blocks=10), True, False),
    ],
)
def test_which_block_is_the_last_of_its_epoch(changes: dict[str, int], limits: Limits, due: bool, ends: bool) -> None:
    """By its height, its time or a change that is due in the state at E; never while E lies before the epoch (J11)."""
    start = replace(City().next_header(), height=START, time_ms=START_MS)
    true = {"height": 101, "exec_height": 100, "time_ms": START_MS + 1}
    header = replace(start, **(true | changes))

    assert ends is ends_epoch(header, start=start, limits=limits, due=due)
