//! The thread that follows the region and encodes what clients ask for.
//!
//! Invariants: a pin is held for one look, and looks are at most `rate_hz_max` a second, made only while somebody asks
//! (what the newest generation is called is noted a few times a second, by a pin that reads nothing else);
//! what it keeps beside the shadow is bounded: one answer per kind of ask since the last look, masks of boxes up to
//! [`MASK_BYTES_MAX`], and the memory of two states' messages, for as long as it is asked.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use hypostyle::{InputError, Snapshot, SnapshotError, Steering, Timeline};
use parking_lot::RwLock;
use tokio::sync::oneshot;

use crate::delta::{AreaMasks, FLAG_ZSTD, HEAD_BYTES, MESSAGE_BYTES_MIN, Selection, Shadow};

use super::buffers::Buffers;
use super::hello::{Now, World};
use super::inputs::{Contained, Inputs};
use super::metrics::{Metrics, add};
use super::source::Source;
use super::steering::{self, Act, Run, Steered};
use super::{GatewayError, GatewayOptions, Open, Stopper};

/// Bytes of remembered masks of boxes.
const MASK_BYTES_MAX: usize = 64 << 20;
/// How often the writer's life is looked at.
const LIFE_EVERY: Duration = Duration::from_millis(300);
/// A region in which nothing happens for so long may have been replaced.
const QUIET: Duration = Duration::from_secs(1);
/// How long to wait for a generation before asks are looked at again.
const PATIENCE: Duration = Duration::from_millis(4);
/// Time between two looks at the published word of a simulation that runs: to be woken would cost the writer a few
/// microseconds for each generation.
const POLL: Duration = Duration::from_millis(1);
/// zstd's level: as fast as can be.
const ZSTD_LEVEL: i32 = 1;

/// What a client sees.
#[derive(Debug)]
pub(super) struct View {
    pub selection: Selection,
    pub key: u64,
}

impl View {
    pub(super) fn new(selection: Selection) -> Arc<View> {
        let key = selection.key();
        Arc::new(View { selection, key })
    }
}

/// The messages of an update. Everyone who asked for the same has the same.
#[derive(Debug)]
pub(super) struct Update {
    pub messages: Vec<Bytes>,
    pub bytes: u64,
    pub full: bool,
    /// 0 where it is full.
    #[cfg(feature = "nats")]
    pub from: u64,
    pub to: u64,
    pub frame: u64,
    /// What it contains of clients' inputs.
    pub contained: Contained,
}

/// An update that somebody waits for.
pub(super) struct UpdateAsk {
    pub session: u64,
    pub view: Arc<View>,
    /// The generation to lead on from; 0: none. It is answered once there is a newer one.
    pub since: u64,
    pub subscription: u32,
    pub zstd: bool,
    pub reply: oneshot::Sender<Arc<Update>>,
}

/// What the engine is asked. Where it cannot answer, the reply is dropped.
pub(super) enum Ask {
    Update(UpdateAsk),
    /// Whether a client can go on from this generation.
    Knows {
        generation: u64,
        reply: oneshot::Sender<bool>,
    },
    /// Looks now; the generation.
    Look {
        reply: oneshot::Sender<u64>,
    },
    Timeline {
        reply: oneshot::Sender<Result<Timeline, String>>,
    },
    /// How the run is steered, once it was steered so.
    Steer {
        act: Option<Act>,
        reply: oneshot::Sender<steering::Answer>,
    },
    /// The newest state, and what leads there, both of one look.
    #[cfg(feature = "nats")]
    Whole {
        session: u64,
        view: Arc<View>,
        since: u64,
        subscription: u32,
        reply: oneshot::Sender<Whole>,
    },
    /// A separate reader, for callers that must hold a generation for longer.
    #[cfg(feature = "export")]
    Another {
        reply: oneshot::Sender<Source>,
    },
}

/// A state, and what leads there from an older one.
#[cfg(feature = "nats")]
pub(super) struct Whole {
    pub full: Arc<Update>,
    /// None where there is nothing newer.
    pub update: Option<Arc<Update>>,
}

