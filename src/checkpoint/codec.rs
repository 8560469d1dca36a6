//! One chunk's bytes, smaller: zstd, over byte planes where the bytes are numbers.
//!
//! The bytes of numbers compress better apart: all first bytes, then all second bytes, and so on. A chunk that does not
//! get smaller is kept as it is. What is mostly zeros can be kept without them, which takes no time to speak of.
#![forbid(unsafe_code)]

use std::io;

use zstd::bulk::{Compressor, Decompressor};

/// As they are.
pub(crate) const RAW: u32 = 0;
/// A zstd frame.
pub(crate) const ZSTD: u32 = 1;
/// A zstd frame of byte planes.
pub(crate) const ZSTD_PLANES: u32 = 2;

/// A bit for each 8 bytes, whether they are anything but 0, lowest bit first; then those that are. The last ones may be
/// fewer than 8 bytes.
pub(crate) const WITHOUT_ZEROS: u32 = 3;

/// The least level; 0 does not compress.
pub(crate) const LEVEL_MIN: i32 = 0;
/// The most.
pub(crate) const LEVEL_MAX: i32 = 19;

/// Makes chunks smaller.
pub(crate) struct Encoder {
    compressor: Option<Compressor<'static>>,
    planes: Vec<u8>,
    out: Vec<u8>,
}

impl Encoder {
    /// An encoder of a level from [`LEVEL_MIN`] to [`LEVEL_MAX`].
    pub(crate) fn new(level: i32) -> io::Result<Encoder> {
        let compressor = if level == 0 { None } else { Some(Compressor::new(level)?) };
        Ok(Encoder { compressor, planes: Vec::new(), out: Vec::new() })
    }

    /// A chunk's encoding and stored bytes.
    pub(crate) fn encode<'a>(&'a mut self, raw: &'a [u8], width: usize) -> io::Result<(u32, &'a [u8])> {
        let Some(compressor) = &mut self.compressor else { return Ok((RAW, raw)) };
        let (encoding, source) = if width > 1 && raw.len().is_multiple_of(width) {
            self.planes.resize(raw.len(), 0);
            to_planes(raw, width, &mut self.planes);
            (ZSTD_PLANES, &self.planes[..])
        } else {
            (ZSTD, raw)
        };
        self.out.clear();
        self.out.reserve(zstd::zstd_safe::compress_bound(source.len()));
        compressor.compress_to_buffer(source, &mut self.out)?;
        Ok(if self.out.len() < raw.len() { (encoding, &self.out[..]) } else { (RAW, raw) })
    }
}

/// Bytes without their zeros, appended to `out`; false, and nothing, where more than a quarter of the words are none.
pub(crate) fn without_zeros(raw: &[u8], out: &mut Vec<u8>) -> bool {
    let begin = out.len();
    let (words, rest) = raw.as_chunks::<8>();
    let bits = words.len().div_ceil(64) * 8 + usize::from(!rest.is_empty()) * 8;
    let most = begin + bits + raw.len() / 4;
    out.resize(begin + bits, 0);
    for (group, words) in words.chunks(64).enumerate() {
        // most groups have none
        if words.iter().all(|word| *word == [0; 8]) {
            continue;
        }
        let mut mask = 0u64;
        for (place, word) in words.iter().enumerate() {
            if *word != [0; 8] {
                mask |= 1 << place;
                out.extend_from_slice(word);
            }
        }
        out[begin + 8 * group..begin + 8 * group + 8].copy_from_slice(&mask.to_le_bytes());
        if out.len() > most {
            out.truncate(begin);
            return false;
        }
    }
    if rest.iter().any(|byte| *byte != 0) {
        out[begin + bits - 8] = 1;
        out.extend_from_slice(rest);
    }
    true
}

/// The bytes that [`without_zeros`] was given.
fn with_zeros(stored: &[u8], out: &mut [u8]) -> Result<(), &'static str> {
    const SHORT: &str = "it holds too few bytes";
    out.fill(0);
    let (words, rest) = out.as_chunks_mut::<8>();
    let groups = words.len().div_ceil(64) + usize::from(!rest.is_empty());
    let (masks, mut values) = stored.split_at_checked(groups * 8).ok_or(SHORT)?;
    let mut masks = masks.as_chunks::<8>().0.iter().map(|mask| u64::from_le_bytes(*mask));
    for words in words.chunks_mut(64) {
        let mut mask = masks.next().ok_or(SHORT)?;
        while mask != 0 {
            let place = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            let word = words.get_mut(place).ok_or("it tells of bytes that are not there")?;
            *word = *values.split_off(..8).and_then(|value| value.as_array()).ok_or(SHORT)?;
        }
    }
    match (rest.is_empty(), masks.next()) {
        (false, Some(1)) => rest.copy_from_slice(values.split_off(..rest.len()).ok_or(SHORT)?),
        (true, _) | (false, Some(0)) => {}
        _ => return Err("it tells of bytes that are not there"),
    }
    if values.is_empty() { Ok(()) } else { Err("it holds too many bytes") }
}

/// Makes chunks what they were.
pub(crate) struct Decoder {
    decompressor: Decompressor<'static>,
    planes: Vec<u8>,
}

impl Decoder {
    /// A decoder.
    pub(crate) fn new() -> io::Result<Decoder> {
        Ok(Decoder { decompressor: Decompressor::new()?, planes: Vec::new() })
    }

