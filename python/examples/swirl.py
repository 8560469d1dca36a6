"""A system for a simulation in another language: see examples/python_workers.rs."""

import numpy as np

import hypostyle


@hypostyle.system(writes=["velocity", "turned"], reads="position")
def swirl(rows: hypostyle.Job, frame: hypostyle.Frame) -> None:
    """Turns velocities around the origin, all of them in each second frame."""
    if frame.frame % 2:
        return
    velocity, position = rows.velocity, rows.position
    dt = np.float32(frame.dt)
    velocity.x -= position.y * dt
    velocity.y += position.x * dt
    rows.turned.times += 1