/// The engine as others see it.
#[derive(Clone)]
pub(super) struct Handle {
    asks: SyncSender<Ask>,
    pub world: Arc<RwLock<Arc<World>>>,
    pub now: Arc<RwLock<Now>>,
    pub metrics: Arc<Metrics>,
    pub inputs: Inputs,
}

impl Handle {
    /// Asks; false where the engine has too much to do or is gone.
    pub(super) fn ask(&self, ask: Ask) -> bool {
        match self.asks.try_send(ask) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    pub(super) fn world(&self) -> Arc<World> {
        Arc::clone(&self.world.read())
    }

    /// Notes what the newest generation is, for everybody at once.
    fn note(&self, now: Now) {
        *self.now.write() = now;
        self.metrics.writer_alive.store(u64::from(now.alive), Ordering::Relaxed);
        self.metrics.generation.store(now.generation, Ordering::Relaxed);
        self.metrics.frame.store(now.frame, Ordering::Relaxed);
    }
}

/// The thread's own.
pub(super) struct Engine {
    open: Open,
    source: Source,
    shadow: Shadow,
    components: Option<Vec<String>>,
    period: Duration,
    message_bytes_max: usize,
    asks: Receiver<Ask>,
    handle: Handle,
    stop: Stopper,
    waiting: Vec<UpdateAsk>,
    /// Answers since the last look: by generation, view, subscription and compression.
    answers: HashMap<(u64, u64, u32, bool), Arc<Update>>,
    /// Masks of boxes, by view and generation, oldest first.
    masks: VecDeque<(u64, u64, Arc<AreaMasks>)>,
    mask_bytes: usize,
    /// Memory of messages.
    buffers: Buffers,
    looked: Option<Instant>,
    checked: Instant,
    /// The newest generation, and since when it (or the look for another region) is so old.
    quiet: (u64, Instant),
    timeline: Timeline,
    /// What the last look's generation contains of clients' inputs.
    contained: Contained,
}

impl Drop for Engine {
    /// Without it nothing can be served, however it ended.
    fn drop(&mut self) {
        self.stop.stop();
    }
}

fn world_of(source: &Source, components: Option<&[String]>) -> Result<World, GatewayError> {
    let layout = source.layout().clone();
    let shown = match components {
        None => Selection::view(),
        Some(names) => Selection::columns(&layout, names.iter().map(String::as_str))?,
    };
    let io = |source| GatewayError::Io { what: "make a session's number".to_owned(), source };
    let session = getrandom::u64().map_err(std::io::Error::from).map_err(io)? | 1;
    let (epoch, ranks) = (Some(source.first().writer_epoch()), source.rank_count());
    Ok(World { session, layout, shown, epoch, ranks })
}

/// The newest generation, as a pin shows it; `before` where that is the newest, or where it cannot be pinned.
fn newest_of(source: &mut Source, before: Now) -> Now {
    if source.newest() == before.generation {
        return before;
    }
    source.look(|parts| Now::of(before.alive, parts)).unwrap_or(before)
}

impl Engine {
    pub(super) fn new(
        mut open: Open,
        options: &GatewayOptions,
        stop: Stopper,
    ) -> Result<(Engine, Handle), GatewayError> {
        let mut source = open()?;
        let world = world_of(&source, options.components.as_deref())?;
        let shadow = Shadow::new(world.shown.clone());
        let (sender, asks) = sync_channel(4 * options.clients_max + 64);
        let alive = source.is_alive()?;
        if options.steer && source.steering()?.is_none() {
            tracing::warn!("the run is not steerable, so clients cannot steer it: start it with --steer");
        }
        let now = newest_of(&mut source, Now { alive, ..Now::default() });
        let handle = Handle {
            asks: sender,
            world: Arc::new(RwLock::new(Arc::new(world))),
            now: Arc::new(RwLock::new(Now::default())),
            metrics: Arc::new(Metrics::default()),
            inputs: Inputs::open(&source, options.inputs.as_deref())?,
        };
        handle.note(now);
        let engine = Engine {
            open,
            source,
            shadow,
            components: options.components.clone(),
            period: Duration::from_secs_f64(1.0 / options.rate_hz_max),
            message_bytes_max: options.message_bytes_max,
            asks,
            handle: handle.clone(),
            stop,
            waiting: Vec::new(),
            answers: HashMap::new(),
            masks: VecDeque::new(),
            mask_bytes: 0,
            buffers: Buffers::new(options.message_bytes_max.max(MESSAGE_BYTES_MIN)),
            looked: None,
            checked: Instant::now(),
            quiet: (0, Instant::now()),
            timeline: Timeline::default(),
            contained: Contained::default(),
        };
        Ok((engine, handle))
    }

