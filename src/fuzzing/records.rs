//! Patch records as bytes, and rings as memory.
#![expect(unsafe_code, reason = "lays rings over its own heap memory")]

use bytemuck::Zeroable;

use crate::patch::{Body, Consumer, DrainError, Op, RecordSizes, Records, Ring, RingError, RingLine};

/// Sizes that give every kind of value a chance: a vector, a tag, odd sizes, many fields.
fn sizes() -> RecordSizes {
    let components = [vec![4, 4, 4], vec![], vec![1], vec![8], vec![12, 1, 2], vec![4; 16]];
    RecordSizes::from_parts(components, [0, 8, 12])
}

/// Reads every record and every entry of `bytes`; a sum, so that nothing is optimised away.
fn read_records(bytes: &[u8], sizes: &RecordSizes) -> u64 {
    let mut sum = 0u64;
    let mut add = |target: u64, value: &[u8]| {
        sum = sum.wrapping_mul(31).wrapping_add(target).wrapping_add(value.iter().map(|b| u64::from(*b)).sum());
    };
    for record in Records::new(bytes, sizes) {
        match record {
            Err(error) => add(1, error.to_string().as_bytes()),
            Ok(record) => match record.body {
                Body::JobBegin { job, attempt } => add(u64::from(job), &attempt.to_le_bytes()),
                Body::JobEnd(end) => add(u64::from(end.records), &[u8::from(end.ok)]),
                Body::Failure { message } => add(2, message.as_bytes()),
                Body::Range { start, end, .. } => add(u64::from(end - start), &[]),
                Body::Changed { first, words, .. } => add(u64::from(first), words.as_flattened()),
                Body::SetResource { resource, value } | Body::Reduce { resource, value } => {
                    add(u64::from(resource), value)
                }
                Body::Spawn(run) => {
                    run.components().for_each(|component| add(u64::from(component), &[]));
                    // A spawn of tags has no bytes per entity and any count; looking at a few is enough.
                    (0..run.count().min(4096)).for_each(|i| add(3, run.value(i).expect("inside the count")));
                    assert!(run.value(run.count()).is_none(), "one past the end");
                }
                Body::Rows { op, entries, .. } => {
                    assert_eq!(entries.iter().count(), entries.len());
                    entries.iter().for_each(|(row, value)| add(u64::from(row), value));
                    assert!(
                        matches!(op, Op::Set | Op::Add | Op::Accumulate) || entries.value_bytes() == 0,
                        "only these carry values"
                    );
                }
                Body::Entities { op, entries, .. } => {
                    assert_eq!(entries.iter().count(), entries.len());
                    entries.iter().for_each(|(entity, value)| add(entity.to_bits(), value));
                    assert!(
                        matches!(op, Op::Set | Op::Add | Op::Accumulate) || entries.value_bytes() == 0,
                        "only these carry values"
                    );
                }
            },
        }
    }
    sum
}

/// Drains a ring until it breaks or is empty.
fn drain(mut consumer: Consumer, capacity: usize, sizes: &RecordSizes) {
    let mut bytes = 0;
    let result = consumer.drain::<()>(&mut |record| {
        bytes += record.len();
        read_records(record, sizes);
        Ok(())
    });
    assert!(bytes <= capacity, "one drain moves at most the ring's capacity");
    match result {
        Ok(_) => assert_eq!(consumer.drain::<()>(&mut |_| Ok(())), Ok(0), "everything was drained"),
        Err(error @ DrainError::Ring(_)) => {
            assert_eq!(consumer.drain::<()>(&mut |_| Ok(())), Err(error), "a broken ring stays broken");
        }
        Err(DrainError::Sink(())) => unreachable!("the sink refuses nothing"),
    }
}

/// Arbitrary bytes as records, as the memory of a ring, and as the positions and data of a ring whose head is whole.
pub fn ring_records(bytes: &[u8]) {
    let sizes = sizes();
    read_records(bytes, &sizes);
    let mut lines = vec![RingLine::zeroed(); bytes.len().div_ceil(size_of::<RingLine>()) + 5];
    let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut lines);
    memory[..bytes.len()].copy_from_slice(bytes);
    let (base, len) = (memory.as_mut_ptr(), memory.len());
    // SAFETY: the vector's own memory, which outlives the ring and is accessed by nobody else.
    let attached = unsafe { Ring::attach(base, len) };
    if let Ok(ring) = attached {
        open_ends(&ring, &sizes);
    }
    let capacity = 1 << (len - 384).ilog2();
    // SAFETY: as above; the ring before is not used any more. `len` is 640 or more, so 384 + capacity bytes fit.
    let ring = unsafe { Ring::init(base, capacity) }.expect("aligned, a power of two, 256 or more");
    let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut lines);
    for (at, word) in [128, 256].into_iter().zip(bytes.as_chunks::<8>().0) {
        memory[at..at + 8].copy_from_slice(word);
    }
    // Half of the inputs have sane positions, so that the records in the data get their turn.
    if bytes.first().is_some_and(|byte| byte & 1 == 1) {
        memory[130..136].fill(0);
        memory[256..264].copy_from_slice(&(capacity as u64 & !7).to_le_bytes());
        memory[128..136].fill(0);
    }
    let (base, len) = (memory.as_mut_ptr(), memory.len());
    let _ = ring;
    // SAFETY: as above.
    let ring = unsafe { Ring::attach(base, len) }.expect("the head was just written");
    open_ends(&ring, &sizes);
}

