//! LMDB through heed: columns cut into chunks of rows, a value per chunk under an integer key, a write transaction per
//! publication and a read transaction per pin.
//!
//! Invariant: every value fills whole pages together with LMDB's page header, so that a chunk of 4 KiB takes one page
//! and not two; the last chunk of a column is padded with zeros.
#![expect(unsafe_code, reason = "heed opens environments and their faster flags only so")]

use std::mem::MaybeUninit;
use std::path::PathBuf;

use heed::byteorder::NativeEndian;
use heed::types::{Bytes, U32};
use heed::{
    CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, IntegerComparator, MdbError, RoTxn, RwTxn, WithTls,
};

use super::{Failure, Outcome, Reader, Spec, Stamp, View, Writer};
use crate::clock::nanos;
use crate::model::{AXES, COLUMNS, DirtySet, initial_column, step_in_place, step_into};

/// A page per chunk.
pub const CHUNKS_4_KIB: &str = "4 KiB chunks";
/// Sixteen pages per chunk.
pub const CHUNKS_64_KIB: &str = "64 KiB chunks";

const PAGE_BYTES: usize = 4096;
/// What LMDB writes at the head of an overflow run.
const PAGE_HEAD_BYTES: usize = 16;
/// The key of the stamp; chunks have smaller ones.
const STAMP_KEY: u32 = u32::MAX;
/// The map may grow to so many times the state (with a reader that holds an old one, it does), and at least this.
const MAP_STATES: usize = 84;
const MAP_BYTES_MIN: usize = 256 << 20;

type Columns = Database<'static, U32<NativeEndian>, Bytes, IntegerComparator>;

/// How columns are cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    rows: usize,
    chunk_rows: usize,
    chunks: usize,
}

impl Cut {
    fn new(spec: &Spec) -> Self {
        let pages = if spec.way == CHUNKS_64_KIB { 16 } else { 1 };
        let chunk_rows = (pages * PAGE_BYTES - PAGE_HEAD_BYTES) / size_of::<f32>();
        Cut { rows: spec.rows, chunk_rows, chunks: spec.rows.div_ceil(chunk_rows) }
    }

    fn key(&self, column: usize, chunk: usize) -> u32 {
        (column * self.chunks + chunk) as u32
    }

    fn bytes(&self) -> usize {
        self.chunk_rows * size_of::<f32>()
    }

    /// Rows of a chunk that are none of the padding.
    fn rows_of(&self, chunk: usize) -> usize {
        (self.rows - chunk * self.chunk_rows).min(self.chunk_rows)
    }
}

fn path(spec: &Spec) -> PathBuf {
    crate::session::shared_memory().join(format!("{}.lmdb", spec.session))
}

fn open(spec: &Spec, flags: EnvFlags) -> Result<Env, Failure> {
    let map_bytes = (spec.rows * COLUMNS * size_of::<f32>() * MAP_STATES).max(MAP_BYTES_MIN);
    let mut options = EnvOpenOptions::new();
    options.map_size(map_bytes.next_multiple_of(PAGE_BYTES)).max_readers(8);
    // SAFETY: without syncs a power failure may damage the file; it is in memory and lives for one measurement.
    unsafe { options.flags(flags) };
    // SAFETY: the directory is this session's own, opened once per process, on one machine, and nobody cuts its files.
    Ok(unsafe { options.open(path(spec)) }?)
}

struct LmdbWriter {
    env: Env,
    columns: Columns,
    cut: Cut,
    position: Vec<f32>,
    velocity: Vec<f32>,
}

