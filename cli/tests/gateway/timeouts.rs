//! Clients that are slow on purpose, or gone without a word: each costs its own connection, after its own time.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hypostyle_gateway::Timeouts;
use serde_json::json;

use super::client::{self, Came, Client, Socket, get};
use super::{Serving, commands, inputs, world};

/// Far less than a client would want, far more than the test machine needs for one step.
const SHORT: Duration = Duration::from_millis(400);
/// Only ends a hang.
const LONG: Duration = Duration::from_secs(60);

fn serving(change: impl FnOnce(&mut Timeouts)) -> (hypostyle::World, Serving) {
    let world = world(100);
    let serving = Serving::of(&world, |options| change(&mut options.timeouts));
    (world, serving)
}

/// Writes a byte again and again until the other side has enough; what it had sent until then.
fn drip(stream: &mut TcpStream, byte: &[u8]) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (begun, mut answer) = (Instant::now(), Vec::new());
    loop {
        assert!(begun.elapsed() < LONG, "it is still listened to");
        let written = stream.write_all(byte);
        let mut some = [0; 1024];
        match stream.read(&mut some) {
            Ok(0) => return answer,
            Ok(count) => answer.extend_from_slice(&some[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if written.is_err() {
                    return answer;
                }
            }
            Err(_) => return answer,
        }
    }
}

fn still_serves(address: SocketAddr) {
    assert_eq!(get(address, "/healthz").status, 200);
}

#[test]
fn a_request_that_comes_byte_by_byte_is_cut_off() {
    let (_world, serving) = serving(|timeouts| timeouts.head = SHORT);
    let mut streams: Vec<TcpStream> = (0..20).map(|_| client::connect(serving.address)).collect();
    for stream in &mut streams {
        stream.write_all(b"GET /layout HTTP/1.1\r\nHost: ").unwrap();
    }
    still_serves(serving.address);
    let answer = drip(&mut streams[0], b"a");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || text.contains(" 408 ") || text.contains(" 400 "), "{text}");
    // and those that sent nothing more at all
    for stream in &mut streams[1..] {
        let ended = stream.read(&mut [0; 64]);
        assert!(!matches!(&ended, Err(error) if error.kind() == ErrorKind::WouldBlock), "{ended:?}");
    }
    still_serves(serving.address);
}

#[test]
fn a_connection_that_asks_for_nothing_more_ends() {
    let (_world, serving) = serving(|timeouts| (timeouts.head, timeouts.request) = (LONG, SHORT));
    let mut stream = client::connect(serving.address);
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", serving.address).unwrap();
    let mut all = Vec::new();
    // it is kept alive, and then ends
    let _ = stream.read_to_end(&mut all);
    assert!(all.starts_with(b"HTTP/1.1 200 "));
    still_serves(serving.address);
}

#[test]
fn who_never_subscribes_is_told_and_cut_off() {
    let (_world, serving) = serving(|timeouts| timeouts.subscribe = SHORT);
    let mut socket = Socket::open(serving.address, "/live", "").unwrap();
    assert_eq!(socket.end(), (1002, Some(3)));
}

#[test]
fn half_open_connections_end() {
    let (_world, serving) = serving(|timeouts| timeouts.ping = Duration::from_secs(1));
    // one that answers no pings, and one that sends a message byte by byte without an end
    let mut silent = Socket::open(serving.address, "/live", "").unwrap();
    silent.send(0x81, b"{}");
    let mut dripping = Socket::open(serving.address, "/live", "").unwrap();
    dripping.send(0x81, b"{}");
    dripping.stream.write_all(&[0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0]).unwrap();
    // one that answers goes on: it is told how things are for longer than the others live
    let mut good = Client::open(serving.address, json!({}));
    let listening = std::thread::spawn(move || {
        let came: Vec<Came> = (0..8).map(|_| good.socket.receive()).collect();
        (good, came.iter().all(|came| matches!(came, Came::Message(_))))
    });
    drip(&mut dripping.stream, b"x");
    // its messages are read, its pings are not answered
    let mut bytes = Vec::new();
    silent.stream.read_to_end(&mut bytes).unwrap();
    let bye = [6, 1, 0, 0, bytes_of_bye(&bytes), 0, 0, 0, 5, 0];
    assert!(bytes.windows(10).any(|window| window == bye), "it is told why");
    serving.wait_for("slow_total", 2);
    let (good, went_on) = listening.join().unwrap();
    assert!(went_on && serving.metric("clients") == 1);
    drop(good);
}

/// Bytes of the BYE that a stream ends with, before the close.
fn bytes_of_bye(bytes: &[u8]) -> u8 {
    let at = bytes.windows(4).rposition(|window| window == [6, 1, 0, 0]).unwrap_or(0);
    bytes.get(at + 4).copied().unwrap_or(0)
}

#[test]
fn a_window_that_is_never_acknowledged_ends() {
    let (mut world, serving) = serving(|timeouts| timeouts.acknowledge = SHORT);
    let layout = world.layout().clone();
    let mut client = Client::open(serving.address, json!({"window": 1}));
    client.receive(&layout);
    world.publish().unwrap();
    assert_eq!(client.socket.end(), (1008, Some(5)));
    serving.wait_for("slow_total", 1);
    // it lost nothing: it goes on from what it had
    client.again(serving.address);
    assert!(client.resumed);
    client.catch_up(world.generation(), &layout);
    assert_eq!(client.full, 1);
}

#[test]
fn memory_stays_flat_while_clients_never_read() {
    let (_directory, _, region) = commands::place();
    let run =
        ["run", "particles", "--entities", "400000", "--seconds", "600", "--workers", "local", "--region", &region];
    let run = commands::command(&run).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn();
    let _run = commands::Running(run.unwrap());
    let begun = Instant::now();
    while commands::code(&commands::output(&["hash", &region])) != 0 {
        assert!(begun.elapsed() < LONG, "no first generation");
    }
    let (gateway, address) = inputs::gateway(&region, &[]);
    let metric = |name: &str| {
        let text = String::from_utf8(get(address, "/metrics").body).unwrap();
        let name = format!("hypostyle_gateway_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse::<u64>().unwrap()
    };
    let resident = || {
        let text = std::fs::read_to_string(format!("/proc/{}/status", gateway.0.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    // a whole state is more than sockets hold
    let deaf: Vec<Socket> = (0..6)
        .map(|_| {
            let mut socket = Socket::open(address, "/live", "").unwrap();
            socket.send(0x81, b"{}");
            socket
        })
        .collect();
    while metric("encoded_total") == 0 {
        assert!(begun.elapsed() < LONG, "no update");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(1));
    let (encoded, looks, before) = (metric("encoded_total"), metric("looks_total"), resident());
    let generation = metric("generation");
    assert!(encoded <= 6, "one each at most, and fewer where they are given the same");
    while metric("generation") < generation + 60 {
        assert!(begun.elapsed() < LONG, "the simulation stands still");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!((metric("encoded_total"), metric("looks_total")), (encoded, looks), "nobody is worked for");
    assert_eq!(metric("updates_total"), 0, "none has taken its first update");
    let after = resident();
    assert!(after < before + (8 << 20), "{before} bytes before, {after} after");
    drop(deaf);
}
