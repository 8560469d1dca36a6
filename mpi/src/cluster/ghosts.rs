//! Ghosts: which rows go to whom, and which columns of them.
//!
//! A message of new ghosts, for each table of the sender that has the key and something that views read:
//!
//! ```text
//! u64  components; for each its name (u64 length, text)
//! u64  the first id and the last, where systems look at all rows
//! u32  rows in each cell that the receiver needs of the sender, in ascending order of cells
//! for each component that views read and the table has, for each field: its values, row by row
//! ```
//!
//! Later messages have, for each of these tables, the stale components' values of the same rows in the same order. Which
//! cells go to whom both sides know from the bricks; all lengths are checked against that.
//!
//! Where systems look at all rows, each rank is a cell of its own, whose number is the rank's, and everybody needs it.
//!
//! Invariant: ghosts stand in the order of their cells, and within a cell in the order that they have on the rank that owns
//! them; a cell is of one rank, so neighbours are met in the order that they have on one rank alone.
#![forbid(unsafe_code)]

use std::ops::Range;

use hypostyle::World;
use hypostyle::exchange::ViewNeeds;

use super::{State, engine};
use crate::bricks::Bricks;
use crate::bytes::{Read, put_bytes, put_u32, put_u64, words_u32};
use crate::comm::Comm;
use crate::domain::{Domain, Looks};
use crate::error::ClusterError;

/// Who is near whom.
#[derive(Debug, Default)]
pub(super) struct Plan {
    neighbours: Vec<Neighbour>,
    /// Ghosts that came.
    pub(super) rows: u64,
}

/// What goes to and comes from a rank.
#[derive(Debug)]
struct Neighbour {
    rank: usize,
    /// Own cells that it needs, and its cells that are needed here, both ascending.
    gives: Vec<u32>,
    takes: Vec<u32>,
    /// Rows that go, by table.
    send: Vec<(usize, Vec<Range<usize>>)>,
    /// Where rows that come stand among the ghosts of a table.
    receive: Vec<(usize, Vec<Piece>)>,
}

/// Rows of a message that stand together.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Of the first.
    cell: u32,
    /// First row in the message, and among the ghosts.
    from: usize,
    to: usize,
    rows: usize,
}

impl Plan {
    /// The neighbours of a rank.
    pub(super) fn new(bricks: &Bricks, domain: &Domain, rank: usize) -> Self {
        let neighbours = bricks.neighbours(rank, domain.reach).into_iter().map(|other| Neighbour {
            rank: other,
            gives: bricks.ghosts(rank, other, domain.reach),
            takes: bricks.ghosts(other, rank, domain.reach),
            send: Vec::new(),
            receive: Vec::new(),
        });
        Plan { neighbours: neighbours.collect(), rows: 0 }
    }

    /// Everybody, where systems look at all rows.
    pub(super) fn all(rank: usize, size: usize) -> Self {
        let neighbours = (0..size).filter(|other| *other != rank).map(|other| Neighbour {
            rank: other,
            gives: vec![rank as u32],
            takes: vec![other as u32],
            send: Vec::new(),
            receive: Vec::new(),
        });
        Plan { neighbours: neighbours.collect(), rows: 0 }
    }

    fn ranks(&self) -> Vec<usize> {
        self.neighbours.iter().map(|neighbour| neighbour.rank).collect()
    }
}

/// What came of one table from one neighbour.
struct Arrived<'a> {
    neighbour: usize,
    table: usize,
    pieces: Vec<Piece>,
    /// Columns by name, in the order of the message.
    columns: Vec<(String, &'a [u8])>,
}