    /// Serves until it is stopped.
    pub(super) fn run(mut self) {
        while !self.stop.is_stopped() {
            if !self.take_asks() {
                return;
            }
            if self.checked.elapsed() >= LIFE_EVERY {
                self.check_life();
            }
            if self.waiting.is_empty() {
                continue;
            }
            let newest = self.source.newest();
            let due = self.looked.is_none_or(|looked| looked.elapsed() >= self.period);
            if newest > self.shadow.state().generation && due {
                self.look();
            }
            self.answer_waiting();
            if !self.waiting.is_empty() {
                self.rest(newest);
            }
        }
    }

    /// Waits for a new generation, or for the time at which the next look may be; not for long.
    fn rest(&self, newest: u64) {
        let seen = self.shadow.state().generation;
        if newest > seen {
            let since = self.looked.map_or(self.period, |looked| looked.elapsed());
            std::thread::sleep(self.period.saturating_sub(since).min(PATIENCE));
        } else if self.quiet.1.elapsed() < QUIET {
            std::thread::sleep(POLL);
        } else {
            self.source.wait(newest, PATIENCE);
        }
    }

    /// Takes what was asked; false where nobody can ask any more.
    fn take_asks(&mut self) -> bool {
        let timeouts = if self.waiting.is_empty() { Duration::from_millis(100) } else { Duration::ZERO };
        let mut next = match self.asks.recv_timeout(timeouts) {
            Ok(ask) => Some(ask),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        while let Some(ask) = next {
            self.take(ask);
            next = self.asks.try_recv().ok();
        }
        true
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Update(ask) => {
                if ask.session == self.handle.world().session {
                    self.waiting.push(ask);
                }
            }
            // a caller that no longer waits for its answer does not mind
            Ask::Knows { generation, reply } => {
                let _ = reply.send(self.shadow.revision_at(generation).is_some());
            }
            Ask::Look { reply } => {
                self.look_if_due();
                let generation = self.shadow.state().generation;
                if generation > 0 {
                    let _ = reply.send(generation);
                }
            }
            Ask::Timeline { reply } => {
                let _ = reply.send(self.take_timeline());
            }
            Ask::Steer { act, reply } => {
                let _ = reply.send(self.steer(act));
            }
            #[cfg(feature = "nats")]
            Ask::Whole { session, view, since, subscription, reply } => {
                self.look_if_due();
                let newest = self.shadow.state().generation;
                if newest == 0 || session != self.handle.world().session {
                    return;
                }
                let (unheard, _) = oneshot::channel();
                let ask = UpdateAsk { session, view, since, subscription, zstd: false, reply: unheard };
                let update = (since < newest).then(|| self.update(&ask));
                let full = self.update(&UpdateAsk { since: 0, ..ask });
                let _ = reply.send(Whole { full, update });
            }
            #[cfg(feature = "export")]
            Ask::Another { reply } => {
                if let Ok(source) = self.source.try_clone() {
                    let _ = reply.send(source);
                }
            }
        }
    }

    fn take_timeline(&mut self) -> Result<Timeline, String> {
        self.source.extend_timeline(&mut self.timeline).map_err(|error| error.to_string())?;
        self.timeline.keep_newest(1 << 16);
        Ok(self.timeline.clone())
    }

    /// Steers the run, where it can be steered; how it is steered then.
    fn steer(&mut self, act: Option<Act>) -> steering::Answer {
        let mut steering = self.steering()?;
        if act.is_some() && steering.is_none() {
            // another run may have the name, which is not looked at all the time
            self.look_for_another();
            steering = self.steering()?;
        }
        if let (Some(act), Some(steering)) = (act, &steering) {
            act.apply(steering);
        }
        let alive = self.source.is_alive().unwrap_or(false);
        let before = Now { alive, ..*self.handle.now.read() };
        let now = newest_of(&mut self.source, before);
        self.handle.note(now);
        let Now { generation, frame, time, .. } = now;
        Ok(Steered { run: steering.as_ref().map(Run::of), alive, generation, frame, time })
    }

