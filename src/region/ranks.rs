//! Regions that are parts of one world: each process of a cluster (a rank) has its own, and notes say to what they belong.
//!
//! The world `melt` on 4 ranks is in the regions `melt-rank-00000` to `melt-rank-00003`. Each has the notes `rank`, `ranks`
//! and `cluster`, a number of the run that all its regions share. Notes are written before a region appears and go with
//! it, so that no file besides can be wrong or left behind.
//!
//! Invariant: what notes say is compared with what is there; regions of another run are never taken for a part.
#![forbid(unsafe_code)]

use std::path::Path;

use super::error::RegionError;
use super::list::{RegionInfo, inspect};
use super::target::RegionTarget;

/// Ranks of a cluster that can be looked at, at most.
pub const RANKS_MAX: usize = 100_000;
/// The note that says which part a region is.
const RANK: &str = "rank";
/// The note that says of how many.
const RANKS: &str = "ranks";
/// The note that says of which run.
const CLUSTER: &str = "cluster";

impl RegionTarget {
    /// Where the region of a rank is, of a world that several processes write under this name.
    ///
    /// ```
    /// use hypostyle::RegionTarget;
    /// let melt = RegionTarget::Named("melt".to_owned());
    /// assert_eq!(melt.of_rank(3).to_string(), "melt-rank-00003");
    /// ```
    #[must_use]
    pub fn of_rank(&self, rank: usize) -> RegionTarget {
        match self {
            RegionTarget::Heap => RegionTarget::Heap,
            RegionTarget::Named(name) => RegionTarget::Named(format!("{name}-rank-{rank:05}")),
            RegionTarget::Directory(path) => {
                let mut name = path.file_name().unwrap_or_default().to_owned();
                name.push(format!("-rank-{rank:05}"));
                RegionTarget::Directory(path.parent().unwrap_or(Path::new("")).join(name))
            }
        }
    }

    /// The name of the world that this region is a part of, if it is called as one.
    #[must_use]
    pub fn cluster(&self) -> Option<RegionTarget> {
        let part = |name: &str| {
            let (name, rank) = name.rsplit_once("-rank-")?;
            (rank.len() == 5 && rank.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty())
                .then(|| name.to_owned())
        };
        match self {
            RegionTarget::Heap => None,
            RegionTarget::Named(name) => part(name).map(RegionTarget::Named),
            RegionTarget::Directory(path) => {
                Some(RegionTarget::Directory(path.with_file_name(part(path.file_name()?.to_str()?)?)))
            }
        }
    }
}

/// What the region of a rank notes of itself: for [`WorldBuilder::note`](crate::WorldBuilder::note). `cluster` is the
/// same number on all ranks, and another one in each run.
#[must_use]
pub fn notes_of_rank(rank: usize, ranks: usize, cluster: u64) -> [(&'static str, String); 3] {
    [(RANK, rank.to_string()), (RANKS, ranks.to_string()), (CLUSTER, format!("{cluster:016x}"))]
}

/// The parts of a world that several processes write under this name, one of each rank; `None`: there is no such world.
///
/// # Errors
/// [`RegionError::Ranks`]: a part is missing, not readable, or of another run.
pub fn ranks(target: &RegionTarget) -> Result<Option<Vec<RegionInfo>>, RegionError> {
    if !target.of_rank(0).path()?.is_some_and(|path| path.exists()) {
        return Ok(None);
    }
    let bad = |rank: usize, what: String| RegionError::Ranks { target: target.clone(), rank, what };
    let first = part(target, 0, None)?;
    let size = note(&first, RANKS).and_then(|size| size.parse().ok()).filter(|size| (1..=RANKS_MAX).contains(size));
    let size = size.ok_or_else(|| bad(0, format!("it does not note how many there are, 1 to {RANKS_MAX}")))?;
    let mut all = vec![first];
    for rank in 1..size {
        let next = part(target, rank, Some((&all[0], size)))?;
        all.push(next);
    }
    Ok(Some(all))
}

/// The region of a rank, which must be of the same run as the first one.
fn part(target: &RegionTarget, rank: usize, of: Option<(&RegionInfo, usize)>) -> Result<RegionInfo, RegionError> {
    let bad = |what: String| RegionError::Ranks { target: target.clone(), rank, what };
    let info = inspect(&target.of_rank(rank));
    if !info.path.exists() {
        return Err(bad("it is not here: it has not begun, has ended, or runs on another machine".to_owned()));
    }
    if let Some(error) = &info.error {
        return Err(bad(error.clone()));
    }
    if note(&info, RANK) != Some(&rank.to_string()) {
        return Err(bad("its region does not note that it is this rank".to_owned()));
    }
    if let Some((first, size)) = of
        && (note(&info, CLUSTER) != note(first, CLUSTER) || note(&info, RANKS) != Some(&size.to_string()))
    {
        return Err(bad("its region is left of another run: remove it with `hypostyle clean`".to_owned()));
    }
    Ok(info)
}

fn note<'i>(info: &'i RegionInfo, name: &str) -> Option<&'i str> {
    info.notes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn parts_are_called_after_the_whole() {
        for text in ["melt", "a-rank-b", "/data/melt", "./melt"] {
            let target: RegionTarget = text.parse().expect(text);
            let part = target.of_rank(12);
            assert_eq!(part.to_string(), format!("{text}-rank-00012"));
            assert_eq!(part.cluster(), Some(target.clone()));
            assert_eq!(target.cluster(), None);
        }
        for text in ["melt-rank-1", "melt-rank-0000x", "-rank-00001"] {
            assert_eq!(RegionTarget::Named(text.to_owned()).cluster(), None, "{text}");
        }
    }
}
