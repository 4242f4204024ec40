"""Four real nodes prove to somebody who knows the genesis hash alone, at rest and under load."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from cccnode import evidence_verifier
from cccnode.city.bank.messages import BankTransfer
from cccnode.city.bank.state import balances_group
from cccnode.client.light import Kept, LightClient
from cccnode.types.addresses import account_text
from genesis.bootstrap import ASSET
from tests.end_to_end.conftest import VALIDATORS
from tests.end_to_end.load import Load
from tests.end_to_end.processes import Network, run


async def test_proofs(city: Network, well: Load, tmp_path: Path) -> None:
    """A payment, both accounts and the block's events, verified here, then exported and checked by the one file."""
    payer, payee = city.account("demo1"), city.account("demo2")
    client = well.clients[0]
    chain = await client.chain()
    addresses = [city.node(index).rpc for index in VALIDATORS]
    async with LightClient(addresses, chain=chain, age_ms_max=120_000) as light:
        await client.send_and_wait(payer, [BankTransfer(payee.account, ASSET, 1)])  # the first block of all, perhaps
        await light.sync()
        async with well.running():
            promised = await client.sign(payer, [BankTransfer(payee.account, ASSET, 3)])
            _, promise = await client.submit_promised(promised.raw)
            assert promise is not None
            await client.wait(promised.tx_id, valid_until_ms=promised.valid_until_ms)
            await light.transaction(promised.tx_id)  # waits until a header reports it
            kept = await light.promise(promise)
            assert isinstance(kept, Kept)
            signed = await client.send(payer, [BankTransfer(payee.account, ASSET, 7)])
            status = await client.wait(signed.tx_id, valid_until_ms=signed.valid_until_ms)
            shown = await light.transaction(signed.tx_id)
            assert (0, int(status["height"])) == (shown.receipt.code, shown.header.height)
            busy = await light.group(balances_group(payee.account))
            assert busy.height > 0
            assert ASSET.encode() in busy.items
        events = await light.events(shown.header.height)
        assert shown.receipt in events.receipts
        quiet = await light.group(balances_group(payee.account), height=None)
        assert quiet.height >= busy.height
        assert (await light.header(shown.header.height)) == shown.header
        assert {} == light.liars

    file = tmp_path / "payment.cccevidence"
    what = ["--tx", "0x" + signed.tx_id.hex(), "--account", account_text(payee.account), "--node", addresses[1]]
    done = await asyncio.to_thread(run, "evidence", "export", *what, "-o", str(file), "--output", "json")
    assert 0 == done.returncode, done.stderr
    assert 3 == json.loads(done.stdout)["proofs"]
    alone = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", evidence_verifier.__file__, str(file), "--genesis", chain.hex()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (0, "") == (alone.returncode, alone.stderr)
    assert "PROVEN" in alone.stdout
