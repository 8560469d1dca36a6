"""Boxes, cells and neighbours on arrays, beside numpy that looks at every pair; and the toolbox in systems."""

from __future__ import annotations

import numpy as np
import pytest

import hypostyle
import toolbox
from conftest import unique
from hypostyle import space


def brute(box: space.Box, at: np.ndarray, reach: float) -> list[set[int]]:
    """The rows within reach of each row: all pairs."""
    n = at.shape[1]
    a, b = np.repeat(np.arange(n), n), np.tile(np.arange(n), n)
    near = (box.distance_square(at[:, a], at[:, b]) < box.dtype.type(reach) ** 2) & (a != b)
    found: list[set[int]] = [set() for _ in range(n)]
    for first, second in zip(a[near], b[near]):
        found[first].add(int(second))
    return found


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("periodic", [True, False, "some"])
def test_neighbours_are_those_of_all_pairs(axes, dtype, periodic):
    sides, reach = (7.0, 5.0, 6.0)[:axes], 1.3
    box = space.Box(sides, low=-1.0, periodic=(True, False, True)[:axes] if periodic == "some" else periodic, dtype=dtype)
    grid = space.CellGrid(box, reach / 2)
    at = np.random.default_rng(3).uniform(-1, 1, (axes, 400)) * np.array(sides)[:, None] / 2 + np.array(sides)[:, None] / 2 - 1
    at = np.stack(box.wrap(*at)[0])
    at = at[:, np.argsort(grid.key(*at), kind="stable")]
    search = space.Search(grid, at, reach)
    found, wanted = search.lists(), brute(box, at, reach)
    assert len(search) == len(found) == 400 and found.indices.dtype == np.uint32 and found.offsets.dtype == np.int64
    assert [set(found[row].tolist()) for row in range(400)] == wanted
    assert found.counts.tolist() == [len(each) for each in wanted] and found.counts.sum() > 400
    part = search.lists(100, 50)
    assert all(np.array_equal(part[row], found[100 + row]) for row in range(50))
    lists, counts = part.padded(int(found.counts.max()))
    assert np.array_equal(counts, part.counts) and np.array_equal(lists[7, : counts[7]], found[107])
    with pytest.raises(ValueError, match="a list holds 2: make the lists longer"):
        part.padded(2)
    first, second = part.pairs()
    assert first.min() >= 100 and len(first) == len(second) == part.counts.sum()


