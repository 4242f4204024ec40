"""Every bound of the protocol in one table, each with its reason.  Consensus-critical: part of the format."""

from typing import Final

TX_BYTES_MAX: Final = 16 * 1024
"""Encoded transaction.  16 messages of city forms fit many times over; a batch of small ones stays small."""
TX_MESSAGES_MAX: Final = 16
"""Messages in one transaction: all succeed or none does, so one transaction must stay cheap to drop."""
TX_SIGNERS_MAX: Final = 16
"""Signatures of one transaction: they serve one account's own keys (J21), and a payer's."""
SALT_BYTES: Final = 8
"""Makes two otherwise equal transactions distinct."""

BATCH_TXS_MAX: Final = 512
"""Transactions in one batch (J8): one verification call, one frame."""
BATCH_BYTES_MAX: Final = 256 * 1024
"""Bytes of transactions in one batch (J8)."""

BLOCK_TXS_MAX: Final = 10_000
"""Transactions in one block (J2): execution of a full block stays well under a second."""
BLOCK_BYTES_MAX: Final = 4 * 1024 * 1024
"""Transaction bytes in one block (J2)."""
BLOCK_WEIGHT_MAX: Final = 50_000
"""Summed static weight of the messages in one block (J2)."""
BLOCK_BATCHES_MAX: Final = 4_096
"""Batches that one block may list: bounds the proposal to 128 KiB of ids."""

UNEXECUTED_MAX: Final = 16
"""Heights a block may be ahead of its E before it must be empty (consensus.md 3.7): bounds the tail to execute."""
CLOCK_AHEAD_MS_MAX: Final = 2_000
"""How far a header's time may be ahead of a voter's clock before the voter waits for it (local rule)."""

VALIDATORS_MAX: Final = 128
"""Members of one epoch: a certificate stays under 8 KiB of signatures."""
NODES_PER_ORGANISATION_MAX: Final = 8
"""Registered nodes of one organisation (J14)."""
CERTIFICATE_DER_MAX: Final = 512
"""Bytes of a node's TLS certificate in the registry (J14)."""

INLINE_CERTIFICATES_MAX: Final = 16
"""Nullifications that a proposal carries; older ones are fetched (consensus.md 3.4)."""
CERTIFICATES_PER_REPLY_MAX: Final = 64
"""Certificates in one reply to a request by view."""
VIEWS_AHEAD_MAX: Final = 2
"""Votes are kept for at most this many views above the current one; certificates for any."""
VIEWS_BEHIND_MAX: Final = 64
"""Votes are kept for at most this many views below the last finalized one."""

GROUP_ITEMS_MAX: Final = 256
"""Items of one state group (D6, `state/GROUP_FULL`): one proof shows a whole group."""
STATE_KEY_BYTES_MAX: Final = 128
"""Bytes of a group name or an item name."""
STATE_VALUE_BYTES_MAX: Final = 16 * 1024
"""Bytes of one state value."""

AMOUNT_MAX: Final = 2**63 - 1
"""Largest amount, in base units (modules.md R1)."""

WINDOW_TXS_MAX: Final = 3_000_000
"""Default of the genesis parameter `window_tx_max`: ids remembered against replay (J5)."""
TX_LIFETIME_MS_MAX: Final = 5 * 60 * 1000
"""Default of the genesis parameter `tx_lifetime_max`: how far ahead a transaction may expire (D3)."""

PENDING_PER_PAYER_MAX: Final = 64
"""Transactions of one fee payer waiting in one node's mempool (J7)."""
MEMPOOL_TXS_MAX: Final = 60_000
"""Transactions waiting in one node's mempool: about 25 seconds at the spine's rate."""
MEMPOOL_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of them: the count alone would allow 960 MiB of the largest ones."""
APPLICATIONS_PENDING_MAX: Final = 16
"""Membership applications waiting in one node's mempool: they are free, so nothing else bounds them (J7)."""
ADMISSION_MARGIN_MS: Final = CLOCK_AHEAD_MS_MAX
"""Kept between an admitted deadline and tx_lifetime_max: a leader whose clock is behind would else skip it (J3)."""
BATCHES_PER_CREATOR_BYTES_MAX: Final = 8 * 1024 * 1024
"""Bytes per creator neither final nor expired (J8)."""
UNCOVERED_BYTES_MAX: Final = 256 * 1024
"""Bytes of a proposal whose batches may lack a quorum of Haves (J9)."""

FRAME_BYTES_MAX: Final = 8 * 1024 * 1024
"""One frame between nodes: the largest block with its certificates and some room."""
RPC_BODY_BYTES_MAX: Final = 16 * 1024 * 1024
"""One HTTP request: 512 transactions of the largest size in hexadecimal."""
RPC_BATCH_MAX: Final = 512
"""Transactions in one `tx_submit_batch`."""
RPC_CALLS_MAX: Final = 64
"""Calls in one JSON-RPC batch."""
RPC_ITEMS_MAX: Final = 8192
"""Values in one JSON request, over all its calls: bounds the memory that parsing can take."""
RPC_DEPTH_MAX: Final = 16
"""Nesting of a JSON request."""
NODE_REPORT_BYTES_MAX: Final = 1024
"""One node's report of how it is, sent to every connected node every two seconds."""
NODE_ADDRESSES_MAX: Final = 4
"""Addresses that a node says it can be dialled at: IPv4 and IPv6, inside and outside."""
NODES_REMEMBERED_MAX: Final = 1024
"""Nodes whose last report, last word and address record are kept, also after they left: about 3 MiB."""
PEERS_PER_VALIDATOR_MAX: Final = 8
"""Links to non-validators that one validator keeps, however many peers there are."""
