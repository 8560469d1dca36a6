//! What ends a command early: one line for people and an exit code for programs.
//!
//! The code follows from the first known error in the chain of causes; docs/cli.md lists them.
#![forbid(unsafe_code)]

use std::error::Error;
use std::ffi::OsString;
use std::io::Write;

use hypostyle::checkpoint::CheckpointError;
use hypostyle::errors::PoolError;
use hypostyle::journal::JournalError;
use hypostyle::{
    InputError, LayoutError, RegionError, RegionTarget, ScheduleError, SnapshotError, StepError, WorldError,
};

use crate::scenes::SceneError;

/// The result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Anything without a code of its own.
pub(crate) const OTHER: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// No such region, file or directory, or no generation in it.
pub(crate) const NOT_FOUND: u8 = 3;
/// A layout that is not valid or does not fit.
pub(crate) const LAYOUT: u8 = 4;
/// A frame was abandoned, or the schedule is wrong.
pub(crate) const SIMULATION: u8 = 5;
/// A live writer is in the way, or a name or a port is taken.
pub(crate) const IN_USE: u8 = 6;
/// What was named cannot be used: damaged, or another kind of thing.
pub(crate) const NOT_USABLE: u8 = 7;
/// Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub code: u8,
    /// One line, or none where there is nothing more to say.
    pub message: Option<String>,
}

impl Failure {
    /// A failure with a code and a message.
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Failure {
        Failure { code, message: Some(message.into()) }
    }

    /// The command line asks for something that cannot be.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(USAGE, message)
    }

    /// A failure whose reason was printed already.
    pub(crate) fn told(code: u8) -> Failure {
        Failure { code, message: None }
    }

    /// From an error of unknown type.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Failure {
        let mut code = None;
        let mut message = error.to_string();
        let mut next = Some(error);
        while let Some(cause) = next {
            code = code.or_else(|| code_of(cause));
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            next = cause.source();
        }
        let code = code.unwrap_or(OTHER);
        if code == 0 {
            return Failure::told(0);
        }
        if code == NOT_FOUND && message.starts_with("there is no region") {
            if let Some(name) = similar(&message) {
                message = format!("{message} (did you mean `{name}`?)");
            }
            message = format!("{message}; `{} list` shows those there are", crate::usage::program());
        }
        Failure::new(code, message)
    }

    /// Puts words before the message.
    pub(crate) fn before(mut self, words: &str) -> Failure {
        self.message = self.message.map(|message| format!("{words}: {message}"));
        self
    }

    /// The message on stderr, as one line: a JSON object where the command line asks for JSON.
    pub(crate) fn print(&self) {
        if let Some(message) = &self.message {
            let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
            let line = match asks_for_json(std::env::args_os()) {
                true => serde_json::json!({ "error": line, "kind": self.kind(), "code": self.code }).to_string(),
                false => format!("error: {}", crate::ascii::fitting(&line)),
            };
            // stderr was closed: nobody wants to know
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// The exit code as a word.
    fn kind(&self) -> &'static str {
        match self.code {
            USAGE => "usage",
            NOT_FOUND => "not_found",
            LAYOUT => "layout",
            SIMULATION => "simulation",
            IN_USE => "in_use",
            NOT_USABLE => "unusable",
            INTERRUPTED => "interrupted",
            _ => "failed",
        }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::of(&error)
    }
}

/// Whether a command line asks for JSON: errors in the command line itself are told so, too.
fn asks_for_json(args: impl Iterator<Item = OsString>) -> bool {
    let args: Vec<OsString> = args.skip(1).take_while(|arg| arg != "--").collect();
    let is_json = |format: &str| matches!(format, "json" | "ndjson");
    args.iter().enumerate().any(|(at, arg)| {
        let Some(arg) = arg.to_str() else { return false };
        let follows = || args.get(at + 1).and_then(|next| next.to_str()).is_some_and(is_json);
        arg == "--json" || arg.strip_prefix("--format=").is_some_and(is_json) || arg == "--format" && follows()
    })
}

/// The region that may have been meant where there is none of the name in this message.
fn similar(message: &str) -> Option<String> {
    let name = message.strip_prefix("there is no region ")?.split([' ', ':', ';']).next()?;
    name.parse::<RegionTarget>().ok()?.similar()
}

