"""Ctrl-C and the terminate signal: noted first, obeyed at once when they come again."""
import os
import signal
from types import SimpleNamespace

import pytest

from recognition.training.interrupts import Interrupts
from runtime import Failure

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted(number):
    with Interrupts() as interrupts:
        assert interrupts.arrived is None
        os.kill(os.getpid(), number)
        assert interrupts.arrived == signal.Signals(number).name


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_a_second_one_ends_at_once(first, second):
    with pytest.raises(KeyboardInterrupt), Interrupts():
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), second)
        pytest.fail("it went on")


def test_what_was_there_before_comes_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupts() as interrupts:
        assert [signal.getsignal(number) for number in SIGNALS] == [interrupts._note] * 2
    assert [signal.getsignal(number) for number in SIGNALS] == before
    with pytest.raises(RuntimeError), Interrupts():
        raise RuntimeError
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_the_run_ends_after_the_step_at_which_that_is_due():
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGTERM)
        interrupts.stop(SimpleNamespace(step=6, due=frozenset({"save"})))
        with pytest.raises(Failure) as failure:
            interrupts.stop(SimpleNamespace(step=7, due=frozenset({"save", "stop"})))
    assert str(failure.value) == "stopped by SIGTERM after step 7; the same command with --resume goes on"
