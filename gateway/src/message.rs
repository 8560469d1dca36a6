//! Messages of a client, checked, and the small ones of the server.

use serde_json::Value;

/// Messages of a client may be so long, bytes.
pub(super) const CLIENT_BYTES_MAX: usize = 64 * 1024;

pub(super) const HELLO: u8 = 0x01;
pub(super) const SUBSCRIBED: u8 = 0x02;
const PONG: u8 = 0x04;
const STATUS: u8 = 0x05;
const BYE: u8 = 0x06;
const ERROR: u8 = 0x07;
const SUBSCRIBE: u8 = 0x81;
const ACK: u8 = 0x82;
const PING: u8 = 0x83;
const INPUT: u8 = 0x84;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 8;

/// Why a connection ends, or what went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Stops = 1,
    Gone = 2,
    Protocol = 3,
    TooLarge = 4,
    TooSlow = 5,
    Token = 7,
    Subscription = 8,
    Fault = 9,
    Input = 10,
    TooMuch = 11,
}

impl Code {
    /// The WebSocket's code for it.
    pub(super) fn close(self) -> u16 {
        match self {
            Code::Stops => 1001,
            Code::Gone => 1012,
            Code::Protocol | Code::Subscription | Code::Input => 1002,
            Code::TooLarge => 1009,
            Code::TooSlow | Code::Token | Code::TooMuch => 1008,
            Code::Fault => 1011,
        }
    }
}

/// A message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientMessage<'a> {
    /// JSON.
    Subscribe(&'a [u8]),
    Ack {
        subscription: u32,
        generation: u64,
    },
    Ping(u64),
    Input {
        sequence: u32,
        name: &'a str,
        payload: &'a [u8],
    },
}

/// Takes so many bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (head, rest) = bytes.split_at_checked(count).ok_or("the message is shorter than its kind asks for")?;
    *bytes = rest;
    Ok(head)
}

