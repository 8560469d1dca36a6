//! A follower: a view-world of what a gateway publishes, wherever there is a broker.
//!
//! Invariants: the state is always one that the simulation had, byte for byte; what leads nowhere (an older update, a
//! gap, another session) is dropped, and the newest state in the store takes its place. What is kept meanwhile is
//! bounded.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream::{self, object_store::ObjectStore};
use async_nats::{Client, ConnectOptions, Message, Subscriber};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::delta::{FLAG_FULL, FLAG_LAST, Head, State};

use super::{NatsError, Note, OBJECT, Place, broker};
use crate::message;

/// Bytes of a state, and of updates that wait for one.
const STATE_BYTES_MAX: u64 = 16 << 30;
const HELD_BYTES_MAX: usize = 256 << 20;
/// The longest message that is put together.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Time between two askings for a state.
const WANT_EVERY: Duration = Duration::from_secs(1);
/// How long one request of the broker may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A view-world that follows a publishing gateway. Read-only, and behind by what the network takes.
pub struct Follower {
    runtime: tokio::runtime::Runtime,
    inner: Inner,
}

/// The messages of one update.
struct Parts {
    head: Head,
    messages: Vec<Vec<u8>>,
    bytes: usize,
}

struct Inner {
    client: Client,
    place: Place,
    frames: Subscriber,
    hello: Value,
    subscription: u32,
    state: State,
    /// The message that is being put together.
    message: Vec<u8>,
    /// The update that is being put together.
    parts: Option<Parts>,
    /// Updates that do not lead on from the state that is there, in order.
    held: VecDeque<Parts>,
    held_bytes: usize,
    wanted: Option<Instant>,
    loads: u64,
    updates: u64,
}

