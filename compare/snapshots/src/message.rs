//! What the processes tell each other: commands as words on a child's standard input, answers as JSON lines on its
//! standard output.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// Quantiles of a list of durations, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many there were.
    pub count: u64,
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

/// What a writer measured.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Wrote {
    /// The newest publication.
    pub publication: u64,
    /// Publications that had no room.
    pub skipped: u64,
    /// Seconds that the run took.
    pub seconds: f64,
    /// Stepping the dirty rows and making them visible.
    pub publish: Summary,
    /// Making them visible alone.
    pub commit: Summary,
}

/// What a reader measured.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Looked {
    /// Taking hold of a publication that it had not seen, and letting it go.
    pub pin_new: Summary,
    /// The same with one that it had seen.
    pub pin_unchanged: Summary,
    /// Pin, sum of one column, unpin.
    pub one_column: Summary,
    /// Pin, sums of all columns, unpin.
    pub all_columns: Summary,
    /// Age of a state when it was pinned.
    pub age: Summary,
}

/// A command to a child.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Publish so many times, untimed.
    Publish(u64),
    /// Do the usual work for so many seconds and say what it cost.
    Run(f64),
    /// Wait for a publication, and sum the state up.
    Checksum(u64),
    /// Pin, sum the state up, and hold it.
    Hold,
    /// Sum the held state up again, and let it go.
    Release,
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Command::Publish(times) => write!(f, "publish {times}"),
            Command::Run(seconds) => write!(f, "run {seconds}"),
            Command::Checksum(publication) => write!(f, "checksum {publication}"),
            Command::Hold => f.write_str("hold"),
            Command::Release => f.write_str("release"),
        }
    }
}

impl std::str::FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let unknown = || format!("`{line}` is no command");
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "publish" => rest.parse().map(Command::Publish).map_err(|_| unknown()),
            "run" => rest.parse().map(Command::Run).map_err(|_| unknown()),
            "checksum" => rest.parse().map(Command::Checksum).map_err(|_| unknown()),
            "hold" => Ok(Command::Hold),
            "release" => Ok(Command::Release),
            _ => Err(unknown()),
        }
    }
}

/// A child's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It is set up.
    Ready,
    /// Published up to here.
    Published(u64),
    /// A writer's run.
    Wrote(Wrote),
    /// A reader's run.
    Looked(Looked),
    /// The checksum of this publication's state.
    Checksum {
        /// Which publication.
        publication: u64,
        /// Its checksum.
        checksum: u64,
    },
    /// It gives up.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_back_as_they_went() {
        for command in
            [Command::Publish(3), Command::Run(0.25), Command::Checksum(u64::MAX), Command::Hold, Command::Release]
        {
            assert_eq!(command.to_string().parse(), Ok(command));
        }
        for line in ["", "run", "run x", "jump 3"] {
            assert!(line.parse::<Command>().is_err(), "{line}");
        }
    }
}
