//! How a run is steered: words that any process may write, and that mean something whatever is written.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::os::unix::fs::FileExt as _;

use hypostyle::{Component, RegionTarget, Schedule, Simulation, World};

#[derive(Component, Clone, Copy)]
struct Mass {
    kg: f64,
}

/// A simulation in a directory, and its mailbox.
fn simulation(steerable: bool, inputs: &[&str]) -> (tempfile::TempDir, Simulation) {
    let directory = tempfile::tempdir().unwrap();
    let target = RegionTarget::Directory(directory.path().join("region"));
    let mut world = World::builder().component::<Mass>().region(target).build().unwrap();
    world.spawn(Mass { kg: 1.0 }).unwrap();
    let builder = Simulation::builder().steerable(steerable).inputs(inputs.iter().copied());
    (directory, builder.build(world, Schedule::new()).unwrap())
}

#[test]
fn both_ends_see_the_same() {
    let (_directory, simulation) = simulation(true, &[]);
    let (run, wheel) =
        (simulation.steering().unwrap(), simulation.world().reader().unwrap().steering().unwrap().unwrap());
    assert!(!run.is_paused() && run.pace().is_none() && run.take_steps(5) == 0);
    wheel.pause();
    assert!(run.is_paused());
    wheel.step(3);
    assert_eq!((run.take_steps(2), run.take_steps(2), run.take_steps(2)), (2, 1, 0));
    wheel.step(u64::MAX);
    wheel.step(7); // more than all is all
    assert_eq!(run.take_steps(10), 10);
    wheel.resume();
    assert!(!run.is_paused() && run.take_steps(1) == 0);
    run.set_pace(Some(25.0));
    assert_eq!(wheel.pace(), Some(25.0));
    for none in [None, Some(f64::NAN), Some(f64::INFINITY)] {
        wheel.set_pace(none);
        assert_eq!(run.pace(), None);
    }
    wheel.set_pace(Some(-1.0));
    assert_eq!(run.pace(), Some(0.001));
    drop(simulation);
    assert!(wheel.is_closed());
}

#[test]
fn a_run_is_steerable_or_takes_inputs_or_both() {
    for (steerable, inputs) in [(false, &[][..]), (true, &[]), (false, &["mass"]), (true, &["mass"])] {
        let (_directory, simulation) = simulation(steerable, inputs);
        let reader = simulation.world().reader().unwrap();
        assert_eq!(simulation.steering().is_some(), steerable);
        assert_eq!(reader.steering().unwrap().is_some(), steerable);
        assert_eq!(reader.inputs().unwrap().is_some(), !inputs.is_empty());
    }
}

#[test]
fn whatever_stands_in_the_words_the_run_goes_on() {
    let (directory, mut simulation) = simulation(true, &[]);
    let run = simulation.steering().unwrap();
    let mailbox = std::fs::File::options().write(true).open(directory.path().join("region/inputs")).unwrap();
    for word in [u64::MAX, u64::MAX - 1, 1 << 63, f64::NAN.to_bits(), (-5.0_f64).to_bits(), 1e-300_f64.to_bits()] {
        for at in [40, 48, 56] {
            mailbox.write_all_at(&word.to_le_bytes(), at).unwrap();
        }
        assert_eq!(run.pace(), None);
        assert!(run.take_steps(3) == 3 && run.is_paused());
        simulation.step(1.0).unwrap();
    }
    mailbox.write_all_at(&[0; 8], 40).unwrap();
    assert!(!run.is_paused());
}
