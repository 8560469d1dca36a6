//! A story that fails, without the steps that it fails without.

use super::play::{Failure, quietly};
use super::story::Story;

/// Plays at most for making a story shorter.
const TRIES: usize = 250;

/// The story as short as it was made, for people.
pub fn told(story: &Story, failure: &Failure) -> String {
    let (short, failure) = shorten(story, failure.clone());
    let steps = short.steps.len();
    let command = format!("cargo xtask simulate --seeds 1 --seed {}", story.seed);
    format!(
        "seed {} fails: {}\nreplay with: {command}\nits shortest story ({steps} of {} steps), {:?}:\n{}",
        story.seed,
        failure.message,
        story.steps.len(),
        short.setup,
        failure.told.join("\n")
    )
}

fn shorten(story: &Story, mut failure: Failure) -> (Story, Failure) {
    let mut best = story.clone();
    // what came after the failure has no part in it
    best.steps.truncate(failure.step.saturating_add(1));
    match quietly(&best) {
        Err(again) => failure = again,
        Ok(_) => best = story.clone(),
    }
    let (mut tries, mut size) = (0, best.steps.len().div_ceil(2).max(1));
    loop {
        let (mut at, mut shorter) = (0, false);
        while at < best.steps.len() && tries < TRIES {
            let mut candidate = best.clone();
            candidate.steps.drain(at..(at + size).min(candidate.steps.len()));
            tries += 1;
            match quietly(&candidate) {
                Err(again) => (best, failure, shorter) = (candidate, again, true),
                Ok(_) => at += size,
            }
        }
        if tries >= TRIES || (size == 1 && !shorter) {
            return (best, failure);
        }
        size = (size / 2).max(1);
    }
}
