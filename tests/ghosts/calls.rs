//! When an exchange is called, and with what.
#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex};

use hypostyle::exchange::{Exchange, ExchangeError, ExchangeNeeds, Stale};
use hypostyle::{Component, Read, Resource, Schedule, Simulation, StepError, System, Workers, World, Write};

#[derive(Component, Clone, Copy)]
struct A {
    x: u32,
}
#[derive(Component, Clone, Copy)]
struct B {
    x: u32,
}
#[derive(Component, Clone, Copy)]
struct C {
    x: u32,
}
#[derive(Resource, Clone, Copy)]
struct Switch {
    on: bool,
}

/// Notes what it is called with.
#[derive(Clone, Default)]
struct Notes {
    calls: Arc<Mutex<Vec<String>>>,
    needs: Arc<Mutex<ExchangeNeeds>>,
    /// Fails where ghosts are to be refreshed.
    fails: Arc<Mutex<bool>>,
}

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

impl Exchange for Notes {
    fn begin(&mut self, _: &mut World, needs: &ExchangeNeeds) -> Result<(), ExchangeError> {
        needs.clone_into(&mut self.needs.lock().unwrap());
        Ok(())
    }

    fn refresh(&mut self, _: &mut World, stale: &Stale<'_>) -> Result<(), ExchangeError> {
        if *self.fails.lock().unwrap() {
            return Err("not today".into());
        }
        let names: Vec<&str> = stale.components().collect();
        let all = if stale.rows_moved() { "all " } else { "" };
        self.calls.lock().unwrap().push(format!("{all}{}", names.join(" ")));
        Ok(())
    }

    fn end_frame(&mut self, _: &mut World) -> Result<(), ExchangeError> {
        self.calls.lock().unwrap().push("end".to_owned());
        Ok(())
    }

    fn failed(&mut self, message: &str) {
        self.calls.lock().unwrap().push(format!("failed: {message}"));
    }
}

fn write_a(name: &str) -> System {
    System::rows::<Write<A>>(name, |_, mut a| a.x.map(|x| x + 1))
}

/// Its kernel writes nothing, though it might.
fn may_set_b(name: &str) -> System {
    System::rows::<Read<A>>(name, |_, _| {}).sets::<B>()
}

fn reads<T: Component>(name: &str) -> System
where
    Read<T>: hypostyle::Query,
{
    System::neighbours::<Read<A>, Read<T>>(name, |_, _, _| {})
}

fn simulation(schedule: Schedule, rows: u32) -> (Simulation, Notes) {
    let builder = World::builder().component::<A>().component::<B>().component::<C>().resource::<Switch>();
    let mut world = builder.build().unwrap();
    world.insert_resource(Switch { on: true }).unwrap();
    world.spawn_batch((0..rows).map(|x| (A { x }, B { x }, C { x }))).unwrap();
    let notes = Notes::default();
    let builder = Simulation::builder().workers(Workers::Local).exchange(Box::new(notes.clone()));
    (builder.build(world, schedule).unwrap(), notes)
}

/// Systems in the order given.
fn in_order(systems: Vec<System>) -> Schedule {
    let names: Vec<String> = (0..systems.len()).map(|n| n.to_string()).collect();
    let mut schedule = Schedule::new();
    for (number, system) in systems.into_iter().enumerate() {
        let system = if number > 0 { system.after(&names[number - 1]) } else { system };
        schedule.add(system);
    }
    schedule
}

/// With rows and without any: an exchange is called alike.
#[test]
fn refreshed_is_what_was_written_and_is_read() {
    for rows in [0, 5] {
        let schedule = in_order(vec![
            reads::<A>("0"),
            write_a("1"),
            reads::<B>("2"),
            reads::<A>("3"),
            reads::<A>("4"),
            may_set_b("5"),
            System::neighbours::<Read<C>, (Read<A>, Read<B>, Read<C>)>("6", |_, _, _| {}),
        ]);
        let (mut simulation, notes) = simulation(schedule, rows);
        simulation.step(1.0).unwrap();
        assert_eq!(notes.take(), ["all a", "a", "b", "end"], "at first nothing is known of rows; then all is fresh");
        simulation.step(1.0).unwrap();
        assert_eq!(notes.take(), ["a", "b", "end"]);
        simulation.run(2, 1.0).unwrap();
        assert_eq!(notes.take(), ["a", "b", "end", "a", "b", "end"]);
        simulation.world_mut();
        simulation.step(1.0).unwrap();
        assert_eq!(notes.take(), ["all a", "a", "b", "end"], "somebody had the world");
    }
}

