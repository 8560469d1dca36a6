"""Steering: whether a run stands still, how many frames it may run all the same, how fast it goes."""

from __future__ import annotations

import math
from typing import Optional

from . import _native
from .values import integer_of

__all__ = ["Steering"]

#: Frames per second of real time.
_PACE_MIN, _PACE_MAX = 1e-3, 1e9


class Steering:
    """Steers a run that lets others steer it: ``hypostyle run --steer``, or ``Simulation(..., steerable=True)``. Made by
    :meth:`Reader.steering`, and for the program that runs the simulation by :attr:`Simulation.steering`.

    >>> with hypostyle.open("demo") as region:
    ...     wheel = region.steering()
    ...     wheel.pause()
    ...     wheel.step(10)
    ...     wheel.pace = 60
    ...     wheel.resume()

    It changes no bytes of any state. Whoever writes last, wins. What steers raises :class:`WriterGoneError` once the run has
    ended.
    """

    def __init__(self, native: _native.Steering) -> None:
        self._native = native

    @property
    def is_paused(self) -> bool:
        """Whether the run is to stand still."""
        return self._native.is_paused()

    @property
    def is_closed(self) -> bool:
        """Whether the run has ended. (One that was killed cannot say so.)"""
        return self._native.is_closed()

    @property
    def pace(self) -> Optional[float]:
        """Frames per second of real time that the run is to make at most; None: as many as it can. Set it to change it."""
        return self._native.pace()

    @pace.setter
    def pace(self, frames_per_second: Optional[float]) -> None:
        if frames_per_second is not None:
            frames_per_second = float(frames_per_second)
            if not (math.isfinite(frames_per_second) and _PACE_MIN <= frames_per_second <= _PACE_MAX):
                raise ValueError(
                    f"the pace is {frames_per_second}; it must be frames per second, from 0.001 to 1e9, or None for as many as it can"
                )
        self._native.set_pace(frames_per_second)

    def pause(self) -> None:
        """Lets the run stand still after its current frame."""
        self._native.pause()

    def resume(self) -> None:
        """Lets it go on."""
        self._native.resume()

    def step(self, frames: int = 1) -> None:
        """Lets it stand still, after so many frames more."""
        self._native.step(integer_of("the number of frames", frames, 1))

    def take_steps(self, most: int) -> int:
        """For the program that runs a simulation, while it is paused: how many of the frames that were asked for with
        :meth:`step` it runs now, at most ``most``."""
        return self._native.take_steps(integer_of("the number of frames", most, 0))

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "paused" if self.is_paused else "running"
        return f"<Steering: {state}, {'as fast as it goes' if self.pace is None else f'at most {self.pace:g} frames per second'}>"
