"""Settings: layers, origins, and mistakes that are all reported at once."""

import tomllib
from pathlib import Path

import pytest

from cccnode import config
from cccnode.config import load, split_address
from cccnode.home import Home
from cccnode.types import errors
from cccnode.types.errors import Fault
from cccnode.types.retention import Keep

KEY = "0a" * 32


def _home(tmp_path: Path, text: str = "") -> Home:
    if text:
        (tmp_path / "config.toml").write_text(text)
    return Home(tmp_path)


def _problems(home: Home, **layers: object) -> list[str]:
    with pytest.raises(Fault) as refused:
        load(home, **{"environment": {}, **layers})
    assert refused.value.spec is errors.CONFIG_INVALID
    problems = refused.value.values["problems"]
    assert isinstance(problems, list)
    return problems


def test_defaults(tmp_path: Path) -> None:
    """Without any file every value is a default, and every port is on loopback."""
    loaded = load(_home(tmp_path), environment={})
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.config.profile == "validator"
    listening = (loaded.config.p2p.listen, loaded.config.rpc.listen, loaded.config.ops.listen)
    assert [split_address(address) for address in listening] == [("127.0.0.1", p) for p in (27600, 27601, 27602)]


def test_layers(tmp_path: Path) -> None:
    """Flag over environment over file over profile over default; each origin is told."""
    home = _home(
        tmp_path, 'profile = "peer"\n[storage]\ncache_mb = 300\n[log]\nlevel = "debug"\n[mempool]\ntxs_max = 7\n'
    )
    env = {"CCCNODE_LOG__LEVEL": "error", "CCCNODE_MEMPOOL__TXS_MAX": "8", "CCCNODE_PASSPHRASE": "x", "PATH": "/"}
    loaded = load(home, environment=env, flags=["mempool.txs_max=9"])
    assert (loaded.config.storage.cache_mb, loaded.config.log.level, loaded.config.mempool.txs_max) == (300, "error", 9)
    assert loaded.origins["storage.cache_mb"] == f"file {home.config_file}"
    assert loaded.origins["log.level"] == "env CCCNODE_LOG__LEVEL"
    assert loaded.origins["mempool.txs_max"] == "flag"
    assert loaded.origins["rpc.listen"] == "default"
    assert loaded.config.profile == "peer"


def test_profile(tmp_path: Path) -> None:
    """A profile stands below the file; an asked one wins over the file's name of one."""
    home = _home(tmp_path, 'profile = "peer"\n')
    assert load(home, environment={}).config.storage.cache_mb == 256
    assert load(home, environment={}, profile="dev").config.storage.cache_mb == 128
    assert load(home, environment={}).origins["storage.cache_mb"] == "profile peer"


@pytest.mark.parametrize("name", config.PROFILES)
def test_every_profile_is_valid(tmp_path: Path, name: str) -> None:
    """Every profile names existing keys with valid values."""
    assert load(_home(tmp_path), environment={}, profile=name).config.profile == name


