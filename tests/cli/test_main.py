"""The command line as people meet it: help, exit codes, where output goes."""

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from cccnode.cli import output
from cccnode.cli.main import COMMANDS, cli, run_cli
from cccnode.crypto.backend import Backend
from cccnode.types import errors
from cccnode.types.errors import fault


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(command)
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, (*path, name))


def test_every_command_explains_itself() -> None:
    """Every command has a help text and an example that names the command."""
    for path, command in _commands(cli):
        assert command.help, path
        assert re.match(rf"Example: cccnode {' '.join(path)}", command.epilog or ""), (path, command.epilog)


def test_promised_commands() -> None:
    """The nouns and verbs that the documentation promises are there, and verbs of modules too."""
    names = {" ".join(path) for path, _ in _commands(cli)}
    promised = (
        "testnet up,testnet down,testnet reset,testnet kill,testnet start,init,run,status,doctor,keys new,keys show,"
        "signer init,signer allow,signer run,signer status,signer use,genesis new,genesis add-org,"
        "genesis add-validator,genesis sign,genesis collect,genesis verify,genesis hash,"
        "keys list,keys words,keys import,keys export,"
        "keys certificate,card make,card show,join request,join show,join status,"
        "org propose,org approve,org withdraw,org proposals,"
        "validator check,validator apply,validator status,validator pause,validator leave,validator rotate-key,"
        "tx transfer,tx wait,tx show,query bank_balance,query account_get,config check,config show,version,"
        "incident record,incident replay"
    )
    assert set(promised.split(",")) <= names


def test_help_is_lazy() -> None:
    """Asking for help imports neither aiohttp nor cryptography nor the city."""
    script = (
        "import sys; from cccnode.cli.main import run_cli; code = run_cli(['--help']); "
        "print(code, sorted({'aiohttp', 'cryptography', 'cccnode.city', 'structlog', 'plyvel'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
    assert all(name in done.stdout for name in COMMANDS)


def test_python_dash_o_is_refused() -> None:
    """The invariants are assertions, so python -O is a configuration error."""
    done = subprocess.run(
        [sys.executable, "-O", "-m", "cccnode", "version"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert "python -O" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["bogus"], 2),
        (["status", "--bogus"], 2),
        (["--output", "xml", "status"], 2),
        (["keys", "new", "account"], 2),
        (["keys", "new", "king"], 2),
        (["tx", "transfer"], 2),
        (["tx", "wait", "0x12"], 2),
        (["tx", "show", "nonsense"], 2),
        (["query", "bank_balance", "ccc1x"], 2),
        ([], 0),
        (["testnet"], 0),
        (["--help"], 0),
    ],
)
def test_usage(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is exit code 2 and says what is wrong on standard error; help is 0."""
    assert run_cli(arguments) == code
    captured = capsys.readouterr()
    assert bool(captured.err) == (code == 2)


def test_unreachable_node(capsys: pytest.CaptureFixture[str]) -> None:
    """A node that does not answer is temporary (75), with cause and remedy in a few lines."""
    assert run_cli(["status", "--node", "127.0.0.1:1"]) == 75
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("client/UNREACHABLE: ")
    assert "http://127.0.0.1:1/rpc" in captured.err
    assert "remedy: " in captured.err
    assert len(captured.err.splitlines()) <= 10


def test_errors_in_thai(capsys: pytest.CaptureFixture[str]) -> None:
    """The same in Thai, before or after the subcommand."""
    for arguments in (["--lang", "th", "status"], ["status", "--lang", "th"]):
        run_cli([*arguments, "--node", "127.0.0.1:1"])
        assert errors.UNREACHABLE.th in capsys.readouterr().err


def test_errors_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --output json the error stands on standard output as one JSON value; the text still goes to stderr."""
    assert run_cli(["status", "--node", "127.0.0.1:1", "--output", "json"]) == 75
    captured = capsys.readouterr()
    assert '"name": "client/UNREACHABLE"' in captured.out
    assert "client/UNREACHABLE" in captured.err


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (errors.CONFIG_INVALID, 78),
        (errors.GENESIS_INVALID, 78),
        (errors.KEY_PASSPHRASE, 78),
        (errors.HOME_OTHER_CHAIN, 78),
        (errors.HOME_FORMAT, 78),
        (errors.SAFETY_ALARM, 78),
        (errors.HOME_LOCKED, 75),
        (errors.PORT_IN_USE, 75),
        (errors.DISK_FULL, 75),
        (errors.POOL_FULL, 75),
        (errors.TX_BAD_SIGNATURE, 1),
        (errors.DISK_FAILED, 1),
    ],
)
def test_exit_codes(spec: errors.ErrorSpec, code: int) -> None:
    """78: do not restart; 75: try later; 1: failed."""
    assert output.from_fault(fault(spec)).code == code


def test_errors_fit_a_screen() -> None:
    """However much is wrong, an error is at most a screen, and its remedy is on it."""
    shown = output.trouble(errors.CONFIG_INVALID, problems=[f"problem {i} " + "x" * 999 for i in range(500)]).lines(
        "en"
    )
    assert len(shown) <= 20
    assert max(map(len, shown)) <= 300
    assert "484 more" in shown[-2] or "more" in shown[-2]
    assert "remedy" in shown[-1]


def test_options_from_the_environment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Global options may stand in the environment; a flag wins."""
    monkeypatch.setenv("CCCNODE_NODE", "127.0.0.1:2")
    monkeypatch.setenv("CCCNODE_LANG", "th")
    run_cli(["status", "--lang", "en"])
    captured = capsys.readouterr().err
    assert "127.0.0.1:2" in captured
    assert errors.UNREACHABLE.en in captured


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version, for people and for programs."""
    assert run_cli(["version"]) == 0
    assert capsys.readouterr().out.startswith("cccnode")
    assert run_cli(["version", "--output", "json"]) == 0
    assert '"python": "3.1' in capsys.readouterr().out


def test_a_way_to_verify_that_is_not_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever command verifies first, the name in CCCNODE_VERIFY is refused as a setting, with what there is."""

    def verifies(**_: object) -> None:
        Backend(None, wanted="abacus").require()

    monkeypatch.setattr(cli, "main", verifies)

    assert output.CONFIGURATION == run_cli(["status"])
    said = capsys.readouterr().err
    assert "config/INVALID" in said
    assert "it has pynacl" in said


def test_other_mistakes_of_ours_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error without a name ends where a programmer sees it."""

    def breaks(**_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(cli, "main", breaks)

    with pytest.raises(RuntimeError, match="ours"):
        run_cli(["status"])
