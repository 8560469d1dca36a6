//! The gateway from outside: what a client ends up with, and what it cannot do.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod client;
#[path = "../commands/mod.rs"]
mod commands;
mod edges;
mod inputs;
mod kills;
mod limits;
mod ranks;
mod steering;
mod timeouts;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use hypostyle::{Component, Entity, RegionTarget, Resource, World};
use hypostyle_gateway::delta::{Selection, Shadow, State};
use hypostyle_gateway::{Gateway, GatewayError, GatewayOptions, Stopper, Tokens};
use serde_json::json;

use client::{Came, Client, Socket, get, json_of, request};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f32,
}
#[derive(Component, Clone, Copy)]
#[component(storage = "toggle")]
struct Hot {
    heat: u16,
}
#[derive(Component, Clone, Copy)]
struct Marked;
#[derive(Resource, Clone, Copy)]
struct Wind {
    speed: f64,
}

fn world(rows: usize) -> World {
    world_in(RegionTarget::Heap, rows)
}

fn world_in(region: RegionTarget, rows: usize) -> World {
    let builder = World::builder().component::<Position>().component::<Hot>().component::<Marked>().resource::<Wind>();
    let mut world = builder.bytes_max(1 << 28).region(region).build().unwrap();
    let x: Vec<f32> = (0..rows).map(|i| i as f32 * 0.37).collect();
    world.spawn_columns(rows).column("position.x", &x).column("position.y", &x).spawn().unwrap();
    world.insert_resource(Wind { speed: 1.0 }).unwrap();
    world.publish().unwrap();
    world
}

