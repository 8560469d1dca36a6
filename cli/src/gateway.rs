//! `gateway REGION`: shows a live region, or those of all ranks of a world, to browsers and tools.
//!
//! What it takes is not in every build; a program without the feature `gateway` says so when it is asked.
#![forbid(unsafe_code)]

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
#[cfg(feature = "gateway")]
use std::path::Path;
use std::path::PathBuf;

use hypostyle::RegionTarget;

use crate::failure::Outcome;

/// How to serve.
#[derive(clap::Args)]
#[cfg_attr(not(feature = "gateway"), allow(dead_code, reason = "checked, and then refused"))]
pub(crate) struct Args {
    /// The region, or the world of several ranks.
    #[arg(value_name = "NAME|DIR")]
    region: RegionTarget,
    /// Address to listen on, or the name of a host, as localhost:8080; port 0 takes any free port. Addresses other than
    /// loopback can be reached by other machines.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", value_parser = parse_listen)]
    listen: SocketAddr,
    /// Maximum updates per second.
    #[arg(long, value_name = "HZ", default_value_t = 60.0)]
    rate: f64,
    /// Show only these components, or single fields (position.x).
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    components: Option<Vec<String>>,
    /// Accept inputs from clients: all that the simulation accepts (run with --inputs), or only these.
    #[arg(long, value_name = "A,B", value_delimiter = ',', num_args = 0.., require_equals = true)]
    inputs: Option<Vec<String>>,
    /// Maximum inputs per second from one client.
    #[arg(long, value_name = "HZ", default_value_t = 240.0, requires = "inputs")]
    inputs_rate: f64,
    /// Let clients steer the run (run with --steer): pause it, let it run some frames, set its pace.
    #[arg(long)]
    steer: bool,
    /// File with tokens, one a line, of which clients must send one. It is read again when it changes, and on SIGHUP.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Also publish the same frames on a NATS broker with JetStream (in builds with `nats`). The default prefix of its
    /// subjects is hypostyle.REGION.
    #[arg(long, value_name = "nats://HOST:PORT[/PREFIX]")]
    publish: Option<String>,
    /// Allow pages of this origin to connect, such as https://example.org. May be given several times.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// Maximum number of clients at a time.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = crate::numbers::positive::<usize>)]
    clients_max: usize,
    /// Maximum connections, and further requests on them, per second from one address; in a burst twice as many.
    #[arg(long, value_name = "HZ", default_value_t = 500, value_parser = crate::numbers::positive::<u32>)]
    requests_rate: u32,
    /// Maximum messages per second from one client.
    #[arg(long, value_name = "HZ", default_value_t = 5_000, value_parser = crate::numbers::positive::<u32>)]
    messages_rate: u32,
    /// Maximum bytes of messages per second from one client; at least 64KiB, the longest message.
    #[arg(long, value_name = "BYTES", default_value = "4MiB", value_parser = crate::numbers::bytes::<u32>)]
    bytes_rate: u32,
}

/// An address, or the first IPv4 address of a name, else its first one.
fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let how = |why: &str| format!("{why}: write HOST:PORT, as in localhost:8080 or 127.0.0.1:8080");
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let Some((host, port)) = text.rsplit_once(':') else { return Err(how("it has no port")) };
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err(how("it is no address"));
    }
    let found: Vec<SocketAddr> =
        text.to_socket_addrs().map_err(|error| how(&format!("no host {host}: {error}")))?.collect();
    let chosen = found.iter().find(|address| address.is_ipv4()).or(found.first());
    chosen.copied().ok_or_else(|| how(&format!("{host} has no address")))
}

/// How often the file with the tokens is read.
#[cfg(feature = "gateway")]
const TOKENS_EVERY: std::time::Duration = std::time::Duration::from_secs(1);
/// The longest file with tokens that is read, bytes.
const TOKEN_FILE_BYTES_MAX: u64 = 1 << 16;

/// Runs the command.
#[cfg(not(feature = "gateway"))]
pub(crate) fn run(_args: &Args, _json: bool, _out: &mut dyn Write) -> Outcome {
    Err(crate::failure::Failure::usage(
        "this program was built without `gateway`: build it with `cargo build --release --features gateway`",
    ))
}

/// What the arguments say of how to serve.
#[cfg(feature = "gateway")]
fn options(args: &Args) -> Result<hypostyle_gateway::GatewayOptions, crate::failure::Failure> {
    use crate::failure::Failure;

    let mut options = hypostyle_gateway::GatewayOptions::new(args.listen, args.region.to_string());
    options.rate_hz_max = args.rate;
    options.components = args.components.clone();
    options.inputs = args.inputs.clone();
    options.inputs_hz_max = args.inputs_rate;
    options.steer = args.steer;
    options.origins = args.allow_origin.clone();
    options.clients_max = args.clients_max;
    #[cfg(feature = "nats")]
    if let Some(text) = &args.publish {
        options.publish =
            Some(text.parse().map_err(|error: hypostyle_gateway::nats::NatsError| Failure::usage(error.to_string()))?);
    }
    #[cfg(not(feature = "nats"))]
    if args.publish.is_some() {
        let how = "cargo build --release --features nats";
        return Err(Failure::usage(format!("this program was built without `nats`: build it with `{how}`")));
    }
    options.timeline = Some(std::sync::Arc::new(crate::trace::page_data));
    options.limits.requests_hz = args.requests_rate;
    options.limits.messages_hz = args.messages_rate;
    options.limits.bytes_hz = args.bytes_rate;
    if let Some(path) = &args.token_file {
        let tokens = hypostyle_gateway::Tokens::new(read_tokens(path)?);
        let tokens = tokens.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        options.tokens = Some(tokens);
    }
    Ok(options)
}

