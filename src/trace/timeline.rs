//! A timeline: the events of all rings, with the names of what they number.
#![forbid(unsafe_code)]

use super::event::Event;
use super::header::Trace;
use super::ring;

/// Systems that ran as one, of one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineBatch {
    /// Its place among [`Timeline::stages`].
    pub stage: u32,
    /// Places among [`Timeline::systems`], in order.
    pub systems: Vec<u32>,
}

/// What one runner did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// Its events, in the order in which they ended.
    pub events: Vec<Event>,
    /// Older events that are not here: overwritten before they were read, or dropped by [`Timeline::keep_newest`].
    pub lost: u64,
    /// Events that could not be read: a worker process can write anything.
    pub damaged: u64,
    /// Events read so far, those that were lost included.
    next: u64,
}

/// What a simulation did, and when: main's lane first, then one for each worker.
///
/// Comes from [`crate::Simulation::timeline`], or from [`crate::Reader::timeline`] in any other process. Each lane
/// holds the newest events; how many older ones there were is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Names of the systems, in the order of registration.
    pub systems: Vec<String>,
    /// Names of the stages.
    pub stages: Vec<String>,
    /// The batches in order.
    pub batches: Vec<TimelineBatch>,
    /// Main's lane, then the workers'.
    pub lanes: Vec<Lane>,
    /// When recording began, ns of the machine's monotonic clock.
    pub began_ns: u64,
    /// The same moment, ns since 1970.
    pub began_unix_ns: u64,
    /// The main process.
    pub pid: u32,
}

impl Lane {
    /// A lane of events from elsewhere, such as a file.
    #[must_use]
    pub fn of(events: Vec<Event>, lost: u64, damaged: u64) -> Lane {
        Lane { events, lost, damaged, next: 0 }
    }
}

impl Timeline {
    /// Takes in what was recorded since the last call. Another trace than that of the last call replaces all.
    pub(crate) fn extend(&mut self, trace: &Trace) {
        let same = self.lanes.len() == trace.rings() as usize
            && (self.began_ns, self.began_unix_ns, self.pid) == (trace.began_ns, trace.began_unix_ns, trace.pid);
        if !same {
            let names = &trace.names;
            let batch = |(stage, systems): &(u32, Vec<u32>)| TimelineBatch { stage: *stage, systems: systems.clone() };
            *self = Timeline {
                systems: names.systems.clone(),
                stages: names.stages.clone(),
                batches: names.batches.iter().map(batch).collect(),
                lanes: vec![Lane::default(); trace.rings() as usize],
                began_ns: trace.began_ns,
                began_unix_ns: trace.began_unix_ns,
                pid: trace.pid,
            };
        }
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            let taken = ring::take(trace.ring_words(number as u32), trace.events(), lane.next, &mut lane.events);
            lane.next = taken.next;
            lane.lost = lane.lost.saturating_add(taken.lost);
            lane.damaged += taken.damaged;
        }
    }

    /// Events of all lanes.
    #[must_use]
    pub fn events(&self) -> usize {
        self.lanes.iter().map(|lane| lane.events.len()).sum()
    }

    /// Events that are not here any more.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lanes.iter().fold(0, |all, lane| all.saturating_add(lane.lost))
    }

    /// The time from which on no lane lacks events, ns of the monotonic clock: before it some lanes show what others
    /// have lost.
    #[must_use]
    pub fn whole_since_ns(&self) -> u64 {
        let lossy = self.lanes.iter().filter(|lane| lane.lost > 0);
        lossy.filter_map(|lane| lane.events.first().map(Event::end_ns)).max().unwrap_or(self.began_ns)
    }

    /// Drops the oldest events, so that at most `events` are left; they count as lost.
    pub fn keep_newest(&mut self, events: usize) {
        let excess = self.events().saturating_sub(events);
        if excess == 0 {
            return;
        }
        let mut ends: Vec<u64> = self.lanes.iter().flat_map(|lane| lane.events.iter().map(Event::end_ns)).collect();
        let (_, cut, _) = ends.select_nth_unstable(excess - 1);
        let cut = *cut;
        for lane in &mut self.lanes {
            // a lane's events end one after the other, but for those of a worker that lies
            let drop = lane.events.iter().take_while(|event| event.end_ns() <= cut).count();
            lane.events.drain(..drop);
            lane.lost = lane.lost.saturating_add(drop as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Block, EventKind, Names};
    use super::*;
    use crate::limits::TRACE_EVENTS_MIN;

    fn trace() -> Trace {
        let names = Names { systems: vec!["a".to_owned()], stages: vec!["s".to_owned()], batches: vec![(0, vec![0])] };
        let bytes = Trace::bytes_needed(&names, 2, TRACE_EVENTS_MIN);
        Trace::create(Arc::new(Block::heap(bytes)), names, 2, TRACE_EVENTS_MIN)
    }

    #[test]
    fn a_timeline_grows_by_what_is_new_and_keeps_the_newest() {
        let trace = trace();
        let (main, worker) = (trace.recorder(0), trace.recorder(1));
        let mut timeline = Timeline::default();
        for at in 0..10 {
            main.record(at * 10, at * 10 + 5, EventKind::Stage { stage: 0 });
            worker.record(at * 10, at * 10 + 6, EventKind::Stage { stage: 0 });
            timeline.extend(&trace);
        }
        assert_eq!((timeline.events(), timeline.lost(), timeline.whole_since_ns()), (20, 0, timeline.began_ns));
        assert_eq!((&timeline.systems[..], &timeline.batches[0].systems[..]), (&["a".to_owned()][..], &[0][..]));
        timeline.keep_newest(7);
        assert_eq!((timeline.lanes[0].events.len(), timeline.lanes[1].events.len()), (3, 4));
        assert_eq!((timeline.lost(), timeline.whole_since_ns()), (13, 75));
        timeline.extend(&trace);
        assert_eq!(timeline.events(), 7, "what was dropped does not come back");
    }

    #[test]
    fn another_trace_replaces_all() {
        let (one, mut other) = (trace(), trace());
        one.recorder(0).record(1, 2, EventKind::Stage { stage: 0 });
        other.began_ns += 1;
        let mut timeline = Timeline::default();
        timeline.extend(&one);
        timeline.extend(&other);
        assert_eq!((timeline.events(), timeline.began_ns), (0, other.began_ns));
    }

    #[test]
    fn keeping_none_keeps_none() {
        let trace = trace();
        trace.recorder(0).record(1, 2, EventKind::Stage { stage: 0 });
        let mut timeline = Timeline::default();
        timeline.extend(&trace);
        timeline.keep_newest(0);
        assert_eq!((timeline.events(), timeline.lost()), (0, 1));
    }
}
