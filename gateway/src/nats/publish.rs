//! The publisher's side: one more client of the engine, whose socket is a broker.
//!
//! Invariants: one update and one state on their way at a time; an update is asked for only once the one before is on
//! the wire; after any doubt (a connection that was lost, another session) the next thing that is sent is a full state.
#![forbid(unsafe_code)]

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::jetstream::{self, object_store};
use async_nats::{Client, ConnectOptions, connection::State as Connection};
use axum::body::Bytes;
use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::{NatsError, Note, OBJECT, Place, broker};
use crate::engine::{Ask, Update, UpdateAsk, View, Whole};
use crate::hello::{World, hex};
use crate::http::App;
use crate::message;
use crate::metrics::add;

/// How long the broker may take for anything but a whole state.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a whole state may take.
const STATE_PATIENCE: Duration = Duration::from_secs(120);
/// A state is stored so often where anything changed, and at most so often where a client wants one.
const STORE_EVERY: Duration = Duration::from_secs(10);
const STORE_WANTED_EVERY: Duration = Duration::from_secs(1);
/// Time before what went wrong is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Bytes of the store's chunks.
const CHUNK_BYTES: usize = 128 << 10;
/// Messages between here and the connection's own task.
const MESSAGES_UNDER_WAY: usize = 16;

/// Publishes until the gateway stops.
pub(crate) async fn publish(app: Arc<App>, place: Place) {
    let mut stop = app.stop.clone();
    let stopped = async {
        // its sender lives as long as the gateway
        let _ = stop.wait_for(|stopped| *stopped).await;
    };
    tokio::select! {
        () = stopped => {}
        () = connect_and_publish(&app, &place) => {}
    }
}

async fn connect_and_publish(app: &Arc<App>, place: &Place) {
    let options = || {
        ConnectOptions::new()
            .name(concat!("hypostyle gateway ", env!("CARGO_PKG_VERSION")))
            .client_capacity(MESSAGES_UNDER_WAY)
            .connection_timeout(PATIENCE)
            .reconnect_delay_callback(|_| AGAIN)
    };
    let mut told = false;
    let client = loop {
        match options().connect(place.server.as_str()).await {
            Ok(client) => break client,
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%place, %error, "the broker cannot be reached; it is tried again and again");
                }
                sleep(AGAIN).await;
            }
        }
    };
    tracing::info!(%place, "publishing");
    loop {
        let world = app.engine.world();
        let view = View::new(world.shown.clone());
        // differs from session to session, and is none of a WebSocket's
        let subscription = (world.session ^ (world.session >> 32)) as u32 | 1 << 31;
        let now = Instant::now();
        let publisher = Publisher {
            app,
            client: &client,
            place,
            world,
            view,
            subscription,
            sent: 0,
            stored: None,
            stored_at: now,
            storing: None,
            pending: None,
            wanted: false,
        };
        if let Err(error) = publisher.run().await {
            tracing::warn!(%place, %error, "publishing begins again");
            add(&app.engine.metrics.broker_errors_total, 1);
            sleep(AGAIN).await;
        }
    }
}

/// From a full state to the next doubt.
struct Publisher<'a> {
    app: &'a Arc<App>,
    client: &'a Client,
    place: &'a Place,
    world: Arc<World>,
    view: Arc<View>,
    subscription: u32,
    /// The newest generation sent.
    sent: u64,
    /// The generation in the store.
    stored: Option<u64>,
    /// When the last state was sent there.
    stored_at: Instant,
    storing: Option<JoinHandle<Result<u64, NatsError>>>,
    /// The update that was asked for.
    pending: Option<oneshot::Receiver<Arc<Update>>>,
    /// Somebody waits for a state.
    wanted: bool,
}

impl Drop for Publisher<'_> {
    fn drop(&mut self) {
        if let Some(storing) = &self.storing {
            storing.abort();
        }
    }
}

