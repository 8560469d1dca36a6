//! A power failure: of what was not synced anything may be left, and a name may be the one before.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::director::Dice;

/// What a directory's names lead to, by inode.
type Names = BTreeMap<PathBuf, u64>;

/// What of a directory's files is on the disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// By inode.
    synced: BTreeMap<u64, Vec<u8>>,
    /// Names as they were when the directory was last known to be on the disk.
    names: Names,
}

fn names_of(directory: &Path) -> std::io::Result<Names> {
    let mut out = Names::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        out.insert(entry.file_name().into(), entry.metadata()?.ino());
    }
    Ok(out)
}

/// What is left of bytes that were not synced.
fn torn(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let kept = dice.below(bytes.len() as u64 + 1) as usize;
    match dice.below(4) {
        0 => bytes.clear(),
        1 => bytes.truncate(kept),
        // the file has its length, and not its bytes
        2 => bytes[kept..].fill(0),
        _ => {
            // whatever came late is there
            let end = (kept + dice.below(4096) as usize).min(bytes.len());
            bytes[kept..end].fill(0);
        }
    }
    bytes
}

impl Disk {
    /// Files of a directory were synced: those of this kind.
    pub fn files_synced(&mut self, directory: &Path, kind: fn(&str) -> bool) -> std::io::Result<()> {
        for (name, inode) in names_of(directory)? {
            if name.to_str().is_some_and(kind) {
                self.synced.insert(inode, std::fs::read(directory.join(name))?);
            }
        }
        Ok(())
    }

    /// The directory itself was.
    pub fn names_synced(&mut self, directory: &Path) -> std::io::Result<()> {
        self.names = names_of(directory)?;
        Ok(())
    }

    /// All that is there is on the disk, and nothing else is known.
    pub fn of(directory: &Path) -> std::io::Result<Disk> {
        let mut disk = Disk::default();
        if directory.exists() {
            disk.files_synced(directory, |_| true)?;
            disk.names_synced(directory)?;
        }
        Ok(disk)
    }

    /// Makes another directory of what a power failure leaves of one.
    pub fn fail(&self, directory: &Path, left: &Path, dice: &mut Dice) -> std::io::Result<()> {
        std::fs::create_dir(left)?;
        let now = names_of(directory)?;
        let names = if dice.one_in(2) { &now } else { &self.names };
        for (name, inode) in names {
            let synced = self.synced.get(inode).map_or(&[][..], Vec::as_slice);
            // a file whose name is another by now has what was synced of it
            let is_there = now.get(name) == Some(inode);
            let written = if is_there { std::fs::read(directory.join(name))? } else { synced.to_vec() };
            let bytes = match written.strip_prefix(synced) {
                Some(rest) => [synced, &torn(rest.to_vec(), dice)].concat(),
                None => written,
            };
            std::fs::write(left.join(name), bytes)?;
        }
        Ok(())
    }
}
