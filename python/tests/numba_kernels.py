"""A compiled system, as far as there is a compiler."""

import numba
import numpy as np

import hypostyle


@numba.njit
def advance(x, v, dt):
    for row in range(len(x)):
        x[row] += v[row] * dt


@hypostyle.system(reads="velocity", writes="position", job_rows=512, name="move")
def compiled_move(rows, frame):
    advance(rows.position.x, rows.velocity.x, np.float32(frame.dt))
    advance(rows.position.y, rows.velocity.y, np.float32(frame.dt))
