//! What the started processes do: follow commands until their standard input ends.
//!
//! A child never outlives its parent: the end of its input ends it in order, also in the middle of a run, and a reader,
//! which may be stopped, is killed by the system. What a writer made in shared memory goes with it.
#![forbid(unsafe_code)]

use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::clock::{nanos, sleep_until};
use crate::engine::{self, Failure, Reader, Spec, View, Writer};
use crate::histogram::Histogram;
use crate::message::{Answer, Command, Looked, Wrote};
use crate::model::{COLUMNS, Checksum, DirtySet, dirty_sets, sum};

/// Whether the standard input has ended.
static ENDED: AtomicBool = AtomicBool::new(false);
/// How long a child has for its clean end.
const END_MAX: Duration = Duration::from_secs(3);
/// How long a reader waits for a publication.
const WAIT_MAX_NANOS: u64 = 20_000_000_000;
/// What a reader rests between two looks.
const REST: Duration = Duration::from_micros(300);
/// Stack of the thread that does the work: the blackboard hands out states by value.
const STACK_BYTES: usize = 1 << 30;

fn ended() -> bool {
    ENDED.load(Ordering::Relaxed)
}

/// Commands as they come in; the end of input is the end of the channel.
fn commands(session: String) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
        ENDED.store(true, Ordering::Relaxed);
        drop(sender);
        std::thread::sleep(END_MAX);
        // the work did not notice: what it made must not stay
        crate::session::remove_files(&session);
        std::process::exit(1);
    });
    receiver
}

