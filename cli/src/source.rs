//! What a command looks at: a region of another process, a checkpoint or a set of them, or a frame of a journal or of a
//! run with checkpoints. From then on all are the same.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hypostyle::checkpoint::{self, CheckpointFile, CheckpointSet};
use hypostyle::journal::Journal;
use hypostyle::{Reader, RegionTarget, World};

use crate::failure::{self, Failure, Outcome};
use crate::rerun::Rerun;
use crate::{cluster, open};

/// What a user named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A region.
    Region(RegionTarget),
    /// The world of several ranks, each with a region.
    Cluster(RegionTarget),
    /// A file.
    Checkpoint(PathBuf),
    /// The manifest of a set of checkpoints.
    Set(PathBuf),
    /// A frame of a journal; none: its last.
    Journal(PathBuf, Option<u64>),
    /// The directory of the journals of all ranks.
    Journals(PathBuf),
    /// A frame of a run that left checkpoints.
    Rerun(PathBuf, u64),
    /// Neither: why it is no region.
    Neither(String),
}

impl FromStr for Source {
    type Err = Infallible;

    /// A path that is a file, or ends like a checkpoint's, is one, or a manifest; a directory with a journal is that, and
    /// `DIR@FRAME` a frame of it, or of the run whose checkpoints it has; all else is a region.
    fn from_str(text: &str) -> Result<Source, Infallible> {
        if let Some(journal) = journal(text) {
            return Ok(journal);
        }
        let path = Path::new(text);
        let is_path = text.contains(['/', '.']);
        let ends = |with: &str| path.extension().is_some_and(|end| end == with) && !path.is_dir();
        if is_path && (ends("checkpoints") || path.is_file() && CheckpointSet::is_one(path)) {
            return Ok(Source::Set(path.to_owned()));
        }
        if is_path && (path.is_file() || ends("checkpoint")) {
            return Ok(Source::Checkpoint(path.to_owned()));
        }
        Ok(text.parse().map_or_else(
            |error: hypostyle::RegionError| Source::Neither(format!("{error}; and there is no file `{text}`")),
            |target| if cluster::is_one(&target) { Source::Cluster(target) } else { Source::Region(target) },
        ))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Region(target) => write!(f, "region {target}"),
            Source::Cluster(target) => write!(f, "ranks of {target}"),
            Source::Checkpoint(path) => write!(f, "checkpoint {}", path.display()),
            Source::Set(path) => write!(f, "checkpoints {}", path.display()),
            Source::Journals(path) => write!(f, "journals of ranks {}", path.display()),
            Source::Journal(path, None) => write!(f, "journal {}", path.display()),
            Source::Journal(path, Some(frame)) => write!(f, "journal {}@{frame}", path.display()),
            Source::Rerun(path, frame) => write!(f, "run {}@{frame}", path.display()),
            Source::Neither(_) => f.write_str("neither"),
        }
    }
}

/// What was opened.
pub(crate) struct Opened {
    /// To pin generations with; of a checkpoint or a journal's frame it is the only one.
    pub reader: Reader,
    /// The checkpoint, if it is one.
    pub file: Option<CheckpointFile>,
    /// The set of checkpoints, if it is one.
    pub set: Option<CheckpointSet>,
}

impl Opened {
    fn of(reader: Reader) -> Opened {
        Opened { reader, file: None, set: None }
    }

    /// What was noted in the file.
    pub(crate) fn notes(&self) -> &[(String, String)] {
        let notes = self.file.as_ref().map(CheckpointFile::notes);
        notes.or(self.set.as_ref().map(CheckpointSet::notes)).unwrap_or_default()
    }
}

