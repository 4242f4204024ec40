"""`cccnode doctor`: one node, several, a home whose node does not run; whatever hangs, an answer comes."""

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cccnode.cli import doctor, examining
from cccnode.cli.main import run_cli
from cccnode.cli.options import Options
from cccnode.cli.testnet_files import Testnet, prepare
from cccnode.config import load
from cccnode.home import Home, HomeLock
from cccnode.rpc.methods import Method
from cccnode.types import errors
from tests.doctor.support import World
from tests.support.fake_node import FakeNode
from tests.support.served import Served


def serve(stack: ExitStack, world: World, *places: int) -> list[str]:
    """`--node` arguments for nodes that observe this world from these places."""
    served = [stack.enter_context(Served(FakeNode(observed=world.observe(place)))) for place in places]
    return [word for thread in served for word in ("--node", thread.server.rpc_address)]


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = run_cli(["doctor", *arguments, "--output", "json"])
    return code, json.loads(capsys.readouterr().out)


def brief(answer: Any) -> tuple[str, list[tuple[str, list[int]]]]:
    causes = [(cause["code"], [row["index"] for row in cause["validators"]]) for cause in answer["causes"]]
    return answer["verdict"], causes


# Nodes that answer


def test_one_node(capsys: pytest.CaptureFixture[str]) -> None:
    """What one node says, as one JSON value with exactly the documented fields."""
    with ExitStack() as stack:
        code, answer = ask(capsys, *serve(stack, World().change(3, runs=False), 0))

    assert (0, ("degraded", [("doctor/OFFLINE", [3])])) == (code, brief(answer))
    assert {"verdict", "causes"} == set(answer)
    assert {"code", "text", "validators", "evidence", "remedy"} == set(answer["causes"][0])


