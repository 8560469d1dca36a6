//! One number for a state: equal states have equal numbers, whatever order an engine keeps its rows in.
#![forbid(unsafe_code)]

/// The sum of a hash of every entity's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum(u64);

impl Checksum {
    /// Of nothing.
    pub fn new() -> Self {
        Checksum::default()
    }

    /// Adds an entity by the bits of its values.
    #[inline]
    pub fn add(&mut self, words: impl IntoIterator<Item = u32>) {
        let mut hash = 0x9E37_79B9_7F4A_7C15u64;
        for word in words {
            hash = (hash ^ u64::from(word)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            hash ^= hash >> 29;
        }
        hash = (hash ^ (hash >> 32)).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.0 = self.0.wrapping_add(hash ^ (hash >> 31));
    }

    /// Adds an entity by its f32 values.
    #[inline]
    pub fn add_f32(&mut self, values: impl IntoIterator<Item = f32>) {
        self.add(values.into_iter().map(f32::to_bits));
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entities: &[&[f32]]) -> u64 {
        let mut sum = Checksum::new();
        entities.iter().for_each(|values| sum.add_f32(values.iter().copied()));
        sum.get()
    }

    #[test]
    fn order_of_entities_does_not_matter_and_everything_else_does() {
        assert_eq!(of(&[&[1.0, 2.0], &[3.0]]), of(&[&[3.0], &[1.0, 2.0]]));
        assert_ne!(of(&[&[1.0, 2.0]]), of(&[&[2.0, 1.0]]));
        assert_ne!(of(&[&[0.0]]), of(&[&[-0.0]]));
        assert_ne!(of(&[&[1.0]]), of(&[&[1.0], &[1.0]]));
    }
}
