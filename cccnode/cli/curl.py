"""A signed transaction as a line for `curl`: one JSON-RPC batch that submits it and waits until it is final."""

from cccnode.client import Signed, to_hex


def curl_line(url: str, signed: Signed) -> str:
    """The command; it holds the transaction, no key, and may be pasted more than once."""
    wait = f'{{"tx_id":"{to_hex(signed.tx_id)}","valid_until_ms":"{signed.valid_until_ms}"}}'
    submit = f'{{"jsonrpc":"2.0","id":1,"method":"tx_submit","params":{{"transaction":"{to_hex(signed.raw)}"}}}}'
    waiting = f'{{"jsonrpc":"2.0","id":2,"method":"tx_wait","params":{wait}}}'
    return f"curl -s {url} -d '[{submit},{waiting}]'"
