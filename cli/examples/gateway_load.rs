//! What a gateway costs: the simulation beside it, a core, and who asks for a whole state.
//!
//! `cargo run --release --example gateway_load` prints tables (`-- frames`, `-- clients`, `-- snapshot`: one of them; `-- frames 1M`: those
//! cases alone); nothing here is a test. Gateway and clients are threads of this process. Processor time is that of the gateway's two
//! threads alone, as the system counts it; on a loopback device that includes what a network would do on the other side.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example may")]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/gateway/client.rs"]
mod client;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hypostyle::{Component, Read, Schedule, Simulation, System, Workers, World, Write};
use hypostyle_gateway::{Gateway, GatewayOptions, Stopper};
use serde_json::{Value, json};

#[derive(Component, Clone, Copy)]
struct Position {
    x: f32,
    y: f32,
    z: f32,
}
#[derive(Component, Clone, Copy)]
struct Velocity {
    x: f32,
    y: f32,
    z: f32,
}
/// Is in motion.
#[derive(Component, Clone, Copy)]
struct Moving;

/// So many entities, of which the first `moving` are in motion.
fn simulation(rows: usize, moving: usize) -> Simulation {
    let builder = World::builder().component::<Position>().component::<Velocity>().component::<Moving>();
    let mut world = builder.bytes_max(4 << 30).build().unwrap();
    let spread = |factor: f32| (0..rows).map(|i| (i as f32 * factor) % 1000.0).collect::<Vec<f32>>();
    let (a, b, c) = (spread(0.37), spread(0.73), spread(0.11));
    for (rows, moves) in [(0..moving, true), (moving..rows, false)] {
        if rows.is_empty() {
            continue;
        }
        let spawn = world.spawn_columns(rows.len()).column("position.x", &a[rows.clone()]);
        let spawn = spawn.column("position.y", &b[rows.clone()]).column("position.z", &c[rows.clone()]);
        let spawn = spawn.column("velocity.x", &c[rows.clone()]).column("velocity.y", &a[rows.clone()]);
        let spawn = spawn.column("velocity.z", &b[rows.clone()]);
        let spawn = if moves { spawn.with::<Moving>() } else { spawn };
        spawn.spawn().unwrap();
    }
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<(Write<Position>, Read<Velocity>, hypostyle::With<Moving>)>(
        "move",
        |job, (mut p, v, ())| {
            let dt = job.dt() as f32;
            p.x.map_with(v.x, |x, v| x + v * dt);
            p.y.map_with(v.y, |y, v| y + v * dt);
            p.z.map_with(v.z, |z, v| z + v * dt);
        },
    ));
    // one core is the simulation's, one for the gateway and its clients
    Simulation::builder().workers(Workers::Local).build(world, schedule).unwrap()
}

struct Serving {
    address: SocketAddr,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    fn of(world: &World) -> Serving {
        let reader = world.reader().unwrap();
        let mut options = GatewayOptions::new("127.0.0.1:0".parse().unwrap(), "load");
        options.clients_max = 1000;
        let gateway = Gateway::bind(Box::new(move || Ok(reader.try_clone()?.into())), options).unwrap();
        let (address, stopper) = (gateway.address(), gateway.stopper());
        let thread = std::thread::Builder::new().name("gateway".to_owned()).spawn(move || gateway.run().unwrap());
        Serving { address, stopper, thread: Some(thread.unwrap()) }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stopper.stop();
        let _ = self.thread.take().unwrap().join();
    }
}