impl State {
    /// Makes all ghosts anew.
    pub(super) fn make_ghosts(&mut self, world: &mut World) -> Result<(), ClusterError> {
        let rank = self.comm.rank();
        if self.looks == Looks::All && self.plan.is_none() {
            self.plan = Some(Plan::all(rank, self.comm.size()));
        }
        let Some(plan) = &mut self.plan else { return Ok(()) };
        world.clear_ghosts();
        let mut send = Vec::with_capacity(plan.neighbours.len());
        let tables = spread_tables(world, &self.looks, &self.viewed, self.links.then_some(&self.views[..]));
        let mut keys = Vec::with_capacity(tables.len());
        for table in &tables {
            keys.push(ordered_keys(world, *table, &self.looks, rank)?);
        }
        for neighbour in &mut plan.neighbours {
            neighbour.send.clear();
            let mut message = self.comm.message();
            for (table, keys) in tables.iter().zip(&keys) {
                put_names(world, *table, message.end());
                if self.looks == Looks::All {
                    let (first, last) = ends(world, *table)?.unwrap_or_default();
                    put_u64(message.end(), first);
                    put_u64(message.end(), last);
                }
                let runs = put_rows(keys, &neighbour.gives, message.end());
                for component in viewed_of(world, *table, &self.viewed) {
                    pack(world, *table, &component, &runs, message.end())?;
                }
                neighbour.send.push((*table, runs));
            }
            self.report.ghost_rows_sent +=
                neighbour.send.iter().flat_map(|(_, runs)| runs).map(|run| run.len() as u64).sum::<u64>();
            send.push((neighbour.rank, message));
        }
        let ranks = plan.ranks();
        let messages = self.comm.exchange_messages("new ghosts", send, &ranks, 0)?;
        let mut arrived = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            let from = Sender { neighbour: &plan.neighbours[index], index, rank, looks: &self.looks };
            read_new(world, &self.viewed, &from, message.bytes(), &mut arrived)?;
        }
        plan.rows = settle(world, plan, arrived)?;
        messages.into_iter().for_each(|message| self.comm.done(message));
        if self.links { self.name_ghosts(world) } else { Ok(()) }
    }

    /// Forwards components of the rows that are ghosts elsewhere.
    pub(super) fn forward(&mut self, world: &mut World, components: &[String]) -> Result<(), ClusterError> {
        let Some(plan) = &mut self.plan else { return Ok(()) };
        forward(&mut self.comm, world, plan, components)?;
        let rows = plan.neighbours.iter().flat_map(|neighbour| &neighbour.send).flat_map(|(_, runs)| runs);
        self.report.ghost_rows_sent += rows.map(|run| run.len() as u64).sum::<u64>();
        Ok(())
    }
}

fn forward(comm: &mut Comm, world: &mut World, plan: &Plan, components: &[String]) -> Result<(), ClusterError> {
    let mut send = Vec::with_capacity(plan.neighbours.len());
    for neighbour in &plan.neighbours {
        let mut message = comm.message();
        for (table, runs) in &neighbour.send {
            for component in viewed_of(world, *table, components) {
                pack(world, *table, &component, runs, message.end())?;
            }
        }
        send.push((neighbour.rank, message));
    }
    let messages = comm.exchange_messages("ghosts", send, &plan.ranks(), 0)?;
    for (neighbour, message) in plan.neighbours.iter().zip(messages) {
        let mut read = Read::new(neighbour.rank, message.bytes());
        for (table, pieces) in &neighbour.receive {
            let rows: usize = pieces.iter().map(|piece| piece.rows).sum();
            if rows == 0 {
                continue;
            }
            for component in viewed_of(world, *table, components) {
                for (name, size) in fields(world, &component) {
                    let values = read.take(rows.saturating_mul(size))?;
                    let column = world.ghost_column_mut(*table, &name).map_err(|error| engine(comm.rank(), error))?;
                    let Some(column) = column else { return Err(read.bad(format!("ghosts here have no `{name}`"))) };
                    place(column, values, pieces, size);
                }
            }
        }
        read.end()?;
        comm.done(message);
    }
    Ok(())
}

/// Puts a table's components.
fn put_names(world: &World, table: usize, message: &mut Vec<u8>) {
    let names: Vec<&str> = world.table_components(table).collect();
    put_u64(message, names.len() as u64);
    for name in names {
        put_bytes(message, name.as_bytes());
    }
}

/// Puts the rows in each of some cells, and gives the rows of these cells.
fn put_rows(keys: &[u32], cells: &[u32], message: &mut Vec<u8>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for cell in cells {
        let start = keys.partition_point(|key| key < cell);
        let rows = keys[start..].partition_point(|key| key == cell);
        put_u32(message, rows as u32);
        match runs.last_mut() {
            Some(last) if last.end == start => last.end += rows,
            _ if rows > 0 => runs.push(start..start + rows),
            _ => {}
        }
    }
    runs
}

/// The tables with rows that have the key (where systems look at all rows: that is the id) and something that views read.
pub(super) fn spread_tables(
    world: &World,
    looks: &Looks,
    viewed: &[String],
    views: Option<&[ViewNeeds]>,
) -> Vec<usize> {
    let key = looks.near().map_or(super::conditions::GLOBAL_ID, |domain| &domain.key.0);
    let has = |table: &usize| {
        world.table_rows(*table) > 0
            && world.table_components(*table).any(|name| name == key)
            && world.table_components(*table).any(|name| viewed.iter().any(|viewed| viewed == name))
    };
    let shown = |table: &usize| {
        let components: Vec<&str> = world.table_components(*table).collect();
        !world.is_elsewhere(*table) && views.is_none_or(|views| views.iter().any(|view| view.may_show(&components)))
    };
    (0..world.table_count()).filter(has).filter(shown).collect()
}

