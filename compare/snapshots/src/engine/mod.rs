//! What every engine offers: a writer that applies a dirty set and makes the result visible, and a reader that holds
//! one consistent state in place.
//!
//! The world's state lives in the engine and nowhere else: a writer that needs old values reads them from the engine.

mod blackboard;
mod hypostyle;
mod lmdb;
mod pubsub;

use std::error::Error;

use serde::{Deserialize, Serialize};

use crate::model::{Dirtiness, DirtySet};

/// What goes wrong in an engine.
pub type Failure = Box<dyn Error>;

/// Where one writer and one reader meet, and what they do there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The session's name: what every file of it begins with.
    pub session: String,
    /// The engine.
    pub engine: Engine,
    /// How the engine is written to: one of its [`Engine::ways`].
    pub way: String,
    /// Rows of every column.
    pub rows: usize,
    /// Seed of the initial state and of the dirty sets.
    pub seed: u64,
    /// What a publication changes.
    pub dirtiness: Dirtiness,
    /// Publications per second; 0: one after the other.
    pub rate_hz: u32,
}

/// Travels with the state: which publication it is and when its writer began to make it visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The publication; 0 is the initial state.
    pub publication: u64,
    /// Nanoseconds of the monotonic clock.
    pub nanos: u64,
}

/// What became of a publication.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// When the changes were made and what makes them visible began, nanoseconds.
    pub commit_began: u64,
    /// Whether readers see it; otherwise the engine had no room.
    pub visible: bool,
    /// Whether the change is in the writer's state, visible or not.
    pub kept: bool,
}

/// The one process that changes the state.
pub trait Writer {
    /// Steps the dirty rows and publishes the result as `publication`.
    fn publish(&mut self, dirty: &DirtySet, publication: u64) -> Result<Outcome, Failure>;
}

/// A state that is held.
pub trait View {
    /// Its stamp.
    fn stamp(&self) -> Stamp;

    /// A column in place, in one or more pieces (first row, values).
    fn column(&self, column: usize, visit: &mut dyn FnMut(usize, &[f32]));
}

/// A process that looks.
pub trait Reader {
    /// Holds the newest state for as long as `look` runs; false where there is none yet.
    fn pinned(&mut self, look: &mut dyn FnMut(&dyn View)) -> Result<bool, Failure>;

    /// Takes hold of the newest state and lets it go, so many times.
    fn pins(&mut self, times: u32) -> Result<(), Failure>;
}

/// The engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
pub enum Engine {
    /// This repository's.
    Hypostyle,
    /// LMDB through heed.
    Lmdb,
    /// iceoryx2, publish and subscribe.
    Iceoryx2,
    /// iceoryx2's blackboard: one entry that holds the whole state.
    Blackboard,
}

impl Engine {
    /// All of them.
    pub const ALL: [Engine; 4] = [Engine::Hypostyle, Engine::Lmdb, Engine::Iceoryx2, Engine::Blackboard];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Hypostyle => "hypostyle",
            Engine::Lmdb => "heed (LMDB)",
            Engine::Iceoryx2 => "iceoryx2 pub-sub",
            Engine::Blackboard => "iceoryx2 blackboard",
        }
    }

    /// How it can be used for this dirtiness; where there are several, they are tried and the fastest is kept.
    pub fn ways(self, dirtiness: Dirtiness) -> &'static [&'static str] {
        match (self, dirtiness.is_whole()) {
            (Engine::Hypostyle, true) => &[hypostyle::DENSE],
            (Engine::Hypostyle, false) => &[hypostyle::PATCHES, hypostyle::DENSE, hypostyle::DIRECT],
            (Engine::Lmdb, _) => &[lmdb::CHUNKS_4_KIB, lmdb::CHUNKS_64_KIB],
            (Engine::Iceoryx2, _) => &[pubsub::LOAN],
            (Engine::Blackboard, _) => &[blackboard::LOAN],
        }
    }

    /// What a reader of its figures must know.
    pub fn note(self) -> &'static str {
        match self {
            Engine::Hypostyle => {
                "named region in shared memory, workers: local (one thread); the publication is one frame + publish"
            }
            Engine::Lmdb => {
                "heed 0.23.1 on tmpfs, WRITEMAP | NOSYNC | NOMETASYNC | MAPASYNC, integer keys, put_reserved; a state \
                 that outlives no power failure, like the others'"
            }
            Engine::Iceoryx2 => {
                "iceoryx2 0.10.0, slice loaned uninitialised and written in full from the last sample, which the writer \
                 holds as its own subscriber; buffer 1, safe overflow; pin = receive new + drop old sample, unchanged = \
                 empty receive"
            }
            Engine::Blackboard => {
                "iceoryx2 0.10.0, one entry for the whole state (entries are atomic one by one, not together), loaned \
                 from a state of the writer's own; a reader cannot hold it: get() copies it, and begins again whenever an \
                 update came meanwhile"
            }
        }
    }

    /// Whether it takes so many rows.
    pub fn takes(self, rows: usize) -> bool {
        self != Engine::Blackboard || blackboard::takes(rows)
    }
}

/// Makes the initial state, visible as publication 0.
pub fn writer(spec: &Spec) -> Result<Box<dyn Writer>, Failure> {
    match spec.engine {
        Engine::Hypostyle => hypostyle::writer(spec),
        Engine::Lmdb => lmdb::writer(spec),
        Engine::Iceoryx2 => pubsub::writer(spec),
        Engine::Blackboard => blackboard::writer(spec),
    }
}

/// Opens the state that a writer of the same session made.
pub fn reader(spec: &Spec) -> Result<Box<dyn Reader>, Failure> {
    match spec.engine {
        Engine::Hypostyle => hypostyle::reader(spec),
        Engine::Lmdb => lmdb::reader(spec),
        Engine::Iceoryx2 => pubsub::reader(spec),
        Engine::Blackboard => blackboard::reader(spec),
    }
}
