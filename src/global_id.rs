//! Ids of entities that do not depend on where and when a process made them.
#![forbid(unsafe_code)]

use crate::Component;

/// An entity's id in all worlds that hold a part of one state, and in all runs of it: a component like any other, given when the
/// entity is made and never changed. Handles name an entity within one world; they depend on what was spawned and
/// despawned there before.
///
/// Rows of one cell stand in the order of their ids where a system sorts by cell, then by id
/// ([`System::sort_then_by`](crate::System::sort_then_by)): whatever their order was before, and in every world that has them.
/// Ids say which entity is which in [`World::hash_by_id`](crate::World::hash_by_id), and are what handles become in rows that
/// travel between worlds ([`World::take_rows`](crate::World::take_rows)).
///
/// ```
/// use hypostyle::{Component, GlobalId, World};
/// #[derive(Component, Clone, Copy)]
/// struct Mass { kg: f64 }
/// let mut world = World::builder().component::<GlobalId>().component::<Mass>().build()?;
/// let star = world.spawn((GlobalId::root(7), Mass { kg: 2e30 }))?;
/// let spark = GlobalId::root(7).child(world.frame(), 0);
/// world.spawn((spark, Mass { kg: 1e-3 }))?;
/// assert_eq!(world.get::<GlobalId>(star)?.value, 7);
/// # Ok::<(), hypostyle::WorldError>(())
/// ```
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GlobalId {
    /// The id. The highest bit is set in ids of children, and clear in others.
    pub value: u64,
}

impl GlobalId {
    /// Ids of children have this bit.
    const CHILD: u64 = 1 << 63;

    /// The id of an entity that a scene begins with, or reads from a file: `n` itself, which is below 2^63.
    ///
    /// # Panics
    /// Where `n` is 2^63 or more.
    #[must_use]
    pub const fn root(n: u64) -> Self {
        assert!(n < Self::CHILD, "the id of a root is below 2^63");
        GlobalId { value: n }
    }

    /// The id of an entity that this one brings forth: the `ordinal`-th of the frame, or of any count that names each child of
    /// this entity once.
    ///
    /// It is a mix of the three numbers: with the finalizer `m` of SplitMix64 (D. Stafford's variant 13),
    /// `m(m(m(value + c) ^ frame) ^ ordinal)` with c = 0x9E3779B97F4A7C15, and the highest bit set. Two of n ids of children are
    /// the same by chance with a probability of about n^2 / 2^64: of a million 5e-8, of a hundred million 5e-4.
    #[must_use]
    pub const fn child(self, frame: u64, ordinal: u64) -> Self {
        let of = mix(self.value.wrapping_add(0x9E37_79B9_7F4A_7C15));
        GlobalId { value: mix(mix(of ^ frame) ^ ordinal) | Self::CHILD }
    }
}

/// The finalizer of SplitMix64.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::component::Plain;

    #[test]
    fn ids_are_what_they_always_were() {
        // the first number of SplitMix64 with the seed 1234567
        assert_eq!(mix(1_234_567_u64.wrapping_add(0x9E37_79B9_7F4A_7C15)), 6_457_827_717_110_365_317);
        assert_eq!(GlobalId::root(41).value, 41);
        assert_eq!(GlobalId::root(0).child(0, 0).value, 0xb3fe_8bd4_f9c5_7863);
        assert_eq!(GlobalId::root(5).child(3, 2).value, 0xbf2f_b3f1_5c52_da03);
        assert_eq!((GlobalId::NAME, GlobalId::PACKED_BYTES), ("global_id", 8));
    }

    #[test]
    fn parent_frame_and_ordinal_each_decide() {
        let mut seen = HashSet::new();
        for parent in 0..20 {
            for frame in 0..50 {
                for ordinal in 0..50 {
                    let child = GlobalId::root(parent).child(frame, ordinal);
                    assert!(child.value >= 1 << 63 && seen.insert(child.value));
                    let grandchild = child.child(frame, ordinal);
                    assert!(seen.insert(grandchild.value));
                }
            }
        }
    }
}
