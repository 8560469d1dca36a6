//! What is recorded, and how it fits into 32 bytes.
//!
//! ```text
//! offset bytes
//!      0     4  number: the event's place in its ring since the ring began, plus 1, wrapping
//!      4     1  kind; 0: none
//!      5     1  flags
//!      6     2  a
//!      8     8  start, ns of the monotonic clock
//!     16     5  duration, ns; all ones: that or longer
//!     21     3  subject: system, stage, batch or worker; all ones: none
//!     24     4  b
//!     28     4  c
//! ```
//!
//! What a, b and c are depends on the kind (docs/format.md). Numbers that do not fit become the largest that does.
#![forbid(unsafe_code)]

/// Words of an event.
pub(super) const EVENT_WORDS: usize = 4;

const DURATION_BITS: u32 = 40;
const DURATION_MAX: u64 = (1 << DURATION_BITS) - 1;
const SUBJECT_MAX: u32 = (1 << 24) - 1;

/// A part of a batch, as main goes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Systems and tables become a program and jobs.
    Build,
    /// Jobs run.
    Run,
    /// What the jobs wrote becomes the columns' content.
    Live,
    /// Patches are applied.
    Apply,
    /// Tables are sorted.
    Sort,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wait {
    /// A worker: for jobs.
    Work,
    /// Main: for the workers' last jobs.
    Workers,
    /// A worker: for room in its ring.
    Ring,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// Main ran a frame, its publication included; or several in one pass.
    Frame {
        /// The frame's number, of several the first one's.
        number: u64,
        /// How many.
        frames: u16,
        /// Whether it was abandoned.
        failed: bool,
    },
    /// Main ran a stage.
    Stage {
        /// Its place among [`super::Timeline::stages`].
        stage: u32,
    },
    /// Main saw a batch (or several that run as one) from its build to its end.
    Batch {
        /// Its place among [`super::Timeline::batches`].
        batch: u32,
        /// Its jobs.
        jobs: u32,
        /// Rows of all jobs.
        rows: u32,
    },
    /// Main went through a part of a batch.
    Phase {
        /// Which part.
        phase: Phase,
        /// Of which batch.
        batch: u32,
    },
    /// Main published a generation, or could not.
    Publish {
        /// The newest generation afterwards.
        generation: u64,
        /// Pins that readers held.
        pins: u16,
        /// Whether it was skipped, as readers hold all memory.
        skipped: bool,
    },
    /// A job's kernels ran.
    Job {
        /// Its system, of several the first; its place among [`super::Timeline::systems`].
        system: u32,
        /// The table of its rows.
        table: u16,
        /// Its number in the batch.
        job: u32,
        /// Its rows.
        rows: u32,
        /// Workers that died with it before.
        attempt: u8,
        /// Whether the systems within have events of their own.
        fused: bool,
        /// Whether it failed.
        failed: bool,
    },
    /// One of a job's several systems ran, for one frame.
    System {
        /// Its place among [`super::Timeline::systems`].
        system: u32,
        /// The table of its rows.
        table: u16,
        /// The job's number in the batch.
        job: u32,
        /// Its rows.
        rows: u32,
    },
    /// Somebody waited.
    Wait(Wait),
    /// A worker takes jobs from now on.
    Started {
        /// The worker.
        worker: u32,
        /// Its process id; 0: a thread.
        pid: u32,
    },
    /// A worker died; the event begins with the job that it had, if it had one.
    Died {
        /// The worker.
        worker: u32,
        /// How often it died by now, its predecessors included.
        deaths: u32,
        /// The number of the job in its batch.
        job: Option<u32>,
    },
    /// A dead worker's job was given out again.
    Retried {
        /// The worker that died.
        worker: u32,
        /// The job's number in the batch.
        job: u32,
        /// Workers that died with it by now.
        attempt: u8,
    },
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// When it began, ns of the machine's monotonic clock.
    pub start_ns: u64,
    /// How long it took, ns.
    pub duration_ns: u64,
    /// What it was.
    pub kind: EventKind,
}

/// The numbers of an event that depend on its kind.
#[derive(Default)]
struct Packed {
    kind: u8,
    flags: u8,
    a: u16,
    subject: u32,
    b: u32,
    c: u32,
}

const FAILED: u8 = 1;
const FUSED: u8 = 2;
/// Attempts stand in the flags above these bits.
const ATTEMPT_SHIFT: u32 = 2;

