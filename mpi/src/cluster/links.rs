//! Entities that name each other by handles, where systems look at all rows.
//!
//! A rank knows each entity that a row of its own names, and each ghost, by a handle that stays for as long as the entity lives,
//! wherever that is: the engine keeps it ([`hypostyle::Elsewhere`]). Rows that views show have their places among the ranks in
//! the order of ids; all others may be anywhere, and go to the shares of their ids where these are cut anew.
//!
//! Rows change ranks at sorts by id, and where a simulation begins from a file. What ranks say of it is hostile until checked:
//! that an id comes once, and that what is named is somebody's.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, HashSet};

use hypostyle::World;
use hypostyle::layout::Storage;

use super::ghosts::spread_tables;
use super::migration::{first_ids, ids_of, owner_of};
use super::{State, engine};
use crate::bytes::{Read, put_bytes, words_u64};
use crate::error::ClusterError;

/// Ids that an error names, at most.
const IDS_NAMED_MAX: usize = 16;

/// What rows of a table are: the names of their components, without toggles, whose columns tables get when a row has one.
fn kind_of(world: &World, table: usize) -> String {
    let components = world.layout().components();
    let toggle = |name: &str| components.iter().any(|other| other.name == name && other.storage == Storage::Toggle);
    let mut names: Vec<&str> = world.table_components(table).filter(|name| !toggle(name)).collect();
    names.sort_unstable();
    names.join(",")
}

/// Tables of rows that are here.
fn tables(world: &World) -> impl Iterator<Item = usize> + '_ {
    (0..world.table_count()).filter(|table| !world.is_elsewhere(*table) && world.table_rows(*table) > 0)
}

impl State {
    /// Sends rows to the ranks of their ids; `anyway` or where it is time, of all kinds, by shares that are cut anew; else those
    /// that views show, by the old ones.
    pub(super) fn share_out(&mut self, world: &mut World, anyway: bool) -> Result<(), ClusterError> {
        let due = self.balance_every > 0 && self.report.rebuilds.is_multiple_of(self.balance_every);
        self.asks |= anyway || due || self.shares.is_empty();
        if self.asks {
            self.cut_shares(world)?;
        }
        self.send_rows(world, &[])
    }

    /// Cuts the ids of each kind of rows into shares of as many rows.
    fn cut_shares(&mut self, world: &World) -> Result<(), ClusterError> {
        let mut mine = Vec::new();
        for table in tables(world) {
            put_bytes(&mut mine, kind_of(world, table).as_bytes());
            let ids: Vec<u8> = ids_of(world, table).into_iter().flat_map(u64::to_le_bytes).collect();
            put_bytes(&mut mine, &ids);
        }
        let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (rank, told) in self.comm.all_gather("global ids", &mine)?.iter().enumerate() {
            let mut read = Read::new(rank, told);
            while !read.is_empty() {
                let kind = read.text()?.to_owned();
                all.entry(kind).or_default().extend(words_u64(read.bytes()?));
            }
        }
        let ranks = self.comm.size();
        let cut = |(kind, mut ids): (String, Vec<u64>)| {
            ids.sort_unstable();
            match ids.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(pair) => Err(ClusterError::World(format!("two entities have the same global id {}", pair[0]))),
                None => Ok((kind, first_ids(&ids, ranks))),
            }
        };
        self.shares = all.into_iter().map(cut).collect::<Result<_, _>>()?;
        self.report.balanced += 1;
        self.report.busy_since_cut = std::time::Duration::ZERO;
        Ok(())
    }

    /// The rank of each row of a table.
    pub(super) fn linked_owners(&self, world: &World, table: usize) -> Vec<usize> {
        let is_shown = || spread_tables(world, &self.looks, &self.viewed, Some(&self.views)).contains(&table);
        if !self.asks && !is_shown() {
            return Vec::new();
        }
        // a kind that is new since the last cut has its rows on the first rank
        let firsts = self.shares.get(&kind_of(world, table)).map_or(&[][..], Vec::as_slice);
        ids_of(world, table).into_iter().map(|id| owner_of(id, firsts)).collect()
    }

    /// Gives ghosts handles. Where rows of all kinds have gone to other ranks, looks on all of them for what is named here.
    pub(super) fn name_ghosts(&mut self, world: &mut World) -> Result<(), ClusterError> {
        let named = world.name_ghosts().map_err(|error| engine(self.comm.rank(), error))?;
        if !std::mem::take(&mut self.asks) {
            return Ok(());
        }
        let mine: Vec<u8> = named.iter().flat_map(|id| id.to_le_bytes()).collect();
        let asked = self.comm.all_gather("ids that are named", &mine)?;
        let asked: HashSet<u64> = asked.iter().flat_map(|ids| words_u64(ids)).collect();
        let own = tables(world).flat_map(|table| ids_of(world, table)).filter(|id| asked.contains(id));
        let own: Vec<u8> = own.flat_map(u64::to_le_bytes).collect();
        let answers = self.comm.all_gather("ids that are known", &own)?;
        let known: HashSet<u64> = answers.iter().flat_map(|ids| words_u64(ids)).collect();
        let nobody: BTreeSet<u64> = asked.into_iter().filter(|id| !known.contains(id)).collect();
        if nobody.is_empty() {
            return Ok(());
        }
        let some: Vec<String> = nobody.iter().take(IDS_NAMED_MAX).map(u64::to_string).collect();
        Err(ClusterError::World(format!(
            "{} global ids that rows name are those of no entity on any rank, such as {}",
            nobody.len(),
            some.join(", ")
        )))
    }
}

/// Whether each of the ids that came is here once.
pub(super) fn check_once(world: &World, came: &[u64]) -> Result<(), ClusterError> {
    let mut left: HashSet<u64> = HashSet::with_capacity(came.len());
    let mut twice = came.iter().copied().find(|id| !left.insert(*id));
    if twice.is_none() && !came.is_empty() {
        let mut seen = HashSet::with_capacity(came.len());
        let mut here = tables(world).flat_map(|table| ids_of(world, table)).filter(|id| left.contains(id));
        twice = here.find(|id| !seen.insert(*id));
    }
    match twice {
        None => Ok(()),
        Some(id) => {
            Err(ClusterError::World(format!("the entity with global id {id} came to a rank that has it already")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypostyle::GlobalId;

    #[test]
    fn an_id_that_comes_twice_is_named() {
        let mut world = World::builder().component::<GlobalId>().build().expect("a world");
        world.spawn_batch([3, 4, 5].map(GlobalId::root)).expect("memory");
        assert!(check_once(&world, &[4, 5]).is_ok(), "they came, and are here now");
        let twice = check_once(&world, &[4, 5, 4]).expect_err("it came twice");
        assert!(twice.to_string().contains("global id 4"), "{twice}");
        world.spawn(GlobalId::root(5)).expect("memory");
        let here = check_once(&world, &[5]).expect_err("it was here");
        assert!(here.to_string().contains("global id 5"), "{here}");
    }
}
