//! The descriptor: the immutable first file of a region, its header and the encoded layout.
//!
//! ```text
//! offset bytes
//!      0     8  magic "HYPOSTYL"
//!      8     4  byte order mark 0x0A0B0C0D
//!     12     4  format version
//!     16     8  compatible features: unknown ones do no harm
//!     24     8  read-only-compatible features: a process that does not know one may read, not write
//!     32     8  incompatible features: a process that does not know one must not open the region
//!     40     4  bytes of this header (256); the layout follows it
//!     44     4  page bytes
//!     48     8  bytes_max: the most bytes the data may have
//!     56     8  layout bytes
//!     64     8  layout hash
//!     72    16  region uuid
//!     88    16  boot id of the creator
//!    104     8  creation time, ns since 1970
//!    112     4  leases
//!    116     4  directory slots
//!    120     4  worker slots
//!    124     4  0
//!    128     8  bytes of the control file
//!    136     8  bytes of the leases file
//!    144   104  0
//!    248     8  checksum: XXH3-64 of bytes 0..248 and the layout
//!    256     -  the encoded layout
//! ```
//!
//! All integers are little-endian. [`Descriptor::decode`] takes any bytes whatever and never panics.
#![forbid(unsafe_code)]

use xxhash_rust::xxh3::Xxh3;

use super::control::CONTROL_BYTES;
use super::error::HeaderError;
use super::lease::LEASES_BYTES;
use crate::limits::{DIRECTORY_SLOTS, LAYOUT_BYTES_MAX, LEASES_MAX, PAGE_BYTES, REGION_BYTES_MIN, WORKERS_MAX};

/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 256;
/// The longest descriptor.
pub(crate) const DESCRIPTOR_BYTES_MAX: usize = HEADER_BYTES + LAYOUT_BYTES_MAX;
/// The version that this code writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 1;

pub(super) const MAGIC: [u8; 8] = *b"HYPOSTYL";
const BYTE_ORDER_MARK: u32 = 0x0A0B_0C0D;
/// Features that this code knows, per kind: none yet.
const COMPATIBLE_KNOWN: u64 = 0;
const READ_ONLY_COMPATIBLE_KNOWN: u64 = 0;
const INCOMPATIBLE_KNOWN: u64 = 0;

const AT_MAGIC: usize = 0;
const AT_BYTE_ORDER: usize = 8;
const AT_VERSION: usize = 12;
const AT_COMPATIBLE: usize = 16;
const AT_READ_ONLY_COMPATIBLE: usize = 24;
const AT_INCOMPATIBLE: usize = 32;
const AT_HEADER_BYTES: usize = 40;
const AT_PAGE_BYTES: usize = 44;
const AT_BYTES_MAX: usize = 48;
const AT_LAYOUT_BYTES: usize = 56;
const AT_LAYOUT_HASH: usize = 64;
const AT_UUID: usize = 72;
const AT_BOOT_ID: usize = 88;
const AT_CREATED_NS: usize = 104;
const AT_LEASES: usize = 112;
const AT_DIRECTORY_SLOTS: usize = 116;
const AT_WORKERS: usize = 120;
const AT_CONTROL_BYTES: usize = 128;
const AT_LEASES_BYTES: usize = 136;
const AT_CHECKSUM: usize = 248;

/// What the descriptor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// The most bytes the data may have; whole pages.
    pub bytes_max: u64,
    /// The hash that the layout's owner gave.
    pub layout_hash: u64,
    /// Tells this region from every other.
    pub uuid: [u8; 16],
    /// The run of the operating system in which it was created.
    pub boot_id: [u8; 16],
    /// When it was created, ns since 1970.
    pub created_ns: u64,
    /// Features that a writer must know.
    pub read_only_compatible: u64,
    /// The encoded layout.
    pub layout: Vec<u8>,
}