fn open_ends(ring: &Ring, sizes: &RecordSizes) {
    assert!(ring.capacity().is_power_of_two());
    match (ring.consumer(), ring.producer()) {
        (Ok(consumer), Ok(mut producer)) => {
            let free = producer.free_bytes().expect("the positions were just checked");
            assert!(free <= ring.capacity());
            drain(consumer, ring.capacity(), sizes);
        }
        (Err(RingError::Positions { .. }), Err(RingError::Positions { .. })) => {}
        (consumer, producer) => unreachable!("the ends disagree: {consumer:?}, {producer:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;
    use crate::component::Entity;
    use crate::patch::PatchWriter;

    /// One record of every kind, valid for [`sizes`].
    fn valid_records() -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = PatchWriter::new(&mut out, 4096, None);
        writer.begin_job(7, 1);
        for row in 0..3 {
            writer.row(Op::Set, 0, 0, row, 12, |value| value.fill(row as u8));
        }
        writer.row(Op::Set, 4, 1, 9, 12, |value| value.fill(1));
        writer.row(Op::Add, 3, 0, 9, 8, |value| value.fill(2));
        writer.row(Op::Accumulate, 0, 0, 8, 12, |value| value.fill(6));
        writer.entity(Op::Accumulate, 2, 1, Entity::from_parts(3, 2), 1, |value| value.fill(1));
        writer.row(Op::Remove, 1, 0, 9, 0, |_| ());
        writer.row(Op::Despawn, 0, 0, 4, 0, |_| ());
        let entity = writer.spawn(&[0, 2], 13, |value| value.fill(3));
        writer.entity(Op::Set, 2, 1, entity, 1, |value| value.fill(4));
        writer.entity(Op::Add, 1, 0, entity, 0, |_| ());
        writer.entity(Op::Remove, 0, 0, Entity::from_parts(3, 2), 0, |_| ());
        writer.entity(Op::Despawn, 0, 0, Entity::from_parts(3, 2), 0, |_| ());
        writer.spawn(&[1], 0, |_| ());
        writer.resource(2, 12, |value| value.fill(5));
        writer.range(0, 0, 0..8192, (0, 1));
        writer.changed(0, 128, &[5, 0, 1 << 63]);
        writer.failure("it failed");
        writer.end_job(7, 1, false);
        writer.end().expect("nothing is too large");
        out
    }

    #[test]
    fn doors_survive_random_and_mutated_bytes() {
        let valid = valid_records();
        assert!(Records::new(&valid, &sizes()).all(|record| record.is_ok()));
        let rounds = if cfg!(miri) { 50 } else { 4000 };
        for seed in 0..rounds {
            let mut random = Random(seed);
            let mut bytes = match seed % 4 {
                0 => (0..random.below(700)).map(|_| random.next() as u8).collect(),
                // Two words that become the positions, then records.
                1 => [&1u64.to_le_bytes()[..], &[0; 8], &valid[..]].concat(),
                // The memory of a whole ring.
                2 => ring_image(&valid),
                _ => valid.clone(),
            };
            for _ in 0..random.below(8) {
                if !bytes.is_empty() {
                    let at = random.below(bytes.len());
                    // Small numbers make more sense as lengths and kinds than random ones.
                    bytes[at] = if random.below(2) == 0 { random.next() as u8 } else { random.below(32) as u8 };
                }
            }
            if random.below(4) == 0 {
                bytes.truncate(random.below(bytes.len() + 1));
            }
            ring_records(&bytes);
        }
    }

    /// The bytes of a ring of 1024 that holds `records`.
    fn ring_image(records: &[u8]) -> Vec<u8> {
        let mut lines = vec![RingLine::zeroed(); 11];
        let base = lines.as_mut_ptr().cast();
        // SAFETY: 11 lines are 384 + 1024 bytes; the ring is gone before the vector is read.
        let ring = unsafe { Ring::init(base, 1024) }.expect("aligned");
        let mut producer = ring.producer().expect("empty");
        producer.push_all(records).expect("whole records");
        producer.publish();
        bytemuck::cast_slice(&lines).to_vec()
    }
}
