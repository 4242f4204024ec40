"""`cccnode incident`: from a node's operator port into a file, and from the file to people."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cccnode.cli.main import run_cli
from cccnode.cli.options import Options
from cccnode.cli.story import Story
from cccnode.config import OpsSection, RpcSection
from cccnode.rpc.server import RpcServer
from cccnode.types.errors import INCIDENT_BUSY, Fault, fault
from cccnode.types.vote import Kind
from consensus.capsule import MAGIC, Cause, read_capsule
from consensus.chain import Chain
from consensus.events import BodyInvalid, BodyReady, Received
from consensus.messages import VotesMessage
from consensus.replay import Replay
from tests.consensus.test_capsule import Recorded
from tests.simulation.fakes import node_of
from tests.support.fake_node import FakeNode

DEAD = 2


def _capsule(*, silent: tuple[int, ...] = (DEAD,), cause: Cause = Cause.TIME) -> bytes:
    world = Recorded(silent=silent)
    world.pending(True)
    world.run(200)
    world.start(0)
    world.run(1_500)
    return world.recordings[0].end(cause)


RAW = _capsule()


class Playing:
    """Sends a prepared capsule, or breaks off in the middle, or refuses."""

    def __init__(self) -> None:
        self.raw = RAW
        self.cut: int | None = None
        self.refusal: Fault | None = None
        self.asked: list[tuple[int, str]] = []
        self.abort: Callable[[], None] = lambda: None

    def start(
        self, *, seconds: int, reason: str, write: Callable[[bytes], None], ended: Callable[[], None]
    ) -> Callable[[], None]:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((seconds, reason))
        if self.cut is None:
            write(self.raw[:1_000])
            write(self.raw[1_000:])
            ended()
        else:
            write(self.raw[: self.cut])
            asyncio.get_running_loop().call_later(0.05, self.abort)
        return lambda: None


class Node:
    """An operator port in a thread of its own."""

    def __init__(self) -> None:
        self.playing = Playing()
        self.loop = asyncio.new_event_loop()
        self.server = RpcServer(
            FakeNode(),
            RpcSection(listen="127.0.0.1:0"),
            OpsSection(listen="127.0.0.1:0"),
            incidents=self.playing,
        )
        self.playing.abort = self._abort
        self.thread = threading.Thread(target=self.loop.run_forever)
        self._stopping: Any = None

    def _abort(self) -> None:
        self._stopping = asyncio.ensure_future(self.server.stop(), loop=self.loop)  # noqa: TID251 - in its own thread

    @property
    def ops(self) -> str:
        return self.server.ops_address


@pytest.fixture
def node() -> Iterator[Node]:
    found = Node()
    found.thread.start()
    asyncio.run_coroutine_threadsafe(found.server.start(), found.loop).result()
    yield found
    asyncio.run_coroutine_threadsafe(found.server.stop(), found.loop).result()
    found.loop.call_soon_threadsafe(found.loop.stop)
    found.thread.join()
    found.loop.close()


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run_cli(["incident", *arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


# ----- record


def test_record(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The capsule is in the file as the node sent it, and one JSON value says what it is."""
    out = tmp_path / "stall.capsule"
    arguments = ["record", "--ops", node.ops, "--seconds", "7", "--reason", "why?", "--out", str(out)]
    code, shown, _ = _run(capsys, *arguments, "--output", "json")
    summary = json.loads(shown)
    assert code == 0
    assert out.read_bytes() == RAW
    assert node.playing.asked == [(7, "why?")]
    assert (summary["organisation"], summary["cause"], summary["bytes"]) == ("org0", "time", len(RAW))
    assert summary["events"] == len(read_capsule(RAW).steps)


