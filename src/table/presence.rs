//! Which rows of a table have a component.
#![forbid(unsafe_code)]

/// Which rows of a table have a component.
#[derive(Clone, Copy, Debug)]
pub enum Presence<'s> {
    /// None has.
    None,
    /// All have.
    All,
    /// Those whose bit is set: bit `row % 64` of word `row / 64`.
    Bits(&'s [u64]),
}

impl Presence<'_> {
    /// Whether a row has the component.
    #[must_use]
    pub fn contains(&self, row: usize) -> bool {
        match self {
            Presence::None => false,
            Presence::All => true,
            Presence::Bits(words) => words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 != 0),
        }
    }
}
