//! What is served over plain HTTP, and the way to a WebSocket.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hyper::body::Frame;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::timeout;

use super::engine::{Ask, Handle, UpdateAsk, View};
use super::guard::{Guard, Query, Refused};
use super::hello::{Bounds, hex};
use super::limits::Addresses;
use super::message::{self, CLIENT_BYTES_MAX};
use super::metrics::add;
use super::tokens;
use super::{GatewayOptions, client, page, steering, subscribe};

/// Full states under way over HTTP at a time.
const SNAPSHOTS_MAX: usize = 4;
/// How long the engine may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// When to ask again where a place may be free by then, seconds.
const RETRY_AFTER_SECONDS: u16 = 5;
/// How long a browser may remember what a page may send.
const PREFLIGHT_SECONDS: &str = "600";
/// Frames of `/timeline`, where nothing else is asked.
const FRAMES_DEFAULT: usize = 8;
const FRAMES_MAX: usize = 1000;

/// What all requests share.
pub(super) struct App {
    pub options: GatewayOptions,
    pub engine: Handle,
    pub began: Instant,
    pub stop: watch::Receiver<bool>,
    guard: Guard,
    addresses: Addresses,
    clients: Arc<Semaphore>,
    snapshots: Arc<Semaphore>,
}

impl App {
    pub(super) fn new(
        options: GatewayOptions,
        engine: Handle,
        address: SocketAddr,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let origins = options.origins.iter().map(|origin| origin.trim_end_matches('/').to_owned()).collect();
        let guard = Guard { tokens: options.tokens.clone(), origins, loopback_only: address.ip().is_loopback() };
        let clients = Arc::new(Semaphore::new(options.clients_max));
        let snapshots = Arc::new(Semaphore::new(SNAPSHOTS_MAX));
        let addresses = Addresses::new(&options.limits);
        App { options, engine, began: Instant::now(), stop, guard, addresses, clients, snapshots }
    }

    pub(super) fn bounds(&self) -> Bounds<'_> {
        Bounds {
            region: &self.options.region,
            rate_hz_max: self.options.rate_hz_max,
            message_bytes_max: self.options.message_bytes_max.max(1 << 20),
            steer: self.options.steer,
        }
    }

    /// Counts a refusal.
    pub(super) fn refuse(&self) {
        add(&self.engine.metrics.refused_total, 1);
    }

    /// Whether an address may connect, or ask, once more in this second; a refusal is counted.
    pub(super) fn admit(&self, address: IpAddr) -> bool {
        let admitted = self.addresses.admit(address);
        add(&self.engine.metrics.limited_total, u64::from(!admitted));
        admitted
    }

    /// Asks the engine for something that it answers at once.
    pub(super) async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        if !self.engine.ask(ask(reply)) {
            return Err(Failure(StatusCode::SERVICE_UNAVAILABLE, "the gateway has too much to do".to_owned()));
        }
        match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(value)) => Ok(value),
            _ => Err(Failure(StatusCode::SERVICE_UNAVAILABLE, "nothing was published yet".to_owned())),
        }
    }
}

type Shared = State<Arc<App>>;

/// Who asks.
#[derive(Clone)]
pub(super) struct Peer {
    address: IpAddr,
    /// Whether its connection was one too many: then each request is.
    refused: bool,
    /// Whether it has not asked yet on this connection: the first request was counted with it.
    is_new: Arc<AtomicBool>,
}

impl Peer {
    pub(super) fn new(address: IpAddr, refused: bool) -> Peer {
        Peer { address, refused, is_new: Arc::new(AtomicBool::new(true)) }
    }

    fn asks_too_often(&self, app: &App) -> bool {
        self.refused || (!self.is_new.swap(false, Ordering::Relaxed) && !app.admit(self.address))
    }
}

