//! Every bound of the engine, in one place; bounds that depend on each other are tied by const asserts.

/// The last frame that a world can come to. Whole numbers up to here are exact in an f64, which is what numbers in JSON
/// and in JavaScript are; at a million frames a second they last for 285 years.
pub const FRAME_MAX: u64 = (1 << 53) - 1;

/// Components in one layout.
pub const COMPONENTS_MAX: usize = 4096;
/// Fields in one component or resource.
pub const FIELDS_MAX: usize = 64;
/// Elements of a fixed array field.
pub const ARRAY_LEN_MAX: u32 = 1024;
/// How far from 0 simulated time may go: far enough from infinity for a step to be added.
pub const TIME_MAX: f64 = f64::MAX / 2.0;
/// Resources in one layout.
pub const RESOURCES_MAX: usize = 1024;
/// Bytes of a name (component, field, resource, system, region).
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes of a field's unit.
pub const UNIT_BYTES_MAX: usize = 32;
/// Bytes of a field's description.
pub const DESCRIPTION_BYTES_MAX: usize = 255;
/// Bytes of one component's packed value.
pub const PACKED_BYTES_MAX: usize = 64 * 1024;
/// Tables that one layout can expect.
pub const TABLE_HINTS_MAX: usize = 4096;
/// Smallest bound on a world's bytes.
pub const WORLD_BYTES_MIN: u64 = 1 << 20;
/// Largest bound on a world's bytes: what one process can address beside everything else.
pub const WORLD_BYTES_MAX: u64 = 1 << 46;
/// Bytes of an encoded layout, and of a layout file.
pub const LAYOUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Rows of one job: the unit of parallel work, of fusion and of undo. It depends on nothing but the data.
pub const JOB_ROWS: usize = 8192;
/// Passes of one loop within one frame.
pub const LOOP_PASSES_MAX: u32 = 1 << 20;
/// Rows that share one change stamp.
pub const CHUNK_ROWS: usize = 1024;

/// The page size that the format assumes; a machine whose pages are larger refuses the region.
pub const PAGE_BYTES: u64 = 4096;
/// Alignment of a column's first row inside its extent.
pub const COLUMN_ALIGN: usize = 64;
/// Entities in one world.
pub const ENTITIES_MAX: u32 = u32::MAX - 1;

/// Bytes of data that a new region starts with.
pub const REGION_BYTES_INITIAL: u64 = 1 << 20;
/// Smallest `bytes_max` of a region: the reserved first page and one more.
pub const REGION_BYTES_MIN: u64 = 2 * PAGE_BYTES;
/// A region's data grows by at least this many bytes at a time, where `bytes_max` allows.
pub const REGION_GROWTH_BYTES_MIN: u64 = 1 << 20;
/// Free runs of at least this many bytes inside the data are given back by a trim.
pub const PUNCH_BYTES_MIN: u64 = 1 << 20;
/// Bytes that a private region reserves at most on a platform without memory maps.
pub const HEAP_RESERVE_BYTES_MAX: u64 = if cfg!(miri) {
    1 << 22
} else if cfg!(target_family = "wasm") {
    1 << 29
} else {
    1 << 28
};
/// Writable windows that a worker process keeps mapped before it drops them all.
pub const WINDOWS_MAX: usize = 4096;

/// Reader leases in one region.
pub const LEASES_MAX: usize = 256;
/// Directory slots: one per generation that can be named at the same time.
pub const DIRECTORY_SLOTS: usize = 512;
/// Generations that a world can keep to go back to.
pub const KEPT_GENERATIONS_MAX: usize = 128;
/// Generations that readers can pin beside the newest: the newest ones of those that are kept.
pub const PINNABLE_GENERATIONS_MAX: usize = 32;
/// Workers in one pool.
pub const WORKERS_MAX: usize = 64;

/// Fewest events that a runner's ring of the timeline holds.
pub const TRACE_EVENTS_MIN: u64 = 64;
/// Most events that a runner's ring of the timeline holds.
pub const TRACE_EVENTS_MAX: u64 = 1 << 24;
/// Events that a runner's ring of the timeline holds by default: half a megabyte.
pub const TRACE_EVENTS_DEFAULT: u64 = 1 << 14;

/// Smallest ring, bytes.
pub const RING_BYTES_MIN: usize = 256;
/// Largest ring, bytes: record lengths are 32-bit.
pub const RING_BYTES_MAX: usize = 1 << 31;
/// Default ring, bytes.
pub const RING_BYTES_DEFAULT: usize = 1 << 20;

