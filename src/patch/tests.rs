//! Records, writer and ring against naive twins, against hostile bytes, and between two threads.
#![expect(unsafe_code, reason = "lays rings over heap memory")]

use std::collections::VecDeque;

use bytemuck::Zeroable;
use proptest::prelude::*;

use crate::component::Entity;
use crate::limits::PATCH_SPILL_BYTES;
use crate::patch::records::JobEnd;
use crate::patch::writer::Spill;
use crate::patch::*;

/// A change, as plainly as it can be said.
#[derive(Clone, Debug, PartialEq)]
enum Patch {
    Row(Op, u16, u8, u32, Vec<u8>),
    Entity(Op, u16, u8, u64, Vec<u8>),
    Spawn(Vec<u16>, Vec<u8>),
    Resource(u16, Vec<u8>),
    Range(u16, u32, u32),
}

fn sizes() -> RecordSizes {
    RecordSizes::from_parts([vec![4, 4, 4], vec![], vec![1], vec![8], vec![12, 1, 2]], [0, 8, 12])
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![5 => Just(Op::Set), 2 => Just(Op::Accumulate), 2 => Just(Op::Add), 1 => Just(Op::Remove), 1 => Just(Op::Despawn)]
}

/// Component, field and value bytes that suit an operation.
fn place(op: Op, component: u16, field: u8) -> (u16, u8, usize) {
    let fields = [3, 0, 1, 1, 3][usize::from(component)];
    match op {
        Op::Set | Op::Accumulate => {
            let field = field % (fields + 1);
            (component, field, sizes().value(component, field).unwrap())
        }
        Op::Add => (component, 0, sizes().value(component, 0).unwrap()),
        Op::Remove => (component, 0, 0),
        Op::Despawn => (0, 0, 0),
    }
}

fn patch() -> impl Strategy<Value = Patch> {
    let value = |bytes: usize| proptest::collection::vec(any::<u8>(), bytes);
    prop_oneof![
        (op(), 0..5u16, 0..4u8, any::<u32>()).prop_flat_map(move |(op, component, field, row)| {
            let (component, field, bytes) = place(op, component, field);
            value(bytes).prop_map(move |value| Patch::Row(op, component, field, row, value))
        }),
        (op(), 0..5u16, 0..4u8, any::<u64>()).prop_flat_map(move |(op, component, field, handle)| {
            let (component, field, bytes) = place(op, component, field);
            value(bytes).prop_map(move |value| Patch::Entity(op, component, field, handle, value))
        }),
        proptest::collection::vec(0..5u16, 0..4).prop_flat_map(move |components| {
            let bytes = components.iter().map(|c| sizes().value(*c, 0).unwrap()).sum();
            value(bytes).prop_map(move |value| Patch::Spawn(components.clone(), value))
        }),
        (0..3u16).prop_flat_map(move |resource| {
            value(sizes().resource(resource).unwrap()).prop_map(move |value| Patch::Resource(resource, value))
        }),
        (0..5u16, 0..100u32, 0..100u32).prop_map(|(component, start, rows)| Patch::Range(
            component,
            start,
            start + rows
        )),
    ]
}

/// Patches in runs, so that runs are merged and split.
fn patches() -> impl Strategy<Value = Vec<Patch>> {
    proptest::collection::vec((patch(), 1..20usize), 0..if cfg!(miri) { 6 } else { 40 })
        .prop_map(|runs| runs.into_iter().flat_map(|(patch, n)| std::iter::repeat_n(patch, n)).collect())
}

fn write(writer: &mut PatchWriter<'_>, patch: &Patch) {
    match patch {
        Patch::Row(op, component, field, row, value) => {
            writer.row(*op, *component, *field, *row, value.len(), |out| out.copy_from_slice(value));
        }
        Patch::Entity(op, component, field, handle, value) => {
            let entity = Entity::from_bits(*handle);
            writer.entity(*op, *component, *field, entity, value.len(), |out| out.copy_from_slice(value));
        }
        Patch::Spawn(components, value) => {
            let reserved = writer.next_handle(0);
            let entity = writer.spawn(components, value.len(), |out| out.copy_from_slice(value));
            assert!(entity == reserved && entity.is_reserved());
        }
        Patch::Resource(resource, value) => writer.resource(*resource, value.len(), |out| out.copy_from_slice(value)),
        Patch::Range(component, start, end) => writer.range(*component, 0, *start..*end, (1, 2)),
    }
}