/// A gateway on a thread of its own.
struct Serving {
    address: SocketAddr,
    stopper: Stopper,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Serving {
    fn of(world: &World, change: impl FnOnce(&mut GatewayOptions)) -> Serving {
        Serving::try_of(world, change).unwrap()
    }

    fn try_of(world: &World, change: impl FnOnce(&mut GatewayOptions)) -> Result<Serving, GatewayError> {
        let reader = world.reader().unwrap();
        let mut options = GatewayOptions::new("127.0.0.1:0".parse().unwrap(), "test");
        options.rate_hz_max = 1000.0;
        change(&mut options);
        let gateway = Gateway::bind(Box::new(move || Ok(reader.try_clone()?.into())), options)?;
        let (address, stopper) = (gateway.address(), gateway.stopper());
        let thread = Some(std::thread::spawn(move || gateway.run().unwrap()));
        Ok(Serving { address, stopper, thread })
    }

    fn metric(&self, name: &str) -> u64 {
        let text = String::from_utf8(get(self.address, "/metrics").body).unwrap();
        let name = format!("hypostyle_gateway_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }

    /// Waits until a metric has this value; a minute only ends a hang.
    fn wait_for(&self, name: &str, value: u64) {
        let begun = Instant::now();
        while self.metric(name) != value {
            assert!(begun.elapsed() < Duration::from_secs(60), "{name} is {}", self.metric(name));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stopper.stop();
        let joined = self.thread.take().unwrap().join();
        assert!(joined.is_ok() || std::thread::panicking());
    }
}

/// What a selection holds of a world's newest generation.
fn truth(world: &World, selection: Selection) -> State {
    let mut shadow = Shadow::new(selection);
    shadow.update(&world.reader().unwrap().pin().unwrap());
    shadow.state().clone()
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn change(world: &mut World, random: &mut Random) {
    let all: Vec<Entity> = (0..world.table_count()).flat_map(|table| world.table_entities(table).to_vec()).collect();
    for _ in 0..random.below(30) {
        let entity = all[random.below(all.len() as u64) as usize];
        if !world.contains(entity) {
            continue;
        }
        match random.below(8) {
            0 => drop(world.despawn(entity)),
            1 => drop(world.spawn((Position { x: 1.0, y: random.below(9) as f32 }, Marked)).unwrap()),
            2 => world.add(entity, Marked).unwrap(),
            3 => drop(world.remove::<Marked>(entity).unwrap()),
            4 => world.add(entity, Hot { heat: random.below(500) as u16 }).unwrap(),
            5 => drop(world.remove::<Hot>(entity).unwrap()),
            6 => world.set_resource(Wind { speed: random.below(5) as f64 }).unwrap(),
            _ => world.set(entity, Position { x: random.below(100) as f32, y: 0.5 }).unwrap(),
        }
    }
}

#[test]
fn views_are_byte_equal_after_a_thousand_generations_of_drops_and_returns() {
    let mut world = world(5_000);
    let layout = world.layout().clone();
    let serving = Serving::of(&world, |_| {});
    let some = Selection::columns(&layout, ["position.y", "hot"]).unwrap().resources(false);
    let mut clients = [
        (Client::open(serving.address, json!({})), Selection::view(), 2),
        (Client::open(serving.address, json!({"compression": "zstd", "window": 1})), Selection::view(), 7),
        (Client::open(serving.address, json!({"columns": ["position.y", "hot"], "resources": false})), some, 3),
    ];
    let mut random = Random(11);
    let (mut drops, mut resumed) = (0, 0);
    for generation in 2..=1_100u64 {
        change(&mut world, &mut random);
        world.publish().unwrap();
        assert_eq!(world.generation(), generation);
        for (client, _, every) in &mut clients {
            if !generation.is_multiple_of(*every) {
                continue;
            }
            match random.below(20) {
                // without a word, in the middle of whatever was under way
                0 => {
                    client.again(serving.address);
                    drops += 1;
                    resumed += u32::from(client.resumed);
                }
                1 => client.catch_up(generation, &layout),
                _ => {
                    if client.state.generation < generation {
                        client.receive(&layout);
                        client.acknowledge();
                    }
                }
            }
        }
    }
    assert!(drops > 20 && resumed > drops / 2, "{resumed} of {drops} went on where they were");
    for (client, selection, _) in &mut clients {
        client.catch_up(world.generation(), &layout);
        let truth = truth(&world, selection.clone());
        assert!(client.state == truth, "byte-equal");
        assert!(client.full <= 3 && client.deltas > 100, "{} full, {} deltas", client.full, client.deltas);
    }
    assert!(serving.metric("looks_total") > 100);
}

#[test]
fn boxes_and_rounding_reach_the_client() {
    let mut world = world(4_000);
    let layout = world.layout().clone();
    let serving = Serving::of(&world, |_| {});
    let wishes = json!({
        "columns": ["position"], "quantise": {"position.y": 0.5},
        "box": {"fields": ["position.x"], "min": [100], "max": [200]},
    });
    let mut client = Client::open(serving.address, wishes);
    client.catch_up(1, &layout);
    let entity = world.table_entities(0)[0];
    world.set(entity, Position { x: 150.0, y: 7.0 }).unwrap();
    world.publish().unwrap();
    client.catch_up(2, &layout);
    let table = &client.state.tables[&2];
    assert_eq!(table.columns.len(), 4, "handles, x, y, in-box bits");
    let value = |column: usize, row: usize| {
        f32::from_le_bytes(*table.columns[column].bytes[4 * row..].first_chunk::<4>().unwrap())
    };
    assert_eq!((value(1, 0), table.columns[3].bytes[0] & 3), (150.0, 1), "the first row came inside");
    assert_eq!(value(1, 1), 0.0, "the second never was");
    assert!((value(2, 0) - 7.0).abs() <= 0.501 && (value(2, 300) - 300.0 * 0.37).abs() <= 0.501);
}

#[test]
fn states_over_http_have_tags() {
    let mut world = world(1_000);
    let serving = Serving::of(&world, |options| options.timeline = None);
    let answer = get(serving.address, "/snapshot.bin");
    assert_eq!(answer.status, 200);
    let tag = answer.header("etag").unwrap().to_owned();
    let mut rest = &answer.body[..];
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let bytes = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize;
        messages.push(rest[..bytes].to_vec());
        rest = &rest[bytes..];
    }
    assert_eq!(json_of(&messages[0])["components"].as_array().unwrap().len(), 3);
    let mut state = State::new();
    state.apply(&messages[2..], None, 1 << 30).unwrap();
    assert!(state == truth(&world, Selection::view()));
    let known = format!("If-None-Match: {tag}\r\n");
    let again = request(serving.address, "GET", "/snapshot.bin", &known);
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(&*tag)));
    let head = request(serving.address, "HEAD", "/snapshot.bin", "");
    assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, Some(&*tag)));
    let other = get(serving.address, "/snapshot.bin?columns=position.x");
    assert!(other.status == 200 && other.header("etag") != Some(&tag) && other.body.len() < answer.body.len());
    assert_eq!(get(serving.address, "/snapshot.bin?columns=nothing").status, 400);
    world.set_resource(Wind { speed: 2.0 }).unwrap();
    world.publish().unwrap();
    assert_eq!(request(serving.address, "GET", "/snapshot.bin", &known).status, 200);
    let arrow = get(serving.address, "/snapshot");
    if cfg!(feature = "export") {
        let tag = format!("If-None-Match: {}\r\n", arrow.header("etag").unwrap());
        assert_eq!((arrow.status, request(serving.address, "GET", "/snapshot", &tag).status), (200, 304));
    } else {
        assert!(arrow.status == 501 && arrow.json()["error"].as_str().unwrap().contains("--features"));
    }
    assert_eq!(get(serving.address, "/timeline").status, 404);
    let layout = get(serving.address, "/layout");
    assert_eq!((layout.status, &layout.json()["protocol"]), (200, &json!(1)));
    let page = get(serving.address, "/");
    assert_eq!(page.header("cross-origin-opener-policy"), Some("same-origin"));
    assert_eq!(page.header("cross-origin-embedder-policy"), Some("require-corp"));
    assert!(page.status == 200 && page.header("content-security-policy").is_some());
    let health = get(serving.address, "/healthz");
    assert_eq!((health.status, &health.json()["writer_alive"]), (200, &json!(true)));
}

