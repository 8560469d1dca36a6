//! Rows that change ranks: at a sort, when their keys are new, each goes to the rank that owns its cell. Where systems look
//! at all rows, they go to the rank of their share of the ids, once, when a simulation goes on from a file.
//!
//! A row may go to any rank, however far. Who sends to whom is gathered from all ranks first, as short lists; then each
//! pair of ranks exchanges one message, of batches of rows. The sum of all rows is the same before and after, or the frame
//! fails with the ids that are missing.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use hypostyle::{Dangling, RowBatch, World};

use super::{State, engine};
use crate::bytes::{Read, put_bytes, put_u64, words_u32, words_u64};
use crate::domain::Looks;
use crate::error::ClusterError;

/// Ids that an error names, at most.
const IDS_NAMED_MAX: usize = 16;

/// What a rank sends to another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parcel {
    rows: u64,
    /// Sum of the ids, wrapping.
    ids: u64,
}

impl State {
    /// Sends each row to the rank that owns it.
    pub(super) fn migrate(&mut self, world: &mut World) -> Result<(), ClusterError> {
        let shares = match self.looks {
            Looks::All if !self.links => self.shares(world)?,
            _ => Vec::new(),
        };
        self.send_rows(world, &shares)
    }

    /// Sends each row to the rank that owns it; `shares` are those of all ids where there are no links.
    pub(super) fn send_rows(&mut self, world: &mut World, shares: &[u64]) -> Result<(), ClusterError> {
        let rank = self.comm.rank();
        let before = world.entity_count();
        let mut messages: BTreeMap<usize, (Parcel, Vec<u8>)> = BTreeMap::new();
        let mut gone = Vec::new();
        for table in (0..world.table_count()).filter(|table| !world.is_elsewhere(*table)).collect::<Vec<_>>() {
            let mut leaving: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
            for (row, owner) in self.owners(world, table, shares)?.into_iter().enumerate() {
                if owner != rank {
                    leaving.entry(owner).or_default().push(row as u32);
                }
            }
            let mut all: Vec<u32> = Vec::new();
            for (owner, rows) in leaving {
                let batch = world.copy_rows(table, &rows).map_err(|error| engine(rank, error))?;
                let (parcel, message) = messages.entry(owner).or_default();
                for id in ids(&batch) {
                    parcel.rows += 1;
                    parcel.ids = parcel.ids.wrapping_add(id);
                    gone.push(id);
                }
                put_bytes(message, &batch.encode());
                all.extend_from_slice(&rows);
            }
            all.sort_unstable();
            // who stays may name who leaves
            let taken = if self.links { world.leave_rows(table, &all) } else { world.remove_rows(table, &all) };
            taken.map_err(|error| engine(rank, error))?;
        }
        self.report.rows_moved += gone.len() as u64;
        let parcels: Vec<(usize, Parcel)> = messages.iter().map(|(to, (parcel, _))| (*to, *parcel)).collect();
        let (total, coming) = self.parcels(before, &parcels)?;
        let from: Vec<usize> = coming.keys().copied().collect();
        let send = messages.into_iter().map(|(to, (_, message))| (to, message)).collect();
        let arrived = self.comm.exchange("rows that move", send, &from)?;
        let came = self.take_in(world, &coming, &arrived)?;
        self.count(world, total, &gone, &came)
    }

    /// The rank to which each row of a table belongs; nothing for a table whose rows may be anywhere.
    fn owners(&self, world: &World, table: usize, shares: &[u64]) -> Result<Vec<usize>, ClusterError> {
        match (&self.looks, &self.bricks) {
            (Looks::Near(domain), Some(bricks)) => {
                let key_column = domain.key_column();
                let keys = keys(world, table, &key_column)?.unwrap_or_default();
                let owner = |(row, key): (usize, u32)| {
                    bricks.owner(key).ok_or_else(|| {
                        ClusterError::World(format!(
                            "the entity with global id {} has `{key_column}` {key}, but there are {} cells",
                            id_of(world, table, row),
                            domain.cells.count()
                        ))
                    })
                };
                keys.into_iter().enumerate().map(owner).collect()
            }
            (Looks::All, _) if self.links => Ok(self.linked_owners(world, table)),
            (Looks::All, _) => Ok(ids_of(world, table).into_iter().map(|id| owner_of(id, shares)).collect()),
            _ => Ok(Vec::new()),
        }
    }

