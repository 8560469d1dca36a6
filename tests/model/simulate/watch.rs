//! A reader on the stage: it pins, looks, holds for a while and lets go, whatever the writer is at.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hypostyle::{Reader, stage};

/// What it has seen: generations and their hashes.
type Seen = Arc<Mutex<Vec<(u64, u64)>>>;

pub struct Watcher {
    actor: stage::Actor,
    seen: Seen,
    stop: Arc<AtomicBool>,
}

impl Watcher {
    pub fn start(mut reader: Reader) -> Watcher {
        let (seen, stop) = (Seen::default(), Arc::new(AtomicBool::new(false)));
        let (told, ends) = (Arc::clone(&seen), Arc::clone(&stop));
        let actor = stage::Actor::start(move || {
            let mut turns = 0u64;
            while !ends.load(Ordering::Relaxed) {
                turns += 1;
                if let Ok(snapshot) = reader.pin() {
                    // most only hold what they pin
                    let looks = turns % 3 == 1;
                    let look =
                        || told.lock().expect("nobody panics with it").push((snapshot.generation(), snapshot.hash()));
                    if looks {
                        look();
                    }
                    stage::rest(Duration::from_micros(400 * (turns % 4)));
                    if looks {
                        // the same generation, later
                        look();
                    }
                }
                stage::rest(Duration::from_micros(300 + 900 * (turns % 4)));
            }
        });
        Watcher { actor: actor.expect("threads can be had"), seen, stop }
    }

    /// What it has seen since it was last asked.
    pub fn take(&self) -> Vec<(u64, u64)> {
        let seen = std::mem::take(&mut *self.seen.lock().expect("nobody panics with it"));
        assert_eq!(self.actor.ended(), None, "a reader ended");
        seen
    }

    pub fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.actor.end(Duration::from_secs(1000));
        assert_eq!(self.actor.ended().as_deref(), Some("it ended by itself"));
    }
}
