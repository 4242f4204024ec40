"""Lots from the field to the table: who may do what with them, and that goods only become less (modules.md 3.7)."""

import pytest
from msgspec.structs import replace

from cccnode.city.provenance import (
    PrvAccept,
    PrvConsume,
    PrvCorrect,
    PrvCreateLot,
    PrvEvent,
    PrvMerge,
    PrvOffer,
    PrvRecall,
    PrvReject,
    PrvSensor,
    PrvSplit,
    PrvTransform,
    PrvTripEnd,
    PrvTripStart,
)
from cccnode.city.provenance.messages import Input, Observation, Output
from cccnode.city.provenance.rules import shortened
from cccnode.city.provenance.state import TRAIL_MAX, Params, Sale, write_lot
from cccnode.city.provenance.words import (
    QUANTITY_MAX,
    Action,
    Disposition,
    EventKind,
    LotStatus,
    Reason,
    Step,
    Unit,
)
from cccnode.types.errors import Fault
from tests.city.market.fair import DAY_MS, Fair

HASH = b"\x05" * 32
SKEW = Params().skew_ms


@pytest.fixture
def fair() -> Fair:
    return Fair()


@pytest.fixture
def lot(fair: Fair) -> int:
    return fair.grow()


def seen(fair: Fair, at_ms: int | None = None, step: Step = Step.INSPECTING) -> Observation:
    return Observation(step, Disposition.CONFORMANT, fair.now if at_ms is None else at_ms, 420, "w4rqf", HASH)


def made(fair: Fair, at_ms: int) -> PrvCreateLot:
    return PrvCreateLot("rice", Unit.GRAM, 5, "", at_ms, (HASH,))


def test_a_new_lot(fair: Fair, lot: int) -> None:
    """Origin and holder are its maker; its chain begins with an ADD."""
    told = fair.ask("prv_trace", lot)

    assert fair.address("farmer-1") == told.lot.origin == told.lot.holder == fair.ask("prv_holder", lot).holder
    assert [(EventKind.OBJECT, Action.ADD, Step.COMMISSIONING)] == [
        (row.event.kind, row.event.action, row.event.step) for row in told.events
    ]
    assert told.events[-1].id == told.lot.head


@pytest.mark.parametrize(("offset", "error"), [(-30 * DAY_MS - 1, "TIME"), (SKEW + 1, "TIME"), (SKEW, "")])
def test_claimed_times(fair: Fair, offset: int, error: str) -> None:
    """A claimed time may lie 30 days back and five minutes ahead, and not a millisecond more."""
    at_ms = fair.now + 1_000 + offset

    assert (f"provenance/{error}" if error else "ok") == fair.do("farmer-1", made(fair, at_ms))


def test_only_producers_make_lots(fair: Fair) -> None:
    """Whoever lacks the role brings nothing in."""
    assert "provenance/NOT_A_PRODUCER" == fair.do("consumer-1", made(fair, fair.now))


def test_observations(fair: Fair, lot: int) -> None:
    """Its holder may write down what he sees, where it is now; nobody else may."""
    fair.good("farmer-1", PrvEvent(lot, seen(fair)))

    assert ("w4rqf", 2) == (fair.lot(lot).geo, fair.lot(lot).events)
    assert "provenance/NOT_HOLDER" == fair.do("farmer-2", PrvEvent(lot, seen(fair)))
    assert "provenance/UNKNOWN_LOT" == fair.do("farmer-1", PrvEvent(9, seen(fair)))
    assert "provenance/TIME" == fair.do("farmer-1", PrvEvent(lot, seen(fair, fair.now + DAY_MS)))
    fair.good("farmer-1", PrvConsume(lot, 500_000, False))
    assert "provenance/STATUS" == fair.do("farmer-1", PrvEvent(lot, seen(fair)))


def test_split(fair: Fair, lot: int) -> None:
    """Parts and rest together are what was divided; a lot without a rest is done."""
    fair.good("farmer-1", PrvSplit(lot, (100_000, 50_000)))
    assert [350_000, 100_000, 50_000] == [fair.lot(number).quantity for number in (1, 2, 3)]
    assert ((1,), 2) == (fair.lot(2).parents, fair.lot(1).children)
    assert "provenance/MASS" == fair.do("farmer-1", PrvSplit(lot, (350_000, 1)))
    fair.good("farmer-1", PrvSplit(lot, (350_000,)))
    assert LotStatus.SPLIT is fair.lot(lot).status
    assert "provenance/STATUS" == fair.do("farmer-1", PrvSplit(lot, (1,)))
    assert [] == fair.broken()


