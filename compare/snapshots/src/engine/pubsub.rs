//! iceoryx2, publish and subscribe: a publication is a sample of the whole state, written in place into loaned shared
//! memory; a reader holds the newest sample that it received.
//!
//! The writer is a subscriber of its own: it holds the last sample and so has the old values without a copy of its
//! own. The stamp is the samples' user header.
#![expect(unsafe_code, reason = "a sample's payload is initialised by hand; the header may cross processes")]

use std::mem::MaybeUninit;

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::sample::Sample;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;

use super::{Failure, Outcome, Reader, Spec, Stamp, View, Writer};
use crate::clock::nanos;
use crate::model::{AXES, COLUMNS, DirtySet, initial_column, step_in_place, step_into};

/// The only way.
pub const LOAN: &str = "whole loan";

/// A sample's stamp, as it travels.
#[derive(Clone, Copy, Debug, Default, ZeroCopySend)]
#[repr(C)]
pub struct Header {
    publication: u64,
    nanos: u64,
}

type Service = ipc::Service;
type State = Sample<Service, [f32], Header>;

/// A node whose files all begin with the session's name and lie in a directory of its own.
pub fn node(spec: &Spec) -> Result<Node<Service>, Failure> {
    set_log_level(LogLevel::Error);
    let root = crate::session::shared_memory().join(format!("{}.iox2", spec.session));
    let root = root.to_str().ok_or("the path of shared memory is no text")?;
    let mut config = Config::default();
    config.global.prefix = FileName::new(format!("{}.", spec.session).as_bytes())?;
    config.global.set_root_path(&Path::new(root.as_bytes())?);
    Ok(NodeBuilder::new().config(&config).signal_handling_mode(SignalHandlingMode::Disabled).create::<Service>()?)
}

/// The node is there for as long as the service.
struct Port {
    service: PortFactory<Service, [f32], Header>,
    _node: Node<Service>,
}

fn port(spec: &Spec) -> Result<Port, Failure> {
    let node = node(spec)?;
    let service = node
        .service_builder(&"world".try_into()?)
        .publish_subscribe::<[f32]>()
        .user_header::<Header>()
        .max_publishers(1)
        .max_subscribers(2)
        .subscriber_max_buffer_size(1)
        // the one that is held and the next
        .subscriber_max_borrowed_samples(2)
        .history_size(1)
        .enable_safe_overflow(true)
        .open_or_create()?;
    Ok(Port { service, _node: node })
}

struct PubSubWriter {
    last: Option<State>,
    publisher: Publisher<Service, [f32], Header>,
    own: Subscriber<Service, [f32], Header>,
    rows: usize,
    _port: Port,
}

/// The service with the initial state as its first sample.
pub fn writer(spec: &Spec) -> Result<Box<dyn Writer>, Failure> {
    let port = port(spec)?;
    let own = port.service.subscriber_builder().create()?;
    let publisher =
        port.service.publisher_builder().initial_max_slice_len(COLUMNS * spec.rows).max_loaned_samples(1).create()?;
    let mut sample = publisher.loan_slice_uninit(COLUMNS * spec.rows)?;
    *sample.user_header_mut() = Header { publication: 0, nanos: nanos() };
    let initial: Vec<f32> = (0..COLUMNS).flat_map(|column| initial_column(spec.seed, column, spec.rows)).collect();
    sample.write_from_slice(&initial).send()?;
    let last = own.receive()?;
    Ok(Box::new(PubSubWriter { last, publisher, own, rows: spec.rows, _port: port }))
}

/// Steps all rows from an old state to a new one; both are six columns, one after the other.
pub fn step_whole(old: &[f32], new: &mut [MaybeUninit<f32>], rows: usize) {
    let (positions, velocities) = old.split_at(AXES * rows);
    let (new_positions, new_velocities) = new.split_at_mut(AXES * rows);
    for axis in 0..AXES {
        let column = axis * rows..(axis + 1) * rows;
        step_into(
            axis,
            &positions[column.clone()],
            &velocities[column.clone()],
            &mut new_positions[column.clone()],
            &mut new_velocities[column],
        );
    }
}

/// Steps dirty rows of a state where they stand.
pub fn step_dirty(state: &mut [f32], dirty: &DirtySet, rows: usize) {
    let (positions, velocities) = state.split_at_mut(AXES * rows);
    for axis in 0..AXES {
        let positions = &mut positions[axis * rows..(axis + 1) * rows];
        let velocities = &mut velocities[axis * rows..(axis + 1) * rows];
        for [first, len] in &dirty.runs {
            let run = *first as usize..(first + len) as usize;
            step_in_place(axis, &mut positions[run.clone()], &mut velocities[run]);
        }
    }
}

impl Writer for PubSubWriter {
    fn publish(&mut self, dirty: &DirtySet, publication: u64) -> Result<Outcome, Failure> {
        let old = self.last.as_ref().ok_or("the writer lost its last sample")?;
        let Ok(mut sample) = self.publisher.loan_slice_uninit(COLUMNS * self.rows) else {
            return Ok(Outcome { commit_began: nanos(), visible: false, kept: false });
        };
        let mut sample = if dirty.is_whole(self.rows) {
            step_whole(old.payload(), sample.payload_mut(), self.rows);
            // SAFETY: `step_whole` wrote every value.
            unsafe { sample.assume_init() }
        } else {
            let mut sample = sample.write_from_slice(old.payload());
            step_dirty(sample.payload_mut(), dirty, self.rows);
            sample
        };
        let commit_began = nanos();
        *sample.user_header_mut() = Header { publication, nanos: commit_began };
        sample.send()?;
        let sent = self.own.receive()?;
        self.last = sent;
        Ok(Outcome { commit_began, visible: true, kept: true })
    }
}

struct PubSubReader {
    held: Option<State>,
    subscriber: Subscriber<Service, [f32], Header>,
    _port: Port,
}

/// A subscriber.
pub fn reader(spec: &Spec) -> Result<Box<dyn Reader>, Failure> {
    let port = port(spec)?;
    let subscriber = port.service.subscriber_builder().create()?;
    Ok(Box::new(PubSubReader { held: None, subscriber, _port: port }))
}

impl View for State {
    fn stamp(&self) -> Stamp {
        let Header { publication, nanos } = *self.user_header();
        Stamp { publication, nanos }
    }

    fn column(&self, column: usize, visit: &mut dyn FnMut(usize, &[f32])) {
        let rows = self.payload().len() / COLUMNS;
        visit(0, &self.payload()[column * rows..(column + 1) * rows]);
    }
}

impl PubSubReader {
    /// What is newer takes the place of what is held.
    #[inline]
    fn renew(&mut self) -> Result<(), Failure> {
        if let Some(sample) = self.subscriber.receive()? {
            self.held = Some(sample);
        }
        Ok(())
    }
}

impl Reader for PubSubReader {
    fn pinned(&mut self, look: &mut dyn FnMut(&dyn View)) -> Result<bool, Failure> {
        self.renew()?;
        let Some(sample) = &self.held else { return Ok(false) };
        look(sample);
        Ok(true)
    }

    fn pins(&mut self, times: u32) -> Result<(), Failure> {
        for _ in 0..times {
            self.renew()?;
        }
        Ok(())
    }
}
