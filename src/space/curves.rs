//! Keys along curves that fill space: a table sorted by them has near things near each other.
#![forbid(unsafe_code)]

/// The key of a cell along Morton's curve in three dimensions: the bits of the coordinates in turn, those of the first lowest;
/// 21 bits of each count.
#[must_use]
pub fn morton3(cell: [u32; 3]) -> u64 {
    fn spread(value: u32) -> u64 {
        let mut v = u64::from(value) & 0x1f_ffff;
        v = (v | v << 32) & 0x1f_0000_0000_ffff;
        v = (v | v << 16) & 0x1f_0000_ff00_00ff;
        v = (v | v << 8) & 0x100f_00f0_0f00_f00f;
        v = (v | v << 4) & 0x10c3_0c30_c30c_30c3;
        (v | v << 2) & 0x1249_2492_4924_9249
    }
    spread(cell[0]) | spread(cell[1]) << 1 | spread(cell[2]) << 2
}

/// As [`morton3`], in two dimensions, all 32 bits of each.
#[must_use]
pub fn morton2(cell: [u32; 2]) -> u64 {
    fn spread(value: u32) -> u64 {
        let mut v = u64::from(value);
        v = (v | v << 16) & 0x0000_ffff_0000_ffff;
        v = (v | v << 8) & 0x00ff_00ff_00ff_00ff;
        v = (v | v << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        v = (v | v << 2) & 0x3333_3333_3333_3333;
        (v | v << 1) & 0x5555_5555_5555_5555
    }
    spread(cell[0]) | spread(cell[1]) << 1
}

/// The key of a cell along Hilbert's curve in three dimensions, in a cube of `2^bits` cells along each side: consecutive keys
/// are cells that share a face. `bits` of each coordinate count, 21 at most.
///
/// J. Skilling, "Programming the Hilbert curve", AIP Conference Proceedings 707, 381 (2004).
#[must_use]
pub fn hilbert3(cell: [u32; 3], bits: u32) -> u64 {
    let bits = bits.min(21);
    let [x, y, z] = transposed(cell, bits);
    morton3([z, y, x])
}

/// As [`hilbert3`], in two dimensions; `bits` up to 32.
#[must_use]
pub fn hilbert2(cell: [u32; 2], bits: u32) -> u64 {
    let bits = bits.min(32);
    let [x, y] = transposed(cell, bits);
    morton2([y, x])
}

/// Skilling's `AxestoTranspose`.
fn transposed<const N: usize>(mut cell: [u32; N], bits: u32) -> [u32; N] {
    if bits == 0 {
        return [0; N];
    }
    let mask = u32::MAX >> (32 - bits);
    cell = cell.map(|at| at & mask);
    for bit in (1..bits).rev() {
        let (q, low) = (1u32 << bit, (1u32 << bit) - 1);
        for axis in 0..N {
            if cell[axis] & q != 0 {
                cell[0] ^= low;
            } else {
                let t = (cell[0] ^ cell[axis]) & low;
                cell[0] ^= t;
                cell[axis] ^= t;
            }
        }
    }
    for axis in 1..N {
        cell[axis] ^= cell[axis - 1];
    }
    let mut t = 0;
    for bit in (1..bits).rev() {
        if cell[N - 1] & 1 << bit != 0 {
            t ^= (1u32 << bit) - 1;
        }
    }
    cell.map(|at| at ^ t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn morton_keys_are_the_bits_in_turn() {
        for cell in [[0u32, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [5, 9, 1023], [0x1f_ffff, 0, 0x15_5555]] {
            let mut want = 0u64;
            for bit in 0..21 {
                for axis in 0..3 {
                    want |= u64::from(cell[axis] >> bit & 1) << (3 * bit + axis);
                }
            }
            assert_eq!(morton3(cell), want, "{cell:?}");
        }
        for cell in [[0u32, 0], [1, 0], [0, 1], [77, 12_345], [u32::MAX, 0x5555_5555]] {
            let mut want = 0u64;
            for bit in 0..32 {
                for axis in 0..2 {
                    want |= u64::from(cell[axis] >> bit & 1) << (2 * bit + axis);
                }
            }
            assert_eq!(morton2(cell), want, "{cell:?}");
        }
    }

    #[test]
    fn consecutive_keys_of_hilbert_are_neighbours_and_every_cell_has_one() {
        for bits in 1..=4 {
            let side = 1u32 << bits;
            let mut solid: Vec<(u64, [u32; 3])> = Vec::new();
            let mut plane: Vec<(u64, [u32; 2])> = Vec::new();
            for x in 0..side {
                for y in 0..side {
                    plane.push((hilbert2([x, y], bits), [x, y]));
                    solid.extend((0..side).map(|z| (hilbert3([x, y, z], bits), [x, y, z])));
                }
            }
            solid.sort_unstable();
            plane.sort_unstable();
            assert!(solid.iter().enumerate().all(|(index, (key, _))| *key == index as u64), "{bits}");
            assert!(plane.iter().enumerate().all(|(index, (key, _))| *key == index as u64), "{bits}");
            let apart = |a: &[u32], b: &[u32]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).sum::<u32>();
            assert!(solid.windows(2).all(|pair| apart(&pair[0].1, &pair[1].1) == 1), "{bits}");
            assert!(plane.windows(2).all(|pair| apart(&pair[0].1, &pair[1].1) == 1), "{bits}");
        }
    }
}
