//! Which handles the spawns of a job reserve: the job that gives them out and the commit that resolves them compute them alike.
//!
//! Invariant: they follow from frame, batch and job alone, never from which worker ran it or how often. Below its two highest bits a
//! handle counts from a well-mixed number of 62 bits, so that a handle of one job is taken for another's with a chance of
//! the spawns of that job in 2^62.
#![forbid(unsafe_code)]

use crate::component::Entity;

/// The number that names a batch of a frame.
pub(crate) const fn batch_tag(frame: u64, batch: u32) -> u64 {
    mix(mix(frame).wrapping_add(batch as u64))
}

/// The handle of a job's first spawn.
pub(crate) const fn first_reserved(batch_tag: u64, job: u32) -> Entity {
    Entity::reserved(mix(batch_tag.wrapping_add(job as u64)))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
const fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_known_to_its_own_job_alone() {
        let jobs: Vec<Entity> = (1..20)
            .flat_map(|frame| (0..4).flat_map(move |b| (0..9).map(move |j| first_reserved(batch_tag(frame, b), j))))
            .collect();
        for (place, first) in jobs.iter().enumerate() {
            let last = first.nth(u32::MAX - 1);
            assert!(first.is_reserved() && last.is_reserved() && *first != Entity::NULL);
            assert_eq!((first.ordinal(*first, 1), last.ordinal(*first, u32::MAX)), (Some(0), Some(u32::MAX - 1)));
            assert_eq!((first.ordinal(*first, 0), last.ordinal(*first, u32::MAX - 1)), (None, None));
            for other in jobs.iter().enumerate().filter(|(other, _)| *other != place) {
                assert_eq!(first.ordinal(*other.1, 1 << 20), None);
            }
        }
        for entity in [Entity::NULL, Entity::from_parts(5, 0), Entity::from_parts(u32::MAX - 1, (1 << 31) - 1)] {
            assert!(!entity.is_reserved() && entity.ordinal(Entity::reserved(0), u32::MAX).is_none());
        }
    }
}