/// The environment with the initial state.
pub fn writer(spec: &Spec) -> Result<Box<dyn Writer>, Failure> {
    std::fs::create_dir(path(spec))?;
    let fast = EnvFlags::WRITE_MAP | EnvFlags::NO_SYNC | EnvFlags::NO_META_SYNC | EnvFlags::MAP_ASYNC;
    let env = open(spec, fast)?;
    let txn = env.write_txn()?;
    let made = env.create_databases_and_commit(txn, |opener, txn| -> Result<_, heed::Error> {
        let options = opener.database_options().types::<U32<NativeEndian>, Bytes>();
        Ok(CommitOrAbort::<_, ()>::Commit(options.key_comparator::<IntegerComparator>().create(txn)?))
    })?;
    let columns: Columns = made.commit().ok_or("the database was not made")?;
    let cut = Cut::new(spec);
    let mut txn = env.write_txn()?;
    for column in 0..COLUMNS {
        let mut values = initial_column(spec.seed, column, spec.rows);
        values.resize(cut.chunks * cut.chunk_rows, 0.0);
        for (chunk, values) in values.chunks_exact(cut.chunk_rows).enumerate() {
            columns.put(&mut txn, &cut.key(column, chunk), bytemuck::cast_slice(values))?;
        }
    }
    put_stamp(&columns, &mut txn, Stamp { publication: 0, nanos: nanos() })?;
    txn.commit()?;
    let (position, velocity) = (vec![0.0; cut.chunk_rows], vec![0.0; cut.chunk_rows]);
    Ok(Box::new(LmdbWriter { env, columns, cut, position, velocity }))
}

fn put_stamp(columns: &Columns, txn: &mut RwTxn<'_>, stamp: Stamp) -> Result<(), heed::Error> {
    columns.put(txn, &STAMP_KEY, bytemuck::cast_slice(&[stamp.publication, stamp.nanos]))
}

fn chunk_of<'t>(columns: &Columns, txn: &'t RoTxn<'_>, key: u32) -> Result<&'t [f32], Failure> {
    let bytes = columns.get(txn, &key)?.ok_or("a chunk is missing")?;
    Ok(bytemuck::try_cast_slice(bytes).map_err(|error| format!("a chunk is not aligned: {error}"))?)
}

impl LmdbWriter {
    /// Both columns of one axis: read, stepped where dirty, put.
    fn step_chunk(&mut self, txn: &mut RwTxn<'_>, chunk: usize, runs: &[[u32; 2]]) -> Result<(), Failure> {
        let begin = chunk * self.cut.chunk_rows;
        let end = begin + self.cut.rows_of(chunk);
        let whole = matches!(runs, [[first, rows]] if *first as usize <= begin && (first + rows) as usize >= end);
        for axis in 0..AXES {
            let keys = [self.cut.key(axis, chunk), self.cut.key(axis + AXES, chunk)];
            let old_position = chunk_of(&self.columns, txn, keys[0])?;
            let old_velocity = chunk_of(&self.columns, txn, keys[1])?;
            if whole {
                // what lies behind the last row is stepped, too, and never looked at
                let (position, velocity) = (uninit(&mut self.position), uninit(&mut self.velocity));
                step_into(axis, old_position, old_velocity, position, velocity);
            } else {
                self.position.copy_from_slice(old_position);
                self.velocity.copy_from_slice(old_velocity);
                for [first, rows] in runs {
                    let from = (*first as usize).max(begin) - begin;
                    let to = ((first + rows) as usize).min(end) - begin;
                    step_in_place(axis, &mut self.position[from..to], &mut self.velocity[from..to]);
                }
            }
            for (key, values) in keys.iter().zip([&self.position, &self.velocity]) {
                self.columns.put_reserved(txn, key, self.cut.bytes(), |space| {
                    std::io::Write::write_all(space, bytemuck::cast_slice(values))
                })?;
            }
        }
        Ok(())
    }

    fn step(&mut self, txn: &mut RwTxn<'_>, dirty: &DirtySet) -> Result<(), Failure> {
        let chunk_rows = self.cut.chunk_rows;
        let last_chunk = |run: &[u32; 2]| (run[0] + run[1] - 1) as usize / chunk_rows;
        let (mut from, mut next) = (0, 0);
        while from < dirty.runs.len() {
            let chunk = next.max(dirty.runs[from][0] as usize / chunk_rows);
            let end = ((chunk + 1) * chunk_rows) as u32;
            let upto = from + dirty.runs[from..].partition_point(|run| run[0] < end);
            self.step_chunk(txn, chunk, &dirty.runs[from..upto])?;
            next = chunk + 1;
            // a run that goes on in the next chunk is looked at again
            from = if last_chunk(&dirty.runs[upto - 1]) > chunk { upto - 1 } else { upto };
        }
        Ok(())
    }
}

