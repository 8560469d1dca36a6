//! What can go wrong with a region, and what would be right.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};

use super::target::RegionTarget;
use crate::limits::LEASES_MAX;
use crate::os;

/// Why a region could not be created, opened, grown or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// The name cannot be a region's.
    #[error("`{name}` is no region name: use 1 to 64 letters, digits, `_` or `-`, or a path with a `/`")]
    BadName {
        /// The name.
        name: String,
    },
    /// Something is in the way of a new region.
    #[error("region {target} already exists and {}", if *alive {
        "its writer is alive: choose another name"
    } else {
        "its writer is gone: resume it, or remove it with `clean`"
    })]
    Exists {
        /// The region.
        target: RegionTarget,
        /// Whether a writer holds it.
        alive: bool,
    },
    /// There is no such region.
    #[error("there is no region {target}")]
    NotFound {
        /// The region.
        target: RegionTarget,
    },
    /// A world that several processes write, of which one part cannot be read.
    #[error("{target} is the world of several ranks, and rank {rank} cannot be read: {what}")]
    Ranks {
        /// The world.
        target: RegionTarget,
        /// The part.
        rank: usize,
        /// Why not.
        what: String,
    },
    /// Another process writes the region.
    #[error("region {target} has a live writer (process {pid}): only readers can join it")]
    Live {
        /// The region.
        target: RegionTarget,
        /// The writer's process id as it sees itself.
        pid: u32,
    },
    /// A path that does not hold a region and nothing else, so that it must not be removed.
    #[error("{} is not a region: {what}", path.display())]
    NotRegion {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// More of something than its numbers can count.
    #[error("{asked} {what} are more than the {limit} there can be")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// How many.
        asked: u64,
        /// The most there can be.
        limit: u64,
    },
    /// The elements of a list have no room.
    #[error("the list `{component}` cannot have {elements} elements: {source}")]
    List {
        /// The component.
        component: String,
        /// How many elements there would be.
        elements: u64,
        /// Why.
        source: Box<RegionError>,
    },
    /// The data would outgrow the region's limit.
    #[error(
        "the region is full: {requested} bytes are needed, {available} are left of {bytes_max}; give the world a \
         `bytes_max` of {needed} or more"
    )]
    Full {
        /// Bytes asked for.
        requested: u64,
        /// Bytes that could still be had.
        available: u64,
        /// The region's limit.
        bytes_max: u64,
        /// The limit that would do.
        needed: u64,
    },
    /// The data has room, but readers hold it.
    #[error(
        "readers hold the memory that is needed: {requested} bytes are needed, {available} are left of {bytes_max} while \
         process {process} holds a snapshot of generation {generation}; let it release that, or give the world a larger \
         `bytes_max`"
    )]
    Held {
        /// Bytes asked for.
        requested: u64,
        /// Bytes that could still be had.
        available: u64,
        /// The region's limit.
        bytes_max: u64,
        /// The process of the reader that holds the oldest generation.
        process: u32,
        /// That generation.
        generation: u64,
    },
    /// The machine or the file system has no room.
    #[error("{place} has no room: {requested} bytes are needed, {available} are available{}", hint_at(place))]
    NoSpace {
        /// The file system's directory, or the machine's memory.
        place: String,
        /// Bytes asked for.
        requested: u64,
        /// Bytes that the system says it has.
        available: u64,
    },
    /// A limit of this process or of the machine is in the way.
    #[error("{limit} is in the way: {requested} {what} are needed, {available} are left of {allowed}; {hint}")]
    Limit {
        /// Its name.
        limit: &'static str,
        /// What it counts.
        what: &'static str,
        /// How much was asked for.
        requested: u64,
        /// How much is left.
        available: u64,
        /// How much it allows in all.
        allowed: u64,
        /// What to do about it.
        hint: &'static str,
    },
    /// A limit that this machine cannot address.
    #[error("bytes_max of {bytes_max} cannot be reserved: this machine's processes can address {addressable} bytes")]
    Unaddressable {
        /// The limit.
        bytes_max: u64,
        /// The largest one possible.
        addressable: u64,
    },
    /// A layout that is too long to be kept.
    #[error("an encoded layout of {bytes} bytes is too long: at most {bytes_max}")]
    LayoutTooLong {
        /// Its length.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The descriptor cannot be believed.
    #[error("{}: {source}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// A file of the region is not what it must be.
    #[error("{} is damaged: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A region of another user.
    #[error(
        "{} is a region of user {}, so it cannot be told here whether it lives, and it can be neither read nor removed; names \
         are shared by all users of the machine: use another one", path.display(), user(*owner)
    )]
    ForeignOwner {
        /// The region's directory.
        path: PathBuf,
        /// The owner's id.
        owner: u32,
    },
    /// The machine was restarted while a writer was at work.
    #[error(
        "region {target} was being written when the machine stopped, so its bytes may be torn: remove it with `clean`"
    )]
    OtherBoot {
        /// The region.
        target: RegionTarget,
    },
    /// All leases are taken.
    #[error("all {LEASES_MAX} reader leases of the region are taken: close a reader first")]
    NoLease,
    /// A process that was forked off the one that made a world wants to change it.
    #[error(
        "this process ({pid}) was forked off process {maker}, whose world this is: here it can be read, and neither \
         changed, stepped nor published; make a world in this process, or start it anew (spawn) instead of forking it"
    )]
    Forked {
        /// The process that made it.
        maker: u32,
        /// This one.
        pid: u32,
    },
    /// What a dead writer started still runs, and could store into the region.
    #[error(
        "region {target}: {} of its last writer still run(s) after {waited:?} and could store into it: end it, then \
         resume", if pids.is_empty() { "a process that cannot be seen from here".to_owned() } else { format!("process(es) {pids:?}") }
    )]
    Leftover {
        /// The region.
        target: RegionTarget,
        /// The processes, as far as they can be seen.
        pids: Vec<u32>,
        /// How long they were waited for.
        waited: std::time::Duration,
    },
    /// A range that the region's data does not have.
    #[error("bytes {offset} to {offset} + {bytes} lie outside the region's {backed} bytes of data")]
    OutOfBounds {
        /// Where the range begins.
        offset: u64,
        /// Its length.
        bytes: u64,
        /// The length of the data.
        backed: u64,
    },
    /// A directory of extents that contradicts itself.
    #[error("the extent at {offset} of {bytes} bytes {what}")]
    BadExtent {
        /// Where the extent begins.
        offset: u64,
        /// Its length.
        bytes: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Something that this platform cannot do.
    #[error("{what} needs Linux: use a private region")]
    Unsupported {
        /// What was wanted.
        what: &'static str,
    },
    /// The operating system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl RegionError {
    /// Wraps a system error; made for `map_err`.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RegionError {
        move |source| match os::limit_of_files(&source, 0) {
            Some(limit) => limit.into(),
            None => RegionError::Io { what, path: path.to_owned(), source },
        }
    }
}

