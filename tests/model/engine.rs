//! The systems of the model test as the engine runs them. Every kernel notes which rows it got, so that the model can
//! check them and follow the canonical order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hypostyle::{
    AnyOf, Changed, Entities, Entity, Job, KernelError, Neighbours, Read, Schedule, System, With, Without, World,
    WorldBuilder, Write,
};

use super::components::*;
use super::program::{Bind, Fired, Op, Payload, bind, fired, foreign, mix, symbol};

/// Where a chunk of rows stands in the canonical order of its system: job, first row; and its handles.
pub type Chunks = BTreeMap<(usize, usize), Vec<Entity>>;

/// What each system got in the newest frame.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<BTreeMap<&'static str, Chunks>>>);

impl Log {
    fn note(&self, system: &'static str, job: &Job<'_, '_>) {
        self.note_at(system, job.index(), job);
    }

    fn note_at(&self, system: &'static str, at: usize, job: &Job<'_, '_>) {
        let mut log = self.0.lock().expect("no kernel panics while noting");
        log.entry(system).or_default().insert((at, job.first_row()), job.entities().to_vec());
    }

    /// Main alone may run row-local kernels without jobs: chunks are told apart by an entity.
    fn note_rows(&self, system: &'static str, job: &Job<'_, '_>) {
        self.note_at(system, job.entities()[0].to_bits() as usize, job);
    }

    /// Takes out what was noted.
    pub fn take(&self) -> BTreeMap<&'static str, Chunks> {
        std::mem::take(&mut self.0.lock().expect("no kernel panics while noting"))
    }
}

/// The systems whose payload is instructions.
pub const PATCHERS: [&str; 4] = ["patch", "react", "left", "right"];

/// The rows of a job.
pub const JOB_ROWS: u32 = 64;

fn emit(job: &mut Job<'_, '_>, row: usize, fired: Fired, spawned: &mut Vec<Entity>) -> Result<(), KernelError> {
    let Fired { op, by_row, target, what, link, seed } = fired;
    let known = |entity| symbol(entity).map_or(entity, |nth| spawned.get(nth).copied().unwrap_or(foreign(nth as u64)));
    let (target, link) = (known(target), known(link));
    match op {
        Op::Set if by_row => with_component!(what, C => job.set_row(row, C::made(seed, link))),
        Op::Set => with_component!(what, C => job.set(target, C::made(seed, link))),
        Op::Add if by_row => with_component!(what, C => job.add_row(row, C::made(seed, link))),
        Op::Add => with_component!(what, C => job.add(target, C::made(seed, link))),
        Op::Remove if by_row => with_component!(what, C => job.remove_row::<C>(row)),
        Op::Remove => with_component!(what, C => job.remove::<C>(target)),
        Op::Despawn if by_row => job.despawn_row(row),
        Op::Despawn => job.despawn(target),
        Op::Spawn => {
            let entity = spawn_in_job(job, what, seed, link);
            assert!(entity.is_reserved());
            spawned.push(entity);
        }
        Op::SetScore => job.set_resource(Score { total: seed, best: link }),
        Op::Fail => return Err(format!("told to fail by {}", job.entities()[row]).into()),
    }
    Ok(())
}

/// What a patching kernel sees of a row beside its handle.
pub fn seen(counter: Option<u64>, total: u64) -> u64 {
    mix(total) ^ counter.unwrap_or(77)
}

fn patch(job: &mut Job<'_, '_>, counters: Option<&[u64]>, total: u64) -> Result<(), KernelError> {
    let payload = Payload::decode(job.payload());
    let mut spawned = Vec::new();
    for row in 0..job.len() {
        let own = job.entities()[row];
        let frame = job.frame();
        for fired in fired(&payload, own, frame, seen(counters.map(|values| values[row]), total)) {
            emit(job, row, fired, &mut spawned)?;
        }
    }
    Ok(())
}

/// The sum of all counters in view that match.
fn total(view: Neighbours<'_, (Read<Counter>, Without<Asleep>)>) -> u64 {
    let mut total = 0u64;
    for table in view.tables() {
        for (row, value) in table.columns.0.value.iter().enumerate() {
            if table.matches(row) {
                total = total.wrapping_add(*value);
            }
        }
    }
    total
}

/// The handle that a row gets, if any.
fn bound(job: &mut Job<'_, '_>, row: usize, was: Entity) -> Option<Entity> {
    bind(job.entities()[row], job.frame()).map(|bind| match bind {
        Bind::Spawned(seed) => job.spawn(Counter::made(seed_in_bundle(seed, Counter::INDEX), Entity::NULL)),
        Bind::Refused => job.spawn(Tag),
        Bind::Foreign(which) => foreign(which),
        Bind::Same => was,
    })
}