/// Processor time of the gateway's threads.
fn used() -> Duration {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if matches!(read("comm").trim(), "gateway" | "engine") {
            nanoseconds += read("schedstat").split(' ').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Duration::from_nanos(nanoseconds)
}

/// Clients that acknowledge while they are let, and keep nothing.
struct Clients {
    let_go: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    updates: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    fn new(address: SocketAddr, count: usize, wishes: &Value) -> Clients {
        let shared = || (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let ((let_go, updates), (stop, bytes)) = (shared(), shared());
        stop.store(false, Ordering::Relaxed);
        let one = |_| {
            let (let_go, stop) = (Arc::clone(&let_go), Arc::clone(&stop));
            let (updates, bytes) = (Arc::clone(&updates), Arc::clone(&bytes));
            let wishes = wishes.to_string();
            std::thread::spawn(move || {
                let mut socket = client::Socket::open(address, "/live", "").unwrap();
                socket.send(0x81, wishes.as_bytes());
                loop {
                    let client::Came::Message(message) = socket.receive() else { return };
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if message[0] != 3 {
                        continue;
                    }
                    bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
                    if message[2] & 2 != 0 {
                        updates.fetch_add(1, Ordering::Relaxed);
                        while !let_go.load(Ordering::Relaxed) {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                        socket.send(0x82, &[&message[8..12], &[0; 4], &message[24..32]].concat());
                    }
                }
            })
        };
        let threads = (0..count).map(one).collect();
        Clients { let_go, stop, updates, bytes, threads }
    }
}

/// Runs frames at 60 a second for some time; the median of their times, and how many.
fn frames(simulation: &mut Simulation, time: Duration) -> (f64, usize) {
    let begun = Instant::now();
    let mut times = Vec::new();
    while begun.elapsed() < time {
        let frame = Instant::now();
        simulation.step(1.0 / 60.0).unwrap();
        times.push(frame.elapsed().as_secs_f64() * 1e6);
        // a core that sleeps between frames is slow when it wakes: whether it does must not depend on who else works
        while frame.elapsed() < Duration::from_micros(16_667) {
            std::hint::spin_loop();
        }
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times.len())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Frame times without and with 32 clients at 20 Hz, in turns.
fn beside() {
    println!("frame time, medians of 7 turns of 0.8 s each, 60 frames a second, 32 clients at 20 Hz");
    println!("{:>34} {:>11} {:>11} {:>8} {:>10} {:>8}", "", "without us", "with us", "more", "updates/s", "MB/s");
    let moving = json!({"columns": ["position"], "rate_hz": 20, "window": 1});
    let inside = json!({"fields": ["position.x"], "min": [0], "max": [10]});
    let boxed = json!({"columns": ["position"], "rate_hz": 20, "window": 1, "box": inside});
    for (what, rows, moves, wishes) in [
        ("100k rows, 10k of them move", 100_000, 10_000, &moving),
        ("100k rows, all move", 100_000, 100_000, &moving),
        ("1M rows, 10k of them move", 1_000_000, 10_000, &moving),
        ("1M all move, box of 1 %", 1_000_000, 1_000_000, &boxed),
    ] {
        let part = std::env::args().nth(2);
        if part.is_some_and(|part| !what.contains(&part)) {
            continue;
        }
        let mut simulation = simulation(rows, moves);
        simulation.step(0.01).unwrap();
        let serving = Serving::of(simulation.world());
        let clients = Clients::new(serving.address, 32, wishes);
        frames(&mut simulation, Duration::from_millis(1500));
        let (mut without, mut with) = (Vec::new(), Vec::new());
        let (mut updates, mut bytes, mut seconds) = (0, 0, 0.0);
        for _ in 0..7 {
            clients.let_go.store(false, Ordering::Relaxed);
            frames(&mut simulation, Duration::from_millis(150));
            without.push(frames(&mut simulation, Duration::from_millis(800)).0);
            clients.let_go.store(true, Ordering::Relaxed);
            frames(&mut simulation, Duration::from_millis(150));
            let count = || (clients.updates.load(Ordering::Relaxed), clients.bytes.load(Ordering::Relaxed));
            let (before, begun) = (count(), Instant::now());
            with.push(frames(&mut simulation, Duration::from_millis(800)).0);
            let after = count();
            (updates, bytes) = (updates + after.0 - before.0, bytes + after.1 - before.1);
            seconds += begun.elapsed().as_secs_f64();
        }
        let (without, with) = (median(without), median(with));
        println!(
            "{what:>34} {without:>11.0} {with:>11.0} {:>7.1}% {:>10.0} {:>8.1}",
            (with / without - 1.0) * 100.0,
            updates as f64 / seconds,
            bytes as f64 / 1e6 / seconds
        );
        end(clients, &mut simulation, serving);
    }
}

fn end(clients: Clients, simulation: &mut Simulation, serving: Serving) {
    clients.stop.store(true, Ordering::Relaxed);
    simulation.step(0.01).unwrap();
    drop(serving);
    clients.threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Processor time for each update of 10,000 changed rows of three f32.
fn core() {
    println!("10,000 of 100,000 rows change in each of 60 frames a second; clients take 20 updates a second");
    println!(
        "{:>8} {:>10} {:>8} {:>14} {:>12} {:>16}",
        "clients", "updates/s", "MB/s", "core used", "us/update", "clients per core"
    );
    for count in [1, 8, 32, 100, 200] {
        let mut simulation = simulation(100_000, 10_000);
        simulation.step(0.01).unwrap();
        let serving = Serving::of(simulation.world());
        let wishes = json!({"columns": ["position", "moving"], "rate_hz": 20, "window": 2});
        let clients = Clients::new(serving.address, count, &wishes);
        frames(&mut simulation, Duration::from_millis(1500));
        let now = || (clients.updates.load(Ordering::Relaxed), clients.bytes.load(Ordering::Relaxed));
        let (before, spent, begun) = (now(), used(), Instant::now());
        frames(&mut simulation, Duration::from_secs(3));
        let (after, spent, seconds) = (now(), (used() - spent).as_secs_f64(), begun.elapsed().as_secs_f64());
        let (updates, bytes) = ((after.0 - before.0) as f64, (after.1 - before.1) as f64);
        let each = spent * 1e6 / updates.max(1.0);
        println!(
            "{count:>8} {:>10.0} {:>8.1} {:>13.1}% {each:>12.1} {:>16.0}",
            updates / seconds,
            bytes / 1e6 / seconds,
            spent / seconds * 100.0,
            1e6 / 20.0 / each
        );
        end(clients, &mut simulation, serving);
    }
}

/// Reads to the end; bytes.
fn drain(stream: &mut TcpStream) -> usize {
    let mut buffer = vec![0; 1 << 20];
    let mut all = 0;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return all,
            Ok(bytes) => all += bytes,
        }
    }
}

/// A whole state over HTTP, beside a copy and a write of as many bytes into a socket.
fn whole() {
    let mut simulation = simulation(1_000_000, 1_000_000);
    simulation.step(0.01).unwrap();
    let serving = Serving::of(simulation.world());
    let (mut states, mut copies, mut length) = (Vec::new(), Vec::new(), 0);
    let milliseconds = |name: &str| {
        let text = String::from_utf8(client::get(serving.address, "/metrics").body).unwrap();
        let name = format!("hypostyle_gateway_{name}_nanoseconds_total ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse::<f64>().unwrap() / 1e6
    };
    let (mut looks, mut encodes) = (Vec::new(), Vec::new());
    for round in 0..12 {
        simulation.step(0.01).unwrap();
        let before = (milliseconds("look"), milliseconds("encode"));
        let begun = Instant::now();
        let mut stream = TcpStream::connect(serving.address).unwrap();
        let host = serving.address;
        write!(stream, "GET /snapshot.bin HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        length = drain(&mut stream);
        let state = begun.elapsed().as_secs_f64() * 1e3;
        looks.push(milliseconds("look") - before.0);
        encodes.push(milliseconds("encode") - before.1);
        let source = vec![round as u8; length];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let begun = Instant::now();
        let writing = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let copy = source.clone();
            socket.write_all(&copy).unwrap();
        });
        drain(&mut TcpStream::connect(address).unwrap());
        writing.join().unwrap();
        copies.push(begun.elapsed().as_secs_f64() * 1e3);
        states.push(state);
    }
    let (state, copy) = (median(states[2..].to_vec()), median(copies[2..].to_vec()));
    let (look, encode) = (median(looks[2..].to_vec()), median(encodes[2..].to_vec()));
    println!(
        "a whole state of 1,000,000 particles, {:.1} MB: {state:.1} ms (look {look:.1}, encoding {encode:.1}); \
         a copy and a socket: {copy:.1} ms; {:.2}x",
        length as f64 / 1e6,
        state / copy
    );
}

fn main() {
    let wanted = std::env::args().nth(1);
    let is = |name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    if is("frames") {
        beside();
    }
    if is("clients") {
        core();
    }
    if is("snapshot") {
        whole();
    }
}
