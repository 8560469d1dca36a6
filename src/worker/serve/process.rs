//! Worker processes: the main process's hold on them, and their own way in.
//!
//! A worker process is this executable started again with `HYPOSTYLE_WORKER=<board>:<index>:<epoch>` in its
//! environment. Neither outlives the other by mistake: main holds a pidfd of each worker, and each worker has a thread
//! that waits on a pidfd of main and kills its process when main is gone, whatever its kernels are doing. (The
//! parent-death signal would do the same, but it fires when the *thread* that started the worker ends.) That takes a
//! moment, and for ever where the worker is stopped: so each worker inherits main's open file with the lock that all workers share, as
//! its standard input, from its first instruction on. Who takes the region over needs that lock.
//!
//! Invariants: a process is killed through its handle, never by a number that may have been reused; a worker that
//! main does not expect never touches a lane or the world.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::trace::{Recorder, RingPlace};

use crate::fault;
use crate::worker::Runner;
use crate::worker::error::WorkerError;
use crate::worker::serve::worker_loop::{ProgramSource, WorkerLoop};
use crate::worker::shared::board::{Attached, Board, Message};
use crate::worker::shared::lane::{LanePlan, WorkerLane};
use crate::worker::shared::program::ProgramFile;
use crate::worker::shared::shut_in::ShutIn;

pub(in crate::worker) use crate::limits::WORKER_VARIABLE as VARIABLE;

/// Whether the process of a pidfd ends within this time; without a time: waits for it.
#[cfg(target_os = "linux")]
pub(in crate::worker) fn has_ended(pidfd: &rustix::fd::OwnedFd, within: Option<std::time::Duration>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let within = within.map(|time| Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) });
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    loop {
        match poll(&mut fds, within.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
            Ok(ready) => return ready > 0,
        }
    }
}

/// What a worker process is told about the world that it is to serve.
#[derive(Clone, Debug)]
pub(crate) struct WorkerStart {
    /// Where the region is.
    pub region_path: Option<String>,
    /// The layout that must be found there.
    pub layout_hash: u64,
    /// Main's registrations.
    pub registrations: String,
    /// This worker's ring of the timeline, where the region has one.
    pub trace: Option<RingPlace>,
}

/// What a worker process runs jobs with.
pub(crate) struct Served {
    /// What runs them.
    pub runner: Arc<dyn Runner>,
    /// The text of its registrations, which must equal main's.
    pub registrations: String,
    /// What it records its events with.
    pub recorder: Recorder,
}

struct Ticket {
    board: String,
    index: usize,
    epoch: u32,
}

fn ticket() -> Result<Option<Ticket>, WorkerError> {
    let Some(value) = std::env::var_os(VARIABLE) else { return Ok(None) };
    let value = value.to_string_lossy().into_owned();
    let parse = || {
        let (rest, epoch) = value.rsplit_once(':')?;
        let (board, index) = rest.rsplit_once(':')?;
        let board = Some(board).filter(|board| board.starts_with('/') && board.len() < 64)?;
        Some(Ticket { board: board.to_owned(), index: index.parse().ok()?, epoch: epoch.parse().ok()? })
    };
    parse().map(Some).ok_or(WorkerError::Ticket { value })
}

/// Serves a pool if this process was started as one of its workers. `make_runner` builds what runs the jobs.
///
/// Returns false at once in any other process, and true when the pool has closed: then the process should end.
///
/// # Errors
/// Why the process cannot work. Main is told too, as far as it can be reached.
pub(crate) fn serve_with(
    make_runner: impl FnOnce(&WorkerStart) -> Result<Served, WorkerError>,
) -> Result<bool, WorkerError> {
    let Some(Ticket { board, index, epoch }) = ticket()? else { return Ok(false) };
    let shut_in = ShutIn::of_environment()?;
    let begun = shut_in.as_ref().map_or(Ok(()), |shut_in| shut_in.begin(&board));
    fault::arm();
    keep_workers_lock();
    let board = Board::open(&board)?;
    fault::point("started");
    let attached = board.attach(index, epoch, std::process::id()).ok_or(WorkerError::NotExpected { index, epoch })?;
    fault::point("attached");
    let set_up = || {
        watch_main(&board).map_err(plain)?;
        begun.map_err(plain)?;
        set_up(&attached, shut_in.as_ref(), make_runner)
    };
    match set_up() {
        Ok(server) => {
            fault::point("set-up");
            attached.ready();
            fault::point("ready");
            server.serve()?;
            Ok(true)
        }
        Err((message, error)) => {
            attached.refuse(&message);
            Err(error)
        }
    }
}

/// Moves the open file that holds the workers' lock from standard input to where nobody closes or inherits it. It goes with
/// this process. Where it cannot be moved it stays: that is as good.
fn keep_workers_lock() {
    let Ok(nothing) = std::fs::File::open("/dev/null") else { return };
    if let Ok(held) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)
        && rustix::stdio::dup2_stdin(&nothing).is_ok()
    {
        std::mem::forget(held);
    }
}

