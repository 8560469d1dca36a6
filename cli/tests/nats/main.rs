//! The gateway's frames on a real nats-server, and followers that join late, miss things, and outlive the broker.
//!
//! Without a nats-server on this machine each test says so on stderr and shows nothing. `HYPOSTYLE_NATS_SERVER` names
//! one; with `HYPOSTYLE_NATS_REQUIRED` set, a missing one is a failure.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may")]

#[path = "../commands/mod.rs"]
mod commands;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hypostyle::{Component, Entity, RegionTarget, Resource, World};
use hypostyle_gateway::delta::{Selection, Shadow, State};
use hypostyle_gateway::nats::{Follower, Place};
use hypostyle_gateway::{Gateway, GatewayOptions, Stopper};

/// Only ends a hang.
const LONG: Duration = Duration::from_secs(120);

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f32,
}
#[derive(Component, Clone, Copy)]
struct Marked;
#[derive(Resource, Clone, Copy)]
struct Wind {
    speed: f64,
}

fn world_in(region: RegionTarget, rows: usize) -> World {
    let builder = World::builder().component::<Position>().component::<Marked>().resource::<Wind>();
    let mut world = builder.bytes_max(1 << 29).region(region).build().unwrap();
    let x: Vec<f32> = (0..rows).map(|i| i as f32 * 0.37).collect();
    world.spawn_columns(rows).column("position.x", &x).column("position.y", &x).spawn().unwrap();
    world.insert_resource(Wind { speed: 1.0 }).unwrap();
    world.publish().unwrap();
    world
}

/// A broker in a directory of its own.
struct Broker {
    directory: tempfile::TempDir,
    program: PathBuf,
    port: u16,
    child: Option<Child>,
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("HYPOSTYLE_NATS_SERVER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = ["/usr/sbin/nats-server", "/usr/bin/nats-server"].map(PathBuf::from);
    let found =
        named.into_iter().chain(std::env::split_paths(&path).map(|folder| folder.join("nats-server"))).chain(known);
    found.into_iter().find(|path| path.is_file())
}

impl Broker {
    fn prepare(payload_max: usize) -> Option<Broker> {
        let Some(program) = program() else {
            assert!(std::env::var_os("HYPOSTYLE_NATS_REQUIRED").is_none(), "there is no nats-server");
            eprintln!("SKIPPED: there is no nats-server on this machine");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "listen: \"127.0.0.1:{port}\"\nmax_payload: {payload_max}\njetstream {{ store_dir: \"{}\", max_mem: 256MB, max_file: 1GB }}\n",
            directory.path().join("store").display()
        );
        std::fs::write(directory.path().join("config"), config).unwrap();
        Some(Broker { directory, program, port, child: None })
    }