/// What the records say; checks begin, end and sequence on the way.
fn read(bytes: &[u8], record_bytes_max: usize) -> Vec<Patch> {
    let sizes = sizes();
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
        let header = Header::decode(header);
        assert!(header.bytes as usize <= record_bytes_max, "{header:?}");
        rest = &rest[header.bytes as usize..];
    }
    let records: Vec<_> = Records::new(bytes, &sizes).collect::<Result<_, _>>().unwrap();
    let spawned = |out: &[Patch]| out.iter().filter(|patch| matches!(patch, Patch::Spawn(..))).count();
    for (place, record) in records.iter().enumerate() {
        assert_eq!(record.sequence as usize, place);
        match record.body {
            Body::JobBegin { job, attempt } => assert_eq!((place, job, attempt), (0, 5, 2)),
            Body::JobEnd(end) => {
                assert_eq!(place + 1, records.len());
                let (records, spawned) = (place as u32, spawned(&out) as u32);
                assert_eq!(end, JobEnd { job: 5, attempt: 2, records, spawned, ok: true });
            }
            Body::Failure { .. } => unreachable!("none was written"),
            Body::Changed { .. } | Body::Reduce { .. } | Body::List(_) => unreachable!("none was written"),
            Body::Range { component, field, start, end, member, passes } => {
                assert_eq!((field, member, passes), (0, 1, 2));
                out.push(Patch::Range(component, start, end));
            }
            Body::SetResource { resource, value } => out.push(Patch::Resource(resource, value.to_vec())),
            Body::Spawn(run) => {
                let components: Vec<_> = run.components().collect();
                assert_eq!(run.values().len(), run.value_bytes() * run.count() as usize);
                out.extend((0..run.count()).map(|i| Patch::Spawn(components.clone(), run.value(i).unwrap().to_vec())));
            }
            Body::Rows { op, component, field, entries } => {
                assert!(entries.iter().enumerate().all(|(i, entry)| entries.get(i) == Some(entry)));
                assert_eq!(entries.get(entries.len()), None);
                assert_eq!(entries.bytes().len(), entries.len() * (4 + entries.value_bytes()));
                out.extend(entries.iter().map(|(row, v)| Patch::Row(op, component, field, row, v.to_vec())));
            }
            Body::Entities { op, component, field, entries } => {
                assert!(entries.iter().enumerate().all(|(i, entry)| entries.get(i) == Some(entry)));
                out.extend(
                    entries.iter().map(|(entity, v)| Patch::Entity(op, component, field, entity.to_bits(), v.to_vec())),
                );
            }
        }
    }
    out
}

fn write_job<'a>(out: &'a mut Vec<u8>, bytes_max: usize, spill: Option<&'a mut Spill<'a>>, patches: &[Patch]) {
    let mut writer = PatchWriter::new(out, bytes_max, spill);
    writer.begin_job(5, 2);
    patches.iter().for_each(|patch| write(&mut writer, patch));
    writer.end_job(5, 2, true);
    writer.end().unwrap();
}

/// Heap memory for a ring.
fn lines(capacity: usize) -> Vec<RingLine> {
    vec![RingLine::zeroed(); Ring::bytes_needed(capacity).unwrap() / size_of::<RingLine>()]
}

/// A ring over `lines`, which the caller keeps alive and does not touch.
fn ring(lines: &mut Vec<RingLine>, capacity: usize) -> Ring {
    assert!(size_of_val(&lines[..]) >= Ring::bytes_needed(capacity).unwrap());
    // SAFETY: long enough, aligned; the tests keep it alive as long as the ring.
    unsafe { Ring::init(lines.as_mut_ptr().cast(), capacity) }.unwrap()
}