    /// Fills `out` with a chunk's bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn decode(
        &mut self,
        encoding: u32,
        stored: &[u8],
        width: usize,
        out: &mut [u8],
    ) -> Result<(), &'static str> {
        let mut inflate = |out: &mut [u8]| match self.decompressor.decompress_to_buffer(stored, out) {
            Ok(bytes) if bytes == out.len() => Ok(()),
            Ok(_) => Err("it holds too few bytes"),
            Err(_) => Err("it is not compressed as it says, or holds too many bytes"),
        };
        match encoding {
            RAW if stored.len() == out.len() => out.copy_from_slice(stored),
            RAW => return Err("it has another length than its column needs"),
            ZSTD => inflate(out)?,
            WITHOUT_ZEROS => with_zeros(stored, out)?,
            ZSTD_PLANES if width > 1 && out.len().is_multiple_of(width) => {
                self.planes.resize(out.len(), 0);
                inflate(&mut self.planes)?;
                from_planes(&self.planes, width, out);
            }
            _ => return Err("its encoding is unknown"),
        }
        Ok(())
    }
}

fn to_planes(raw: &[u8], width: usize, planes: &mut [u8]) {
    match width {
        2 => scatter::<2>(raw, planes),
        4 => scatter::<4>(raw, planes),
        _ => scatter::<8>(raw, planes),
    }
}

fn from_planes(planes: &[u8], width: usize, raw: &mut [u8]) {
    match width {
        2 => gather::<2>(planes, raw),
        4 => gather::<4>(planes, raw),
        _ => gather::<8>(planes, raw),
    }
}

/// Blocks small enough to stay in the first cache while their planes are written one by one.
const BLOCK: usize = 2048;

fn scatter<const W: usize>(raw: &[u8], planes: &mut [u8]) {
    let count = raw.len() / W;
    let (items, _) = raw.as_chunks::<W>();
    for start in (0..count).step_by(BLOCK) {
        let end = count.min(start + BLOCK);
        for plane in 0..W {
            let out = &mut planes[plane * count + start..plane * count + end];
            out.iter_mut().zip(&items[start..end]).for_each(|(out, item)| *out = item[plane]);
        }
    }
}

fn gather<const W: usize>(planes: &[u8], raw: &mut [u8]) {
    let count = raw.len() / W;
    let (items, _) = raw.as_chunks_mut::<W>();
    for start in (0..count).step_by(BLOCK) {
        let end = count.min(start + BLOCK);
        for plane in 0..W {
            let from = &planes[plane * count + start..plane * count + end];
            items[start..end].iter_mut().zip(from).for_each(|(item, byte)| item[plane] = *byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_come_back(
            words in prop::collection::vec(0u64..5000, 0..600),
            width in prop::sample::select(vec![1usize, 2, 4, 8]),
            level in 0..4,
        ) {
            let raw: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let mut encoder = Encoder::new(level).unwrap();
            let (encoding, stored) = encoder.encode(&raw, width).unwrap();
            prop_assert!(stored.len() <= raw.len() && (level > 0 || encoding == RAW));
            let mut back = vec![1; raw.len()];
            prop_assert_eq!(Decoder::new().unwrap().decode(encoding, stored, width, &mut back), Ok(()));
            prop_assert_eq!(back, raw);
        }

        #[test]
        fn zeros_come_back(
            raw in prop::collection::vec(prop_oneof![40 => Just(0u8), 1 => any::<u8>()], 0..3000),
        ) {
            let mut stored = vec![9];
            if without_zeros(&raw, &mut stored) {
                let mut back = vec![1; raw.len()];
                prop_assert_eq!(Decoder::new().unwrap().decode(WITHOUT_ZEROS, &stored[1..], 1, &mut back), Ok(()));
                prop_assert_eq!(back, raw);
            } else {
                prop_assert_eq!(stored, vec![9]);
            }
        }

        #[test]
        fn any_bytes_are_answered(
            stored in prop::collection::vec(any::<u8>(), 0..300), encoding in 0u32..5, out in 0usize..300,
        ) {
            let mut out = vec![0; out];
            let _ = Decoder::new().unwrap().decode(encoding, &stored, 4, &mut out);
        }
    }

    #[test]
    fn numbers_compress_better_as_planes() {
        let raw: Vec<u8> = (0..20_000u32).flat_map(|i| (1000.0 + i as f32 * 0.37).to_le_bytes()).collect();
        let mut encoder = Encoder::new(1).unwrap();
        let plain = encoder.encode(&raw, 1).unwrap().1.len();
        let (encoding, planes) = encoder.encode(&raw, 4).unwrap();
        assert!(encoding == ZSTD_PLANES && planes.len() * 4 < plain * 3, "{} {plain}", planes.len());
    }

    #[test]
    fn other_lengths_are_refused() {
        let raw = [7u8; 800];
        let mut encoder = Encoder::new(1).unwrap();
        let (encoding, stored) = encoder.encode(&raw, 8).unwrap();
        let mut decoder = Decoder::new().unwrap();
        for length in [0, 792, 808] {
            assert!(decoder.decode(encoding, stored, 8, &mut vec![0; length]).is_err(), "{length}");
        }
        assert!(decoder.decode(RAW, &raw, 8, &mut [0; 792]).is_err());
        assert!(decoder.decode(4, &raw, 8, &mut [0; 800]).is_err());
    }
}
