"""A request to stop (SIGTERM, Ctrl-C) that lets the running step finish."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(SystemExit):
    """Training was stopped by a signal after saving; `code` is 128 + the signal's number (143 for SIGTERM)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code)
        self.message = message

    def __str__(self) -> str:
        return self.message


class StopRequest:
    """The signal that arrived, or 0. After it a second one acts as if nobody listened, unless one of several processes listens.

    Such a one may get the same request twice, from SLURM (SignalChildrenProcesses) and from torchrun, which passes it on, and
    which kills a process that does not stop.
    """

    def __init__(self, *, one_of_several: bool = False) -> None:
        self.signal = 0
        self.one_of_several = one_of_several

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        self.signal = number
        if not self.one_of_several:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@contextmanager
def listening(request: StopRequest) -> Iterator[StopRequest]:
    """Both signals set `request` inside the block; the handlers of before are back after it.

    Only the main thread can listen; elsewhere the block changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