/// A record of `bytes`, recognisable by `mark`.
fn record(bytes: usize, mark: u32) -> Vec<u8> {
    let header = Header {
        bytes: bytes as u32,
        kind: Kind::Failure as u8,
        field: 0,
        component: 0,
        count: (bytes - HEADER_BYTES) as u32,
        sequence: mark,
    };
    let mut out = header.encode().to_vec();
    out.extend((HEADER_BYTES..bytes).map(|i| (i as u32 ^ mark) as u8));
    out
}

fn drain_all(consumer: &mut Consumer) -> Result<Vec<Vec<u8>>, DrainError<()>> {
    let mut out = Vec::new();
    consumer.drain(&mut |record| {
        out.push(record.to_vec());
        Ok(())
    })?;
    Ok(out)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lists_of_any_length_are_read_back(
        lists in prop::collection::vec((any::<u64>(), 0..3u16, prop_oneof![0..9usize, 0..900usize]), 0..9),
        record_bytes_max in 128..600usize,
        spills in any::<bool>(),
    ) {
        let sizes = sizes().with_elements(vec![4, 21, 96]);
        let mut sent = Vec::new();
        let mut out = Vec::new();
        let mut spill = |bytes: &mut Vec<u8>| {
            sent.append(bytes);
            Ok(())
        };
        let mut writer = PatchWriter::new(&mut out, record_bytes_max, spills.then_some(&mut spill as &mut Spill<'_>));
        let byte = |handle: u64, at: usize| (handle as usize ^ at.wrapping_mul(7)) as u8;
        for (handle, component, count) in &lists {
            let bytes = sizes.element(*component).unwrap();
            let target = ListTarget::Entity(Entity::from_bits(*handle));
            writer.list(target, (*component, *count % 3 == 1), (*count, bytes), |first, out| {
                out.iter_mut().enumerate().for_each(|(at, out)| *out = byte(*handle, first * bytes + at));
            });
        }
        writer.end().unwrap();
        sent.append(&mut out);
        let mut found: Vec<(u64, u16, Vec<u8>)> = Vec::new();
        let mut open = false;
        for record in Records::new(&sent, &sizes) {
            let Body::List(ListPiece { component, target: ListTarget::Entity(entity), begins, ends, adds, elements }) =
                record.unwrap().body
            else {
                panic!("a list is a list");
            };
            prop_assert_eq!(begins, !open);
            if begins {
                found.push((entity.to_bits(), component, Vec::new()));
            }
            let (handle, of, all) = found.last_mut().unwrap();
            prop_assert_eq!((*handle, *of), (entity.to_bits(), component));
            all.extend_from_slice(elements);
            open = !ends;
            if ends {
                let elements = all.len() / sizes.element(component).unwrap();
                prop_assert_eq!(adds, elements % 3 == 1, "in each piece");
            }
        }
        prop_assert!(!open);
        let want = lists.into_iter().map(|(handle, component, count)| {
            let bytes = count * sizes.element(component).unwrap();
            (handle, component, (0..bytes).map(|at| byte(handle, at)).collect::<Vec<u8>>())
        });
        prop_assert_eq!(found, want.collect::<Vec<_>>());
    }

    #[test]
    fn written_patches_are_read_back(patches in patches(), record_bytes_max in 128..600usize) {
        let mut out = Vec::new();
        write_job(&mut out, record_bytes_max, None, &patches);
        prop_assert_eq!(read(&out, record_bytes_max), patches);
    }

    #[test]
    fn mutated_records_never_panic(patches in patches(), changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        let mut out = Vec::new();
        write_job(&mut out, 4096, None, &patches);
        for (at, byte) in changes {
            let at = at % out.len();
            out[at] = byte;
        }
        crate::fuzzing::ring_records(&out);
    }

    #[test]
    fn a_ring_is_a_bounded_queue(
        log2 in 8..12u32,
        steps in proptest::collection::vec((0..10u8, 0..300usize), 1..if cfg!(miri) { 25 } else { 400 }),
    ) {
        let capacity = 1 << log2;
        let mut memory = lines(capacity);
        let ring = ring(&mut memory, capacity);
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let (mut pending, mut visible) = (VecDeque::new(), VecDeque::new());
        for (mark, (step, size)) in steps.into_iter().enumerate() {
            match step {
                0..7 => {
                    let bytes = (16 + 8 * size).min(16 + 8 * (size % (capacity / 16 - 1)));
                    let record = record(bytes, mark as u32);
                    let free = producer.free_bytes().unwrap();
                    if producer.try_push(&record).unwrap() {
                        pending.push_back(record);
                    } else {
                        prop_assert!(free < 2 * bytes, "{} bytes free for {}", free, bytes);
                        prop_assert!(!pending.is_empty() || !visible.is_empty(), "an empty ring takes any record");
                    }
                }
                7..9 => {
                    producer.publish();
                    visible.append(&mut pending);
                }
                _ => {
                    let drained = drain_all(&mut consumer).unwrap();
                    prop_assert_eq!(drained, std::mem::take(&mut visible).into_iter().collect::<Vec<_>>());
                }
            }
        }
    }
}

#[test]
fn a_run_is_these_bytes() {
    let mut out = Vec::new();
    let mut writer = PatchWriter::new(&mut out, 4096, None);
    writer.row(Op::Set, 2, 1, 0x0102_0304, 1, |value| value[0] = 0xaa);
    writer.row(Op::Set, 2, 1, 7, 1, |value| value[0] = 0xbb);
    writer.entity(Op::Despawn, 0, 0, Entity::from_parts(9, 3), 0, |_| ());
    writer.spawn(&[2, 0x0103], 1, |value| value[0] = 0xcc);
    writer.end().unwrap();
    #[rustfmt::skip]
    assert_eq!(out, [
        32, 0, 0, 0, 16, 1, 2, 0,  2, 0, 0, 0, 0, 0, 0, 0,  4, 3, 2, 1, 0xaa, 7, 0, 0,  0, 0xbb, 0, 0, 0, 0, 0, 0,
        24, 0, 0, 0, 27, 0, 0, 0,  1, 0, 0, 0, 1, 0, 0, 0,  9, 0, 0, 0, 3, 0, 0, 0,
        32, 0, 0, 0, 6, 0, 2, 0,  1, 0, 0, 0, 2, 0, 0, 0,  2, 0, 3, 1, 0, 0, 0, 0,  0xcc, 0, 0, 0, 0, 0, 0, 0,
    ]);
}

#[test]
fn kinds_and_codes_agree() {
    for code in 0..=u8::MAX {
        assert_eq!(Kind::from_code(code), Kind::ALL.into_iter().find(|kind| *kind as u8 == code));
    }
}

#[test]
fn consecutive_entries_share_a_header() {
    let mut out = Vec::new();
    let mut writer = PatchWriter::new(&mut out, 1 << 20, None);
    for row in 0..1000 {
        writer.row(Op::Set, 0, 0, row, 12, |value| value.fill(1));
    }
    writer.end().unwrap();
    assert_eq!(out.len(), HEADER_BYTES + 1000 * 16);
}

#[test]
fn a_patch_larger_than_a_record_is_an_error_that_stays() {
    let mut out = Vec::new();
    let mut writer = PatchWriter::new(&mut out, 128, None);
    writer.begin_job(1, 0);
    writer.row(Op::Set, 0, 0, 1, 12, |value| value.fill(1));
    writer.row(Op::Set, 0, 0, 1, 200, |_| unreachable!("there is no room to write to"));
    writer.row(Op::Set, 0, 0, 2, 12, |_| unreachable!("the job failed"));
    assert_eq!(writer.spawn(&[], 0, |_| unreachable!("the job failed")), Entity::NULL);
    writer.range(0, 0, 0..1, (0, 1));
    let error = writer.error().unwrap().clone();
    assert_eq!(error, PatchError::TooLarge { bytes: 224, max: 128 });
    writer.failure(&"é".repeat(500));
    writer.end_job(1, 0, true);
    assert_eq!(writer.end(), Err(error));
    let sizes = sizes();
    let records: Vec<_> = Records::new(&out, &sizes).map(|record| record.unwrap().body).collect();
    assert!(matches!(records[1], Body::Rows { entries, .. } if entries.len() == 1), "{records:?}");
    assert!(matches!(records[2], Body::Failure { message } if message == "é".repeat(56)), "{records:?}");
    let end = JobEnd { job: 1, attempt: 0, records: 3, spawned: 0, ok: false };
    assert!(matches!(records[3], Body::JobEnd(found) if found == end), "{records:?}");
    assert_eq!(records.len(), 4);
}

#[test]
#[cfg_attr(miri, ignore = "sixty thousand patches take Miri minutes")]
fn a_spill_takes_whole_records_in_order() {
    let rows = if cfg!(miri) { 8_000 } else { 60_000u32 };
    let patches: Vec<_> = (0..rows).map(|row| Patch::Row(Op::Set, 3, 0, row / 7, vec![row as u8; 8])).collect();
    let (mut out, mut sent) = (Vec::new(), Vec::new());
    let mut spill = |buffer: &mut Vec<u8>| {
        assert!(buffer.len() <= PATCH_SPILL_BYTES, "{} bytes", buffer.len());
        Records::new(buffer, &sizes()).for_each(|record| assert!(record.is_ok()));
        sent.append(buffer);
        Ok(())
    };
    write_job(&mut out, 1 << 19, Some(&mut spill), &patches);
    assert!(!sent.is_empty() && out.len() <= PATCH_SPILL_BYTES);
    sent.append(&mut out);
    assert_eq!(read(&sent, 1 << 19), patches);
}

#[test]
#[cfg_attr(miri, ignore = "twenty thousand patches take Miri minutes")]
fn after_a_failed_spill_nothing_is_recorded() {
    let mut out = Vec::new();
    let mut spills = 0;
    let mut spill = |buffer: &mut Vec<u8>| {
        buffer.clear();
        spills += 1;
        Err(PatchError::Closed)
    };
    let mut writer = PatchWriter::new(&mut out, 1024, Some(&mut spill));
    for row in 0..20_000 {
        writer.row(Op::Set, 3, 0, row, 8, |value| value.fill(0));
    }
    writer.failure("closed");
    writer.end_job(0, 0, true);
    assert_eq!(writer.end(), Err(PatchError::Closed));
    assert_eq!((spills, out.len()), (1, 0));
}

#[test]
fn a_panicking_kernel_leaves_whole_records() {
    let mut out = Vec::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut writer = PatchWriter::new(&mut out, 1024, None);
        writer.row(Op::Set, 3, 0, 1, 8, |value| value.fill(9));
        writer.row(Op::Set, 0, 0, 2, 12, |value| {
            value.fill(0xff);
            panic!("in the middle of a value");
        });
    }));
    assert!(panicked.is_err());
    let sizes = sizes();
    let records: Vec<_> = Records::new(&out, &sizes).collect::<Result<_, _>>().unwrap();
    assert_eq!(records.len(), 1);
}