/// A request that fails, with why.
pub(super) struct Failure(pub StatusCode, pub String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = reply(self.0, "application/json", json!({ "error": self.1 }).to_string());
        match self.0 {
            StatusCode::SERVICE_UNAVAILABLE => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(1));
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

pub(super) fn reply(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// All paths.
pub(super) fn router(app: Arc<App>) -> Router {
    let closed = Router::new()
        .route("/live", get(live))
        .route("/layout", get(layout))
        .route("/snapshot.bin", get(snapshot_bin))
        .route("/snapshot", get(snapshot_arrow))
        .route("/timeline", get(timeline))
        .route("/steering", get(steering::show).post(steering::steer))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(steering::BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&app), check_token));
    let mut open = Router::new().route("/healthz", get(healthz));
    for (path, kind, bytes) in page::FILES {
        open = open.route(path, get(|| async { reply(StatusCode::OK, kind, Bytes::from_static(bytes)) }));
    }
    let none = || async { Failure(StatusCode::NOT_FOUND, "there is nothing at this path".to_owned()) };
    open.merge(closed).fallback(none).layer(from_fn_with_state(Arc::clone(&app), check_source)).with_state(app)
}

/// Refuses foreign hosts and origins, and those who ask too often, and adds the headers that every answer has.
async fn check_source(State(app): Shared, request: Request, next: Next) -> Response {
    let mut reader = app.guard.listed_origin(request.headers()).cloned();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match app.guard.check_source(request.headers()) {
        _ if request.extensions().get::<Peer>().is_some_and(|peer| peer.asks_too_often(&app)) => {
            let most = app.options.limits.requests_hz;
            let why = format!("this address connects and asks more than {most} times a second");
            Failure(StatusCode::TOO_MANY_REQUESTS, why).into_response()
        }
        Ok(()) if is_preflight(&request) => preflight(),
        Ok(()) => next.run(request).await,
        Err(refused) => {
            app.refuse();
            // the refusal is for its page to read: it holds nothing else
            reader = origin;
            let why = match refused {
                Refused::Host => "this host is not one of this gateway's",
                _ => "pages of this origin may not connect",
            };
            Failure(StatusCode::FORBIDDEN, why.to_owned()).into_response()
        }
    };
    let headers = response.headers_mut();
    if let Some(origin) = reader {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("allow, etag, retry-after, www-authenticate"),
        );
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, page::POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

/// Whether a browser asks what a page of another origin may send.
fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// What pages of listed origins may send, at any path. It says nothing of what is there, so it asks for no token: browsers
/// send none with it.
fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, if-none-match"),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS),
        (header::VARY, "access-control-request-method, access-control-request-headers"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn check_token(State(app): Shared, mut request: Request, next: Next) -> Response {
    match app.guard.check_token(request.headers(), request.uri()) {
        Ok(token) => {
            if let Some(token) = token {
                request.extensions_mut().insert(token);
            }
            next.run(request).await
        }
        Err(_) => {
            app.refuse();
            let why = "this gateway wants a token: Authorization: Bearer TOKEN, or ?token=TOKEN".to_owned();
            let mut response = Failure(StatusCode::UNAUTHORIZED, why).into_response();
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
    }
}

/// The way to a WebSocket. Whoever asks without an upgrade learns whether there is one: a browser's WebSocket tells its
/// page no status.
async fn live(
    State(app): Shared,
    token: Option<Extension<tokens::Held>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(place) = Arc::clone(&app.clients).try_acquire_owned() else {
        app.refuse();
        let why = format!("there are {} clients already", app.options.clients_max);
        return Failure(StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let why = format!("/live is a WebSocket, subprotocol hypostyle.v1: {}", rejection.body_text());
            if headers.contains_key(header::UPGRADE) {
                return Failure(rejection.status(), why).into_response();
            }
            let mut response = Failure(StatusCode::UPGRADE_REQUIRED, why).into_response();
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            return response;
        }
    };
    let message_max = app.bounds().message_bytes_max;
    upgrade
        .protocols(["hypostyle.v1"])
        .max_message_size(CLIENT_BYTES_MAX)
        .max_frame_size(CLIENT_BYTES_MAX)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * message_max)
        .on_upgrade(move |socket| client::serve(socket, app, place, token.map(|Extension(token)| token)))
}

async fn layout(State(app): Shared) -> Response {
    let now = *app.engine.now.read();
    let hello = app.engine.world().hello(&now, &app.bounds(), app.engine.inputs.names());
    reply(StatusCode::OK, "application/json", hello.to_string())
}

async fn healthz(State(app): Shared) -> Response {
    let now = *app.engine.now.read();
    let status = if now.alive { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "writer_alive": now.alive,
        "generation": now.generation,
        "frame": now.frame,
        "time": now.time,
        "clients": app.engine.metrics.clients.load(Ordering::Relaxed),
    });
    reply(status, "application/json", body.to_string())
}

async fn metrics(State(app): Shared) -> Response {
    let mut text = String::new();
    app.engine.metrics.text(&mut text);
    reply(StatusCode::OK, "text/plain; version=0.0.4", text)
}

async fn timeline(State(app): Shared, uri: Uri) -> Result<Response, Failure> {
    let missing = |why: String| Failure(StatusCode::NOT_FOUND, why);
    let Some(picture) = app.options.timeline.clone() else {
        return Err(missing("this gateway draws no timelines".to_owned()));
    };
    let bad = |why| Failure(StatusCode::BAD_REQUEST, why);
    let frames =
        match Query::parse(&uri, &["frames"]).map_err(bad)?.get("frames") {
            None => FRAMES_DEFAULT,
            Some(text) => text.parse().ok().filter(|frames| (1..=FRAMES_MAX).contains(frames)).ok_or_else(|| {
                bad(format!("frames is `{text}`; it may be 1 to {FRAMES_MAX}, default {FRAMES_DEFAULT}"))
            })?,
        };
    let timeline = app.ask(|reply| Ask::Timeline { reply }).await?.map_err(missing)?;
    let json = picture(&timeline, frames).ok_or_else(|| missing("there are no frames yet".to_owned()))?;
    Ok(reply(StatusCode::OK, "application/json", json))
}

/// Whether the client has the state of this tag already.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(',').any(|one| one.trim() == "*" || one.trim().trim_start_matches("W/") == tag)
}

