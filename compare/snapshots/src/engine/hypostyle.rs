//! hypostyle: the state is a world in a named region; a publication is a frame and a generation.
//!
//! Three ways to write part of the rows: `set` patches from a row-local kernel, a dense kernel that writes whole
//! chunks of rows, and direct changes of the world between frames.
#![expect(unsafe_code, reason = "opening a region is a promise about its writer")]

use hypostyle::{
    Component, Entity, Job, Read, RegionTarget, Resource, Schedule, Simulation, Snapshot, System, Workers, World, Write,
};

use super::{Failure, Outcome, Reader, Spec, Stamp, View, Writer};
use crate::clock::nanos;
use crate::model::{AXES, DirtySet, initial_column, next_position, next_velocity, step_in_place};

/// Patches from a row-local kernel.
pub const PATCHES: &str = "set patches";
/// A dense row-local kernel.
pub const DENSE: &str = "dense system";
/// Changes by the world's owner, entity by entity.
pub const DIRECT: &str = "World::set";

const COLUMN_NAMES: [&str; 6] = ["position.x", "position.y", "position.z", "velocity.x", "velocity.y", "velocity.z"];
const SYSTEM: &str = "step";

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f32,
    z: f32,
}

#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f32,
    y: f32,
    z: f32,
}

#[derive(Resource, Clone, Copy)]
struct Published {
    publication: u64,
    nanos: u64,
}

/// The region; its directory's name follows from the session's.
fn target(spec: &Spec) -> RegionTarget {
    RegionTarget::Named(spec.session.clone())
}

/// The dirty runs in the rows of a chunk, as places in it. The payload holds all runs in order, two u32 each.
fn dirty_runs<'a>(job: &Job<'a, '_>) -> impl Iterator<Item = std::ops::Range<usize>> + use<'a> {
    let (begin, end) = (job.first_row(), job.first_row() + job.len());
    let (runs, _) = job.payload().as_chunks::<8>();
    let decode = |run: &[u8; 8]| {
        let word = u64::from_le_bytes(*run);
        (word as u32 as usize, (word >> 32) as usize)
    };
    let from = runs.partition_point(|run| {
        let (first, rows) = decode(run);
        first + rows <= begin
    });
    runs[from..]
        .iter()
        .map(decode)
        .take_while(move |(first, _)| *first < end)
        .map(move |(first, rows)| first.max(begin) - begin..(first + rows).min(end) - begin)
}

fn dense_kernel() -> System {
    System::rows::<(Write<Position>, Write<Velocity>)>(SYSTEM, |job, (mut position, mut velocity)| {
        let mut runs = dirty_runs(job).peekable();
        let Some(first) = runs.peek() else { return };
        if *first == (0..job.len()) {
            position.x.map_with(&velocity.x, next_position);
            position.y.map_with(&velocity.y, next_position);
            position.z.map_with(&velocity.z, next_position);
            velocity.x.map(|v| next_velocity(0, v));
            velocity.y.map(|v| next_velocity(1, v));
            velocity.z.map(|v| next_velocity(2, v));
            return;
        }
        for run in runs {
            step_in_place(0, &mut position.x[run.clone()], &mut velocity.x[run.clone()]);
            step_in_place(1, &mut position.y[run.clone()], &mut velocity.y[run.clone()]);
            step_in_place(2, &mut position.z[run.clone()], &mut velocity.z[run]);
        }
    })
}

fn patch_kernel() -> System {
    System::rows::<(Read<Position>, Read<Velocity>)>(SYSTEM, |job, (p, v)| {
        // one component after the other, so that entries share a header
        for row in dirty_runs(job).flatten() {
            let [x, y, z] = [(p.x, v.x), (p.y, v.y), (p.z, v.z)].map(|(p, v)| next_position(p[row], v[row]));
            job.set_row(row, Position { x, y, z });
        }
        for row in dirty_runs(job).flatten() {
            let (x, y, z) = (next_velocity(0, v.x[row]), next_velocity(1, v.y[row]), next_velocity(2, v.z[row]));
            job.set_row(row, Velocity { x, y, z });
        }
    })
    .sets::<(Position, Velocity)>()
}

struct HypostyleWriter {
    simulation: Simulation,
    entities: Vec<Entity>,
    direct: bool,
}

