"""Systems of the tests that use the toolbox; worker processes find them here."""

from __future__ import annotations

import numpy as np

import hypostyle
from hypostyle import space

LAYOUT = """
name = "toolbox"
bytes_max = "256 MiB"
[components.position]
fields = { x = "f64", y = "f64" }
[components.velocity]
fields = { x = "f64", y = "f64" }
[components.cell]
fields = { key = "u32" }
[components.near]
fields = { others = "[u32; 48]", count = "u32" }
[components.anchor]
fields = { x = "f64", y = "f64" }
[components.bond]
fields = { end = "entity", seen = "f64" }
[resources.nearest]
fields = { metres = "f64", who = "entity" }
[resources.frames]
fields = { count = "u64", draw = "f64" }
[resources.moved]
fields = { far = "bool" }
[resources.energy]
fields = { kinetic = "f64", lists = "u64" }
"""

SIDE, CUTOFF, SKIN = 100.0, 2.0, 0.6
box = space.Box([SIDE, SIDE])
grid = space.CellGrid(box, (CUTOFF + SKIN) / 2)


def fill(world: hypostyle.World, discs: int) -> None:
    random = np.random.default_rng(11)
    across = int(np.ceil(np.sqrt(discs)))
    index = np.arange(discs)
    x, y = (index % across + 0.5) * SIDE / across, (index // across + 0.5) * SIDE / across
    velocity = random.normal(size=(2, discs)) * 4.0
    world.spawn(
        position={"x": x, "y": y},
        velocity={"x": velocity[0], "y": velocity[1]},
        cell={},
        near={},
        anchor={},
    )
    world.set_resource("moved", far=True)
    world.set_resource("energy", kinetic=0.0, lists=0)
    world.set_resource("frames", count=0, draw=0.0)


@hypostyle.system(writes="position", reads=["velocity", "anchor"], reduces={"moved": {"far": "max"}}, job_rows=256)
def drift(rows, frame, patches):
    rows.position.x += frame.dt * rows.velocity.x
    rows.position.y += frame.dt * rows.velocity.y
    position, anchor = rows.position, rows.anchor
    far = frame.frame == 1 or space.is_used_up(SKIN, (position.x, position.y), (anchor.x, anchor.y))
    patches.reduce("moved", far=far)


@hypostyle.system(
    writes=["position", "cell", "anchor"], run_if="moved.far", after="drift", sort_by="cell.key", sort_leaves="near", job_rows=256
)
def bin_discs(rows, frame):
    position = rows.position
    (position.x, position.y), _ = box.wrap(position.x, position.y)
    rows.cell.key = grid.key(position.x, position.y)
    rows.anchor.x, rows.anchor.y = position.x, position.y


@hypostyle.system(writes="near", neighbours=["position", "cell"], run_if="moved.far", after="bin_discs", job_rows=256)
def find(rows, frame):
    own = next(table for table in rows.neighbours if table.is_own)
    search = own.search(grid, CUTOFF + SKIN, ["position.x", "position.y"], "cell.key")
    rows.near.others, rows.near.count = search.lists(rows.first_row, len(rows)).padded(48)
    starts = own.cell_starts("cell.key", grid.count)
    assert starts[-1] == len(own) and starts is own.cell_starts("cell.key", grid.count)


@hypostyle.system(writes="velocity", reads="near", neighbours="position", after="find", job_rows=256)
def push(rows, frame):
    own = next(table for table in rows.neighbours if table.is_own)
    at = (own.position.x, own.position.y)
    near = rows.near.others
    used = np.arange(near.shape[1]) < rows.near.count[:, None]
    first, second = np.nonzero(used)[0] + rows.first_row, near[used]
    x, y = box.between([each[first] for each in at], [each[second] for each in at])
    law = np.maximum(1.0 - (x * x + y * y) / CUTOFF**2, 0.0) * 50.0
    for name, d in (("x", x), ("y", y)):
        rows.velocity[name] += frame.dt * np.bincount(first - rows.first_row, law * d, len(rows))


@hypostyle.system(reads="velocity", accumulates_resource={"energy": {"kinetic": "sum", "lists": "sum"}}, resources="moved", after="push")
def weigh(rows, frame, patches):
    v = rows.velocity
    kinetic = 0.5 * float(np.sum(v.x * v.x + v.y * v.y))
    lists = int(frame.resource("moved").far) if rows.first_row == 0 else 0
    patches.accumulate_resource("energy", kinetic=kinetic, lists=lists)


SYSTEMS = [drift, bin_discs, find, push, weigh]


def closer(earlier, later):
    return later if later["metres"] < earlier["metres"] else earlier


NEAREST = np.array((np.inf, hypostyle.NULL_ENTITY), dtype=[("metres", "f8"), ("who", "u8")])


@hypostyle.system(reads="position", reduces={"nearest": hypostyle.Reduction(NEAREST, closer)}, job_rows=64)
def look(rows, frame, patches):
    away = np.abs(rows.position.x - 50.0)
    # two values of a job: they are joined in the worker
    for half in np.array_split(np.arange(len(rows)), 2):
        if len(half):
            row = half[np.argmin(away[half])]
            patches.reduce("nearest", metres=away[row], who=rows.entities[row])


@hypostyle.system(sets_resources="frames")
def count(rows, frame, patches):
    assert len(rows) == 0
    draw = frame.random(3)
    assert np.array_equal(draw, frame.random(3))
    patches.set_resource("frames", count=frame.frame, draw=draw[2])


@hypostyle.system(writes="velocity", job_rows=64)
def draw(rows, frame):
    three = rows.random(3)
    assert np.array_equal(three[:, 0], rows.random())
    assert np.array_equal(rows.random_of(rows.entities[::2], 3), three[::2])
    rows.velocity.x = three[:, 0]
    rows.velocity.y = three[:, 2]


@hypostyle.system(reads="position", writes="cell", sort_by="cell.key", sort_every=2, sort_leaves="near")
def order(rows, frame):
    rows.cell.key = rows.position.x.astype(np.uint32)


@hypostyle.system(writes="bond", neighbours="position")
def see(rows, frame):
    rows.bond.seen = -1.0
    for table in rows.neighbours:
        found = table.locate(rows.bond.end)
        rows.bond.seen[found >= 0] = table.position.x[found[found >= 0]]
