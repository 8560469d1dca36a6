//! How a run goes on where it has a pace, or is steered: rank 0 is asked, and what it says goes for all ranks.
//!
//! Invariant: all ranks run the same frames; a run that nobody may steer, without a pace, sends nothing for it.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use hypostyle::Simulation;
use hypostyle_mpi::{Cluster, ClusterError};
use hypostyle_scenes::command::pace::Drive;

use super::Args;

/// Ranks that stand still hear from rank 0 at least so often.
const BEAT: Duration = Duration::from_millis(250);
/// The bit of rank 0's word that says that the run is to stand still. The others are a number of frames.
const PAUSED: u64 = 1 << 63;

/// How the run goes on.
pub(super) struct Steered {
    /// On rank 0.
    drive: Option<Drive>,
    is_asked: bool,
    /// The frame that was published because the run stands still.
    shown: Option<u64>,
}

impl Steered {
    pub(super) fn new(args: &Args, simulation: &Simulation, rank: usize) -> Steered {
        let is_asked = args.steer || args.pace.is_some();
        let drive = (is_asked && rank == 0).then(|| Drive::new(args.pace, simulation.steering()));
        Steered { drive, is_asked, shown: None }
    }

    /// How many frames all ranks run now, at most `most`; 0: it stands still, or is early, and a moment has passed. A call of
    /// all ranks.
    pub(super) fn allow(
        &mut self,
        cluster: &Cluster,
        simulation: &mut Simulation,
        most: u64,
    ) -> Result<u64, ClusterError> {
        if !self.is_asked {
            return Ok(most);
        }
        let frame = simulation.world().frame();
        let is_shown = self.shown == Some(frame);
        let mut word = self.drive.as_mut().map_or(0, |drive| ask(drive, most, is_shown)).to_le_bytes().to_vec();
        cluster.comm(|comm| comm.broadcast("steering", &mut word))?;
        let word = word.as_slice().try_into().map(u64::from_le_bytes);
        let word = word.map_err(|_| bad("it has not 8 bytes"))?;
        let (frames, is_paused) = (word & !PAUSED, word & PAUSED != 0);
        if frames > most {
            return Err(bad("it has more frames than are left"));
        }
        if frames == 0 && is_paused && !is_shown {
            // who paused it wants to see where it stands
            let rank = cluster.rank();
            let shown = simulation.world_mut().publish();
            shown.map_err(|error| ClusterError::Engine { rank, source: Box::new(error) })?;
            self.shown = Some(frame);
        }
        Ok(frames)
    }
}

fn bad(what: &str) -> ClusterError {
    ClusterError::Message { rank: 0, what: what.to_owned() }
}

/// Rank 0's word. That it stands still is said at once where the others do not know it: they show where.
fn ask(drive: &mut Drive, most: u64, is_shown: bool) -> u64 {
    let begun = Instant::now();
    loop {
        let frames = drive.allow(most.min(!PAUSED));
        let is_paused = drive.is_paused();
        if frames > 0 || is_paused && !is_shown || begun.elapsed() >= BEAT {
            return if is_paused { frames | PAUSED } else { frames };
        }
    }
}
