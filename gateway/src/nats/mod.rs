//! The same frames on a NATS broker: full states in its object store, deltas on subjects.
//!
//! `nats://HOST:PORT/PREFIX`, where the prefix is `hypostyle.REGION` unless it is given. All messages are those of
//! `docs/protocol.md`:
//!
//! | where | what |
//! |-------|------|
//! | object `state` in the bucket PREFIX (`.` written `_`) | HELLO, SUBSCRIBED and a full UPDATE, one after the other, as `/snapshot.bin` |
//! | subject `PREFIX.delta.begin` | an UPDATE message, or its first bytes, where it is longer than the broker's `max_payload` |
//! | subject `PREFIX.delta.more` | the bytes that follow |
//! | subject `PREFIX.state.newest` | once a second, in the body of an ACK: subscription and generation of the newest UPDATE |
//! | subject `PREFIX.state.stored` | the same of the state in the store: after each, and on request |
//! | subject `PREFIX.state.want` | empty, of a follower that lacks something: the newest state is stored |
//!
//! Each UPDATE leads on from where the one before ended, so a follower that sees another `from` has missed something.
//! The subscription is another with every session, so generations of two simulations are never taken for one another.
//!
//! Invariants: the broker is nobody's boss: without it the gateway serves its own clients, and nothing is queued for it
//! beyond one update; when it is back, a full state comes first.
#![forbid(unsafe_code)]

mod follow;
mod publish;

use std::fmt;
use std::str::FromStr;

pub use follow::Follower;
pub(super) use publish::publish;

/// The object that holds the newest full state.
const OBJECT: &str = "state";

/// A broker, and where on it a simulation's frames are.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// `nats://[USER:PASSWORD@]HOST:PORT`.
    server: String,
    /// What all subjects begin with.
    prefix: Option<String>,
}

impl fmt::Debug for Place {
    /// Without what stands before an @.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.server.rsplit(['@', '/']).next().unwrap_or_default();
        write!(f, "nats://{host}/{}", self.prefix.as_deref().unwrap_or_default())
    }
}

impl FromStr for Place {
    type Err = NatsError;

    fn from_str(text: &str) -> Result<Self, NatsError> {
        let wrong = |why| NatsError::Place { why };
        let (scheme, rest) = text.split_once("://").ok_or(wrong("it begins with nats:// or tls://"))?;
        if !matches!(scheme, "nats" | "tls") {
            return Err(wrong("it begins with nats:// or tls://"));
        }
        let (host, prefix) = rest.split_once('/').map_or((rest, None), |(host, prefix)| (host, Some(prefix)));
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let prefix = prefix.filter(|prefix| !prefix.is_empty());
        let is_token = |token: &str| {
            !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        };
        if prefix.is_some_and(|prefix| prefix.len() > 128 || !prefix.split('.').all(is_token)) {
            return Err(wrong("its prefix is words of letters, digits, _ and -, with dots between them"));
        }
        Ok(Place { server: format!("{scheme}://{host}"), prefix: prefix.map(str::to_owned) })
    }
}

impl Place {
    /// The same place, with the prefix of a region where it has none.
    #[must_use]
    pub fn of_region(mut self, region: &str) -> Self {
        let word = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let name = region.trim_matches(['/', '.']).chars().map(word).collect::<String>();
        self.prefix.get_or_insert_with(|| format!("hypostyle.{name}"));
        self
    }

    fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or("hypostyle")
    }

    fn subject(&self, what: &str) -> String {
        format!("{}.{what}", self.prefix())
    }

    fn bucket(&self) -> String {
        self.prefix().replace('.', "_")
    }
}

/// What a publisher says about a state: which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    subscription: u32,
    generation: u64,
}

impl Note {
    fn encode(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..4].copy_from_slice(&self.subscription.to_le_bytes());
        out[8..].copy_from_slice(&self.generation.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Note> {
        let bytes: &[u8; 16] = bytes.try_into().ok()?;
        let (subscription, generation) = (bytes.first_chunk::<4>()?, bytes.last_chunk::<8>()?);
        Some(Note { subscription: u32::from_le_bytes(*subscription), generation: u64::from_le_bytes(*generation) })
    }
}

/// What goes wrong with a broker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// The place cannot be read.
    #[error("a broker is given as nats://HOST:PORT/PREFIX: {why}")]
    Place {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The broker does not do something.
    #[error("cannot {what}: {why}")]
    Broker {
        /// What it was asked to do.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// The bytes on the broker are not what they should be.
    #[error("the state on the broker is broken: {why}")]
    State {
        /// What is wrong.
        why: String,
    },
    /// No state came in time.
    #[error("there was no state on the broker within {seconds} s: is a gateway publishing there?")]
    Timeout {
        /// How long was waited.
        seconds: f64,
    },
}

fn broker(what: &'static str) -> impl Fn(&dyn fmt::Display) -> NatsError {
    move |why| NatsError::Broker { what, why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let place: Place = "nats://broker:4222/lab.particles".parse().expect("a good one");
        assert_eq!(
            (place.subject("delta.begin"), place.bucket()),
            ("lab.particles.delta.begin".into(), "lab_particles".into())
        );
        let bare: Place = "nats://me:secret@broker:4222".parse().expect("a good one");
        assert_eq!(bare.clone().of_region("./runs/a b").prefix(), "hypostyle.runs_a_b");
        assert!(!format!("{bare:?} {bare}").contains("secret"));
        assert_eq!("tls://broker/".parse::<Place>().expect("a good one").of_region("x").prefix(), "hypostyle.x");
        for wrong in ["broker:4222", "http://broker", "nats://", "nats://b/a..b", "nats://b/a b", "nats://b/>"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
        let note = Note { subscription: 7, generation: 1 << 40 };
        assert_eq!(Note::decode(&note.encode()), Some(note));
        assert_eq!(Note::decode(&[0; 15]), None);
    }
}
