"""Systems of Python in worker processes: the same bytes for any workers, whatever happens to them."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import hypostyle
import kernels
from conftest import ROOT, unique

FRAMES = 12


@pytest.fixture
def world():
    with hypostyle.World(kernels.LAYOUT, region=unique("workers")) as made:
        kernels.fill(made)
        yield made


def state(world):
    world.publish()
    with world.pin() as snapshot:
        return snapshot.hash()


def run(workers, systems=kernels.ALL, frames=FRAMES, **options):
    """The state that systems end in."""
    with hypostyle.World(kernels.LAYOUT, region=unique("workers")) as world:
        kernels.fill(world)
        with hypostyle.Simulation(world, systems, workers=workers, loops=kernels.LOOPS, seed=5, **options) as simulation:
            for _ in range(frames):
                simulation.step(0.125)
        return state(world)


@pytest.fixture(scope="module")
def local():
    return run("local")


@pytest.mark.parametrize("workers", ["processes:1", "processes:2", "processes:3", "threads:2"])
def test_the_same_bytes_for_any_workers(workers, local):
    assert run(workers) == local


def test_the_same_bytes_with_other_settings(local):
    assert run("processes:2", main_helps=False) == local
    assert run("processes:2", fuse=False, publish_every=5) == local
    assert run("local", publish_every=100) == local


def philox(counter, key):
    """Philox4x32-10, as its paper has it."""
    low = 0xFFFFFFFF
    for turn in range(10):
        if turn:
            key = [(key[0] + 0x9E3779B9) & low, (key[1] + 0xBB67AE85) & low]
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(b >> 32) ^ counter[1] ^ key[0], b & low, (a >> 32) ^ counter[3] ^ key[1], a & low]
    return counter


def test_random_numbers_are_those_of_the_published_generator(world):
    assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    seen = []

    @hypostyle.system(reads="velocity", name="draw", job_rows=1024)
    def draw(rows, frame):
        seen.append((rows.entities, rows.random(2).copy(), rows.random().copy()))

    with hypostyle.Simulation(world, [draw], workers="local", seed=2**40 + 3) as simulation:
        simulation.step(0.125)
    # the XXH3 hash of "draw"
    system = 917081415086096985
    key = philox([1, 0, system & 0xFFFFFFFF, system >> 32], [3, 2**8])[:2]
    for entities, two, one in seen:
        assert (two[:, 0] == one).all()
        for place in (0, len(entities) - 1):
            index, generation = int(entities[place]) & 0xFFFFFFFF, int(entities[place]) >> 32
            words = philox([0, 0, index, generation], key)
            expected = [((words[at] | words[at + 1] << 32) >> 11) * 2.0**-53 for at in (0, 2)]
            assert two[place].tolist() == expected


def test_random_numbers_by_ids_depend_on_no_handle(world):
    seen = []

    @hypostyle.system(reads="velocity", name="draw", job_rows=1024)
    def draw(rows, frame):
        ids = np.arange(len(rows), dtype=np.uint64) + np.uint64(2**40)
        seen.append((rows.random_of_id(ids, 2), rows.random_of_id(ids), rows.random()))

    with hypostyle.Simulation(world, [draw], workers="local", seed=2**40 + 3) as simulation:
        simulation.step(0.125)
    system = 917081415086096985
    key = philox([1, 0, system & 0xFFFFFFFF, system >> 32], [3, 2**8])[:2]
    for two, one, by_handles in seen:
        assert (two[:, 0] == one).all() and (one != by_handles).any()
        for place in (0, len(one) - 1):
            words = philox([0, 2**31, place, 2**8], key)
            assert two[place].tolist() == [((words[at] | words[at + 1] << 32) >> 11) * 2.0**-53 for at in (0, 2)]


def test_loops_and_conditions_from_python(world):
    calls = []

    @hypostyle.system(writes="mark", in_loop="solve")
    def solve(rows, frame):
        calls.append((frame.iteration, frame.dt, frame.time))

    @hypostyle.system(reads="mark", every=2)
    def second(rows, frame):
        calls.append("second")

    @hypostyle.system(reads="mark", run_if=[("gravity.y", "<", -9.0), "gravity.y"])
    def heavy(rows, frame):
        calls.append("heavy")

    solver = hypostyle.Loop("solve", times=2, divides_step=True)
    with hypostyle.Simulation(world, [solve, second, heavy], workers="local", loops=[solver]) as simulation:
        simulation.step(0.5)
        world.set_resource("gravity", y=1.0)
        simulation.step(0.5)
    assert sorted(map(str, calls)) == sorted(map(str, [(0, 0.25, 0.0), (1, 0.25, 0.25), "heavy", (0, 0.25, 0.5), (1, 0.25, 0.75), "second"]))
    with pytest.raises(hypostyle.ScheduleError, match="no such loop"):
        hypostyle.Simulation(world, [solve])
    with pytest.raises(ValueError, match="is no condition"):
        hypostyle.system(reads="mark", run_if=("gravity.y", "=", 3))(lambda rows, frame: None)


@pytest.mark.parametrize("workers", ["local", "processes:2"])
def test_guards_fail_the_frame_and_name_the_row(world, workers):
    bounded = hypostyle.guard_within("velocity", {"y": (-1e6, float("inf"))}, job_rows=1024)
    systems = [kernels.fall, kernels.spoil, kernels.whole, bounded]
    with hypostyle.Simulation(world, systems, workers=workers, main_helps=False) as simulation:
        simulation.run(2, 0.125)
        before = state(world)
        with pytest.raises(hypostyle.FrameError, match=r"`velocity.x` of entity \d+v\d+ \(row 700\) is NaN in frame 3") as failed:
            simulation.step(0.125)
        assert "velocity is finite" in str(failed.value)
        assert (world.frame, state(world)) == (2, before)
    with pytest.raises(hypostyle.ScheduleError, match="no element 7"):
        hypostyle.Simulation(world, [hypostyle.guard_within("child", {"at[7]": (0, 1)})])
    with pytest.raises(ValueError, match="`relative` or `absolute`"):
        hypostyle.guard_conserved("total.speed", "start.speed")


def test_rows_are_reduced_to_a_resource(world):
    with hypostyle.Simulation(world, [kernels.fall, kernels.weigh], workers="threads:1") as simulation:
        simulation.step(0.125)
    world.publish()
    with world.pin() as snapshot:
        y = np.concatenate([table["velocity"].y for table in snapshot.tables if "velocity" in table])
    total = world.resource("total")
    assert total.rows == len(y) and total.histogram.sum() == len(y) and total.any
    assert total.fastest == np.abs(y).max()
    assert total.speed == pytest.approx((y.astype(float) * 0.1).sum(), abs=1e-9)


def test_reductions_that_do_not_fit_say_so(world):
    with pytest.raises(ValueError, match="the joins are"):
        hypostyle.system(reads="velocity", reduces={"total": {"speed": "mean"}})
    with pytest.raises(TypeError, match="maps each field"):
        hypostyle.system(reads="velocity", reduces={"total": "sum"})

    @hypostyle.system(reads="velocity", reduces={"total": {"speed": "sum"}})
    def partial(rows, frame, patches):
        pass

    with pytest.raises(hypostyle.ScheduleError, match="needs a join"):
        hypostyle.Simulation(world, [partial])

    @hypostyle.system(reads="velocity", despawns=True)
    def undeclared(rows, frame, patches):
        patches.reduce("total", speed=1.0, fastest=0, rows=1, histogram=[0] * 4, any=False)

    with hypostyle.Simulation(world, [undeclared]) as simulation:
        with pytest.raises(hypostyle.FrameError, match="declare it in `reduces`"):
            simulation.step(0.125)


def test_deposits_are_joined_to_what_is_there(world):
    @hypostyle.system(reads="velocity", without="heat", accumulates={"velocity": "sum"}, job_rows=512)
    def onto_all(rows, frame, patches):
        patches.accumulate_rows([0, 0, 1], "velocity.y", [1.0, 2.0, 4.0])

    @hypostyle.system(reads="velocity", accumulates_resource={"total": {
        "speed": "sum", "fastest": "max", "rows": "sum", "histogram": "or", "any": "max"}})
    def count(rows, frame, patches):
        patches.accumulate_resource("total", speed=0.5, fastest=len(rows), rows=len(rows), histogram=[0, 1, 2, 4], any=True)

    before = [float(each) for each in _first_y(world)]
    with hypostyle.Simulation(world, [onto_all, count], workers="local") as simulation:
        simulation.step(0.125)
        simulation.step(0.125)
    after = _first_y(world)
    assert after[0] == np.float32(before[0] + 3.0) + 3 and after[1] == np.float32(before[1] + 4.0) + 4
    total = world.resource("total")
    assert total.rows == 2 * (kernels.ROWS + kernels.ROWS // 3) and list(total.histogram) == [0, 1, 2, 4]

    with pytest.raises(ValueError, match="the joins are"):
        hypostyle.system(reads="velocity", accumulates={"heat": "mean"})

    @hypostyle.system(reads="velocity", accumulates={"heat": {"degrees": "sum"}})
    def other_field(rows, frame, patches):
        patches.accumulate_rows([0], "heat.steps", 1)

    with hypostyle.Simulation(world, [other_field]) as simulation:
        with pytest.raises(hypostyle.FrameError, match="accumulates on `heat.steps`"):
            simulation.step(0.125)


def test_scratch_is_rebuilt_and_no_part_of_snapshots():
    layout = """
    name = "scratch"
    bytes_max = "16 MiB"
    [components.place]
    fields = { x = "f64" }
    [components.near]
    storage = "scratch"
    fields = { count = "u32", cells = "[u16; 4]" }
    """

    @hypostyle.system(reads="place", writes="near", every=1000, rebuilds="near")
    def look(rows, frame):
        rows.near.count[:] = rows.place.x.astype(np.uint32) + 1

    @hypostyle.system(reads="near", writes="place")
    def use(rows, frame):
        rows.place.x += rows.near.count

    with hypostyle.World(layout, region=unique("scratch")) as world:
        world.spawn(place={"x": np.arange(100.0)}, near={})
        with hypostyle.Simulation(world, [look, use], workers="threads:1") as simulation:
            simulation.step(1.0)
            simulation.step(1.0)
        world.publish()
        with world.pin() as snapshot:
            table = snapshot.tables[0]
            assert "near" in table and list(table["place"].x[:3]) == [2.0, 5.0, 8.0]
            assert snapshot.layout.components["near"].storage == "scratch"
            # who has it is state, and a column of exports
            table = snapshot.to_arrow()
            assert "near" in table.schema.names and not any(name.startswith("near.") for name in table.schema.names)
            assert set(snapshot.layout.columns) <= set(table.schema.names)
            with pytest.raises((AttributeError, KeyError, hypostyle.HypostyleError)):
                table["near"].count
        with pytest.raises(hypostyle.ScheduleError, match="is state"):
            hypostyle.Simulation(world, [hypostyle.system(writes="place", rebuilds="place")(lambda rows, frame: None)])


def test_relations_cascade_and_are_forgotten():
    layout = """
    name = "relations"
    bytes_max = "16 MiB"
    [components.child]
    fields = { parent = "entity" }
    [components.bond]
    fields = { to = "[entity; 2]" }
    [components.crash]
    fields = { who = "entity" }
    """

    for workers in ("local", "processes:1"):
        with hypostyle.World(layout, region=unique("relations")) as world:
            parents = world.spawn(50, bond={})
            world.spawn(child={"parent": parents})
            world.spawn(bond={"to": np.stack([parents, parents[::-1]], axis=1)})
            world.spawn(3, crash={})
            world.despawn(parents[:10])
            systems = [
                hypostyle.relation_cascade("child.parent"),
                hypostyle.relation_clear("bond.to"),
                hypostyle.ends_events("crash"),
            ]
            with hypostyle.Simulation(world, systems, workers=workers) as simulation:
                simulation.step(1.0)
            world.publish()
            with world.pin() as snapshot:
                assert sum(table.rows for table in snapshot.tables if "child" in table) == 40
                assert sum(table.rows for table in snapshot.tables if "crash" in table) == 0
                to = np.concatenate([table["bond"].to for table in snapshot.tables if "bond" in table])
                gone = np.isin(to, parents[:10])
                assert not gone.any() and (to != hypostyle.NULL_ENTITY).sum() == 80


def _first_y(world):
    world.publish()
    with world.pin() as snapshot:
        table = next(each for each in snapshot.tables if "velocity" in each)
        return table["velocity"].y[:2].copy()


def test_sets_that_are_replaced_are_counted(world):
    @hypostyle.system(reads=["position", "velocity"], sets="velocity")
    def again(rows, frame, patches):
        for value in (1.0, 2.0, 3.0):
            patches.set_rows([0, 1], "velocity.x", value)
        patches.set_rows([0, 1], "velocity.y", 4.0)

    with hypostyle.Simulation(world, [again]) as simulation:
        counts = simulation.step(0.1).patches["again"]
    assert counts.applied == counts.overwritten > 0 == counts.refused, counts


def test_strict_simulations_fail_frames_with_refused_patches(world):
    @hypostyle.system(reads="position", sets="heat")
    def warm(rows, frame, patches):
        patches.set(rows.entities, "heat.steps", 1)

    with hypostyle.Simulation(world, [warm]) as simulation:
        assert simulation.step(0.1).patches["warm"].refused > 0
    with hypostyle.Simulation(world, [warm], strict=True) as simulation:
        with pytest.raises(hypostyle.FrameError, match="system `warm` were refused, .* absent component `heat`"):
            simulation.step(0.1)
        assert world.pin().frame == 1


def test_what_is_computed_is_what_numpy_computes(world):
    with hypostyle.Simulation(world, [kernels.fall, kernels.move], workers="processes:2", main_helps=False) as simulation:
        report = simulation.run(FRAMES, 0.125)
    assert (report.frame, report.deaths) == (FRAMES, 0) and report.jobs_on_main == 0 < report.jobs
    assert report.patches["move"].dense_rows == FRAMES * (kernels.ROWS + kernels.ROWS // 3)
    x, y = kernels.reference(FRAMES, 0.125)
    with world.pin() as snapshot:
        assert snapshot.frame == FRAMES and snapshot.time == FRAMES * 0.125
        position = snapshot.select("velocity")["position"].concat()
        assert np.array_equal(position.x, x) and np.array_equal(position.y, y)


def test_patches_are_made_and_counted(world):
    with hypostyle.Simulation(world, kernels.ALL, workers="processes:2", loops=kernels.LOOPS) as simulation:
        spawned = despawned = 0
        for _ in range(FRAMES):
            report = simulation.step(0.125)
            spawned += report.patches["breed"].spawned
            despawned += report.patches["age"].despawned
            assert report.patches["breed"].refused == 0, report.patches["breed"].refusal
        assert spawned > despawned > 0
        assert "breed" in simulation.plan and simulation.workers == "processes:2"
    world.publish()
    with world.pin() as snapshot:
        child = snapshot["child"]
        assert len(child) == spawned - despawned and child.up.all() and (child.at == [1, 2]).all()
        assert snapshot.locate(child.parent[0]) is not None


def test_killed_workers_change_nothing_but_time(world):
    systems = [kernels.fall, kernels.slow_move, kernels.breed, kernels.age]
    wanted = run("local", systems, 15)
    with hypostyle.Simulation(world, systems, workers="processes:2", main_helps=False) as simulation:
        deaths, over = 0, threading.Event()
        pids = [info.pid for info in simulation.worker_status]

        def kill():
            dice = random.Random(5)
            while not over.wait(dice.uniform(0.01, 0.25)):
                if pids:
                    try:
                        os.kill(dice.choice(pids), signal.SIGKILL)
                    except ProcessLookupError:
                        pass

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            for _ in range(15):
                deaths += simulation.step(0.125).deaths
                pids[:] = [info.pid for info in simulation.worker_status if info.pid]
        finally:
            over.set()
            killer.join()
    assert deaths > 0
    assert state(world) == wanted


def test_a_system_that_ends_its_process_is_run_again(world, tmp_path):
    path = tmp_path / "once"
    path.touch()
    (tmp_path / "once.kill").touch()
    with hypostyle.Simulation(world, [kernels.ends_once], workers="processes:2", main_helps=False) as simulation:
        simulation.set_payload("ends_once", str(path).encode())
        report = simulation.run(3, 0.1)
    assert report.deaths == 2 == report.retries
    with hypostyle.World(kernels.LAYOUT) as other:
        kernels.fill(other)
        with hypostyle.Simulation(other, [kernels.ends_once], "local") as simulation:
            simulation.run(3, 0.1)
        assert state(other) == state(world)


def test_a_system_that_always_ends_its_process_fails_its_frame(world):
    before = state(world)
    with hypostyle.Simulation(world, [kernels.always_ends], workers="processes:2", main_helps=False) as simulation:
        with pytest.raises(hypostyle.FrameError, match="`always_ends`, rows 1024..1536 .* workers died while they ran"):
            simulation.step(0.1)
    assert state(world) == before and world.frame == 0


def test_a_deadline_ends_a_job_that_hangs(world):
    with hypostyle.Simulation(world, [kernels.hangs], workers="processes:1") as simulation:
        with pytest.raises(hypostyle.FrameError, match="passed its deadline of 300ms"):
            simulation.step(0.1)


@pytest.mark.parametrize("workers", ["local", "threads:1", "processes:2"])
def test_an_exception_fails_its_frame_with_its_traceback(world, workers):
    with hypostyle.Simulation(world, [kernels.raises], workers=workers, main_helps=False) as simulation:
        simulation.step(0.1)
        before = state(world)
        with pytest.raises(hypostyle.FrameError) as raised:
            simulation.step(0.1)
        text = str(raised.value)
        assert "system `raises`, rows 1024..1536 of the table of (position, velocity, heat): ValueError: on purpose" in text
        assert "Traceback (most recent call last)" in text and 'kernels.py", line' in text and "in raises" in text
        assert ("on worker process" in text) == (workers == "processes:2")
        if workers == "local":
            assert isinstance(raised.value.__cause__, ValueError)
        assert state(world) == before and world.frame == 1
        with pytest.raises(hypostyle.FrameError):
            simulation.step(0.1)
    with hypostyle.Simulation(world, [kernels.move], workers=workers) as simulation:
        assert simulation.step(0.1).frame == 2


def test_an_exit_passes_through(world):
    with hypostyle.Simulation(world, [kernels.exits], "local") as simulation, pytest.raises(SystemExit):
        simulation.step(0.1)
    with hypostyle.Simulation(world, [kernels.exits], workers="processes:1", main_helps=False) as simulation:
        with pytest.raises(hypostyle.FrameError, match="SystemExit: 3"):
            simulation.step(0.1)


@pytest.mark.parametrize("workers", ["local", "processes:1"])
@pytest.mark.parametrize(
    ("system", "message"),
    [
        (kernels.wrong_type, "`position.x` is f32; it was given values of <U1, such as 'a'"),
        (kernels.undeclared_write, "does not declare that it sets `heat`"),
        (kernels.undeclared_column, "declare it in `writes`"),
    ],
)
def test_wrong_systems_say_so(world, workers, system, message):
    with hypostyle.Simulation(world, [system], workers=workers) as simulation:
        with pytest.raises(hypostyle.FrameError, match=message):
            simulation.step(0.1)


def test_kept_arrays_cannot_touch_the_world_from_a_worker(world):
    before = state(world)
    with hypostyle.Simulation(world, [kernels.keeps], workers="processes:1", main_helps=False) as simulation:
        simulation.set_payload("keeps", b"keep")
        for _ in range(2):
            with pytest.raises(hypostyle.FrameError, match="kept an array of its rows"):
                simulation.step(0.1)
        assert state(world) == before
        simulation.set_payload("keeps", b"write")
        report = simulation.step(0.1)
        assert report.deaths >= 1, "whoever writes into kept rows is killed"
    with hypostyle.World(kernels.LAYOUT) as other:
        kernels.fill(other)
        with hypostyle.Simulation(other, [kernels.keeps]) as simulation:
            simulation.step(0.1)
        assert state(other) == state(world)


@pytest.mark.parametrize("workers", ["local", "threads:2"])
def test_kept_arrays_stop_a_world_of_this_process(world, workers):
    kernels.KEPT.clear()
    with hypostyle.Simulation(world, [kernels.keeps], workers=workers) as simulation:
        simulation.set_payload("keeps", b"keep")
        with pytest.raises(hypostyle.FrameError, match="kept an array of its rows"):
            simulation.step(0.1)
        for act in (lambda: simulation.step(0.1), world.publish, lambda: world.spawn(1, mark=True), world.close):
            with pytest.raises(hypostyle.HypostyleError, match="still held"):
                act()
        kernels.KEPT.clear()
        simulation.set_payload("keeps", b"")
        assert simulation.step(0.1).frame == 1


@pytest.mark.parametrize("workers", ["local", "threads:2", "processes:1"])
def test_what_a_job_does_to_its_arrays_is_its_own_affair(world, workers):
    world.publish()
    with world.pin() as snapshot:
        before = [chunk.x.copy() for chunk in snapshot["position"]]
    with hypostyle.Simulation(world, [kernels.bends], workers=workers, publish_every=4) as simulation:
        for _ in range(8):
            simulation.step(0.1)
    with world.pin() as snapshot:
        for chunk, values in zip(snapshot["position"], before):
            moved = np.round(chunk.x - values, 3)
            assert set(np.unique(moved)) <= {0, 8}


def test_arrays_are_writable_where_declared_and_end_with_the_call(world):
    seen = {}

    @hypostyle.system(reads="velocity", writes="position", neighbours="heat")
    def look(rows, frame):
        assert rows.position.x.flags.writeable and not rows.velocity.x.flags.writeable
        assert not rows.position.x.flags.owndata and not rows.neighbours[0].heat.degrees.flags.writeable
        with pytest.raises(ValueError):
            rows.velocity.x.flags.writeable = True
        with pytest.raises(hypostyle.AbsentError, match="declare it in `neighbours`"):
            rows.neighbours[0].velocity
        with pytest.raises(hypostyle.HypostyleError, match="a system is running"):
            world.frame
        seen["rows"], seen["component"], seen["frame"] = rows, rows.position, frame

    with hypostyle.Simulation(world, [look]) as simulation:
        simulation.step(0.5)
    for use in (lambda: seen["rows"].position.x, lambda: seen["component"].y, lambda: seen["rows"].entities):
        with pytest.raises(hypostyle.ClosedError, match="of no use after it has ended"):
            use()
    assert seen["frame"].dt == 0.5


def test_targets_of_patches(world):
    @hypostyle.system(reads=["position", "velocity"], sets="velocity", adds="heat", spawns="mark", despawns=True)
    def patch(rows, frame, patches):
        if len(rows) != kernels.ROWS + kernels.ROWS // 3:
            return
        patches.set_rows(0, "velocity.x", 11.0)
        patches.set_rows([1, 2], "velocity.x", [12.0, 13.0])
        patches.set_rows(slice(3, 5), "velocity", {"x": 14.0, "y": [1.0, 2.0]})
        patches.set(rows.entities[5], "velocity.x", 15.0)
        patches.set([], "velocity.x", 1.0)
        patches.set_rows([], "velocity.x", 1.0)
        mask = np.zeros(len(rows), bool)
        mask[6] = True
        patches.add_rows(mask, "heat", {"steps": 4})
        patches.despawn(patches.spawn(3, mark=True)[1:])
        for wrong, kind in (
            (lambda: patches.set_rows(len(rows), "velocity.x", 1.0), IndexError),
            (lambda: patches.set_rows(-1, "velocity.x", 1.0), IndexError),
            (lambda: patches.set_rows(mask[1:], "velocity.x", 1.0), IndexError),
            (lambda: patches.set_rows([1.5], "velocity.x", 1.0), TypeError),
            (lambda: patches.set_rows([1, 2], "velocity.x", [1.0, 2.0, 3.0]), ValueError),
            (lambda: patches.set_rows(0, "velocity.x", "a"), ValueError),
            (lambda: patches.set_rows(0, "velocity", {"x": 1.0}), ValueError),
            (lambda: patches.set_rows(0, "velocity.z", 1.0), hypostyle.UnknownNameError),
            (lambda: patches.set_rows(0, "position.x", 1.0), hypostyle.HypostyleError),
            (lambda: patches.remove_rows(0, "heat"), hypostyle.HypostyleError),
            (lambda: patches.spawn(1, child={}), hypostyle.HypostyleError),
            (lambda: patches.set_resource("gravity", y=1.0), hypostyle.HypostyleError),
        ):
            with pytest.raises(kind):
                wrong()

    with hypostyle.Simulation(world, [patch], publish_every=1) as simulation:
        counts = simulation.step(0.1).patches["patch"]
        assert (counts.applied, counts.refused, counts.spawned, counts.despawned) == (12, 0, 3, 2), counts
    world.publish()
    with world.pin() as snapshot:
        velocity = snapshot["velocity"].x
        assert velocity[:5].tolist() == [11.0, 12.0, 13.0, 14.0, 14.0]


def test_schedules_and_workers_that_do_not_fit(world):
    move = kernels.move
    with pytest.raises(hypostyle.ScheduleError, match="two systems named `move`"):
        hypostyle.Simulation(world, [move, move])
    with pytest.raises(hypostyle.ScheduleError, match="`wind`"):
        hypostyle.Simulation(world, [hypostyle.system(reads="wind", name="w")(lambda rows, frame: None)])
    with pytest.raises(ValueError, match="names no workers"):
        hypostyle.Simulation(world, [move], workers="processes:none")
    with pytest.raises(hypostyle.WorkersError, match="top of its module"):
        hypostyle.Simulation(world, [move.named("other")], workers="processes:1")
    with pytest.raises(hypostyle.WorkersError, match="no system at `nobody`"):
        hypostyle.Simulation(world, [move], workers="processes:1", worker="kernels:nobody")
    with pytest.raises(hypostyle.WorkersError, match="other registrations .* in line 1"):
        hypostyle.Simulation(world, [kernels.cool.named("move")], workers="processes:1", worker="kernels")
    with pytest.raises(hypostyle.WorkersError, match="refused to work: .* this program has no system `x`"):
        hypostyle.Simulation(world, [move.named("x")], workers="processes:1", worker="kernels")
    with pytest.raises(TypeError, match="is no system"):
        hypostyle.Simulation(world, [print])
    with pytest.raises(ValueError, match="takes a third argument"):
        hypostyle.system(reads="position", despawns=True)(lambda rows, frame: None)
    with hypostyle.World(kernels.LAYOUT) as private, pytest.raises(hypostyle.WorkersError, match="private to its process"):
        hypostyle.Simulation(private, [move], workers="processes:1")
    with hypostyle.Simulation(world, [move], worker="kernels", workers="processes:1") as simulation:
        with pytest.raises(hypostyle.HypostyleError, match="has a simulation already"):
            hypostyle.Simulation(world, [move])
        with pytest.raises(hypostyle.HypostyleError, match="has a simulation"):
            world.step(0.1)
        with pytest.raises(ValueError, match="finite"):
            simulation.step(float("nan"))
        world.spawn(10, position={}, velocity={"x": 1.0})
        assert simulation.step(1.0).frame == 1
    with pytest.raises(hypostyle.ClosedError):
        simulation.step(1.0)
    assert len(world) == kernels.ROWS + kernels.ROWS // 3 + 110


SCRIPT = """
import sys
import hypostyle

