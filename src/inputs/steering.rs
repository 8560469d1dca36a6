//! How a run is to go: whether it stands still, how many frames it may run all the same, how fast it goes.
//!
//! Three words of a mailbox, which any process that may send inputs can write. They are no state: no frame sees them, so
//! they change no bytes of the world. Who steps the simulation looks at them between frames and goes by them.
//!
//! Invariants: every word means something, whatever is written into it; the last one to write wins.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering;

use crate::snapshot::{Reader, SharedReader};

use super::InputError;
use super::words::Words;

/// The slowest pace, frames per second.
const PACE_MIN: f64 = 1e-3;

/// Steers a run, and tells the run how it is steered: see [`Simulation::steering`](crate::Simulation::steering) and
/// [`Reader::steering`].
///
/// ```
/// use hypostyle::{Schedule, Simulation, World};
/// let world = World::builder().build()?;
/// let simulation = Simulation::builder().steerable(true).build(world, Schedule::new())?;
/// let run = simulation.steering().expect("it is steerable");
///
/// // what another process does: it opens the region
/// let wheel = simulation.world().reader()?.steering()?.expect("it is steerable");
/// wheel.pause();
/// wheel.step(2);
/// wheel.set_pace(Some(60.0));
///
/// // what the program that runs the simulation asks between frames
/// assert!(run.is_paused() && run.pace() == Some(60.0));
/// assert_eq!((run.take_steps(1), run.take_steps(10), run.take_steps(10)), (1, 1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Steering {
    words: Words,
}

impl Steering {
    pub(super) fn new(words: Words) -> Steering {
        Steering { words }
    }

    /// Whether the run is to stand still.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.words.paused().load(Ordering::Acquire) != 0
    }

    /// Lets the run stand still after its current frame.
    pub fn pause(&self) {
        self.words.paused().store(1, Ordering::Release);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.words.steps().store(0, Ordering::Release);
        self.words.paused().store(0, Ordering::Release);
    }

    /// Lets it stand still, after so many frames more.
    pub fn step(&self, frames: u64) {
        let more = |steps: u64| Some(steps.saturating_add(frames));
        // it never fails: there always is a sum
        let _ = self.words.steps().fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        self.pause();
    }

    /// Frames per second of real time that the run is to make at most; `None`: as many as it can.
    #[must_use]
    pub fn pace(&self) -> Option<f64> {
        let pace = f64::from_bits(self.words.pace().load(Ordering::Acquire));
        // 0 stands for none, and so does whatever is no pace
        (pace.is_finite() && pace >= PACE_MIN).then_some(pace)
    }

    /// Sets the pace; at least 0.001 frames per second.
    pub fn set_pace(&self, pace: Option<f64>) {
        let pace = pace.filter(|pace| pace.is_finite()).map_or(0.0, |pace| pace.max(PACE_MIN));
        self.words.pace().store(pace.to_bits(), Ordering::Release);
    }

    /// For the run that is paused: how many of the frames that were asked for with [`Steering::step`] it runs now, at most
    /// `most`.
    #[must_use]
    pub fn take_steps(&self, most: u64) -> u64 {
        let less = |steps: u64| (steps > 0).then(|| steps - steps.min(most));
        self.words.steps().fetch_update(Ordering::AcqRel, Ordering::Acquire, less).map_or(0, |steps| steps.min(most))
    }

    /// Whether the run has ended. (One that was killed cannot say so.)
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.words.is_closed()
    }
}

impl Reader {
    /// Steers the run that writes the region; `None`: it is not steerable.
    ///
    /// # Errors
    /// Its mailbox is broken, or is not to be had.
    pub fn steering(&self) -> Result<Option<Steering>, InputError> {
        let (map, _) = self.parts();
        let Some((block, _)) = map.inputs()? else { return Ok(None) };
        let words = Words::new(block)?;
        words.read_head()?;
        Ok((words.is_steerable() && !words.is_closed()).then(|| Steering::new(words)))
    }
}

impl SharedReader {
    /// As [`Reader::steering`].
    ///
    /// # Errors
    /// As there.
    pub fn steering(&self) -> Result<Option<Steering>, InputError> {
        self.first().steering()
    }
}
