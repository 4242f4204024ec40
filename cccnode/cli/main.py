"""The root command: a table of subcommands, each imported when it is called, and the one place where errors end."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final

import click

from cccnode.cli import output
from cccnode.cli.options import Options, fresh_options, global_options
from cccnode.types.errors import CONFIG_INVALID, Fault

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "dev": ("cccnode.cli.dev:dev", "One validator with funded accounts, to develop against."),
    "demo": ("cccnode.cli.demo:demo", "The city at work, on real nodes: week."),
    "testnet": ("cccnode.cli.testnet:testnet", "A whole network on this machine: up, down, reset, kill, start."),
    "init": ("cccnode.cli.init:init", "Prepare the home of a node: keys, settings, genesis."),
    "genesis": (
        "cccnode.cli.genesis:genesis",
        "Found a network together: new, add-org, add-validator, collect, hash, sign, verify.",
    ),
    "card": ("cccnode.cli.card:card", "Network cards: make, show."),
    "join": ("cccnode.cli.join:join", "Join a network: request, show, status."),
    "run": ("cccnode.cli.node:run", "Run the node until Ctrl-C."),
    "status": ("cccnode.cli.status:status", "How the node is, and why."),
    "doctor": ("cccnode.cli.doctor:doctor", "Why the chain, or this node, does not move."),
    "keys": ("cccnode.cli.keys:keys", "Key files: new, list, show, words, import, export, certificate."),
    "signer": ("cccnode.cli.signer:signer", "A validator's key on another machine: init, allow, run, status, use."),
    "org": ("cccnode.cli.org:org", "What organisations decide: propose, approve, withdraw, proposals."),
    "validator": ("cccnode.cli.validator:validator", "Validate: check, apply, status, pause, leave, rotate-key."),
    "tx": ("cccnode.cli.tx:tx", "Transactions: send, wait, show."),
    "query": ("cccnode.cli.query:query", "Ask the ledger."),
    "incident": ("cccnode.cli.incident:incident", "Incident capsules: record, replay."),
    "evidence": (
        "cccnode.cli.evidence:evidence",
        "Proofs in a file: export, verify. Validators that voted twice.",
    ),
    "snapshot": ("cccnode.cli.snapshot:snapshot", "Snapshots of the state: create, list, verify, restore."),
    "db": ("cccnode.cli.db:db", "What a node keeps: back up, verify, restore, check, repair, prune."),
    "export": ("cccnode.cli.export:export", "The chain in SQLite or PostgreSQL, for search and dashboards: run."),
    "restart": ("cccnode.cli.restart:restart", "After a quorum is lost for ever: agree on how to go on."),
    "config": ("cccnode.cli.config:config", "Settings: check, show, docs, schema."),
    "health": ("cccnode.cli.health:health", "Ready or not, as an exit code."),
    "consensus": ("cccnode.cli.consensus:consensus", "Views and votes as they happen: watch."),
    "debug": ("cccnode.cli.debug:debug", "What developers need to know of a node: bundle."),
    "service": ("cccnode.cli.service:service", "The node as a service of systemd: install."),
    "completion": ("cccnode.cli.completion:completion", "Completion for bash, zsh and fish."),
    "log": ("cccnode.cli.log:log", "The log of a running node: level."),
    "version": ("cccnode.cli.node:version", "The version of this program."),
}
"""Subcommand: where it lives, and what it does."""

_INTERRUPTED: Final = 130


class Table(click.Group):
    """A group that imports a subcommand when it is called and lists all of them without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of the root help, out of the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=Table,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: cccnode dev",
)
@global_options
def cli() -> None:
    """A permissioned ledger node: run one, watch it, and act on the ledger."""


def run_cli(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line and return its exit code."""
    options = fresh_options()
    try:
        result = cli.main(args=arguments, prog_name="cccnode", standalone_mode=False, obj=options)
    except Fault as error:
        return _show(output.from_fault(error), options)
    except output.Trouble as error:
        return _show(error, options)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return output.OK
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        output.say(options.text("Stopped.", "หยุดแล้ว"))
        return _INTERRUPTED
    except RuntimeError as error:  # after click's, which are such errors too
        from cccnode.crypto.backend import Unavailable  # noqa: PLC0415 - slow import, needed here only

        if not isinstance(error, Unavailable):
            raise
        return _show(output.trouble(CONFIG_INVALID, problems=[str(error)]), options)
    return result if isinstance(result, int) else output.OK


def _show(error: output.Trouble, options: Options) -> int:
    if options.json and not error.printed:
        output.emit_json(error.as_json())
    for line in error.lines(options.lang):
        output.say(line)
    return error.code


def main() -> None:
    """Entry point of the `cccnode` command."""
    if not __debug__:
        output.say("config/INVALID: cccnode does not run under python -O: its invariants are assertions.")
        sys.exit(output.CONFIGURATION)
    sys.exit(run_cli())