impl Publisher<'_> {
    /// `Ok`: the session is over.
    async fn run(mut self) -> Result<(), NatsError> {
        let mut wants =
            self.client.subscribe(self.place.subject("state.want")).await.map_err(|e| broker("subscribe")(&e))?;
        self.store().await?;
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let period = Duration::from_secs_f64(1.0 / self.app.options.rate_hz_max);
        let mut due = Instant::now();
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    if self.app.engine.world().session != self.world.session {
                        return Ok(());
                    }
                    if self.client.connection_state() != Connection::Connected {
                        return Err(broker("reach the broker")(&"the connection is lost"));
                    }
                    self.note("state.newest", self.sent).await?;
                    self.store_in_time().await?;
                }
                Some(_) = wants.next() => {
                    match self.stored {
                        Some(stored) if stored == self.sent => self.note("state.stored", stored).await?,
                        _ => self.wanted = true,
                    }
                    self.store_in_time().await?;
                }
                stored = joined(&mut self.storing) => {
                    self.storing = None;
                    let stored = stored?;
                    self.stored = Some(stored);
                    self.note("state.stored", stored).await?;
                    self.store_in_time().await?;
                }
                update = answer(&mut self.pending) => {
                    self.pending = None;
                    // the session is over
                    let Some(update) = update else { return Ok(()) };
                    self.send(&update).await?;
                    due = (due + period).max(Instant::now());
                }
                () = sleep_until(due), if self.pending.is_none() => {
                    let (reply, receiver) = oneshot::channel();
                    let asked = self.app.engine.ask(Ask::Update(self.ask(reply)));
                    if asked {
                        self.pending = Some(receiver);
                    } else {
                        due = Instant::now() + period;
                    }
                }
            }
        }
    }

    fn ask(&self, reply: oneshot::Sender<Arc<Update>>) -> UpdateAsk {
        UpdateAsk {
            session: self.world.session,
            view: Arc::clone(&self.view),
            since: self.sent,
            subscription: self.subscription,
            zstd: false,
            reply,
        }
    }

    /// Sends an update that leads on from where the last one ended (or is full).
    async fn send(&mut self, update: &Update) -> Result<(), NatsError> {
        if update.from != self.sent && !update.full {
            return Err(broker("go on")(&"an update does not lead on from the one before"));
        }
        self.sent = update.to;
        let payload_max = self.client.server_info().max_payload.max(1024);
        for message in &update.messages {
            let mut rest = message.clone();
            let mut subject = self.place.subject("delta.begin");
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(payload_max));
                self.put(std::mem::replace(&mut subject, self.place.subject("delta.more")), piece).await?;
            }
        }
        let metrics = &self.app.engine.metrics;
        add(&metrics.broker_updates_total, 1);
        add(&metrics.broker_bytes_total, update.bytes);
        self.flush().await
    }

    async fn note(&self, what: &str, generation: u64) -> Result<(), NatsError> {
        let note = Note { subscription: self.subscription, generation };
        self.put(self.place.subject(what), Bytes::copy_from_slice(&note.encode())).await?;
        self.flush().await
    }

    async fn put(&self, subject: String, payload: Bytes) -> Result<(), NatsError> {
        let what = broker("publish");
        match timeout(PATIENCE, self.client.publish(subject, payload)).await {
            Ok(done) => done.map_err(|error| what(&error)),
            Err(_) => Err(what(&"the broker takes nothing")),
        }
    }

    /// Waits until all is on the wire.
    async fn flush(&self) -> Result<(), NatsError> {
        let what = broker("publish");
        match timeout(PATIENCE, self.client.flush()).await {
            Ok(done) => done.map_err(|error| what(&error)),
            Err(_) => Err(what(&"the broker takes nothing")),
        }
    }

    /// Stores a state where one is due.
    async fn store_in_time(&mut self) -> Result<(), NatsError> {
        let since = self.stored_at.elapsed();
        let due = since >= STORE_EVERY || (self.wanted && since >= STORE_WANTED_EVERY);
        if self.storing.is_none() && due && self.stored != Some(self.sent) { self.store().await } else { Ok(()) }
    }

    /// Begins to store the newest state; an update that leads there goes out first.
    async fn store(&mut self) -> Result<(), NatsError> {
        let whole = self.whole().await?;
        // what was asked for before leads on from an older one
        self.pending = None;
        if self.sent != 0
            && let Some(update) = &whole.update
        {
            self.send(update).await?;
        }
        let generation = whole.full.to;
        self.sent = generation;
        self.stored_at = Instant::now();
        self.wanted = false;
        let now = *self.app.engine.now.read();
        let subscribed = serde_json::json!({
            "subscription": self.subscription, "view": hex(self.view.key), "resumed": false,
            "rate_hz": self.app.options.rate_hz_max, "window": 1, "compression": null, "quantised": [],
        });
        let hello = self.world.hello(&now, &self.app.bounds(), Vec::new());
        let mut parts = vec![
            Bytes::from(message::json(message::HELLO, &hello)),
            Bytes::from(message::json(message::SUBSCRIBED, &subscribed)),
        ];
        parts.extend(whole.full.messages.iter().cloned());
        let (client, bucket) = (self.client.clone(), self.place.bucket());
        self.storing = Some(tokio::spawn(async move {
            match timeout(STATE_PATIENCE, put_state(client, bucket, Parts(parts))).await {
                Ok(stored) => stored.map(|()| generation),
                Err(_) => Err(broker("store a state")(&"it takes too long")),
            }
        }));
        Ok(())
    }

    /// The newest state, and what leads there from what was sent, of one look.
    async fn whole(&self) -> Result<Whole, NatsError> {
        loop {
            let (reply, answer) = oneshot::channel();
            let (session, view) = (self.world.session, Arc::clone(&self.view));
            let ask = Ask::Whole { session, view, since: self.sent, subscription: self.subscription, reply };
            if self.app.engine.ask(ask)
                && let Ok(Ok(whole)) = timeout(PATIENCE, answer).await
            {
                return Ok(whole);
            }
            if self.app.engine.world().session != self.world.session {
                return Err(broker("go on")(&"the region was replaced"));
            }
            // nothing was published yet
            sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn put_state(client: Client, bucket: String, mut parts: Parts) -> Result<(), NatsError> {
    let mut context = jetstream::new(client);
    context.set_timeout(PATIENCE);
    let what = broker("store a state (has the broker JetStream?)");
    let store = match context.get_object_store(&bucket).await {
        Ok(store) => store,
        Err(_) => {
            let description = Some("the newest state of a hypostyle simulation".to_owned());
            let config = object_store::Config { bucket, description, ..Default::default() };
            context.create_object_store(config).await.map_err(|error| what(&error))?
        }
    };
    let object =
        object_store::ObjectMetadata { name: OBJECT.to_owned(), chunk_size: Some(CHUNK_BYTES), ..Default::default() };
    store.put(object, &mut parts).await.map(drop).map_err(|error| what(&error))
}

/// Bytes in several pieces, to be read once.
struct Parts(Vec<Bytes>);

impl AsyncRead for Parts {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        while let Some(first) = self.0.first_mut().filter(|_| out.remaining() > 0) {
            let piece = first.split_to(first.len().min(out.remaining()));
            out.put_slice(&piece);
            if first.is_empty() {
                self.0.remove(0);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The end of a task; never, where there is none.
async fn joined(task: &mut Option<JoinHandle<Result<u64, NatsError>>>) -> Result<u64, NatsError> {
    match task {
        Some(task) => task.await.unwrap_or_else(|error| Err(broker("store a state")(&error))),
        None => std::future::pending().await,
    }
}

/// The answer of the engine; never, where nothing was asked.
async fn answer(pending: &mut Option<oneshot::Receiver<Arc<Update>>>) -> Option<Arc<Update>> {
    match pending {
        Some(pending) => pending.await.ok(),
        None => std::future::pending().await,
    }
}
