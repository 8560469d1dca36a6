//! Calls of all ranks, on threads: what arrives, in which order, and what happens where a rank is late, gone or hostile.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hypostyle_mpi::transport::{ThreadRank, Transport, run_threads};
use hypostyle_mpi::{ClusterError, Comm, PART_BYTES_MAX};
use proptest::prelude::*;

fn comm(rank: ThreadRank) -> Comm {
    Comm::new(Box::new(rank)).deadline(Duration::from_secs(60))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn joins_are_in_the_order_of_ranks(size in 1usize..14) {
        let all = run_threads(size, |rank| {
            let mut comm = comm(rank);
            // a join that is associative, and not commutative: which ranks, from left to right
            let mut value = vec![u8::MAX; size + 1];
            value[0] = 1;
            value[1] = comm.rank() as u8;
            comm.all_reduce("order", &mut value, &|a, b| {
                let (n, m) = (usize::from(a[0]), usize::from(b[0]));
                a[1 + n..1 + n + m].copy_from_slice(&b[1..1 + m]);
                a[0] += b[0];
            })?;
            let sum = comm.sum("sum", 1 << comm.rank())?;
            let gathered = comm.all_gather("gather", &vec![7; comm.rank()])?;
            let mut told = if comm.rank() == 0 { b"hello".to_vec() } else { Vec::new() };
            comm.broadcast("tell", &mut told)?;
            let root = comm.gather("root", &[comm.rank() as u8])?;
            comm.barrier("end")?;
            Ok((value, sum, gathered, told, root))
        }).unwrap();
        for (rank, (value, sum, gathered, told, root)) in all.into_iter().enumerate() {
            prop_assert_eq!(&value[1..], (0..size as u8).collect::<Vec<_>>());
            prop_assert_eq!(sum, (1 << size) - 1);
            prop_assert_eq!(gathered, (0..size).map(|n| vec![7; n]).collect::<Vec<_>>());
            prop_assert_eq!(told, b"hello");
            let want: Vec<Vec<u8>> = if rank == 0 { (0..size as u8).map(|n| vec![n]).collect() } else { Vec::new() };
            prop_assert_eq!(root, want);
        }
    }
}

/// Blocks of 1, 2, 4 ranks, each with the one beside it.
fn joined(values: &[f64]) -> f64 {
    match values {
        [one] => *one,
        several => {
            let (earlier, later) = several.split_at(several.len().next_power_of_two() / 2);
            joined(earlier) + joined(later)
        }
    }
}

#[test]
fn numbers_are_joined_in_one_shape_on_all_ranks_in_as_few_steps_as_can_be() {
    for size in 1usize..=17 {
        let value = |rank: usize| 0.1 * (rank as f64 + 1.0).powi(5) + 1e9 / (rank as f64 + 0.3);
        let all = run_threads(size, |rank| {
            let mut comm = comm(rank);
            let mut bytes = value(comm.rank()).to_le_bytes();
            comm.all_reduce("sum", &mut bytes, &|a, b| {
                let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().unwrap());
                let sum = number(a) + number(b);
                a.copy_from_slice(&sum.to_le_bytes());
            })?;
            Ok((f64::from_le_bytes(bytes), comm.traffic().messages))
        })
        .unwrap();
        let values: Vec<f64> = (0..size).map(value).collect();
        let steps = u64::from(size.next_power_of_two().trailing_zeros());
        for (rank, (sum, messages)) in all.iter().enumerate() {
            assert_eq!(sum.to_bits(), joined(&values).to_bits(), "{size} ranks, rank {rank}");
            assert!(!size.is_power_of_two() || *messages == steps, "{size} ranks, rank {rank}: {messages}");
        }
        // each rank takes one message a step at most
        assert!(all.iter().map(|(_, messages)| messages).sum::<u64>() <= size as u64 * steps);
    }
}

#[test]
fn messages_of_many_parts_arrive_whole() {
    let length = 2 * PART_BYTES_MAX + 5;
    let all = run_threads(2, |rank| {
        let mut comm = comm(rank);
        let other = 1 - comm.rank();
        let mine: Vec<u8> = (0..length).map(|i| (i % 251) as u8 ^ comm.rank() as u8).collect();
        let got = comm.exchange("large", vec![(other, mine)], &[other])?.remove(0);
        Ok(got.len() == length && got.iter().enumerate().all(|(i, byte)| *byte == (i % 251) as u8 ^ other as u8))
    });
    assert_eq!(all.unwrap(), [true, true]);
}

