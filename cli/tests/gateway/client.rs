//! A client of the live protocol on a plain socket, so that it can also do what a good one never does.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use hypostyle::Layout;
use hypostyle_gateway::delta::{FLAG_ZSTD, HEAD_BYTES, Head, State};
use serde_json::Value;

/// An answer over HTTP.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    // far above anything that a test waits for: it only ends a hang
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A request, `more` being lines of its head that end with CR LF.
pub fn request(address: SocketAddr, method: &str, path: &str, more: &str) -> Answer {
    send(address, method, path, more, "")
}

/// A request with a body.
pub fn post(address: SocketAddr, path: &str, more: &str, body: &str) -> Answer {
    send(address, "POST", path, &format!("{more}Content-Length: {}\r\n", body.len()), body)
}

fn send(address: SocketAddr, method: &str, path: &str, more: &str, body: &str) -> Answer {
    let mut stream = connect(address);
    let host = if more.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    write!(stream, "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{more}\r\n{body}").unwrap();
    let head = head(&mut stream);
    let status = head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
    let mut body = Vec::new();
    let _ = stream.read_to_end(&mut body);
    Answer { status, head, body }
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, "")
}

/// A WebSocket's end.
pub struct Socket {
    pub stream: TcpStream,
}

/// What came: a message, or the code of the end.
#[derive(Debug, PartialEq, Eq)]
pub enum Came {
    Message(Vec<u8>),
    Closed(u16),
    /// The connection broke without a word.
    Broken,
}

impl Socket {
    /// Connects; the status where it was refused.
    pub fn open(address: SocketAddr, path: &str, more: &str) -> Result<Socket, u16> {
        let mut stream = connect(address);
        let host = if more.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
        write!(
            stream,
            "GET {path} HTTP/1.1\r\n{host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: hypostyle.v1\r\n{more}\r\n"
        )
        .unwrap();
        let head = head(&mut stream);
        let status = head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
        if status != 101 {
            return Err(status);
        }
        assert!(head.to_ascii_lowercase().contains("sec-websocket-protocol: hypostyle.v1"), "{head}");
        Ok(Socket { stream })
    }

    /// A frame, masked with zeros.
    pub fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut out = vec![first];
        match payload.len() {
            0..=125 => out.push(0x80 | payload.len() as u8),
            126..=0xffff => {
                out.push(0x80 | 126);
                out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
            }
            more => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(more as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(payload);
        // the other side may have gone
        let _ = self.stream.write_all(&out);
    }

    /// A message of the protocol.
    pub fn send(&mut self, kind: u8, body: &[u8]) {
        let mut out = vec![kind, 1, 0, 0];
        out.extend_from_slice(&(8 + body.len() as u32).to_le_bytes());
        out.extend_from_slice(body);
        self.frame(0x82, &out);
    }

    fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut out = vec![0; count];
        match self.stream.read_exact(&mut out) {
            Ok(()) => Some(out),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => panic!("it hangs"),
            Err(_) => None,
        }
    }

    /// The next message; pings are answered.
    pub fn receive(&mut self) -> Came {
        loop {
            let Some(head) = self.bytes(2) else { return Came::Broken };
            assert_eq!(head[0] & 0x80, 0x80, "whole messages");
            let length = match head[1] {
                126 => self.bytes(2).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]]))),
                127 => self.bytes(8).map(|b| u64::from_be_bytes(*b.first_chunk::<8>().unwrap()) as usize),
                short => Some(usize::from(short)),
            };
            let Some(payload) = length.and_then(|length| self.bytes(length)) else { return Came::Broken };
            match head[0] & 15 {
                2 => return Came::Message(payload),
                8 => return Came::Closed(u16::from_be_bytes([payload[0], payload[1]])),
                9 => self.frame(0x8a, &payload),
                _ => {}
            }
        }
    }

    /// The next message of this kind, others being passed over.
    pub fn expect(&mut self, kind: u8) -> Vec<u8> {
        loop {
            match self.receive() {
                Came::Message(message) if message[0] == kind => return message,
                Came::Message(_) => {}
                ended => panic!("{ended:?} instead of a message of kind {kind:#x}"),
            }
        }
    }

    /// The end, messages being passed over; and the code of the BYE.
    pub fn end(&mut self) -> (u16, Option<u16>) {
        let mut bye = None;
        loop {
            match self.receive() {
                Came::Message(message) if message[0] == 6 => bye = Some(u16::from_le_bytes([message[8], message[9]])),
                Came::Message(_) => {}
                Came::Closed(code) => return (code, bye),
                Came::Broken => return (0, bye),
            }
        }
    }
}

