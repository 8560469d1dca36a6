//! The model test: random programs on the engine and on a naive world written from the contract alone, compared after
//! every step; frames fail, memory ends, writers end and are followed by others at random; and the same programs
//! under other workers, rings, publication rates and without fusion, which must give the same bytes.
//!
//! Every case has a seed of its own. `HYPOSTYLE_SEED=<seed> cargo test --test model` runs that one case again and
//! prints what it shrinks to; `HYPOSTYLE_CASES=<n>` multiplies the number of cases. A failure prints its command.

mod model {
    pub mod components;
    pub mod drive;
    pub mod engine;
    pub mod layouts;
    pub mod look;
    pub mod naive;
    pub mod oracle;
    pub mod passes;
    pub mod program;
    #[cfg(all(target_os = "linux", feature = "fault-injection", feature = "checkpoint"))]
    pub mod simulate;
}

use hypostyle::Workers;
#[path = "seeds/mod.rs"]
mod seeds;

use std::cell::Cell;

use model::drive::{Settings, run};
use model::program::{Program, programs};
use seeds::check;

fn same_under_all_settings(program: &Program) {
    let settings =
        |workers, ring_bytes, publish_every, fuse| Settings { workers, ring_bytes, publish_every, fuse, tight: false };
    let local = run(program, settings(Workers::Local, 1 << 16, 1, true));
    let threads = run(program, settings(Workers::Threads(2), 256, 1, false));
    assert_eq!(local, threads, "local and threads");
    for other in [settings(Workers::Local, 1 << 16, 2, false), settings(Workers::Threads(2), 256, 3, true)] {
        let trace = run(program, other);
        // a failed frame, or another writer, undoes more where less is published
        if !program.may_go_back() {
            for frame in &trace {
                assert!(local.contains(frame), "frame {} under {other:?}", frame.0);
            }
        }
    }
}

#[test]
fn programs_do_what_the_model_does() {
    check("model", "programs_do_what_the_model_does", 80, programs(), |program| same_under_all_settings(&program));
}

#[test]
fn worlds_without_memory_do_things_whole_or_not_at_all() {
    let test = "worlds_without_memory_do_things_whole_or_not_at_all";
    let (begun, ran) = (Cell::new(0), Cell::new(0));
    check("model", test, 25, programs(), |program| {
        let (workers, ring_bytes) = (Workers::Local, 1 << 16);
        let publish_every = 1 + program.frames.len() as u64 % 3;
        let trace = run(&program, Settings { workers, ring_bytes, publish_every, fuse: true, tight: true });
        begun.set(begun.get() + 1);
        ran.set(ran.get() + u32::from(!trace.is_empty()));
    });
    // refusals alone would show nothing
    assert!(3 * ran.get() >= begun.get() || begun.get() < 10, "{} of {} worlds ran", ran.get(), begun.get());
}

#[test]
fn worlds_of_any_layout_hold_what_they_are_given() {
    let test = "worlds_of_any_layout_hold_what_they_are_given";
    check("model", test, 150, model::layouts::plans(), |plan| model::layouts::run(&plan));
}

#[test]
fn many_frames_in_one_pass_are_as_many_steps() {
    check("model", "many_frames_in_one_pass_are_as_many_steps", 100, model::passes::plans(), |plan| {
        model::passes::run(&plan)
    });
}

#[cfg(all(target_os = "linux", feature = "fault-injection", feature = "checkpoint"))]
mod simulated {
    use super::model::simulate;

    fn number(name: &str) -> Option<u64> {
        std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no whole number")))
    }

    #[test]
    fn seeds_play_as_promised() {
        let report = simulate::many(0..250, 2, false);
        assert!(report.failed.is_none(), "{}", report.text());
        // what was to go wrong went wrong, and was borne
        for point in ["claimed", "undo-saved", "mid-record", "end-pushed", "published"] {
            assert!(report.tally.points[point].deaths > 0, "nobody died at `{point}`\n{}", report.text());
        }
        for point in ["applied", "directory-written", "slot-filled", "word-stored", "grown"] {
            assert!(report.tally.points[point].crashes > 0, "no writer died at `{point}`\n{}", report.text());
        }
        for point in ["grow", "chunk-write", "file-sync", "worker-start"] {
            assert!(report.tally.points[point].refusals > 0, "nothing was refused at `{point}`\n{}", report.text());
        }
    }

    #[test]
    fn what_goes_wrong_is_told_as_short_as_it_can_be() {
        for seed in 0..6 {
            let told = simulate::wrong(seed);
            let expected = ["wrong on purpose", "(1 of ", &format!("--seed {seed}\n")];
            assert!(expected.iter().all(|part| told.contains(part)), "{told}");
        }
    }

    #[test]
    fn a_seed_plays_the_same_again() {
        let play = |seed| simulate::seed(seed).unwrap_or_else(|failed| panic!("{}", failed.told));
        for seed in 0..20 {
            let (one, again) = (play(seed), play(seed));
            for (number, (one, again)) in one.told.iter().zip(&again.told).enumerate() {
                assert_eq!(one, again, "line {number} of the story of seed {seed}");
            }
            assert_eq!(one.told.len(), again.told.len(), "lines of the story of seed {seed}");
            assert_eq!(one.trace, again.trace, "bytes after each frame of seed {seed}");
            assert_eq!(one.end, again.end, "bytes at the end of seed {seed}");
            assert_eq!(one.digest, again.digest, "turns and points of seed {seed}");
        }
    }

    #[test]
    #[ignore = "as long as wanted: cargo xtask simulate"]
    #[expect(clippy::print_stdout, reason = "its table is for whoever runs it")]
    fn simulate_as_many_seeds_as_wanted() {
        let first = number("HYPOSTYLE_SIMULATE_SEED").unwrap_or(0);
        let seeds = number("HYPOSTYLE_SIMULATE_COUNT").unwrap_or(10_000);
        let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let report = simulate::many(first..first.saturating_add(seeds), threads, true);
        if let Some(path) = std::env::var_os("HYPOSTYLE_SIMULATE_JSON") {
            std::fs::write(&path, report.json()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        println!("{}", report.text());
        assert!(report.failed.is_none(), "a seed failed, see above");
    }
}
