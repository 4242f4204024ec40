"""A node that must not start says why, where, and what to do, on standard error, with the exit code that fits."""

import asyncio
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from cccnode.cli.output import CONFIGURATION, TEMPORARY
from cccnode.keys import WARNING
from storage.leveldb import LevelDB
from storage.store import FORMAT
from tests.end_to_end.processes import Network, ports, run

SECRET = "correct horse battery staple"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Homes of two networks of one node, each with data of a first run."""
    folder = tmp_path_factory.mktemp("homes")
    for name in ("ours", "other"):
        network = Network.prepare(folder / name, validators=1)
        network.start(0)
        try:
            asyncio.run(_validates(network))
        finally:
            network.stop(0)
    return folder


@pytest.fixture
def home(ran: Path, tmp_path: Path) -> Path:
    """A home with data, to be spoiled."""
    shutil.copytree(ran / "ours" / "node0", tmp_path / "home")
    return tmp_path / "home"


def refuses(home: Path, name: str, code: int, *words: str, env: dict[str, str] | None = None) -> None:
    """`run` of this home ends with that code and says the error, the remedy and these words."""
    _says(run("run", "--home", str(home), env=env), name, code, *words)


def test_second_process(ran: Path) -> None:
    """A second process on one home is told who holds it; the first one goes on."""
    network = Network.prepare(ran / "twice", validators=1)
    network.start(0)
    try:
        home = network.node(0).home
        asyncio.run(_validates(network))
        refuses(home.root, "home/LOCKED", TEMPORARY, str(home.root), f"process: {network.processes[0].pid}")
        assert run("status", "--home", str(home.root)).returncode == 0
    finally:
        network.stop_all()


@pytest.mark.parametrize("section", ["p2p", "rpc", "ops"])
def test_port_in_use(home: Path, section: str) -> None:
    """Each of the three ports that is taken is named."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        env = {f"CCCNODE_{section.upper()}__LISTEN": taken}
        refuses(home, "home/PORT_IN_USE", TEMPORARY, taken, "config.toml", env=env)


def test_data_of_another_chain(ran: Path, home: Path) -> None:
    """Data of another chain is left alone."""
    shutil.rmtree(home / "data")
    shutil.copytree(ran / "other" / "node0" / "data", home / "data")
    refuses(home, "home/OTHER_CHAIN", CONFIGURATION, "what: chain", str(home / "data"))


def test_data_of_another_node(ran: Path, home: Path) -> None:
    """Data of another node of the chain is left alone: its journal holds the other one's votes."""
    shutil.rmtree(home / "keys")
    made = run("init", "--genesis", str(home / "genesis.json"), "--home", str(home / "new"), "--unencrypted")
    assert made.returncode == 0, made.stderr
    shutil.move(home / "new" / "keys", home / "keys")
    refuses(home, "home/OTHER_CHAIN", CONFIGURATION, "what: node")


def test_data_of_a_newer_format(home: Path) -> None:
    """Data that a newer program wrote is left alone."""
    engine = LevelDB(home / "data" / "state")
    engine.write([(b"sformat", (FORMAT + 1).to_bytes(4, "big"))], sync=True)
    engine.close()
    words = (f"found: {FORMAT + 1}", f"supported: {FORMAT}", "Upgrade", str(home / "data"))
    refuses(home, "home/FORMAT", CONFIGURATION, *words)


def test_genesis_that_is_none(home: Path) -> None:
    """A cut genesis document is named by its path."""
    file = home / "genesis.json"
    file.write_bytes(file.read_bytes()[:100])
    refuses(home, "genesis/INVALID", CONFIGURATION, str(file))


def test_empty_home(tmp_path: Path) -> None:
    """A folder without a node leads to `init`, and is not touched."""
    refuses(tmp_path / "none", "home/EMPTY", CONFIGURATION, "cccnode init", str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_settings_that_are_wrong(home: Path) -> None:
    """Every wrong setting is named at once, with what was meant."""
    file = home / "config.toml"
    file.write_text(file.read_text().replace("[rpc]", "[rcp]").replace("cache_mb = 16", "cache_mb = 1"))
    refuses(home, "config/INVALID", CONFIGURATION, "did you mean rpc?", "storage.cache_mb = 1", "config check")


@pytest.mark.parametrize("name", ["node", "validator"])
def test_key_that_others_can_read(home: Path, name: str) -> None:
    """A key file that is not private is not used."""
    (home / "keys" / f"{name}.json").chmod(0o640)
    refuses(home, "keys/PERMISSIONS", CONFIGURATION, f"{name}.json", "mode: 640", "chmod 600")


def test_key_that_is_missing(home: Path) -> None:
    """A home without its node key is told which file is missing."""
    (home / "keys" / "node.json").unlink()
    refuses(home, "keys/MISSING", CONFIGURATION, "node.json", "backup")


def test_passphrases(ran: Path, tmp_path: Path) -> None:
    """Encrypted keys open with the right passphrase only: none, a wrong one and an open file are told apart."""
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for file, text in ((right, SECRET), (wrong, "no horse at all")):
        file.write_text(text + "\n")
        file.chmod(0o600)
    home, (p2p, rpc, ops) = tmp_path / "home", ports(1).values()
    listens = {"p2p.listen": p2p, "rpc.listen": rpc, "ops.listen": ops}
    flags = [word for key, port in listens.items() for word in ("--set", f"{key}=127.0.0.1:{port}")]
    genesis = ran / "ours" / "genesis.json"
    made = run("init", "--home", str(home), "--genesis", str(genesis), "--passphrase-file", str(right), *flags)
    assert made.returncode == 0, made.stderr
    assert f"cccnode run --home {home}" in made.stderr
    assert SECRET not in (home / "keys" / "node.json").read_text()

    refuses(home, "keys/NEEDS_PASSPHRASE", CONFIGURATION, "--passphrase-file", "CCCNODE_PASSPHRASE")
    refuses(home, "keys/PASSPHRASE", CONFIGURATION, "node.json", env={"CCCNODE_PASSPHRASE": "no horse at all"})
    given = run("run", "--home", str(home), "--passphrase-file", str(wrong))
    _says(given, "keys/PASSPHRASE", CONFIGURATION, "node.json")
    right.chmod(0o644)
    _says(run("run", "--home", str(home), "--passphrase-file", str(right)), "keys/PERMISSIONS", CONFIGURATION, "right")
    right.chmod(0o600)
    # With the right one it gets as far as the port that is taken on purpose.
    with socket.create_server(("127.0.0.1", ops)):
        given = run("run", "--home", str(home), "--passphrase-file", str(right))
        _says(given, "home/PORT_IN_USE", TEMPORARY, str(ops))
        refuses(home, "home/PORT_IN_USE", TEMPORARY, str(ops), env={"CCCNODE_PASSPHRASE": SECRET})


async def _validates(network: Network) -> None:
    async with network.clients() as clients:
        await network.validating(clients, 0)


def _says(ended: subprocess.CompletedProcess[str], name: str, code: int, *words: str) -> None:
    """After what the log says the error comes first, its remedy last, and nothing looks like a bug of ours."""
    said = "".join(line for line in ended.stderr.splitlines(keepends=True) if "data checked" not in line)
    said = said.removeprefix(f"{WARNING}\n")
    assert said.startswith(f"{name}: "), said
    assert said.splitlines()[-1].startswith("  remedy: "), said
    assert [word for word in words if word not in said] == [], said
    assert (ended.returncode, ended.stdout, "Traceback" in said) == (code, "", False)
