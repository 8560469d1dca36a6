//! A process that shows a live region to browsers and tools: `hypostyle gateway`.
//!
//! It is a reader like any other, and read-only, unless it is told to pass inputs on or to let clients steer. One thread, the *engine*, follows
//! the region with a [`delta::Shadow`]; it pins a generation for as long as a look takes, never per client. Each
//! client has a task that asks the engine for one update at a time, and only once it may send one: so nothing is queued,
//! a slow client gets fewer and larger updates, and clients that want the same are given the same bytes.
//!
//! ```text
//! region --pin, look, unpin--> engine <--one ask at a time-- client task <--WebSocket--> browser
//!                                     --the same bytes----->
//! ```
//!
//! Where the ranks of a cluster write one world, a [`Source`] is all of their regions, and a look pins one frame on all.
//!
//! What goes over the wire is written down in `docs/protocol.md`.
//!
//! Architecture invariant: an ordinary reader; nothing here writes to a region or knows extents. What clients send for
//! the simulation goes through an [`InputSender`](hypostyle::InputSender), which checks it; the writer checks it again.
//! How they steer goes through [`Steering`](hypostyle::Steering), which is no state.
//! Memory for a client is bounded, whatever it does: one update in flight to its socket, one message from it, and the
//! numbers of a few thousand inputs.
#![forbid(unsafe_code)]

mod buffers;
mod client;
pub mod delta;
mod engine;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod hello;
mod http;
mod inputs;
mod limits;
mod listen;
mod message;
mod metrics;
#[cfg(feature = "nats")]
pub mod nats;
mod page;
mod source;
mod steering;
mod subscribe;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hypostyle::{InputError, SnapshotError, Timeline};
use tokio::sync::watch;

use crate::delta::SelectError;
pub use crate::limits::Limits;
pub use crate::source::Source;
pub use crate::tokens::Tokens;

/// Makes the JSON of `/timeline` of the newest frames, at most so many; `None`: there are none.
pub type TimelinePicture = Arc<dyn Fn(&Timeline, usize) -> Option<String> + Send + Sync>;

/// Opens the region, or those of all ranks; at first, and again where they were replaced.
pub type Open = Box<dyn FnMut() -> Result<Source, SnapshotError> + Send>;

/// How a gateway serves.
#[derive(Clone)]
#[non_exhaustive]
pub struct GatewayOptions {
    /// Where it listens. Port 0: any free one.
    pub listen: SocketAddr,
    /// The region's name, for people.
    pub region: String,
    /// Updates a second that a client can have, and looks at the region.
    pub rate_hz_max: f64,
    /// Components (or fields) that it shows; `None`: all.
    pub components: Option<Vec<String>>,
    /// Which inputs it takes from clients, of those that the simulation takes; an empty list: all of them. `None`: none,
    /// it is read-only.
    pub inputs: Option<Vec<String>>,
    /// Inputs a second that it takes from one client; in a burst, twice as many.
    pub inputs_hz_max: f64,
    /// Whether clients may steer the run: pause it, let it run some frames, set its pace.
    pub steer: bool,
    /// What clients must know one of; `None`: nothing.
    pub tokens: Option<Tokens>,
    /// Origins of pages that may connect, beside its own: `https://example.org`.
    pub origins: Vec<String>,
    /// Clients at a time.
    pub clients_max: usize,
    /// The longest message to a client, bytes; at least 1 MiB.
    pub message_bytes_max: usize,
    /// A message must fit into a client's socket within this time.
    pub send_timeout: Duration,
    /// How long it waits for other things.
    pub timeouts: Timeouts,
    /// How much it takes in a second.
    pub limits: Limits,
    /// Where the same frames are published beside it; `None`: nowhere.
    #[cfg(feature = "nats")]
    pub publish: Option<nats::Place>,
    /// For `/timeline`.
    pub timeline: Option<TimelinePicture>,
}

impl GatewayOptions {
    /// The defaults: 60 Hz, everything, no token, 64 clients, messages of 1 MiB.
    #[must_use]
    pub fn new(listen: SocketAddr, region: impl Into<String>) -> Self {
        GatewayOptions {
            listen,
            region: region.into(),
            rate_hz_max: 60.0,
            components: None,
            inputs: None,
            inputs_hz_max: 240.0,
            steer: false,
            tokens: None,
            origins: Vec::new(),
            clients_max: 64,
            message_bytes_max: 1 << 20,
            send_timeout: Duration::from_secs(20),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            #[cfg(feature = "nats")]
            publish: None,
            timeline: None,
        }
    }
}