#[test]
fn a_batch_that_does_not_run_calls_nothing_and_writes_nothing() {
    let schedule = in_order(vec![
        write_a("0").every(2),
        reads::<A>("1"),
        may_set_b("2").run_if::<Switch>(|switch| switch.on),
        reads::<B>("3").every(3),
    ]);
    let (mut simulation, notes) = simulation(schedule, 3);
    let frames: Vec<Vec<String>> = (0..6)
        .map(|_| {
            simulation.step(1.0).unwrap();
            notes.take()
        })
        .collect();
    let want: [&[&str]; 6] =
        [&["all a", "end"], &["a", "end"], &["b", "end"], &["a", "end"], &["end"], &["a", "b", "end"]];
    assert_eq!(frames, want);
}

#[test]
fn rows_that_come_or_go_make_all_ghosts_stale() {
    let spawn = |name: &str| System::once(name, |_| {}).spawns::<(A, B, C)>();
    let schedule = in_order(vec![reads::<A>("0"), spawn("1").every(2), reads::<C>("2")]);
    let (mut simulation, notes) = simulation(schedule, 3);
    let frames: Vec<Vec<String>> = (0..4)
        .map(|_| {
            simulation.step(1.0).unwrap();
            notes.take()
        })
        .collect();
    let want: [&[&str]; 4] = [&["all a", "end"], &["all c", "end"], &["end"], &["all c", "end"]];
    assert_eq!(frames, want);
}

#[test]
fn an_error_fails_the_step_and_the_next_one_works() {
    let (mut simulation, notes) = simulation(in_order(vec![write_a("0"), reads::<A>("1")]), 3);
    simulation.step(1.0).unwrap();
    notes.take();
    *notes.fails.lock().unwrap() = true;
    let error = simulation.step(1.0).unwrap_err();
    let StepError::Exchange { at, source, undone: 1, frame: 1 } = &error else { panic!("{error}") };
    assert_eq!((at.as_str(), source.to_string().as_str()), ("new values for the batch of system `1`", "not today"));
    assert_eq!(notes.take(), ["failed: new values for the batch of system `1`: not today"]);
    *notes.fails.lock().unwrap() = false;
    simulation.step(1.0).unwrap();
    assert_eq!(notes.take(), ["all a", "end"], "the world went back");
    let mut sum = 0;
    simulation.world().query::<Read<A>>(|_, a| sum = a.x.iter().sum()).unwrap();
    assert_eq!(sum, 3 + 2 * 3, "two frames count");
}

#[test]
fn an_exchange_is_told_what_the_schedule_does() {
    let schedule = in_order(vec![
        System::neighbours::<Write<A>, (Read<B>, Option<Read<C>>)>("0", |_, _, _| {}).sort_by("a.x").sort_every(5),
        System::once("1", |_| {}).sets_resource::<Switch>().spawns::<A>().despawns(),
        System::rows::<()>("2", |_, ()| {}).adds::<B>().removes::<C>().stage("update"),
    ]);
    let (_, notes) = simulation(schedule, 3);
    let needs = notes.needs.lock().unwrap();
    let [look, once, any] = &needs.systems[..] else { panic!("{needs:?}") };
    assert_eq!((look.name.as_str(), look.stage.as_str(), &look.writes[..]), ("0", "update", &["a".to_owned()][..]));
    assert_eq!(look.views[0].components, ["b", "c"]);
    let sort = look.sort.as_ref().unwrap();
    assert_eq!((sort.key.0.as_str(), sort.key.1.as_str(), sort.every), ("a", "x", 5));
    assert!(!look.once && !look.any_rows && once.once && !once.any_rows && any.any_rows);
    assert_eq!((&once.resources[..], &once.spawns[..]), (&["switch".to_owned()][..], &["a".to_owned()][..]));
    assert_eq!((once.despawns, &any.adds[..], &any.removes[..]), (true, &["b".to_owned()][..], &["c".to_owned()][..]));
    assert!(look.reductions.is_empty() && needs.inputs.is_empty());
}
