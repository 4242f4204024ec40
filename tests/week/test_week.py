"""The week on four replicas in memory, and the script against the replay that its tables come from."""

import pytest

from cccnode.city import CITY
from cccnode.week.building import build, kinds
from cccnode.week.city import make_city, ready
from cccnode.week.people import PEOPLE, account_of, everybody
from cccnode.week.running import Decided, Result, Week, with_receipt
from cccnode.week.script import Step, instant, script, tables
from cccnode.week.telling import sentence
from tests.simulation.nodes import SimulatedNetwork, certify
from tests.support.city import certify as plain
from tests.week.harness import Replicas
from tests.week.reference import script as reference
from tests.week.reference.world import START
from tests.week.simulated import SimulatedCity


def test_script_is_the_replays() -> None:
    """The script has the replay's steps: the same people do the same things at the same times, and the same pay."""
    ours = [(row.step, row.day, row.time, row.actor, row.message, row.payer) for row in script()]
    theirs = [(row.name, row.day, row.time, row.actor, row.message, row.payer) for row in reference.STEPS]
    assert ours == theirs
    assert [(row.step, row.message) for row in tables().single.steps] == [(row[0], row[4]) for row in ours]
    assert [row.outcome for row in tables().packed.steps] == [row.outcome for row in tables().single.steps]


def test_names_of_the_tables_are_known() -> None:
    """Every name in the tables has an account, all different."""
    names = {name for day in tables().single.days for owned in day.balances.values() for name in owned}
    assert names <= set(everybody())
    assert len({account_of(name) for name in everybody()}) == len(everybody())


def test_genesis_is_the_replays() -> None:
    """The same money, the same beginning, and the same chain each time it is made."""
    city = make_city(certify=plain)
    assert city.genesis.document.time_ms == START == instant("D1 00:00")
    assert sum(one.ccc for one in PEOPLE) + 600_000 == 1_000_000
    assert city.genesis.chain == make_city(certify=plain).genesis.chain


def test_every_step_can_be_built() -> None:
    """Each row whose message the city has makes that message."""
    known = kinds(CITY)
    for step in script():
        if step.message in known:
            values = with_receipt(step.values, ready(1, bytes(32)))
            assert type(build(CITY, step.message, values)) is known[step.message]


@pytest.mark.parametrize("lang", ["en", "th"])
def test_sentences(lang: str) -> None:
    """A step reads as a sentence of the module's own words, with its values."""
    step = next(row for row in script() if row.step == "T46")
    row = CITY.rows[kinds(CITY)["MktOrder"]]
    told = sentence(CITY, step, lang)
    assert told.startswith("D2 10:00  T46   consumer-1: " + (row.th if lang == "th" else row.en))
    assert "carrier company-2" in told
    assert "100,000" in told


@pytest.mark.parametrize("packed", [False, True])
async def test_week_in_memory(packed: bool) -> None:
    """Every outcome, balance and state of the week, on four replicas with equal states and unbroken invariants."""
    network = Replicas()
    told: list[tuple[Step, Decided | None]] = []
    evenings: list[int] = []

    def told_step(step: Step, decided: Decided | None) -> None:
        told.append((step, decided))

    def evening(day: int, result: Result) -> None:
        evenings.append(day)

    result = await Week(network, CITY, packed=packed, told=told_step, evening=evening).run()

    assert evenings == [1, 2, 3, 4, 5, 6, 7]
    assert network.broken == []
    assert len(told) == len(script())
    assert result.not_run == [step.step for step in script() if step.message not in kinds(CITY)]
    if not result.not_run:
        assert result.mismatches == []


@pytest.mark.parametrize("packed", [False, True])
async def test_week_in_the_simulation(packed: bool) -> None:
    """The same on four whole nodes in virtual time: one is off from day 3 to 5, all lose power on the sixth morning."""
    network = SimulatedNetwork(7, validators=4, demo=make_city(certify=certify))
    city = SimulatedCity(network)

    async def morning(day: int) -> None:
        if day == 3:
            network.crash(network.nodes[1])
        if day == 5:
            network.restart(network.nodes[1])
        if day == 6:
            for node in network.nodes:
                network.crash(node)
            for node in network.nodes:
                network.restart(node)

    living = Week(city, CITY, packed=packed, told=lambda step, decided: None, evening=lambda day, result: None)
    result = await living.run(before_day=morning)

    assert network.violations == []
    assert result.not_run == [step.step for step in script() if step.message not in kinds(CITY)]
    if not result.not_run:
        assert result.mismatches == []