#[test]
fn a_rank_that_panics_ends_the_others_with_its_name() {
    let ended = AtomicUsize::new(0);
    let error = run_threads(4, |rank| {
        let mut comm = comm(rank);
        comm.barrier("begin")?;
        assert!(comm.rank() != 2, "out of luck");
        let done = comm.barrier("end");
        if let Err(ClusterError::Gone { .. }) = &done {
            ended.fetch_add(1, Ordering::Relaxed);
        }
        done
    })
    .unwrap_err();
    assert!(matches!(&error, ClusterError::Gone { rank: 2, why } if why.contains("out of luck")), "{error}");
    assert_eq!(ended.load(Ordering::Relaxed), 3);
}

#[test]
fn a_rank_that_is_silent_is_named_after_the_deadline() {
    let error = run_threads(2, |rank| {
        let mut comm = Comm::new(Box::new(rank)).deadline(Duration::from_millis(200));
        if comm.rank() == 1 {
            // silent, not gone: it waits for itself until the other has given up
            let mut patient = comm.deadline(Duration::from_secs(60));
            return patient.exchange("nothing", Vec::new(), &[1]).map(drop);
        }
        comm.barrier("all")
    })
    .unwrap_err();
    assert!(matches!(&error, ClusterError::Deadline { rank: 1, what, .. } if what == "all"), "{error}");
}

#[test]
fn ranks_at_different_calls_are_told() {
    let error = run_threads(2, |rank| {
        let mut comm = comm(rank);
        let (other, what) = (1 - comm.rank(), ["refresh", "reduce"][comm.rank()]);
        comm.exchange(what, vec![(other, vec![1])], &[other]).map(drop)
    })
    .unwrap_err();
    assert!(matches!(error, ClusterError::Disagree { .. }), "{error}");
    let error = run_threads(2, |rank| {
        let mut comm = comm(rank);
        comm.all_equal("seed", &[comm.rank() as u8])
    });
    assert!(matches!(error, Err(ClusterError::Differs { rank: 1, .. })));
}

/// What a hostile rank 1 sends instead of a message, and what rank 0 makes of it.
fn hostile(messages: &[Vec<u8>]) -> ClusterError {
    let seen = std::sync::Mutex::new(None);
    let _ = run_threads(2, |mut rank| {
        if rank.rank() == 1 {
            for message in messages {
                rank.post(0, message.clone())?;
            }
            // stays until rank 0 has seen it
            while rank.take(0).is_ok() {
                std::thread::yield_now();
            }
            return Ok(());
        }
        let error = comm(rank).exchange("call", Vec::new(), &[1]).unwrap_err();
        *seen.lock().unwrap() = Some(error);
        Ok(())
    });
    seen.into_inner().unwrap().unwrap()
}

#[test]
fn hostile_messages_are_refused() {
    let header = |call: &str, sequence: u64, total: u64| {
        let mut bytes = b"HYMP\0\0\0\0".to_vec();
        for word in [xxhash_rust::xxh3::xxh3_64(call.as_bytes()), sequence, total] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes
    };
    let with = |mut header: Vec<u8>, bytes: &[u8]| {
        header.extend_from_slice(bytes);
        header
    };
    for message in [
        Vec::new(),
        b"HYMP".to_vec(),
        vec![0; 40],
        header("call", 0, u64::MAX),
        header("call", 0, 10),
        with(header("call", 0, 2), b"abc"),
    ] {
        let error = hostile(std::slice::from_ref(&message));
        assert!(matches!(error, ClusterError::Message { rank: 1, .. }), "{message:?}: {error}");
    }
    for message in [header("other", 0, 0), header("call", 1, 0)] {
        assert!(matches!(hostile(&[message]), ClusterError::Disagree { rank: 1, .. }));
    }
    let long = with(header("call", 0, PART_BYTES_MAX as u64 + 1), &vec![0; PART_BYTES_MAX]);
    assert!(matches!(hostile(&[long, Vec::new()]), ClusterError::Message { rank: 1, .. }));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let error = hostile(&[bytes]);
        let refused = matches!(error, ClusterError::Message { rank: 1, .. } | ClusterError::Disagree { rank: 1, .. });
        prop_assert!(refused, "{}", error);
    }
}