/// The tokens in a file: a line each, but for empty lines and those that begin with `#`.
#[cfg(feature = "gateway")]
fn read_tokens(path: &Path) -> Result<Vec<String>, crate::failure::Failure> {
    use crate::failure::Failure;

    let read = hypostyle::files::read_regular(path, TOKEN_FILE_BYTES_MAX);
    let text = read
        .and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other))
        .map_err(|error| Failure::from(error).before(&format!("cannot read the tokens in {}", path.display())))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// Follows the file with the tokens.
#[cfg(feature = "gateway")]
struct TokenFile {
    path: PathBuf,
    tokens: hypostyle_gateway::Tokens,
    /// SIGHUP came.
    again: std::sync::Arc<std::sync::atomic::AtomicBool>,
    looked: std::time::Instant,
    /// What was wrong with it when it was read last; said once.
    wrong: String,
}

#[cfg(feature = "gateway")]
impl TokenFile {
    /// Reads it where it is time to. While it cannot be read, or has no tokens, those that there are stay.
    fn look(&mut self) {
        let is_due = self.looked.elapsed() >= TOKENS_EVERY;
        if !self.again.swap(false, std::sync::atomic::Ordering::Relaxed) && !is_due {
            return;
        }
        self.looked = std::time::Instant::now();
        let read = read_tokens(&self.path).map_err(|failure| failure.message.unwrap_or_default());
        match read.and_then(|tokens| self.tokens.replace(tokens).map_err(|error| error.to_string())) {
            Ok(changed) => {
                self.wrong.clear();
                if changed {
                    tracing::info!("the tokens in {} are others now", self.path.display());
                }
            }
            Err(error) if error == self.wrong => {}
            Err(error) => {
                tracing::warn!("the tokens stay as they are: {}: {error}", self.path.display());
                self.wrong = error;
            }
        }
    }
}

/// The region of this name; or those of all ranks of the world of this name.
#[cfg(feature = "gateway")]
fn source(target: &RegionTarget) -> Result<hypostyle_gateway::Source, hypostyle::SnapshotError> {
    use crate::open::open;

    if crate::cluster::is_one(target)
        && let Some(ranks) = hypostyle::regions::ranks(target)?
    {
        let readers = (0..ranks.len()).map(|rank| open(&target.of_rank(rank))).collect::<Result<Vec<_>, _>>()?;
        return hypostyle_gateway::Source::ranks(readers);
    }
    Ok(open(target)?.into())
}

/// Runs the command.
#[cfg(feature = "gateway")]
pub(crate) fn run(args: &Args, json: bool, out: &mut dyn Write) -> Outcome {
    use std::time::Duration;

    use hypostyle_gateway::{Gateway, GatewayError};

    use crate::failure::{self, Failure};
    use crate::put_json;
    use crate::signals::Stop;

    let (stop, again) = match &args.token_file {
        Some(_) => Stop::catch_all_but_hangups()?,
        None => (Stop::catch()?, Default::default()),
    };
    let options = options(args)?;
    let mut file = options.tokens.clone().zip(args.token_file.clone()).map(|(tokens, path)| TokenFile {
        path,
        tokens,
        again,
        looked: std::time::Instant::now(),
        wrong: String::new(),
    });
    if !args.listen.ip().is_loopback() && options.tokens.is_none() {
        tracing::warn!("anyone who reaches {} can look: think of --token-file", args.listen);
    }
    let target = args.region.clone();
    let failed = |error: GatewayError| match error {
        GatewayError::Snapshot(error) => Failure::from(error),
        GatewayError::Io { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
            let free = "take another one with --listen, or port 0 for a free one";
            let why = format!("cannot listen on {}: the port is in use; {free}", args.listen);
            Failure::new(failure::IN_USE, why)
        }
        GatewayError::Io { .. } | GatewayError::Engine => Failure::from(error),
        other => Failure::usage(other.to_string()),
    };
    let gateway = Gateway::bind(Box::new(move || source(&target)), options).map_err(failed)?;
    let address = gateway.address();
    if json {
        put_json(out, &serde_json::json!({ "address": address.to_string(), "region": args.region.to_string() }))?;
    } else {
        writeln!(out, "{} at http://{address}/", args.region)?;
    }
    // the process that started it may wait for this line
    out.flush()?;
    let stopper = gateway.stopper();
    let watcher = stop.clone();
    std::thread::spawn(move || {
        while !watcher.is_asked() {
            if let Some(file) = &mut file {
                file.look();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        stopper.stop();
    });
    gateway.run().map_err(failed)?;
    if stop.is_asked() { Err(Failure::told(failure::INTERRUPTED)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_names() {
        for text in ["localhost:8080", "127.0.0.1:8080"] {
            let address = parse_listen(text).expect(text);
            assert!(address.ip().is_loopback() && address.port() == 8080, "{text}: {address}");
        }
        assert_eq!(parse_listen("[::1]:0").map(|address| address.port()), Ok(0));
        for text in ["localhost", "8080", ":8080", "localhost:http", "localhost:99999", "no-such-host.invalid:80"] {
            assert!(parse_listen(text).expect_err(text).contains("localhost:8080"), "{text}");
        }
    }
}
