//! What a world accepts it can also write, publish and go back from: worlds of all sizes near their limit, and one test
//! for each fault that was seen there.
#![expect(clippy::print_stdout, reason = "prints a map, and what a refused frame says")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use hypostyle::{
    Component, Entity, Prefab, Publication, Read, RegionError, Schedule, Simulation, StepError, System, With, Workers,
    World, WorldError, Write,
};
use proptest::prelude::*;

#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct A {
    v: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct B {
    v: f64,
    w: f64,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(track_changes)]
struct H {
    v: u32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Big {
    v: [f64; 8],
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
#[component(storage = "toggle")]
struct Hot {
    degrees: f32,
}
#[derive(Component, Clone, Copy, Debug, PartialEq)]
struct Tag;

const MIB: u64 = 1 << 20;

fn world(bytes_max: u64) -> World {
    let builder = World::builder().component::<A>().component::<B>().component::<H>().component::<Big>();
    builder.component::<Hot>().component::<Tag>().bytes_max(bytes_max).build().expect("a private world")
}

/// Bytes of a row with these components: its columns, its handle and its part of the entity map.
const AB_BYTES: u64 = 4 + 16 + 8 + 12;

/// One kind of world near its limit.
#[derive(Clone, Copy, Debug)]
struct Case {
    bytes_max: u64,
    /// Rows that are asked for, spawned in batches of so many.
    rows: u32,
    batch: u32,
    /// Rows that go and come in each frame.
    churn: u32,
    /// Whether it is published before the simulation begins.
    published: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Refused,
    Ran,
    Failed { frame: u64 },
    Skipped { frame: u64 },
}

impl Outcome {
    fn is_good(self) -> bool {
        matches!(self, Outcome::Refused | Outcome::Ran)
    }
}

/// Makes the world and runs it.
fn run(case: Case, frames: u64) -> (Outcome, f64) {
    let mut world = world(case.bytes_max);
    let mut spawned = 0;
    while spawned < case.rows {
        let count = case.batch.min(case.rows - spawned);
        let batch = (spawned..spawned + count).map(|v| (A { v }, B { v: f64::from(v), w: 0.0 }));
        let before = world.entity_count();
        if let Err(error) = world.spawn_batch(batch) {
            assert!(matches!(error, WorldError::Region(RegionError::Full { .. })), "{error}");
            assert_eq!(world.entity_count(), before, "a refused batch leaves nothing");
            world.publish().expect("a world that refused something can be published");
            return (Outcome::Refused, 0.0);
        }
        spawned += count;
    }
    let share = f64::from(case.rows) * AB_BYTES as f64 / case.bytes_max as f64;
    if case.published {
        world.publish().expect("what was accepted can be published");
    }
    let churn = case.churn.min(case.rows);
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<A>>("count", |_, mut a| a.v.map(|v| v.wrapping_add(1))));
    schedule.add(System::rows::<Write<B>>("move", |_, mut b| b.w.map(|w| w + 1.0)));
    schedule.add(
        System::rows::<Read<B>>("churn", move |job, _| {
            let mine = (churn as usize).saturating_sub(job.first_row()).min(job.len());
            for row in 0..mine {
                job.despawn_row(row);
            }
            for v in 0..mine as u32 {
                job.spawn((A { v }, B { v: 0.0, w: 0.0 }));
            }
        })
        .despawns()
        .spawns::<(A, B)>(),
    );
    let mut simulation = match Simulation::new(world, schedule, Workers::Local) {
        Ok(simulation) => simulation,
        Err(StepError::Memory { .. }) => return (Outcome::Refused, share),
        Err(error) => panic!("{error}"),
    };
    for frame in 1..=frames {
        match simulation.step(0.1).map(|report| report.publication) {
            Ok(Some(Publication::Published(_))) => {}
            Ok(_) => return (Outcome::Skipped { frame }, share),
            Err(error) => {
                println!("{case:?}: {error}");
                return (Outcome::Failed { frame }, share);
            }
        }
    }
    assert_eq!(simulation.world().entity_count(), u64::from(case.rows));
    (Outcome::Ran, share)
}

#[test]
#[ignore = "a map to look at"]
fn map() {
    for bytes_max in [4 * MIB, 8 * MIB] {
        for churn in [0, 1, 100, 1000, 4000] {
            println!("bytes_max {} MiB, churn {churn} (rows: . ran, r refused, F failed, S skipped)", bytes_max / MIB);
            for batch in [37, 1000, 10_000, 1_000_000] {
                let mut line = String::new();
                let mut most: f64 = 0.0;
                for percent in (4..=96).step_by(4) {
                    let rows = (bytes_max * percent / 100 / AB_BYTES) as u32;
                    let (outcome, share) = run(Case { bytes_max, rows, batch, churn, published: percent % 8 == 0 }, 12);
                    line.push(match outcome {
                        Outcome::Refused => 'r',
                        Outcome::Ran => {
                            most = most.max(share);
                            '.'
                        }
                        Outcome::Failed { .. } => 'F',
                        Outcome::Skipped { .. } => 'S',
                    });
                }
                println!("  batch {batch:7}: {line}  ran up to {:.0} %", 100.0 * most);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn every_world_is_refused_or_runs(
        megabytes in 2u64..8, share in 0.02..1.0f64, batch in prop_oneof![1u32..64, 500u32..3000, Just(u32::MAX)],
        churn in 0.0..0.02f64, published in any::<bool>(),
    ) {
        let bytes_max = megabytes * MIB;
        let rows = (share * bytes_max as f64 / AB_BYTES as f64) as u32;
        let batch = batch.max(rows / 200);
        let case = Case { bytes_max, rows, batch, churn: (churn * f64::from(rows)) as u32, published };
        let (outcome, _) = run(case, 200);
        // what pages round up to is much in the smallest of these: 45 % is for those of the test below
        prop_assert!(outcome.is_good(), "{case:?}: {outcome:?}");
        prop_assert!(outcome == Outcome::Ran || share > 0.43, "{case:?} is refused");
    }
}

#[test]
fn a_steady_world_fills_half_of_its_memory() {
    for (rows, batch) in [(94_000, 10_000), (94_000, 94_000), (70_000, 7000), (85_000, 500), (94_000, 333)] {
        let case = Case { bytes_max: 8 * MIB, rows, batch, churn: 1, published: false };
        assert_eq!(run(case, 30).0, Outcome::Ran, "{case:?}");
    }
}

#[test]
fn tables_that_nothing_writes_fill_most_of_the_memory() {
    let mut world = world(16 * MIB);
    // 64 + 8 bytes in the table and 12 (twice) in the map
    let rows = 16 * MIB * 80 / 100 / (64 + 8 + 12);
    world.spawn_batch((0..rows).map(|i| Big { v: [i as f64; 8] })).expect("there is room");
    world.spawn_batch((0..3000).map(|v| (A { v }, B { v: 0.0, w: 0.0 }))).expect("there is room");
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<A>>("count", |_, mut a| a.v.map(|v| v + 1)));
    schedule.add(
        System::rows::<Read<B>>("churn", |job, _| {
            job.despawn_row(0);
            job.spawn((A { v: 1 }, B { v: 0.0, w: 0.0 }));
        })
        .despawns()
        .spawns::<(A, B)>(),
    );
    let mut simulation = Simulation::new(world, schedule, Workers::Local).expect("there is room");
    for _ in 0..50 {
        let report = simulation.step(0.1).expect("there is room");
        assert!(report.publication.is_some_and(Publication::is_published));
    }
}

#[test]
fn a_world_that_was_filled_and_emptied_goes_on() {
    let mut world = world(8 * MIB);
    let mut count = 0;
    while world.spawn(A { v: count }).is_ok() {
        count += 1;
    }
    assert!(world.publish().expect("what was accepted can be published").is_published());
    assert_eq!(world.despawn_where::<()>().expect("an empty table takes no room"), u64::from(count));
    for _ in 0..3 {
        assert!(world.publish().expect("it is empty").is_published());
    }
    // all but some pages of small extents
    world.spawn_batch((0..count - count / 50).map(|v| A { v })).expect("it held them before");
    assert!(world.publish().expect("it held them before").is_published());
    assert_eq!(world.skipped_publications(), 0);
}

#[test]
fn a_failing_kernel_in_a_full_world_goes_back_to_the_last_generation() {
    let mut world = world(8 * MIB);
    world.spawn_batch((0..200_000).map(|v| A { v })).expect("there is room");
    let mut schedule = Schedule::new();
    schedule.add(System::try_rows::<Write<A>>("count", |job, mut a| {
        a.v.map(|v| v + 1);
        if job.frame() == 3 { Err("no".into()) } else { Ok(()) }
    }));
    let mut simulation = Simulation::new(world, schedule, Workers::Local).expect("there is room");
    simulation.run(2, 0.1).expect("there is room");
    for _ in 0..2 {
        let failed = simulation.step(0.1);
        assert!(matches!(failed, Err(StepError::Job { frame: 2, undone: 1, .. })), "{failed:?}");
    }
    let mut least = u32::MAX;
    let mut first = 0;
    simulation
        .world()
        .query::<Read<A>>(|_, a| {
            first = a.v[0];
            least = a.v.iter().zip(0u32..).map(|(v, row)| v - row).min().unwrap_or(0);
        })
        .expect("a good query");
    assert_eq!((first, least), (2, 2), "two whole frames and nothing of the third");
}

#[test]
fn a_refusal_has_the_numbers_and_what_it_says_suffices() {
    let rows = 150_000;
    let batch = || (0..rows).map(|v| (A { v }, B { v: 0.0, w: 0.0 }));
    let mut small = world(4 * MIB);
    let Err(WorldError::Region(RegionError::Full { requested, available, bytes_max, needed })) =
        small.spawn_batch(batch())
    else {
        panic!("6 MB in 4 MiB")
    };
    assert!(requested > available && bytes_max == 4 * MIB && needed > bytes_max, "{requested} {available} {needed}");
    let mut large = world(needed);
    large.spawn_batch(batch()).expect("so much was said to suffice");
    assert!(large.publish().expect("it was accepted").is_published());
}

#[test]
fn impossible_counts_are_refused_before_anything_is_reserved() {
    let mut world = world(8 * MIB);
    world.define_prefab("p", Prefab::new().with(A { v: 1 }));
    world.define_prefab("tag", Prefab::new().with(Tag));
    for count in [4_000_000_000, usize::MAX / 2, 1 << 40] {
        world.spawn_columns(count).with::<A>().spawn().expect_err("there is no room");
        world.spawn_columns(count).with::<Tag>().spawn().expect_err("there is no room");
        world.spawn_prefab("p", count).expect("is defined").spawn().expect_err("there is no room");
        world.spawn_prefab("tag", count).expect("is defined").spawn().expect_err("there is no room");
    }
    world.spawn_batch(std::iter::repeat(Tag)).expect_err("there is no end to them");
    world.spawn_batch(std::iter::repeat(A { v: 1 })).expect_err("there is no end to them");
    assert_eq!(world.entity_count(), 0);
    world.spawn_batch((0..100_000).map(|v| A { v })).expect("all room is there again");
}

#[test]
fn a_batch_that_fails_gives_its_room_back() {
    let mut world = world(8 * MIB);
    let before = world.spawn(A { v: 1 }).map(|_| world.usage().allocated).expect("there is room");
    let endless = (0..200_000_000u32).filter(|_| true).map(|v| A { v });
    world.spawn_batch(endless).expect_err("there is no room");
    assert!(world.usage().allocated <= before + (64 << 10), "{:?}", world.usage());
    let panics = (0..200_000u32).map(|v| if v == 100_000 { panic!("no") } else { A { v } });
    let done = catch_unwind(AssertUnwindSafe(|| world.spawn_batch(panics).map(|_| ())));
    assert!(done.is_err() && world.entity_count() == 1);
    assert!(world.usage().allocated <= before + (64 << 10), "{:?}", world.usage());
    world.spawn(A { v: 2 }).expect("there is room");
}

/// Every value of every entity, by handle.
fn content(world: &World, entities: &[Entity]) -> Vec<String> {
    let one = |e: &Entity| {
        let (a, b, h) = (world.get::<A>(*e).ok(), world.get::<B>(*e).ok(), world.get::<H>(*e).ok());
        format!("{e} {} {a:?} {b:?} {h:?} {:?} {}", world.contains(*e), world.get::<Hot>(*e).ok(), world.has::<Big>(*e))
    };
    entities.iter().map(one).collect()
}

#[test]
fn a_change_of_many_entities_happens_whole_or_not_at_all() {
    let mut refused = 0;
    for mebibytes in 3..12 {
        for published in [false, true] {
            let mut world = world(mebibytes * MIB);
            let mut entities = Vec::new();
            let both = (0..15_000).map(|v| (A { v }, H { v }));
            let hot = (0..15_000).map(|v| (A { v }, Hot { degrees: 1.0 }, B { v: 1.0, w: 1.0 }));
            let (Ok(first), Ok(second)) = (world.spawn_batch((0..15_000).map(|v| A { v })), world.spawn_batch(both))
            else {
                continue;
            };
            let Ok(third) = world.spawn_batch(hot) else { continue };
            [first, second, third].iter().for_each(|some| entities.extend(some));
            if published {
                world.publish().expect("it was accepted");
            }
            let before = content(&world, &entities);
            type Change = fn(&mut World) -> Result<u64, WorldError>;
            let changes: [(&str, Change); 6] = [
                ("add Big", |world| world.add_where::<With<A>, Big>(Big { v: [1.0; 8] })),
                ("add B", |world| world.add_where::<With<A>, B>(B { v: 2.0, w: 2.0 })),
                ("add Hot", |world| world.add_where::<With<A>, Hot>(Hot { degrees: 2.0 })),
                ("remove A", |world| world.remove_where::<With<A>, A>()),
                ("remove H", |world| world.remove_where::<With<A>, H>()),
                ("despawn B", |world| world.despawn_where::<With<B>>()),
            ];
            for (name, change) in changes {
                match change(&mut world) {
                    Ok(_) => break,
                    Err(error) => {
                        refused += 1;
                        assert!(matches!(error, WorldError::Region(RegionError::Full { .. })), "{name}: {error}");
                        assert_eq!(content(&world, &entities), before, "{name} in {mebibytes} MiB");
                    }
                }
            }
            assert!(world.publish().expect("what was accepted can be published").is_published());
        }
    }
    assert!(refused > 5, "some of these are to be refused: {refused}");
}

#[test]
fn a_prefab_whose_function_panics_spawns_nothing() {
    let mut world = world(8 * MIB);
    for entity in world.spawn_batch((0..500).map(|v| H { v: 0xdead_0000 + v })).expect("there is room") {
        world.despawn(entity).expect("lives");
    }
    let each = |i: usize| if i == 300 { panic!("no") } else { H { v: i as u32 } };
    world.define_prefab("p", Prefab::new().with(A { v: 7 }).with_each(each));
    let spawned =
        catch_unwind(AssertUnwindSafe(|| world.spawn_prefab("p", 400).and_then(|p| p.spawn()).map(|all| all.len())));
    assert!(spawned.is_err() && world.entity_count() == 0);
    let some = world.spawn_prefab("p", 300).and_then(|p| p.spawn()).expect("these do not panic");
    assert_eq!(world.get::<(A, H)>(some[299]).expect("lives"), (A { v: 7 }, H { v: 299 }));
}

#[test]
fn what_a_panicking_visitor_wrote_is_written() {
    // rows that a toggle leaves in short pieces are copied out and back; others are written in place
    for every in [1, 2, 3] {
        let mut world = world(8 * MIB);
        let entities = world.spawn_batch((0..1000).map(|v| A { v })).expect("there is room");
        for entity in entities.iter().step_by(every) {
            world.add(*entity, Hot { degrees: 0.0 }).expect("there is room");
        }
        let visit = catch_unwind(AssertUnwindSafe(|| {
            world.query_mut::<(Write<A>, Read<Hot>)>(|_, (mut a, _)| {
                a.v[..100].fill(9999);
                panic!("no");
            })
        }));
        assert!(visit.is_err());
        for (index, entity) in entities.iter().enumerate() {
            let written = index % every == 0 && index / every < 100;
            let want = if written { 9999 } else { index as u32 };
            assert_eq!(world.get::<A>(*entity).expect("lives").v, want, "row {index}, every {every}");
        }
    }
}

#[test]
fn a_skipped_publication_names_the_reader_and_ends_when_it_lets_go() {
    let mut world = world(4 * MIB);
    world.set_publish_wait(std::time::Duration::ZERO);
    world.spawn_batch((0..45_000).map(|v| (A { v }, B { v: 0.0, w: 0.0 }))).expect("there is room");
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<A>>("count", |_, mut a| a.v.map(|v| v + 1)));
    schedule.add(System::rows::<Write<B>>("move", |_, mut b| {
        b.v.map(|v| v + 1.0);
        b.w.map(|w| w + 1.0);
    }));
    let mut simulation = Simulation::new(world, schedule, Workers::Local).expect("there is room");
    simulation.run(3, 0.1).expect("there is room");
    let mut reader = simulation.world().reader().expect("a lease");
    let snapshot = reader.pin().expect("published");
    let mut skipped = 0;
    for _ in 0..6 {
        match simulation.step(0.1).expect("a reader is no error").publication {
            Some(Publication::Skipped { process }) => {
                assert_eq!(process, std::process::id());
                skipped += 1;
            }
            _ => assert_eq!(skipped, 0, "the reader has not let go"),
        }
    }
    assert!(skipped > 0);
    drop(snapshot);
    let report = simulation.step(0.1).expect("there is room");
    assert!(report.publication.is_some_and(Publication::is_published));
    assert_eq!(simulation.world().frame(), 10);
}

/// Worlds around the promise, which were refused below it, or failed in a frame above it.
#[test]
fn worlds_close_to_the_promise() {
    for (megabytes, rows, batch, churn, published) in [
        (2, 24_307, 121, 0, false),
        (5, 52_894, 1068, 0, true),
        (2, 20_564, 102, 345, true),
        (4, 41_380, 2914, 765, true),
        (7, 88_169, 2127, 1371, false),
        (4, 47_162, 943, 572, true),
    ] {
        let case = Case { bytes_max: megabytes * MIB, rows, batch, churn, published };
        let (outcome, share) = run(case, 100);
        assert!(outcome.is_good() && (outcome == Outcome::Ran || share > 0.45), "{case:?}: {outcome:?}");
    }
}
