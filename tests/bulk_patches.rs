//! Long runs of patches on entities of several tables: what comes out is what one patch after the other would do.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use hypostyle::{Component, Entity, Read, Schedule, Simulation, System, Workers, World};
use proptest::prelude::*;

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Plain {
    a: f32,
    b: u16,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(track_changes)]
struct Tracked {
    key: u64,
}

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Other {
    x: u8,
}

/// What one job does, by number.
#[derive(Component, Clone, Copy, Debug)]
struct Order {
    target: Entity,
    value: u32,
    /// 0, 1: set Plain · 2: set Tracked · 3: remove Other · 4: despawn · 5: add Other
    kind: u8,
}

#[derive(Clone, Debug)]
struct Case {
    /// Per entity: which components it has, as bits.
    kinds: Vec<u8>,
    /// Runs of orders: kind, first entity, step from one entity to the next, count.
    runs: Vec<(u8, usize, usize, usize)>,
}

fn case() -> impl Strategy<Value = Case> {
    let kinds = prop_oneof![
        prop::collection::vec(0u8..8, 1..600),
        // one table after the other, in order
        (1usize..700).prop_map(|n| (0..n).map(|i| if i < n / 2 { 1 } else { 3 }).collect()),
    ];
    let run = (prop_oneof![4 => 0u8..3, 1 => 3u8..6], 0usize..600, 0usize..8, 1usize..500);
    (kinds, prop::collection::vec(run, 1..8)).prop_map(|(kinds, runs)| Case { kinds, runs })
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Entry {
    plain: Option<Plain>,
    tracked: Option<Tracked>,
    other: bool,
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let builder = World::builder().component::<Plain>().component::<Tracked>().component::<Other>();
    let mut world = builder.component::<Order>().build().expect("the layout is valid");
    let (plain, tracked) = (Plain { a: -1.0, b: 1 }, Tracked { key: 9 });
    let mut model: HashMap<Entity, Entry> = HashMap::new();
    let entities: Vec<Entity> = case
        .kinds
        .iter()
        .map(|kind| {
            let entity = world.spawn(()).expect("there is room");
            let entry = model.entry(entity).or_default();
            if kind & 1 != 0 {
                world.add(entity, plain).expect("there is room");
                entry.plain = Some(plain);
            }
            if kind & 2 != 0 {
                world.add(entity, tracked).expect("there is room");
                entry.tracked = Some(tracked);
            }
            if kind & 4 != 0 {
                world.add(entity, Other { x: 3 }).expect("there is room");
                entry.other = true;
            }
            entity
        })
        .collect();
    // a few handles that are stale from the beginning
    for entity in entities.iter().step_by(37) {
        world.despawn(*entity).expect("it lives");
        model.remove(entity);
    }
    let mut orders = Vec::new();
    for (kind, first, step, count) in &case.runs {
        for index in 0..*count {
            let target = entities[(first + step * index) % entities.len()];
            orders.push(Order { target, value: orders.len() as u32, kind: *kind });
        }
    }
    for order in &orders {
        world.spawn(*order).expect("there is room");
    }
    let (mut applied, mut overwritten, mut stale, mut refused, mut absent) = (0u64, 0u64, 0u64, 0u64, 0u64);
    // sets that nothing has replaced
    let live = RefCell::new(HashSet::<(Entity, &str)>::new());
    let mut set = |target: Entity, component| match live.borrow_mut().insert((target, component)) {
        true => applied += 1,
        false => overwritten += 1,
    };
    let mut others = 0u64;
    // despawns and structural changes are carried out at the end; what is set meanwhile is set
    let mut despawned = Vec::new();
    for order in &orders {
        let Some(entry) = model.get_mut(&order.target) else {
            stale += 1;
            continue;
        };
        let value = order.value;
        match order.kind {
            0 | 1 => match &mut entry.plain {
                Some(plain) => (*plain = Plain { a: value as f32, b: value as u16 }, set(order.target, "plain")).0,
                None => refused += 1,
            },
            2 => match &mut entry.tracked {
                Some(tracked) => (tracked.key = u64::from(value), set(order.target, "tracked")).0,
                None => refused += 1,
            },
            3 if entry.other => {
                entry.other = false;
                live.borrow_mut().remove(&(order.target, "other"));
                others += 1;
            }
            3 => absent += 1,
            4 if despawned.contains(&order.target) => stale += 1,
            4 => (despawned.push(order.target), others += 1).0,
            // an add of what is there is a set
            _ if entry.other => set(order.target, "other"),
            _ => (entry.other = true, others += 1).0,
        }
    }
    for entity in despawned {
        model.remove(&entity);
    }
    let mut schedule = Schedule::new();
    let obey = System::rows::<Read<Order>>("obey", |job, order| {
        for row in 0..job.len() {
            let (target, value) = (order.target[row], order.value[row]);
            match order.kind[row] {
                0 | 1 => job.set(target, Plain { a: value as f32, b: value as u16 }),
                2 => job.set(target, Tracked { key: u64::from(value) }),
                3 => job.remove::<Other>(target),
                4 => job.despawn(target),
                _ => job.add(target, Other { x: 1 }),
            }
        }
    });
    schedule.add(obey.sets::<Plain>().sets::<Tracked>().adds::<Other>().removes::<Other>().despawns());
    let mut simulation = Simulation::new(world, schedule, Workers::Local).expect("the schedule is sound");
    let total = simulation.step(1.0).expect("nothing fails").total();
    let got = (total.applied, total.overwritten, total.stale, total.refused, total.absent);
    prop_assert_eq!(got, (applied + others, overwritten, stale, refused, absent));
    let world = simulation.world();
    for entity in entities {
        let got = world.contains(entity).then(|| Entry {
            plain: world.get::<Plain>(entity).ok(),
            tracked: world.get::<Tracked>(entity).ok(),
            other: world.get::<Other>(entity).is_ok(),
        });
        prop_assert_eq!(got, model.get(&entity).copied(), "{:?}", entity);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 400 }))]

    #[test]
    fn runs_of_patches_do_what_single_ones_do(case in case()) {
        check(&case)?;
    }
}
