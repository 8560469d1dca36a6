//! What can go wrong with a frame: for callers, and before the world went back.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::commit::Refusal;
use crate::inputs::InputError;
use crate::limits::{FRAME_MAX, TIME_MAX};
use crate::region::RegionError;
use crate::schedule::graph::ScheduleError;
use crate::worker::{JobFailure, PoolError};
use crate::world::WorldError;

/// What can go wrong with a frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// A system's job failed: the frame was abandoned.
    #[error("system `{system}`, rows {}..{} of the table of ({table}): {failure}; {undone} frame(s) undone, the world stands at frame {frame}", rows.start, rows.end)]
    Job {
        /// The system (several, where they are fused).
        system: String,
        /// The components of the table.
        table: String,
        /// The job's rows.
        rows: Range<u32>,
        /// What happened, and to which worker.
        failure: Box<JobFailure>,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// The pool failed as a whole.
    #[error("{failure}; {undone} frame(s) undone, the world stands at frame {frame}")]
    Pool {
        /// What happened.
        failure: Box<JobFailure>,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// Patches were refused, and the simulation is strict
    /// ([`SimulationBuilder::strict`](crate::SimulationBuilder::strict)).
    #[error(
        "{refused} patch(es) of system `{system}` were refused, the first one because {reason}; {undone} frame(s) undone, the world stands at frame {frame}"
    )]
    Refused {
        /// The system.
        system: String,
        /// Patches of it that were refused, in this call.
        refused: u64,
        /// Why the first one was.
        reason: Box<Refusal>,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// The values that a system reduces its rows to could not be combined: the frame was abandoned.
    #[error(
        "system `{system}` reduces its rows to resource `{resource}`: {message}; {undone} frame(s) undone, the world stands \
         at frame {frame}"
    )]
    Reduction {
        /// The system.
        system: String,
        /// The resource.
        resource: String,
        /// What happened.
        message: String,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// The exchange with other parts of the world failed ([`Exchange`](crate::exchange::Exchange)): the frame was abandoned.
    #[error(
        "exchange with other parts of the world, {at}: {source}; {undone} frame(s) undone, the world stands at frame {frame}"
    )]
    Exchange {
        /// At which point.
        at: String,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// A condition or a loop's number of passes could not be evaluated: the frame was abandoned.
    #[error("{what}: {message}; {undone} frame(s) undone, the world stands at frame {frame}")]
    Condition {
        /// The system or the loop.
        what: String,
        /// What happened.
        message: String,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// The world could not take the frame in.
    #[error("{source}; {undone} frame(s) undone, the world stands at frame {frame}")]
    World {
        /// What happened.
        source: Box<WorldError>,
        /// Frames undone, the abandoned one included.
        undone: u64,
        /// The frame of the generation that the world stands at.
        frame: u64,
    },
    /// The world could not go back to its last generation, either.
    #[error("the frame failed ({failure}), and the world could not go back to its last generation: {source}")]
    Unrecoverable {
        /// Why the frame failed.
        failure: String,
        /// Why going back failed.
        source: Box<WorldError>,
    },
    /// The world has no room for what the schedule writes: every column that it writes is held twice.
    #[error("the world does not fit its schedule, which writes columns that are held twice: {source}")]
    Memory {
        /// What is needed.
        source: Box<WorldError>,
    },
    /// The simulation was closed.
    #[error("the simulation is closed; make a new one to run frames")]
    Closed,
    /// A time step that is no number.
    #[error("dt is {dt}; it must be a finite number")]
    TimeStep {
        /// What was given.
        dt: f64,
    },
    /// Time would leave the range of numbers.
    #[error(
        "{frames} frame(s) of dt {dt} from time {time} would lead beyond {TIME_MAX:e}, the most that time may be; run fewer \
         frames, or a smaller dt"
    )]
    TimeRange {
        /// The world's time.
        time: f64,
        /// Frames that were asked for.
        frames: u64,
        /// What was given.
        dt: f64,
    },
    /// Frames would go beyond the last number that they can have.
    #[error(
        "{frames} frame(s) from frame {frame} would lead beyond {FRAME_MAX}, the last one that a world can come to"
    )]
    FrameRange {
        /// The world's frame.
        frame: u64,
        /// Frames that were asked for.
        frames: u64,
    },
    /// The exchange with other parts of the world refuses the schedule.
    #[error("exchange with other parts of the world: {source}")]
    ExchangeRefused {
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The schedule does not fit.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The pool could not be started.
    #[error(transparent)]
    Start(#[from] PoolError),
    /// The world's region refuses: in a process that was forked off the one that made the world nothing is stepped.
    #[error(transparent)]
    Region(RegionError),
    /// The simulation cannot take these inputs.
    #[error("inputs: {0}")]
    Inputs(#[from] InputError),
}

/// Why a frame failed, before the world went back.
pub(super) enum Failed {
    Job(JobFailure),
    /// Patches of this system were refused.
    Refused {
        system: usize,
        refused: u64,
        reason: Refusal,
    },
    /// The results of this system's rows could not be joined.
    Reduction {
        system: usize,
        resource: u16,
        message: String,
    },
    /// The condition of a system or loop could not be evaluated.
    Condition {
        what: String,
        message: String,
    },
    /// The exchange failed at this point.
    Exchange {
        at: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    World(WorldError),
}

impl From<WorldError> for Failed {
    fn from(error: WorldError) -> Self {
        Failed::World(error)
    }
}

impl From<RegionError> for Failed {
    fn from(error: RegionError) -> Self {
        Failed::World(error.into())
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failed::Job(failure) => failure.fmt(f),
            Failed::World(error) => error.fmt(f),
            Failed::Refused { reason, .. } => reason.fmt(f),
            Failed::Exchange { at, source } => write!(f, "{at}: {source}"),
            Failed::Reduction { message, .. } | Failed::Condition { message, .. } => f.write_str(message),
        }
    }
}