impl Source {
    /// Opens it; a checkpoint is loaded into memory.
    pub(crate) fn open(&self) -> Outcome<Opened> {
        match self {
            Source::Region(target) => Ok(Opened::of(open::open(target)?)),
            Source::Cluster(target) => Err(Failure::usage(format!(
                "{target} is the world of several ranks, which this command does not take: name one rank, as {}, or use \
                 `inspect`, `stats`, `watch`, `hash --by-id`, `export`, `query` or `top`",
                target.of_rank(0)
            ))),
            Source::Checkpoint(path) => {
                let file = checkpoint::open(path)?;
                let reader = file.load()?;
                Ok(Opened { file: Some(file), ..Opened::of(reader) })
            }
            Source::Set(path) => {
                let set = CheckpointSet::open(path)?;
                let reader = set.load()?;
                Ok(Opened { set: Some(set), ..Opened::of(reader) })
            }
            Source::Journal(path, frame) => {
                let journal = open_journal(path)?;
                let entry = frame.map_or_else(|| Ok(journal.last()), |frame| journal.at(frame))?;
                Ok(Opened::of(journal.replay_to(entry)?.load()?))
            }
            Source::Rerun(path, frame) => Ok(Opened::of(Rerun::open(path)?.at(*frame, World::builder())?.reader()?)),
            Source::Journals(path) => Err(Failure::usage(format!(
                "{} has the journals of several ranks: name one, as {}, or export them with --every",
                path.display(),
                rank_journal(path, 0).display()
            ))),
            Source::Neither(why) => Err(Failure::usage(why.clone())),
        }
    }

    /// The region's name, if it is one.
    pub(crate) fn region(&self) -> Option<String> {
        match self {
            Source::Region(target) | Source::Cluster(target) => Some(target.to_string()),
            _ => None,
        }
    }

    /// The path of the checkpoint or the manifest, if it is one.
    pub(crate) fn checkpoint(&self) -> Option<&Path> {
        match self {
            Source::Checkpoint(path) | Source::Set(path) => Some(path),
            _ => None,
        }
    }
}

/// `DIR` with a journal, or `DIR@FRAME` of one or of a run with checkpoints.
pub(crate) fn journal(text: &str) -> Option<Source> {
    if let Some((directory, frame)) = text.rsplit_once('@')
        && let Ok(frame) = frame.parse::<u64>()
        && Path::new(directory).is_dir()
    {
        let is_rerun = !Journal::is_journal(Path::new(directory)) && Rerun::is_one(Path::new(directory));
        return Some(match is_rerun {
            true => Source::Rerun(directory.into(), frame),
            false => Source::Journal(directory.into(), Some(frame)),
        });
    }
    if Journal::is_journal(&rank_journal(Path::new(text), 0)) {
        return Some(Source::Journals(text.into()));
    }
    Journal::is_journal(Path::new(text)).then(|| Source::Journal(text.into(), None))
}

/// Where the journal of a rank is.
fn rank_journal(directory: &Path, rank: usize) -> PathBuf {
    directory.join(format!("rank-{rank:05}"))
}

/// Opens the journals of all ranks.
pub(crate) fn open_journals(directory: &Path) -> Outcome<Vec<Journal>> {
    let ranks = (0..).map(|rank| rank_journal(directory, rank)).take_while(|path| Journal::is_journal(path));
    let journals = ranks.map(|path| open_journal(&path)).collect::<Outcome<Vec<_>>>()?;
    let told = journals.first().and_then(|journal| journal.note("ranks")).map(str::to_owned);
    match told {
        Some(told) if told != journals.len().to_string() => {
            let what = format!("{} has the journals of {} ranks of {told}", directory.display(), journals.len());
            Err(Failure::new(failure::NOT_FOUND, what))
        }
        _ => Ok(journals),
    }
}

/// Opens a journal; what its writer left unfinished is told.
pub(crate) fn open_journal(path: &Path) -> Outcome<Journal> {
    let journal = Journal::open(path)?;
    if let Some(torn) = journal.truncated_tail() {
        tracing::warn!("{torn}");
    }
    for gap in journal.gaps() {
        tracing::warn!("{}: {gap}", path.display());
    }
    Ok(journal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_regions_and_files_are_checkpoints() {
        let parse = |text: &str| text.parse::<Source>().expect("it never fails");
        assert_eq!(parse("ants"), Source::Region(RegionTarget::Named("ants".to_owned())));
        assert_eq!(parse("./ants"), Source::Region(RegionTarget::Directory("./ants".into())));
        assert_eq!(parse("ants.checkpoint"), Source::Checkpoint("ants.checkpoint".into()));
        assert_eq!(parse("ants.checkpoints"), Source::Set("ants.checkpoints".into()));
        assert_eq!(parse("./Cargo.toml"), Source::Checkpoint("./Cargo.toml".into()));
        assert_eq!(parse("Cargo.toml"), Source::Checkpoint("Cargo.toml".into()));
        assert!(matches!(parse("two words"), Source::Neither(why) if why.contains("no file `two words`")));
    }
}
