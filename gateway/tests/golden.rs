//! Updates of every protocol version that was ever spoken, as they were sent then, lead to the states that they led to;
//! those of a version to come are refused by number.
//!
//! `HYPOSTYLE_BLESS=1` keeps today's where nothing of their version is kept yet.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::fs;
use std::path::Path;

use hypostyle::{Component, Entity, Resource, World};
use hypostyle_gateway::delta::{HEAD_BYTES, Head, Selection, Shadow, State};

const BYTES_MAX: u64 = 1 << 26;
const MESSAGE_BYTES: usize = 1 << 20;

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f64,
}

#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Hot {
    heat: u16,
}

#[derive(Component, Clone, Copy)]
struct Follows {
    whom: Entity,
}

#[derive(Component, Clone, Copy)]
#[component(storage = "list")]
struct Tie {
    pull: f32,
}

#[derive(Resource, Clone, Copy)]
struct Wind {
    v: [f32; 2],
}

fn world() -> World {
    let builder = World::builder().component::<Position>().component::<Hot>().component::<Follows>();
    builder.component::<Tie>().resource::<Wind>().build().unwrap()
}

/// The looks of a session, each with what leads to it: rows that come, move, change table, go, and come back.
fn looks() -> Vec<(State, Vec<Vec<u8>>)> {
    let mut world = world();
    let mut reader = world.reader().unwrap();
    let mut shadow = Shadow::new(Selection::view());
    let mut all = Vec::new();
    let mut who: Vec<Entity> = Vec::new();
    for look in 0..6_u16 {
        for row in 0..4 - look / 2 {
            let at = f32::from(look * 8 + row);
            let one = world.spawn((Position { x: at, y: f64::from(at) / 3.0 },)).unwrap();
            who.push(one);
        }
        for (at, one) in who.clone().into_iter().enumerate() {
            match (at + usize::from(look)) % 7 {
                0 => world.set(one, Position { x: -1.0, y: f64::from(look) }).unwrap(),
                1 => world.add(one, Hot { heat: look }).unwrap(),
                2 => world.add(one, Follows { whom: who[0] }).unwrap(),
                3 if at > 4 => world.despawn(one).map(|()| who.retain(|other| *other != one)).unwrap(),
                _ => {}
            }
        }
        let wind = Wind { v: [f32::from(look), 0.5] };
        world.insert_or_set_resource(wind).unwrap();
        world.publish().unwrap();
        let before = shadow.newest();
        let snapshot = reader.pin().unwrap();
        shadow.update(&snapshot);
        let messages = shadow.delta(before, &Selection::view(), (None, None), MESSAGE_BYTES).into_messages(1);
        all.push((State::of(&snapshot), messages));
    }
    all
}

/// A file of messages, each behind its length, an empty one behind each look's last.
fn encode(looks: &[(State, Vec<Vec<u8>>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (_, messages) in looks {
        for message in messages {
            out.extend_from_slice(&u32::try_from(message.len()).unwrap().to_le_bytes());
            out.extend_from_slice(message);
        }
        out.extend_from_slice(&0_u32.to_le_bytes());
    }
    out
}

fn decode(mut bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let (mut looks, mut messages) = (Vec::new(), Vec::new());
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (message, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        match message {
            [] => looks.push(std::mem::take(&mut messages)),
            message => messages.push(message.to_vec()),
        }
        bytes = rest;
    }
    looks
}

#[test]
fn updates_of_all_versions_lead_to_their_states() {
    let now = looks();
    let version = now[0].1[0][1];
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let today = directory.join(format!("updates-{version}.bin"));
    if !today.exists() && std::env::var_os("HYPOSTYLE_BLESS").is_some() {
        fs::write(&today, encode(&now)).unwrap();
    }
    let kept =
        fs::read(&today).unwrap_or_else(|error| panic!("{}: {error}; HYPOSTYLE_BLESS=1 makes it", today.display()));
    assert!(kept == encode(&now), "what is sent changed, and the version did not");
    let mut files = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let sent = decode(&fs::read(&path).unwrap());
        assert_eq!(sent.len(), now.len(), "{}", path.display());
        let mut state = State::new();
        for (messages, (wanted, _)) in sent.iter().zip(&now) {
            state.apply(messages, Some(world().layout()), BYTES_MAX).unwrap();
            assert_eq!(state, *wanted, "{}", path.display());
        }
        files += 1;
    }
    assert!(files >= 1);
}

#[test]
fn an_update_of_a_version_to_come_is_refused_by_number() {
    let mut message = looks()[0].1[0].clone();
    assert!(message.len() > HEAD_BYTES);
    message[1] = 77;
    let said = Head::decode(&message).unwrap_err().to_string();
    assert!(said.contains("version") && said.contains("77"), "{said}");
}
