//! Who asks for too much in a second, and whose token is none any more: each is told so by name, and ends; others go on.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hypostyle_gateway::{Limits, Tokens};
use serde_json::json;

use super::client::{self, Answer, Came, Client, Socket, get, request};
use super::inputs::gateway;
use super::{Serving, commands, world};

/// Only ends a hang.
const LONG: Duration = Duration::from_secs(60);

/// Asks until the status is this one.
fn until(status: u16, mut ask: impl FnMut() -> Answer) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = ask();
        if answer.status == status {
            return answer;
        }
        assert!(begun.elapsed() < LONG, "{} and never {status}", answer.status);
    }
}

fn limited(change: impl FnOnce(&mut Limits)) -> (hypostyle::World, Serving) {
    let world = world(100);
    let serving = Serving::of(&world, |options| change(&mut options.limits));
    (world, serving)
}

/// The code of the end, that of the BYE, and its text.
fn farewell(socket: &mut Socket) -> (u16, u16, String) {
    let begun = Instant::now();
    let bye = loop {
        match socket.receive() {
            Came::Message(message) if message[0] == 6 => break message,
            Came::Message(_) => assert!(begun.elapsed() < LONG, "it is still let in"),
            ended => panic!("{ended:?} without a BYE"),
        }
    };
    let length = u32::from_le_bytes(*bye[12..].first_chunk::<4>().unwrap()) as usize;
    let text = String::from_utf8(bye[16..16 + length].to_vec()).unwrap();
    let Came::Closed(code) = socket.receive() else { panic!("no Close after {text}") };
    (code, u16::from_le_bytes([bye[8], bye[9]]), text)
}

#[test]
fn an_address_that_asks_too_often_is_told_and_let_in_again() {
    let (_world, serving) = limited(|limits| limits.requests_hz = 1);
    let healthz = || get(serving.address, "/healthz");
    let answer = until(429, healthz);
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert_eq!(error, "this address connects and asks more than 1 times a second");
    assert_eq!((answer.header("retry-after"), answer.header("connection")), (Some("1"), Some("close")));
    assert!(answer.header("content-security-policy").is_some(), "{}", answer.head);
    let begun = Instant::now();
    // one may be let in, a second later
    while Socket::open(serving.address, "/live", "").err() != Some(429) {
        assert!(begun.elapsed() < LONG, "sockets are not counted");
    }
    // whoever goes on is let in as often as it may, and not shut out
    let metrics = until(200, || get(serving.address, "/metrics"));
    let metrics = String::from_utf8(metrics.body).unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("hypostyle_gateway_limited_total "));
    assert!(line.unwrap().parse::<u64>().unwrap() >= 2, "{metrics}");
}

#[test]
fn requests_on_one_connection_count_too() {
    let (_world, serving) = limited(|limits| limits.requests_hz = 2);
    let begun = Instant::now();
    loop {
        let mut stream = client::connect(serving.address);
        let one = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", serving.address);
        stream.write_all(one.repeat(20).as_bytes()).unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        if text.starts_with("HTTP/1.1 200") && text.contains("HTTP/1.1 429") {
            // nothing comes after it
            assert_eq!(text.rsplit("HTTP/1.1 ").next().map(|last| &last[..3]), Some("429"), "{text}");
            return;
        }
        assert!(begun.elapsed() < LONG, "{text}");
        std::thread::sleep(Duration::from_secs(2));
    }
}

#[test]
fn a_client_that_sends_too_many_messages_or_bytes_is_cut_off_alone() {
    let (world, serving) = limited(|limits| (limits.messages_hz, limits.bytes_hz) = (100, 1 << 16));
    let layout = world.layout().clone();
    let mut good = Client::open(serving.address, json!({}));
    let mut many = Socket::open(serving.address, "/live", "").unwrap();
    for _ in 0..20_000 {
        many.send(0x83, &[7; 8]);
    }
    let told = "the client sends more than 100 messages a second".to_owned();
    assert_eq!(farewell(&mut many), (1008, 11, told));
    let mut much = Socket::open(serving.address, "/live", "").unwrap();
    let mut wishes = b"{}".to_vec();
    wishes.resize(60_000, b' ');
    for _ in 0..50 {
        much.send(0x81, &wishes);
    }
    let told = "the client sends more than 65536 bytes a second".to_owned();
    assert_eq!(farewell(&mut much), (1008, 11, told));
    assert_eq!((serving.metric("too_much_total"), serving.metric("protocol_errors_total")), (2, 0));
    good.catch_up(1, &layout);
    good.socket.send(0x83, &[9; 8]);
    assert_eq!(good.socket.expect(4)[8..], [9; 8]);
}

