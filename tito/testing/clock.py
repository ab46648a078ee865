"""A clock that moves only when a test tells it to."""

from __future__ import annotations


class FakeClock:
    """A scripted `time.perf_counter_ns`: it moves only when told.

    Args:
        read_ns: How much time one reading takes, in nanoseconds.
        tick_ns: The clock's resolution: readings show whole multiples of it.
        start_ns: The time of the first reading.

    Attributes:
        now_ns: The true time, which readings round down to whole ticks.
        reads: How often the clock was read.

    Example:
        >>> clock = FakeClock(read_ns=5)
        >>> clock(), clock()
        (0, 5)
        >>> clock.advance(100)
        >>> clock()
        110
    """

    def __init__(self, read_ns: int = 0, tick_ns: int = 1, start_ns: int = 0) -> None:
        if read_ns < 0 or tick_ns < 1:
            raise ValueError(
                f"a clock needs read_ns >= 0 and tick_ns >= 1, got read_ns={read_ns}, "
                f"tick_ns={tick_ns}"
            )
        self.read_ns = read_ns
        self.tick_ns = tick_ns
        self.now_ns = start_ns
        self.reads = 0

    def __call__(self) -> int:
        """Read the clock (nanoseconds), which takes `read_ns`."""
        shown = self.now_ns // self.tick_ns * self.tick_ns
        self.reads += 1
        self.now_ns += self.read_ns
        return shown

    def advance(self, ns: int) -> None:
        """Let `ns` nanoseconds pass.

        Raises:
            ValueError: `ns` is negative.
        """
        if ns < 0:
            raise ValueError(f"a clock cannot run backwards: advance({ns})")
        self.now_ns += int(ns)