#[test]
fn a_ring_is_made_and_found_only_where_it_fits() {
    let mut memory = lines(512);
    let base: *mut u8 = memory.as_mut_ptr().cast();
    for capacity in [0, 8, 128, 300, 1 << 32] {
        assert_eq!(Ring::bytes_needed(capacity), Err(RingError::Capacity { bytes: capacity as u64 }));
    }
    // SAFETY: memory of 384 + 512 bytes that lives on; lengths claimed are at most that (so in all of this test).
    let attach = |bytes| unsafe { Ring::attach(base, bytes) }.map(|ring| ring.capacity());
    assert!(matches!(attach(896), Err(RingError::Check { found: 0, check: 0 })));
    // SAFETY: as above.
    assert!(matches!(unsafe { Ring::init(base.wrapping_add(8), 256) }, Err(RingError::Misaligned { .. })));
    // SAFETY: as above.
    unsafe { Ring::init(base, 512) }.unwrap();
    assert_eq!(attach(896), Ok(512));
    assert_eq!(attach(895), Err(RingError::TooSmall { bytes: 895, needed: 896 }));
    assert_eq!(attach(383), Err(RingError::TooSmall { bytes: 383, needed: 384 }));
    bytemuck::cast_slice_mut::<_, u8>(&mut memory)[9] = 4;
    let base: *mut u8 = memory.as_mut_ptr().cast();
    // SAFETY: as above.
    assert!(matches!(unsafe { Ring::attach(base, 896) }, Err(RingError::Check { .. })));
}