def test_record_finds_the_node(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --ops the settings of the home say where the operator port is."""
    (tmp_path / "config.toml").write_text(f'[ops]\nlisten = "{node.ops}"\n', encoding="utf-8")
    out = tmp_path / "a"
    code, shown, _ = _run(capsys, "record", "--home", str(tmp_path), "--out", str(out))
    assert code == 0
    assert out.read_bytes() == RAW
    assert "the time was over" in shown
    assert node.playing.asked == [(60, "")]


def test_record_refuses_to_overwrite(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that exists is not touched, and the node is not asked."""
    out = tmp_path / "a"
    out.write_text("mine", encoding="utf-8")
    code, _, _ = _run(capsys, "record", "--ops", node.ops, "--out", str(out))
    assert (code, out.read_text(encoding="utf-8"), node.playing.asked) == (2, "mine", [])


def test_record_where_nothing_can_be_written(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is a named error."""
    arguments = ["--ops", node.ops, "--out", str(tmp_path / "no" / "a"), "--output", "json"]
    code, shown, _ = _run(capsys, "record", *arguments)
    assert (code, json.loads(shown)["error"]["name"]) == (1, "home/DISK_FAILED")


def test_record_refused(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The node's refusal is shown by name, and no file is left."""
    node.playing.refusal = fault(INCIDENT_BUSY, seconds_left=9)
    out = tmp_path / "a"
    code, shown, _ = _run(capsys, "record", "--ops", node.ops, "--out", str(out), "--output", "json")
    error = json.loads(shown)["error"]
    assert (code, error["name"], error["details"]) == (75, "incident/BUSY", {"seconds_left": "9"})
    assert not out.exists()


def test_record_without_a_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No node there: the usual name, and no file is left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        out = tmp_path / "a"
        code, shown, _ = _run(capsys, "record", "--ops", f"http://{address}/", "--out", str(out), "--output", "json")
    assert (code, json.loads(shown)["error"]["name"]) == (75, "client/UNREACHABLE")
    assert not out.exists()


@pytest.mark.parametrize("cut", [len(RAW) // 2, len(RAW) - 3])
def test_record_broken_off(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str], cut: int) -> None:
    """A node that goes away leaves a whole capsule of what came until then, which says so and replays."""
    node.playing.cut = cut
    out = tmp_path / "a"
    code, shown, _ = _run(capsys, "record", "--ops", node.ops, "--out", str(out), "--output", "json")
    assert (code, json.loads(shown)["cause"]) == (0, "cut")
    capsule = read_capsule(out.read_bytes())
    assert len(list(Replay(capsule).steps())) == capsule.end.steps > 10


def test_record_broken_off_at_once(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A node that goes away before its snapshot came leaves no file."""
    node.playing.cut = len(MAGIC) + 5
    out = tmp_path / "a"
    code, shown, _ = _run(capsys, "record", "--ops", node.ops, "--out", str(out), "--output", "json")
    assert (code, json.loads(shown)["error"]["name"]) == (75, "client/UNREACHABLE")
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments", [["--seconds", "0"], ["--seconds", "601"], ["--node", "127.0.0.1:1"], ["--reason"]]
)
def test_invalid_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Wrong usage is told before anything happens."""
    out = tmp_path / "a"
    assert _run(capsys, "record", "--out", str(out), "--home", str(tmp_path), *arguments)[0] == 2
    assert not out.exists()


# ----- replay


def _file(tmp_path: Path, raw: bytes) -> str:
    path = tmp_path / "stall.capsule"
    path.write_bytes(raw)
    return str(path)


def test_replay_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON value: the capsule, every view with what happened and why it waited, and the verdict."""
    code, shown, _ = _run(capsys, "replay", _file(tmp_path, RAW), "--output", "json")
    told = json.loads(shown)
    assert (code, told["equal"], told["difference"]) == (0, True, None)
    assert told["replayed"] == told["capsule"]["events"]
    troubled = [view for view in told["views"] if view["troubled"] and view["leader"] == f"org{DEAD}"]
    assert troubled
    view = next(view for view in troubled if view["left_ms"] is not None)
    assert view["gave_up_ms"] is not None
    assert view["waited_ms"]["the leader's proposal"] > 50
    assert {vote["organisation"] for vote in view["votes"]["nullify"]} == {"org0", "org1", "org3"}
    good = [view for view in told["views"] if not view["troubled"] and "final" in view["certified_ms"]]
    assert good
    assert all(view["height"] for view in good if view["entered_ms"] is not None)


def test_replay_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People read a line for each view, more where it went wrong: who did not vote, and what it waited for."""
    code, shown, _ = _run(capsys, "replay", _file(tmp_path, RAW))
    assert code == 0
    assert "Equal:" in shown
    assert "state after the last is the same" in shown
    assert "for the leader's proposal" in shown
    assert f"not org{DEAD}" in shown
    assert "opened by notarize certificate" in shown
    longer = _run(capsys, "replay", _file(tmp_path, RAW), "--all")[1]
    assert len(longer.splitlines()) > len(shown.splitlines())
    thai = _run(capsys, "replay", _file(tmp_path, RAW), "--lang", "th")[1]
    assert "ตรงกัน" in thai


def test_replay_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A difference is an error with its place; what happened until then is shown all the same."""
    file = _file(tmp_path, RAW)
    code, shown, said = _run(capsys, "replay", file, "--check-signatures")
    assert code == 1
    assert "incident/DIFFERS" in said
    assert "wrong about a signature" in said  # The simulated signatures are no Ed25519.
    assert "view " in shown
    code, shown, _ = _run(capsys, "replay", file, "--check-signatures", "--output", "json")
    told = json.loads(shown)
    assert (code, told["equal"], told["difference"]["name"]) == (1, False, "incident/DIFFERS")
    assert {"step", "at_ms", "event", "what", "effects"} == set(told["difference"]["details"])


@pytest.mark.parametrize("raw", [b"", b"not a capsule", RAW[:-1], RAW[:500], RAW + b"x"])
def test_replay_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: bytes) -> None:
    """Damaged files are refused by name."""
    code, shown, _ = _run(capsys, "replay", _file(tmp_path, raw), "--output", "json")
    assert (code, json.loads(shown)["error"]["name"]) == (1, "incident/INVALID")


def test_replay_of_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there is wrong usage."""
    assert _run(capsys, "replay", str(tmp_path / "no"))[0] == 2


# ----- the story


def _story(raw: bytes) -> Story:
    replay = Replay(read_capsule(raw))
    story = Story(replay.capsule.config, replay.start)
    for step in replay.steps():
        story.add(step)
    return story


def test_story_of_a_good_network() -> None:
    """Without faults no view had trouble, and each took one line except the last."""
    story = _story(_capsule(silent=()))
    assert not [view for view in story.views.values() if view.troubled(story.slow_ms)]
    lines = story.lines(Options(), whole=False)
    assert len(lines) > 10
    assert all(line.startswith("view ") for line in lines if not line.startswith("    "))


def test_story_tells_complaints() -> None:
    """Blame, refused blocks and second proposals stand under the view in which they happened."""
    world = Recorded()
    world.pending(True)
    world.run(200)
    world.start(0)
    world.run(300)
    member, view = world.members[0], world.members[0].engine.status().view
    bad = world.vote(1, Kind.NULLIFY, world.vote(1, Kind.NULLIFY, member.engine.status().final).proposal)
    world.handle(member, _received(1, VotesMessage(0, 0, (bad,))))
    world.handle(member, BodyInvalid(block_id=bytes(32), reason="as if it were wrong"))
    story = _story(world.recordings[0].end())
    remarks = " ".join(story.views[view].remarks)
    assert "blamed org1" in remarks
    assert "as if it were wrong" in remarks


def test_story_of_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event that made the engine fail stands at the end, with the error."""
    poison, get = BodyReady(block_id=b"poison"), Chain.get

    def broken(chain: Chain, wanted: bytes) -> Any:
        assert wanted != poison.block_id, "as if a rule were wrong"
        return get(chain, wanted)

    monkeypatch.setattr(Chain, "get", broken)
    world = Recorded()
    world.start(0)
    with pytest.raises(AssertionError):
        world.recordings[0].handle(poison, world.now)
    story = _story(world.recordings[0].end(Cause.FAILED))
    assert "as if a rule were wrong" in story.lines(Options(), whole=False)[-1]


def _received(validator: int, message: VotesMessage) -> Any:
    return Received(peer=node_of(validator), validator=validator, message=message)