/// Those of some components that a table has, in the order of the given ones.
fn viewed_of(world: &World, table: usize, components: &[String]) -> Vec<String> {
    let has = |name: &&String| world.table_components(table).any(|other| other == name.as_str());
    components.iter().filter(has).cloned().collect()
}

/// Names of a component's columns, and bytes of a value of each.
fn fields(world: &World, component: &str) -> Vec<(String, usize)> {
    let layout = world.layout().components().iter().find(|other| other.name == component);
    let fields = layout.map(|layout| layout.fields.as_slice()).unwrap_or_default();
    fields.iter().map(|field| (format!("{component}.{}", field.name), field.ty.bytes())).collect()
}

/// Puts the values of rows.
fn pack(
    world: &World,
    table: usize,
    component: &str,
    runs: &[Range<usize>],
    message: &mut Vec<u8>,
) -> Result<(), ClusterError> {
    for (name, size) in fields(world, component) {
        let column = world.table_column(table, &name).map_err(|error| ClusterError::World(error.to_string()))?;
        let Some((_, column)) = column else { continue };
        for run in runs {
            message.extend_from_slice(&column[run.start * size..run.end * size]);
        }
    }
    Ok(())
}

/// A column that there must be.
fn column<'a>(world: &'a World, table: usize, name: &str) -> Result<&'a [u8], ClusterError> {
    let column = world.table_column(table, name).map_err(|error| ClusterError::World(error.to_string()))?;
    let missing = || ClusterError::World(format!("a table has no column `{name}`"));
    column.map(|(_, bytes)| bytes).ok_or_else(missing)
}

/// The first id of a table's rows, and the last; none where it has no rows.
fn ends(world: &World, table: usize) -> Result<Option<(u64, u64)>, ClusterError> {
    let ids = column(world, table, "global_id.value")?;
    let ends = ids.first_chunk::<8>().zip(ids.last_chunk::<8>());
    Ok(ends.map(|(first, last)| (u64::from_le_bytes(*first), u64::from_le_bytes(*last))))
}

/// The keys of a table's rows, which stand in the canonical order. Where systems look at all rows they all have the rank's.
fn ordered_keys(world: &World, table: usize, looks: &Looks, rank: usize) -> Result<Vec<u32>, ClusterError> {
    let ids = column(world, table, "global_id.value")?;
    let Some(domain) = looks.near() else {
        let id = |row: usize| ids.get(row * 8..row * 8 + 8).map_or(0, crate::comm::word);
        let rows = ids.len() / 8;
        return match (1..rows).find(|row| id(*row - 1) >= id(*row)) {
            None => Ok(vec![rank as u32; rows]),
            Some(row) => Err(ClusterError::World(format!(
                "rows are not in the order of `global_id.value` where systems look at all rows: row {row} has {} after {}; \
                 spawn them in that order, and sort by nothing else",
                id(row),
                id(row - 1)
            ))),
        };
    };
    let key = domain.key_column();
    let keys = words_u32(column(world, table, &key)?);
    let place = |row: usize| (keys[row], ids.get(row * 8..row * 8 + 8).map_or(0, crate::comm::word));
    match (1..keys.len()).find(|row| place(*row - 1) >= place(*row)) {
        None => Ok(keys),
        Some(row) => Err(ClusterError::World(format!(
            "rows are not in the order of `{key}` and `global_id.value` where systems look at neighbours: row {row} has {:?} \
             after {:?}; sort with `.sort_by(\"{key}\").sort_then_by(\"global_id.value\")`, and look at no neighbours \
             between a spawn and the next sort",
            place(row),
            place(row - 1)
        ))),
    }
}

/// Who sent a message, and to whom.
struct Sender<'a> {
    neighbour: &'a Neighbour,
    index: usize,
    /// This rank.
    rank: usize,
    looks: &'a Looks,
}

impl Sender<'_> {
    /// Reads a table's first id and last where systems look at all rows: shares of ranks stand one after the other.
    fn check_ends(&self, world: &World, table: usize, read: &mut Read<'_>) -> Result<(), ClusterError> {
        if *self.looks != Looks::All {
            return Ok(());
        }
        let theirs = (read.u64()?, read.u64()?);
        let Some(own) = ends(world, table)? else { return Ok(()) };
        let (before, after) = if self.neighbour.rank < self.rank { (theirs, own) } else { (own, theirs) };
        if before.1 < after.0 {
            return Ok(());
        }
        Err(read.bad(format!(
            "it has the ids from {} to {}, and this rank those from {} to {}: where systems look at all rows each rank has \
             ids that are higher than those of the ranks before it",
            theirs.0, theirs.1, own.0, own.1
        )))
    }
}

