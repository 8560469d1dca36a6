"""Frames of one step, from the time of a clock."""

from __future__ import annotations

import math

from .values import integer_of

__all__ = ["FixedStep"]


class FixedStep:
    """Turns the time of a clock into frames of one step: at each tick of it
    ``simulation.run(fixed.frames(elapsed), fixed.dt)``.

    A simulation that is slower than the clock falls behind instead of blocking the program: frames beyond ``frames_max`` at once
    are dropped.

    >>> fixed = FixedStep(0.01)
    >>> [fixed.frames(0.016) for _ in range(3)]
    [1, 2, 1]
    >>> round(fixed.fraction, 9)
    0.8
    >>> FixedStep(0.01, frames_max=4).frames(1.0)
    4
    """

    __slots__ = ("dt", "frames_max", "_owed")

    #: The step.
    dt: float
    #: Frames at once, at most.
    frames_max: int

    def __init__(self, dt: float, frames_max: int = 8) -> None:
        if not (math.isfinite(dt) and dt > 0.0):
            raise ValueError(f"a fixed step is a positive number, not {dt}")
        self.dt, self.frames_max, self._owed = float(dt), integer_of("frames_max", frames_max, 1), 0.0

    def frames(self, elapsed: float) -> int:
        """How many frames are due after so much more time. Negative times and NaN count as 0."""
        if math.isfinite(elapsed) and elapsed > 0.0:
            self._owed += elapsed
        due = math.floor(self._owed / self.dt)
        if due > self.frames_max:
            self._owed = 0.0
            return self.frames_max
        self._owed = max(self._owed - due * self.dt, 0.0)
        return due

    @property
    def fraction(self) -> float:
        """Which part of a step, from 0 to 1, no frame has run for yet: to draw between the last two frames."""
        return min(max(self._owed / self.dt, 0.0), 1.0)