fn uninit(values: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // SAFETY: same layout, and `step_into` writes initialised values only.
    unsafe { &mut *(std::ptr::from_mut(values) as *mut [MaybeUninit<f32>]) }
}

fn is_full(failure: &Failure) -> bool {
    matches!(failure.downcast_ref(), Some(heed::Error::Mdb(MdbError::MapFull)))
}

impl Writer for LmdbWriter {
    fn publish(&mut self, dirty: &DirtySet, publication: u64) -> Result<Outcome, Failure> {
        // a second handle of the same environment, so that the transaction does not borrow the writer
        let env = self.env.clone();
        let mut txn = env.write_txn()?;
        let stepped = self.step(&mut txn, dirty);
        let commit_began = nanos();
        let committed = stepped.and_then(|()| {
            put_stamp(&self.columns, &mut txn, Stamp { publication, nanos: commit_began })?;
            Ok(txn.commit()?)
        });
        match committed {
            Ok(()) => Ok(Outcome { commit_began, visible: true, kept: true }),
            Err(failure) if is_full(&failure) => Ok(Outcome { commit_began, visible: false, kept: false }),
            Err(failure) => Err(failure),
        }
    }
}

struct LmdbReader {
    env: Env,
    columns: Columns,
    cut: Cut,
}

/// The environment, opened read-only.
pub fn reader(spec: &Spec) -> Result<Box<dyn Reader>, Failure> {
    let env = open(spec, EnvFlags::READ_ONLY)?;
    let txn = env.read_txn()?;
    let opened = env.open_databases_and_commit(txn, |opener, txn| -> Result<_, heed::Error> {
        let options = opener.database_options().types::<U32<NativeEndian>, Bytes>();
        let database = options.key_comparator::<IntegerComparator>().open(txn)?;
        Ok(match database {
            Some(database) => CommitOrAbort::Commit(database),
            None => CommitOrAbort::Abort(()),
        })
    })?;
    let columns: Columns = opened.commit().ok_or("there is no database yet")?;
    Ok(Box::new(LmdbReader { env, columns, cut: Cut::new(spec) }))
}

struct LmdbView<'a> {
    txn: RoTxn<'a, WithTls>,
    reader: &'a LmdbReader,
}

impl View for LmdbView<'_> {
    fn stamp(&self) -> Stamp {
        let bytes = self.reader.columns.get(&self.txn, &STAMP_KEY).ok().flatten();
        let words: [u64; 2] = bytes.and_then(|bytes| bytemuck::try_pod_read_unaligned(bytes).ok()).unwrap_or_default();
        Stamp { publication: words[0], nanos: words[1] }
    }

    fn column(&self, column: usize, visit: &mut dyn FnMut(usize, &[f32])) {
        let cut = self.reader.cut;
        let keys = cut.key(column, 0)..cut.key(column + 1, 0);
        let chunks = self.reader.columns.range(&self.txn, &keys).expect("a read transaction reads");
        for (chunk, value) in chunks.enumerate() {
            let (_, bytes) = value.expect("a chunk that is there can be read");
            visit(chunk * cut.chunk_rows, &bytemuck::cast_slice(bytes)[..cut.rows_of(chunk)]);
        }
    }
}

impl Reader for LmdbReader {
    fn pinned(&mut self, look: &mut dyn FnMut(&dyn View)) -> Result<bool, Failure> {
        let reader = &*self;
        look(&LmdbView { txn: reader.env.read_txn()?, reader });
        Ok(true)
    }

    fn pins(&mut self, times: u32) -> Result<(), Failure> {
        for _ in 0..times {
            std::hint::black_box(self.env.read_txn()?.id());
        }
        Ok(())
    }
}