fn plain(error: WorkerError) -> (Message, WorkerError) {
    (Message::Text(error.to_string()), error)
}

fn set_up(
    attached: &Attached,
    shut_in: Option<&ShutIn>,
    make_runner: impl FnOnce(&WorkerStart) -> Result<Served, WorkerError>,
) -> Result<WorkerLoop, (Message, WorkerError)> {
    let wrong = |message: &str| plain(WorkerError::Board { message: message.to_owned() });
    let (board, index) = (attached.board(), attached.worker());
    let start = WorkerStart {
        region_path: board.region_path(),
        layout_hash: board.layout_hash(),
        registrations: board.registrations(),
        trace: board.trace_place(index),
    };
    let bytes = |bytes: u64| usize::try_from(bytes).map_err(|_| wrong("its sizes are too large"));
    let plan = LanePlan::new(bytes(board.ring_bytes())?, bytes(board.undo_bytes())?)
        .map_err(|error| wrong(&error.to_string()))?;
    let Served { runner, registrations, recorder } = make_runner(&start).map_err(plain)?;
    if let Some((line, text)) = first_difference(&start.registrations, &registrations) {
        return Err((Message::Registration(line, text), WorkerError::RegistrationsDiffer { line }));
    }
    let (lane, undo) = WorkerLane::open(attached, plan).map_err(plain)?;
    let program = shut_in.map(|shut_in| shut_in.program().to_owned()).or_else(|| board.program_id());
    let program = ProgramFile::open(&program.ok_or_else(|| wrong("it names no program"))?);
    let source = ProgramSource::Segment(program.map_err(|error| plain(error.into()))?);
    // from here on nothing can be opened
    shut_in.map_or(Ok(()), ShutIn::shut).map_err(plain)?;
    Ok(WorkerLoop::new(board.clone(), index, lane, Some(undo), runner, source, recorder))
}

/// The first line, counted from 1, in which `other` differs from `text`, and that line of `other`.
fn first_difference(text: &str, other: &str) -> Option<(usize, String)> {
    let (mut lines, mut others) = (text.lines(), other.lines());
    for line in 1.. {
        match (lines.next(), others.next()) {
            (None, None) => return None,
            (one, two) if one == two => {}
            (_, two) => return Some((line, two.unwrap_or("").to_owned())),
        }
    }
    None
}

/// Makes sure that this process ends with main, and that it is main's child at all. Where main was killed, its workers
/// unlink what it shared with them.
#[cfg(target_os = "linux")]
fn watch_main(board: &Board) -> Result<(), WorkerError> {
    use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open, set_parent_process_death_signal};
    let main = board.main_pid();
    let board = board.id().unwrap_or("").to_owned();
    let not_a_child = WorkerError::NotAChild { main };
    let Some(pid) = i32::try_from(main).ok().and_then(Pid::from_raw) else { return Err(not_a_child) };
    // Opened first, compared then: while main is the parent its number cannot be another process's.
    let pidfd = pidfd_open(pid, PidfdFlags::empty());
    if getppid() != Some(pid) {
        return Err(not_a_child);
    }
    match pidfd {
        Ok(pidfd) => watch(move || {
            while !has_ended(&pidfd, None) {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            crate::worker::shared::segment::remove_left(&board);
        }),
        // No pidfds here: the signal is better than nothing.
        Err(_) => {
            let kill = Some(rustix::process::Signal::KILL);
            set_parent_process_death_signal(kill)
                .map_err(|error| WorkerError::Os { what: "ask to end with main", source: error.into() })?;
            if getppid() == Some(pid) { Ok(()) } else { Err(not_a_child) }
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn watch_main(board: &Board) -> Result<(), WorkerError> {
    use rustix::process::{Pid, getppid};
    let main = board.main_pid();
    let pid = i32::try_from(main).ok().and_then(Pid::from_raw);
    if pid.is_none() || getppid() != pid {
        return Err(WorkerError::NotAChild { main });
    }
    watch(move || {
        while getppid() == pid {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    })
}

/// Kills this process when `main_ended` returns.
fn watch(main_ended: impl FnOnce() + Send + 'static) -> Result<(), WorkerError> {
    let watch = move || {
        main_ended();
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    };
    std::thread::Builder::new()
        .name("hypostyle-watch".to_owned())
        .stack_size(64 * 1024)
        .spawn(watch)
        .map(drop)
        .map_err(|source| WorkerError::Os { what: "start the thread that watches main", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found_on_either_side() {
        assert_eq!(first_difference("a\nb", "a\nb"), None);
        assert_eq!(first_difference("a\nb", "a\nc"), Some((2, "c".to_owned())));
        assert_eq!(first_difference("a\nb", "a"), Some((2, String::new())));
        assert_eq!(first_difference("a", "a\nb"), Some((2, "b".to_owned())));
    }
}
