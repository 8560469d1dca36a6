//! A story that fails, without the steps that it fails without.

use std::time::{Duration, Instant};

use super::play::{Failure, quietly};
use super::story::Story;

/// Plays at most for making a story shorter,
const TRIES: usize = 250;
/// and how long they may take.
const TIME: Duration = Duration::from_secs(90);

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
    let begun = Instant::now();
    let is_over = |tries: usize| tries >= TRIES || begun.elapsed() >= TIME;
    let (mut tries, mut size) = (0, best.steps.len().div_ceil(2).max(1));
    loop {
        let (mut at, mut shorter) = (0, false);
        while at < best.steps.len() && !is_over(tries) {
            let mut candidate = best.clone();
            candidate.steps.drain(at..(at + size).min(candidate.steps.len()));
            tries += 1;
            match quietly(&candidate) {
                Err(again) if again.place() == failure.place() => (best, failure, shorter) = (candidate, again, true),
                _ => at += size,
            }
        }
        if is_over(tries) || (size == 1 && !shorter) {
            return (best, failure);
        }
        size = (size / 2).max(1);
    }
}