/// A response with a tag: without its body where the client has it or asks for the head alone.
fn tagged(tag: &str, kind: &'static str, bytes: Option<Held>) -> Response {
    let status = if bytes.is_some() { StatusCode::OK } else { StatusCode::NOT_MODIFIED };
    let mut response = match bytes {
        Some(held) => reply(status, kind, Body::new(held)),
        None => reply(status, kind, Body::empty()),
    };
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

async fn snapshot_bin(State(app): Shared, headers: HeaderMap, uri: Uri) -> Result<Response, Failure> {
    let bad = |why| Failure(StatusCode::BAD_REQUEST, why);
    let world = app.engine.world();
    let names = Query::parse(&uri, &["columns"]).and_then(|query| query.list("columns")).map_err(bad)?;
    let selection = subscribe::columns(names.as_deref(), &world.layout, &world.shown).map_err(bad)?;
    let view = View::new(selection);
    let tag_of = |generation: u64| format!("\"{}-{generation}-{}\"", hex(world.session), hex(view.key));
    let generation = app.ask(|reply| Ask::Look { reply }).await?;
    if is_known(&headers, &tag_of(generation)) {
        return Ok(tagged(&tag_of(generation), "application/octet-stream", None));
    }
    let held = app.place()?;
    let now = *app.engine.now.read();
    let session = world.session;
    let asked = Arc::clone(&view);
    let update =
        app.ask(|reply| Ask::Update(UpdateAsk { session, view: asked, since: 0, subscription: 1, zstd: false, reply }));
    let update = update.await?;
    let subscribed = json!({
        "subscription": 1, "view": hex(view.key), "resumed": false, "rate_hz": 0, "window": 1,
        "compression": null, "quantised": [],
    });
    let mut parts = vec![
        Bytes::from(message::json(message::HELLO, &world.hello(&now, &app.bounds(), app.engine.inputs.names()))),
        Bytes::from(message::json(message::SUBSCRIBED, &subscribed)),
    ];
    parts.extend(update.messages.iter().cloned());
    Ok(tagged(&tag_of(update.to), "application/octet-stream", Some(Held::new(parts, held))))
}

#[cfg(not(feature = "export"))]
async fn snapshot_arrow(State(_): Shared) -> Failure {
    let why = "this gateway was built without `export`, which is on by default: leave `--no-default-features` out, or add \
               `--features export`; /snapshot.bin is always there";
    Failure(StatusCode::NOT_IMPLEMENTED, why.to_owned())
}

#[cfg(feature = "export")]
async fn snapshot_arrow(State(app): Shared, headers: HeaderMap, uri: Uri) -> Result<Response, Failure> {
    use hypostyle::export::{ExportOptions, joined};

    const KIND: &str = "application/vnd.apache.arrow.stream";
    let fault = |why: String| Failure(StatusCode::INTERNAL_SERVER_ERROR, why);
    let bad = |why| Failure(StatusCode::BAD_REQUEST, why);
    let world = app.engine.world();
    let names = Query::parse(&uri, &["columns"]).and_then(|query| query.list("columns")).map_err(bad)?;
    if names.as_ref().is_some_and(|names| names.iter().any(|name| name.contains('.'))) {
        let why = "columns of /snapshot are components; /snapshot.bin takes single fields".to_owned();
        return Err(Failure(StatusCode::BAD_REQUEST, why));
    }
    subscribe::columns(names.as_deref(), &world.layout, &world.shown).map_err(bad)?;
    let shown = world.layout.components().iter().enumerate();
    let shown = shown.filter(|(id, c)| {
        let all = (0..c.published_fields().len()).all(|field| world.shown.has_field(*id as u16, field as u8));
        world.shown.has_component(*id as u16) && all && names.as_ref().is_none_or(|names| names.contains(&c.name))
    });
    let options = ExportOptions::default().components(shown.map(|(_, component)| component.name.clone()));
    let key = crate::delta::Selection::columns(&world.layout, options.components.iter().flatten().map(String::as_str));
    let key = key.map_err(|error| fault(error.to_string()))?.key();
    let tag_of = |generation: u64| format!("\"{}-{generation}-{}-arrow\"", hex(world.session), hex(key));
    let newest = app.engine.metrics.generation.load(Ordering::Relaxed);
    if newest > 0 && is_known(&headers, &tag_of(app.ask(|reply| Ask::Look { reply }).await?)) {
        let generation = app.engine.now.read().generation;
        return Ok(tagged(&tag_of(generation), KIND, None));
    }
    let held = app.place()?;
    let source = app.ask(|reply| Ask::Another { reply }).await?;
    let write = move || -> Result<(u64, Vec<u8>), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let parts = source.into_pinned().map_err(|error| text(&error))?;
        let generation = parts.iter().map(|part| part.snapshot().generation()).min().unwrap_or(0);
        let (schema, batches) = joined(parts, &options).map_err(|error| text(&error))?;
        let mut out = Vec::new();
        let writer = arrow_ipc::writer::StreamWriter::try_new(&mut out, &schema);
        let mut writer = writer.map_err(|error| text(&error))?;
        for batch in batches {
            let batch = batch.map_err(|error| text(&error))?;
            writer.write(&batch).map_err(|error| text(&error))?;
        }
        writer.finish().map_err(|error| text(&error))?;
        drop(writer);
        Ok((generation, out))
    };
    let (generation, bytes) =
        tokio::task::spawn_blocking(write).await.map_err(|error| fault(error.to_string()))?.map_err(fault)?;
    Ok(tagged(&tag_of(generation), KIND, Some(Held::new(vec![Bytes::from(bytes)], held))))
}

impl App {
    /// A place for a large answer.
    fn place(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.snapshots).try_acquire_owned().map_err(|_| {
            let why = format!("{SNAPSHOTS_MAX} states are being sent already");
            Failure(StatusCode::SERVICE_UNAVAILABLE, why)
        })
    }
}

/// A large body, which has a place until it is sent.
struct Held {
    parts: std::vec::IntoIter<Bytes>,
    bytes: u64,
    _place: OwnedSemaphorePermit,
}

impl Held {
    fn new(parts: Vec<Bytes>, place: OwnedSemaphorePermit) -> Self {
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        Held { parts: parts.into_iter(), bytes, _place: place }
    }
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        let this = self.get_mut();
        let next = this.parts.next();
        this.bytes -= next.as_ref().map_or(0, |part| part.len() as u64);
        Poll::Ready(next.map(|part| Ok(Frame::data(part))))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.bytes)
    }
}