fn code_of(error: &(dyn Error + 'static)) -> Option<u8> {
    if let Some(error) = error.downcast_ref::<std::io::Error>() {
        use std::io::ErrorKind;
        return match error.kind() {
            // the reader of stdout has seen enough
            ErrorKind::BrokenPipe => Some(0),
            ErrorKind::NotFound => Some(NOT_FOUND),
            ErrorKind::AddrInUse | ErrorKind::AlreadyExists => Some(IN_USE),
            // the last one: `open_regular` found another kind of file
            ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::InvalidInput => Some(NOT_USABLE),
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<SceneError>() {
        return (!matches!(error, SceneError::File { .. })).then_some(USAGE);
    }
    if let Some(error) = error.downcast_ref::<RegionError>() {
        return of_region(error);
    }
    if let Some(error) = error.downcast_ref::<CheckpointError>() {
        return of_checkpoint(error);
    }
    if let Some(error) = error.downcast_ref::<JournalError>() {
        return match error {
            JournalError::Empty { .. } | JournalError::NoFrame { .. } => Some(NOT_FOUND),
            JournalError::Segment { .. }
            | JournalError::Foreign { .. }
            | JournalError::Damaged(_)
            | JournalError::Missing { .. }
            | JournalError::Broken(_) => Some(NOT_USABLE),
            JournalError::Io { action: "open", source, .. } => of_open(source),
            JournalError::Other { .. } => Some(IN_USE),
            JournalError::Checkpoint(error) => of_checkpoint(error),
            JournalError::Snapshot(error) => of_snapshot(error),
            JournalError::World(error) => of_world(error),
            _ => None,
        };
    }
    #[cfg(feature = "export")]
    if let Some(error) = error.downcast_ref::<hypostyle::export::ExportError>() {
        use hypostyle::export::ExportError;
        return match error {
            ExportError::UnknownComponent { .. } | ExportError::UnknownFormat { .. } | ExportError::Question { .. } => {
                Some(USAGE)
            }
            ExportError::Journal(error) => code_of(error),
            ExportError::Snapshot(error) => of_snapshot(error),
            ExportError::File(error) => of_checkpoint(error),
            ExportError::OtherRecording { .. } => Some(IN_USE),
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<SnapshotError>() {
        return of_snapshot(error);
    }
    if let Some(error) = error.downcast_ref::<WorldError>() {
        return of_world(error);
    }
    if let Some(error) = error.downcast_ref::<StepError>() {
        return of_step(error);
    }
    if let Some(error) = error.downcast_ref::<LayoutError>() {
        // of a file that cannot be read the cause decides
        return (!matches!(error, LayoutError::Read { .. })).then_some(LAYOUT);
    }
    error.is::<ScheduleError>().then_some(SIMULATION)
}

fn of_region(error: &RegionError) -> Option<u8> {
    match error {
        RegionError::BadName { .. } => Some(USAGE),
        RegionError::NotFound { .. } | RegionError::Ranks { .. } => Some(NOT_FOUND),
        RegionError::Exists { .. } | RegionError::Live { .. } | RegionError::Leftover { .. } => Some(IN_USE),
        RegionError::NotRegion { .. }
        | RegionError::Header { .. }
        | RegionError::Corrupt { .. }
        | RegionError::ForeignOwner { .. }
        | RegionError::OtherBoot { .. }
        | RegionError::OutOfBounds { .. }
        | RegionError::BadExtent { .. } => Some(NOT_USABLE),
        _ => None,
    }
}

fn of_checkpoint(error: &CheckpointError) -> Option<u8> {
    match error {
        CheckpointError::Io { action: "open", source, .. } => of_open(source),
        CheckpointError::Empty { .. } => Some(NOT_FOUND),
        CheckpointError::File { .. }
        | CheckpointError::Set { .. }
        | CheckpointError::Rows(_)
        | CheckpointError::Order => Some(NOT_USABLE),
        CheckpointError::Taken { .. } => Some(IN_USE),
        CheckpointError::Level { .. } | CheckpointError::Notes { .. } => Some(USAGE),
        CheckpointError::Snapshot(error) => of_snapshot(error),
        CheckpointError::World(error) => of_world(error),
        _ => None,
    }
}

/// A file that is not there, or that is no regular one.
fn of_open(error: &std::io::Error) -> Option<u8> {
    match error.kind() {
        std::io::ErrorKind::NotFound => Some(NOT_FOUND),
        std::io::ErrorKind::InvalidInput => Some(NOT_USABLE),
        _ => None,
    }
}

fn of_snapshot(error: &SnapshotError) -> Option<u8> {
    match error {
        SnapshotError::Region(error) => of_region(error),
        SnapshotError::Layout(_)
        | SnapshotError::Parts { .. }
        | SnapshotError::Directory(_)
        | SnapshotError::Entities(_) => Some(NOT_USABLE),
        SnapshotError::NothingPublished | SnapshotError::NotKept { .. } | SnapshotError::NoTimeline { .. } => {
            Some(NOT_FOUND)
        }
        SnapshotError::UnknownColumn { .. } | SnapshotError::UnknownResource { .. } => Some(USAGE),
        _ => None,
    }
}

fn of_world(error: &WorldError) -> Option<u8> {
    match error {
        WorldError::Region(error) => of_region(error),
        WorldError::Snapshot(error) => of_snapshot(error),
        WorldError::Layout(_) | WorldError::LayoutsDiffer { .. } => Some(LAYOUT),
        _ => None,
    }
}

fn of_step(error: &StepError) -> Option<u8> {
    match error {
        StepError::Start(PoolError::Ring { .. } | PoolError::Count { .. }) => Some(USAGE),
        StepError::Start(_) => Some(OTHER),
        StepError::Inputs(InputError::Region(error)) => of_region(error),
        StepError::Inputs(_) => Some(USAGE),
        _ => Some(SIMULATION),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_that_of_the_cause_and_the_message_is_one_line() {
        let target = || hypostyle::RegionTarget::Named("ants".to_owned());
        let missing = Failure::from(WorldError::Snapshot(RegionError::NotFound { target: target() }.into()));
        assert_eq!(missing.code, NOT_FOUND);
        let message = missing.message.expect("there is one");
        // the name under which a program was started: here that of the test
        assert_eq!(
            message,
            format!("there is no region ants; `{} list` shows those there are", crate::usage::program())
        );
        assert_eq!(Failure::from(RegionError::Live { target: target(), pid: 1 }).code, IN_USE);
        assert_eq!(Failure::from(SnapshotError::NothingPublished).code, NOT_FOUND);
        assert_eq!(Failure::from(StepError::Closed).code, SIMULATION);
        for (kind, code) in [
            (std::io::ErrorKind::NotFound, NOT_FOUND),
            (std::io::ErrorKind::AddrInUse, IN_USE),
            (std::io::ErrorKind::IsADirectory, NOT_USABLE),
            (std::io::ErrorKind::PermissionDenied, OTHER),
        ] {
            assert_eq!(Failure::from(std::io::Error::from(kind)).code, code, "{kind}");
        }
        let piped = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(piped.code == 0 && piped.message.is_none());
    }
}