    /// The first id of each rank's share, of all ids of all ranks: shares are as long as they can be alike. A rank without ids
    /// has the first one of the next rank that has some.
    fn shares(&mut self, world: &World) -> Result<Vec<u64>, ClusterError> {
        let mine = (0..world.table_count()).flat_map(|table| ids_of(world, table));
        let mine: Vec<u8> = mine.flat_map(u64::to_le_bytes).collect();
        let mut all: Vec<u64> = Vec::new();
        for ids in self.comm.all_gather("global ids", &mine)? {
            all.extend(words_u64(&ids));
        }
        all.sort_unstable();
        Ok(first_ids(&all, self.comm.size()))
    }

    /// Tells all ranks how many rows are here and who gets which parcel; gives all rows, and the parcels that come here.
    fn parcels(
        &mut self,
        rows: u64,
        parcels: &[(usize, Parcel)],
    ) -> Result<(u64, BTreeMap<usize, Parcel>), ClusterError> {
        let mut mine = Vec::new();
        put_u64(&mut mine, rows);
        for (to, parcel) in parcels {
            put_u64(&mut mine, *to as u64);
            put_u64(&mut mine, parcel.rows);
            put_u64(&mut mine, parcel.ids);
        }
        let all = self.comm.all_gather("who sends rows to whom", &mine)?;
        let mut total = 0_u64;
        let mut coming = BTreeMap::new();
        for (from, list) in all.iter().enumerate() {
            let mut read = Read::new(from, list);
            total = total.wrapping_add(read.u64()?);
            while !read.is_empty() {
                let (to, parcel) = (read.u64()?, Parcel { rows: read.u64()?, ids: read.u64()? });
                if to == self.comm.rank() as u64 && from != self.comm.rank() {
                    coming.insert(from, parcel);
                }
            }
        }
        Ok((total, coming))
    }

    /// Puts rows in, in the order of the ranks that sent them, and gives their ids.
    fn take_in(
        &mut self,
        world: &mut World,
        coming: &BTreeMap<usize, Parcel>,
        arrived: &[Vec<u8>],
    ) -> Result<Vec<u64>, ClusterError> {
        let mut came = Vec::new();
        let mut batches = Vec::new();
        for ((from, parcel), message) in coming.iter().zip(arrived) {
            let mut read = Read::new(*from, message);
            let mut found = Parcel::default();
            while !read.is_empty() {
                let batch = world.decode_rows(read.bytes()?).map_err(|error| read.bad(error.to_string()))?;
                for id in ids(&batch) {
                    found.rows += 1;
                    found.ids = found.ids.wrapping_add(id);
                    came.push(id);
                }
                batches.push(batch);
            }
            if found != *parcel {
                let what = format!("{} rows were announced, {} came, or others", parcel.rows, found.rows);
                return Err(read.bad(what));
            }
        }
        let dangling = if self.links { Dangling::Elsewhere } else { Dangling::Refuse };
        world.put_rows(&batches, dangling).map_err(|error| engine(self.comm.rank(), error))?;
        if self.links {
            super::links::check_once(world, &came)?;
        }
        Ok(came)
    }

