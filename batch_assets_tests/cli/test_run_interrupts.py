"""Ctrl-C at any moment of a run ends it, also where Dagster or Python would drop it."""

import signal
from collections.abc import Callable

import pytest
from dagster._core.errors import DagsterExecutionInterruptedError, raise_execution_interrupts
from dagster._utils.interrupts import capture_interrupts

from batch_assets.cli.run import no_interrupt_dropped


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def between_ops() -> None:
    with capture_interrupts():
        press_ctrl_c()


def in_a_finalizer() -> None:
    class Finalized:
        def __del__(self) -> None:
            press_ctrl_c()

    with raise_execution_interrupts():
        Finalized()


@pytest.mark.parametrize("at", [between_ops, in_a_finalizer])
def test_it_is_raised_at_the_end_if_nothing_else_raised_it(
    at: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt), no_interrupt_dropped():
        at()
    assert capsys.readouterr().err == ""


def test_what_an_op_raises_is_let_through() -> None:
    with (
        pytest.raises((KeyboardInterrupt, DagsterExecutionInterruptedError)),
        no_interrupt_dropped(),
        raise_execution_interrupts(),
    ):
        press_ctrl_c()


def test_nothing_is_raised_where_nobody_pressed_it() -> None:
    with no_interrupt_dropped():
        pass
    assert signal.set_wakeup_fd(-1) == -1