@hypostyle.system(writes="position")
def step(rows, frame):
    rows.position.x += 1

if __name__ == "__main__":
    layout = 'name = "script"\\n[components.position]\\nfields = { x = "f64" }'
    with hypostyle.World(layout, region=sys.argv[1]) as world:
        world.spawn(1000, position={})
        with hypostyle.Simulation(world, [step], workers="processes:2") as simulation:
            simulation.run(3, 0.1)
        with world.pin() as snapshot:
            print(snapshot["position"].x.sum())
"""


def test_compiled_systems():
    pytest.importorskip("numba")
    import numba_kernels

    wanted = run("local", [kernels.fall, kernels.move])
    for workers in ("local", "processes:1"):
        assert run(workers, [kernels.fall, numba_kernels.compiled_move]) == wanted


def test_a_script_finds_its_own_systems(tmp_path):
    script = tmp_path / "a script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    ran = subprocess.run([sys.executable, str(script), unique("script")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0 and float(ran.stdout) == 3000, ran.stdout + ran.stderr


def test_a_worker_without_a_simulation_says_so():
    ran = subprocess.run(
        [sys.executable, "-m", "hypostyle.worker", "kernels"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2 and "which starts it" in ran.stderr


def example():
    """The example program, or None where it was not built."""
    named = os.environ.get("HYPOSTYLE_EXAMPLE")
    places = [named] if named else [ROOT / "target" / profile / "examples/python_workers" for profile in ("release", "debug")]
    return next((str(place) for place in places if os.path.isfile(place)), None)


@pytest.mark.skipif(example() is None, reason="cargo build --release --example python_workers")
def test_a_simulation_in_rust_runs_a_system_in_python():
    said = set()
    for count in ("1", "2"):
        command = [example(), sys.executable, str(ROOT / "python/examples/swirl.py"), count]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stderr
        said.add(ran.stdout)
    assert len(said) == 1 and said.pop().startswith("frame 60, 3000000 turns by Python")
    wrong = subprocess.run(
        [example(), sys.executable, str(ROOT / "python/tests/kernels.py"), "1"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert wrong.returncode != 0 and "this program has no system `swirl`" in wrong.stderr