def test_merge(fair: Fair, lot: int) -> None:
    """Lots of one origin become one; those of two farmers, two goods or the same number twice do not."""
    other, corn = fair.grow(7), fair.grow(7, commodity="corn")
    strange = fair.grow(7, "farmer-2")
    assert "ok" == fair.hand(strange, "farmer-2", "farmer-1")

    for numbers in ((lot, corn), (lot, strange), (lot, lot)):
        assert "provenance/NOT_ALIKE" == fair.do("farmer-1", PrvMerge(numbers))
    fair.good("farmer-1", PrvMerge((lot, other)))
    assert (500_007, (lot, other)) == (fair.lot(5).quantity, fair.lot(5).parents)
    assert LotStatus.MERGED is fair.lot(lot).status is fair.lot(other).status
    assert [] == fair.broken()


def test_merged_mass_is_bounded(fair: Fair) -> None:
    """Nobody makes a lot larger than a lot may be."""
    first, second = fair.grow(QUANTITY_MAX), fair.grow(QUANTITY_MAX)

    assert "provenance/MASS" == fair.do("farmer-1", PrvMerge((first, second)))


def cooked(lot: int, take: int = 1_000, give: int = 1_000, factor: int = 1_000, pieces: int = 0) -> PrvTransform:
    outputs = (Output("flour", Unit.GRAM, give, 1_000),)
    if pieces:
        outputs += (Output("cake", Unit.PIECE, pieces, factor),)
    return PrvTransform((Input(lot, take, 1_000),), outputs, HASH, "")


def test_transform(fair: Fair, lot: int) -> None:
    """Goods become other goods, whose origin is whoever made them and whose ancestors are known."""
    fair.good("farmer-1", cooked(lot, 1_000, 600, 40_000, pieces=10))

    assert [(600, Unit.GRAM), (10, Unit.PIECE)] == [(fair.lot(n).quantity, fair.lot(n).unit) for n in (2, 3)]
    assert (499_000, 1_000) == (fair.lot(lot).quantity, fair.lot(lot).transformed)
    told = fair.ask("prv_trace", 2)
    assert [1] == [row.lot for row in told.ancestors]
    assert [2, 3] == [row.lot for row in fair.ask("prv_trace", 1).descendants]
    fair.good("farmer-1", cooked(lot, 499_000, 1))
    assert LotStatus.TRANSFORMED is fair.lot(lot).status
    assert [] == fair.broken()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (cooked(1, 1_000, 1_001), "MASS"),
        (cooked(1, 500_001, 1), "MASS"),
        (cooked(1, 1_000, 600, 40_001, pieces=10), "MASS"),
        (PrvTransform((Input(1, 5, 2_000),), (Output("flour", Unit.GRAM, 6, 1_000),), HASH, ""), "MASS"),
        (PrvTransform((Input(1, 5, 1_000),), (Output("flour", Unit.GRAM, 6, 500),), HASH, ""), "MASS"),
        (PrvTransform(2 * (Input(1, 5, 1_000),), (Output("flour", Unit.GRAM, 6, 1_000),), HASH, ""), "NOT_ALIKE"),
    ],
)
def test_invalid_transform(fair: Fair, lot: int, message: PrvTransform, error: str) -> None:
    """Nobody makes more than went in, a gram is a gram, and no lot goes in twice."""
    assert f"provenance/{error}" == fair.do("farmer-1", message)


def test_consume(fair: Fair, lot: int) -> None:
    """What is used up or destroyed is gone, and accounted for."""
    fair.good("farmer-1", PrvConsume(lot, 100, False))
    assert "provenance/MASS" == fair.do("farmer-1", PrvConsume(lot, 499_901, True))
    fair.good("farmer-1", PrvConsume(lot, 499_900, True))

    assert (LotStatus.DESTROYED, 500_000) == (fair.lot(lot).status, fair.lot(lot).consumed)
    other = fair.grow(5)
    fair.good("farmer-1", PrvConsume(other, 5, False))
    assert LotStatus.CONSUMED is fair.lot(other).status
    assert [] == fair.broken()


