//! A session: one writer and one reader process, started, asked, watched and ended, and nothing left behind.
//!
//! Every file of a session begins with its name, or with `hypostyle.` and its name, and lies in shared memory; the name
//! holds the main process's id, so that what a killed one left can be told from what a living one uses.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::engine::{Failure, Spec};
use crate::message::{Answer, Command};

const PREFIX: &str = "compare-snapshots-";
/// How long a child may be silent beyond the time that its work takes.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a child has to end by itself.
const END_MAX: Duration = Duration::from_secs(4);

/// Where the system keeps shared memory.
pub fn shared_memory() -> &'static Path {
    Path::new("/dev/shm")
}

/// A name that no other session has.
pub fn new_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Paths in shared memory with the session that each belongs to.
fn files() -> impl Iterator<Item = (String, PathBuf)> {
    let entries = std::fs::read_dir(shared_memory()).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let own = name.strip_prefix("hypostyle.").unwrap_or(&name);
        let end = own.strip_prefix(PREFIX)?.find(|c: char| !c.is_ascii_digit() && c != '-').map(|at| at + PREFIX.len());
        Some((own[..end.unwrap_or(own.len())].to_owned(), entry.path()))
    })
}

fn remove(path: &Path) {
    // what is gone already need not be removed
    let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
}

/// Removes everything of a session.
pub fn remove_files(session: &str) {
    files().filter(|(owner, _)| owner == session).for_each(|(_, path)| remove(&path));
}

/// Removes what main processes that are gone have left; how many files and directories that were.
pub fn remove_stale() -> usize {
    let stale = files().filter(|(session, _)| {
        let pid = session[PREFIX.len()..].split('-').next().unwrap_or_default();
        !Path::new("/proc").join(pid).exists()
    });
    stale.map(|(_, path)| remove(&path)).count()
}

fn bytes_below(path: &Path) -> u64 {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.blocks() * 512;
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| bytes_below(&entry.path())).sum()
}

/// Memory that a session's files take.
fn file_bytes(session: &str) -> u64 {
    files().filter(|(owner, _)| owner == session).map(|(_, path)| bytes_below(&path)).sum()
}

/// Resident bytes of a process, and its share of them.
fn resident(pid: u32) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    Some((field("Rss:")?, field("Pss:")?))
}

/// What a session takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Of the engine's files.
    pub files: u64,
    /// Resident in the writer, and its share.
    pub writer: (u64, u64),
    /// Resident in the reader, and its share.
    pub reader: (u64, u64),
}

struct Process {
    name: &'static str,
    child: Child,
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Process {
    fn start(name: &'static str, spec: &Spec) -> Result<Process, Failure> {
        let mut child = std::process::Command::new(std::env::current_exe()?)
            .args([name, &serde_json::to_string(spec)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // the C library gives large blocks back when they are freed, so that set-up leaves no trace in the figures
            .env("MALLOC_MMAP_THRESHOLD_", "2097152")
            .env("MALLOC_TRIM_THRESHOLD_", "2097152")
            // an interrupt from the terminal is the main process's to pass on
            .process_group(0)
            .spawn()?;
        let commands = child.stdin.take();
        let output = child.stdout.take().ok_or("a child without output")?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Process { name, child, commands, answers })
    }

    fn send(&mut self, command: Command) -> Result<(), Failure> {
        let commands = self.commands.as_mut().ok_or("the child was told to end")?;
        Ok(writeln!(commands, "{command}")?)
    }

    fn answer(&mut self, stop: &AtomicBool, work: Duration) -> Result<Answer, Failure> {
        let begun = Instant::now();
        loop {
            match self.answers.recv_timeout(Duration::from_millis(20)) {
                Ok(line) => match serde_json::from_str(&line)? {
                    Answer::Failed(message) => return Err(format!("the {} failed: {message}", self.name).into()),
                    answer => return Ok(answer),
                },
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    return Err(format!("the {} ended without an answer: {status}", self.name).into());
                }
                Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => return Err("interrupted".into()),
                Err(RecvTimeoutError::Timeout) if begun.elapsed() > work + SILENCE_MAX => {
                    return Err(format!("the {} does not answer", self.name).into());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // the child was not waited for, so the id is still its own; gone is as good
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends the process: in order if it can, at once if not.
    fn end(&mut self) {
        self.commands = None;
        self.signal(Signal::CONT);
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > END_MAX {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A writer and a reader at work.
pub struct Session<'a> {
    spec: &'a Spec,
    stop: &'a AtomicBool,
    // readers go first: an engine may refuse to close over their heads
    reader: Option<Process>,
    writer: Process,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(reader) = &mut self.reader {
            reader.end();
        }
        self.writer.end();
        remove_files(&self.spec.session);
    }
}

impl<'a> Session<'a> {
    /// Starts both.
    pub fn start(spec: &'a Spec, stop: &'a AtomicBool) -> Result<Session<'a>, Failure> {
        let writer = Process::start("writer", spec)?;
        let mut session = Session { spec, stop, reader: None, writer };
        session.writer.answer(stop, Duration::ZERO)?;
        session.reader.insert(Process::start("reader", spec)?).answer(stop, Duration::ZERO)?;
        Ok(session)
    }

    fn reader(&mut self) -> &mut Process {
        self.reader.as_mut().expect("a session that started has a reader")
    }

    fn wait(command: Command) -> Duration {
        if let Command::Run(seconds) = command { Duration::from_secs_f64(seconds) } else { Duration::ZERO }
    }

    /// Asks the writer.
    pub fn ask_writer(&mut self, command: Command) -> Result<Answer, Failure> {
        self.writer.send(command)?;
        self.writer.answer(self.stop, Self::wait(command))
    }

    /// Asks the reader.
    pub fn ask_reader(&mut self, command: Command) -> Result<Answer, Failure> {
        let stop = self.stop;
        self.reader().send(command)?;
        self.reader().answer(stop, Self::wait(command))
    }

    /// Asks both at once.
    pub fn ask_both(&mut self, command: Command) -> Result<(Answer, Answer), Failure> {
        let stop = self.stop;
        self.reader().send(command)?;
        self.writer.send(command)?;
        let wrote = self.writer.answer(stop, Self::wait(command))?;
        Ok((wrote, self.reader().answer(stop, Self::wait(command))?))
    }

    /// Stops the reader, or lets it go on.
    pub fn freeze_reader(&mut self, frozen: bool) {
        self.reader().signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    /// What the session takes now.
    pub fn memory(&mut self) -> Memory {
        Memory {
            files: file_bytes(&self.spec.session),
            writer: resident(self.writer.child.id()).unwrap_or_default(),
            reader: resident(self.reader().child.id()).unwrap_or_default(),
        }
    }
}