@pytest.mark.parametrize(
    ("world", "code"),
    [
        (World(), 0),
        (World(armed=False, block_age_ms=9_000), 0),
        (World().change(2, 3, runs=False), 1),
        (World().split([0], [1, 2, 3]), 1),
    ],
)
def test_exit_codes(world: World, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """1 when blocks cannot come, so that a script may ask; 0 otherwise."""
    with ExitStack() as stack:
        assert code == ask(capsys, *serve(stack, world, 0))[0]


def test_both_sides_of_a_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """Several nodes are asked and joined: the sides by name, which no single one knows for certain."""
    world = World().split([0, 1], [2, 3]).stand()
    with ExitStack() as stack:
        code, answer = ask(capsys, *serve(stack, world, 0, 3))

    assert (1, ("stalled", [("doctor/PARTITION", [0, 1, 2, 3])])) == (code, brief(answer))
    assert [["0", "1"], ["2", "3"]] == answer["causes"][0]["evidence"]["sides"]


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", ("Verdict: stalled", "validators: 2 (org2), 3 (org3)", errors.OFFLINE.en, errors.OFFLINE.remedy)),
        ("th", ("ผลวินิจฉัย: stalled", "ผู้ตรวจสอบ: 2 (org2), 3 (org3)", errors.OFFLINE.th, errors.OFFLINE.remedy_th)),
    ],
)
def test_for_people(lang: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """On a screen, in both languages: verdict, causes, names, evidence, what to do."""
    with ExitStack() as stack:
        places = serve(stack, World().change(2, 3, runs=False), 0, 1)
        run_cli(["doctor", *places, "--lang", lang])
    shown = capsys.readouterr().out

    assert all(word in shown for word in (*words, "doctor/OFFLINE", "Connection refused", "needed: 3"))
    assert places[1] in shown, "who answered"
    assert len(shown.splitlines()) < 24


def test_nobody_plays_with_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A version that another node made up is shown without its control characters."""
    with ExitStack() as stack:
        run_cli(["doctor", *serve(stack, World().change(2, version="9\x1b[2J"), 0)])
    shown = capsys.readouterr().out

    assert "version 9 [2J" in shown
    assert "\x1b" not in shown


def test_evidence_of_every_shape() -> None:
    """Lists, lists of lists, rows and yes or no are readable."""
    shown = doctor._evidence({"sides": [["0"], ["1", "2"]], "rows": [{"a": "1", "b": True}], "none": [], "n": "3"})

    assert ["sides: 0 | 1, 2", "rows: a 1, b yes", "none: -", "n: 3"] == shown


# Nodes that do not


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ANSWER_S", 0.2)


@pytest.fixture
def hanging() -> Iterator[str]:
    """An address whose connections are accepted by the system, and by nobody else."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.usefixtures("impatient")
def test_nodes_that_hang_do_not_delay_the_answer(hanging: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever answers is heard; whoever hangs is known by what the others see."""
    with ExitStack() as stack:
        world = World().change(2, 3, runs=False)
        code, answer = ask(capsys, *serve(stack, world, 0, 1), "--node", hanging, "--node", "127.0.0.1:1")

    assert (1, ("stalled", [("doctor/OFFLINE", [2, 3])])) == (code, brief(answer))


@pytest.mark.usefixtures("impatient")
def test_nobody_answers(hanging: str, capsys: pytest.CaptureFixture[str]) -> None:
    """client/UNREACHABLE for each address."""
    code, answer = ask(capsys, "--node", hanging, "--node", "127.0.0.1:1")

    assert (1, ("not_running", [("client/UNREACHABLE", [])] * 2)) == (code, brief(answer))
    assert {hanging, "127.0.0.1:1"} == {cause["evidence"]["node"] for cause in answer["causes"]}


def test_the_doctor_looks_again(capsys: pytest.CaptureFixture[str]) -> None:
    """A validator that is late when the doctor asks is silent a moment later: that is what it says, not `healthy`."""
    worlds = (World().change(3, quiet_ms=quiet_ms) for quiet_ms in (3_000, 5_900, 6_100))
    with ExitStack() as stack:
        node = FakeNode()
        node.observe = lambda: next(worlds).observe(0)  # type: ignore[method-assign]
        served = stack.enter_context(Served(node))
        code, answer = ask(capsys, "--node", served.server.rpc_address)

    assert (0, ("degraded", [("doctor/OFFLINE", [3])])) == (code, brief(answer))


def test_the_doctor_does_not_look_for_ever(
    hanging: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When nothing becomes clearer it says what it knows; who gave no answer is not asked twice."""
    monkeypatch.setattr(doctor, "ANSWER_S", 0.2)
    monkeypatch.setattr(doctor, "AGAIN_S", 0.6)
    asked: list[str] = []
    once = doctor._ask

    async def counted(target: doctor.Target, lang: str) -> doctor.Answer:
        asked.append(target.url)
        return await once(target, lang)

    monkeypatch.setattr(doctor, "_ask", counted)
    with ExitStack() as stack:
        places = serve(stack, World().change(3, quiet_ms=3_000), 0)
        code, answer = ask(capsys, *places, "--node", hanging)

    assert (0, ("degraded", [("client/UNREACHABLE", [])])) == (code, brief(answer))
    assert 1 == asked.count(hanging)
    assert asked.count(places[1]) > 1


def test_a_node_without_a_doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An older program does not know the question: doctor/OTHER_VERSION."""
    with ExitStack() as stack:
        thread = stack.enter_context(Served(FakeNode()))
        methods = dict(thread.server.dispatcher.methods)
        del methods["node_doctor"]
        monkeypatch.setattr(thread.server.dispatcher, "methods", methods)
        _, answer = ask(capsys, "--node", thread.server.rpc_address)

    assert ("not_running", [("doctor/OTHER_VERSION", [])]) == brief(answer)


def test_an_observation_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A newer program's observation is left out and named; the others are joined without it."""

    async def strange(scope: Any, params: Any) -> Any:
        return {"verdict": "healthy", "causes": [], "observation": {"mood": "good"}}

    with ExitStack() as stack:
        places = serve(stack, World(), 0)
        thread = stack.enter_context(Served(FakeNode()))
        method = thread.server.dispatcher.methods["node_doctor"]
        other = Method(name=method.name, params=method.params, handle=strange, en=method.en)
        monkeypatch.setattr(thread.server.dispatcher, "methods", {"node_doctor": other})
        _, answer = ask(capsys, *places, "--node", thread.server.rpc_address)

    assert ("degraded", [("client/BAD_ANSWER", [])]) == brief(answer)


# Homes


@pytest.fixture
def network(tmp_path: Path) -> Testnet:
    """A prepared test network whose nodes do not run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        base = probe.getsockname()[1] % 10_000 + 20_000
    ports = {"p2p": base, "rpc": base + 1, "ops": base + 2}
    return prepare(Home(tmp_path / "net"), validators=2, ports=ports, seed=b"doctor")


def found(home: Home, **options: Any) -> dict[str, dict[str, Any]]:
    """What is found at a home, by code."""
    return {finding.spec.name: dict(finding.values) for finding in examining.examine(home, Options(**options))}


def test_a_node_that_does_not_run(network: Testnet, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing stands in its way: doctor/NOT_RUNNING, with how to start it."""
    home = network.node(1).home
    code, answer = ask(capsys, "--home", str(home.root))

    assert (1, ("not_running", [("doctor/NOT_RUNNING", [])])) == (code, brief(answer))
    assert str(home.root) == answer["causes"][0]["evidence"]["home"]


def test_no_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """home/EMPTY where there is none."""
    assert ("not_running", [("home/EMPTY", [])]) == brief(ask(capsys, "--home", str(tmp_path))[1])


def test_everything_that_is_wrong_is_named(network: Testnet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, disk, clock, port, genesis: all at once, each with its values."""
    home = network.node(0).home
    home.node_key.chmod(0o644)
    home.data.mkdir(exist_ok=True)
    late = home.data / "late"
    late.write_bytes(b"")
    os.utime(late, (time.time() + 3_600,) * 2)
    home.genesis_file.unlink()
    with socket.socket() as taken:
        host, port = load(home, environment={}).config.p2p.listen.split(":")
        taken.bind((host, int(port)))
        taken.listen(1)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1})())
        problems = found(home)

    named = {"keys/PERMISSIONS", "home/DISK_FULL", "doctor/WRONG_CLOCK", "home/PORT_IN_USE", "home/EMPTY"}
    assert named == set(problems)
    assert f"{host}:{port}" == problems["home/PORT_IN_USE"]["address"]
    assert problems["doctor/WRONG_CLOCK"]["newest_file_ahead_ms"] > 3_000_000
    assert "genesis.json" == problems["home/EMPTY"]["missing"]


def test_a_disk_that_takes_nothing(network: Testnet, monkeypatch: pytest.MonkeyPatch) -> None:
    """home/READ_ONLY where no file can be made, before the node finds out."""

    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert {"home/READ_ONLY"} == set(found(network.node(0).home))


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("config.toml", "[p2p]\nlisten = 5\n", "config/INVALID"),
        ("config.toml", '[p2p]\nlisten = "192.0.2.1:9"\n', "home/LISTEN_FAILED"),
        ("config.toml", '[keys]\npassphrase_file = "/nowhere"\n', "keys/MISSING"),
        ("genesis.json", "{}", "genesis/INVALID"),
        ("keys/validator.json", "{}", "keys/DAMAGED"),
        ("keys/node.json", None, "keys/MISSING"),
    ],
)
def test_one_thing_wrong(network: Testnet, file: str, content: str | None, name: str) -> None:
    """What would stop a start is found without one."""
    home = network.node(0).home
    path = home.root / file
    path.unlink()
    if content is not None:
        path.write_text(content)
        path.chmod(0o600)

    assert name in found(home)


@pytest.mark.parametrize(
    ("log", "names"),
    [
        ("... started   epoch=0\nhome/DISK_FULL: The disk is full.\n  - path: x\n", {"home/DISK_FULL"}),
        ("home/DISK_FULL: The disk is full.\n... started  epoch=0\n... stopping\n", {"doctor/NOT_RUNNING"}),
        ("storage/UNHEARD_OF: who knows\n", {"doctor/NOT_RUNNING"}),
        ("", {"doctor/NOT_RUNNING"}),
    ],
)
def test_last_words_in_the_log(network: Testnet, log: str, names: set[str]) -> None:
    """The named error with which the node ended, unless it was started again since."""
    node = network.node(0)
    node.log.parent.mkdir(parents=True, exist_ok=True)
    node.log.write_text(log)

    assert names == set(found(node.home))


@pytest.mark.usefixtures("impatient")
def test_a_process_that_hangs(network: Testnet, capsys: pytest.CaptureFixture[str]) -> None:
    """A process holds the home and nobody answers: doctor/NOT_ANSWERING names it."""
    home = network.node(0).home
    with HomeLock.take(home):
        code, answer = ask(capsys, "--home", str(home.root))

    assert (1, ("stalled", [("doctor/NOT_ANSWERING", [])])) == (code, brief(answer))
    assert str(os.getpid()) == answer["causes"][0]["evidence"]["process"]


def test_a_test_network_that_is_down(network: Testnet, capsys: pytest.CaptureFixture[str]) -> None:
    """All its nodes are looked at."""
    code, answer = ask(capsys, "--home", str(network.home.root))

    assert (1, ("not_running", [("doctor/NOT_RUNNING", [])] * 2)) == (code, brief(answer))


def test_nodes_by_number(network: Testnet, capsys: pytest.CaptureFixture[str]) -> None:
    """`--node N` is a node of the test network in the home; before or after the command."""
    home = str(network.home.root)
    for arguments in (["--node", "1", "doctor"], ["doctor", "--node", "1"]):
        run_cli([*arguments, "--home", home, "--output", "json"])
        (cause,) = json.loads(capsys.readouterr().out)["causes"]
        assert str(network.node(1).home.root) == cause["evidence"]["home"]
    assert 1 == run_cli(["doctor", "--node", "7", "--home", home])
    assert "testnet/NO_SUCH_NODE" in capsys.readouterr().err


def test_a_home_names_its_validator(network: Testnet, capsys: pytest.CaptureFixture[str]) -> None:
    """What is found at a home is tied to the validator by its key."""
    (key,) = examining.consensus_keys(network.node(1).home)
    world = World(4).change(1, runs=False)
    observed = world.observe(0)
    mine = msgspec.structs.replace(observed.validators[1], consensus_key=key)
    observed = msgspec.structs.replace(observed, validators=(observed.validators[0], mine, *observed.validators[2:]))
    network.node(1).log.parent.mkdir(parents=True, exist_ok=True)
    network.node(1).log.write_text("home/DISK_FAILED: The disk refused a write or a sync.\n")
    with Served(FakeNode(observed=observed)) as thread:
        arguments = ["--node", thread.server.rpc_address, "--node", "1", "--home", str(network.home.root)]
        _, answer = ask(capsys, *arguments)

    assert ("degraded", [("home/DISK_FAILED", [1])]) == brief(answer)
