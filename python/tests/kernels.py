"""Systems at the top of a module, where worker processes find them."""

import os
import signal
import time

import numpy as np

import hypostyle

LAYOUT = """
name = "workers"
bytes_max = "256 MiB"
[components.position]
fields = { x = "f32", y = "f32" }
[components.velocity]
fields = { x = "f32", y = "f32" }
[components.heat]
storage = "toggle"
track_changes = true
fields = { degrees = "f64", steps = "i32" }
[components.mark]
[components.child]
fields = { parent = "entity", born = "i32", up = "bool", at = "[u16; 2]" }
[resources.gravity]
fields = { y = { type = "f32", default = -9.81 } }
[resources.total]
fields = { speed = "f64", fastest = "f32", rows = "u64", histogram = "[u32; 4]", any = "bool" }
"""

ROWS = 6000


def fill(world, rows=ROWS):
    """The same entities in every world."""
    random = np.random.default_rng(7)
    draw = lambda: random.standard_normal(rows).astype(np.float32)  # noqa: E731
    some = rows // 3
    world.spawn(position={"x": draw(), "y": draw()}, velocity={"x": draw(), "y": draw()})
    x, y = draw()[:some], draw()[:some]
    world.spawn(position={"x": x, "y": y}, velocity={"x": y, "y": x}, heat={"degrees": np.arange(float(some))})
    world.spawn(100, position={"x": 1.0}, mark=True)
    world.set_resource("gravity")


@hypostyle.system(writes="velocity", resources="gravity", job_rows=512)
def fall(rows, frame):
    rows.velocity.y += np.float32(frame.resource("gravity").y * frame.dt)


@hypostyle.system(reads="velocity", writes="position", job_rows=512)
def move(rows, frame):
    rows.position.x += rows.velocity.x * np.float32(frame.dt)
    rows.position.y = rows.position.y + rows.velocity.y * np.float32(frame.dt)


@hypostyle.system(
    reads="position",
    writes="heat",
    spawns=["child", "mark"],
    removes="heat",
    sets="velocity",
    job_rows=512,
)
def breed(rows, frame, patches):
    rows.heat.steps += 1
    born = np.flatnonzero((rows.entities + np.uint64(frame.frame)) % np.uint64(97) == 0)
    children = patches.spawn(
        len(born), child={"parent": rows.entities[born], "born": frame.frame, "up": True, "at": [1, 2]}, mark=True
    )
    assert len(children) == len(born)
    patches.remove_rows(rows.heat.steps > 10, "heat")
    patches.set_rows(born, "velocity.x", rows.position.x[born])
    patches.set(rows.entities[born], "velocity", {"x": 0.25, "y": rows.position.y[born]})


@hypostyle.system(reads="child", adds="heat", despawns=True, job_rows=64)
def age(rows, frame, patches):
    parents = rows.child.parent
    patches.despawn_rows(rows.child.born < frame.frame - 3)
    patches.add(parents, "heat", {"degrees": 20.0})


@hypostyle.system(writes="heat")
def cool(rows, frame):
    rows.heat.degrees *= 0.5


@hypostyle.system(with_="mark", writes="position", neighbours=["position", "velocity"], job_rows=64)
def gather(rows, frame):
    total = sum(float(table.position.x[table.matches].sum(dtype=np.float64)) for table in rows.neighbours)
    own = [table.is_own for table in rows.neighbours]
    assert own.count(True) <= 1
    rows.position.x[:] = np.float32(total) + np.float32(rows.first_row) + np.arange(len(rows), dtype=np.float32)


@hypostyle.system(
    reads="velocity",
    reduces={"total": {"speed": "sum", "fastest": "max", "rows": "sum", "histogram": "sum", "any": "max"}},
    job_rows=256,
)
def weigh(rows, frame, patches):
    y = rows.velocity.y
    histogram = np.bincount(np.abs(y).astype(np.int64) % 4, minlength=4)
    # numbers of which the sum depends on the order
    speed = float((y.astype(np.float64) * 0.1).sum())
    patches.reduce("total", speed=speed, fastest=np.abs(y).max(), rows=len(rows), histogram=histogram, any=bool((y > 0).any()))


@hypostyle.system(writes="velocity", resources="total", after="weigh", job_rows=512)
def steer(rows, frame):
    total = frame.resource("total")
    rows.velocity.x += np.float32(total.speed / total.rows)


