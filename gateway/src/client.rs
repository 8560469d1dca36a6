//! One client: its subscription, its place in the stream of generations, its timeouts.
//!
//! Invariants: at most one ask at the engine and one update on its way into the socket; no update before the rate allows
//! it and the window has room. A client that neither reads nor acknowledges is cut off.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::engine::{Ask, Update, UpdateAsk, View};
use super::hello::{Now, World, hex};
use super::http::App;
use super::inputs::ClientInputs;
use super::limits::Pace;
use super::message::{self, ClientMessage, Code};
use super::metrics::add;
use super::subscribe::Subscribe;
use super::tokens::Held;

/// Time between looks at what a client has to do in time.
const TICK: Duration = Duration::from_secs(1);

/// Why a client ends: what it is told.
type End = (Code, String);

/// A subscription as it was granted.
struct Subscription {
    number: u32,
    view: Arc<View>,
    period: Duration,
    window: usize,
    zstd: bool,
    /// The generation that the client has once it has read all that was sent; 0: none.
    sent: u64,
    /// Generations sent and not acknowledged.
    in_flight: VecDeque<u64>,
    due: Instant,
}

struct Client {
    socket: WebSocket,
    app: Arc<App>,
    world: Arc<World>,
    subscription: Option<Subscription>,
    numbers: u32,
    pending: Option<oneshot::Receiver<Arc<Update>>>,
    began: Instant,
    /// Of the last message from it, of the last update to it, of the last time its window had room.
    heard: Instant,
    updated: Instant,
    had_room: Instant,
    pinged: Instant,
    pace: Pace,
    frame: u64,
    alive: bool,
    /// What it came with, if that was wanted.
    token: Option<Held>,
    inputs: ClientInputs,
}

/// Serves a client until one side ends.
pub(super) async fn serve(socket: WebSocket, app: Arc<App>, place: OwnedSemaphorePermit, token: Option<Held>) {
    let now = Instant::now();
    let metrics = Arc::clone(&app.engine.metrics);
    add(&metrics.clients, 1);
    add(&metrics.clients_total, 1);
    let world = app.engine.world();
    let stop = app.stop.clone();
    let inputs = ClientInputs::new(app.options.inputs_hz_max);
    let mut client = Client {
        socket,
        pace: Pace::new(app.options.limits),
        app,
        world,
        subscription: None,
        numbers: 0,
        pending: None,
        began: now,
        heard: now,
        updated: now,
        had_room: now,
        pinged: now,
        frame: 0,
        alive: true,
        token,
        inputs,
    };
    let end = client.run(stop).await;
    metrics.clients.fetch_sub(1, Ordering::Relaxed);
    if let Err((code, why)) = end {
        match code {
            Code::TooSlow => add(&metrics.slow_total, 1),
            Code::TooMuch => add(&metrics.too_much_total, 1),
            Code::Token => add(&metrics.revoked_total, 1),
            Code::Protocol | Code::TooLarge => add(&metrics.protocol_errors_total, 1),
            _ => {}
        }
        tracing::debug!("a client ends: {why}");
        let farewell = async {
            client.socket.send(Message::Binary(message::bye(code, &why).into())).await?;
            let reason = why[..why.floor_char_boundary(100)].to_owned();
            let frame = CloseFrame { code: code.close(), reason: reason.into() };
            client.socket.send(Message::Close(Some(frame))).await
        };
        // it may not listen any more
        let _ = timeout(TICK, farewell).await;
        client.finish().await;
    }
    drop(place);
}

/// What happened next.
enum Event {
    Message(Option<Result<Message, axum::Error>>),
    Update(Option<Arc<Update>>),
    Due,
    Tick,
    Revoked,
    Stop,
}