def test_values_of_flags_and_environment_are_read_by_type(tmp_path: Path) -> None:
    """Text becomes a number, a truth value or a list, as the key demands."""
    env = {"CCCNODE_STORAGE__INDEX": "false", "CCCNODE_P2P__BOOTSTRAP": f"{KEY}@a:1, {KEY}@[::1]:2"}
    loaded = load(_home(tmp_path), environment=env, flags=["storage.cache_mb=99"])
    assert load(_home(tmp_path), environment={}, flags=["p2p.advertise=a:1,b:2"]).config.p2p.advertise == ("a:1", "b:2")
    assert loaded.config.storage.index is False
    assert loaded.config.p2p.bootstrap == (f"{KEY}@a:1", f"{KEY}@[::1]:2")
    assert [config.split_contact(contact)[1] for contact in loaded.config.p2p.bootstrap] == ["a:1", "[::1]:2"]
    assert config.split_contact(f"{KEY}@a:1")[0] == bytes.fromhex(KEY)
    assert loaded.config.storage.cache_mb == 99


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Mistakes of all layers are listed together, unknown names with a suggestion."""
    home = _home(tmp_path, '[rpc]\nlsten = "a:1"\n[storag]\ncache_mb = 1\n[storage]\ncache_mb = 1\n')
    problems = _problems(home, flags=["p2p.listen=nowhere", "storage.engine=foo", "bare"], profile="vlidator")
    text = "\n".join(problems)
    assert "rpc.lsten is unknown; did you mean rpc.listen?" in text
    assert "section [storag] is unknown; did you mean storage?" in text
    assert "storage.cache_mb = 1" in text
    assert "p2p.listen = 'nowhere' (flag): must read host:port" in text or "must read host:port" in text
    assert "storage.engine = 'foo'" in text
    assert "'bare' must read section.key=value" in text
    assert "did you mean validator?" in text
    assert len(problems) == 7


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["ops.listen=0.0.0.0:27602"], "loopback only"),
        (["ops.listen=example.org:27602"], "loopback only"),
        (["rpc.listen=127.0.0.1:27600"], "same port 27600"),
        (["rpc.listen=127.0.0.1:70000"], "at most 65535"),
        (["p2p.advertise=0.0.0.0:27600"], "others cannot dial that"),
        (["p2p.advertise=node.example:0"], "others cannot dial that"),
        (["p2p.advertise=a:1,b:2,c:3,d:4,e:5"], "p2p.advertise"),
        (["rpc.requests_max=0"], "rpc.requests_max"),
        (["storage.cache_mb=many"], "storage.cache_mb"),
    ],
)
def test_invalid_value(tmp_path: Path, flags: list[str], why: str) -> None:
    """Values that could hurt are refused with a reason."""
    assert any(why in problem for problem in _problems(_home(tmp_path), flags=flags))


@pytest.mark.parametrize("text", ["[rpc", "profile = 3", "rpc = 1", "\udcff"])
def test_invalid_file(tmp_path: Path, text: str) -> None:
    """A file that is no settings file is refused, not ignored."""
    (tmp_path / "config.toml").write_bytes(text.encode(errors="surrogateescape"))
    assert _problems(Home(tmp_path))


def test_invalid_missing_file(tmp_path: Path) -> None:
    """A file that was asked for must exist; the usual one need not."""
    assert "no such file" in _problems(_home(tmp_path), file=tmp_path / "other.toml")[0]


def test_invalid_environment(tmp_path: Path) -> None:
    """A misspelled variable is an error too."""
    assert _problems(_home(tmp_path), environment={"CCCNODE_RPC__LISTN": "a:1"}) == [
        "environment: rpc.listn is unknown; did you mean rpc.listen?"
    ]


@pytest.mark.parametrize("contact", ["a:1", f"{KEY}@a", f"{KEY}@a:b", f"{KEY[2:]}@a:1", f"{KEY}@a:1@b:2"])
def test_invalid_contact(tmp_path: Path, contact: str) -> None:
    """A node to dial is named with its key: an address alone could be anybody's."""
    (problem,) = _problems(_home(tmp_path, f'[p2p]\nbootstrap = ["{contact}"]\n'))
    assert "must read key@host:port" in problem


def test_render_round_trip(tmp_path: Path) -> None:
    """What render writes, load reads, with special characters in names."""
    values = {
        "node.name": 'a "b" \\ \n ไทย',
        "storage.index": False,
        "storage.cache_mb": 77,
        "p2p.bootstrap": (f"{KEY}@a:1",),
    }
    text = config.render(values, profile="peer")
    assert tomllib.loads(text)["profile"] == "peer"
    loaded = load(_home(tmp_path, text), environment={})
    assert {key: loaded.values()[key] for key in values} == values


def test_roles_keep_differently(tmp_path: Path) -> None:
    """A validator keeps a month, a peer a week, an archive everything; one line changes one kind."""
    policies = {}
    for role in config.PROFILES:
        loaded = load(_home(tmp_path, f'profile = "{role}"\n'), environment={}).config.retention
        policies[role] = (loaded.blocks, loaded.receipts, loaded.index, loaded.history, loaded.headers)
    month, week, everything = ("30d",) * 3, ("7d",) * 3, ("all",) * 3
    kept = {"validator": month, "peer": week, "archive": everything, "dev": everything}
    assert policies == {role: (*kinds, "all", "all") for role, kinds in kept.items()}
    chosen = load(_home(tmp_path, '[retention]\nblocks = "5000 blocks"\n'), environment={}).config.retention.policy
    assert (chosen.blocks, chosen.index) == (Keep(blocks=5_000), Keep(milliseconds=30 * 86_400_000))


@pytest.mark.parametrize("text", ["1w", "0d", "forever", "30 days"])
def test_invalid_retention(tmp_path: Path, text: str) -> None:
    """A policy that cannot be read says how one reads."""
    (problem,) = _problems(_home(tmp_path, f'[retention]\nblocks = "{text}"\n'))
    assert "must read all, an age such as 30d 12h 10m 90s, or 5000 blocks" in problem
