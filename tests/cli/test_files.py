"""Commands that work on the home alone: keys, config, init."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cccnode import keys
from cccnode.cli import keys as key_commands
from cccnode.cli.main import run_cli
from cccnode.cli.testnet_files import Testnet, prepare
from cccnode.config import load
from cccnode.home import Home
from cccnode.keys import Role
from cccnode.node.data import open_journal
from cccnode.types import errors
from cccnode.types.addresses import account_text
from cccnode.types.errors import Fault
from cccnode.types.transaction import account_id
from cccnode.types.validators import certificate_key
from storage.files import RealDisk


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = run_cli([*arguments, "--output", "json"])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else None


def test_keys_new_and_show(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A new account key is encrypted under the passphrase of the environment; its account is shown without it."""
    monkeypatch.setenv("CCCNODE_PASSPHRASE", "correct horse")
    code, made = _json(capsys, "keys", "new", "account", "alice", "--home", str(home))
    assert (code, made["role"], made["encrypted"]) == (0, "account", True)
    monkeypatch.delenv("CCCNODE_PASSPHRASE")
    assert _json(capsys, "keys", "show", "alice", "--home", str(home)) == (0, made)
    key = keys.unlock(Home(home).account_key("alice"), role=Role.ACCOUNT, passphrase="correct horse")
    assert made["account"] == account_text(account_id(key.public_key))


