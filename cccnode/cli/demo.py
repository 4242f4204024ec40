"""`cccnode demo week`: one week of a city on four real validators, every outcome and balance compared with the tables.

The network is made anew each time, in a folder of its own; its clock jumps from step to step.
"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click
import msgspec

from cccnode.cli import output
from cccnode.cli.options import Options, also_here, pass_options
from cccnode.config import LOOPBACK, PORTS, TESTNET_PORT_STEP
from cccnode.home import HomeLock
from cccnode.types import errors
from cccnode.types.errors import fault

if TYPE_CHECKING:  # what a week needs is imported when one begins
    from cccnode.cli.testnet_files import Testnet
    from cccnode.cli.week_network import RealNetwork
    from cccnode.week.running import Decided, Result
    from cccnode.week.script import Step

HOME: Final = "~/.cccnode-week"
"""Beside the home of a real node, never in it."""
NODES: Final = 4
DAYS: Final = 7
_SHOWN_MAX: Final = 50
"""Mismatches that people see."""


@click.group(epilog="Example: cccnode demo week --lang th")
def demo() -> None:
    """The city at work: week."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Troubles:
    """What happens to the nodes while the week goes on."""

    down: int | None = None
    """This node is off from the beginning of day 3 to the beginning of day 5."""
    restart_day: int | None = None
    """Every node begins anew on the morning of this day."""


@demo.command(epilog="Example: cccnode demo week --packed --output json")
@click.option("--packed", is_flag=True, help="All transactions of one minute in one block.")
@click.option("--down", type=click.IntRange(0, NODES - 1), help="This node is off from day 3 to day 5.")
@click.option("--restart", "restart_day", type=click.IntRange(2, DAYS), help="Every node begins anew that morning.")
@click.option("--until-day", type=click.IntRange(1, DAYS), default=DAYS, help=f"Stop after that day [{DAYS}].")
@click.option("--port-base", type=click.IntRange(1024, 32_000), help=f"First port of node 0 [{PORTS['p2p']}].")
@click.option("--keep", is_flag=True, help="Leave the network's folder there at the end.")
@also_here
@pass_options
def week(
    options: Options,
    *,
    packed: bool,
    down: int | None,
    restart_day: int | None,
    until_day: int,
    port_base: int | None,
    keep: bool,
) -> int:
    """Live through the acceptance week on four nodes; exit code 1 unless everything came out as it must."""
    options.home_path = options.home_path or HOME
    base = port_base or PORTS["p2p"]
    ports = {name: base + i for i, name in enumerate(PORTS)}
    with HomeLock.take(options.home):
        network = _new(options, ports)
        troubles = Troubles(down=down, restart_day=restart_day)
        try:
            result = asyncio.run(_live(options, network, troubles, packed=packed, until_day=until_day))
        finally:
            if not keep:
                network.remove()
    return _report(options, result, packed=packed)


def _new(options: Options, ports: dict[str, int]) -> "Testnet":
    """The week's network in the home, the last one wiped."""
    from cccnode.cli.testnet_files import Shape, Testnet, check_ports, write_network  # noqa: PLC0415
    from cccnode.week.city import make_city  # noqa: PLC0415 - the city's rules
    from cccnode.week.people import PEOPLE  # noqa: PLC0415
    from p2p.directory import make_certificate  # noqa: PLC0415

    names = tuple(one.name for one in PEOPLE)
    old = Testnet.find(options.home)
    if old is not None and old.shape.names != names:
        raise fault(errors.TESTNET_MIXED, home=str(options.home.root), made_by="cccnode testnet up")
    if old is not None:
        old.remove()
    check_ports(ports, nodes=NODES)
    city = make_city(
        certify=make_certificate, addresses=lambda index: [f"{LOOPBACK}:{ports['p2p'] + TESTNET_PORT_STEP * index}"]
    )
    shape = Shape(
        chain="0x" + city.genesis.chain.hex(), validators=NODES, accounts=len(names), ports=ports, names=names
    )
    return write_network(options.home, city, shape, settings={"storage.cache_mb": 16})