@hypostyle.system(
    reads="velocity",
    accumulates={"velocity": "max", "heat": {"degrees": "sum", "steps": "or"}},
    accumulates_resource={"total": {"speed": "sum", "fastest": "max", "rows": "sum", "histogram": "or", "any": "or"}},
    job_rows=256,
)
def deposit(rows, frame, patches):
    x = rows.velocity.x
    patches.accumulate_rows(np.arange(len(rows)) // 3, "heat.degrees", x.astype(np.float64) * 0.1)
    patches.accumulate(rows.entities, "heat.steps", np.arange(len(rows), dtype=np.int32) % 16)
    patches.accumulate(rows.entities[:2], "velocity", {"x": x[:2] * 0.5, "y": 0.25})
    speed = float((x.astype(np.float64) * 0.1).sum())
    patches.accumulate_resource("total", speed=speed, fastest=0, rows=1, histogram=[1, 2, 4, 8], any=True)


LOOPS = [hypostyle.Loop("outer", times=2, divides_step=True)]


@hypostyle.system(writes="velocity", in_loop="outer", run_if=("total.speed", "<", 1e9), job_rows=512)
def jitter(rows, frame):
    rows.velocity.x += (rows.random().astype(np.float32) - np.float32(0.5)) * np.float32(frame.iteration + 1)


@hypostyle.system(reads="mark", writes="position", every=(2, 1), job_rows=512)
def scatter(rows, frame):
    rows.position.x = rows.random(3).sum(axis=1)


@hypostyle.system(writes="velocity", job_rows=512)
def spoil(rows, frame):
    if frame.frame == 3 and rows.first_row <= 700 < rows.first_row + len(rows):
        rows.velocity.x[700 - rows.first_row] = np.nan


whole = hypostyle.guard_finite("velocity")

ALL = [fall, move, cool, breed, age, gather, weigh, steer, jitter, scatter, deposit]


def reference(frames, dt):
    """What `fall` and `move` make of the first entities, by plain numpy."""
    with hypostyle.World(LAYOUT) as world:
        fill(world)
        world.publish()
        with world.pin() as snapshot:
            chunks = snapshot.select("velocity")
            x, y = chunks["position"].concat().x, chunks["position"].concat().y
            u, v = chunks["velocity"].concat().x, chunks["velocity"].concat().y
    for _ in range(frames):
        v = v + np.float32(np.float32(-9.81) * dt)
        x = x + u * np.float32(dt)
        y = y + v * np.float32(dt)
    return x, y


@hypostyle.system(writes="position", job_rows=512)
def raises(rows, frame):
    rows.position.x += 1
    if frame.frame == 2 and rows.first_row >= 1024:
        raise ValueError("on purpose")


@hypostyle.system(writes="position")
def wrong_type(rows, frame):
    rows.position.x = np.array(["a"] * len(rows))


@hypostyle.system(reads="position", sets="velocity")
def undeclared_write(rows, frame, patches):
    patches.set_rows(slice(None), "heat.degrees", 1.0)


@hypostyle.system(reads="position")
def undeclared_column(rows, frame):
    rows.position.x = 1


KEPT = []


@hypostyle.system(writes="position", job_rows=512)
def keeps(rows, frame):
    if frame.payload == b"write" and KEPT:
        KEPT[0][:] = 99.0
    if frame.payload == b"keep":
        KEPT.append(rows.position.x[3:9])
    rows.position.x += 1


@hypostyle.system(reads="velocity", writes="position", job_rows=512)
def bends(rows, frame):
    """Does to its arrays what the next job must not see."""
    for array, writable in ((rows.position.x, True), (rows.velocity.x, False)):
        assert array.shape == (len(rows),) and array.dtype == np.float32 and array.flags.writeable == writable
        assert array is (rows.position.x if writable else rows.velocity.x)
    x = rows.position.x
    x += 1
    x.flags.writeable = False
    x.shape = (1, len(rows))
    rows.velocity.x.dtype = np.uint32


@hypostyle.system(writes="position", job_rows=512)
def ends_once(rows, frame):
    """Ends its process where a file is gone after that."""
    rows.position.x += 1
    path = frame.payload.decode()
    if rows.first_row == 1024 and os.path.exists(path):
        os.unlink(path)
        os._exit(7)
    if rows.first_row == 2048 and os.path.exists(path + ".kill"):
        os.unlink(path + ".kill")
        os.kill(os.getpid(), signal.SIGSEGV)


@hypostyle.system(writes="position", job_rows=512)
def always_ends(rows, frame):
    if rows.first_row == 1024:
        os._exit(7)


@hypostyle.system(writes="position", job_rows=512, deadline=0.3)
def hangs(rows, frame):
    if rows.first_row == 512:
        time.sleep(60)


@hypostyle.system(reads="velocity", writes="position", job_rows=512)
def slow_move(rows, frame):
    rows.position.x += rows.velocity.x
    time.sleep(0.002)


@hypostyle.system(writes="position")
def exits(rows, frame):
    raise SystemExit(3)


@hypostyle.system(writes="velocity")
def double(rows, frame):
    rows.velocity.x *= 2