#[test]
fn records_that_a_ring_cannot_take_are_refused() {
    let mut memory = lines(256);
    let mut producer = ring(&mut memory, 256).producer().unwrap();
    assert_eq!(producer.try_push(&record(136, 0)), Err(RingError::TooLarge { bytes: 136, max: 128 }));
    assert_eq!(producer.try_push(&[]), Err(RingError::NotARecord { bytes: 0, claimed: 0 }));
    assert_eq!(producer.try_push(&record(24, 0)[..16]), Err(RingError::NotARecord { bytes: 16, claimed: 24 }));
    assert_eq!(producer.push_all(&record(24, 0)[..16]), Err(RingError::NotARecord { bytes: 16, claimed: 24 }));
    assert_eq!(producer.free_bytes(), Ok(256));
    // Whatever the place: an empty ring takes the longest record.
    let mut consumer = ring(&mut memory, 256).consumer().unwrap();
    let mut producer = ring(&mut memory, 256).producer().unwrap();
    for mark in 0..if cfg!(miri) { 10 } else { 200 } {
        for bytes in [128, 24, 128, 16] {
            assert!(producer.try_push(&record(bytes, mark)).unwrap());
            producer.publish();
            assert_eq!(drain_all(&mut consumer).unwrap(), [record(bytes, mark)]);
        }
    }
}

