//! Calls of all ranks: exchange, gather, reduce, broadcast, barrier, each with a deadline.
//!
//! Every message begins with a header:
//!
//! ```text
//! 0   u32  "HYMP"
//! 4   u32  0
//! 8   u64  hash of the call's name
//! 16  u64  number of the message from this rank to that one, from 0
//! 24  u64  bytes that follow, in this part and the next ones
//! ```
//!
//! A part holds at most [`PART_BYTES_MAX`] bytes after the header; the other parts have none. All collective calls are
//! trees over the ranks in order, so that a join is always of earlier and later ranks, and n ranks take log2 n steps;
//! where all ranks get what is joined, each has it after them, and not after twice as many.
//! Messages are checked against the header: what another rank sends is never trusted, neither its length nor its place.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use crate::error::ClusterError;
use crate::meter::thread_cpu_time;
use crate::transport::Transport;

/// Bytes of one part of a message.
pub const PART_BYTES_MAX: usize = 64 << 20;
/// Bytes of one message: more is a mistake, or not meant well.
pub const MESSAGE_BYTES_MAX: u64 = 1 << 40;
/// How long a call waits for another rank where nothing else is said.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(30);

const MAGIC: u32 = u32::from_le_bytes(*b"HYMP");
pub(crate) const HEADER_BYTES: usize = 32;

/// What went between the ranks, as this one sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Messages that this rank sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Time in calls, waiting included.
    pub inside: Duration,
    /// CPU time of this thread while nothing came: looking, again and again.
    pub waiting: Duration,
}

/// A rank's line to all others.
pub struct Comm {
    transport: Box<dyn Transport>,
    deadline: Duration,
    sent: Vec<u64>,
    taken: Vec<u64>,
    traffic: Traffic,
}

/// Joins the bytes of a later rank, whose number it is told, into earlier ones.
type JoinLater<'a> = &'a mut dyn FnMut(&mut Vec<u8>, Vec<u8>, usize) -> Result<(), ClusterError>;

/// A message that is written, or that came: its bytes, with room for the header before them. Its memory is that of earlier
/// ones, as long as it is given back ([`Comm::done`]).
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0[HEADER_BYTES..]
    }

    /// To add to.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

/// A message of which some parts are here.
struct Partial {
    total: usize,
    /// The header, and what is here of the others.
    bytes: Vec<u8>,
}

impl Comm {
    /// Over a transport.
    #[must_use]
    pub fn new(transport: Box<dyn Transport>) -> Self {
        let size = transport.size();
        Comm {
            transport,
            deadline: DEADLINE_DEFAULT,
            sent: vec![0; size],
            taken: vec![0; size],
            traffic: Traffic::default(),
        }
    }