/// Reads what came from a neighbour.
fn read_new<'a>(
    world: &mut World,
    viewed: &[String],
    from: &Sender<'_>,
    message: &'a [u8],
    arrived: &mut Vec<Arrived<'a>>,
) -> Result<(), ClusterError> {
    let Sender { neighbour, index, .. } = *from;
    let mut read = Read::new(neighbour.rank, message);
    while !read.is_empty() {
        let components = read.u64()?;
        if components > world.layout().components().len() as u64 {
            return Err(read.bad(format!("{components} components are more than there are")));
        }
        let names = (0..components).map(|_| read.text()).collect::<Result<Vec<_>, _>>()?;
        let table = world.table_with(&names).map_err(|error| read.bad(error.to_string()))?;
        if world.is_elsewhere(table) {
            return Err(read.bad("rows that stand for what lives elsewhere are nobody's ghosts"));
        }
        if arrived.iter().any(|other| other.neighbour == index && other.table == table) {
            return Err(read.bad("a table comes twice"));
        }
        from.check_ends(world, table, &mut read)?;
        let mut pieces: Vec<Piece> = Vec::new();
        let mut rows = 0_usize;
        for cell in &neighbour.takes {
            let count = read.u32()? as usize;
            if count > 0 {
                pieces.push(Piece { cell: *cell, from: rows, to: 0, rows: count });
            }
            rows += count;
        }
        let mut columns = Vec::new();
        for component in viewed_of(world, table, viewed) {
            for (name, size) in fields(world, &component) {
                columns.push((name, read.take(rows.saturating_mul(size))?));
            }
        }
        arrived.push(Arrived { neighbour: index, table, pieces, columns });
    }
    Ok(())
}

/// Gives tables their ghosts, in the order of cells, and notes where each neighbour's rows stand.
fn settle(world: &mut World, plan: &mut Plan, mut arrived: Vec<Arrived<'_>>) -> Result<u64, ClusterError> {
    let mut all = 0;
    let mut tables: Vec<usize> = arrived.iter().map(|one| one.table).collect();
    tables.sort_unstable();
    tables.dedup();
    for table in tables {
        let mut of_table: Vec<&mut Arrived<'_>> = arrived.iter_mut().filter(|one| one.table == table).collect();
        let mut order: Vec<(u32, usize, usize)> = Vec::new();
        for (index, one) in of_table.iter().enumerate() {
            order.extend(one.pieces.iter().enumerate().map(|(piece, at)| (at.cell, index, piece)));
        }
        order.sort_unstable();
        let mut rows = 0;
        for (_, index, piece) in order {
            let piece = &mut of_table[index].pieces[piece];
            piece.to = rows;
            rows += piece.rows;
        }
        let Some(first) = of_table.first() else { continue };
        let mut columns: Vec<(String, Vec<u8>)> = Vec::with_capacity(first.columns.len());
        for (number, (name, _)) in first.columns.iter().enumerate() {
            let size = size_of_column(world, name);
            let mut column = vec![0; rows * size];
            for one in &of_table {
                place(&mut column, one.columns[number].1, &one.pieces, size);
            }
            columns.push((name.clone(), column));
        }
        let columns: Vec<(&str, &[u8])> =
            columns.iter().map(|(name, column)| (name.as_str(), column.as_slice())).collect();
        world.set_ghosts(table, rows, &columns).map_err(|error| ClusterError::World(error.to_string()))?;
        all += rows as u64;
    }
    for neighbour in &mut plan.neighbours {
        neighbour.receive.clear();
    }
    for one in arrived {
        plan.neighbours[one.neighbour].receive.push((one.table, joined(&one.pieces)));
    }
    Ok(all)
}

/// Pieces of which some stand beside each other in the message and among the ghosts, these as one.
fn joined(pieces: &[Piece]) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if last.from + last.rows == piece.from && last.to + last.rows == piece.to => {
                last.rows += piece.rows;
            }
            _ => joined.push(*piece),
        }
    }
    joined
}

fn size_of_column(world: &World, name: &str) -> usize {
    let (component, _) = name.split_once('.').unwrap_or((name, ""));
    fields(world, component).into_iter().find(|(other, _)| other == name).map_or(0, |(_, size)| size)
}

/// Puts the values of a message where their rows stand.
fn place(column: &mut [u8], values: &[u8], pieces: &[Piece], size: usize) {
    for piece in pieces {
        let (from, to, bytes) = (piece.from * size, piece.to * size, piece.rows * size);
        column[to..to + bytes].copy_from_slice(&values[from..from + bytes]);
    }
}
