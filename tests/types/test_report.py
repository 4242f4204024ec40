"""What a node says of itself fits what carries it."""

import pytest

from cccnode.codec import Malformed, decode, encode
from cccnode.types.limits import NODE_REPORT_BYTES_MAX, VALIDATORS_MAX
from cccnode.types.report import REPORT_REASONS_MAX, Report, bitmap, has_bit
from tests.types.samples import NOUNS


def test_the_longest_report_fits() -> None:
    """Every field at its largest stays within what the network carries."""
    longest = Report(
        version="v" * 64,
        wall_ms=2**63 - 1,
        epoch=2**63 - 1,
        view=2**63 - 1,
        height=2**63 - 1,
        state_root=bytes(32),
        state="s" * 32,
        reasons=("x" * 64,) * REPORT_REASONS_MAX,
        free_disk_mb=2**32 - 1,
        epoch_record_hash=bytes(32),
        root_height=2**63 - 1,
        root=bytes(32),
        linked=b"\xff" * (VALIDATORS_MAX // 8),
        lag_ms=2**32 - 1,
    )

    raw = encode(longest)
    assert longest == decode(Report, raw)
    assert len(raw) <= NODE_REPORT_BYTES_MAX


@pytest.mark.parametrize(("place", "value"), [(0, "v" * 65), (7, ["x"] * 9), (8, -1), (8, 2**32), (12, bytes(17))])
def test_invalid_reports(place: int, value: object) -> None:
    """A field out of its range does not decode."""
    fields = decode(list, encode(NOUNS["report"]))
    assert isinstance(fields, list)
    fields[place] = value
    with pytest.raises(Malformed):
        decode(Report, encode(fields))


@pytest.mark.parametrize("count", [1, 8, 9, 128])
def test_bitmap(count: int) -> None:
    """One bit a validator; one that lies beyond the bytes is not set."""
    chosen = {index for index in range(count) if index % 3 == 0}
    bits = bitmap(sorted(chosen), count)

    assert (count + 7) // 8 == len(bits)
    assert chosen == {index for index in range(200) if has_bit(bits, index)}