impl Follower {
    /// Connects, and takes the newest state that is on the broker, or the first one that comes.
    ///
    /// # Errors
    /// No broker, or no state within the time.
    pub fn connect(place: Place, wait: Duration) -> Result<Follower, NatsError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| broker("start the runtime")(&error))?;
        let inner = runtime.block_on(Inner::connect(place, wait))?;
        Ok(Follower { runtime, inner })
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.inner.state
    }

    /// HELLO, as of the last whole state: the layout, by which the state's bytes mean something.
    #[must_use]
    pub fn hello(&self) -> &Value {
        &self.inner.hello
    }

    /// Whole states taken from the store, and updates applied, so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.inner.loads, self.inner.updates)
    }

    /// Follows until the state's generation is at least this (in whatever session), or the time is over; whether it
    /// is. A broker that is away for some time is waited for.
    ///
    /// # Errors
    /// The broker refuses something.
    pub fn wait(&mut self, generation: u64, wait: Duration) -> Result<bool, NatsError> {
        let end = Instant::now() + wait;
        let inner = &mut self.inner;
        self.runtime.block_on(async {
            while inner.state.generation < generation {
                if !inner.next(end).await? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Follows for so long.
    ///
    /// # Errors
    /// As [`Follower::wait`].
    pub fn follow(&mut self, time: Duration) -> Result<(), NatsError> {
        self.wait(u64::MAX, time).map(drop)
    }
}

impl Inner {
    async fn connect(place: Place, wait: Duration) -> Result<Inner, NatsError> {
        let end = Instant::now() + wait;
        let options = ConnectOptions::new()
            .name(concat!("hypostyle follower ", env!("CARGO_PKG_VERSION")))
            .connection_timeout(PATIENCE)
            .reconnect_delay_callback(|_| Duration::from_millis(200));
        let client =
            options.connect(place.server.as_str()).await.map_err(|error| broker("reach the broker")(&error))?;
        // before a state is loaded, so that nothing after it is missed
        let frames = client.subscribe(place.subject(">")).await.map_err(|error| broker("subscribe")(&error))?;
        let mut inner = Inner {
            client,
            place,
            frames,
            hello: Value::Null,
            subscription: 0,
            state: State::new(),
            message: Vec::new(),
            parts: None,
            held: VecDeque::new(),
            held_bytes: 0,
            wanted: None,
            loads: 0,
            updates: 0,
        };
        // a gateway that lives says whether it is the newest; without one it is what there is
        let _ = inner.load().await;
        inner.want().await?;
        while inner.loads == 0 {
            if !inner.next(end).await? {
                return Err(NatsError::Timeout { seconds: wait.as_secs_f64() });
            }
        }
        Ok(inner)
    }

    /// Takes the next message; false: the time is over.
    async fn next(&mut self, end: Instant) -> Result<bool, NatsError> {
        match timeout_at(end, self.frames.next()).await {
            Err(_) => Ok(false),
            Ok(None) => Err(broker("go on")(&"the connection is closed")),
            Ok(Some(message)) => self.take(message).await.map(|()| true),
        }
    }

    async fn take(&mut self, message: Message) -> Result<(), NatsError> {
        let subject = message.subject.as_str();
        let what =
            subject.strip_prefix(self.place.prefix()).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
        match what {
            "delta.begin" => {
                // what was not whole by now never will be
                self.message.clear();
                self.piece(&message.payload).await
            }
            "delta.more" if !self.message.is_empty() => self.piece(&message.payload).await,
            "state.newest" | "state.stored" => {
                let Some(note) = Note::decode(&message.payload) else { return Ok(()) };
                let known = (self.subscription, self.state.generation) == (note.subscription, note.generation);
                match what {
                    _ if known => Ok(()),
                    // its updates came before it: some were missed
                    "state.newest" => self.want().await,
                    _ if note.subscription == self.subscription && note.generation < self.state.generation => Ok(()),
                    _ => match self.load().await {
                        Ok(()) => Ok(()),
                        Err(error) => {
                            tracing::debug!(%error, "a state could not be loaded");
                            self.want().await
                        }
                    },
                }
            }
            _ => Ok(()),
        }
    }

    /// A message, or a part of one.
    async fn piece(&mut self, bytes: &[u8]) -> Result<(), NatsError> {
        self.message.extend_from_slice(bytes);
        let said = self.message.get(4..8).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
        if !(64..=MESSAGE_BYTES_MAX).contains(&said) || self.message.len() > said {
            self.message.clear();
            return Ok(());
        }
        if self.message.len() < said {
            return Ok(());
        }
        let message = std::mem::take(&mut self.message);
        let Ok((head, _)) = Head::decode(&message) else { return Ok(()) };
        if head.part == 0 {
            self.parts = Some(Parts { head, messages: Vec::new(), bytes: 0 });
        }
        let Some(parts) = self.parts.as_mut().filter(|parts| {
            (parts.head.from, parts.head.to) == (head.from, head.to)
                && parts.messages.len() == usize::from(head.part)
                && parts.bytes <= HELD_BYTES_MAX
        }) else {
            self.parts = None;
            return Ok(());
        };
        parts.bytes += message.len();
        parts.messages.push(message);
        if head.flags & FLAG_LAST != 0
            && let Some(parts) = self.parts.take()
        {
            self.held_bytes += parts.bytes;
            self.held.push_back(parts);
            self.apply_held().await?;
        }
        Ok(())
    }

    /// Applies what leads on from the state, drops what is older, and asks for a state where there is a gap.
    async fn apply_held(&mut self) -> Result<(), NatsError> {
        while let Some(next) = self.held.front() {
            let head = next.head;
            let is_full = head.flags & FLAG_FULL != 0;
            let same = head.subscription == self.subscription;
            if !same || (!is_full && head.from > self.state.generation) {
                if self.held_bytes > HELD_BYTES_MAX {
                    self.held.clear();
                    self.held_bytes = 0;
                }
                return self.want().await;
            }
            let Some(next) = self.held.pop_front() else { break };
            self.held_bytes -= next.bytes;
            if head.to <= self.state.generation || (!is_full && head.from != self.state.generation) {
                continue;
            }
            let applied = self.state.apply(&next.messages, None, STATE_BYTES_MAX);
            if let Err(error) = applied {
                tracing::warn!(%error, "an update could not be applied");
                // half changed: nothing leads on from it
                self.state = State::new();
                return self.want().await;
            }
            self.updates += 1;
        }
        Ok(())
    }

    /// Asks the publisher to store its newest state.
    async fn want(&mut self) -> Result<(), NatsError> {
        if self.wanted.is_some_and(|wanted| wanted.elapsed() < WANT_EVERY) {
            return Ok(());
        }
        self.wanted = Some(Instant::now());
        let what = broker("ask for a state");
        // where it is away, it is asked again later
        match timeout(PATIENCE, self.client.publish(self.place.subject("state.want"), Default::default())).await {
            Ok(done) => done.map_err(|error| what(&error)),
            Err(_) => Ok(()),
        }
    }

    /// Takes the state in the store, and applies what leads on from it.
    async fn load(&mut self) -> Result<(), NatsError> {
        let mut context = jetstream::new(self.client.clone());
        context.set_timeout(PATIENCE);
        let what = broker("load a state");
        let store = timeout(PATIENCE, context.get_object_store(self.place.bucket())).await;
        let store = store.map_err(|error| what(&error))?.map_err(|error| what(&error))?;
        let mut tries = 0;
        let bytes = loop {
            // a newer one may take its place while it is read
            match timeout(4 * PATIENCE, read(&store)).await.unwrap_or_else(|error| Err(what(&error))) {
                Ok(bytes) => break bytes,
                Err(error) if tries == 3 => return Err(error),
                Err(_) => tries += 1,
            }
            sleep(Duration::from_millis(100)).await;
        };
        let (hello, subscription, state) = parse(&bytes)?;
        // a store that was left behind, while updates of a later one came
        if subscription == self.subscription && state.generation < self.state.generation {
            return Ok(());
        }
        self.hello = hello;
        self.state = state;
        self.loads += 1;
        if subscription != self.subscription {
            self.subscription = subscription;
            // of sessions that are over
            self.held.retain(|parts| parts.head.subscription == subscription);
            self.held_bytes = self.held.iter().map(|parts| parts.bytes).sum();
        }
        self.wanted = None;
        self.apply_held().await
    }
}

async fn read(store: &ObjectStore) -> Result<Vec<u8>, NatsError> {
    let what = broker("load a state");
    let mut object = store.get(OBJECT).await.map_err(|error| what(&error))?;
    let size = object.info().size as u64;
    if size > STATE_BYTES_MAX {
        return Err(NatsError::State { why: format!("it has {size} bytes") });
    }
    let mut bytes = vec![0; size as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        let mut room = ReadBuf::new(&mut bytes[filled..]);
        let mut object = std::pin::Pin::new(&mut object);
        let read = std::future::poll_fn(|context| object.as_mut().poll_read(context, &mut room));
        read.await.map_err(|error| what(&error))?;
        match room.filled().len() {
            0 => return Err(NatsError::State { why: "it ends early".to_owned() }),
            more => filled += more,
        }
    }
    Ok(bytes)
}

/// HELLO, the subscription, and the state of an object's bytes, which may be anything.
fn parse(mut bytes: &[u8]) -> Result<(Value, u32, State), NatsError> {
    let wrong = |why: &dyn std::fmt::Display| NatsError::State { why: why.to_string() };
    let mut next = || {
        let head = bytes.first_chunk::<8>()?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (message, rest) = bytes.split_at_checked(length).filter(|_| length >= 8)?;
        bytes = rest;
        Some(message)
    };
    let mut json = |kind: u8| {
        let message = next().filter(|message| message[0] == kind).ok_or_else(|| wrong(&"a message is missing"))?;
        serde_json::from_slice::<Value>(&message[8..]).map_err(|error| wrong(&error))
    };
    let hello = json(message::HELLO)?;
    let subscribed = json(message::SUBSCRIBED)?;
    let subscription = subscribed["subscription"].as_u64().and_then(|number| u32::try_from(number).ok());
    let subscription = subscription.ok_or_else(|| wrong(&"it names no subscription"))?;
    let messages: Vec<&[u8]> = std::iter::from_fn(next).collect();
    let mut state = State::new();
    state.apply(&messages, None, STATE_BYTES_MAX).map_err(|error| wrong(&error))?;
    Ok((hello, subscription, state))
}
