//! How a run is going, for those without a terminal: a line on stderr every some seconds, and `--log FILE`, a JSON object
//! in each line.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hypostyle::World;
use serde_json::{Map, Value, json};

use crate::failure::{Failure, Outcome};
use crate::meter::Meter;
use crate::scenes::{Line, Scene, SceneError};
use crate::text;

/// Something that is due every so often.
#[derive(Debug)]
struct Due {
    every: Duration,
    last: Instant,
}

impl Due {
    fn new(seconds: f64) -> Due {
        Due { every: Duration::from_secs_f64(seconds), last: Instant::now() }
    }

    /// Whether its time has come; it begins anew then.
    fn is_now(&mut self) -> bool {
        let now = self.last.elapsed() >= self.every;
        if now {
            self.last = Instant::now();
        }
        now
    }
}

/// What was run when the last line was written.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    frames: u64,
    elapsed: Duration,
}

impl Before {
    /// Seconds per frame since then.
    fn frame_seconds(self, meter: &Meter) -> Option<f64> {
        let frames = meter.frames - self.frames;
        (frames > 0).then(|| (meter.elapsed - self.elapsed).as_secs_f64() / frames as f64)
    }

    fn now(&mut self, meter: &Meter) {
        *self = Before { frames: meter.frames, elapsed: meter.elapsed };
    }
}

/// Lines on stderr and in a file.
pub(crate) struct Log {
    scene: &'static dyn Scene,
    begun: Instant,
    /// Lines for people, where there is no terminal.
    plain: Option<(Due, Before)>,
    file: Option<(PathBuf, BufWriter<File>, Due, Before)>,
}

impl Log {
    /// `plain`: seconds between two lines on stderr, if there are to be any; `file`: the file, and seconds between two lines
    /// of it.
    pub(crate) fn create(scene: &'static dyn Scene, plain: Option<f64>, file: Option<(&Path, f64)>) -> Outcome<Log> {
        let open = |(path, every): (&Path, f64)| -> Outcome<_> {
            let file = File::create(path)
                .map_err(|error| Failure::of(&SceneError::File { path: path.display().to_string(), error }))?;
            Ok((path.to_owned(), BufWriter::new(file), Due::new(every), Before::default()))
        };
        let plain = plain.filter(|seconds| *seconds > 0.0).map(|seconds| (Due::new(seconds), Before::default()));
        Ok(Log { scene, begun: Instant::now(), plain, file: file.map(open).transpose()? })
    }

    /// Between frames: writes the lines whose time has come; `always`: that of the file in any case, at beginning and end.
    pub(crate) fn look(&mut self, world: &World, meter: &Meter, always: bool) -> Outcome {
        let plain = self.plain.as_mut().is_some_and(|(due, _)| due.is_now());
        let file = self.file.as_mut().is_some_and(|(_, _, due, _)| due.is_now() || always);
        if !plain && !file {
            return Ok(());
        }
        let lines = self.scene.observe(world).map_err(|error| Failure::of(error.as_ref()))?;
        if let (true, Some((_, before))) = (plain, &mut self.plain) {
            let line = for_people(world, before.frame_seconds(meter), &lines);
            before.now(meter);
            // nobody reads stderr any more: the run goes on
            let _ = writeln!(std::io::stderr(), "{}", crate::ascii::fitting(&line));
        }
        if let (true, Some((path, out, _, before))) = (file, &mut self.file) {
            let data = for_programs(world, self.begun.elapsed(), before.frame_seconds(meter), &lines);
            before.now(meter);
            writeln!(out, "{data}")
                .and_then(|()| out.flush())
                .map_err(|error| Failure::of(&SceneError::File { path: path.display().to_string(), error }))?;
        }
        Ok(())
    }
}

fn for_people(world: &World, frame_seconds: Option<f64>, lines: &[Line]) -> String {
    let per_frame = frame_seconds.map_or_else(|| "-".to_owned(), |seconds| text::nanoseconds(seconds * 1e9));
    let (frame, time, entities) = (text::count(world.frame()), world.time(), text::count(world.entity_count()));
    let mut line = format!("frame {frame}, time {time:.6}, {entities} entities, {per_frame} a frame");
    lines.iter().for_each(|each| line.push_str(&format!(", {} {}", each.label, each.value)));
    line
}

fn for_programs(world: &World, seconds: Duration, frame_seconds: Option<f64>, lines: &[Line]) -> Value {
    let observed: Map<String, Value> = lines.iter().map(|line| (line.label.clone(), json!(line.number))).collect();
    json!({
        "frame": world.frame(),
        "time": world.time(),
        "seconds": seconds.as_secs_f64(),
        "entities": world.entity_count(),
        "frame_seconds": frame_seconds,
        "observed": observed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_times_are_those_since_the_last_line() {
        let mut meter = Meter { frames: 10, elapsed: Duration::from_secs(5), ..Meter::default() };
        let mut before = Before::default();
        assert_eq!(before.frame_seconds(&meter), Some(0.5));
        before.now(&meter);
        assert_eq!(before.frame_seconds(&meter), None);
        (meter.frames, meter.elapsed) = (12, Duration::from_secs(7));
        assert_eq!(before.frame_seconds(&meter), Some(1.0));
    }

    #[test]
    fn what_is_due_begins_anew() {
        let mut due = Due::new(0.0);
        assert!(due.is_now() && due.is_now());
        assert!(!Due::new(1000.0).is_now());
    }
}