/// Rings of a mailbox: processes that can send inputs to one simulation at a time.
pub const INPUT_RINGS: usize = 8;
/// Bytes of each of them.
pub const INPUT_RING_BYTES: usize = 1 << 18;
/// Inputs that one simulation can declare.
pub const INPUTS_MAX: usize = 256;
/// Generations of which a mailbox remembers what they contain.
pub const INPUT_HISTORY: usize = 256;
/// Bytes of inputs between two generations, from which on none are taken before the next.
pub const INPUT_LOG_BYTES_MAX: usize = 1 << 24;

/// Bytes that every record may have, however small the ring: any job can begin, fail and end.
pub const RECORD_BYTES_MIN: usize = 128;
/// Bytes of patches that a job collects before it sends them to its ring.
pub const PATCH_SPILL_BYTES: usize = 64 * 1024;
/// Bytes of a failed job's message; the rest is cut.
pub const FAILURE_BYTES_MAX: usize = 4096;

/// Bytes of a column that a checkpoint compresses and checks as one.
pub const CHECKPOINT_CHUNK_BYTES: u64 = 1 << 20;
/// The most that a checkpoint of another program may do so.
pub const CHECKPOINT_CHUNK_BYTES_MAX: u64 = 1 << 26;
/// Bytes of the manifest of a set of checkpoints: more is none.
pub const CHECKPOINT_SET_BYTES_MAX: u64 = 64 << 20;
/// Bytes of all notes in a checkpoint.
pub const CHECKPOINT_NOTES_BYTES_MAX: usize = 64 * 1024;

const _: () = assert!(CHECKPOINT_CHUNK_BYTES.is_multiple_of(64) && CHECKPOINT_CHUNK_BYTES_MAX < u32::MAX as u64);
const _: () = assert!(JOB_ROWS.is_multiple_of(CHUNK_ROWS), "a chunk stamp belongs to one job");
const _: () = assert!(CHUNK_ROWS.is_multiple_of(64), "a presence word belongs to one chunk");
const _: () = assert!(
    DIRECTORY_SLOTS >= LEASES_MAX + KEPT_GENERATIONS_MAX + 2,
    "every lease can pin a generation of its own beside those kept, the published and the next one"
);
const _: () = assert!(REGION_BYTES_INITIAL >= REGION_BYTES_MIN && REGION_BYTES_INITIAL.is_multiple_of(PAGE_BYTES));
const _: () = assert!(REGION_GROWTH_BYTES_MIN.is_multiple_of(PAGE_BYTES) && PUNCH_BYTES_MIN.is_multiple_of(PAGE_BYTES));
const _: () = assert!(DIRECTORY_SLOTS <= 1 << 16, "a slot fits into the low 16 bits of a generation word");
const _: () = assert!(RING_BYTES_MIN.is_power_of_two() && RING_BYTES_DEFAULT.is_power_of_two());
const _: () = assert!(TRACE_EVENTS_MIN.is_power_of_two() && TRACE_EVENTS_MAX.is_power_of_two());
const _: () = assert!(PACKED_BYTES_MAX >= 8 * ARRAY_LEN_MAX as usize);
const _: () = assert!(COMPONENTS_MAX <= u16::MAX as usize, "a component's id fits 16 bits");
const _: () = assert!(RESOURCES_MAX <= u16::MAX as usize, "a resource's id fits 16 bits");
const _: () = assert!(TABLE_HINTS_MAX <= u16::MAX as usize, "16 bits in an encoded layout");
const _: () = assert!(ARRAY_LEN_MAX <= u16::MAX as u32, "16 bits in an encoded layout");
const _: () = assert!(FIELDS_MAX <= u8::MAX as usize, "one byte in an encoded layout");
const _: () = assert!(NAME_BYTES_MAX <= u8::MAX as usize, "one byte in an encoded layout");
const _: () = assert!(WORLD_BYTES_MIN < WORLD_BYTES_MAX && WORLD_BYTES_MIN.is_multiple_of(PAGE_BYTES));
const _: () = assert!(INPUT_RING_BYTES.is_power_of_two() && INPUT_RING_BYTES.is_multiple_of(PAGE_BYTES as usize));
const _: () = assert!(RECORD_BYTES_MIN <= RING_BYTES_MIN / 2, "a ring takes records of half its size");

/// Names of the memory that a main shares with its worker processes begin with this, in the directory of named regions.
pub(crate) const WORKER_MEMORY_PREFIX: &str = "hypostyle-worker-";

/// Bytes of what the maker of a region may note in it.
pub const NOTES_BYTES_MAX: usize = 3056;

/// The environment variable that makes a process a worker.
#[cfg(unix)]
pub(crate) const WORKER_VARIABLE: &str = "HYPOSTYLE_WORKER";

/// The environment variable that tells a worker which sandbox it is to enter.
#[cfg(unix)]
pub(crate) const SANDBOX_VARIABLE: &str = "HYPOSTYLE_WORKER_SANDBOX";
