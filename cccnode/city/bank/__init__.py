"""Bank: assets, balances, transfers and the fee path; supply is conserved (modules.md 3.2)."""

from typing import Final

from cccnode.city.bank.errors import ERRORS
from cccnode.city.bank.fees import end_block
from cccnode.city.bank.genesis import Params, write_accounts, write_genesis
from cccnode.city.bank.messages import NUMBER, BankMulti, BankTransfer
from cccnode.city.bank.queries import (
    AssetAnswer,
    AssetParams,
    Balance,
    BalanceParams,
    BalancesParams,
    bank_asset,
    bank_balance,
    bank_balances,
)
from cccnode.city.bank.rules import multi, transfer
from cccnode.ledger.module import Message, Module, Query, Verb

MODULE: Final = Module(
    number=NUMBER,
    name="bank",
    messages=(
        Message(kind=BankTransfer, handle=transfer, weight=1, en="Send money.", th="โอนเงิน"),
        Message(
            kind=BankMulti,
            handle=multi,
            weight=lambda message: len(message.outputs),
            en="Send money to several accounts, all or none.",
            th="โอนเงินให้หลายบัญชีพร้อมกัน",
        ),
    ),
    queries=(
        Query(
            method="bank_balance",
            params=BalanceParams,
            result=Balance,
            answer=bank_balance,
            en="What an account owns of one asset.",
            th="ยอดเงินของบัญชีในสินทรัพย์หนึ่ง",
        ),
        Query(
            method="bank_balances",
            params=BalancesParams,
            result=tuple[Balance, ...],
            answer=bank_balances,
            en="Everything that an account owns.",
            th="ยอดเงินทุกสินทรัพย์ของบัญชี",
        ),
        Query(
            method="bank_asset",
            params=AssetParams,
            result=AssetAnswer,
            answer=bank_asset,
            en="An asset's record and supply.",
            th="ข้อมูลและอุปทานของสินทรัพย์",
        ),
    ),
    verbs=(
        Verb(
            name="transfer",
            kind=BankTransfer,
            positional=("to", "amount"),
            defaults=(("asset", "uccc"),),
            en="Send money.",
            th="โอนเงิน",
        ),
        Verb(
            name="multi-transfer",
            kind=BankMulti,
            positional=("outputs",),
            en="Send money to several accounts, all or none.",
            th="โอนเงินให้หลายบัญชีพร้อมกัน",
        ),
    ),
    errors=ERRORS,
    accounts=("fees", "treasury"),
    parameters=Params,
    genesis=write_genesis,
    genesis_accounts=write_accounts,
    end_block=end_block,
)