pub fn json_of(message: &[u8]) -> Value {
    serde_json::from_slice(&message[8..]).unwrap()
}

/// The JSON of a HELLO, and what a client asks for as long as it lives.
pub struct Client {
    pub socket: Socket,
    pub session: String,
    pub view: String,
    pub subscription: u32,
    pub state: State,
    pub wishes: Value,
    pub full: usize,
    pub deltas: usize,
    pub resumed: bool,
    /// Its newest input that the state contains, as the server says.
    pub input: u32,
}

impl Client {
    pub fn open(address: SocketAddr, wishes: Value) -> Client {
        let state = State::new();
        let (session, view) = (String::new(), String::new());
        let socket = Socket::open(address, "/live", "").unwrap();
        let mut client = Client {
            socket,
            session,
            view,
            subscription: 0,
            state,
            wishes,
            full: 0,
            deltas: 0,
            resumed: false,
            input: 0,
        };
        client.subscribe();
        client
    }

    fn subscribe(&mut self) {
        let hello = json_of(&self.socket.expect(1));
        self.session = hello["session"].as_str().unwrap().to_owned();
        let mut wishes = self.wishes.clone();
        if self.state.generation > 0 {
            wishes["resume"] = serde_json::json!({
                "session": self.session, "view": self.view, "generation": self.state.generation,
            });
        }
        self.socket.send(0x81, wishes.to_string().as_bytes());
        let subscribed = json_of(&self.socket.expect(2));
        self.resumed = subscribed["resumed"] == true;
        self.subscription = subscribed["subscription"].as_u64().unwrap() as u32;
        self.view = subscribed["view"].as_str().unwrap().to_owned();
    }

    /// Drops the connection without a word and connects again.
    pub fn again(&mut self, address: SocketAddr) {
        self.socket = Socket::open(address, "/live", "").unwrap();
        self.subscribe();
    }

    /// Receives one update and applies it, without an acknowledgement.
    pub fn receive(&mut self, layout: &Layout) {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        loop {
            let message = self.socket.expect(3);
            let message = plain(message);
            let (head, _) = Head::decode(&message).unwrap();
            assert_eq!(head.subscription, self.subscription);
            self.input = head.input;
            let last = head.flags & 2 != 0;
            parts.push(message);
            if last {
                match head.flags & 1 {
                    0 => self.deltas += 1,
                    _ => self.full += 1,
                }
                break;
            }
        }
        self.state.apply(&parts, Some(layout), 1 << 30).unwrap();
    }

    /// Sends an input.
    pub fn input(&mut self, sequence: u32, name: &str, payload: &[u8]) {
        let mut body = sequence.to_le_bytes().to_vec();
        body.extend_from_slice(&(name.len() as u32).to_le_bytes());
        body.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        body.extend_from_slice(name.as_bytes());
        body.resize(16 + name.len().next_multiple_of(8), 0);
        body.extend_from_slice(payload);
        self.socket.send(0x84, &body);
    }

    pub fn acknowledge(&mut self) {
        let mut body = u64::from(self.subscription).to_le_bytes().to_vec();
        body.extend_from_slice(&self.state.generation.to_le_bytes());
        self.socket.send(0x82, &body);
    }

    /// Receives and acknowledges updates until it has this generation.
    pub fn catch_up(&mut self, generation: u64, layout: &Layout) {
        while self.state.generation < generation {
            self.receive(layout);
            self.acknowledge();
        }
    }
}

/// An update with its body as it was before compression.
pub fn plain(mut message: Vec<u8>) -> Vec<u8> {
    let flags = u16::from_le_bytes([message[2], message[3]]);
    if flags & FLAG_ZSTD == 0 {
        return message;
    }
    let bytes = u32::from_le_bytes([message[56], message[57], message[58], message[59]]) as usize;
    let frame = &message[HEAD_BYTES..];
    let length = zstd::zstd_safe::find_frame_compressed_size(frame).unwrap();
    let body = zstd::bulk::decompress(&frame[..length], bytes).unwrap();
    message.truncate(HEAD_BYTES);
    message[2..4].copy_from_slice(&(flags & !FLAG_ZSTD).to_le_bytes());
    message[4..8].copy_from_slice(&((HEAD_BYTES + bytes) as u32).to_le_bytes());
    message.extend_from_slice(&body);
    message
}
