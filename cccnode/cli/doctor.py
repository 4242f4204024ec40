"""`cccnode doctor`: why the chain, or this node, does not move; one call, whatever runs and whatever hangs.

Whoever is asked is asked at the same time as all others and has two seconds.  While a validator is late that may have
fallen silent just now, the doctor looks again, for less than four seconds.  What several nodes say is joined here; a
home whose node does not run is looked at from outside.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from cccnode.cli import output
from cccnode.cli.divergence import divergence
from cccnode.cli.examining import consensus_keys, examine
from cccnode.cli.options import Options, also_here_but_node, pass_options
from cccnode.cli.reach import load
from cccnode.cli.testnet_files import Testnet, TestnetNode
from cccnode.client import Client, ClientError
from cccnode.doctor.diagnosis import Diagnosis, Verdict
from cccnode.doctor.facts import Finding, undecided
from cccnode.doctor.judging import diagnose_network
from cccnode.doctor.observation import Observation
from cccnode.home import Home, lock_holder
from cccnode.rpc.envelopes import diagnosis_object
from cccnode.rpc.values import ValueFault, reader
from cccnode.types import errors
from cccnode.types.errors import Fault

ANSWER_S: Final = 2.0
"""A node that runs answers within milliseconds; one that hangs must not keep the others' answers waiting."""
AGAIN_S: Final = 3.6
"""So long after the first question it is asked again: longer than a late validator takes to count as silent."""
PAUSE_S: Final = 0.3
_LINE_MAX: Final = 300

