"""A lot's events for other systems: valid under GS1's own JSON schema of EPCIS 2.0."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cccnode.city import CITY
from cccnode.city.market import MktAccept
from cccnode.city.provenance import PrvConsume, PrvCorrect, PrvEvent, PrvMerge, PrvRecall, PrvTransform
from cccnode.city.provenance.epcis import moment, offset
from cccnode.city.provenance.messages import Input, Observation, Output
from cccnode.city.provenance.words import Disposition, Reason, Step, Unit
from cccnode.config import RpcSection
from cccnode.rpc.dispatch import Dispatcher
from tests.city.market.fair import Fair
from tests.support.fake_node import FakeNode

SCHEMA = json.loads((Path(__file__).parents[2] / "vectors" / "epcis" / "EPCIS-JSON-Schema.json").read_text())
FORMATS = jsonschema.FormatChecker()
VALID = jsonschema.Draft7Validator(SCHEMA, format_checker=FORMATS)
HASH = b"\x05" * 32


@FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+", value) is not None


@FORMATS.checks("date-time")
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value).tzinfo)


def exported(fair: Fair, lot: int) -> list[dict[str, Any]]:
    """The events of a lot, whose document is valid."""
    answer = fair.ask("prv_epcis", lot)
    document = json.loads(answer.document)
    assert [] == [error.message for error in VALID.iter_errors(document)]
    assert 0 == answer.next_after
    events: list[dict[str, Any]] = document["epcisBody"]["eventList"]
    return events


@pytest.fixture
def lived() -> Fair:
    """Rice that was sold, lost a little on the way, was milled, put together, corrected, eaten and called back."""
    fair = Fair()
    lot = fair.grow()
    fair.good("farmer-1", fair.listing(lot, 500_000))
    fair.good("consumer-1", fair.buy())
    fair.good("farmer-1", MktAccept(1))
    part = fair.part(lot, 100_000)
    assert "ok" == fair.hand(part, "farmer-1", "company-2", 1)
    assert "ok" == fair.hand(part, "company-2", "consumer-1", 1, observed=99_000)
    seen = Observation(Step.INSPECTING, Disposition.DAMAGED, fair.now, 420, "w4rqf", HASH)
    fair.good("consumer-1", PrvEvent(part, seen))
    fair.good("consumer-1", PrvCorrect(part, 4, Reason.INCORRECT_DATA, seen))
    outputs = (Output("flour", Unit.GRAM, 5_000, 1_000), Output("cake", Unit.PIECE, 10, 100_000))
    fair.good("consumer-1", PrvTransform((Input(part, 8_000, 1_000),), outputs, HASH, ""))
    fair.good("consumer-1", PrvConsume(part, 1_000, False))
    fair.good("farmer-1", PrvMerge((fair.part(lot, 5), fair.part(lot, 6))))
    fair.good("farmer-1", PrvRecall(lot, HASH))
    return fair


def test_every_lot_is_exported(lived: Fair) -> None:
    """Whatever happened to goods, the standard's schema accepts what is told of it."""
    kinds = {event["type"] for lot in range(1, 8) for event in exported(lived, lot)}

    assert {"ObjectEvent", "TransactionEvent", "TransformationEvent"} == kinds


def test_a_handover(lived: Fair) -> None:
    """It says between whom, for which order, and that goods lacked."""
    event = next(row for row in exported(lived, 2) if row["disposition"] == "mismatch_quantity")

    assert [{"type": "po", "bizTransaction": "urn:ccc:order:1"}] == event["bizTransactionList"]
    assert [{"epcClass": "urn:ccc:lot:2", "quantity": 99_000, "uom": "GRM"}] == event["quantityList"]
    assert event["sourceList"][0]["source"].endswith(lived.address("company-2").hex())
    assert event["destinationList"][0]["destination"].endswith(lived.address("consumer-1").hex())


def test_a_correction_repeats_the_id(lived: Fair) -> None:
    """A wrong event comes again under its own id, with its declaration and what is right instead."""
    events = exported(lived, 2)
    wrong = next(row for row in events if "errorDeclaration" in row)
    before = next(row for row in events if row["eventID"] == wrong["eventID"])
    declared = wrong["errorDeclaration"]

    assert "errorDeclaration" not in before
    assert "incorrect_data" == declared["reason"]
    assert declared["correctiveEventIDs"][0] in {row["eventID"] for row in events}


def test_a_transformation(lived: Fair) -> None:
    """Both sides say what went in and what came out."""
    taken = next(row for row in exported(lived, 2) if row["type"] == "TransformationEvent")
    made = next(row for row in exported(lived, 4) if row["type"] == "TransformationEvent")

    assert [{"epcClass": "urn:ccc:lot:2", "quantity": 8_000, "uom": "GRM"}] == taken["inputQuantityList"]
    assert {"epcClass": "urn:ccc:lot:4", "quantity": 10} in taken["outputQuantityList"]
    assert [{"epcClass": "urn:ccc:lot:4", "quantity": 10}] == made["outputQuantityList"]
    assert [{"epcClass": "urn:ccc:lot:2"}] == made["inputQuantityList"]


def test_the_schema_is_strict() -> None:
    """The schema refuses what the standard does not know: an unknown step is no valid event."""
    fair = Fair()
    document = json.loads(fair.ask("prv_epcis", fair.grow()).document)
    document["epcisBody"]["eventList"][0]["bizStep"] = "wandering"

    assert not VALID.is_valid(document)


def test_words_are_those_of_the_standard() -> None:
    """Every step, disposition and reason has its name in the schema, and none is missing."""
    known = SCHEMA["definitions"]

    assert {step.name.lower() for step in Step} == set(known["bizStep"]["anyOf"][1]["enum"])
    assert {one.name.lower() for one in Disposition} == set(known["disposition"]["anyOf"][1]["enum"])
    assert {one.name.lower() for one in Reason} == set(known["error-reason"]["anyOf"][1]["enum"])


def test_pages() -> None:
    """A long life comes in parts that follow each other."""
    fair = Fair()
    lot = fair.grow()
    seen = Observation(Step.HOLDING, Disposition.UNKNOWN, fair.now, -330, "", None)
    for _ in range(3):
        fair.good("farmer-1", PrvEvent(lot, seen))
    first = fair.ask("prv_epcis", lot, 0, 3)

    assert 3 == first.next_after
    assert 1 == len(json.loads(fair.ask("prv_epcis", lot, 3, 3).document)["epcisBody"]["eventList"])


@given(st.integers(0, 253_402_300_799_999))
def test_times(time_ms: int) -> None:
    """Our calendar is everybody's, to the year 9999."""
    told = datetime.fromtimestamp(time_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")

    assert f"{told.rjust(19, '0')}.{time_ms % 1_000:03}Z" == moment(time_ms)


@pytest.mark.parametrize(("minutes", "text"), [(0, "+00:00"), (420, "+07:00"), (-210, "-03:30"), (840, "+14:00")])
def test_offsets(minutes: int, text: str) -> None:
    """Hours and minutes with their sign."""
    assert text == offset(minutes)


async def test_over_rpc(lived: Fair) -> None:
    """Any client gets the document as one text, by the method's name."""
    node = FakeNode(registry=CITY, state_now=lived.state)
    call = {"jsonrpc": "2.0", "id": 1, "method": "prv_epcis", "params": {"lot": "2"}}
    answer = await Dispatcher(node, RpcSection()).answer(json.dumps(call).encode())

    assert answer is not None
    document = json.loads(json.loads(answer)["result"]["document"])
    assert ("EPCISDocument", "2.0") == (document["type"], document["schemaVersion"])
    assert VALID.is_valid(document)
