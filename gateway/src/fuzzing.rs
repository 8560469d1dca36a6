//! Entry points of the fuzz targets: what a client can send, and what a follower of a stream can receive.

use crate::delta::Selection;
use hypostyle::layout::Layout;

use super::message::ClientMessage;
use super::subscribe::Subscribe;

/// Bytes as a client's message and, where it is a SUBSCRIBE, as what it asks for; else the bytes as JSON of one.
pub fn gateway_message(bytes: &[u8]) {
    static LAYOUT: std::sync::OnceLock<Layout> = std::sync::OnceLock::new();
    let layout = LAYOUT.get_or_init(|| {
        let text = include_str!("../../layouts/particles.toml");
        Layout::parse(text, "particles").expect("the shipped layouts are valid")
    });
    let json = match ClientMessage::parse(bytes) {
        Ok(ClientMessage::Subscribe(json)) => json,
        Ok(ClientMessage::Input { name, payload, .. }) => {
            assert!(name.len() + payload.len() <= bytes.len());
            return;
        }
        Ok(_) => return,
        Err(_) => bytes,
    };
    if let Ok(asked) = Subscribe::parse(json, layout, &Selection::view(), 60.0) {
        assert!(asked.selection.is_within(&Selection::view()));
        assert!(asked.rate_hz > 0.0 && asked.rate_hz <= 60.0);
    }
}

/// Bytes as a delta: as one message, and after a head that is right, as its blocks. The state stays within its bound.
pub fn delta_apply(bytes: &[u8]) {
    use crate::delta::{FLAG_FULL, FLAG_LAST, HEAD_BYTES, Head, State};

    const BYTES_MAX: u64 = 1 << 20;
    let mut state = State::new();
    let _ = state.apply(&[bytes], None, BYTES_MAX);
    assert!(state.bytes() <= BYTES_MAX, "a state of {} bytes", state.bytes());
    let Some((blocks, body)) = bytes.split_first() else { return };
    let head = Head {
        flags: FLAG_FULL | FLAG_LAST,
        bytes: (HEAD_BYTES + body.len()) as u32,
        parts: 1,
        to: 1,
        blocks: u32::from(*blocks),
        body_bytes: body.len() as u32,
        ..Head::default()
    };
    let _ = state.apply(&[[&head.encode()[..], body].concat()], None, BYTES_MAX);
    assert!(state.bytes() <= BYTES_MAX, "a state of {} bytes", state.bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_message_is_survived(
            kind in 0x80u8..0x86,
            body in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                "\\{\"(columns|rate_hz|window|box|quantise|resume)\": ?(\\[\"position(\\.[xyz])?\"\\]|[0-9.e-]{1,6}|\\{\\}|null)\\}"
                    .prop_map(String::into_bytes),
            ],
            wrong_length in prop::bool::weighted(0.1),
        ) {
            let length = 8 + body.len() as u32 + u32::from(wrong_length);
            let message = [&[kind, 1, 0, 0][..], &length.to_le_bytes(), &body].concat();
            super::gateway_message(&message);
            super::gateway_message(&body);
        }
    }
}