impl From<os::Limit> for RegionError {
    fn from(limit: os::Limit) -> Self {
        let os::Limit { name, what, requested, available, allowed, hint } = limit;
        RegionError::Limit { limit: name, what, requested, available, allowed, hint }
    }
}

/// A user as people know it.
fn user(id: u32) -> String {
    os::user_name(id).map_or_else(|| id.to_string(), |name| format!("{name} ({id})"))
}

/// What helps where a place is full.
fn hint_at(place: &str) -> &'static str {
    if place.starts_with("/dev/shm") {
        "; make /dev/shm larger (in a container `--shm-size`), remove regions that nobody needs (`hypostyle clean`), or give \
         the region a directory on a disk (`--region DIR`)"
    } else {
        ""
    }
}

/// Why a descriptor cannot be believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Fewer bytes than a header has, or not as many as it says.
    #[error("the descriptor has {bytes} bytes, and {expected} were expected")]
    Length {
        /// Bytes there are.
        bytes: u64,
        /// Bytes there must be.
        expected: u64,
    },
    /// Another kind of file.
    #[error("this is no region's descriptor: its magic number is wrong")]
    Magic,
    /// Written on a machine of the other byte order.
    #[error("the region was written on a machine of another byte order")]
    ByteOrder,
    /// Written by a later version.
    #[error("the region has format version {version}, and this program knows version {known}")]
    Version {
        /// The region's.
        version: u32,
        /// Ours.
        known: u32,
    },
    /// Features that this program does not know.
    #[error("the region uses features unknown to this program (bits {bits:#x}), which must be known to {purpose} it")]
    Features {
        /// The unknown ones.
        bits: u64,
        /// `read` or `write`.
        purpose: &'static str,
    },
    /// The checksum does not fit the bytes.
    #[error("the descriptor is damaged: its checksum is wrong")]
    Checksum,
    /// A value that no writer of this version writes.
    #[error("the descriptor is damaged: {what} is {value}")]
    Value {
        /// Which one.
        what: &'static str,
        /// What it says.
        value: u64,
    },
    /// The machine's pages are larger than the format's.
    #[error("the region is laid out for pages of {page_bytes} bytes, and this machine's pages have {machine_bytes}")]
    PageSize {
        /// The region's.
        page_bytes: u64,
        /// The machine's.
        machine_bytes: u64,
    },
}
