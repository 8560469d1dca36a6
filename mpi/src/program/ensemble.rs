//! Each rank on its own, with a seed of its own: many runs at once, and one table of all.
#![forbid(unsafe_code)]

use hypostyle_mpi::{ClusterError, Comm};
use hypostyle_scenes::SceneOptions;
use serde::{Deserialize, Serialize};

use super::run::alone;
use super::workers::Regions;
use super::{Args, chain, report};

/// What one run of an ensemble says.
#[derive(Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) seed: u64,
    pub(super) frames: u64,
    pub(super) seconds: f64,
    pub(super) state: Option<String>,
    pub(super) lines: Vec<(String, String)>,
}

pub(super) fn run(args: &Args, mut comm: Comm) -> Result<(), ClusterError> {
    let options = args.options()?;
    let options = SceneOptions { seed: options.seed.wrapping_add(comm.rank() as u64), ..options };
    let regions = Regions::of(args, &mut comm)?;
    let done = member(args, &options, &regions);
    // all ranks end in order, also where one failed: it says why
    let told = match &done {
        Ok(member) => serde_json::to_vec(member).unwrap_or_default(),
        Err(error) => error.to_string().into_bytes(),
    };
    // runs take the time that they take: nobody is late before all are done
    let all = comm.patient(|comm| comm.gather("ensemble", &told))?;
    done?;
    let mut members = Vec::with_capacity(all.len());
    for (rank, told) in all.iter().enumerate() {
        let member = serde_json::from_slice::<Member>(told);
        let why = |_| format!("its run failed: {}", String::from_utf8_lossy(told));
        members.push(member.map_err(|error| ClusterError::Gone { rank, why: why(error) })?);
    }
    if comm.rank() == 0 {
        report::print_ensemble(args, &members);
    }
    Ok(())
}

fn member(args: &Args, options: &SceneOptions, regions: &Regions) -> Result<Member, ClusterError> {
    let (simulation, frames, elapsed) = alone(args, options, regions)?;
    let state = match args.print_hash {
        None => None,
        Some(_) => {
            Some(simulation.world().hash_by_id().map_err(|error| ClusterError::World(error.to_string()))?.to_string())
        }
    };
    let mut lines = Vec::new();
    if !args.no_observe {
        let seen = args.scene.observe(simulation.world());
        let seen = seen.map_err(|error| ClusterError::World(chain(error.as_ref())))?;
        lines = seen.into_iter().map(|line| (line.label, line.value)).collect();
    }
    Ok(Member { seed: options.seed, frames, seconds: elapsed.as_secs_f64(), state, lines })
}