fn u32_of(bytes: &mut &[u8]) -> Result<u32, String> {
    take(bytes, 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn u64_of(bytes: &mut &[u8]) -> Result<u64, String> {
    Ok(u64::from(u32_of(bytes)?) | u64::from(u32_of(bytes)?) << 32)
}

impl<'a> ClientMessage<'a> {
    /// Reads what a client sent. The bytes may be anything.
    pub(super) fn parse(message: &'a [u8]) -> Result<ClientMessage<'a>, String> {
        let mut rest = message;
        let head = take(&mut rest, HEADER_BYTES)?;
        let (kind, version) = (head[0], head[1]);
        let flags = u16::from_le_bytes([head[2], head[3]]);
        let bytes = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if version != VERSION {
            return Err(format!("the message is of protocol version {version}, this server speaks {VERSION}"));
        }
        if flags != 0 {
            return Err(format!("the flags are {flags:#x}, but messages of clients have none"));
        }
        if bytes as usize != message.len() {
            return Err(format!("the message says that it is {bytes} bytes long, but it has {}", message.len()));
        }
        let parsed = match kind {
            SUBSCRIBE => return Ok(ClientMessage::Subscribe(rest)),
            ACK => {
                let subscription = u32_of(&mut rest)?;
                if u32_of(&mut rest)? != 0 {
                    return Err("a word that must be 0 is not".to_owned());
                }
                ClientMessage::Ack { subscription, generation: u64_of(&mut rest)? }
            }
            PING => ClientMessage::Ping(u64_of(&mut rest)?),
            INPUT => {
                let sequence = u32_of(&mut rest)?;
                let name_bytes = u32_of(&mut rest)? as usize;
                let payload_bytes = u32_of(&mut rest)? as usize;
                if name_bytes > usize::from(u16::MAX) || u32_of(&mut rest)? != 0 {
                    return Err("a word that must be 0 is not".to_owned());
                }
                let padded = take(&mut rest, name_bytes.next_multiple_of(8))?;
                let name = std::str::from_utf8(&padded[..name_bytes]).map_err(|_| "the input's name is no text")?;
                ClientMessage::Input { sequence, name, payload: take(&mut rest, payload_bytes)? }
            }
            other => return Err(format!("messages of kind {other:#04x} are not known")),
        };
        if rest.is_empty() { Ok(parsed) } else { Err("the message is longer than its kind asks for".to_owned()) }
    }
}

fn message(kind: u8, flags: u16, body: &[&[u8]], pad: u8) -> Vec<u8> {
    let mut out = vec![kind, VERSION];
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body.iter().for_each(|bytes| out.extend_from_slice(bytes));
    out.resize(out.len().next_multiple_of(8), pad);
    let bytes = out.len() as u32;
    out[4..8].copy_from_slice(&bytes.to_le_bytes());
    out
}

/// HELLO or SUBSCRIBED.
pub(super) fn json(kind: u8, value: &Value) -> Vec<u8> {
    message(kind, 0, &[value.to_string().as_bytes()], b' ')
}

/// The answer to a PING.
pub(super) fn pong(token: u64) -> Vec<u8> {
    message(PONG, 0, &[&token.to_le_bytes()], 0)
}

/// An UPDATE that says which input of its client it contains.
pub(super) fn with_input(update: &[u8], sequence: u32) -> Vec<u8> {
    let mut message = update.to_vec();
    if let Some(word) = message.get_mut(52..56) {
        word.copy_from_slice(&sequence.to_le_bytes());
    }
    message
}

/// How things are.
pub(super) fn status(alive: bool, newest: u64, frame: u64, uptime_ms: u64, clients: u32) -> Vec<u8> {
    let body = [newest, frame, uptime_ms, u64::from(clients)].map(u64::to_le_bytes);
    message(STATUS, u16::from(alive), &[body.as_flattened()], 0)
}

fn text(kind: u8, code: Code, text: &str) -> Vec<u8> {
    // what a client sent may come back in it
    let end = text.floor_char_boundary(1000);
    let text = &text.as_bytes()[..end];
    message(kind, 0, &[&(code as u32).to_le_bytes(), &(text.len() as u32).to_le_bytes(), text], b' ')
}

/// The last message.
pub(super) fn bye(code: Code, why: &str) -> Vec<u8> {
    text(BYE, code, why)
}

/// Something was refused; the connection goes on.
pub(super) fn error(code: Code, why: &str) -> Vec<u8> {
    text(ERROR, code, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind, 1, 0, 0];
        out.extend_from_slice(&(8 + body.len() as u32).to_le_bytes());
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn messages_are_as_documented() {
        let ack = client(0x82, &[&3u32.to_le_bytes()[..], &[0; 4], &77u64.to_le_bytes()].concat());
        assert_eq!(ClientMessage::parse(&ack), Ok(ClientMessage::Ack { subscription: 3, generation: 77 }));
        assert_eq!(ClientMessage::parse(&client(0x83, &5u64.to_le_bytes())), Ok(ClientMessage::Ping(5)));
        assert_eq!(ClientMessage::parse(&client(0x81, b"{}")), Ok(ClientMessage::Subscribe(b"{}")));
        let input =
            [&9u32.to_le_bytes()[..], &[5, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0], b"steer\0\0\0", &[1, 2, 3]].concat();
        let parsed = ClientMessage::Input { sequence: 9, name: "steer", payload: &[1, 2, 3] };
        assert_eq!(ClientMessage::parse(&client(0x84, &input)), Ok(parsed));
        assert_eq!(status(true, 1, 2, 3, 4).len(), 40);
        let mut update =
            crate::delta::Head { subscription: 7, blocks: 9, body_bytes: 3, bytes: 64, ..Default::default() };
        let said = with_input(&update.encode(), 0x0102_0304);
        update.input = 0x0102_0304;
        assert_eq!(said, update.encode());
        let bye = bye(Code::Gone, "gone");
        assert_eq!(bye, [&[6, 1, 0, 0, 24, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0][..], b"gone    "].concat());
    }

    #[test]
    fn what_is_none_is_refused() {
        for bytes in [&[][..], &[0x82; 7], &client(0x82, &[0; 15]), &client(0x82, &[0; 17]), &client(0x01, &[])] {
            assert!(ClientMessage::parse(bytes).is_err(), "{bytes:?}");
        }
        let mut other = client(0x83, &[0; 8]);
        other[1] = 2;
        assert!(ClientMessage::parse(&other).is_err_and(|why| why.contains("version 2")));
        other[1] = 1;
        other[4] = 17;
        assert!(ClientMessage::parse(&other).is_err());
    }
}