/// How long a gateway waits for what a client does, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// A request's head must be there within this time, however slowly it comes; default 5 s.
    pub head: Duration,
    /// A connection that did not become a WebSocket ends after this time; default 120 s.
    pub request: Duration,
    /// The first SUBSCRIBE must come within this time; default 10 s.
    pub subscribe: Duration,
    /// A full window must be acknowledged within this time; default 60 s.
    pub acknowledge: Duration,
    /// Time between pings; a client of which nothing whole comes for three of them is gone. Default 10 s.
    pub ping: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            head: Duration::from_secs(5),
            request: Duration::from_secs(120),
            subscribe: Duration::from_secs(10),
            acknowledge: Duration::from_secs(60),
            ping: Duration::from_secs(10),
        }
    }
}

/// A gateway that cannot begin, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The system refuses something.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was asked of it.
        what: String,
        /// What it said.
        source: std::io::Error,
    },
    /// The region cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Components that the layout does not have.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// Inputs that the simulation does not take.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The simulation takes no inputs at all.
    #[error("the simulation takes no inputs: run it with --inputs NAME, or in Rust with `SimulationBuilder::inputs`")]
    NoInputs,
    /// The thread that follows the region panicked.
    #[error("the gateway's engine panicked; its message is on stderr")]
    Engine,
    /// An option that cannot be.
    #[error("{what} is {found}; {expected}")]
    Option {
        /// Which.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
}

/// A gateway that listens.
pub struct Gateway {
    listener: std::net::TcpListener,
    address: SocketAddr,
    engine: engine::Engine,
    app: Arc<http::App>,
    stop: Stopper,
}

/// Ends a gateway from another thread.
#[derive(Clone)]
pub struct Stopper(Arc<watch::Sender<bool>>);

impl Stopper {
    /// Ends it: clients are told, then [`Gateway::run`] returns.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }
}

impl Gateway {
    /// Opens the region and listens. Nobody is served before [`Gateway::run`].
    ///
    /// # Errors
    /// The region cannot be opened; an unknown component; the address is taken; an option out of bounds.
    pub fn bind(open: Open, options: GatewayOptions) -> Result<Gateway, GatewayError> {
        let bad = |what, found: String, expected| Err(GatewayError::Option { what, found, expected });
        if !(options.rate_hz_max.is_finite() && (0.1..=1000.0).contains(&options.rate_hz_max)) {
            return bad("the rate", format!("{} Hz", options.rate_hz_max), "it may be 0.1 to 1000 Hz");
        }
        if !(1..=10_000).contains(&options.clients_max) {
            return bad("the number of clients", options.clients_max.to_string(), "it may be 1 to 10000");
        }
        options.limits.check()?;
        if !(options.inputs_hz_max.is_finite() && (0.1..=5_000.0).contains(&options.inputs_hz_max)) {
            return bad("the rate of inputs", format!("{} Hz", options.inputs_hz_max), "it may be 0.1 to 5000 Hz");
        }
        let changes = options.inputs.is_some() || options.steer;
        if changes && options.tokens.is_none() && !options.listen.ip().is_loopback() {
            let expected =
                "clients on other machines that change or steer a simulation must know a token: give --token-file";
            return bad("the token", "missing".to_owned(), expected);
        }
        let io = |what: String| move |source| GatewayError::Io { what, source };
        let listener =
            std::net::TcpListener::bind(options.listen).map_err(io(format!("listen on {}", options.listen)))?;
        listener.set_nonblocking(true).map_err(io("listen without blocking".to_owned()))?;
        let address = listener.local_addr().map_err(io("ask for the own address".to_owned()))?;
        let stop = Stopper(Arc::new(watch::Sender::new(false)));
        let (engine, handle) = engine::Engine::new(open, &options, stop.clone())?;
        let app = Arc::new(http::App::new(options, handle, address, stop.0.subscribe()));
        Ok(Gateway { listener, address, engine, app, stop })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What ends it.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stop.clone()
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// The system refuses threads; the engine panicked.
    pub fn run(self) -> Result<(), GatewayError> {
        let io = |what: &str| {
            let what = what.to_owned();
            move |source| GatewayError::Io { what, source }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(io("start the runtime"))?;
        let engine = self.engine;
        let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(move || engine.run());
        let thread = thread.map_err(io("start a thread"))?;
        let app = self.app;
        let served = runtime.block_on(async move {
            #[cfg(feature = "nats")]
            if let Some(place) = app.options.publish.clone() {
                tokio::spawn(nats::publish(Arc::clone(&app), place.of_region(&app.options.region)));
            }
            listen::serve(self.listener, app).await
        });
        self.stop.stop();
        // it looks at the flag several times a second
        thread.join().map_err(|_| GatewayError::Engine)?;
        served.map_err(io("accept connections"))
    }
}