impl Client {
    /// `Ok`: the other side is gone.
    async fn run(&mut self, mut stop: watch::Receiver<bool>) -> Result<(), End> {
        let now = *self.app.engine.now.read();
        let hello = self.world.hello(&now, &self.app.bounds(), self.app.engine.inputs.names());
        self.send(message::json(message::HELLO, &hello)).await?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = self.due();
            let event = tokio::select! {
                () = stopped(&mut stop) => Event::Stop,
                () = revoked(&mut self.token) => Event::Revoked,
                message = self.socket.recv() => Event::Message(message),
                update = wait(&mut self.pending) => Event::Update(update),
                () = sleep_until(due.unwrap_or(self.began)), if due.is_some() => Event::Due,
                _ = tick.tick() => Event::Tick,
            };
            match event {
                Event::Revoked => return Err((Code::Token, "the token that it came with is none any more".to_owned())),
                Event::Stop => return Err((Code::Stops, "the gateway stops".to_owned())),
                Event::Message(Some(Ok(Message::Close(_)))) => {
                    self.finish().await;
                    return Ok(());
                }
                Event::Message(None) => return Ok(()),
                Event::Message(Some(Err(error))) => return self.failed(&error),
                Event::Message(Some(Ok(message))) => self.heard(message).await?,
                Event::Update(Some(update)) => self.update(&update).await?,
                Event::Update(None) => return Err((Code::Gone, "the region was replaced".to_owned())),
                Event::Due => self.ask()?,
                Event::Tick => self.tick().await?,
            }
        }
    }

    /// Ends the WebSocket as its rules want it: each side's Close is answered, and nothing that was said is lost to a
    /// connection that is cut. Reading on is what sends the answer to the other side's.
    async fn finish(&mut self) {
        let answered = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        let _ = timeout(TICK, answered).await;
    }

    /// What the WebSocket's own rules forbid, or a broken connection.
    fn failed(&self, error: &axum::Error) -> Result<(), End> {
        let text = error.to_string();
        tracing::debug!("a client's connection fails: {text}");
        match () {
            () if text.contains("too long") || text.contains("Space limit") => Err((Code::TooLarge, text)),
            () if text.contains("protocol") || text.contains("UTF-8") => Err((Code::Protocol, text)),
            () => Ok(()),
        }
    }

    /// When the next update may be asked for; `None`: not before something happens.
    fn due(&self) -> Option<Instant> {
        let subscription = self.subscription.as_ref()?;
        let has_room = subscription.in_flight.len() < subscription.window;
        (self.pending.is_none() && has_room).then_some(subscription.due)
    }

    fn ask(&mut self) -> Result<(), End> {
        let Some(subscription) = &self.subscription else { return Ok(()) };
        let (reply, pending) = oneshot::channel();
        let ask = Ask::Update(UpdateAsk {
            session: self.world.session,
            view: Arc::clone(&subscription.view),
            since: subscription.sent,
            subscription: subscription.number,
            zstd: subscription.zstd,
            reply,
        });
        if !self.app.engine.ask(ask) {
            return Err((Code::Fault, "the gateway has too much to do".to_owned()));
        }
        self.pending = Some(pending);
        Ok(())
    }

    async fn update(&mut self, update: &Update) -> Result<(), End> {
        self.pending = None;
        let now = Instant::now();
        let Some(subscription) = &mut self.subscription else { return Ok(()) };
        subscription.sent = update.to;
        subscription.in_flight.push_back(update.to);
        // a late update does not make the next one early
        subscription.due = (subscription.due + subscription.period).max(now);
        self.had_room = now;
        let input = self.inputs.acknowledge(update.contained);
        for message in &update.messages {
            // others have the same bytes, but for this word
            match input {
                0 => self.send_bytes(message.clone()).await?,
                _ => self.send(message::with_input(message, input)).await?,
            }
        }
        self.updated = Instant::now();
        self.frame = update.frame;
        let metrics = &self.app.engine.metrics;
        add(&metrics.updates_total, 1);
        add(&metrics.full_updates_total, u64::from(update.full));
        add(&metrics.update_bytes_total, update.bytes);
        Ok(())
    }

    async fn send(&mut self, message: Vec<u8>) -> Result<(), End> {
        self.send_bytes(message.into()).await
    }

    async fn send_bytes(&mut self, message: axum::body::Bytes) -> Result<(), End> {
        match timeout(self.app.options.send_timeout, self.socket.send(Message::Binary(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err((Code::Fault, format!("the connection is broken: {error}"))),
            Err(_) => Err((Code::TooSlow, "the client does not read".to_owned())),
        }
    }

    async fn heard(&mut self, message: Message) -> Result<(), End> {
        self.heard = Instant::now();
        self.pace.take(length(&message)).map_err(|why| (Code::TooMuch, why))?;
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(_) => return Err((Code::Protocol, "text messages are not known".to_owned())),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => return Ok(()),
        };
        match ClientMessage::parse(&bytes).map_err(|why| (Code::Protocol, why))? {
            ClientMessage::Subscribe(json) => self.subscribe(json).await,
            ClientMessage::Ack { subscription, generation } => self.acknowledged(subscription, generation),
            ClientMessage::Ping(token) => self.send(message::pong(token)).await,
            ClientMessage::Input { sequence, name, payload } => {
                let engine = &self.app.engine;
                let taken = self.inputs.take(&engine.inputs, (sequence, name, payload));
                let counter =
                    if taken.is_ok() { &engine.metrics.inputs_total } else { &engine.metrics.inputs_refused_total };
                add(counter, 1);
                match taken {
                    Ok(()) => Ok(()),
                    Err(why) => self.send(message::error(Code::Input, &why)).await,
                }
            }
        }
    }

    fn acknowledged(&mut self, number: u32, generation: u64) -> Result<(), End> {
        // those of an older subscription may still be under way
        let Some(subscription) = self.subscription.as_mut().filter(|s| s.number == number) else { return Ok(()) };
        if generation > subscription.sent {
            return Err((Code::Protocol, format!("generation {generation} was never sent")));
        }
        subscription.in_flight.retain(|sent| *sent > generation);
        self.had_room = Instant::now();
        Ok(())
    }

    async fn subscribe(&mut self, json: &[u8]) -> Result<(), End> {
        let rate_max = self.app.options.rate_hz_max;
        let asked = match Subscribe::parse(json, &self.world.layout, &self.world.shown, rate_max) {
            Ok(asked) => asked,
            Err(why) => return self.send(message::error(Code::Subscription, &why)).await,
        };
        let view = View::new(asked.selection);
        let mut sent = 0;
        if let Some(resume) = asked.resume
            && resume.session == hex(self.world.session)
            && resume.view == hex(view.key)
            && self.knows(resume.generation).await
        {
            sent = resume.generation;
        }
        // what is under way is of the one before at most
        self.numbers = self.numbers.wrapping_add(1);
        let quantised = view.selection.quantised_names(&self.world.layout);
        let subscribed = serde_json::json!({
            "subscription": self.numbers,
            "view": hex(view.key),
            "resumed": sent != 0,
            "rate_hz": asked.rate_hz,
            "window": asked.window,
            "compression": asked.zstd.then_some("zstd"),
            "quantised": quantised,
        });
        let now = Instant::now();
        // the rate holds across subscriptions
        let due = self.subscription.as_ref().map_or(now, |old| old.due.max(now));
        self.pending = None;
        self.had_room = now;
        self.subscription = Some(Subscription {
            number: self.numbers,
            view,
            period: Duration::from_secs_f64(1.0 / asked.rate_hz),
            window: asked.window as usize,
            zstd: asked.zstd,
            sent,
            in_flight: VecDeque::new(),
            due,
        });
        self.send(message::json(message::SUBSCRIBED, &subscribed)).await
    }

    /// Whether the engine remembers a generation.
    async fn knows(&mut self, generation: u64) -> bool {
        let (reply, answer) = oneshot::channel();
        self.app.engine.ask(Ask::Knows { generation, reply })
            && timeout(TICK, answer).await.is_ok_and(|known| known.unwrap_or(false))
    }

    async fn tick(&mut self) -> Result<(), End> {
        let now: Now = *self.app.engine.now.read();
        if self.app.engine.world().session != self.world.session {
            return Err((Code::Gone, "the region was replaced".to_owned()));
        }
        let timeouts = self.app.options.timeouts;
        let Some(subscription) = &self.subscription else {
            let late = self.began.elapsed() >= timeouts.subscribe;
            return if late { Err((Code::Protocol, "there was no SUBSCRIBE".to_owned())) } else { Ok(()) };
        };
        let is_full = subscription.in_flight.len() >= subscription.window;
        if is_full && self.had_room.elapsed() >= timeouts.acknowledge {
            return Err((Code::TooSlow, "the client does not acknowledge".to_owned()));
        }
        if self.heard.elapsed() >= 3 * timeouts.ping {
            return Err((Code::TooSlow, "the client is not heard of".to_owned()));
        }
        if self.pinged.elapsed() >= timeouts.ping {
            self.pinged = Instant::now();
            let ping = self.socket.send(Message::Ping(Default::default()));
            if timeout(self.app.options.send_timeout, ping).await.is_err() {
                return Err((Code::TooSlow, "the client does not read".to_owned()));
            }
        }
        if self.updated.elapsed() >= TICK || now.alive != self.alive {
            self.alive = now.alive;
            let uptime_ms = self.app.began.elapsed().as_millis() as u64;
            let clients = self.app.engine.metrics.clients.load(Ordering::Relaxed) as u32;
            self.send(message::status(now.alive, now.generation, self.frame, uptime_ms, clients)).await?;
        }
        Ok(())
    }
}

/// Returns once the gateway is stopped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // its sender lives as long as the gateway
    let _ = stop.wait_for(|stopped| *stopped).await;
}

/// Returns once the token is none any more; never, where none was wanted.
async fn revoked(token: &mut Option<Held>) {
    match token {
        Some(token) => token.revoked().await,
        None => std::future::pending().await,
    }
}

/// Bytes of what a message carries.
fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(frame) => frame.as_ref().map_or(0, |frame| 2 + frame.reason.len()),
    }
}

/// The answer of the engine; never, where nothing was asked.
async fn wait(pending: &mut Option<oneshot::Receiver<Arc<Update>>>) -> Option<Arc<Update>> {
    match pending {
        Some(pending) => pending.await.ok(),
        None => std::future::pending().await,
    }
}
