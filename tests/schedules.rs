//! Random schedules on random worlds: systems of every kind in any order, stages, loops and conditions. Whoever runs them, the
//! bytes, the order of rows and the fate of every patch are the same.
//!
//! `HYPOSTYLE_SEED=<seed> cargo test --test schedules` runs one case again and prints what it shrinks to;
//! `HYPOSTYLE_CASES=<n>` multiplies the number of cases.
#![forbid(unsafe_code)]

#[path = "schedules/mod.rs"]
mod schedules;
#[path = "seeds/mod.rs"]
mod seeds;

use hypostyle::Workers;

use schedules::palette::KINDS;
use schedules::program::{Program, programs};
use schedules::run::{Settings, State, Trace, run};
use seeds::check;

/// Kinds whose outcome depends on how rows are cut into chunks, which fusion and passes of several frames change.
const BY_CHUNK: [u8; 2] = [22, 23];

/// Whether kernels see how rows are cut.
fn sees_chunks(program: &Program) -> bool {
    program.systems.iter().any(|spec| BY_CHUNK.contains(&(spec.kind % KINDS)))
}

/// The states of a run that another one has, too: those of the frames that it published.
fn shared<'a>(of: &'a Trace, with: &'a Trace) -> (Vec<&'a State>, Vec<&'a State>) {
    let frames: Vec<u64> = of.states.iter().map(|state| state.frame).collect();
    (of.states.iter().collect(), with.states.iter().filter(|state| frames.contains(&state.frame)).collect())
}

fn same_whoever_runs_it(program: &Program) {
    let local = run(program, &Settings::of(Workers::Local));
    let settings = Settings { ring_bytes: 512, main_helps: false, ..Settings::of(Workers::Threads(2)) };
    assert_eq!(local, run(program, &settings), "local, threads");
    assert_eq!(local, run(program, &Settings::of(Workers::Threads(3))), "local, threads and main");
    // a frame that fails undoes more where less is published
    if local.error.is_some() || sees_chunks(program) {
        return;
    }
    let frames = u64::from(program.frames);
    let mut others = vec![
        Settings { fuse: false, publish_every: 2, ..Settings::of(Workers::Local) },
        Settings { at_once: true, publish_every: 3, ..Settings::of(Workers::Local) },
        Settings { at_once: true, publish_every: frames, main_helps: false, ..Settings::of(Workers::Threads(2)) },
    ];
    if program.steady && frames > 1 {
        others.push(Settings { left_after: Some(frames / 2), ..Settings::of(Workers::Local) });
    }
    for settings in others {
        let other = run(program, &settings);
        let (other, same) = shared(&other, &local);
        assert_eq!(other, same, "local, {settings:?}");
    }
}

#[test]
fn schedules_give_the_same_bytes_whoever_runs_them() {
    check("schedules", "schedules_give_the_same_bytes_whoever_runs_them", 80, programs(), |program| {
        same_whoever_runs_it(&program)
    });
}