    /// The run's mailbox; none where it is not steerable, or has ended: one that was killed cannot say so itself.
    fn steering(&self) -> Result<Option<Steering>, InputError> {
        if self.source.is_alive().unwrap_or(false) { self.source.steering() } else { Ok(None) }
    }

    /// Looks, unless the last look was just now.
    fn look_if_due(&mut self) {
        if self.looked.is_none_or(|looked| looked.elapsed() >= self.period) {
            self.look();
        }
    }

    fn look(&mut self) {
        let begun = Instant::now();
        let (shadow, inputs, contained) = (&mut self.shadow, &self.handle.inputs, &mut self.contained);
        let is_whole = self.source.rank_count().is_some();
        let looked = self.source.look(|parts| {
            let generation = parts.iter().map(Snapshot::generation).min().unwrap_or(0);
            if generation <= shadow.state().generation {
                return None;
            }
            // while it is pinned: what it contains is known for so long at least
            *contained = inputs.contained(generation, *contained);
            Some(match parts {
                [snapshot] if !is_whole => shadow.update(snapshot),
                parts => shadow.update_parts(parts),
            })
        });
        let report = match looked {
            Ok(Some(report)) => report,
            Ok(None) | Err(SnapshotError::NothingPublished) => return,
            Err(error) => {
                tracing::error!("cannot look at the region: {error}");
                self.looked = Some(begun);
                return;
            }
        };
        self.looked = Some(begun);
        self.answers.clear();
        let state = self.shadow.state();
        let metrics = &self.handle.metrics;
        add(&metrics.looks_total, 1);
        add(&metrics.look_bytes_total, report.bytes_read);
        add(&metrics.look_nanoseconds_total, begun.elapsed().as_nanos() as u64);
        let alive = self.handle.now.read().alive;
        let (generation, frame, time) = (state.generation, state.frame, state.time);
        self.handle.note(Now { alive, generation, frame, time });
    }

    fn answer_waiting(&mut self) {
        let newest = self.shadow.state().generation;
        let waiting = std::mem::take(&mut self.waiting);
        for ask in waiting {
            if ask.reply.is_closed() {
                continue;
            }
            if ask.since < newest {
                let update = self.update(&ask);
                let _ = ask.reply.send(update);
            } else {
                self.waiting.push(ask);
            }
        }
    }

    fn update(&mut self, ask: &UpdateAsk) -> Arc<Update> {
        let look = self.shadow.revision_at(ask.since).filter(|_| ask.since > 0);
        let since = look.map_or(0, |look| look.generation());
        let key = (since, ask.view.key, ask.subscription, ask.zstd);
        if let Some(update) = self.answers.get(&key) {
            add(&self.handle.metrics.shared_total, 1);
            return Arc::clone(update);
        }
        let begun = Instant::now();
        let selection = &ask.view.selection;
        let state = self.shadow.state();
        let (to, frame) = (state.generation, state.frame);
        let (mut now, mut before) = (None, None);
        if let Some(area) = selection.area_ref() {
            before = self.masks_at(ask.view.key, since);
            now = self.masks_at(ask.view.key, to);
            if now.is_none() {
                let masks = Arc::new(area.masks(state));
                self.keep_masks(ask.view.key, to, &masks);
                now = Some(masks);
            }
        }
        let (masks, max) = ((now.as_deref(), before.as_deref()), self.message_bytes_max);
        let delta = self.shadow.delta_in(look, selection, masks, max, &mut |bytes| self.buffers.take(bytes));
        self.buffers.end_update();
        let messages = delta.into_messages(ask.subscription).into_iter();
        let messages: Vec<Bytes> =
            messages.map(|message| self.buffers.lend(if ask.zstd { compressed(message) } else { message })).collect();
        let bytes = messages.iter().map(|message| message.len() as u64).sum();
        let update = Arc::new(Update {
            messages,
            bytes,
            full: since == 0,
            #[cfg(feature = "nats")]
            from: since,
            to,
            frame,
            contained: self.contained,
        });
        add(&self.handle.metrics.encoded_total, 1);
        add(&self.handle.metrics.encode_nanoseconds_total, begun.elapsed().as_nanos() as u64);
        self.answers.insert(key, Arc::clone(&update));
        update
    }

