"""Which node a command talks to, and one asyncio call with its errors named."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from cccnode import config
from cccnode.cli.options import Options
from cccnode.cli.output import Trouble, trouble
from cccnode.cli.testnet_files import Testnet
from cccnode.client import Client, ClientError
from cccnode.types import errors

T = TypeVar("T")


def talk(options: Options, action: Callable[[Client], Awaitable[T]]) -> T:
    """Run `action` with a client of the chosen node; without `--node` a test network's first answering node serves.

    Raises:
        Trouble: whatever the node or the connection says.
    """

    async def run() -> T:
        addresses = node_addresses(options)
        for last, address in [(address == addresses[-1], address) for address in addresses]:
            async with Client(address) as client:
                try:
                    if not last:
                        await client.status()
                except ClientError as error:
                    if error.name == errors.UNREACHABLE.name:
                        continue
                    raise
                return await action(client)
        raise trouble(errors.UNREACHABLE)

    return run_calls(run())


def run_calls(calls: Coroutine[None, None, T]) -> T:
    """Run what calls nodes.

    Raises:
        Trouble: whatever a node or the connection says.
    """
    try:
        return asyncio.run(calls)
    except ClientError as error:
        raise from_client(error) from error


def node_addresses(options: Options) -> list[str]:
    """RPC addresses to try, in order.

    Raises:
        Fault: `testnet/MISSING`, `testnet/NO_SUCH_NODE` or `config/INVALID`.
    """
    network = Testnet.find(options.home)
    if options.node.isdigit():
        return [Testnet.open(options.home).node(int(options.node)).rpc]
    if options.node:
        return [options.node]
    if network is not None:
        return [node.rpc for node in network.nodes]
    return [load(options).config.rpc.listen]


def load(options: Options, flags: tuple[str, ...] = ()) -> config.Loaded:
    """The settings of the home, through all layers.  Raises `config/INVALID`."""
    return config.load(options.home, flags=flags, profile=options.profile, file=options.config_file)


def from_client(error: ClientError) -> Trouble:
    """A client's error, ready for the screen."""
    return Trouble(
        name=error.name,
        text=error.text,
        remedy=error.hint,
        text_th=error.text_th,
        remedy_th=error.hint_th,
        details=error.details,
        retryable=error.retryable,
    )