_MEANING: Final[Mapping[Verdict, tuple[str, str]]] = {
    Verdict.HEALTHY: ("Blocks come.", "มีบล็อกใหม่ตามปกติ"),
    Verdict.IDLE: ("There is nothing to do, and nothing in the way.", "ไม่มีงานรอ และไม่มีสิ่งใดขัดข้อง"),
    Verdict.DEGRADED: ("Blocks can come, but something is wrong.", "ยังสร้างบล็อกได้ แต่มีบางอย่างผิดปกติ"),
    Verdict.STALLED: ("No block can come, or none comes.", "สร้างบล็อกไม่ได้หรือไม่มีบล็อกใหม่"),
    Verdict.ISOLATED: ("This node reaches nobody; the chain may go on without it.", "โหนดนี้ติดต่อใครไม่ได้เลย"),
    Verdict.NOT_RUNNING: ("No node that was asked runs.", "ไม่มีโหนดที่ถามทำงานอยู่"),
}  # fmt: skip
_WELL: Final = frozenset({Verdict.HEALTHY, Verdict.IDLE, Verdict.DEGRADED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One node to ask."""

    name: str
    """For people."""
    url: str
    home: Home | None = None
    """Where it lives, when that is on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What asking one node gave."""

    target: Target
    said: Mapping[str, Any] | None = None
    """Its own diagnosis and its observation."""
    error: ClientError | None = None


@click.group(invoke_without_command=True, epilog="Example: cccnode doctor --node 10.0.0.1:27601 --node 10.0.0.2:27601")
@click.option("--node", "nodes", multiple=True, metavar="URL|N", help="Ask this node; several are asked together.")
@also_here_but_node
@pass_options
@click.pass_context
def doctor(context: click.Context, options: Options, nodes: tuple[str, ...]) -> int:
    """Why the chain, or this node, does not move: which validators, the cause, and what to do next.

    Ends with 1 when blocks cannot come (stalled, isolated, not_running).
    """
    if context.invoked_subcommand is not None:
        return output.OK
    diagnosis, heard, silent = asyncio.run(_diagnose(options, targets(options, nodes)))
    if options.json:
        output.emit_json(diagnosis)
    else:
        for line in _lines(diagnosis, options, heard, silent):
            click.echo(line)
    return output.OK if diagnosis["verdict"] in _WELL else output.FAILED


doctor.add_command(divergence)


def targets(options: Options, nodes: Sequence[str]) -> list[Target]:
    """Whom to ask: the nodes named, else all nodes of the test network in the home, else the node of the home.

    Raises:
        Fault: `testnet/MISSING`, `testnet/NO_SUCH_NODE` or `config/INVALID`.
    """
    named = nodes or ((options.node,) if options.node else ())
    if named:
        return [
            _of_testnet(Testnet.open(options.home).node(int(node))) if node.isdigit() else Target(name=node, url=node)
            for node in dict.fromkeys(named)
        ]
    network = Testnet.find(options.home)
    if network is not None:
        return [_of_testnet(node) for node in network.nodes]
    home = options.home
    try:
        url = load(options).config.rpc.listen
    except Fault:
        url = ""  # `examine` says what is wrong with the settings.
    return [Target(name=str(home.root), url=url, home=home)]


def _of_testnet(node: TestnetNode) -> Target:
    return Target(name=f"node {node.index}", url=node.rpc, home=node.home)


async def _diagnose(options: Options, asked: Sequence[Target]) -> tuple[dict[str, Any], list[str], list[str]]:
    """The diagnosis in JSON form, who answered and who did not."""
    answers = await _ask_all(asked, options.lang)
    heard = [answer.target.name for answer in answers if answer.said is not None]
    silent = [answer.target.name for answer in answers if answer.said is None]
    if len(answers) == 1 and answers[0].said is not None:
        said = answers[0].said
        return {"verdict": said["verdict"], "causes": said["causes"]}, heard, silent
    return diagnosis_object(_join(options, answers), options.lang), heard, silent


async def _ask_all(asked: Sequence[Target], lang: str) -> Sequence[Answer]:
    """The word of each, asked again for a while when soon more will be known; who gave none is not asked twice."""
    loop = asyncio.get_running_loop()
    until = loop.time() + AGAIN_S
    answers: Sequence[Answer] = await asyncio.gather(*(_ask(target, lang) for target in asked))
    while loop.time() < until and any(map(_undecided, answers)):
        await asyncio.sleep(PAUSE_S)
        again = [answer.target for answer in answers if answer.said is not None]
        said = iter(await asyncio.gather(*(_ask(target, lang) for target in again)))
        answers = [next(said) if answer.said is not None else answer for answer in answers]
    return answers


def _undecided(answer: Answer) -> bool:
    if answer.said is None:
        return False
    try:
        return undecided(reader(Observation)(answer.said["observation"], "observation"))
    except ValueFault:
        return False  # Said when the answers are joined.


async def _ask(target: Target, lang: str) -> Answer:
    """One node's word.  A home that no process holds is not asked: whoever answers at its port is somebody else."""
    if target.home is not None and not _may_run(target.home):
        return Answer(target=target)
    async with Client(target.url, timeout_s=ANSWER_S) as client:
        try:
            said = await client.call("node_doctor", lang=lang, observation=True)
        except ClientError as error:
            return Answer(target=target, error=error)
    if isinstance(said, dict) and {"verdict", "causes", "observation"} <= said.keys():
        return Answer(target=target, said=said)
    return Answer(target=target)


def _join(options: Options, answers: Sequence[Answer]) -> Diagnosis:
    """What all say together, with what can be found out about those that say nothing."""
    observations: list[Observation] = []
    findings: list[Finding] = []
    for answer in answers:
        if answer.said is None:
            findings += _look_at(options, answer)
            continue
        try:
            observations.append(reader(Observation)(answer.said["observation"], "observation"))
        except ValueFault as unreadable:
            values = {"node": answer.target.name, "why": str(unreadable)}
            findings.append(Finding(spec=errors.BAD_ANSWER, values=values))
    return diagnose_network(observations, findings)


def _may_run(home: Home) -> bool:
    """Whether a process holds the home, or that cannot be seen because it is another user's."""
    lock = home.run / "lock"
    return lock_holder(home) is not None or (lock.exists() and not os.access(lock, os.R_OK))


def _look_at(options: Options, answer: Answer) -> list[Finding]:
    """A node that gave no answer: of another version, on another machine, hanging, or not running."""
    target, error = answer.target, answer.error
    if error is not None and error.name == errors.RPC_METHOD_NOT_FOUND.name:
        values = {"node": target.name, "why": "it has no doctor"}
        return [Finding(spec=errors.OTHER_VERSION, values=values)]
    if target.home is None:
        values = {"node": target.name, "why": str(error) if error is not None else "not an answer of the doctor"}
        return [Finding(spec=errors.UNREACHABLE, values=values)]
    if not _may_run(target.home):
        return examine(target.home, options)
    process = lock_holder(target.home)
    values = {"node": target.name, "process": str(process or "unknown"), "rpc": target.url}
    return [Finding(spec=errors.NOT_ANSWERING, values=values, consensus_keys=consensus_keys(target.home))]


# -- for people ------------------------------------------------------------------------------------------------------


def _lines(diagnosis: Mapping[str, Any], options: Options, heard: Sequence[str], silent: Sequence[str]) -> list[str]:
    verdict = Verdict(diagnosis["verdict"])
    lines = [f"{options.text('Verdict', 'ผลวินิจฉัย')}: {verdict.value}. {options.text(*_MEANING[verdict])}"]
    if len(heard) + len(silent) > 1:
        lines.append(f"{options.text('Answered', 'ตอบ')}: {', '.join(heard) or '-'}")
        lines += [f"{options.text('No answer', 'ไม่ตอบ')}: {', '.join(silent)}"] if silent else []
    for number, cause in enumerate(diagnosis["causes"], start=1):
        lines += ["", f"{number}. {cause['code']}: {cause['text']}"]
        members = ", ".join(f"{member['index']} ({member['organisation']})" for member in cause["validators"])
        lines += [f"   {options.text('validators', 'ผู้ตรวจสอบ')}: {members}"] if members else []
        lines += [f"   {line}"[:_LINE_MAX] for line in _evidence(cause["evidence"])]
        lines.append(f"   {options.text('remedy', 'วิธีแก้')}: {cause['remedy']}")
    return [_printable(line) for line in lines]


def _evidence(values: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, value in values.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"{name}: " + ", ".join(f"{key} {_plain(item)}" for key, item in row.items()) for row in value]
        else:
            lines.append(f"{name}: {_plain(value)}")
    return lines


def _printable(line: str) -> str:
    """Nodes tell each other texts; none of them may play with the terminal."""
    return "".join(char if char.isprintable() else " " for char in line)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        nested = any(isinstance(item, list) for item in value)
        return (" | " if nested else ", ").join(map(_plain, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
