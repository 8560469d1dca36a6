//! Random schedules on random worlds, by worker processes that die at random points of their protocol.
#![forbid(unsafe_code)]

use hypostyle::{Schedule, Workers};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::schedules::program::{Program, programs};
use crate::schedules::run::{Settings, run, run_and_count};
use crate::support::{setting_of, worker_command};

/// What the schedules are called in a worker's arguments.
const PREFIX: &str = "any-";

/// The program of a seed.
fn program(seed: u64) -> Program {
    let config = Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() };
    programs().new_tree(&mut TestRunner::new(config)).unwrap().current()
}

/// The schedule of a worker's arguments, if it is a random one.
pub fn named(name: &str) -> Option<Schedule> {
    Some(program(name.strip_prefix(PREFIX)?.parse().ok()?).schedule())
}

/// `HYPOSTYLE_SEED=<seed> HYPOSTYLE_CASES=<n>` runs other cases.
pub fn by_processes_that_die() {
    let (first, cases) = (setting_of("HYPOSTYLE_SEED", 1000), setting_of("HYPOSTYLE_CASES", 16));
    let mut deaths = 0;
    for seed in first..first + cases {
        let program = program(seed);
        let local = run(&program, &Settings::of(Workers::Local));
        let name = format!("{PREFIX}{seed}");
        for fault in [None, Some(format!("random:{seed}:0.002"))] {
            let settings = Settings {
                ring_bytes: 1024,
                main_helps: seed % 8 == 0,
                command: Some(worker_command(&name, fault.as_deref())),
                ..Settings::of(Workers::Processes(2))
            };
            let (trace, died) = run_and_count(&program, &settings);
            assert_eq!(local, trace, "HYPOSTYLE_SEED={seed}, {settings:?}");
            deaths += died;
        }
    }
    assert!(deaths > 0 || cases < 10, "nobody died");
}