def test_what_is_wrong_is_named():
    box = space.Box([4.0, 4.0])
    grid = space.CellGrid(box, 1.0)
    with pytest.raises(ValueError, match="axis 1 of a box"):
        space.Box([1.0, 0.0])
    with pytest.raises(ValueError, match="2 or 3 axes; not 4"):
        space.Box([1.0] * 4)
    with pytest.raises(ValueError, match="as many sides as"):
        space.Box([1.0] * 3, low=(0.0, 0.0))
    with pytest.raises(TypeError, match="float64 or float32"):
        space.Box([1.0] * 3, dtype="int32")
    with pytest.raises(ValueError, match="cells of width"):
        space.CellGrid(box, float("nan"))
    with pytest.raises(ValueError, match=r"of the lengths \[2, 1\]"):
        grid.key([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="sort the table by its keys first"):
        space.neighbours(grid, ([3.5, 0.5], [3.5, 0.5]), 1.0)
    with pytest.raises(ValueError, match="at the same place"):
        space.neighbours(grid, ([1.5, 1.5], [0.5, 0.5]), 1.0)
    with pytest.raises(ValueError, match="2 places and 1 keys"):
        space.Search(grid, ([1.5, 1.6], [0.5, 0.5]), 1.0, keys=[1])
    with pytest.raises(ValueError, match="a reach of -1"):
        space.Search(grid, ([1.5], [0.5]), -1.0)
    with pytest.raises(IndexError, match="2 rows from row 9 on"):
        space.Search(grid, ([1.5], [0.5]), 1.0).lists(9, 2)
    with pytest.raises(ValueError, match="and there are 4 cells"):
        space.cell_starts([0, 4], 4)
    with pytest.raises(ValueError, match="2 or 3 dimensions"):
        space.morton([1])


def test_keys_of_grids_are_those_of_curves():
    box = space.Box([8.0, 8.0, 8.0], periodic=False)
    grid = space.CellGrid(box, 1.0)
    assert grid.cells == (8, 8, 8) and grid.count == 512 and grid.width == (1.0, 1.0, 1.0)
    cells = np.indices((8, 8, 8)).reshape(3, -1)
    at = cells + 0.5
    assert np.array_equal(grid.key(*at), cells[0] + 8 * cells[1] + 64 * cells[2])
    assert np.array_equal(grid.morton(*at), space.morton(*cells))
    order = np.argsort(grid.hilbert(*at))
    steps = np.abs(np.diff(cells[:, order], axis=1)).sum(0)
    assert set(steps.tolist()) == {1}
    assert box.contains([1.0, 9.0], [1.0, 1.0], [1.0, 1.0]).tolist() == [True, False]


def melt(workers: str, publish_every: int = 1) -> tuple[int, float, dict[str, np.ndarray]]:
    """A gas of soft discs by the toolbox alone."""
    with hypostyle.World(toolbox.LAYOUT, region=unique("toolbox")) as world:
        toolbox.fill(world, 2000)
        with hypostyle.Simulation(world, toolbox.SYSTEMS, workers, publish_every=publish_every) as simulation:
            simulation.run(20, 0.02)
            simulation.publish()
            with simulation.pin() as snapshot:
                energy = world.resource("energy")
                columns = {name: snapshot["position"][name].copy() for name in "xy"}
                return snapshot.hash(), float(energy.kinetic), {"lists": np.array(energy.lists), **columns}


def test_a_gas_by_the_toolbox_has_the_same_bits_for_any_workers():
    state, kinetic, columns = melt("local")
    assert int(columns["lists"]) > 1, "the lists were made anew"
    assert 0.0 < kinetic < 1e6
    for workers in ("threads:2", "processes:1", "processes:2"):
        assert melt(workers)[0] == state, workers


def test_own_joins_once_systems_and_random_numbers():
    states = []
    for workers in ("local", "threads:2", "processes:2"):
        with hypostyle.World(toolbox.LAYOUT, region=unique("toolbox")) as world:
            toolbox.fill(world, 2000)
            with hypostyle.Simulation(world, [toolbox.look, toolbox.count, toolbox.draw], workers, seed=5) as simulation:
                simulation.run(3, 0.5)
            nearest = world.resource("nearest")
            with world.pin() as snapshot:
                x, entities = snapshot["position"].x, snapshot["position"].entities
                wanted = int(np.argmin(np.abs(x - 50.0)))
                assert (nearest.metres, nearest.who) == (abs(x[wanted] - 50.0), entities[wanted])
                states.append((snapshot.hash(), world.resource("frames").count, world.resource("frames").draw))
    assert states[0] == states[1] == states[2]
    assert states[0][1] == 3 and 0.0 < states[0][2] < 1.0
    with hypostyle.World(toolbox.LAYOUT) as world:
        with hypostyle.Simulation(world, [toolbox.look, toolbox.count], "local") as simulation:
            simulation.step(0.5)
        # no rows: the value of none; a system without rows runs nevertheless
        assert world.resource("nearest").metres == np.inf and world.resource("nearest").who == hypostyle.NULL_ENTITY
        assert world.resource("frames").count == 1


def test_joins_that_are_wrong():
    def broken(earlier, later):
        raise KeyError("no such thing")

    nearest = np.array((np.inf, 0), dtype=[("metres", "f8"), ("who", "u8")])

    def reduces(reduction):
        made = hypostyle.system(reads="position", reduces={"nearest": reduction}, job_rows=64, name="broken")
        return made(lambda rows, frame, patches: patches.reduce("nearest", metres=1.0, who=0))

    with hypostyle.World(toolbox.LAYOUT) as world:
        toolbox.fill(world, 500)
        with hypostyle.Simulation(world, [reduces(hypostyle.Reduction(nearest, broken))], "local") as simulation:
            with pytest.raises(hypostyle.FrameError, match="no such thing"):
                simulation.step(1.0)
        other = np.array((0.0,), dtype=[("metres", "f8")])
        with pytest.raises(TypeError, match="resource `nearest` has the fields"):
            hypostyle.Simulation(world, [reduces(hypostyle.Reduction(other[()], broken))], "local")
    with pytest.raises(TypeError, match="is one record"):
        hypostyle.Reduction(0.0, broken)
    with pytest.raises(ValueError, match="declares nothing that it reads or writes"):
        hypostyle.system()(lambda rows, frame: None)
    with pytest.raises(ValueError, match="has no rows, as it names no component that they have; and sort_by needs them"):
        hypostyle.system(resources="frames", sort_by="cell.key", name="sorts")(lambda rows, frame: None)


def test_tables_are_sorted_every_so_often_and_leave_what_they_may():
    with hypostyle.World(toolbox.LAYOUT) as world:
        handles = world.spawn(4, position={"x": [7.0, 3.0, 5.0, 1.0], "y": 0.0}, cell={}, near={"count": [0, 1, 2, 3]})
        with hypostyle.Simulation(world, [toolbox.order], "local") as simulation:
            for frame, wanted in ((1, [0, 1, 2, 3]), (2, [3, 1, 2, 0])):
                simulation.step(1.0)
                with simulation.pin() as snapshot:
                    table = snapshot.tables[0]
                    assert np.array_equal(table.entities, handles[wanted]), frame
                    assert table["near"].count.tolist() == [0, 1, 2, 3], "rows keep what is left where it is"


def test_entities_are_located_by_their_handles():
    with hypostyle.World(toolbox.LAYOUT) as world:
        at = world.spawn(200, position={"x": np.arange(200.0), "y": 0.0}, cell={}, near={})
        world.despawn(at[50])
        new = world.spawn(position={"x": [999.0], "y": [0.0]}, cell={}, near={})
        assert hypostyle.entity_index(new[0]) == hypostyle.entity_index(at[50])
        ends = np.concatenate([at[[3, 50]], new, [np.uint64(hypostyle.NULL_ENTITY)], at[199:]])
        world.spawn(bond={"end": ends, "seen": 0.0})
        with hypostyle.Simulation(world, [toolbox.see], "local") as simulation:
            simulation.step(1.0)
            with simulation.pin() as snapshot:
                assert snapshot["bond"].seen.tolist() == [3.0, -1.0, 999.0, -1.0, 199.0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_forces_between_pairs_are_those_of_a_loop_in_the_order_of_eight_sums(dtype):
    kind = np.dtype(dtype).type
    box = space.Box([6.0, 6.0, 6.0], dtype=dtype)
    grid = space.CellGrid(box, width_min=0.7)
    random = np.random.default_rng(5)
    at = random.uniform(0, 6, (3, 700)).astype(dtype)
    at = at[:, np.argsort(grid.key(*at), kind="stable")]
    charge = random.uniform(-1, 1, 700).astype(dtype)
    found = space.Search(grid, at, 1.4).lists(100, 60)
    force = found.forces(box, at, 1.3, lambda square, a, b: a * b / square, [charge])
    assert max(len(each) for each in found) > 16 and all(column.dtype == dtype for column in force)
    cutoff = kind(1.3)
    for index in range(len(found)):
        row, sums = 100 + index, [[kind(0)] * 8 for _ in range(3)]
        for place, other in enumerate(found[index]):
            d = [axis[0] for axis in box.between(at[:, row : row + 1], at[:, other : other + 1])]
            square = (d[0] * d[0] + d[1] * d[1]) + d[2] * d[2]
            value = charge[row] * charge[other] / square if square < cutoff * cutoff else kind(0)
            for axis in range(3):
                sums[axis][place % 8] = sums[axis][place % 8] + d[axis] * value
        for axis in range(3):
            a, b, c, d, e, f, g, h = sums[axis]
            assert force[axis][index] == ((a + b) + (c + d)) + ((e + f) + (g + h))


def test_a_law_that_gives_something_else_is_refused():
    box = space.Box([9.0, 9.0])
    found = space.Neighbours(np.array([0, 1, 2]), np.array([1, 0], np.uint32))
    with pytest.raises(ValueError, match=r"shape \(3,\) for one of \(2,\)"):
        found.forces(box, ([1.0, 2.0], [1.0, 1.0]), 3.0, lambda square: [1.0, 2.0, 3.0])
    with pytest.raises(IndexError):
        found.forces(box, ([1.0], [1.0]), 3.0, lambda square: square)
