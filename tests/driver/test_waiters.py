"""Who waits for a decision hears of it once."""

from cccnode.driver.waiters import Waiters


def test_decided_expired_and_called_off() -> None:
    """A call comes when its transaction is decided, or when its deadline is final, and only once."""
    waiters, heard = Waiters(), []
    waiters.add(b"a", None, lambda: heard.append("a"))
    waiters.add(b"a", 50, lambda: heard.append("a too"))
    waiters.add(b"b", 100, lambda: heard.append("b"))
    waiters.add(b"c", 200, lambda: heard.append("c"))
    cancel = waiters.add(b"b", 100, lambda: heard.append("never"))
    cancel()
    cancel()

    waiters.wake([b"a"], 99)
    assert ["a", "a too"] == heard
    waiters.wake([], 100)
    waiters.wake([b"a"], 150)
    assert ["a", "a too", "b"] == heard
    assert 1 == len(waiters)


def test_nothing_is_left_of_who_gave_up() -> None:
    """Deadlines far in the future do not pile up."""
    waiters = Waiters()
    for number in range(1_000):
        waiters.add(b"%d" % (number % 10), 2**62, lambda: None)()

    assert 0 == len(waiters)