async def _live(options: Options, network: "Testnet", troubles: Troubles, *, packed: bool, until_day: int) -> "Result":
    """Start the nodes and live through the week."""
    from cccnode.cli.supervisor import Supervisor  # noqa: PLC0415 - pulls in aiohttp
    from cccnode.cli.week_network import RealNetwork  # noqa: PLC0415

    teller = Teller(options)
    supervisor = Supervisor(network, output.say)
    async with supervisor.running():
        real = RealNetwork(supervisor)
        async with real:
            run = asyncio.create_task(_run(real, teller, troubles, packed=packed, until_day=until_day))
            stopped = asyncio.create_task(supervisor.until_stopped())
            await asyncio.wait({run, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not run.done():
                run.cancel()
                raise click.Abort
            return run.result()


async def _run(real: "RealNetwork", teller: "Teller", troubles: Troubles, *, packed: bool, until_day: int) -> "Result":
    from cccnode.city import CITY  # noqa: PLC0415
    from cccnode.week.running import Week  # noqa: PLC0415

    async def morning(day: int) -> None:
        if troubles.down is not None and day == 3:
            await real.end(troubles.down)
        if troubles.down is not None and day == 5:
            await real.start(troubles.down)
        if troubles.restart_day == day:
            await real.begin_anew()

    living = Week(real, CITY, packed=packed, told=teller.step, evening=teller.evening)
    return await living.run(until_day=until_day, before_day=morning)


class Teller:
    """Says what happens, as it happens."""

    def __init__(self, options: Options) -> None:
        """For people; programs get JSON at the end."""
        self._options = options

    def step(self, step: "Step", decided: "Decided | None") -> None:
        """One step and what became of it."""
        from cccnode.city import CITY  # noqa: PLC0415
        from cccnode.week.telling import sentence  # noqa: PLC0415

        text = sentence(CITY, step, self._options.lang)
        if self._options.json:
            outcome = None if decided is None else decided.outcome
            _line({"step": step.step, "day": step.day, "time": step.time, "says": text, "outcome": outcome})
        else:
            click.echo(f"{text} -> {self._outcome(decided)}")

    def _outcome(self, decided: "Decided | None") -> str:
        text = self._options.text
        if decided is None:
            return text("NOT RUN: the city has no such message", "ไม่ได้ทำ: เมืองยังไม่มีข้อความนี้")
        if decided.outcome == "ok":
            return text("done", "สำเร็จ")
        if decided.outcome == "refused":
            return text("refused: ", "ไม่รับ: ") + decided.why
        return text("failed: ", "ไม่สำเร็จ: ") + decided.outcome

    def evening(self, day: int, result: "Result") -> None:
        """The end of a day."""
        if not self._options.json:
            wrong = len(result.mismatches)
            click.echo(
                self._options.text(
                    f"-- Evening of day {day}: {result.checks} checks so far, {wrong} mismatches --",
                    f"-- เย็นวันที่ {day}: ตรวจแล้ว {result.checks} รายการ ไม่ตรง {wrong} รายการ --",
                )
            )


def _line(value: dict[str, object]) -> None:
    """One line of JSON."""
    click.echo(msgspec.json.encode(value))


def _report(options: Options, result: "Result", *, packed: bool) -> int:
    """The summary; 0 where everything came out as it must."""
    if options.json:
        _line(
            {
                "steps": result.steps,
                "mismatches": len(result.mismatches),
                "checks": result.checks,
                "green": result.green,
                "packed": packed,
                "farmer_share_bps": result.farmer_share_bps,
                "not_run": result.not_run,
                "details": result.mismatches,
            }
        )
        return 0 if result.green else 1
    text = options.text
    rows = [
        (text("Steps run", "ขั้นตอนที่ทำ"), result.steps),
        (text("Steps not run", "ขั้นตอนที่ไม่ได้ทำ"), len(result.not_run)),
        (text("Checks", "รายการที่ตรวจ"), result.checks),
        (text("Mismatches", "รายการที่ไม่ตรง"), len(result.mismatches)),
        (text("Farmers got of what consumers paid", "ส่วนแบ่งของเกษตรกร"), f"{result.farmer_share_bps / 100:.2f} %"),
    ]
    money = [
        (name, *(f"{result.balances[asset].get(name, 0):,}" for asset in ("thb", "uccc")))
        for name in sorted({name for owned in result.balances.values() for name in owned})
    ]
    click.echo("")
    for line in output.table([(text("name", "ชื่อ"), "satang", "uccc"), *money], indent="  "):
        click.echo(line)
    click.echo("")
    for line in output.table(rows, indent=""):
        click.echo(line)
    for row in result.mismatches[:_SHOWN_MAX]:
        click.echo(f"  {row.where}: {text('expected', 'ต้องเป็น')} {row.expected}, {text('found', 'พบ')} {row.found}")
    return 0 if result.green else 1