def test_keys_new_unencrypted_warns(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unencrypted key says so on the screen too; a second one of the same name is refused."""
    assert run_cli(["keys", "new", "node", "--unencrypted", "--home", str(home)]) == 0
    assert "NOT ENCRYPTED" in capsys.readouterr().err
    code, answer = _json(capsys, "keys", "new", "node", "--unencrypted", "--home", str(home))
    assert (code, answer["error"]["name"]) == (78, "keys/EXISTS")


def test_further_validator_key(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A further consensus key lies beside the old one, and `keys show validator` is the newest."""
    made = [_json(capsys, "keys", "new", "validator", "--unencrypted", "--home", str(home))[1] for _ in range(2)]
    assert [Path(key["file"]).name for key in made] == ["validator.json", "validator-2.json"]
    assert _json(capsys, "keys", "show", "validator", "--home", str(home))[1] == made[1]
    assert run_cli(["keys", "new", "validator", "main", "--unencrypted", "--home", str(home)]) == 2


def test_only_keys_made_in_a_home_have_never_voted(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`init` and `keys new` note of the keys that they make that these never signed, and of no other key."""
    network = prepare(Home(tmp_path / "net"), validators=1, seed=b"x", time_ms=1)
    genesis = str(network.home.genesis_file)
    assert _json(capsys, "init", "--genesis", genesis, "--unencrypted", "--home", str(home))[0] == 0
    assert _json(capsys, "keys", "new", "validator", "--unencrypted", "--home", str(home))[0] == 0
    made = [keys.read(path).public_key for path in Home(home).validator_keys]
    old = keys.read(network.node(0).home.validator_key).public_key
    disk = RealDisk(Home(home).data)

    assert [None, None] == [open_journal(disk, 0, key).observe for key in made]
    assert errors.NOT_SIGNING_JOURNAL_LOST.name == open_journal(disk, 0, old).observe
    assert open_journal(RealDisk(network.node(0).home.data), 0, old).observe is None


def test_certificate(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The certificate of the node key, as the registry takes it."""
    _, made = _json(capsys, "keys", "new", "node", "--unencrypted", "--home", str(home))
    code, shown = _json(capsys, "keys", "certificate", "--home", str(home))
    assert (code, shown["node_key"]) == (0, made["public_key"])
    assert certificate_key(bytes.fromhex(shown["certificate"][2:])) == bytes.fromhex(made["public_key"][2:])
    assert run_cli(["keys", "certificate", "--home", str(home)]) == 0
    assert capsys.readouterr().out.strip() == shown["certificate"]


def test_invalid_key_name(home: Path) -> None:
    """A name cannot lead out of the folder."""
    assert run_cli(["keys", "new", "account", "../x", "--unencrypted", "--home", str(home)]) == 2


def test_passphrase_file(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unattended start gives the passphrase by a file that only its owner may read."""
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    arguments = ["keys", "new", "validator", "--home", str(home), "--passphrase-file", str(secret)]
    assert _json(capsys, *arguments)[1]["encrypted"] is True
    assert keys.unlock(Home(home).validator_key, role=Role.VALIDATOR, passphrase="correct horse")


def _secret(path: Path, text: str) -> Path:
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def test_keys_of_words_come_back(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key made out of words is checked and brought back with them, elsewhere; what is wrong is named."""
    made = _json(capsys, "keys", "new", "account", "alice", "--words", "--unencrypted", "--home", str(home))[1]
    paper = _secret(tmp_path / "paper", made["words"].upper())
    code, checked = _json(capsys, "keys", "words", "account", "--file", str(paper))
    assert (code, checked["account"], checked["path"]) == (0, made["account"], made["path"])
    other = str(tmp_path / "other")
    arguments = ["keys", "import", "account", "bob", "--words", "--file", str(paper), "--unencrypted", "--home", other]
    assert _json(capsys, *arguments)[1]["account"] == made["account"]
    _secret(paper, made["words"].rpartition(" ")[0])
    code, answer = _json(capsys, "keys", "words", "account", "--file", str(paper))
    assert (code, answer["error"]["name"]) == (78, "keys/WORDS")
    paper.chmod(0o644)
    code, answer = _json(capsys, "keys", "words", "account", "--file", str(paper))
    assert (code, answer["error"]["name"]) == (78, "keys/PERMISSIONS")


def test_words_are_shown_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People see numbered words, and the file that is made does not hold them."""
    assert run_cli(["keys", "new", "account", "alice", "--words", "--unencrypted", "--home", str(home)]) == 0
    said = capsys.readouterr()
    assert "never shown again" in said.err
    shown = re.findall(r"\d+\. ([a-z]+)", said.out)
    assert len(shown) == 24
    text = Home(home).account_key("alice").read_text()
    assert shown[0] not in text.replace('"', " ").split()


def test_words_are_asked_again(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """At a terminal three of the words must be typed again; another word is asked for once more."""
    fixed = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    answers = iter(["wrong", "legal", "winner", "Thank", fixed])
    monkeypatch.setattr(key_commands.words, "new_words", lambda: fixed)
    monkeypatch.setattr(key_commands.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(key_commands.secrets.SystemRandom, "sample", lambda self, places, count: [3, 1, 2][:count])
    monkeypatch.setattr(key_commands.click, "prompt", lambda *asked, **how: next(answers))
    assert run_cli(["keys", "new", "account", "alice", "--words", "--unencrypted", "--home", str(home)]) == 0
    assert "another word" in capsys.readouterr().err
    assert run_cli(["keys", "words", "account"]) == 0  # the person types all of them
    assert next(answers, None) is None


def test_keys_go_to_other_programs_and_back(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEM out and in, a hexadecimal seed in; the file that leaves is closed to others and never overwritten."""
    monkeypatch.setenv("CCCNODE_PASSPHRASE", "correct horse")
    made = _json(capsys, "keys", "new", "validator", "--home", str(home))[1]
    pem = tmp_path / "validator.pem"
    export = ["keys", "export", "validator", "--to", str(pem), "--home", str(home)]
    assert _json(capsys, *export)[1]["encrypted"] is False
    assert pem.stat().st_mode & 0o777 == 0o600
    assert _json(capsys, *export)[1]["error"]["name"] == "keys/EXISTS"
    other = Home(tmp_path / "other")
    bring = ["keys", "import", "validator", "--home", str(other.root), "--file"]
    assert _json(capsys, *bring, str(pem))[1]["public_key"] == made["public_key"]
    observe = open_journal(RealDisk(other.data), 0, bytes.fromhex(made["public_key"][2:])).observe
    assert observe == errors.NOT_SIGNING_JOURNAL_LOST.name  # it may have voted where it comes from
    seed = _secret(tmp_path / "seed", "0x" + "11" * 32)
    assert _json(capsys, *bring, str(seed))[0] == 0
    listed = _json(capsys, "keys", "list", "--home", str(other.root))[1]
    assert [Path(row["file"]).name for row in listed] == ["validator.json", "validator-2.json"]
    assert run_cli(["keys", "list", "--home", str(other.root)]) == 0


@pytest.mark.parametrize(
    "content", ["11" * 31, "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
)
def test_foreign_files_that_hold_no_key(
    home: Path, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no key of 32 bytes is refused by name; nothing is written."""
    source = _secret(tmp_path / "source", content)
    arguments = ["keys", "import", "node", "--file", str(source), "--unencrypted", "--home", str(home)]
    assert _json(capsys, *arguments)[1]["error"]["name"] == "keys/DAMAGED"
    source.chmod(0o640)
    assert _json(capsys, *arguments)[1]["error"]["name"] == "keys/PERMISSIONS"
    source.unlink()
    assert _json(capsys, *arguments)[1]["error"]["name"] == "keys/MISSING"
    assert run_cli(["keys", "import", "node", "--home", str(home)]) == 2
    assert not Home(home).first_node_key.exists()


def test_config_check(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A good configuration is 0; a bad one 78 with every problem."""
    assert _json(capsys, "config", "check", "--home", str(home)) == (0, {"valid": True, "profile": "validator"})
    code, answer = _json(capsys, "config", "check", "--home", str(home), "--set", "rpc.lsten=1", "--set", "x")
    assert (code, len(answer["error"]["details"]["problems"])) == (78, 2)


def test_config_show(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every setting, with the layer that set it when asked."""
    _, plain = _json(capsys, "config", "show", "--home", str(home))
    assert plain["rpc.listen"] == "127.0.0.1:27601"
    _, origins = _json(capsys, "config", "show", "--origin", "--home", str(home), "--set", "storage.cache_mb=99")
    assert origins["storage.cache_mb"] == {"value": 99, "origin": "flag"}
    run_cli(["config", "show", "--origin", "--home", str(home)])
    assert "rpc.listen" in capsys.readouterr().out


def test_init(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new home: keys by profile, settings, genesis; the settings load; a second init changes nothing."""
    network = prepare(Home(tmp_path / "net"), validators=1, seed=b"x", time_ms=1)
    arguments = ["init", "--genesis", str(network.home.genesis_file), "--unencrypted", "--home", str(home)]
    code, made = _json(capsys, *arguments, "--profile", "peer", "--set", "rpc.listen=127.0.0.1:5555")
    assert (code, made["chain"]) == (0, network.shape.chain)
    assert "validator_key" not in made
    settings = load(Home(home), environment={}).config
    assert (settings.profile, settings.rpc.listen) == ("peer", "127.0.0.1:5555")
    assert not Home(home).validator_key.exists()
    code, answer = _json(capsys, *arguments)
    assert (code, answer["error"]["name"]) == (78, "home/EXISTS")


def test_init_validator_with_allocation(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A validator has both keys; a genesis with an allocation file brings it along."""
    network = prepare(Home(tmp_path / "net"), validators=1, accounts=1001, seed=b"x", time_ms=1)
    code, made = _json(
        capsys, "init", "--genesis", str(network.home.genesis_file), "--unencrypted", "--home", str(home)
    )
    assert code == 0
    assert {"node_key", "validator_key"} <= set(made)
    assert len(list(home.glob("allocation-*.json"))) == 1


@pytest.mark.parametrize("content", [None, "{}", "garbage"])
def test_invalid_genesis(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    """A missing or wrong genesis is named, and no home is made."""
    genesis = tmp_path / "g.json"
    if content is not None:
        genesis.write_text(content)
    code, answer = _json(capsys, "init", "--genesis", str(genesis), "--unencrypted", "--home", str(home))
    assert (code, answer["error"]["name"]) == (78, "genesis/INVALID")
    assert not home.exists()


def test_run_without_genesis(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without a node cannot be run, and says so before anything is loaded."""
    code, answer = _json(capsys, "run", "--home", str(home))
    assert (code, answer["error"]["name"]) == (78, "home/EMPTY")


def test_run_says_that_keys_are_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node with unencrypted keys says so at each start."""
    network = prepare(Home(tmp_path / "net"), validators=1, seed=b"s", time_ms=5)
    home = network.node(0).home
    monkeypatch.setattr("cccnode.cli.node.run_until_stopped", lambda work, *, loop: work.close())
    assert run_cli(["run", "--home", str(home.root)]) == 0
    assert "NOT ENCRYPTED" in capsys.readouterr().err


def test_run_refuses_unreadable_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key file that others may read stops the node before it starts."""
    network = prepare(Home(tmp_path / "net"), validators=1, seed=b"s", time_ms=5)
    network.node(0).home.node_key.chmod(0o644)
    code, answer = _json(capsys, "run", "--home", str(network.node(0).home.root))
    assert (code, answer["error"]["name"]) == (78, "keys/PERMISSIONS")


def test_prepare_is_repeatable(tmp_path: Path) -> None:
    """From one seed the same network is made: same chain, same keys."""
    one, two = (prepare(Home(tmp_path / name), validators=2, peers=1, seed=b"s", time_ms=5) for name in "ab")
    assert one.shape == two.shape
    assert keys.read(one.nodes[2].home.node_key).pubkey == keys.read(two.nodes[2].home.node_key).pubkey
    assert not one.nodes[2].home.validator_key.exists()
    assert Testnet.open(one.home).shape == one.shape


def test_prepared_homes_have_their_own_ports(tmp_path: Path) -> None:
    """Every node listens on its own ports, and its settings are valid."""
    network = prepare(Home(tmp_path), validators=4, settings={"storage.engine": "memory"}, seed=b"s", time_ms=5)
    settings = [load(node.home, environment={}).config for node in network.nodes]
    assert [config.rpc.listen for config in settings] == [f"127.0.0.1:{27601 + 10 * i}" for i in range(4)]
    assert settings[0].storage.engine == "memory"


def test_invalid_prepare(tmp_path: Path) -> None:
    """A network is never made over another."""
    prepare(Home(tmp_path), validators=1, seed=b"s", time_ms=5)
    with pytest.raises(Fault) as refused:
        prepare(Home(tmp_path), validators=1, seed=b"s", time_ms=5)
    assert refused.value.spec is errors.HOME_EXISTS


def test_remove_keeps_what_is_not_ours(tmp_path: Path) -> None:
    """Wiping removes the network's files only."""
    network = prepare(Home(tmp_path), validators=1, seed=b"s", time_ms=5)
    (tmp_path / "notes.txt").write_text("mine")
    network.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("arguments", [["down"], ["kill", "0"], ["start", "0"]])
def test_testnet_without_network(home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Commands on a network that does not exist say how to make one."""
    code, answer = _json(capsys, "testnet", *arguments, "--home", str(home))
    assert (code, answer["error"]["name"]) == (1, "testnet/MISSING")
    assert run_cli(["testnet", "reset", "--home", str(home)]) == 0


def test_testnet_node_in_wrong_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killing a node that does not run, starting one without `up`, and numbers that do not exist are told apart."""
    prepare(Home(tmp_path), validators=1, seed=b"s", time_ms=5)
    whys = []
    for arguments in (["kill", "0"], ["start", "0"], ["kill", "7"]):
        code, answer = _json(capsys, "testnet", *arguments, "--home", str(tmp_path))
        assert (code, answer["error"]["name"]) == (1, "testnet/NO_SUCH_NODE")
        whys.append(json.dumps(answer["error"]["details"]))
    assert len(set(whys)) == 3


def test_damaged_mark(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder whose mark is unreadable is left alone."""
    home.mkdir()
    (home / "testnet.json").write_text("{")
    assert _json(capsys, "testnet", "reset", "--home", str(home))[0] == 1
    assert (home / "testnet.json").exists()