impl Event {
    /// When it ended.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.duration_ns)
    }

    /// As words; the first one lacks the number.
    #[inline]
    pub(super) fn pack(&self) -> [u64; EVENT_WORDS] {
        let Packed { kind, flags, a, subject, b, c } = self.kind.pack();
        let duration = self.duration_ns.min(DURATION_MAX);
        [
            u64::from(kind) << 32 | u64::from(flags) << 40 | u64::from(a) << 48,
            self.start_ns,
            duration | u64::from(subject.min(SUBJECT_MAX)) << DURATION_BITS,
            u64::from(b) | u64::from(c) << 32,
        ]
    }

    /// From words of this number; none: another number, or no kind. Flags that a kind does not have say nothing.
    pub(super) fn unpack(words: [u64; EVENT_WORDS], number: u32) -> Option<Event> {
        let [head, start_ns, middle, tail] = words;
        if head as u32 != number {
            return None;
        }
        let kind = EventKind::unpack(&Packed {
            kind: (head >> 32) as u8,
            flags: (head >> 40) as u8,
            a: (head >> 48) as u16,
            subject: (middle >> DURATION_BITS) as u32,
            b: tail as u32,
            c: (tail >> 32) as u32,
        })?;
        Some(Event { start_ns, duration_ns: middle & DURATION_MAX, kind })
    }
}

fn halves(number: u64) -> (u32, u32) {
    (number as u32, (number >> 32) as u32)
}