#[test]
fn what_is_not_published_is_not_seen() {
    let mut memory = lines(1024);
    let ring = ring(&mut memory, 1024);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert!(producer.try_push(&record(64, 1)).unwrap());
    assert_eq!(drain_all(&mut consumer).unwrap().len(), 0);
    // The producer dies; the next one starts where the last publication was.
    let mut producer = ring.producer().unwrap();
    assert!(producer.try_push(&record(32, 2)).unwrap());
    producer.publish();
    assert_eq!(drain_all(&mut consumer).unwrap(), [record(32, 2)]);
}

/// A ring that has had nearly 2^64 bytes, or whose positions somebody else has made so: what fits before the end comes
/// through, and then there is an error, however often one tries.
#[test]
fn positions_never_pass_their_end() {
    for (room, fitting) in [(8, 0), (40, 1), (64, 1), (72, 2), (2048 + 8, 63)] {
        let mut memory = lines(256);
        ring(&mut memory, 256);
        let begin = u64::MAX - room + 1;
        for head_or_tail in [16, 32] {
            bytemuck::cast_slice_mut::<_, u64>(&mut memory)[head_or_tail] = begin;
        }
        // SAFETY: memory of 384 + 256 bytes that lives on.
        let ring = unsafe { Ring::attach(memory.as_mut_ptr().cast(), 640) }.unwrap();
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        for mark in 0..fitting {
            assert!(producer.try_push(&record(32, mark)).unwrap());
            producer.publish();
            assert_eq!(drain_all(&mut consumer).unwrap(), [record(32, mark)]);
        }
        for _ in 0..2 {
            let refused = producer.try_push(&record(32, 0));
            assert!(matches!(refused, Err(RingError::Positions { tail, .. }) if tail > u64::MAX - 32), "{refused:?}");
            producer.publish();
            assert!(drain_all(&mut consumer).unwrap().is_empty() && !ring.is_poisoned());
        }
    }
}