impl Descriptor {
    /// The file's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(AT_MAGIC, &MAGIC);
        put(AT_BYTE_ORDER, &BYTE_ORDER_MARK.to_le_bytes());
        put(AT_VERSION, &FORMAT_VERSION.to_le_bytes());
        put(AT_COMPATIBLE, &COMPATIBLE_KNOWN.to_le_bytes());
        put(AT_READ_ONLY_COMPATIBLE, &self.read_only_compatible.to_le_bytes());
        put(AT_INCOMPATIBLE, &INCOMPATIBLE_KNOWN.to_le_bytes());
        put(AT_HEADER_BYTES, &(HEADER_BYTES as u32).to_le_bytes());
        put(AT_PAGE_BYTES, &(PAGE_BYTES as u32).to_le_bytes());
        put(AT_BYTES_MAX, &self.bytes_max.to_le_bytes());
        put(AT_LAYOUT_BYTES, &(self.layout.len() as u64).to_le_bytes());
        put(AT_LAYOUT_HASH, &self.layout_hash.to_le_bytes());
        put(AT_UUID, &self.uuid);
        put(AT_BOOT_ID, &self.boot_id);
        put(AT_CREATED_NS, &self.created_ns.to_le_bytes());
        put(AT_LEASES, &(LEASES_MAX as u32).to_le_bytes());
        put(AT_DIRECTORY_SLOTS, &(DIRECTORY_SLOTS as u32).to_le_bytes());
        put(AT_WORKERS, &(WORKERS_MAX as u32).to_le_bytes());
        put(AT_CONTROL_BYTES, &CONTROL_BYTES.to_le_bytes());
        put(AT_LEASES_BYTES, &LEASES_BYTES.to_le_bytes());
        let sum = checksum(&bytes[..AT_CHECKSUM], &self.layout);
        bytes[AT_CHECKSUM..].copy_from_slice(&sum.to_le_bytes());
        bytes.extend_from_slice(&self.layout);
        bytes
    }

    /// Reads a private copy of a descriptor file.
    ///
    /// # Errors
    /// Whatever keeps these bytes from being a descriptor that this program can read.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let length = |expected: u64| HeaderError::Length { bytes: bytes.len() as u64, expected };
        let (header, layout) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| length(HEADER_BYTES as u64))?;
        check_kind(header)?;
        let layout_bytes = u64_at(header, AT_LAYOUT_BYTES);
        if layout_bytes > LAYOUT_BYTES_MAX as u64 {
            return Err(HeaderError::Value { what: "the layout's length", value: layout_bytes });
        }
        if layout_bytes != layout.len() as u64 {
            return Err(length(HEADER_BYTES as u64 + layout_bytes));
        }
        if u64_at(header, AT_CHECKSUM) != checksum(&header[..AT_CHECKSUM], layout) {
            return Err(HeaderError::Checksum);
        }
        check_values(header)?;
        Ok(Descriptor {
            bytes_max: u64_at(header, AT_BYTES_MAX),
            layout_hash: u64_at(header, AT_LAYOUT_HASH),
            uuid: bytes_at(header, AT_UUID),
            boot_id: bytes_at(header, AT_BOOT_ID),
            created_ns: u64_at(header, AT_CREATED_NS),
            read_only_compatible: u64_at(header, AT_READ_ONLY_COMPATIBLE),
            layout: layout.to_vec(),
        })
    }

    /// Whether this program knows all that a writer must know.
    ///
    /// # Errors
    /// The features it does not know.
    pub(crate) fn check_writable(&self) -> Result<(), HeaderError> {
        match self.read_only_compatible & !READ_ONLY_COMPATIBLE_KNOWN {
            0 => Ok(()),
            bits => Err(HeaderError::Features { bits, purpose: "write" }),
        }
    }
}

/// What must hold before even the checksum can be believed to be one.
fn check_kind(header: &[u8; HEADER_BYTES]) -> Result<(), HeaderError> {
    if bytes_at::<8>(header, AT_MAGIC) != MAGIC {
        return Err(HeaderError::Magic);
    }
    match u32_at(header, AT_BYTE_ORDER) {
        BYTE_ORDER_MARK => {}
        mark if mark == BYTE_ORDER_MARK.swap_bytes() => return Err(HeaderError::ByteOrder),
        mark => return Err(HeaderError::Value { what: "the byte order mark", value: mark.into() }),
    }
    let version = u32_at(header, AT_VERSION);
    if version != FORMAT_VERSION {
        return Err(HeaderError::Version { version, known: FORMAT_VERSION });
    }
    match u64_at(header, AT_INCOMPATIBLE) & !INCOMPATIBLE_KNOWN {
        0 => Ok(()),
        bits => Err(HeaderError::Features { bits, purpose: "read" }),
    }
}

