//! Shares of a whole world: what each rank keeps at the beginning, the order of rows that come from a file, and all rows
//! on one rank.
#![forbid(unsafe_code)]

use hypostyle::{Dangling, RowBatch, World};

use super::migration::keys;
use super::{Cluster, State, engine};
use crate::bytes::{Read, put_bytes, words_u64};
use crate::domain::Looks;
use crate::error::ClusterError;

impl Cluster {
    /// Keeps this rank's share of a world that every rank has made whole: of each table the rows from
    /// `rows * rank / size` on. At the first sort by the key of a domain they go where their cells are.
    ///
    /// # Errors
    /// No memory.
    pub fn keep_share(&self, world: &mut World) -> Result<(), ClusterError> {
        let (rank, size) = (self.rank() as u64, self.size() as u64);
        let links = world.knows_elsewhere();
        for table in (0..world.table_count()).filter(|table| !world.is_elsewhere(*table)).collect::<Vec<_>>() {
            let rows = world.table_rows(table) as u64;
            let (from, to) = ((rows * rank / size) as u32, (rows * (rank + 1) / size) as u32);
            let others: Vec<u32> = (0..from).chain(to..rows as u32).collect();
            // rows here may name them
            let taken = if links { world.leave_rows(table, &others) } else { world.remove_rows(table, &others) };
            taken.map_err(|error| engine(rank as usize, error))?;
        }
        Ok(())
    }

    /// The column that has the number of a row's cell; `None`: the simulation has no domain.
    #[must_use]
    pub fn key_column(&self) -> Option<String> {
        self.state().domain().map(crate::Domain::key_column)
    }

    /// All rows of all ranks in the world of rank 0, in the order of `key` and their ids, or of their ids alone. The other
    /// ranks keep theirs. It takes the memory of the whole world on rank 0, and each row is sent once.
    ///
    /// # Errors
    /// No memory; a rank that is gone.
    pub fn gather_rows(&self, world: &mut World, key: Option<&str>) -> Result<(), ClusterError> {
        let mut state = self.state();
        let rank = state.comm.rank();
        let mut mine = Vec::new();
        if rank != 0 {
            for table in (0..world.table_count()).filter(|table| !world.is_elsewhere(*table)) {
                let rows: Vec<u32> = (0..world.table_rows(table) as u32).collect();
                let batch = world.copy_rows(table, &rows).map_err(|error| engine(rank, error))?;
                put_bytes(&mut mine, &batch.encode());
            }
        }
        let all = state.comm.gather("all rows", &mine)?;
        // what a rank's rows name may come with a later one's
        let dangling = if world.knows_elsewhere() { Dangling::Elsewhere } else { Dangling::Null };
        for (from, message) in all.iter().enumerate() {
            let batches = batches(world, from, message)?;
            world.put_rows(&batches, dangling).map_err(|error| engine(rank, error))?;
        }
        if rank == 0 { order(world, key, rank) } else { Ok(()) }
    }
}

impl State {
    /// Brings a world that has run before into order: each row on the rank of its cell, in the canonical order.
    pub(super) fn order_again(&mut self, world: &mut World) -> Result<(), ClusterError> {
        if self.looks == Looks::Own {
            return Ok(());
        }
        if self.links && self.comm.size() > 1 {
            self.share_out(world, true)?;
        } else if self.comm.size() > 1 {
            self.balance(world)?;
            self.migrate(world)?;
        }
        let key = self.domain().map(crate::Domain::key_column);
        order(world, key.as_deref(), self.comm.rank())?;
        if self.links { self.name_ghosts(world) } else { Ok(()) }
    }
}

/// The batches of a message.
fn batches(world: &World, from: usize, message: &[u8]) -> Result<Vec<RowBatch>, ClusterError> {
    let mut read = Read::new(from, message);
    let mut batches = Vec::new();
    while !read.is_empty() {
        batches.push(world.decode_rows(read.bytes()?).map_err(|error| read.bad(error.to_string()))?);
    }
    Ok(batches)
}

/// Puts the rows of each table into the order of their keys and ids.
pub(super) fn order(world: &mut World, key: Option<&str>, rank: usize) -> Result<(), ClusterError> {
    for table in (0..world.table_count()).filter(|table| !world.is_elsewhere(*table)).collect::<Vec<_>>() {
        let ids = world.table_column(table, "global_id.value").map_err(|error| engine(rank, error))?;
        let Some(ids) = ids.map(|(_, bytes)| words_u64(bytes)) else { continue };
        let keys = match key {
            Some(key) => keys(world, table, key)?,
            None => None,
        };
        let place = |row: u32| (keys.as_ref().map_or(0, |keys| keys[row as usize]), ids[row as usize]);
        let mut rows: Vec<u32> = (0..ids.len() as u32).collect();
        if rows.windows(2).all(|pair| place(pair[0]) < place(pair[1])) {
            continue;
        }
        rows.sort_unstable_by_key(|row| place(*row));
        let batch = world.copy_rows(table, &rows).map_err(|error| engine(rank, error))?;
        // handles of rows that may be named stay
        let links = world.knows_elsewhere();
        let taken = if links { world.leave_rows(table, &rows) } else { world.remove_rows(table, &rows) };
        taken.map_err(|error| engine(rank, error))?;
        world.put_rows(&[batch], Dangling::Null).map_err(|error| engine(rank, error))?;
    }
    Ok(())
}