type Everything = (Entities, Option<Read<Counter>>);
type Counters = (Read<Counter>, Without<Asleep>);

/// All systems. `sort`: the last one sorts tables.
pub fn schedule(log: &Log, sort: bool, job_rows: u32) -> Schedule {
    let mut schedule = Schedule::new();
    let mut add = |system: System| {
        schedule.add(system.job_rows(job_rows));
    };
    let l = log.clone();
    add(System::rows::<(Entities, With<Tag>)>("boot", move |job, (entities, ())| {
        l.note_rows("boot", job);
        for (row, entity) in entities.iter().enumerate() {
            job.add_row(row, Counter::made(mix(entity.to_bits()), Entity::NULL));
        }
    })
    .stage("startup")
    .adds::<Counter>());
    // row-local, and fused where the settings say so
    let l = log.clone();
    add(System::rows::<(Write<Position>, Read<Counter>)>("integrate", move |job, (mut position, counter)| {
        l.note_rows("integrate", job);
        position.x.map_with(counter.value, |x, value| x + (value % 8) as f32);
    }));
    let l = log.clone();
    add(System::rows::<(Write<Counter>, Without<Asleep>)>("count", move |job, (mut counter, ())| {
        l.note_rows("count", job);
        let frame = job.frame();
        counter.value.map(|value| mix(value ^ frame));
    }));
    let l = log.clone();
    add(System::rows::<(Write<Health>, With<Charge>)>("heal", move |job, (mut health, ())| {
        l.note_rows("heal", job);
        for row in 0..job.len() {
            if job.entities()[row].index() % 2 == 0 {
                health.points[row] = health.points[row].wrapping_add(5);
            }
        }
    }));
    let l = log.clone();
    add(System::rows::<(Write<Charge>, AnyOf<(Asleep, Tag)>)>("drain", move |job, (mut charge, ())| {
        l.note_rows("drain", job);
        charge.amount.map(|amount| amount * 0.5);
    }));
    // patches of every kind
    let l = log.clone();
    let every = |name| {
        System::try_neighbours::<Everything, ()>(name, move |job, (_, counters), _| {
            l.note("patch", job);
            patch(job, counters.map(|columns| columns.value), 0)
        })
    };
    add(every("patch")
        .after("count")
        .after("drain")
        .sets::<(Position, Counter, Link, Flag, Grid, Tag, Shield, Asleep)>()
        .sets::<(Health, Charge, Mark)>()
        .adds::<(Position, Counter, Link, Flag, Grid, Tag, Shield, Asleep)>()
        .adds::<(Health, Charge, Mark)>()
        .removes::<(Position, Counter, Link, Flag, Grid, Tag, Shield, Asleep)>()
        .removes::<(Health, Charge, Mark)>()
        .spawns::<(Position, Counter, Link, Flag, Grid, Tag, Shield, Asleep)>()
        .spawns::<(Health, Charge, Mark)>()
        .despawns()
        .sets_resource::<Score>());
    // neighbours, written densely
    let l = log.clone();
    add(System::neighbours::<Write<Link>, Counters>("relink", move |job, mut link, view| {
        l.note_rows("relink", job);
        let total = total(view);
        for row in 0..job.len() {
            let near = view.locate(link.to[row]).map_or(1, |(table, row)| view.table(table).columns.0.value[row]);
            link.weight[row] = total.wrapping_add(near) as u16;
        }
    })
    .after("patch"));
    // handles, written densely: of the job's own spawns and of others; by some rows of all, and of a toggle's
    let l = log.clone();
    add(System::neighbours::<Write<Link>, ()>("bind", move |job, mut link, _| {
        l.note("bind", job);
        for row in 0..job.len() {
            if let Some(to) = bound(job, row, link.to[row]) {
                link.to[row] = to;
            }
        }
    })
    .after("relink")
    .spawns::<Counter>());
    let l = log.clone();
    add(System::neighbours::<(Write<Shield>, Read<Counter>), ()>("guard", move |job, (mut shield, _), _| {
        l.note("guard", job);
        for row in 0..job.len() {
            if let Some(owner) = bound(job, row, shield.owner[row]) {
                shield.owner[row] = owner;
            }
        }
    })
    .after("bind")
    .spawns::<Counter>());
    let l = log.clone();
    add(System::neighbours::<Write<Grid>, Read<Grid>>("diffuse", move |job, mut grid, view| {
        l.note_rows("diffuse", job);
        let score = job.resource::<Score>().map_or(3, |score| score.total as i16);
        let sum = view.tables().flat_map(|table| table.columns.cells.iter().map(|c| c[0])).fold(0, i16::wrapping_add);
        for cells in grid.cells.iter_mut() {
            cells[0] = cells[0].wrapping_add(sum).wrapping_add(score);
        }
    })
    .after("guard")
    .reads_resource::<Score>());
    // what changed, with few permissions
    let l = log.clone();
    add(System::try_neighbours::<(Changed<Health>, Changed<Charge>, Option<Read<Counter>>), ()>(
        "react",
        move |job, ((), (), counters), _| {
            l.note("react", job);
            patch(job, counters.map(|columns| columns.value), 0)
        },
    )
    .after("diffuse")
    .sets::<(Counter, Health)>()
    .adds::<(Tag, Asleep, Shield, Health)>()
    .removes::<(Mark, Health)>()
    .spawns::<(Position, Counter, Link, Health)>()
    .despawns());
    let l = log.clone();
    add(System::rows::<(Changed<Mark>, Without<Tag>)>("watch", move |job, _| l.note_rows("watch", job)).after("react"));
    let l = log.clone();
    add(System::try_rows::<(Read<Counter>, With<Trail>)>("trail", move |job, (counter, ())| {
        l.note_rows("trail", job);
        let trails = job.lists::<Trail>()?;
        for row in 0..job.len() {
            let (own, before) = (job.entities()[row], trails.iter(row).collect());
            if let Some(list) = Trail::renewed(before, own, counter.value[row]) {
                job.set_list_row(row, &list);
            }
        }
        Ok(())
    })
    .after("watch")
    .reads_lists::<Trail>()
    .sets_lists::<Trail>());
    let l = log.clone();
    add(System::neighbours::<(Read<Counter>, Without<Asleep>), ()>("census", move |job, (counter, ()), _| {
        l.note("census", job);
        for row in 0..job.len() {
            job.reduce(Census::of(job.entities()[row], counter.value[row]));
        }
    })
    .after("trail")
    .reduces::<Census>());
    // one batch of a dense writer and two patching systems
    let l = log.clone();
    add(System::rows::<Write<Position>>("drift", move |job, mut position| {
        l.note_rows("drift", job);
        position.y.map(|y| y + 1.0);
    })
    .stage("late"));
    let l = log.clone();
    add(System::try_neighbours::<(Read<Counter>, Without<Asleep>), ()>("left", move |job, (counter, ()), _| {
        l.note("left", job);
        patch(job, Some(counter.value), 0)
    })
    .stage("late")
    .sets::<(Grid, Flag)>()
    .adds::<(Tag, Grid)>()
    .removes::<(Flag, Tag)>()
    .spawns::<(Position, Counter, Link, Flag, Grid, Tag, Shield, Asleep)>()
    .spawns::<(Health, Charge, Mark)>()
    .despawns());
    let l = log.clone();
    add(System::try_neighbours::<Everything, ()>("right", move |job, (_, counters), _| {
        l.note("right", job);
        patch(job, counters.map(|columns| columns.value), 0)
    })
    .stage("late")
    .sets::<(Link, Health)>()
    .adds::<(Shield, Charge, Link)>()
    .removes::<(Shield, Mark)>()
    .spawns::<(Position, Counter, Link, Flag, Grid, Tag, Shield, Asleep)>()
    .spawns::<(Health, Charge, Mark)>()
    .despawns());
    let l = log.clone();
    let last = System::rows::<(Read<Counter>, AnyOf<(Health, Mark, Shield)>)>("last", move |job, _| {
        l.note_rows("last", job);
    })
    .stage("cleanup");
    add(if sort { last.sort_by("counter.value") } else { last });
    schedule
}

/// Of all components, with so much memory at most.
pub fn builder(bytes_max: u64) -> WorldBuilder {
    World::builder()
        .component::<Position>()
        .component::<Counter>()
        .component::<Link>()
        .component::<Flag>()
        .component::<Grid>()
        .component::<Tag>()
        .component::<Shield>()
        .component::<Asleep>()
        .component::<Health>()
        .component::<Charge>()
        .component::<Mark>()
        .resource::<Score>()
        .component::<Trail>()
        .resource::<Gravity>()
        .resource::<Census>()
        .bytes_max(bytes_max)
}