def test_handover(fair: Fair, lot: int) -> None:
    """It takes two signatures; what did not arrive is lost, and the chain says so."""
    fair.good("farmer-1", PrvOffer(lot, fair.address("company-2"), 0))
    assert "provenance/OFFERED" == fair.do("farmer-1", PrvSplit(lot, (1,)))
    assert "provenance/OFFERED" == fair.do("farmer-1", PrvOffer(lot, fair.address("farmer-2"), 0))
    assert "provenance/NOT_OFFERED" == fair.do("farmer-2", PrvAccept(lot, 5, None))
    assert "provenance/MASS" == fair.do("company-2", PrvAccept(lot, 500_001, None))
    events = fair.good("company-2", PrvAccept(lot, 499_000, HASH))

    assert ("provenance", "mismatch", lot, 1_000) in [event[:4] for event in events]
    assert (fair.address("company-2"), 499_000, 1_000) == (
        fair.lot(lot).holder,
        fair.lot(lot).quantity,
        fair.lot(lot).lost,
    )
    assert Disposition.MISMATCH_QUANTITY is fair.ask("prv_trace", lot).events[-1].event.disposition
    assert "provenance/NOT_HOLDER" == fair.do("farmer-1", PrvSplit(lot, (1,)))
    assert [] == fair.broken()


def test_nothing_arrived(fair: Fair, lot: int) -> None:
    """Who finds nothing says so; the lot is lost and goes no further."""
    assert "ok" == fair.hand(lot, "farmer-1", "company-2", observed=0)

    assert (LotStatus.LOST, 500_000) == (fair.lot(lot).status, fair.lot(lot).lost)
    assert "provenance/STATUS" == fair.do("company-2", PrvOffer(lot, fair.address("farmer-1"), 0))
    assert [] == fair.broken()


@pytest.mark.parametrize("target", ["farmer-1", "m:treasury", "nobody"])
def test_invalid_target(fair: Fair, lot: int, target: str) -> None:
    """Nobody offers goods to himself, to a module, or to nobody."""
    address = bytes(20) if target == "nobody" else fair.address(target)

    assert "provenance/TARGET" == fair.do("farmer-1", PrvOffer(lot, address, 0))


@pytest.mark.parametrize("who", ["farmer-1", "company-2"])
def test_reject(fair: Fair, lot: int, who: str) -> None:
    """Either side ends an offer; a third one does not."""
    fair.good("farmer-1", PrvOffer(lot, fair.address("company-2"), 0))
    assert "provenance/NOT_OFFERED" == fair.do("farmer-2", PrvReject(lot))
    fair.good(who, PrvReject(lot))

    assert "provenance/NOT_OFFERED" == fair.do("company-2", PrvAccept(lot, 5, None))
    assert "provenance/NOT_OFFERED" == fair.do("farmer-1", PrvReject(lot))


def test_offers_expire(fair: Fair, lot: int) -> None:
    """After three days an offer is over at that millisecond, and swept with an event."""
    fair.good("farmer-1", PrvOffer(lot, fair.address("company-2"), 0))
    expires = fair.ask("prv_trace", lot).offer.expires_ms
    assert expires == fair.now + 3 * DAY_MS
    code, events = fair.told("company-2", PrvAccept(lot, 5, None), at_ms=expires)

    assert "provenance/NOT_OFFERED" == code
    assert ("provenance", "offer_expired") in [event[:2] for event in events]
    assert fair.ask("prv_holder", lot).offered_to is None
    assert "ok" == fair.hand(lot, "farmer-1", "company-2")


def test_an_old_deadline_ends_no_new_offer(fair: Fair, lot: int) -> None:
    """An offer that replaced another one lives its own three days."""
    fair.good("farmer-1", PrvOffer(lot, fair.address("company-2"), 0))
    first = fair.ask("prv_trace", lot).offer.expires_ms
    fair.good("farmer-1", PrvReject(lot))
    fair.good("farmer-1", PrvOffer(lot, fair.address("company-2"), 0), at_ms=fair.now + DAY_MS)
    fair.wait(first + 1)

    assert fair.address("company-2") == fair.ask("prv_holder", lot).offered_to