#[test]
fn strangers_are_refused() {
    let world = world(10);
    let serving = Serving::of(&world, |options| {
        options.tokens = Some(Tokens::new(vec!["a secret token".to_owned()]).unwrap());
        options.origins = vec!["https://lab.example".to_owned()];
        options.clients_max = 2;
    });
    let address = serving.address;
    let status = |path: &str, more: &str| Socket::open(address, path, more).map(|_| 101u16).unwrap_or_else(|s| s);
    let bearer = "Authorization: Bearer a secret token\r\n";
    assert_eq!(status("/live", ""), 401);
    assert_eq!(status("/live?token=a%20secret%20tokem", ""), 401);
    assert_eq!(status("/live?token=a%20secret%20token", ""), 101);
    assert_eq!(status("/live", bearer), 101);
    assert_eq!(status("/live", &format!("{bearer}Origin: https://evil.example\r\n")), 403);
    assert_eq!(status("/live", &format!("{bearer}Origin: http://{address}\r\n")), 101);
    assert_eq!(status("/live", &format!("{bearer}Origin: https://lab.example\r\n")), 101);
    assert_eq!(status("/live", &format!("{bearer}Host: evil.example\r\nOrigin: http://evil.example\r\n")), 403);
    for path in ["/layout", "/snapshot", "/snapshot.bin", "/timeline", "/metrics"] {
        assert_eq!(get(address, path).status, 401, "{path}");
    }
    assert_eq!((get(address, "/").status, get(address, "/healthz").status), (200, 200));
    assert_eq!(request(address, "GET", "/layout", bearer).status, 200);
    assert_eq!(request(address, "POST", "/layout", bearer).status, 405);
    // those of before end once the gateway notices; then two have a place, and a third has none
    let open = || {
        let begun = Instant::now();
        loop {
            match Socket::open(address, "/live", bearer) {
                Ok(socket) => return socket,
                Err(status) => assert!(status == 503 && begun.elapsed() < Duration::from_secs(60), "{status}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let held = (open(), open());
    assert_eq!(status("/live", bearer), 503);
    drop(held);
}

#[test]
fn what_no_good_client_sends_ends_its_connection_and_no_other() {
    let world = world(100);
    let layout = world.layout().clone();
    let serving = Serving::of(&world, |_| {});
    let mut good = Client::open(serving.address, json!({}));
    let open = || {
        let mut socket = Socket::open(serving.address, "/live", "").unwrap();
        socket.expect(1);
        socket
    };
    let ended = |change: &dyn Fn(&mut Socket)| {
        let mut socket = open();
        change(&mut socket);
        socket.end()
    };
    assert_eq!(ended(&|s| s.frame(0x81, b"text")), (1002, Some(3)));
    assert_eq!(ended(&|s| s.frame(0x82, b"short")), (1002, Some(3)));
    assert_eq!(ended(&|s| s.send(0x7f, &[])), (1002, Some(3)));
    assert_eq!(ended(&|s| s.send(0x82, &[0; 3])), (1002, Some(3)));
    let large = vec![b' '; 70_000];
    assert!(matches!(ended(&|s| s.send(0x81, &large)), (1009, Some(4)) | (0, None)));
    // an unknown opcode, and a frame without a mask
    assert!(matches!(ended(&|s| s.frame(0x83, &[])).0, 1002 | 0));
    let unmasked = |s: &mut Socket| s.stream.write_all(&[0x82, 1, 0]).unwrap();
    assert!(matches!(ended(&unmasked).0, 1002 | 0));
    // a subscription that cannot be is no reason to end
    let mut socket = open();
    socket.send(0x81, b"{\"columns\": [\"nothing\"]}");
    let error = socket.expect(7);
    assert_eq!(error[8], 8);
    socket.send(0x81, b"{}");
    socket.expect(2);
    socket.send(0x83, &7u64.to_le_bytes());
    assert_eq!(socket.expect(4)[8..], 7u64.to_le_bytes());
    let input = [&1u32.to_le_bytes()[..], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], b"a\0\0\0\0\0\0\0"].concat();
    socket.send(0x84, &input);
    assert_eq!(socket.expect(7)[8], 10);
    let unsent = [&1u64.to_le_bytes()[..], &99u64.to_le_bytes()].concat();
    socket.send(0x82, &unsent);
    assert_eq!(socket.end(), (1002, Some(3)));
    good.catch_up(1, &layout);
    assert!(good.state == truth(&world, Selection::view()));
}

#[test]
fn who_never_reads_is_cut_off_and_nobody_waits_for_it() {
    let mut world = world(1_500_000);
    let layout = world.layout().clone();
    let serving = Serving::of(&world, |options| options.send_timeout = Duration::from_secs(3));
    let mut deaf = Socket::open(serving.address, "/live", "").unwrap();
    deaf.send(0x81, b"{}");
    let mut good = Client::open(serving.address, json!({"columns": ["marked"]}));
    for generation in 2..50 {
        world.spawn(Marked).unwrap();
        world.publish().unwrap();
        good.catch_up(generation, &layout);
    }
    serving.wait_for("slow_total", 1);
    serving.wait_for("clients", 1);
    world.publish().unwrap();
    good.catch_up(50, &layout);
    // and who never acknowledges gets a window's worth
    let mut silent = Client::open(serving.address, json!({"columns": ["marked"], "window": 3}));
    for _ in 0..3 {
        silent.receive(&layout);
        world.spawn(Marked).unwrap();
        world.publish().unwrap();
    }
    let generation = world.generation();
    assert!(silent.state.generation < generation);
    assert!(matches!(silent.socket.receive(), Came::Message(status) if status[0] == 5), "nothing but its status");
    silent.acknowledge();
    silent.catch_up(generation, &layout);
    assert!(silent.state == truth(&world, Selection::columns(&layout, ["marked"]).unwrap()));
}

#[test]
fn clients_are_told_of_the_end() {
    let world = world(10);
    let serving = Serving::of(&world, |_| {});
    let mut client = Client::open(serving.address, json!({}));
    serving.stopper.stop();
    assert_eq!(client.socket.end(), (1001, Some(1)));
}

#[test]
fn a_replaced_region_begins_a_new_session() {
    let (_directory, path, _) = commands::place();
    let first = world_in(RegionTarget::Directory(path.clone()), 10);
    let layout = first.layout().clone();
    let serving = Serving::of(&first, |_| {});
    let mut client = Client::open(serving.address, json!({}));
    client.catch_up(1, &layout);
    drop(first);
    serving.wait_for("writer_alive", 0);
    assert_eq!(get(serving.address, "/healthz").status, 503);
    let second = world_in(RegionTarget::Directory(path), 20);
    assert_eq!(client.socket.end(), (1012, Some(2)));
    let old = client.session.clone();
    client.again(serving.address);
    assert!(client.session != old && !client.resumed);
    client.receive(&layout);
    assert!(client.state == truth(&second, Selection::view()));
    assert_eq!(get(serving.address, "/healthz").status, 200);
}

#[test]
fn a_killed_gateway_changes_nothing() {
    let (_directory, _, region) = commands::place();
    let run = ["run", "particles", "--entities", "20000", "--frames", "4000", "--workers", "threads:1", "--print-hash"];
    let alone = commands::stdout(&run);
    let shown = [&run[..], &["--region", &region, "--keep"]].concat();
    let running = commands::command(&shown).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut running = commands::Running(running.unwrap());
    let mut seen = 0;
    while running.0.try_wait().unwrap().is_none() {
        let gateway = commands::command(&["gateway", &region, "--listen", "127.0.0.1:0", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut gateway = commands::Running(gateway.unwrap());
        let mut stdout = BufReader::new(gateway.0.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains('}') && stdout.read_line(&mut text).unwrap() > 0 {}
        if let Ok(told) = serde_json::from_str::<serde_json::Value>(&text) {
            let address: SocketAddr = told["address"].as_str().unwrap().parse().unwrap();
            let mut client = Client::open(address, json!({}));
            client.socket.expect(3);
            assert!(matches!(get(address, "/timeline").status, 200 | 404));
            seen += 1;
        }
        // as `kill -9` does
        drop(gateway);
    }
    let mut text = String::new();
    running.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(running.0.wait().unwrap().success());
    assert!(seen > 0, "the run was over before a gateway was there");
    assert_eq!(commands::state_of(&text), commands::state_of(&alone));
}
