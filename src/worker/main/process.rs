//! Worker processes as main has them: started with a ticket in their environment, watched and killed through a pidfd.
//!
//! Invariant: a process is killed through its handle, never by a number that may have been reused.
#![forbid(unsafe_code)]

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use crate::worker::WorkerCommand;
#[cfg(target_os = "linux")]
use crate::worker::serve::process::has_ended;

use crate::limits::SANDBOX_VARIABLE;
pub(super) use crate::limits::WORKER_VARIABLE as VARIABLE;

/// What main holds of a worker process.
pub(in crate::worker) struct Process {
    child: Child,
    /// A forked copy must leave the process alone.
    maker: crate::os::Maker,
    #[cfg(target_os = "linux")]
    pidfd: Option<rustix::fd::OwnedFd>,
}

impl Process {
    /// Starts a worker.
    pub(in crate::worker) fn start(
        command: &WorkerCommand,
        ticket: &str,
        sandbox: Option<&str>,
        workers_lock: Option<&std::fs::File>,
    ) -> std::io::Result<Process> {
        let held = workers_lock.map(std::fs::File::try_clone).transpose()?;
        let mut started = Command::new(&command.program);
        match sandbox {
            Some(sandbox) => started.env(SANDBOX_VARIABLE, sandbox),
            None => started.env_remove(SANDBOX_VARIABLE),
        };
        let child = started
            .args(&command.args)
            .env(VARIABLE, ticket)
            .stdin(held.map_or_else(Stdio::null, Stdio::from))
            // A terminal's Ctrl-C is for main, which ends its workers when it is done.
            .process_group(0)
            .spawn()?;
        #[cfg(target_os = "linux")]
        let pidfd =
            pid(&child).and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok());
        Ok(Process {
            child,
            maker: crate::os::Maker::this(),
            #[cfg(target_os = "linux")]
            pidfd,
        })
    }

    /// Its process id.
    pub(in crate::worker) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; none: it lives. Once it has ended, none of its instructions runs any more.
    pub(in crate::worker) fn ended(&mut self) -> Option<String> {
        #[cfg(target_os = "linux")]
        if let Some(pidfd) = &self.pidfd
            && !has_ended(pidfd, Some(std::time::Duration::ZERO))
        {
            return None;
        }
        match self.child.try_wait() {
            Ok(Some(status)) => Some(status.to_string()),
            // A pidfd says that it has ended, and the status has not been collected yet.
            Ok(None) if self.has_pidfd() => self.child.wait().ok().map(|status| status.to_string()),
            Ok(None) => None,
            // Somebody else in this process collects children.
            Err(_) => Some("its exit status was collected by someone else".to_owned()),
        }
    }

    fn has_pidfd(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.pidfd.is_some();
        #[cfg(not(target_os = "linux"))]
        false
    }

    /// Whether a signal ended it. To be asked once it has ended.
    pub(in crate::worker) fn was_killed(&mut self) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        // a status that somebody else collected tells nothing: as if it had been killed
        self.child.try_wait().map_or(true, |status| status.is_some_and(|status| status.signal().is_some()))
    }

    /// Kills it; [`Process::ended`] tells when it is dead.
    pub(in crate::worker) fn kill(&mut self) {
        #[cfg(target_os = "linux")]
        if let Some(pidfd) = &self.pidfd {
            let _ = rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
            return;
        }
        let _ = self.child.kill();
    }

    /// Waits for its end, at most this long, then kills it and waits.
    pub(in crate::worker) fn end(&mut self, grace: std::time::Duration) {
        let begun = std::time::Instant::now();
        while self.ended().is_none() {
            if begun.elapsed() >= grace {
                self.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.maker.is_here() && self.ended().is_none() {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(target_os = "linux")]
fn pid(child: &Child) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(child.id()).ok()?)
}
