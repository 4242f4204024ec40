"""Consensus keys of a home: all of them by public key, later ones too, and never a crash for a bad file."""

from pathlib import Path
from typing import Any

import pytest

from cccnode import keys
from cccnode.config import load
from cccnode.crypto.signing import SigningKey
from cccnode.home import Home
from cccnode.keys import Role
from cccnode.node.keyring import LOOK_MS, Keyring, unlock
from cccnode.types import errors
from cccnode.types.errors import Fault

OLD, NEW = SigningKey(bytes(31) + b"\x01"), SigningKey(bytes(31) + b"\x02")


def _add(home: Home, key: SigningKey, passphrase: str | None = None) -> Path:
    path = home.fresh_key("validator")
    keys.create(path, role=Role.VALIDATOR, passphrase=passphrase, key=key)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_file_names(home: Home) -> None:
    """The first key has the plain name, later ones a number, and numbers are never taken twice."""
    assert [_add(home, SigningKey.generate()).name for _ in range(3)] == [
        "validator.json",
        "validator-2.json",
        "validator-3.json",
    ]
    home.keys.joinpath("validator-2.json").unlink()
    assert home.fresh_key("validator").name == "validator-4.json"
    home.keys.joinpath("validator-10.json").write_text("")
    home.keys.joinpath("validator-old.json").write_text("")
    assert [path.name for path in home.validator_keys] == ["validator.json", "validator-3.json", "validator-10.json"]


def test_node_key_in_use(home: Home) -> None:
    """The newest numbered node key is in use; the first one marks the data; one being registered does not count."""
    for _ in range(2):
        keys.create(home.fresh_key("node"), role=Role.NODE, passphrase=None)
    keys.create(home.next_node_key, role=Role.NODE, passphrase=None)
    assert (home.node_key.name, home.first_node_key.name) == ("node-2.json", "node.json")


def test_no_key(home: Home) -> None:
    """A node that only follows has none."""
    assert dict(Keyring(home, None)) == {}


def test_every_key_signs(home: Home) -> None:
    """Each key of the home signs under its public key."""
    for key in (OLD, NEW):
        _add(home, key)
    ring = Keyring(home, None)
    assert {public: ring[public](b"x") for public in ring} == {key.public_key: key.sign(b"x") for key in (OLD, NEW)}


def test_key_that_came_later(home: Home) -> None:
    """A key file that appears while the node runs is opened when its key is first asked for."""
    _add(home, OLD)
    ring = Keyring(home, None)
    assert NEW.public_key not in ring
    _add(home, NEW)
    assert NEW.public_key in ring
    assert ring[NEW.public_key](b"x") == NEW.sign(b"x")
    assert len(ring) == 2


def test_later_key_under_the_passphrase(home: Home, tmp_path: Path) -> None:
    """It is opened with the passphrase of the settings."""
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    _add(home, OLD, "correct horse")
    ring = Keyring(home, secret)
    _add(home, NEW, "correct horse")
    assert ring[NEW.public_key](b"x") == NEW.sign(b"x")


class Later:
    """A runtime whose timer and key thread the test turns."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, Any, Any]] = []
        self.again: list[Any] = []

    def call_later(self, delay_ms: int, callback: Any) -> None:
        assert delay_ms == LOOK_MS
        self.again.append(callback)

    def run_in_writer(self, writer: str, job: Any, done: Any) -> None:
        self.jobs.append((writer, job, done))

    def look(self) -> None:
        self.again.pop()()

    def work(self) -> None:
        """What the key thread does, and what the loop then hears."""
        for _, job, done in self.jobs:
            try:
                done(job())
            except Fault as refused:
                done(refused)
        self.jobs.clear()


def test_a_later_key_is_opened_beside_the_loop(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon after the file appeared, once; when its epoch names it there is nothing left to wait for."""
    monkeypatch.setenv(keys.PASSPHRASE_ENV, "correct horse")
    _add(home, OLD, "correct horse")
    ring, runtime = Keyring(home, None), Later()
    ring.watch(runtime)
    assert [] == runtime.jobs, "that one is open"
    _add(home, NEW, "correct horse")
    for _ in range(3):
        runtime.look()
    assert ["keys"] == [writer for writer, _, _ in runtime.jobs]
    assert [OLD.public_key] == list(ring)
    runtime.work()

    monkeypatch.setattr(keys, "unlock", None)
    assert NEW.public_key in ring
    assert ring[NEW.public_key](b"x") == NEW.sign(b"x")


def test_a_later_file_that_does_not_open(home: Home) -> None:
    """It is tried once beside the loop, and again when its key is needed; anything but a named error stops the node."""
    _add(home, OLD)
    ring, runtime = Keyring(home, None), Later()
    ring.watch(runtime)
    path = _add(home, NEW, "another passphrase")
    for _ in range(2):
        runtime.look()
        runtime.work()
    assert [OLD.public_key] == list(ring)
    path.unlink()
    keys.create(path, role=Role.VALIDATOR, passphrase=None, key=NEW)

    assert NEW.public_key in ring
    with pytest.raises(ZeroDivisionError):
        ring._opened(path, ZeroDivisionError())


def test_invalid_later_file(home: Home, tmp_path: Path) -> None:
    """A later file that does not open leaves the node running without it."""
    _add(home, OLD)
    ring = Keyring(home, None)
    _add(home, NEW, "another passphrase")
    home.fresh_key("validator").write_text("{")
    assert NEW.public_key not in ring
    assert OLD.public_key in ring


def test_invalid_start(home: Home) -> None:
    """At the start every file must open: the operator is there to hear of it."""
    _add(home, OLD, "correct horse")
    with pytest.raises(Fault) as refused:
        Keyring(home, None)
    assert refused.value.spec is errors.KEY_NEEDS_PASSPHRASE


def test_unlock(home: Home) -> None:
    """A node opens the node key in use and its consensus keys."""
    for _ in range(2):
        keys.create(home.fresh_key("node"), role=Role.NODE, passphrase=None)
    _add(home, OLD)
    node_key, ring = unlock(load(home, environment={}).config)
    assert node_key.public_key == keys.read(home.keys / "node-2.json").public_key
    assert list(ring) == [OLD.public_key]