    /// Whether all rows are still there.
    fn count(&mut self, world: &World, before: u64, gone: &[u64], came: &[u64]) -> Result<(), ClusterError> {
        let after = self.comm.sum("rows after moving", world.entity_count())?;
        if after == before {
            return Ok(());
        }
        // of the ids that came, those that are here; of those that went, those that are not
        let mut here = BTreeSet::new();
        for table in 0..world.table_count() {
            here.extend(ids_of(world, table));
        }
        let gone: Vec<u64> = gone.iter().copied().filter(|id| !here.contains(id)).collect();
        let came: Vec<u64> = came.iter().copied().filter(|id| here.contains(id)).collect();
        let mut mine = Vec::new();
        for ids in [gone, came] {
            let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
            put_bytes(&mut mine, &bytes);
        }
        let mut moved = Moved::default();
        for (rank, lists) in self.comm.all_gather("ids that moved", &mine)?.iter().enumerate() {
            let mut read = Read::new(rank, lists);
            moved.went(&words_u64(read.bytes()?));
            moved.came(&words_u64(read.bytes()?));
        }
        let ids = moved.unaccounted();
        Err(ClusterError::Lost { frame: world.frame(), before, after, ids })
    }
}

/// Whose share an id is in, by the first id of each.
pub(super) fn owner_of(id: u64, firsts: &[u64]) -> usize {
    firsts.partition_point(|first| *first <= id).saturating_sub(1)
}

/// The first of each of so many shares of ascending ids.
pub(super) fn first_ids(ids: &[u64], shares: usize) -> Vec<u64> {
    (0..shares).map(|share| ids.get(ids.len() * share / shares).copied().unwrap_or(u64::MAX)).collect()
}

/// The keys of a table's rows; none of a table without the key.
pub(super) fn keys(world: &World, table: usize, key: &str) -> Result<Option<Vec<u32>>, ClusterError> {
    let column = world.table_column(table, key).map_err(|error| ClusterError::World(error.to_string()))?;
    Ok(column.map(|(_, bytes)| words_u32(bytes)))
}

/// The global ids of a batch's rows.
pub(super) fn ids(batch: &RowBatch) -> Vec<u64> {
    batch.column("global_id.value").map(|(_, bytes)| words_u64(bytes)).unwrap_or_default()
}

pub(super) fn ids_of(world: &World, table: usize) -> Vec<u64> {
    let column = world.table_column(table, "global_id.value").ok().flatten();
    column.map(|(_, bytes)| words_u64(bytes)).unwrap_or_default()
}

fn id_of(world: &World, table: usize, row: usize) -> u64 {
    ids_of(world, table).get(row).copied().unwrap_or_default()
}

/// Which ids went and came, on all ranks.
#[derive(Default)]
struct Moved(BTreeMap<u64, i64>);

impl Moved {
    fn went(&mut self, ids: &[u64]) {
        ids.iter().for_each(|id| *self.0.entry(*id).or_default() += 1);
    }

    fn came(&mut self, ids: &[u64]) {
        ids.iter().for_each(|id| *self.0.entry(*id).or_default() -= 1);
    }

    /// The first few that went and did not come, or came twice.
    fn unaccounted(self) -> Vec<u64> {
        self.0.into_iter().filter(|(_, count)| *count != 0).map(|(id, _)| id).take(IDS_NAMED_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_ids_are_alike() {
        assert_eq!(first_ids(&[3, 5, 9, 10, 20, 30, 31], 3), [3, 9, 20]);
        assert_eq!(first_ids(&[7, 8], 4), [7, 7, 8, 8]);
        assert_eq!(first_ids(&[], 2), [u64::MAX; 2]);
    }

    #[test]
    fn ids_that_are_lost_or_doubled_are_named() {
        let mut moved = Moved::default();
        moved.went(&[5, 6, 7]);
        moved.came(&[6]);
        moved.came(&[7, 7]);
        assert_eq!(moved.unaccounted(), [5, 7]);
        let mut many = Moved::default();
        many.went(&(0..100).collect::<Vec<_>>());
        assert_eq!(many.unaccounted().len(), IDS_NAMED_MAX);
    }
}