    /// With another deadline: how long a call waits for a rank from which nothing comes.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// This rank, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.transport.rank()
    }

    /// Ranks in all.
    #[must_use]
    pub fn size(&self) -> usize {
        self.transport.size()
    }

    /// What went between the ranks so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// This rank cannot go on: the others are told why, where the transport can, and are not ended.
    pub fn failed(&mut self, why: &str) {
        self.transport.failed(why);
    }

    /// Ends the run on all ranks.
    pub fn abort(&mut self, why: &str) {
        self.transport.abort(why);
    }

    /// Makes calls without a deadline: for what takes as long as it takes on each rank.
    ///
    /// # Errors
    /// Those of the calls.
    pub fn patient<T>(&mut self, calls: impl FnOnce(&mut Comm) -> T) -> T {
        let deadline = std::mem::replace(&mut self.deadline, Duration::MAX / 100);
        let done = calls(self);
        self.deadline = deadline;
        done
    }

    /// Sends a message to each of some ranks and takes one from each of some ranks: the messages of `from`, in its order.
    /// `what` names the call; it is the same on all ranks that take part.
    ///
    /// # Errors
    /// A rank is gone, late or at another place; a message that is not valid.
    pub fn exchange(
        &mut self,
        what: &str,
        send: Vec<(usize, Vec<u8>)>,
        from: &[usize],
    ) -> Result<Vec<Vec<u8>>, ClusterError> {
        self.exchange_within(what, send, from, 0)
    }

    /// With more patience: a rank that waits for one that waits for others gives up after them, so that the rank that is
    /// named is the one that is silent.
    fn exchange_within(
        &mut self,
        what: &str,
        send: Vec<(usize, Vec<u8>)>,
        from: &[usize],
        patience: u32,
    ) -> Result<Vec<Vec<u8>>, ClusterError> {
        let mut messages = Vec::with_capacity(send.len());
        for (to, bytes) in send {
            let mut message = self.message();
            message.end().extend_from_slice(&bytes);
            messages.push((to, message));
        }
        let came = self.exchange_messages(what, messages, from, patience)?;
        let mut bytes = Vec::with_capacity(came.len());
        for message in came {
            bytes.push(message.bytes().to_vec());
            self.done(message);
        }
        Ok(bytes)
    }

    /// A message to be written.
    pub(crate) fn message(&mut self) -> Message {
        let mut memory = self.transport.memory();
        memory.clear();
        memory.resize(HEADER_BYTES, 0);
        Message(memory)
    }

    /// Takes the memory of a message that is read back, for other messages.
    pub(crate) fn done(&mut self, message: Message) {
        self.transport.recycle(message.0);
    }

    /// As [`Comm::exchange`], with more patience: and nothing is copied.
    pub(crate) fn exchange_messages(
        &mut self,
        what: &str,
        send: Vec<(usize, Message)>,
        from: &[usize],
        patience: u32,
    ) -> Result<Vec<Message>, ClusterError> {
        let begun = Instant::now();
        let deadline = self.deadline + self.deadline / 10 * patience;
        let done = self.exchange_now(what, send, from, deadline);
        self.traffic.inside += begun.elapsed();
        done
    }

    /// Joins the values of all ranks, in their order, on all ranks: `join(earlier, later)`.
    ///
    /// # Errors
    /// As [`Comm::exchange`]; a value of another length.
    pub fn all_reduce(
        &mut self,
        what: &str,
        value: &mut [u8],
        join: &dyn Fn(&mut [u8], &[u8]),
    ) -> Result<(), ClusterError> {
        let length = value.len();
        let mut mine = value.to_vec();
        self.all_join(what, &mut mine, &mut |earlier, later, rank| {
            if let Some(other) = [earlier.len(), later.len()].into_iter().find(|other| *other != length) {
                let what = format!("its value of `{what}` has {other} bytes, not {length}");
                return Err(ClusterError::Message { rank, what });
            }
            join(earlier, &later);
            Ok(())
        })?;
        value.copy_from_slice(&mine);
        Ok(())
    }

    /// The sum of a number over all ranks.
    ///
    /// # Errors
    /// As [`Comm::exchange`].
    pub fn sum(&mut self, what: &str, number: u64) -> Result<u64, ClusterError> {
        let mut bytes = number.to_le_bytes();
        self.all_reduce(what, &mut bytes, &|a, b| {
            let sum = word(a).wrapping_add(word(b));
            a.copy_from_slice(&sum.to_le_bytes());
        })?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The bytes of each rank, in order, on rank 0; nothing on the others.
    ///
    /// # Errors
    /// As [`Comm::exchange`].
    pub fn gather(&mut self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, ClusterError> {
        let mut all = piece(mine);
        self.up(what, &mut all, &mut |all, later, _| {
            all.extend_from_slice(&later);
            Ok(())
        })?;
        if self.rank() != 0 {
            return Ok(Vec::new());
        }
        pieces(&all, self.size())
    }

    /// The bytes of each rank, in order, on all ranks.
    ///
    /// # Errors
    /// As [`Comm::exchange`].
    pub fn all_gather(&mut self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, ClusterError> {
        let mut all = piece(mine);
        self.all_join(what, &mut all, &mut |all, later, _| {
            all.extend_from_slice(&later);
            Ok(())
        })?;
        pieces(&all, self.size())
    }

    /// The bytes of rank 0, on all ranks.
    ///
    /// # Errors
    /// As [`Comm::exchange`].
    pub fn broadcast(&mut self, what: &str, bytes: &mut Vec<u8>) -> Result<(), ClusterError> {
        self.down(what, bytes)
    }

    /// Waits until all ranks are here.
    ///
    /// # Errors
    /// As [`Comm::exchange`].
    pub fn barrier(&mut self, what: &str) -> Result<(), ClusterError> {
        self.all_reduce(what, &mut [], &|_, _| {})
    }

    /// Whether all ranks have the same bytes.
    ///
    /// # Errors
    /// They have not; as [`Comm::exchange`].
    pub fn all_equal(&mut self, what: &str, mine: &[u8]) -> Result<(), ClusterError> {
        let mine = xxhash_rust::xxh3::xxh3_128(mine).to_le_bytes();
        let all = self.all_gather(what, &mine)?;
        match all.iter().position(|other| *other != all[0]) {
            Some(rank) => Err(ClusterError::Differs { rank, what: what.to_owned() }),
            None => Ok(()),
        }
    }

    /// Joins values of all ranks on all ranks, by recursive doubling: blocks of 1, 2, 4 ranks, each with the one beside it.
    /// All ranks join in the shape of [`Comm::up`]'s tree, and have the same bytes after as many steps as it takes to rank
    /// 0. Of the last block ranks may be missing: those that are there give its value to several.
    fn all_join(&mut self, what: &str, mine: &mut Vec<u8>, join: JoinLater<'_>) -> Result<(), ClusterError> {
        let (rank, size) = (self.rank(), self.size());
        let mut step = 1;
        while step < size {
            let own = rank & !(step - 1);
            let other = own ^ step;
            if other < size {
                let ranks = |block: usize| step.min(size - block);
                let at = rank - own;
                let from = other + at % ranks(other);
                let to = (at..ranks(other)).step_by(ranks(own)).map(|at| other + at);
                let send = to.map(|to| (to, mine.clone())).collect();
                for mut came in self.exchange_within(what, send, &[from], step.trailing_zeros())? {
                    if other < own {
                        std::mem::swap(mine, &mut came);
                    }
                    join(mine, came, from)?;
                }
            }
            step <<= 1;
        }
        Ok(())
    }

    /// Joins values towards rank 0 along a tree in which each rank joins the ranks behind it, nearest first.
    fn up(&mut self, what: &str, mine: &mut Vec<u8>, join: JoinLater<'_>) -> Result<(), ClusterError> {
        let (rank, size) = (self.rank(), self.size());
        let mut step = 1;
        while step < size {
            if rank & step != 0 {
                self.exchange(what, vec![(rank - step, std::mem::take(mine))], &[])?;
                return Ok(());
            }
            if rank + step < size {
                for later in self.exchange_within(what, Vec::new(), &[rank + step], step.trailing_zeros())? {
                    join(mine, later, rank + step)?;
                }
            }
            step <<= 1;
        }
        Ok(())
    }

    /// Sends the bytes of rank 0 along the same tree.
    fn down(&mut self, what: &str, bytes: &mut Vec<u8>) -> Result<(), ClusterError> {
        let (rank, size) = (self.rank(), self.size());
        let lowest = if rank == 0 { size.next_power_of_two() } else { 1 << rank.trailing_zeros() };
        if rank != 0 {
            let patience = size.next_power_of_two().trailing_zeros() + rank.count_ones();
            if let Some(message) = self.exchange_within(what, Vec::new(), &[rank - lowest], patience)?.pop() {
                *bytes = message;
            }
        }
        let mut step = lowest >> 1;
        let mut send = Vec::new();
        while step > 0 {
            if rank + step < size {
                send.push((rank + step, bytes.clone()));
            }
            step >>= 1;
        }
        self.exchange(what, send, &[]).map(drop)
    }

    fn exchange_now(
        &mut self,
        what: &str,
        send: Vec<(usize, Message)>,
        from: &[usize],
        deadline: Duration,
    ) -> Result<Vec<Message>, ClusterError> {
        let call = xxh3_64(what.as_bytes());
        for (to, message) in send {
            self.post(call, to, message)?;
        }
        let mut partial: Vec<Option<Partial>> = from.iter().map(|_| None).collect();
        let mut open = from.len();
        let (mut heard, mut round) = (Instant::now(), 0);
        loop {
            let looked = thread_cpu_time();
            let unsent = self.transport.unsent()?;
            let mut progress = false;
            for (slot, rank) in partial.iter_mut().zip(from) {
                while slot.as_ref().is_none_or(|part| !part.is_whole()) {
                    let Some(message) = self.transport.take(*rank)? else { break };
                    progress = true;
                    match slot {
                        Some(part) => {
                            part.add(&message, *rank)?;
                            self.transport.recycle(message);
                        }
                        None => *slot = Some(self.begin(call, what, *rank, message)?),
                    }
                    if slot.as_ref().is_some_and(Partial::is_whole) {
                        open -= 1;
                    }
                }
            }
            if open == 0 && unsent.is_none() {
                return Ok(partial.into_iter().flatten().map(|part| Message(part.bytes)).collect());
            }
            if progress {
                (heard, round) = (Instant::now(), 0);
                continue;
            }
            if heard.elapsed() > deadline {
                let late = partial
                    .iter()
                    .zip(from)
                    .find(|(slot, _)| slot.as_ref().is_none_or(|part| !part.is_whole()))
                    .map(|(_, rank)| *rank);
                let rank = late.or(unsent).unwrap_or_default();
                return Err(ClusterError::Deadline { rank, what: what.to_owned(), waited: deadline });
            }
            self.transport.pause(round);
            self.traffic.waiting += thread_cpu_time().saturating_sub(looked);
            round = round.saturating_add(1);
        }
    }

    fn post(&mut self, call: u64, to: usize, message: Message) -> Result<(), ClusterError> {
        let mut first = message.0;
        let total = first.len() - HEADER_BYTES;
        first[..4].copy_from_slice(&MAGIC.to_le_bytes());
        first[4..8].fill(0);
        for (at, word) in [call, self.sent[to], total as u64].into_iter().enumerate() {
            first[8 + 8 * at..16 + 8 * at].copy_from_slice(&word.to_le_bytes());
        }
        self.sent[to] += 1;
        self.traffic.messages += 1;
        self.traffic.bytes += first.len() as u64;
        let rest = if total > PART_BYTES_MAX { first.split_off(HEADER_BYTES + PART_BYTES_MAX) } else { Vec::new() };
        self.transport.post(to, first)?;
        for part in rest.chunks(PART_BYTES_MAX) {
            self.transport.post(to, part.to_vec())?;
        }
        Ok(())
    }

    /// The first part of a message, checked against what is waited for.
    fn begin(&mut self, call: u64, what: &str, rank: usize, message: Vec<u8>) -> Result<Partial, ClusterError> {
        let bad = |what: String| Err(ClusterError::Message { rank, what });
        if message.len() < HEADER_BYTES || message[..4] != MAGIC.to_le_bytes() {
            return bad(format!("{} bytes without a header", message.len()));
        }
        let (theirs, sequence, total) = (word(&message[8..]), word(&message[16..]), word(&message[24..]));
        if theirs != call || sequence != self.taken[rank] {
            return Err(ClusterError::Disagree { rank, here: what.to_owned(), sequence });
        }
        self.taken[rank] += 1;
        if total > MESSAGE_BYTES_MAX {
            return bad(format!("it says that it has {total} bytes, more than {MESSAGE_BYTES_MAX}"));
        }
        let part = Partial { total: total as usize, bytes: message };
        part.check(rank)?;
        Ok(part)
    }
}

impl Partial {
    fn here(&self) -> usize {
        self.bytes.len() - HEADER_BYTES
    }

    fn is_whole(&self) -> bool {
        self.here() == self.total
    }

    fn add(&mut self, part: &[u8], rank: usize) -> Result<(), ClusterError> {
        if part.is_empty() {
            return Err(ClusterError::Message { rank, what: "a part of a message is empty".to_owned() });
        }
        self.bytes.extend_from_slice(part);
        self.check(rank)
    }

    fn check(&self, rank: usize) -> Result<(), ClusterError> {
        let (here, total) = (self.here(), self.total);
        if here > total || (here < total && here < PART_BYTES_MAX) {
            let what = format!("it says that it has {total} bytes, but {here} came");
            return Err(ClusterError::Message { rank, what });
        }
        Ok(())
    }
}

/// Eight bytes as a number; the caller has checked that they are there.
pub(crate) fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(word)
}

/// Bytes with their length before them.
fn piece(bytes: &[u8]) -> Vec<u8> {
    let mut piece = (bytes.len() as u64).to_le_bytes().to_vec();
    piece.extend_from_slice(bytes);
    piece
}

/// As many pieces as there are ranks, and nothing else.
fn pieces(mut bytes: &[u8], count: usize) -> Result<Vec<Vec<u8>>, ClusterError> {
    let mut all = Vec::with_capacity(count);
    for rank in 0..count {
        let bad = || ClusterError::Message { rank, what: "what was gathered ends before its bytes".to_owned() };
        let length = bytes.get(..8).map(word).ok_or_else(bad)?;
        let rest = &bytes[8..];
        let end = usize::try_from(length).ok().filter(|end| *end <= rest.len()).ok_or_else(bad)?;
        all.push(rest[..end].to_vec());
        bytes = &rest[end..];
    }
    if bytes.is_empty() {
        Ok(all)
    } else {
        Err(ClusterError::Message { rank: 0, what: format!("{} bytes too many were gathered", bytes.len()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::run_threads;

    #[test]
    fn messages_use_the_memory_of_earlier_ones() {
        const BYTES: usize = 100_000;
        run_threads(2, |rank| {
            let mut comm = Comm::new(Box::new(rank));
            let other = 1 - comm.rank();
            for round in 0..5 {
                let mut message = comm.message();
                assert_eq!(message.bytes(), [0; 0], "what was in it is gone");
                assert!(round == 0 || message.0.capacity() >= BYTES, "round {round} takes new memory");
                message.end().resize(HEADER_BYTES + BYTES, round);
                for came in comm.exchange_messages("round", vec![(other, message)], &[other], 0)? {
                    assert_eq!(came.bytes(), [round; BYTES]);
                    comm.done(came);
                }
            }
            Ok(())
        })
        .expect("two ranks");
    }
}