def test_correct(fair: Fair, lot: int) -> None:
    """A wrong event stays, with its correction behind it; it is corrected once, the replacement again."""
    fair.good("farmer-1", PrvEvent(lot, seen(fair)))
    right = replace(seen(fair), disposition=Disposition.DAMAGED)
    fair.good("farmer-1", PrvCorrect(lot, 2, Reason.INCORRECT_DATA, right))
    told = fair.ask("prv_trace", lot).events

    assert [0, 3, 0, 0] == [row.corrected_by for row in told]
    assert [(2, Reason.INCORRECT_DATA), (2, None)] == [(row.event.corrects, row.event.reason) for row in told[2:]]
    assert Disposition.CONFORMANT is told[1].event.disposition
    assert "provenance/CORRECTED" == fair.do("farmer-1", PrvCorrect(lot, 2, Reason.DID_NOT_OCCUR, None))
    assert "provenance/NOT_SIGNER" == fair.do("farmer-2", PrvCorrect(lot, 4, Reason.DID_NOT_OCCUR, None))
    fair.good("auditor-1", PrvCorrect(lot, 4, Reason.DID_NOT_OCCUR, None))
    for number in (0, 9, 2**40 + 1, 2**63 - 1):
        assert () == fair.ask("prv_trace", lot, max(number, 9)).events
        assert "provenance/UNKNOWN_EVENT" == fair.do("farmer-1", PrvCorrect(lot, number, Reason.DID_NOT_OCCUR, None))
    late = seen(fair, fair.now + DAY_MS)
    assert "provenance/TIME" == fair.do("farmer-1", PrvCorrect(lot, 1, Reason.INCORRECT_DATA, late))
    assert [] == fair.broken()


def test_recall(fair: Fair, lot: int) -> None:
    """Everything made of it is called back, in whose hands it may be, and may only go home or be destroyed."""
    part = fair.part(lot, 1_000)
    assert "ok" == fair.hand(part, "farmer-1", "company-2")
    fair.good("company-2", cooked(part, 500, 400))
    fair.good("company-2", PrvOffer(3, fair.address("consumer-1"), 0))
    assert "provenance/NOT_ALLOWED" == fair.do("company-2", PrvRecall(lot, HASH))
    fair.good("farmer-1", PrvRecall(lot, HASH))

    assert [LotStatus.RECALLED] * 3 == [fair.lot(number).status for number in (1, 2, 3)]
    assert fair.address("farmer-1") == fair.ask("prv_trace", 3).events[-1].event.signer
    assert "provenance/RECALLED" == fair.do("farmer-1", PrvRecall(lot, HASH))
    assert "provenance/RECALLED" == fair.do("company-2", PrvSplit(part, (1,)))
    assert "provenance/RECALLED" == fair.do("company-2", PrvConsume(part, 1, False))
    assert "provenance/RECALLED" == fair.do("consumer-1", PrvAccept(3, 400, None))
    assert "provenance/RECALLED" == fair.do("company-2", PrvOffer(part, fair.address("consumer-1"), 0))
    assert "ok" == fair.hand(part, "company-2", "farmer-1")
    fair.good("farmer-1", PrvConsume(part, 500, True))
    assert (LotStatus.RECALLED, 0) == (fair.lot(part).status, fair.lot(part).quantity)
    assert [] == fair.broken()


def test_recalled_goods_that_never_came_home(fair: Fair, lot: int) -> None:
    """What is called back stays called back, even if nothing of it arrives at its origin."""
    part = fair.part(lot, 1_000)
    assert "ok" == fair.hand(part, "farmer-1", "company-2")
    fair.good("farmer-1", PrvRecall(lot, HASH))
    assert "ok" == fair.hand(part, "company-2", "farmer-1", observed=0)

    assert (LotStatus.RECALLED, 1_000) == (fair.lot(part).status, fair.lot(part).lost)
    assert [] == fair.broken()


def test_a_regulator_recalls(fair: Fair, lot: int) -> None:
    """A regulator calls back what is not his."""
    fair.good("regulator-1", PrvRecall(lot, HASH))

    assert LotStatus.RECALLED is fair.lot(lot).status


def test_a_large_family_is_recalled_in_parts(fair: Fair) -> None:
    """Hundreds of descendants are reached over the next blocks, 256 entries of the queue a block, none forgotten."""
    lot = fair.grow(10_000)
    for _ in range(20):
        fair.good("farmer-1", PrvSplit(lot, (1,) * 16))
    for part in range(2, 302):
        fair.good("farmer-1", PrvSplit(part, (1,)))
    fair.good("farmer-1", PrvRecall(lot, HASH))
    waiting = [number for number in range(1, 622) if fair.lot(number).status is not LotStatus.RECALLED]

    assert waiting
    assert [] == fair.broken()
    for _ in range(3):
        fair.wait(fair.now + 1_000)
    assert {LotStatus.RECALLED} == {fair.lot(number).status for number in range(1, 622)}
    assert [] == fair.broken()