    fn masks_at(&self, view: u64, generation: u64) -> Option<Arc<AreaMasks>> {
        let found = self.masks.iter().rev().find(|(key, at, _)| (*key, *at) == (view, generation));
        found.map(|(_, _, masks)| Arc::clone(masks))
    }

    fn keep_masks(&mut self, view: u64, generation: u64, masks: &Arc<AreaMasks>) {
        self.mask_bytes += masks.bytes() + 64;
        self.masks.push_back((view, generation, Arc::clone(masks)));
        while self.mask_bytes > MASK_BYTES_MAX
            && let Some((_, _, oldest)) = self.masks.pop_front()
        {
            self.mask_bytes -= oldest.bytes() + 64;
        }
    }

    /// Looks whether the writer lives and, where nothing new comes, whether another region has the name now.
    fn check_life(&mut self) {
        self.checked = Instant::now();
        self.buffers.tidy();
        let mut alive = self.is_alive();
        let newest = self.source.newest();
        let is_quiet = !alive || self.quiet.0 == newest;
        if !is_quiet {
            self.quiet = (newest, self.checked);
        }
        if is_quiet && self.quiet.1.elapsed() >= QUIET {
            self.quiet.1 = self.checked;
            self.look_for_another();
            alive = self.is_alive();
        }
        self.handle.inputs.look_again(&self.source);
        let before = Now { alive, ..*self.handle.now.read() };
        self.handle.note(newest_of(&mut self.source, before));
    }

    /// Whether the writer lives, or those of all ranks do. The first of these to die is named, once.
    fn is_alive(&self) -> bool {
        let dead = match self.source.dead() {
            Ok(None) => return true,
            Ok(dead) => dead,
            Err(_) => None,
        };
        if let (Some(rank), Some(ranks), true) = (dead, self.source.rank_count(), self.handle.now.read().alive) {
            tracing::warn!(
                "rank {rank} of {ranks} is gone, and the run with it: the newest frame is what all ranks have"
            );
        }
        false
    }

    fn look_for_another(&mut self) {
        let Ok(other) = (self.open)() else { return };
        if self.source.is_same(&other) || !other.is_alive().unwrap_or(false) {
            return;
        }
        match world_of(&other, self.components.as_deref()) {
            Ok(world) => self.replace(other, world),
            Err(error) => tracing::warn!("the region was replaced by one that cannot be shown: {error}"),
        }
    }

    /// Goes on with another region. Whoever waits is told by the end of its ask.
    fn replace(&mut self, source: Source, world: World) {
        tracing::info!("the region was replaced: a new session begins");
        self.source = source;
        self.shadow = Shadow::new(world.shown.clone());
        self.answers.clear();
        self.masks.clear();
        self.mask_bytes = 0;
        self.looked = None;
        self.timeline = Timeline::default();
        *self.handle.world.write() = Arc::new(world);
        let now = newest_of(&mut self.source, Now { alive: true, ..Now::default() });
        self.handle.note(now);
        self.waiting.clear();
    }
}

/// A message with its body as a zstd frame; as it was, where that is not shorter.
fn compressed(mut message: Vec<u8>) -> Vec<u8> {
    let Ok(frame) = zstd::bulk::compress(&message[HEAD_BYTES..], ZSTD_LEVEL) else { return message };
    let bytes = (HEAD_BYTES + frame.len()).next_multiple_of(8);
    if bytes >= message.len() {
        return message;
    }
    message[HEAD_BYTES..HEAD_BYTES + frame.len()].copy_from_slice(&frame);
    message[HEAD_BYTES + frame.len()..bytes].fill(0);
    message.truncate(bytes);
    let flags = u16::from_le_bytes([message[2], message[3]]) | FLAG_ZSTD;
    message[2..4].copy_from_slice(&flags.to_le_bytes());
    message[4..8].copy_from_slice(&(bytes as u32).to_le_bytes());
    message
}