/// Writes `words` as (byte position, value) into a ring's memory and drains it.
fn drain_broken(words: &[(usize, u64)]) -> Result<Vec<Vec<u8>>, DrainError<()>> {
    let mut memory = lines(256);
    let fresh = ring(&mut memory, 256);
    let mut producer = fresh.producer().unwrap();
    assert!(producer.try_push(&record(32, 1)).unwrap());
    producer.publish();
    let mut consumer = fresh.consumer().unwrap();
    let base: *mut u8 = memory.as_mut_ptr().cast();
    for (at, value) in words {
        assert!(at.is_multiple_of(8) && *at < 640);
        // SAFETY: inside the 640 bytes, aligned, accessed as atomics by everybody.
        unsafe { core::sync::atomic::AtomicU64::from_ptr(base.add(*at).cast()) }
            .store(*value, core::sync::atomic::Ordering::Relaxed);
    }
    let result = drain_all(&mut consumer);
    assert_eq!(fresh.is_poisoned(), result.is_err());
    assert_eq!(fresh.producer().map(|producer| producer.is_closed()), Ok(result.is_err()));
    if let Err(error) = &result {
        assert_eq!(drain_all(&mut consumer).as_ref(), Err(error), "a broken ring stays broken");
    }
    result
}

#[test]
fn a_broken_ring_is_reported_and_poisoned() {
    const FIRST: usize = 384;
    let broken = |bytes, left| Err(DrainError::Ring(RingError::Record { at: 0, bytes, left }));
    assert_eq!(drain_broken(&[]), Ok(vec![record(32, 1)]));
    let failure = u64::from(Kind::Failure as u8) << 32;
    assert_eq!(drain_broken(&[(FIRST, failure | 40)]), broken(40, 32));
    assert_eq!(drain_broken(&[(FIRST, failure | 8)]), broken(8, 32));
    assert_eq!(drain_broken(&[(FIRST, failure)]), broken(0, 32));
    assert_eq!(drain_broken(&[(FIRST, failure | 20)]), broken(20, 32));
    assert_eq!(drain_broken(&[(FIRST, failure | 0xffff_fff8)]), broken(0xffff_fff8, 32));
    assert_eq!(drain_broken(&[(FIRST, u64::from(Kind::Pad as u8) << 32)]), broken(0, 32));
    assert_eq!(drain_broken(&[(FIRST, u64::from(Kind::Pad as u8) << 32 | 32)]), Ok(vec![]));
}

#[test]
fn impossible_positions_are_reported() {
    for tail in [7u64, 264, 1 << 40, u64::MAX] {
        let mut memory = lines(256);
        let fresh = ring(&mut memory, 256);
        let mut consumer = fresh.consumer().unwrap();
        let mut producer = fresh.producer().unwrap();
        let base: *mut u8 = memory.as_mut_ptr().cast();
        let store = |at: usize, value: u64| {
            // SAFETY: head and tail words, accessed as atomics by everybody.
            unsafe { core::sync::atomic::AtomicU64::from_ptr(base.add(at).cast()) }
                .store(value, core::sync::atomic::Ordering::Relaxed);
        };
        store(256, tail);
        let error = RingError::Positions { head: 0, tail, capacity: 256 };
        assert_eq!(drain_all(&mut consumer), Err(DrainError::Ring(error.clone())));
        assert_eq!(fresh.producer().unwrap_err(), error);
        assert_eq!(fresh.consumer().unwrap_err(), error);
        store(256, 0);
        store(128, tail);
        assert!(matches!(producer.free_bytes(), Err(RingError::Positions { .. })));
    }
}

#[test]
fn a_refusing_sink_stops_after_its_record() {
    let mut memory = lines(1024);
    let ring = ring(&mut memory, 1024);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let records = [record(32, 0), record(32, 1), record(32, 2)].concat();
    assert_eq!(producer.push_all(&records), Ok(96));
    producer.publish();
    let mut seen = 0;
    let result = consumer.drain(&mut |_| {
        seen += 1;
        if seen == 2 { Err("no") } else { Ok(()) }
    });
    assert_eq!(result, Err(DrainError::Sink("no")));
    assert_eq!(drain_all(&mut consumer).unwrap(), [record(32, 2)]);
    assert!(!ring.is_poisoned() && !ring.is_closed());
    ring.close();
    assert!(ring.is_closed() && producer.is_closed());
}

