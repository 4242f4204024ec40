"""Key files: what a thief, a typo and a careless copy meet."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cccnode import keys
from cccnode.crypto.signing import SigningKey
from cccnode.keys import Argon2id, Role
from cccnode.types import errors
from cccnode.types.errors import ErrorSpec, Fault

SECRET = "correct horse battery"
KEY = SigningKey(bytes(range(32)))


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing is made cheap for tests; the cost is in the file, so that reading works the same."""

    def cheap(**fields: Any) -> Argon2id:
        return Argon2id(memory_kib=8192, iterations=1, lanes=1, **fields)

    monkeypatch.setattr(keys, "Argon2id", cheap)


def _file(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "keys" / "validator.json"
    arguments: dict[str, Any] = {"role": Role.VALIDATOR, "passphrase": SECRET, "key": KEY, **changes}
    keys.create(path, **arguments)
    return path


def _refused(spec: ErrorSpec, act: Callable[[], object]) -> Fault:
    with pytest.raises(Fault) as refused:
        act()
    assert refused.value.spec is spec
    return refused.value


def _change(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_default_cost() -> None:
    """One guess costs 64 MiB and three passes."""
    assert (64 * 1024, 3, 4) == (
        Argon2id(salt="00").memory_kib,
        Argon2id(salt="00").iterations,
        Argon2id(salt="00").lanes,
    )


def test_round_trip(tmp_path: Path) -> None:
    """The right passphrase opens the key; the public key is readable without it; the secret is not in the file."""
    path = _file(tmp_path)
    assert keys.unlock(path, role=Role.VALIDATOR, passphrase=SECRET).seed == KEY.seed
    assert keys.read(path).public_key == KEY.public_key
    assert keys.read(path).encrypted
    assert KEY.seed.hex() not in path.read_text()


def test_passphrase_is_normalised(tmp_path: Path) -> None:
    """Composed and decomposed letters and stray control characters give the same passphrase."""
    path = _file(tmp_path, passphrase="caf\u00e9 au lait")
    assert keys.unlock(path, role=Role.VALIDATOR, passphrase="cafe\u0301 au\x7f lait\n").seed == KEY.seed


def test_file_is_private(tmp_path: Path) -> None:
    """The file is readable by its owner only, whatever the umask says."""
    path = _file(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0


def test_demo_key_says_so(tmp_path: Path) -> None:
    """A key of a demo network is in clear and warns whoever opens the file."""
    path = _file(tmp_path, passphrase=None)
    assert "NOT ENCRYPTED" in path.read_text()
    assert not keys.read(path).encrypted
    assert keys.unlock(path, role=Role.VALIDATOR).seed == KEY.seed


def test_random_keys_differ(tmp_path: Path) -> None:
    """Without a given key every file holds a new one."""
    made = [keys.create(tmp_path / f"{i}.json", role=Role.NODE, passphrase=None) for i in range(2)]
    assert made[0].pubkey != made[1].pubkey


def test_invalid_passphrase(tmp_path: Path) -> None:
    """A wrong passphrase, and none, have different names."""
    path = _file(tmp_path)
    _refused(errors.KEY_PASSPHRASE, lambda: keys.unlock(path, role=Role.VALIDATOR, passphrase="something else"))
    _refused(errors.KEY_NEEDS_PASSPHRASE, lambda: keys.unlock(path, role=Role.VALIDATOR))


def test_invalid_short_passphrase(tmp_path: Path) -> None:
    """A short passphrase is refused when the key is made, and nothing is written."""
    _refused(errors.KEY_WEAK_PASSPHRASE, lambda: _file(tmp_path, passphrase="short"))
    assert not (tmp_path / "keys" / "validator.json").exists()


def test_invalid_overwrite(tmp_path: Path) -> None:
    """An existing key is never overwritten."""
    path = _file(tmp_path)
    before = path.read_bytes()
    _refused(errors.KEY_EXISTS, lambda: _file(tmp_path))
    assert path.read_bytes() == before


def test_invalid_permissions(tmp_path: Path) -> None:
    """A file that others may read is refused with its mode."""
    path = _file(tmp_path)
    path.chmod(0o640)
    assert _refused(errors.KEY_PERMISSIONS, lambda: keys.read(path)).values["mode"] == "640"


def test_invalid_missing(tmp_path: Path) -> None:
    """A missing file is named."""
    _refused(errors.KEY_MISSING, lambda: keys.read(tmp_path / "none.json"))


def test_invalid_role(tmp_path: Path) -> None:
    """A validator key does not serve as a node key."""
    _refused(errors.KEY_DAMAGED, lambda: keys.unlock(_file(tmp_path), role=Role.NODE, passphrase=SECRET))


@pytest.mark.parametrize(
    ("change", "spec"),
    [
        (lambda d: d.update(pubkey=SigningKey(bytes(32)).public_key.hex()), errors.KEY_PASSPHRASE),
        (lambda d: d.update(role="account"), errors.KEY_DAMAGED),
        (lambda d: d.update(surplus=1), errors.KEY_DAMAGED),
        (lambda d: d.pop("pubkey"), errors.KEY_DAMAGED),
        (lambda d: d["crypto"]["kdf"].update(memory_kib=2**40), errors.KEY_DAMAGED),
        (lambda d: d["crypto"]["kdf"].update(function="scrypt"), errors.KEY_DAMAGED),
        (lambda d: d["crypto"]["cipher"].update(nonce="00"), errors.KEY_DAMAGED),
        (lambda d: d["crypto"]["cipher"].update(message="00" * 48), errors.KEY_PASSPHRASE),
    ],
)
def test_invalid_changed_file(tmp_path: Path, change: Callable[[dict[str, Any]], object], spec: ErrorSpec) -> None:
    """A file that was changed anywhere does not open."""
    path = _file(tmp_path)
    _change(path, change)
    _refused(spec, lambda: keys.unlock(path, role=Role.VALIDATOR, passphrase=SECRET))


def test_invalid_public_key_of_open_file(tmp_path: Path) -> None:
    """Where nothing is encrypted, a public key that is not the secret's is still noticed."""
    path = _file(tmp_path, passphrase=None)
    _change(path, lambda document: document.update(pubkey="00" * 32))
    _refused(errors.KEY_DAMAGED, lambda: keys.unlock(path, role=Role.VALIDATOR))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 10_000, b"{}" * 20_000])
def test_invalid_garbage(tmp_path: Path, content: bytes) -> None:
    """Garbage is a damaged key file, never another error."""
    path = _file(tmp_path)
    path.write_bytes(content)
    _refused(errors.KEY_DAMAGED, lambda: keys.read(path))


def test_find_passphrase(tmp_path: Path) -> None:
    """The file's first line wins over the environment; without either there is none."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\nsecond line\n")
    file.chmod(0o600)
    env = {"CCCNODE_PASSPHRASE": "from environment"}
    assert keys.find_passphrase(file, env) == SECRET
    assert keys.find_passphrase(None, env) == "from environment"
    assert keys.find_passphrase(None, {}) is None


def test_invalid_passphrase_file(tmp_path: Path) -> None:
    """A passphrase file that is missing, open to others or no text is refused by name."""
    file = tmp_path / "secret"
    _refused(errors.KEY_MISSING, lambda: keys.find_passphrase(file, {}))
    file.write_bytes(b"\xff\xfe")
    file.chmod(0o644)
    _refused(errors.KEY_PERMISSIONS, lambda: keys.find_passphrase(file, {}))
    file.chmod(0o600)
    _refused(errors.KEY_DAMAGED, lambda: keys.find_passphrase(file, {}))