    fn start(&mut self) {
        let log = std::fs::File::create(self.directory.path().join("log")).unwrap();
        let config = self.directory.path().join("config");
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let begun = Instant::now();
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        while TcpStream::connect(address).is_err() {
            let log = || std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < LONG, "the broker does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// As `kill -9` does.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn place(&self, prefix: &str) -> Place {
        format!("nats://127.0.0.1:{}/{prefix}", self.port).parse().unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn broker(payload_max: usize) -> Option<Broker> {
    let mut broker = Broker::prepare(payload_max)?;
    broker.start();
    Some(broker)
}

/// A gateway on a thread of its own.
struct Serving {
    stopper: Stopper,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Serving {
    fn of(world: &World, place: Place) -> Serving {
        let reader = world.reader().unwrap();
        let mut options = GatewayOptions::new("127.0.0.1:0".parse().unwrap(), "test");
        options.rate_hz_max = 200.0;
        options.publish = Some(place);
        let gateway = Gateway::bind(Box::new(move || Ok(reader.try_clone()?.into())), options).unwrap();
        let stopper = gateway.stopper();
        let thread = Some(std::thread::spawn(move || gateway.run().unwrap()));
        Serving { stopper, thread }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stopper.stop();
        let joined = self.thread.take().unwrap().join();
        assert!(joined.is_ok() || std::thread::panicking());
    }
}

fn truth(world: &World) -> State {
    let mut shadow = Shadow::new(Selection::view());
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
    for _ in 0..20 {
        let entity = all[random.below(all.len() as u64) as usize];
        if !world.contains(entity) {
            continue;
        }
        match random.below(6) {
            0 => drop(world.despawn(entity)),
            1 => drop(world.spawn((Position { x: 1.0, y: random.below(9) as f32 }, Marked)).unwrap()),
            2 => world.add(entity, Marked).unwrap(),
            3 => drop(world.remove::<Marked>(entity).unwrap()),
            4 => world.set_resource(Wind { speed: random.below(5) as f64 }).unwrap(),
            _ => world.set(entity, Position { x: random.below(100) as f32, y: 0.5 }).unwrap(),
        }
    }
    world.publish().unwrap();
}

/// Follows to the world's newest generation, and compares.
fn caught_up(follower: &mut Follower, world: &World) {
    assert!(follower.wait(world.generation(), LONG).unwrap(), "it hangs at {}", follower.state().generation);
    assert!(*follower.state() == truth(world), "byte-equal at generation {}", world.generation());
}

#[test]
fn a_follower_joins_late_and_survives_the_brokers_restart() {
    let Some(mut broker) = broker(1 << 20) else { return };
    let place = broker.place("lab.one");
    let mut world = world_in(RegionTarget::Heap, 5_000);
    let mut random = Random(3);
    let _serving = Serving::of(&world, place.clone());
    let mut early = Follower::connect(place.clone(), LONG).unwrap();
    for _ in 0..100 {
        change(&mut world, &mut random);
        early.follow(Duration::from_millis(3)).unwrap();
    }
    caught_up(&mut early, &world);
    assert_eq!(early.hello()["components"].as_array().unwrap().len(), 2);
    let (loads, updates) = early.counts();
    assert!(loads <= 3 && updates > 20, "{loads} states, {updates} updates");
    // one that joins while nothing changes, and one while everything does
    let mut late = Follower::connect(place.clone(), LONG).unwrap();
    caught_up(&mut late, &world);
    for _ in 0..20 {
        change(&mut world, &mut random);
    }
    let mut later = Follower::connect(place, LONG).unwrap();
    for _ in 0..50 {
        change(&mut world, &mut random);
        later.follow(Duration::from_millis(3)).unwrap();
        late.follow(Duration::from_millis(1)).unwrap();
    }
    for follower in [&mut early, &mut late, &mut later] {
        caught_up(follower, &world);
    }
    // killed, and started again: once with what it had stored, once without
    for wiped in [false, true] {
        broker.kill();
        for _ in 0..20 {
            change(&mut world, &mut random);
        }
        if wiped {
            std::fs::remove_dir_all(broker.store()).unwrap();
        }
        early.follow(Duration::from_millis(100)).unwrap();
        broker.start();
        for _ in 0..20 {
            change(&mut world, &mut random);
            early.follow(Duration::from_millis(3)).unwrap();
        }
        for follower in [&mut early, &mut late, &mut later] {
            caught_up(follower, &world);
        }
        // and updates flow again
        let (_, before) = early.counts();
        for _ in 0..5 {
            change(&mut world, &mut random);
            caught_up(&mut early, &world);
        }
        assert!(early.counts().1 > before);
    }
}

#[test]
fn messages_beyond_the_brokers_payload_come_in_pieces() {
    let Some(broker) = broker(256 << 10) else { return };
    let place = broker.place("pieces");
    // a state of 8 MB, and deltas of some of it
    let mut world = world_in(RegionTarget::Heap, 500_000);
    let _serving = Serving::of(&world, place.clone());
    let mut follower = Follower::connect(place, LONG).unwrap();
    caught_up(&mut follower, &world);
    let entities = world.table_entities(0).to_vec();
    for round in 0..3 {
        for (index, entity) in entities.iter().enumerate().take(400_000) {
            world.set(*entity, Position { x: index as f32, y: round as f32 }).unwrap();
        }
        world.publish().unwrap();
        let (loads, _) = follower.counts();
        caught_up(&mut follower, &world);
        assert_eq!(follower.counts().0, loads, "as an update");
    }
}

#[test]
fn a_gateway_waits_for_its_broker_and_a_new_region_is_a_new_session() {
    let Some(mut broker) = Broker::prepare(1 << 20) else { return };
    let place = broker.place("waits");
    assert!(Follower::connect(place.clone(), Duration::from_millis(100)).is_err());
    let (_directory, path, region) = commands::place();
    let mut world = world_in(RegionTarget::Directory(path.clone()), 300);
    let at = format!("nats://127.0.0.1:{}/waits", broker.port);
    let serve = || {
        let args = ["gateway", &region, "--listen", "127.0.0.1:0", "--publish", &at, "--rate", "200"];
        commands::Running(commands::command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    let serving = serve();
    std::thread::sleep(Duration::from_millis(300));
    broker.start();
    let mut follower = Follower::connect(place.clone(), LONG).unwrap();
    let mut random = Random(5);
    for _ in 0..10 {
        change(&mut world, &mut random);
    }
    caught_up(&mut follower, &world);
    // another world in its place, whose generations begin anew
    drop(world);
    let mut world = world_in(RegionTarget::Directory(path), 700);
    let begun = Instant::now();
    while *follower.state() != truth(&world) {
        follower.follow(Duration::from_millis(50)).unwrap();
        assert!(begun.elapsed() < LONG, "it never followed");
    }
    // and a gateway that was killed
    drop(serving);
    for _ in 0..3 {
        change(&mut world, &mut random);
    }
    let _again = serve();
    change(&mut world, &mut random);
    caught_up(&mut follower, &world);
    assert!(Follower::connect(broker.place("nobody"), Duration::from_millis(300)).is_err());
    assert_eq!(commands::failure(&["gateway", &region, "--publish", "http://broker"]).0, 2);
    assert!(Path::new(&region).exists());
}
