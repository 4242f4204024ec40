"""More is handed in than becomes final: the rest is refused with a name, and nothing waits for long."""

from cccnode.driver.dissemination import FINAL_ANYWAY, FINAL_WITHIN_MS, FORM_MS, VERIFIED_WITHIN_MS
from cccnode.types.batch import batch_id
from cccnode.types.errors import POOL_FULL
from cccnode.types.limits import BATCH_TXS_MAX
from tests.driver.support import ALICE, Bench, raws
from tests.driver.test_dissemination import BATCH, submit


def test_refused_while_what_waits_is_not_final_in_good_time() -> None:
    """A node that takes in more than becomes final refuses, once what waits is old: pool/FULL, and latency is bounded.

    It takes more in again as soon as that is final.
    """
    bench = Bench()
    early = [raws(100 + number * BATCH_TXS_MAX, BATCH_TXS_MAX) for number in range(FINAL_ANYWAY // BATCH_TXS_MAX + 1)]
    for batch in early:
        bench.push(ALICE, batch)
    bench.run(FINAL_WITHIN_MS // 2)
    assert [None] == [refusal for _, refusal in taken(bench, BATCH[0])], "busy, and quick enough"

    bench.run(FINAL_WITHIN_MS)
    assert POOL_FULL is submit(bench, BATCH[1])[0][1].spec

    bench.dissemination.clear([batch_id(batch) for batch in early[:2]], 5)
    bench.run(FORM_MS)
    assert [None] == [refusal for _, refusal in taken(bench, BATCH[1])]


def test_refused_while_verification_is_late() -> None:
    """What waits for verification for long is answered late; more is refused: pool/FULL."""
    bench = Bench()
    verification = bench.dissemination.verification
    verification.add(BATCH, lambda _: None)
    verification._jobs[0].since_ms -= VERIFIED_WITHIN_MS + 1

    assert POOL_FULL is submit(bench, BATCH[0])[0][1].spec
    bench.run()
    assert [None] == [refusal for _, refusal in taken(bench, BATCH[0])]


def taken(bench: Bench, raw: bytes) -> list:
    answers = submit(bench, raw)
    bench.run(50)
    return answers