#[test]
fn limits_that_cannot_be_are_refused() {
    let world = world(1);
    let refused = |change: fn(&mut Limits)| {
        let serving = Serving::try_of(&world, |options| change(&mut options.limits));
        serving.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(refused(|limits| limits.requests_hz = 0).contains("the rate of requests is 0"));
    assert!(refused(|limits| limits.messages_hz = 0).contains("the rate of messages is 0"));
    assert!(refused(|limits| limits.bytes_hz = 1000).contains("the rate of bytes is 1000"));
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn status(address: SocketAddr, token: &str) -> u16 {
    request(address, "GET", "/layout", &bearer(token)).status
}

#[test]
fn tokens_come_and_go_and_clients_with_them() {
    let world = world(100);
    let list = |tokens: &[&str]| tokens.iter().map(|token| (*token).to_owned()).collect::<Vec<_>>();
    let tokens = Tokens::new(list(&["the first token", "the second token"])).unwrap();
    let serving = Serving::of(&world, |options| options.tokens = Some(tokens.clone()));
    let open = |token: &str| {
        let mut socket = Socket::open(serving.address, "/live", &bearer(token)).unwrap();
        socket.expect(1);
        socket
    };
    let (mut first, mut second) = (open("the first token"), open("the second token"));
    assert!(tokens.replace(list(&["the second token", "the third token"])).unwrap());
    let told = "the token that it came with is none any more".to_owned();
    assert_eq!(farewell(&mut first), (1008, 7, told));
    assert_eq!(Socket::open(serving.address, "/live", &bearer("the first token")).err(), Some(401));
    let found = ["the first token", "the second token", "the third token"].map(|token| status(serving.address, token));
    assert_eq!(found, [401, 200, 200]);
    second.send(0x83, &[5; 8]);
    assert_eq!(second.expect(4)[8..], [5; 8], "who is still known goes on");
    let metrics = request(serving.address, "GET", "/metrics", &bearer("the third token"));
    assert!(String::from_utf8(metrics.body).unwrap().contains("hypostyle_gateway_revoked_total 1\n"));
    assert!(tokens.replace(Vec::new()).is_err() && status(serving.address, "the third token") == 200);
}

#[test]
fn a_file_of_tokens_is_read_again_where_it_changes_and_on_sighup() {
    let (place, _, region) = commands::place();
    let file = place.path().join("tokens");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("# of the lab\nthe first token\n\n  the second token \n");
    let _run = commands::Running::start(&region, &[]);
    let (mut running, address) = gateway(&region, &["--token-file", file.to_str().unwrap()]);
    let found = ["# of the lab", "the first token", "the second token"].map(|token| status(address, token));
    assert_eq!(found, [401, 200, 200]);
    let mut socket = Socket::open(address, "/live", &bearer("the first token")).unwrap();
    socket.expect(1);
    write("the second token\nthe third token\n");
    assert_eq!((farewell(&mut socket).1, status(address, "the third token")), (7, 200));
    // a file that cannot be read, or has none, changes nothing
    for is_there in [true, false] {
        write("short\n");
        if !is_there {
            std::fs::remove_file(&file).unwrap();
        }
        running.signal(rustix::process::Signal::HUP);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!((status(address, "the second token"), status(address, "short")), (200, 401));
    }
    write("the fourth token\n");
    running.signal(rustix::process::Signal::HUP);
    let begun = Instant::now();
    while status(address, "the fourth token") != 200 {
        assert!(begun.elapsed() < LONG, "the file is not read again");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(status(address, "the second token"), 401);
    assert!(running.0.try_wait().unwrap().is_none(), "the end of a terminal is none of it");
}