def test_trip(fair: Fair, lot: int) -> None:
    """Loaded goods are not divided or mixed; they are handed over at the door, or unloaded at the end."""
    other = fair.grow(5)
    fair.good("farmer-1", PrvTripStart((lot, other)))
    assert LotStatus.IN_TRANSIT is fair.lot(lot).status
    assert "provenance/STATUS" == fair.do("farmer-1", PrvSplit(lot, (1,)))
    fair.good("farmer-1", PrvSensor(1, HASH))
    assert "ok" == fair.hand(lot, "farmer-1", "consumer-1")
    assert (LotStatus.ACTIVE, 0) == (fair.lot(lot).status, fair.lot(lot).trip)
    fair.good("farmer-1", PrvTripEnd(1))

    assert LotStatus.ACTIVE is fair.lot(other).status
    assert (HASH, 1) == (fair.ask("prv_trip", 1).sensor, fair.ask("prv_trip", 1).anchors)
    for message in (PrvTripEnd(1), PrvSensor(1, HASH), PrvTripEnd(9)):
        assert "provenance/UNKNOWN_TRIP" == fair.do("farmer-1", message)
    assert "provenance/NOT_ALIKE" == fair.do("farmer-1", PrvTripStart((other, other)))
    assert [] == fair.broken()


def test_only_the_carrier_ends_a_trip(fair: Fair, lot: int) -> None:
    """Nobody ends or measures another one's trip."""
    fair.good("farmer-1", PrvTripStart((lot,)))

    assert "provenance/UNKNOWN_TRIP" == fair.do("farmer-2", PrvTripEnd(1))
    assert "provenance/UNKNOWN_TRIP" == fair.do("farmer-2", PrvSensor(1, HASH))


def test_the_producer_stays_in_the_trail() -> None:
    """However often goods are sold, the first sale and the newest ones are known."""
    trail = tuple(Sale(number, bytes(20), 5, 4, "thb") for number in range(1, TRAIL_MAX + 10))
    kept = shortened(trail)

    assert (TRAIL_MAX, 1, TRAIL_MAX + 9) == (len(kept), kept[0].order, kept[-1].order)


def test_merged_trails(fair: Fair, lot: int) -> None:
    """A merged lot has the sales of all that went in, each once."""
    other = fair.part(lot, 1_000)
    sale = Sale(3, fair.address("farmer-1"), 5, 4, "thb")
    overlay = fair.overlay
    write_lot(overlay, replace(fair.lot(lot), trail=(sale,)))
    write_lot(overlay, replace(fair.lot(other), trail=(replace(sale, order=2), sale)))
    fair.keep(overlay)
    fair.good("farmer-1", PrvMerge((lot, other)))

    assert [2, 3] == [row.order for row in fair.lot(3).trail]


@pytest.mark.parametrize(
    ("method", "number"), [("prv_trace", 9), ("prv_holder", 9), ("prv_trip", 9), ("market_price_trail", 9)]
)
def test_unknown(fair: Fair, method: str, number: int) -> None:
    """What there is not is not found."""
    with pytest.raises(Fault, match="rpc/NOT_FOUND"):
        fair.ask(method, number)


def test_long_families_are_cut(fair: Fair) -> None:
    """An answer names at most 256 relatives in a direction and says that there are more."""
    lot = fair.grow(10_000)
    for _ in range(17):
        fair.good("farmer-1", PrvSplit(lot, (1,) * 16))
    told = fair.ask("prv_trace", lot)

    assert (256, True) == (len(told.descendants), told.more)
    assert not fair.ask("prv_trace", 2).more


def test_pages_of_events(fair: Fair, lot: int) -> None:
    """Events come by pages, across the groups that hold 256 each."""
    for _ in range(260):
        fair.run(fair.sign(PrvEvent(lot, seen(fair)), by=0))
    told = fair.ask("prv_trace", lot, 250, 20)

    assert [*range(251, 262)] == [row.event.number for row in told.events]
    assert [] == fair.broken()