#[test]
fn two_threads_pass_everything_in_order() {
    let records = if cfg!(miri) { 60 } else { 20_000u32 };
    for capacity in [256, 4096] {
        let mut memory = lines(capacity);
        let ring = ring(&mut memory, capacity);
        let mut consumer = ring.consumer().unwrap();
        let mut producer = ring.producer().unwrap();
        let size = move |mark: u32| 16 + 8 * (mark.wrapping_mul(2_654_435_761) >> 16) as usize % (capacity / 2 - 8);
        let size = move |mark| size(mark).min(capacity / 2) & !7;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for mark in 0..records {
                    let record = record(size(mark), mark);
                    while !producer.try_push(&record).unwrap() {
                        producer.publish();
                        std::thread::yield_now();
                    }
                    if mark.is_multiple_of(5) {
                        producer.publish();
                    }
                }
                producer.publish();
            });
            let mut next = 0;
            while next < records {
                let drained = consumer.drain::<()>(&mut |found| {
                    assert_eq!(found, record(size(next), next), "record {next}");
                    next += 1;
                    Ok(())
                });
                if drained.unwrap() == 0 {
                    std::thread::yield_now();
                }
            }
        });
        assert_eq!(ring.producer().unwrap().free_bytes(), Ok(capacity));
    }
}

/// Nanoseconds per set of 12 bytes by row. Run with `--release -- --ignored --nocapture cost_of`.
#[expect(clippy::print_stdout, reason = "a measurement, run by hand")]
#[test]
#[ignore = "prints times, asserts nothing about them"]
fn cost_of_a_set() {
    const ROWS: u32 = 1 << 20;
    let sizes = sizes();
    let mut column = vec![[0f32; 3]; ROWS as usize];
    let write = |out: &mut Vec<u8>, rows: std::ops::Range<u32>, spill: Option<&mut Spill<'_>>| {
        // One lifetime for buffer and spill, as in a worker.
        fn writer<'a>(out: &'a mut Vec<u8>, spill: Option<&'a mut Spill<'a>>) -> PatchWriter<'a> {
            PatchWriter::new(out, 1 << 19, spill)
        }
        let mut forward = spill.map(|spill| move |buffer: &mut Vec<u8>| spill(buffer));
        let mut writer = writer(out, forward.as_mut().map(|spill| spill as &mut Spill<'_>));
        for row in rows {
            let value = [row as f32, 1.0, 2.0];
            writer.row(Op::Set, 0, 0, row, 12, |out| out.copy_from_slice(bytemuck::bytes_of(&value)));
        }
        writer.end().unwrap();
    };
    for _ in 0..5 {
        let mut out = Vec::new();
        let start = std::time::Instant::now();
        for first in (0..ROWS).step_by(4096) {
            out.clear();
            write(&mut out, first..first + 4096, None);
        }
        let write_ns = start.elapsed().as_nanos() as f64 / f64::from(ROWS);
        let mut memory = lines(1 << 20);
        let ring = ring(&mut memory, 1 << 20);
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let start = std::time::Instant::now();
        let mut pass = |out: &mut Vec<u8>| {
            assert_eq!(producer.push_all(out)?, out.len());
            out.clear();
            producer.publish();
            let drained = consumer.drain::<()>(&mut |record| {
                for record in Records::new(record, &sizes) {
                    if let Body::Rows { entries, .. } = record.unwrap().body {
                        for (row, value) in entries.iter() {
                            column[row as usize] = bytemuck::pod_read_unaligned(value);
                        }
                    }
                }
                Ok(())
            });
            drained.unwrap();
            Ok(())
        };
        out.clear();
        write(&mut out, 0..ROWS, Some(&mut pass));
        pass(&mut out).unwrap();
        let all_ns = start.elapsed().as_nanos() as f64 / f64::from(ROWS);
        println!("write {write_ns:.2} ns; write, push, drain, read and apply {all_ns:.2} ns");
    }
}
