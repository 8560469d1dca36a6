//! The scenes of record beside programs that others trust, on the same input, for the same steps, in turn.
//!
//! Each contender of a case builds its state, steps it a little untimed, and is timed for so many steps; rounds interleave
//! the contenders, so that a machine that drifts drifts for all. A row has the median of its rounds with quartiles, in wall
//! time and in processor time: on a machine that others use as well only ratios of the latter mean anything.

mod lammps;
mod lj;
mod measure;
mod nbody;
mod report;
mod search;
mod spheres;
mod twin;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use measure::Case;

/// What to measure.
#[derive(Parser, Clone, Debug)]
#[command(version, about = "The scenes beside LAMMPS, rapier3d and loops by hand")]
struct Options {
    /// Cases to measure: lj, spheres, nbody, search; all by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Timed rounds of each contender.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..1000))]
    rounds: u32,
    /// Sizes of the melt: 4 k^3 atoms each.
    #[arg(long, value_delimiter = ',', default_values_t = [32_000, 256_000, 2_048_000])]
    sizes: Vec<u64>,
    /// Spheres in a box.
    #[arg(long, value_delimiter = ',', default_values_t = [200, 5_000, 50_000])]
    spheres: Vec<u64>,
    /// Tiny sizes and one round, to see that everything works.
    #[arg(long)]
    quick: bool,
    /// Print the rows as JSON.
    #[arg(long)]
    json: bool,
    /// Put the tables into this page, between its markers.
    #[arg(long, value_name = "FILE.md")]
    write: Option<PathBuf>,
}

impl Options {
    fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == case)
    }
}

type Cases = fn(&Options) -> Result<Vec<Case>, Box<dyn Error>>;

fn run(mut options: Options) -> Result<(), Box<dyn Error>> {
    if options.quick {
        options.rounds = 1;
        options.sizes = vec![4_000];
        options.spheres = vec![200];
    }
    let known: [(&str, Cases); 4] =
        [("lj", lj::cases), ("spheres", spheres::cases), ("nbody", nbody::cases), ("search", search::cases)];
    if let Some(unknown) = options.only.iter().find(|only| known.iter().all(|(name, _)| name != *only)) {
        return Err(format!("there is no case `{unknown}`: write lj, spheres, nbody or search").into());
    }
    let mut tables = Vec::new();
    for (name, cases) in known {
        if options.wants(name) {
            for case in cases(&options)? {
                tables.push(case.run(options.rounds)?);
            }
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&tables)?);
    } else {
        print!("{}", report::markdown(&tables));
    }
    if let Some(page) = &options.write {
        report::write(page, &tables)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