fn tell(answer: &Answer) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Runs `work` on a thread with a large stack, and says why it failed.
fn on_large_stack(work: impl FnOnce() -> Result<(), Failure> + Send + 'static) -> i32 {
    let run = move || match work() {
        Ok(()) => 0,
        Err(_) if ended() => 0,
        Err(failure) => {
            // a parent that is gone does not hear it
            let _ = tell(&Answer::Failed(failure.to_string()));
            1
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    thread.ok().and_then(|thread| thread.join().ok()).unwrap_or(101)
}

/// A writer process, from its start to its end.
pub fn write(spec: Spec) -> i32 {
    let session = spec.session.clone();
    let code = on_large_stack(move || {
        let lines = commands(spec.session.clone());
        let mut state = WriterState {
            writer: engine::writer(&spec)?,
            sets: dirty_sets(spec.seed, spec.rows, spec.dirtiness),
            publication: 0,
            rate_hz: spec.rate_hz,
        };
        tell(&Answer::Ready)?;
        for line in lines {
            tell(&match line.parse()? {
                Command::Publish(times) => state.publish(times)?,
                Command::Run(seconds) => state.run(seconds)?,
                other => return Err(format!("a writer does not know `{other}`").into()),
            })?;
        }
        Ok(())
    });
    // whatever happened: nobody else may be left to do it
    crate::session::remove_files(&session);
    code
}

struct WriterState {
    writer: Box<dyn Writer>,
    sets: Vec<DirtySet>,
    publication: u64,
    rate_hz: u32,
}

impl WriterState {
    /// One publication: when its commit began, and whether it is visible.
    fn next(&mut self) -> Result<(u64, bool), Failure> {
        let set = &self.sets[(self.publication % self.sets.len() as u64) as usize];
        let outcome = self.writer.publish(set, self.publication + 1)?;
        self.publication += u64::from(outcome.kept);
        Ok((outcome.commit_began, outcome.visible))
    }

    fn publish(&mut self, times: u64) -> Result<Answer, Failure> {
        for _ in 0..times {
            if ended() {
                break;
            }
            self.next()?;
        }
        Ok(Answer::Published(self.publication))
    }

    fn run(&mut self, seconds: f64) -> Result<Answer, Failure> {
        let period = 1_000_000_000u64.checked_div(u64::from(self.rate_hz)).unwrap_or(0);
        let begun = nanos();
        let end = begun + (seconds * 1e9) as u64;
        let (mut publish, mut commit) = (Histogram::default(), Histogram::default());
        let mut skipped = 0;
        let mut due = begun;
        while !ended() && (nanos() < end || publish.is_empty()) {
            sleep_until(due);
            let from = nanos();
            let (commit_began, visible) = self.next()?;
            let to = nanos();
            if visible {
                publish.push(to - from);
                commit.push(to - commit_began);
            } else {
                skipped += 1;
                if publish.is_empty() && nanos() >= end {
                    break;
                }
            }
            // a writer that is late does not hurry after lost time
            due = (due + period).max(to);
        }
        Ok(Answer::Wrote(Wrote {
            publication: self.publication,
            skipped,
            seconds: (nanos() - begun) as f64 * 1e-9,
            publish: publish.summary(),
            commit: commit.summary(),
        }))
    }
}

/// A reader process, from its start to its end.
pub fn read(spec: Spec) -> i32 {
    // stopped, it would not notice the end of its input
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    on_large_stack(move || {
        let lines = commands(spec.session.clone());
        let mut reader = engine::reader(&spec)?;
        tell(&Answer::Ready)?;
        while let Ok(line) = lines.recv() {
            match line.parse()? {
                Command::Checksum(publication) => tell(&wait_for(&mut *reader, publication)?)?,
                Command::Run(seconds) => tell(&Answer::Looked(look_around(&mut *reader, seconds)?))?,
                Command::Hold => hold(&mut *reader, &lines)?,
                other => return Err(format!("a reader does not know `{other}` now").into()),
            }
        }
        Ok(())
    })
}

fn checksum(view: &dyn View) -> Answer {
    let mut checksum = Checksum::default();
    for column in 0..COLUMNS {
        view.column(column, &mut |first, values| checksum.add(column, first, values));
    }
    Answer::Checksum { publication: view.stamp().publication, checksum: checksum.get() }
}

fn wait_for(reader: &mut dyn Reader, publication: u64) -> Result<Answer, Failure> {
    let begun = nanos();
    loop {
        let mut newest = None;
        let mut answer = None;
        reader.pinned(&mut |view| {
            newest = Some(view.stamp().publication);
            if newest >= Some(publication) {
                answer = Some(checksum(view));
            }
        })?;
        if let Some(answer) = answer {
            return Ok(answer);
        }
        if ended() || nanos() - begun > WAIT_MAX_NANOS {
            return Err(format!("publication {publication} never came; the newest is {newest:?}").into());
        }
        std::thread::sleep(REST);
    }
}

/// Pins, and keeps the pin until it is told to let go. The state must be the same then.
fn hold(reader: &mut dyn Reader, lines: &Receiver<String>) -> Result<(), Failure> {
    let mut done: Result<(), Failure> = Err("there is no state to hold yet".into());
    reader.pinned(&mut |view| {
        done = (|| {
            tell(&checksum(view))?;
            let line = lines.recv()?;
            if line.parse() != Ok(Command::Release) {
                return Err(format!("a reader that holds a state does not know `{line}`").into());
            }
            tell(&checksum(view))
        })();
    })?;
    done
}

/// Looks at the state again and again, each time in another way.
fn look_around(reader: &mut dyn Reader, seconds: f64) -> Result<Looked, Failure> {
    let end = nanos() + (seconds * 1e9) as u64;
    let mut pin_new = Histogram::default();
    let mut pin_unchanged = Histogram::default();
    let mut one_column = Histogram::default();
    let mut all_columns = Histogram::default();
    let mut age = Histogram::default();
    let mut seen = None;
    let mut turn = 0usize;
    while !ended() && nanos() < end {
        let (mut pinned, mut looked, mut publication) = (0, 0, None);
        let from = nanos();
        reader.pinned(&mut |view| {
            pinned = nanos();
            let stamp = view.stamp();
            publication = Some(stamp.publication);
            age.push(pinned.saturating_sub(stamp.nanos));
            let columns = match turn % 4 {
                1 => turn / 4 % COLUMNS..turn / 4 % COLUMNS + 1,
                2 => 0..COLUMNS,
                _ => 0..0,
            };
            for column in columns {
                view.column(column, &mut |_, values| {
                    std::hint::black_box(sum(values));
                });
            }
            looked = nanos();
        })?;
        let to = nanos();
        if publication.is_some() {
            let pin = (pinned - from) + (to - looked);
            if publication != seen {
                pin_new.push(pin);
            }
            match turn % 4 {
                1 => one_column.push(to - from),
                2 => all_columns.push(to - from),
                3 => {
                    // a single one is shorter than the clock is fine
                    let times = (100_000 / pin.max(1)).clamp(1, 64);
                    let from = nanos();
                    reader.pins(times as u32)?;
                    let each = (nanos() - from) / times;
                    let mut after = None;
                    reader.pinned(&mut |view| after = Some(view.stamp().publication))?;
                    if after == publication {
                        pin_unchanged.push(each);
                    }
                    publication = after;
                }
                _ => {}
            }
            seen = publication;
        }
        turn += 1;
        std::thread::sleep(REST);
    }
    Ok(Looked {
        pin_new: pin_new.summary(),
        pin_unchanged: pin_unchanged.summary(),
        one_column: one_column.summary(),
        all_columns: all_columns.summary(),
        age: age.summary(),
    })
}
