//! Random schedules: which systems there are, in which order, stages and loops, under which conditions, with how many rows
//! a job; and the world that they start from.

use hypostyle::dynamic::Comparison;
use hypostyle::{Entity, List, Loop, Schedule, System, World, WorldBuilder};
use proptest::prelude::*;

use super::palette::{self, Bond, Control, Energy, Hit, KINDS, Mesh, Near, Owner, Place, Shield, Tie, Total, mix};

/// One system.
#[derive(Clone, Debug)]
pub struct Spec {
    pub kind: u8,
    pub salt: u32,
    /// 3: as the system has it.
    pub job_rows: u8,
    pub condition: u8,
    pub stage: u8,
    pub in_loop: u8,
}

/// A schedule and the world that it runs on.
#[derive(Clone, Debug)]
pub struct Program {
    pub systems: Vec<Spec>,
    pub loops: [u8; 2],
    pub rows: u16,
    pub seed: u32,
    pub frames: u8,
    /// Whether the scratch component is made in every frame before anybody reads it: then a world that was left and
    /// taken over goes on as if nothing had been.
    pub steady: bool,
}

impl Program {
    pub fn schedule(&self) -> Schedule {
        let mut schedule = Schedule::new();
        let [outer, inner] = self.loops;
        let outer = match outer % 3 {
            0 => Loop::new("outer").times(u32::from(outer) % 4),
            1 => Loop::new("outer").times_of::<Control>(|control| control.passes % 4).divides_step(),
            _ => Loop::new("outer").times_named("control.passes"),
        };
        schedule.add_loop(outer);
        schedule.add_loop(Loop::new("inner").times(1 + u32::from(inner) % 3).inside("outer"));
        if self.steady {
            schedule.add(palette::system(3, "steady", 0));
        }
        for (number, spec) in self.systems.iter().enumerate() {
            schedule.add(self.system(spec, number));
        }
        schedule
    }

    fn system(&self, spec: &Spec, number: usize) -> System {
        let kind = spec.kind % KINDS;
        let name = format!("s{number} of kind {kind}");
        let mut system = palette::system(kind, &name, spec.salt);
        if let Some(rows) = [64, 128, 1024].get(usize::from(spec.job_rows % 4)).filter(|_| ![13, 30].contains(&kind)) {
            system = system.job_rows(*rows);
        }
        system = match spec.condition % 12 {
            0 => system.every(2),
            1 => system.every_from(3, 2),
            2 => system.run_if::<Control>(|control| control.on),
            3 => system.run_if_named("control.level", Comparison::AtLeast, 2.0),
            _ => system,
        };
        match (spec.in_loop % 6, spec.stage % 6) {
            (0, _) if kind != 16 => system.in_loop("outer"),
            (1, _) if kind != 16 => system.in_loop("inner"),
            (_, 0) => system.stage("late"),
            (_, 1) if number > 3 => system.stage("cleanup"),
            (_, 2) => system.stage("startup"),
            _ => system,
        }
    }

    /// The world's types.
    pub fn builder() -> WorldBuilder {
        let builder = World::builder().component::<Place>().component::<Energy>().component::<Near>();
        let builder = builder
            .component::<Bond>()
            .component::<Hit>()
            .component::<Shield>()
            .component::<Owner>()
            .component::<Tie>();
        builder.resource::<Total>().resource::<Mesh>().resource::<Control>().bytes_max(1 << 28)
    }

    pub fn fill(&self, world: &mut World) {
        let rows = u64::from(self.rows % 1500);
        let seed = |row: u64| mix(u64::from(self.seed) << 32 | row);
        let place = |row: u64| Place {
            x: palette::float(seed(row)),
            cell: (seed(row) >> 7) as u32 % 97,
            seed: seed(row) as u32,
        };
        let all = |result: Result<Vec<Entity>, _>| -> Vec<Entity> { result.expect("there is room") };
        let one = all(world
            .spawn_batch((0..rows).map(|row| (place(row), Energy { level: palette::float(row) }, List::<Tie>::new()))));
        let two = all(world.spawn_batch((0..rows / 2).map(|row| (place(row + 7), Near { sum: 0.25, count: 3 }))));
        let three = all(world.spawn_batch((0..rows / 3).map(|row| {
            let of = one[mix(row) as usize % one.len()];
            let rest = (Near { sum: 0.75, count: 1 }, Shield { power: 1.0 }, List::<Tie>::new());
            (place(row + 9), Owner { of }, Energy { level: 1.0 }, rest)
        })));
        all(world.spawn_batch((0..rows / 4).map(|row| {
            let end = |row: u64, from: &[Entity]| from[mix(row) as usize % from.len()];
            Bond { from: end(row, &one), to: end(row + 1, &two), weight: palette::float(mix(row)) }
        })));
        for (number, entity) in one.iter().chain(&three).enumerate() {
            if number % 5 == 0 {
                world.remove::<Shield>(*entity).expect("it lives");
                world.add(*entity, Owner { of: one[number % one.len()] }).expect("there is room");
            }
        }
        world.insert_resource(Total { sum: 0.0, rows: 0, last: Entity::NULL }).expect("there is room");
        world.insert_resource(Mesh { charge: [0.0; 16], top: [0; 16] }).expect("there is room");
        world.insert_resource(Control { level: 3.0, passes: 2, on: true }).expect("there is room");
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    (0..KINDS, any::<u32>(), any::<[u8; 4]>()).prop_map(|(kind, salt, [job_rows, condition, stage, in_loop])| Spec {
        kind,
        salt,
        job_rows,
        condition,
        stage,
        in_loop,
    })
}

/// Any program.
pub fn programs() -> impl Strategy<Value = Program> {
    (prop::collection::vec(spec(), 1..14), any::<[u8; 2]>(), any::<u16>(), any::<u32>(), 1u8..9, any::<bool>())
        .prop_map(|(systems, loops, rows, seed, frames, steady)| Program { systems, loops, rows, seed, frames, steady })
}