fn whole(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

impl EventKind {
    #[inline]
    fn pack(&self) -> Packed {
        let failed = |failed: bool| if failed { FAILED } else { 0 };
        match *self {
            EventKind::Frame { number, frames, failed: f } => {
                let (b, c) = halves(number);
                Packed { kind: 1, flags: failed(f), a: frames, b, c, subject: SUBJECT_MAX }
            }
            EventKind::Stage { stage } => Packed { kind: 2, subject: stage, ..Packed::default() },
            EventKind::Batch { batch, jobs, rows } => {
                Packed { kind: 3, subject: batch, b: jobs, c: rows, ..Packed::default() }
            }
            EventKind::Phase { phase, batch } => {
                let kind = match phase {
                    Phase::Build => 4,
                    Phase::Run => 5,
                    Phase::Live => 6,
                    Phase::Apply => 7,
                    Phase::Sort => 8,
                };
                Packed { kind, subject: batch, ..Packed::default() }
            }
            EventKind::Publish { generation, pins, skipped } => {
                let (b, c) = halves(generation);
                Packed { kind: 9, flags: failed(skipped), a: pins, b, c, subject: SUBJECT_MAX }
            }
            EventKind::Job { system, table, job, rows, attempt, fused, failed: f } => {
                let fused = if fused { FUSED } else { 0 };
                let flags = attempt.min(63) << ATTEMPT_SHIFT | fused | failed(f);
                Packed { kind: 16, flags, a: table, subject: system, b: job, c: rows }
            }
            EventKind::System { system, table, job, rows } => {
                Packed { kind: 17, flags: 0, a: table, subject: system, b: job, c: rows }
            }
            EventKind::Wait(wait) => {
                let kind = match wait {
                    Wait::Work => 24,
                    Wait::Workers => 25,
                    Wait::Ring => 26,
                };
                Packed { kind, subject: SUBJECT_MAX, ..Packed::default() }
            }
            EventKind::Started { worker, pid } => Packed { kind: 32, subject: worker, b: pid, ..Packed::default() },
            EventKind::Died { worker, deaths, job } => {
                let (flags, c) = job.map_or((0, 0), |job| (FAILED, job));
                Packed { kind: 33, flags, subject: worker, b: deaths, c, ..Packed::default() }
            }
            EventKind::Retried { worker, job, attempt } => Packed {
                kind: 34,
                flags: attempt.min(63) << ATTEMPT_SHIFT,
                subject: worker,
                b: job,
                ..Packed::default()
            },
        }
    }

    fn unpack(packed: &Packed) -> Option<EventKind> {
        let &Packed { kind, flags, a, subject, b, c } = packed;
        let failed = flags & FAILED != 0;
        let attempt = flags >> ATTEMPT_SHIFT;
        let phase = |phase| EventKind::Phase { phase, batch: subject };
        Some(match kind {
            1 => EventKind::Frame { number: whole(b, c), frames: a, failed },
            2 => EventKind::Stage { stage: subject },
            3 => EventKind::Batch { batch: subject, jobs: b, rows: c },
            4 => phase(Phase::Build),
            5 => phase(Phase::Run),
            6 => phase(Phase::Live),
            7 => phase(Phase::Apply),
            8 => phase(Phase::Sort),
            9 => EventKind::Publish { generation: whole(b, c), pins: a, skipped: failed },
            16 => EventKind::Job {
                system: subject,
                table: a,
                job: b,
                rows: c,
                attempt,
                fused: flags & FUSED != 0,
                failed,
            },
            17 => EventKind::System { system: subject, table: a, job: b, rows: c },
            24 => EventKind::Wait(Wait::Work),
            25 => EventKind::Wait(Wait::Workers),
            26 => EventKind::Wait(Wait::Ring),
            32 => EventKind::Started { worker: subject, pid: b },
            33 => EventKind::Died { worker: subject, deaths: b, job: failed.then_some(c) },
            34 => EventKind::Retried { worker: subject, job: b, attempt },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds() -> impl Strategy<Value = EventKind> {
        let subject = 0..SUBJECT_MAX;
        let attempt = 0u8..64;
        prop_oneof![
            (any::<u64>(), any::<u16>(), any::<bool>()).prop_map(|(number, frames, failed)| EventKind::Frame {
                number,
                frames,
                failed
            }),
            subject.clone().prop_map(|stage| EventKind::Stage { stage }),
            (subject.clone(), any::<u32>(), any::<u32>()).prop_map(|(batch, jobs, rows)| EventKind::Batch {
                batch,
                jobs,
                rows
            }),
            (subject.clone(), 0usize..5).prop_map(|(batch, at)| {
                let phase = [Phase::Build, Phase::Run, Phase::Live, Phase::Apply, Phase::Sort][at];
                EventKind::Phase { phase, batch }
            }),
            (any::<u64>(), any::<u16>(), any::<bool>()).prop_map(|(generation, pins, skipped)| EventKind::Publish {
                generation,
                pins,
                skipped
            }),
            (subject.clone(), any::<u16>(), any::<u32>(), any::<u32>(), attempt.clone(), any::<[bool; 2]>()).prop_map(
                |(system, table, job, rows, attempt, [fused, failed])| EventKind::Job {
                    system,
                    table,
                    job,
                    rows,
                    attempt,
                    fused,
                    failed
                }
            ),
            (subject.clone(), any::<u16>(), any::<u32>(), any::<u32>())
                .prop_map(|(system, table, job, rows)| EventKind::System { system, table, job, rows }),
            (0usize..3).prop_map(|at| EventKind::Wait([Wait::Work, Wait::Workers, Wait::Ring][at])),
            (subject.clone(), any::<u32>()).prop_map(|(worker, pid)| EventKind::Started { worker, pid }),
            (subject.clone(), any::<u32>(), any::<Option<u32>>()).prop_map(|(worker, deaths, job)| EventKind::Died {
                worker,
                deaths,
                job
            }),
            (subject, any::<u32>(), attempt).prop_map(|(worker, job, attempt)| EventKind::Retried {
                worker,
                job,
                attempt
            }),
        ]
    }

    proptest! {
        #[test]
        fn events_unpack_to_what_was_packed(
            kind in kinds(), start_ns: u64, duration_ns in 0..=DURATION_MAX, number: u32,
        ) {
            let event = Event { start_ns, duration_ns, kind };
            let mut words = event.pack();
            words[0] |= u64::from(number);
            prop_assert_eq!(Event::unpack(words, number), Some(event));
            prop_assert_eq!(Event::unpack(words, number.wrapping_add(1)), None);
        }

        #[test]
        fn any_words_unpack_without_panic(words: [u64; EVENT_WORDS]) {
            if let Some(event) = Event::unpack(words, words[0] as u32) {
                let again = event.pack();
                prop_assert_eq!(Event::unpack([again[0] | u64::from(words[0] as u32), again[1], again[2], again[3]], words[0] as u32), Some(event));
            }
        }
    }

    #[test]
    fn what_is_too_long_becomes_the_longest() {
        let event = Event { start_ns: 1, duration_ns: u64::MAX, kind: EventKind::Stage { stage: u32::MAX } };
        let back = Event::unpack(event.pack(), 0).expect("a kind");
        assert_eq!(back.duration_ns, DURATION_MAX);
        assert_eq!(back.kind, EventKind::Stage { stage: SUBJECT_MAX });
        assert_eq!(Event::unpack([0; 4], 0), None, "zeroed memory holds no event");
    }
}
