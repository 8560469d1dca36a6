//! Ranks of a real MPI, by immediate calls alone: nothing here waits for another rank.
//!
//! A message goes out by `MPI_Isend` from memory that stays with its request until `MPI_Test` says that it has left; it
//! comes in by `MPI_Improbe` (whose answer tells its length) and `MPI_Imrecv` into memory of that length. Where a run
//! ends before that, the memory of open requests is leaked: MPI may still write to it.
#![expect(unsafe_code, reason = "calls of MPI, and the memory that it sends from and writes to")]

use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::time::Duration;

use mpi::environment::Universe;
use mpi::ffi;
use mpi::raw::AsRaw;
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::{Threading, initialize_with_threading};

use super::{Pool, Transport};
use crate::error::ClusterError;

/// How long the launcher may take to end the job.
const ABORT_MAX: Duration = Duration::from_secs(2);

/// The tag of all messages: those between two ranks are in order.
const TAG: c_int = 7;

/// MPI is up as long as this lives. It is dropped on the thread that made it, after all ranks have done their last call; a
/// panic leaves MPI as it is, so that the launcher sees this process fail and ends the others.
pub struct MpiJob {
    universe: Option<Universe>,
}

impl Drop for MpiJob {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(self.universe.take());
        }
    }
}

/// Ends all processes of the job.
#[derive(Clone, Copy, Debug)]
pub struct Aborter(ffi::MPI_Comm);

impl Aborter {
    /// Ends all processes of the job, this one included. Where the launcher cannot be asked, as its line is cut, this
    /// process is killed after two seconds: the launcher's side of the line sees that, too.
    pub fn abort(self) {
        let killer = std::thread::Builder::new().name("abort".to_owned()).spawn(|| {
            std::thread::sleep(ABORT_MAX);
            // not `exit`: what the MPI does at the end would wait, too
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        });
        if killer.is_err() {
            std::process::abort();
        }
        // SAFETY: the communicator is the world, which lives as long as MPI is up; the call ends this process.
        unsafe { ffi::MPI_Abort(self.0, 1) };
    }
}

/// A rank of the world of an MPI.
pub struct MpiRanks {
    world: SimpleCommunicator,
    rank: usize,
    size: usize,
    sending: VecDeque<Open>,
    /// A message of each rank that is on its way in.
    coming: Vec<Option<Open>>,
    pool: Pool,
}

// SAFETY: MPI was started with at least `Threading::Serialized`: any thread may call it, one at a time. All calls here go
// through `&mut self`, and the requests and the communicator are plain handles of the process.
unsafe impl Send for MpiRanks {}

impl MpiRanks {
    /// Starts MPI, and gives this process's rank of its world.
    ///
    /// # Errors
    /// MPI is up already, or cannot be used by threads; the launcher started more processes than MPI knows.
    pub fn start() -> Result<(MpiJob, MpiRanks), ClusterError> {
        let fail = |what: &str| ClusterError::Mpi { call: "MPI_Init_thread", what: what.to_owned() };
        let (universe, threading) =
            initialize_with_threading(Threading::Serialized).ok_or_else(|| fail("MPI is up already"))?;
        if threading < Threading::Serialized {
            return Err(fail("this MPI cannot be called from another thread than the first"));
        }
        let world = universe.world();
        // SAFETY: the communicator is the world, which lives until MPI is finalised.
        let code = unsafe { ffi::MPI_Comm_set_errhandler(world.as_raw(), ffi::RSMPI_ERRORS_RETURN) };
        check("MPI_Comm_set_errhandler", code)?;
        let number = |n: i32| usize::try_from(n).map_err(|_| fail("a negative rank"));
        let (rank, size) = (number(world.rank())?, number(world.size())?);
        crate::launch::check_size(size)?;
        let coming = (0..size).map(|_| None).collect();
        Ok((
            MpiJob { universe: Some(universe) },
            MpiRanks { world, rank, size, sending: VecDeque::new(), coming, pool: Pool::default() },
        ))
    }
}

impl Transport for MpiRanks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn post(&mut self, to: usize, message: Vec<u8>) -> Result<(), ClusterError> {
        let length = length(message.len())?;
        let mut open = Open { rank: to, request: None, message };
        let mut request = MaybeUninit::uninit();
        // SAFETY: the memory is a vector of that length, which is not touched, moved from its heap nor freed before the
        // request is done (`Open`); the request is written where the call succeeds.
        let code = unsafe {
            ffi::MPI_Isend(
                open.message.as_ptr().cast::<c_void>(),
                length,
                ffi::RSMPI_UINT8_T,
                to as c_int,
                TAG,
                self.world.as_raw(),
                request.as_mut_ptr(),
            )
        };
        check("MPI_Isend", code)?;
        // SAFETY: the call above has written it.
        open.request = Some(unsafe { request.assume_init() });
        self.sending.push_back(open);
        Ok(())
    }

    fn take(&mut self, from: usize) -> Result<Option<Vec<u8>>, ClusterError> {
        if self.coming[from].is_none() {
            self.coming[from] = self.probe(from)?;
        }
        let Some(open) = &mut self.coming[from] else { return Ok(None) };
        if !open.is_done()? {
            return Ok(None);
        }
        Ok(self.coming[from].take().map(Open::into_message))
    }

    fn unsent(&mut self) -> Result<Option<usize>, ClusterError> {
        let mut index = 0;
        while index < self.sending.len() {
            if self.sending[index].is_done()? {
                if let Some(open) = self.sending.swap_remove_back(index) {
                    self.pool.put(open.into_message());
                }
            } else {
                index += 1;
            }
        }
        Ok(self.sending.front().map(|open| open.rank))
    }

    fn memory(&mut self) -> Vec<u8> {
        self.pool.take()
    }

    fn recycle(&mut self, memory: Vec<u8>) {
        self.pool.put(memory);
    }

    fn abort(&mut self, _: &str) {
        self.aborter().abort();
    }
}

