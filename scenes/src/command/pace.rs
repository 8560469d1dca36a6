//! How far a run goes, and how fast: frames, seconds of real time, a time of the simulation, frames per second.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use hypostyle::{Steering, World};

/// How long it sleeps before it looks whether the run is asked to end, or steered.
const LOOK: Duration = Duration::from_millis(20);
/// A run with a pace does so much of a second in one call at most: watchers see it move.
const CALL_SECONDS: f64 = 1.0 / 60.0;

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// After so many frames.
    Frames(u64),
    /// After so many seconds of real time.
    Seconds(f64),
    /// When the simulation's time is this.
    Time(f64),
}

impl End {
    /// Frames to run from here, if that is known.
    pub fn frames(self, world: &World, dt: f64) -> Option<u64> {
        match self {
            End::Frames(frames) => Some(frames),
            End::Seconds(_) => None,
            // a sum of steps may end a rounding before the time that is meant
            End::Time(time) => Some(((time - world.time()) / dt - 1e-6).ceil().max(0.0) as u64),
        }
    }

    /// Seconds of real time to run, if that is what ends it.
    pub fn seconds(self) -> Option<f64> {
        match self {
            End::Seconds(seconds) => Some(seconds),
            End::Frames(_) | End::Time(_) => None,
        }
    }
}

/// So many frames per second of real time at most.
#[derive(Debug)]
struct Pace {
    per_second: f64,
    next: Instant,
}

impl Pace {
    fn new(per_second: f64) -> Pace {
        Pace { per_second, next: Instant::now() }
    }

    /// Frames in one call at most.
    fn per_call(&self) -> u64 {
        ((self.per_second * CALL_SECONDS) as u64).max(1)
    }

    /// Whether so many frames may begin; if not, a moment has passed. What was late is not caught up.
    fn is_due(&mut self, frames: u64) -> bool {
        let left = self.next.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(LOOK));
        if left > LOOK {
            return false;
        }
        let length = Duration::from_secs_f64(frames as f64 / self.per_second);
        self.next = (self.next + length).max(Instant::now());
        true
    }
}

/// How a run goes on: as its options say, and those who steer it.
#[derive(Debug)]
pub struct Drive {
    steering: Option<Steering>,
    pace: Option<Pace>,
}

impl Drive {
    /// With this pace, unless it is steered otherwise.
    pub fn new(pace: Option<f64>, steering: Option<Steering>) -> Drive {
        if let Some(steering) = &steering {
            steering.set_pace(pace);
        }
        Drive { steering, pace: pace.map(Pace::new) }
    }

    /// Whether the run is to stand still.
    pub fn is_paused(&self) -> bool {
        self.steering.as_ref().is_some_and(Steering::is_paused)
    }

    /// How many frames may begin now, at most `most`; 0: it is paused or early, and a moment has passed.
    pub fn allow(&mut self, most: u64) -> u64 {
        if let Some(steering) = &self.steering {
            let asked = steering.pace();
            if asked != self.pace.as_ref().map(|pace| pace.per_second) {
                self.pace = asked.map(Pace::new);
            }
            if steering.is_paused() {
                let frames = steering.take_steps(most);
                if frames == 0 {
                    std::thread::sleep(LOOK);
                }
                return frames;
            }
        }
        let Some(pace) = &mut self.pace else { return most };
        let frames = most.min(pace.per_call());
        if pace.is_due(frames) { frames } else { 0 }
    }
}

/// A number of frames per second.
///
/// # Errors
/// It is none.
pub fn parse_pace(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(pace) if (1e-3..=1e9).contains(&pace) => Ok(pace),
        _ => Err("it must be a number of frames per second, from 0.001 to 1e9".to_owned()),
    }
}

/// A time of the simulation.
///
/// # Errors
/// It is none.
pub fn parse_time(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(time) if (0.0..=1e300).contains(&time) => Ok(time),
        _ => Err("it must be a time of the simulation, 0 or later, in the scene's unit".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_reached_with_the_frame_that_comes_to_it() {
        let world = World::builder().build().expect("an empty world");
        let frames = |time, dt| End::Time(time).frames(&world, dt);
        assert_eq!(frames(1.0, 0.1), Some(10));
        assert_eq!(frames(1.05, 0.1), Some(11));
        assert_eq!(frames(0.3, 0.1), Some(3));
        assert_eq!(frames(0.0, 0.1), Some(0));
        assert_eq!(End::Seconds(2.0).frames(&world, 0.1), None);
    }

    #[test]
    fn a_pace_lets_so_many_begin_and_never_waits_long() {
        let begun = Instant::now();
        let mut pace = Pace::new(100.0);
        let mut frames = 0;
        while frames < 11 {
            frames += u64::from(pace.is_due(1));
        }
        assert!(begun.elapsed() >= Duration::from_millis(100));
        // the next one begins in a quarter of an hour, and whoever asks has an answer
        let mut slow = Pace::new(1e-3);
        assert!(slow.is_due(1) && !slow.is_due(1) && !slow.is_due(1));
        assert_eq!((pace.per_call(), Pace::new(6000.0).per_call()), (1, 100));
    }
}