/// What must hold of whole bytes: a writer with other bounds writes another format.
fn check_values(header: &[u8; HEADER_BYTES]) -> Result<(), HeaderError> {
    let expect = |what, value: u64, expected: u64| {
        if value == expected { Ok(()) } else { Err(HeaderError::Value { what, value }) }
    };
    expect("the header's length", u32_at(header, AT_HEADER_BYTES).into(), HEADER_BYTES as u64)?;
    expect("the page size", u32_at(header, AT_PAGE_BYTES).into(), PAGE_BYTES)?;
    expect("the number of leases", u32_at(header, AT_LEASES).into(), LEASES_MAX as u64)?;
    expect("the number of directory slots", u32_at(header, AT_DIRECTORY_SLOTS).into(), DIRECTORY_SLOTS as u64)?;
    expect("the number of worker slots", u32_at(header, AT_WORKERS).into(), WORKERS_MAX as u64)?;
    expect("the control file's length", u64_at(header, AT_CONTROL_BYTES), CONTROL_BYTES)?;
    expect("the leases file's length", u64_at(header, AT_LEASES_BYTES), LEASES_BYTES)?;
    let bytes_max = u64_at(header, AT_BYTES_MAX);
    if bytes_max < REGION_BYTES_MIN || !bytes_max.is_multiple_of(PAGE_BYTES) {
        return Err(HeaderError::Value { what: "bytes_max", value: bytes_max });
    }
    Ok(())
}

fn checksum(header: &[u8], layout: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(header);
    hash.update(layout);
    hash.digest()
}

fn bytes_at<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|i| header[at + i])
}

fn u32_at(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(header, at))
}

fn u64_at(header: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(header, at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Descriptor {
        Descriptor {
            bytes_max: 1 << 30,
            layout_hash: 0x1234_5678_9ABC_DEF0,
            uuid: [7; 16],
            boot_id: [9; 16],
            created_ns: 1_700_000_000_000_000_000,
            read_only_compatible: 0,
            layout: b"components and fields".to_vec(),
        }
    }

    /// The bytes with `edit` applied and the checksum made right again.
    fn forged(edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = sample().encode();
        edit(&mut bytes);
        let sum = checksum(&bytes[..AT_CHECKSUM], &bytes[HEADER_BYTES..]);
        bytes[AT_CHECKSUM..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Descriptor::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = sample().encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Descriptor::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_truncation_is_noticed() {
        let bytes = sample().encode();
        for length in 0..bytes.len() {
            assert!(matches!(Descriptor::decode(&bytes[..length]), Err(HeaderError::Length { .. })), "{length}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(matches!(Descriptor::decode(&longer), Err(HeaderError::Length { .. })));
    }

    #[test]
    fn versions_and_features_are_told_apart() {
        let version = forged(|bytes| bytes[AT_VERSION] = 2);
        assert_eq!(Descriptor::decode(&version), Err(HeaderError::Version { version: 2, known: 1 }));
        let incompatible = forged(|bytes| bytes[AT_INCOMPATIBLE + 1] = 1);
        assert_eq!(Descriptor::decode(&incompatible), Err(HeaderError::Features { bits: 256, purpose: "read" }));
        let compatible = forged(|bytes| bytes[AT_COMPATIBLE] = 1);
        assert_eq!(Descriptor::decode(&compatible), Ok(sample()));
        let read_only = Descriptor::decode(&forged(|bytes| bytes[AT_READ_ONLY_COMPATIBLE] = 4)).expect("can be read");
        assert_eq!(read_only.check_writable(), Err(HeaderError::Features { bits: 4, purpose: "write" }));
        let order = forged(|bytes| bytes[AT_BYTE_ORDER..AT_BYTE_ORDER + 4].reverse());
        assert_eq!(Descriptor::decode(&order), Err(HeaderError::ByteOrder));
    }

    #[test]
    fn forged_values_are_refused() {
        for at in [AT_HEADER_BYTES, AT_PAGE_BYTES, AT_BYTES_MAX, AT_LEASES, AT_DIRECTORY_SLOTS, AT_WORKERS] {
            let bytes = forged(|bytes| bytes[at] ^= 1);
            assert!(matches!(Descriptor::decode(&bytes), Err(HeaderError::Value { .. })), "{at}");
        }
        let huge = forged(|bytes| bytes[AT_LAYOUT_BYTES..AT_LAYOUT_BYTES + 8].fill(0xFF));
        assert!(matches!(Descriptor::decode(&huge), Err(HeaderError::Value { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(Descriptor::decode(&bytes).is_err());
        }

        #[test]
        fn any_forged_header_is_answered(edits in proptest::collection::vec((0..AT_CHECKSUM, any::<u8>()), 1..8)) {
            let bytes = forged(|bytes| edits.iter().for_each(|(at, value)| bytes[*at] = *value));
            if let Ok(read) = Descriptor::decode(&bytes) {
                prop_assert!(read.bytes_max >= REGION_BYTES_MIN && read.layout == sample().layout);
            }
        }
    }
}