/// The world, published once.
pub fn writer(spec: &Spec) -> Result<Box<dyn Writer>, Failure> {
    let mut world = World::builder()
        .component::<Position>()
        .component::<Velocity>()
        .resource::<Published>()
        .bytes_max((64 << 20) + spec.rows as u64 * 24 * 16)
        .region(target(spec))
        .table(&["position", "velocity"], spec.rows as u64)
        .build()?;
    let columns: Vec<Vec<f32>> = (0..2 * AXES).map(|column| initial_column(spec.seed, column, spec.rows)).collect();
    let mut spawn = world.spawn_columns(spec.rows);
    for (name, column) in COLUMN_NAMES.iter().zip(&columns) {
        spawn = spawn.column(name, column);
    }
    let entities = spawn.spawn()?;
    world.insert_resource(Published { publication: 0, nanos: nanos() })?;
    world.publish()?;
    let mut schedule = Schedule::new();
    let direct = spec.way == DIRECT;
    match spec.way.as_str() {
        DIRECT => {}
        PATCHES => {
            schedule.add(patch_kernel());
        }
        _ => {
            schedule.add(dense_kernel());
        }
    }
    // publications are made by hand, so that their stamp is as young as the others'
    let simulation = Simulation::builder().workers(Workers::Local).publish_every(u64::MAX).build(world, schedule)?;
    Ok(Box::new(HypostyleWriter { simulation, entities: if direct { entities } else { Vec::new() }, direct }))
}

impl HypostyleWriter {
    fn set_directly(&mut self, dirty: &DirtySet) -> Result<(), Failure> {
        let world = self.simulation.world_mut();
        for [first, rows] in &dirty.runs {
            for entity in &self.entities[*first as usize..(first + rows) as usize] {
                let (p, v) = (world.get::<Position>(*entity)?, world.get::<Velocity>(*entity)?);
                let [x, y, z] = [(p.x, v.x), (p.y, v.y), (p.z, v.z)].map(|(p, v)| next_position(p, v));
                world.set(*entity, Position { x, y, z })?;
                let (x, y, z) = (next_velocity(0, v.x), next_velocity(1, v.y), next_velocity(2, v.z));
                world.set(*entity, Velocity { x, y, z })?;
            }
        }
        Ok(())
    }
}

impl Writer for HypostyleWriter {
    fn publish(&mut self, dirty: &DirtySet, publication: u64) -> Result<Outcome, Failure> {
        if self.direct {
            self.set_directly(dirty)?;
        } else {
            self.simulation.set_payload(SYSTEM, bytemuck::cast_slice::<[u32; 2], u8>(&dirty.runs))?;
            self.simulation.step(1.0)?;
        }
        let commit_began = nanos();
        let world = self.simulation.world_mut();
        world.set_resource(Published { publication, nanos: commit_began })?;
        // a skipped one keeps its changes: they are in the world and will be in the next
        let visible = world.publish()?.is_published();
        Ok(Outcome { commit_began, visible, kept: true })
    }
}

struct HypostyleReader(hypostyle::Reader);

/// The region, opened.
pub fn reader(spec: &Spec) -> Result<Box<dyn Reader>, Failure> {
    // SAFETY: the writer is this program's own, through the library; nobody else writes to the region.
    let reader = unsafe { hypostyle::Reader::open(&target(spec)) }?;
    Ok(Box::new(HypostyleReader(reader)))
}

struct HypostyleView<'a>(Snapshot<'a>);

impl View for HypostyleView<'_> {
    fn stamp(&self) -> Stamp {
        let Published { publication, nanos } = self.0.resource().expect("every generation has the stamp");
        Stamp { publication, nanos }
    }

    fn column(&self, column: usize, visit: &mut dyn FnMut(usize, &[f32])) {
        for table in self.0.tables() {
            if let Some(values) = table.column::<f32>(COLUMN_NAMES[column]).expect("the layout has it") {
                visit(0, values);
            }
        }
    }
}

impl Reader for HypostyleReader {
    fn pinned(&mut self, look: &mut dyn FnMut(&dyn View)) -> Result<bool, Failure> {
        look(&HypostyleView(self.0.pin()?));
        Ok(true)
    }

    fn pins(&mut self, times: u32) -> Result<(), Failure> {
        for _ in 0..times {
            std::hint::black_box(self.0.pin()?.generation());
        }
        Ok(())
    }
}
