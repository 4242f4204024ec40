"""What operators type beside a running node: health, log level, bundle, the terminal view, the service, completion."""

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cccnode import keys
from cccnode.city import CITY
from cccnode.cli.main import COMMANDS, run_cli
from cccnode.cli.service import unit_text
from cccnode.cli.testnet_files import prepare
from cccnode.home import Home
from cccnode.types import errors
from cccnode.types.transaction import signed_part, transaction_id
from tests.cli.test_testnet import Net, net  # noqa: F401 - the fixture of a network of stand-in nodes
from tests.tidy.source import ROOT

SECRET = "correct horse battery staple"


def test_health_and_level(net: Net) -> None:  # noqa: F811 - as above
    """Readiness is an exit code; how loud a node is can be asked and changed while it runs."""
    net.up("-n", "2", env={"STUB_OBSERVES": "node1"})
    assert net.run("health", "--node", "0")[:2] == (
        0,
        {"ready": True, "checks": ["disk", "peers"], "failed_checks": []},
    )
    code, report, _ = net.run("health", "--node", "1")
    assert (code, report["failed_checks"][0]["code"]) == (75, errors.NOT_SIGNING_JOURNAL_LOST.name)
    before = net.run("log", "level", "--node", "0")[1]["level"]
    assert net.run("log", "level", "debug", "--node", "0")[1] == {"level": "debug", "before": before}
    assert net.run("log", "level", "--node", "0")[1]["level"] == "debug"
    net.run("testnet", "down")
    assert net.run("health", "--node", "0")[0] == 75


def test_consensus_watch(net: Net, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811 - as above
    """A look shows view, leader, every validator and its votes; for programs it is one object."""
    net.up("-n", "1")
    code, look, _ = net.run("consensus", "watch", "--count", "1", "--node", "0")
    assert code == 0
    assert {"leader", "notarize", "nullify", "finalize", "validators"} <= look["observation"].keys()
    assert look["status"]["state"] == "validating"
    assert (
        run_cli(["consensus", "watch", "--count", "2", "--every", "0.1", "--node", "0", "--home", str(net.home)]) == 0
    )
    said = capsys.readouterr().out
    assert said.count("Epoch, view") == 2
    assert "this node" in said
    assert "\x1b" not in said, "it is drawn anew on a terminal only"


def _secrets(home: Path) -> list[bytes]:
    """Everything that must not leave: private keys as bytes, in hexadecimal and as they stand in their files."""
    found = [SECRET.encode()]
    for path in home.rglob("*.json"):
        if "keys" in path.parts:
            file = json.loads(path.read_bytes())
            found.append(json.dumps(file["crypto"]).encode())
            seed = keys.unlock(path, role=keys.Role(file["role"]), passphrase=None).seed
            found += [seed, seed.hex().encode()]
    return found


def test_bundle_holds_no_secret(
    net: Net,  # noqa: F811 - as above
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bundle says how the node is; keys and passphrases, also from the environment, are not in it."""
    monkeypatch.setenv("CCCNODE_PASSPHRASE", SECRET)
    net.up("-n", "1")
    out = tmp_path / "bundle.tar.gz"
    code, said, _ = net.run("debug", "bundle", "--out", str(out), "--node", "0")
    assert (code, said["missing"]) == (0, {})
    with tarfile.open(out) as archive:
        content = {entry.name.partition("/")[2]: archive.extractfile(entry).read() for entry in archive.getmembers()}
    assert json.loads(content["status.json"])["state"] == "validating"
    assert json.loads(content["settings.json"])["rpc.listen"]["origin"].startswith("file ")
    assert b"cccnode_consensus_height" in content["metrics.txt"]
    assert b"keys/node.json" in content["files.txt"]
    assert b"stub node runs" in content["log.txt"]
    secrets = _secrets(net.home)
    assert len(secrets) > 3
    for name, raw in content.items():
        assert not [secret for secret in secrets if secret in raw], name


def test_bundle_of_a_dead_node(net: Net, tmp_path: Path) -> None:  # noqa: F811 - as above
    """What cannot be asked is named with the reason; the file is never written over."""
    net.up("-n", "1")
    net.run("testnet", "down")
    out = tmp_path / "bundle.tar.gz"
    code, said, _ = net.run("debug", "bundle", "--out", str(out))
    assert code == 0
    assert set(said["missing"]) >= {"readyz.json", "metrics.txt", "status.json"}
    assert said["missing"]["status.json"].startswith("client/UNREACHABLE")
    assert net.run("debug", "bundle", "--out", str(out))[0] == 2


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run_cli([*arguments, "--output", "json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each shell gets a script that asks this program."""
    assert run_cli(["completion", shell]) == 0
    assert "_CCCNODE_COMPLETE" in capsys.readouterr().out
    assert _json(capsys, "completion", shell)["shell"] == shell


def test_completion_completes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What the script asks is answered with the subcommands that fit."""
    monkeypatch.setenv("_CCCNODE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "cccnode con")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        run_cli([])
    offered = {line.partition(",")[2] for line in capsys.readouterr().out.splitlines()}
    assert offered == {name for name in COMMANDS if name.startswith("con")}


def test_service_unit() -> None:
    """The unit in ops/ is the one that is installed, for the usual places."""
    shown = (ROOT / "ops" / "systemd" / "cccnode.service").read_text(encoding="utf-8")
    assert unit_text(Path("/srv/cccnode/bin/cccnode"), Path("/var/lib/cccnode"), "") == shown


def test_service_install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is written where systemd looks, for a home and its owner; a home of somebody needs his name."""
    install = ["service", "install", "--unit-dir", str(tmp_path)]
    assert run_cli([*install, "--home", "/srv/city"]) == 2
    text = _json(capsys, *install, "--home", "/srv/city", "--user", "city")["text"]
    assert (tmp_path / "cccnode.service").read_text(encoding="utf-8") == text
    assert "User=city\nReadWritePaths=/srv/city\n" in text
    assert "DynamicUser" not in text
    assert "ProtectHome=no" in unit_text(Path("/srv/x"), Path("/ho" + "me/a/.cccnode"), "a")
    assert run_cli([*install, "--print"]) == 0
    assert "DynamicUser=yes" in capsys.readouterr().out
    assert run_cli(["service", "install", "--unit-dir", str(tmp_path / "none")]) == 1


def test_signed_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without any node the printed line holds a transaction for the home's chain that any node admits."""
    made = prepare(Home(tmp_path), validators=1, seed=b"offline")
    arguments = ["tx", "transfer", "demo2", "5", "--from", "demo1", "--home", str(tmp_path), "--offline"]
    assert run_cli([*arguments, "--node", "node.example:27601"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("curl -s http://node.example:27601/rpc ")
    raw = bytes.fromhex(re.findall(r'"transaction":"0x([0-9a-f]+)"', line)[0])
    transaction = CITY.decode(raw)
    assert "0x" + transaction.chain.hex() == made.shape.chain
    signed = transaction_id(signed_part(raw, 1))
    assert f'"tx_id":"0x{signed.hex()}"' in line
    (tmp_path / "genesis.json").unlink()
    assert run_cli(arguments) == 78