impl MpiRanks {
    /// What ends the job where a run fails. It is used while MPI is up.
    #[must_use]
    pub fn aborter(&self) -> Aborter {
        Aborter(self.world.as_raw())
    }

    /// Begins to take a rank's next message, if there is one.
    fn probe(&mut self, from: usize) -> Result<Option<Open>, ClusterError> {
        let (mut here, mut message, mut status) = (0, MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: three places that the call writes to; the last two only where it says that a message is here.
        let code = unsafe {
            ffi::MPI_Improbe(
                from as c_int,
                TAG,
                self.world.as_raw(),
                &mut here,
                message.as_mut_ptr(),
                status.as_mut_ptr(),
            )
        };
        check("MPI_Improbe", code)?;
        if here == 0 {
            return Ok(None);
        }
        let mut length = 0;
        // SAFETY: a message is here, so the status is written.
        let code = unsafe { ffi::MPI_Get_count(status.as_ptr(), ffi::RSMPI_UINT8_T, &mut length) };
        check("MPI_Get_count", code)?;
        let bytes = usize::try_from(length).map_err(|_| ClusterError::Message {
            rank: from,
            what: "it has no length that is a number of bytes".to_owned(),
        })?;
        let mut memory = self.pool.take();
        memory.resize(bytes, 0);
        let mut open = Open { rank: from, request: None, message: memory };
        let mut request = MaybeUninit::uninit();
        // SAFETY: the message was matched above and is taken once; the memory has its length, and stays until the request
        // is done (`Open`).
        let code = unsafe {
            ffi::MPI_Imrecv(
                open.message.as_mut_ptr().cast::<c_void>(),
                length,
                ffi::RSMPI_UINT8_T,
                message.as_mut_ptr(),
                request.as_mut_ptr(),
            )
        };
        check("MPI_Imrecv", code)?;
        // SAFETY: the call above has written it.
        open.request = Some(unsafe { request.assume_init() });
        Ok(Some(open))
    }
}

/// A message whose memory MPI uses until the request is done.
struct Open {
    rank: usize,
    request: Option<ffi::MPI_Request>,
    message: Vec<u8>,
}

impl Open {
    fn is_done(&mut self) -> Result<bool, ClusterError> {
        let Some(request) = &mut self.request else { return Ok(true) };
        let mut done = 0;
        // SAFETY: the request is open; the status is not asked for.
        let code = unsafe { ffi::MPI_Test(request, &mut done, ffi::RSMPI_STATUS_IGNORE) };
        if code != 0 {
            return Err(ClusterError::Gone { rank: self.rank, why: text(code) });
        }
        if done != 0 {
            self.request = None;
        }
        Ok(done != 0)
    }

    fn into_message(mut self) -> Vec<u8> {
        match self.request {
            None => std::mem::take(&mut self.message),
            Some(_) => Vec::new(),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.request.is_some() {
            // MPI may still use it
            std::mem::forget(std::mem::take(&mut self.message));
        }
    }
}

fn length(bytes: usize) -> Result<c_int, ClusterError> {
    c_int::try_from(bytes).map_err(|_| ClusterError::Mpi {
        call: "MPI_Isend",
        what: format!("a message of {bytes} bytes is longer than one call takes"),
    })
}

fn check(call: &'static str, code: c_int) -> Result<(), ClusterError> {
    if code == 0 { Ok(()) } else { Err(ClusterError::Mpi { call, what: text(code) }) }
}

/// What MPI says about a code.
fn text(code: c_int) -> String {
    let mut text = [0 as std::ffi::c_char; 4096];
    let mut length = 0;
    // SAFETY: the text has more bytes than MPI_MAX_ERROR_STRING of any MPI (Open MPI 256, MPICH 512).
    let told = unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr(), &mut length) };
    let bytes: Vec<u8> = text.iter().take(usize::try_from(length).unwrap_or(0)).map(|c| *c as u8).collect();
    if told == 0 { String::from_utf8_lossy(&bytes).into_owned() } else { format!("error {code}") }
}
