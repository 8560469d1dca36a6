//! Inputs of clients: what reaches the simulation, when it is acknowledged, and what is refused.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use hypostyle::{Entity, Layout, Schedule, Simulation, System, Workers, World, Write};
use hypostyle_gateway::delta::{Role, State};
use serde_json::{Value, json};

use super::client::{Client, get};
use super::{Position, Serving, commands, world};

/// The y of each goes up by its x.
fn simulation() -> Simulation {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Position>>("move", |_, mut p| {
        p.y.map_with(&p.x, |y, x| y + x);
    }));
    Simulation::builder().workers(Workers::Local).inputs(["position", "wind"]).build(world(100), schedule).unwrap()
}

fn entry(entity: Entity, values: [f32; 2]) -> Vec<u8> {
    [&entity.to_bits().to_le_bytes()[..], &values.map(f32::to_le_bytes).concat()].concat()
}

/// A gateway's process, and where it listens.
pub fn gateway(region: &str, further: &[&str]) -> (commands::Running, SocketAddr) {
    let args = [&["gateway", region, "--listen", "127.0.0.1:0", "--json"], further].concat();
    let running = commands::command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut running = commands::Running(running);
    let mut stdout = BufReader::new(running.0.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains('}') && stdout.read_line(&mut text).unwrap() > 0 {}
    let told: Value = serde_json::from_str(&text).unwrap();
    (running, told["address"].as_str().unwrap().parse().unwrap())
}

/// The text of an ERROR of code 10.
fn refused(client: &mut Client) -> String {
    let error = client.socket.expect(7);
    assert_eq!(error[8], 10);
    String::from_utf8_lossy(&error[16..]).trim_end().to_owned()
}

#[test]
fn an_input_is_acknowledged_with_the_generation_that_contains_it() {
    let mut simulation = simulation();
    let layout = simulation.world().layout().clone();
    let serving = Serving::of(simulation.world(), |options| options.inputs = Some(Vec::new()));
    let hello = get(serving.address, "/layout").json();
    assert_eq!(hello["inputs"], json!(["position", "wind"]));
    let mut client = Client::open(serving.address, json!({}));
    let mut other = Client::open(serving.address, json!({}));
    simulation.step(0.1).unwrap();
    let entities = simulation.world().table_entities(0).to_vec();
    client.catch_up(simulation.world().generation(), &layout);
    assert_eq!(client.input, 0);
    client.input(1, "position", &entry(entities[7], [0.0, 55.0]));
    client.input(2, "wind", &8.0f64.to_le_bytes());
    serving.wait_for("inputs_total", 2);
    // what is published before a frame took them does not contain them
    simulation.world_mut().publish().unwrap();
    client.catch_up(simulation.world().generation(), &layout);
    assert_eq!(client.input, 0);
    assert_eq!(simulation.step(0.1).unwrap().inputs.applied, 2);
    client.catch_up(simulation.world().generation(), &layout);
    other.catch_up(simulation.world().generation(), &layout);
    assert_eq!((client.input, other.input), (2, 0), "each has its own");
    assert!(client.state == other.state);
    let y = client.state.tables[&2].columns[2].bytes[4 * 7..].first_chunk::<4>().unwrap();
    assert_eq!(f32::from_le_bytes(*y), 55.0);
    // a refused one is passed with the next generation
    client.input(5, "nothing", &[]);
    assert!(refused(&mut client).contains("input 5"));
    simulation.step(0.1).unwrap();
    client.catch_up(simulation.world().generation(), &layout);
    assert_eq!(client.input, 5);
    // and numbers begin anew with a connection
    client.again(serving.address);
    simulation.step(0.1).unwrap();
    client.catch_up(simulation.world().generation(), &layout);
    assert_eq!(client.input, 0);
    client.input(1, "position.x", &entry(entities[8], [2.0, 0.0])[..12]);
    serving.wait_for("inputs_total", 3);
    simulation.step(0.1).unwrap();
    client.catch_up(simulation.world().generation(), &layout);
    assert_eq!(client.input, 1);
    assert_eq!(simulation.world().get::<Position>(entities[8]).unwrap().x, 2.0);
}

#[test]
fn inputs_that_cannot_be_are_answered_and_change_nothing() {
    let mut simulation = simulation();
    let layout = simulation.world().layout().clone();
    let serving = Serving::of(simulation.world(), |options| {
        options.inputs = Some(vec!["position".to_owned()]);
        options.inputs_hz_max = 20.0;
    });
    assert_eq!(get(serving.address, "/layout").json()["inputs"], json!(["position"]));
    let mut client = Client::open(serving.address, json!({}));
    client.catch_up(1, &layout);
    let entity = simulation.world().table_entities(0)[0];
    let good = entry(entity, [1.0, 1.0]);
    let bad: [(&str, &[u8], &str); 7] = [
        ("hot", &good, "takes no input"),
        ("wind", &[0; 8], "takes no input"),
        ("", &good, "takes no input"),
        ("position", &good[..15], "multiple of 16"),
        ("position", &[], "multiple of 16"),
        ("position.y", &good, "multiple of 12"),
        ("position.z", &good, "takes no input"),
    ];
    for (sequence, (name, payload, why)) in (1..).zip(bad) {
        client.input(sequence, name, payload);
        let text = refused(&mut client);
        assert!(text.contains(why) && text.contains(&format!("input {sequence}:")), "{text}");
    }
    client.input(3, "position", &good);
    assert!(refused(&mut client).contains("above 7"));
    // more than the rate allows, in one burst
    for sequence in 8..200 {
        client.input(sequence, "position", &good);
    }
    assert!(refused(&mut client).contains("more than 20 inputs a second"));
    // a gateway that takes none, simulations that take none, or not these, and addresses that anybody reaches
    let none = Serving::of(simulation.world(), |_| {});
    let mut reading = Client::open(none.address, json!({}));
    reading.input(1, "position", &good);
    assert!(refused(&mut reading).contains("takes no inputs"));
    let fails = |world: &World, name: &str, listen: &str| {
        let asked = Serving::try_of(world, |options| {
            options.inputs = Some(vec![name.to_owned()]);
            options.listen = listen.parse().unwrap();
        });
        asked.err().unwrap().to_string()
    };
    assert!(fails(simulation.world(), "hot", "127.0.0.1:0").contains("takes no input `hot`"));
    assert!(fails(simulation.world(), "wind", "0.0.0.0:0").contains("token"));
    assert!(fails(&world(3), "wind", "127.0.0.1:0").contains("run it with --inputs"));
    let report = simulation.step(0.1).unwrap();
    let applied = report.inputs.applied + report.inputs.overwritten;
    let others = report.inputs.total() - applied;
    assert!((1..192).contains(&applied) && others == 0, "{:?}", report.inputs);
}

/// A resource's first float.
fn resource(state: &State, hello: &Value, name: &str) -> f32 {
    let resources = hello["resources"].as_array().unwrap();
    let offset = resources.iter().find(|r| r["name"] == name).unwrap()["offset"].as_u64().unwrap() as usize;
    f32::from_le_bytes(*state.tables[&1].columns[0].bytes[offset..].first_chunk::<4>().unwrap())
}

/// An entity of a table with this component, its row's first field, and the table.
fn of_component(state: &State, layout: &Layout, name: &str) -> (u64, f32, u32) {
    let (id, _) = layout.component(name).unwrap();
    let (number, table) = state.tables.iter().find(|(_, t)| t.components.contains(&(id as u16)) && t.rows > 0).unwrap();
    let handles = table.column(Role { code: Role::HANDLE, field: 0, component: 0 }).unwrap();
    let values = table.column(Role { code: Role::FIELD, field: 0, component: id as u16 }).unwrap();
    let handle = u64::from_le_bytes(*handles.bytes.first_chunk::<8>().unwrap());
    (handle, f32::from_le_bytes(*values.bytes.first_chunk::<4>().unwrap()), *number)
}

#[test]
fn a_running_simulation_takes_inputs_and_survives_the_deaths_of_gateways() {
    let (_directory, _, region) = commands::place();
    let mut running = commands::Running::start(&region, &["--inputs", "gravity,emitter.rate,lifetime"]);
    let mut sequence = 0;
    for round in 0..4u32 {
        let (gateway, address) = gateway(&region, &["--inputs"]);
        let hello = get(address, "/layout").json();
        assert_eq!(hello["inputs"], json!(["gravity", "emitter.rate", "lifetime"]));
        let layout = layout_of(&region);
        let mut client = Client::open(address, json!({}));
        client.receive(&layout);
        client.acknowledge();
        let gravity = [f32::from(round as u8) + 0.5, -1.0, 0.0].map(f32::to_le_bytes).concat();
        let (emitter, _, _) = of_component(&client.state, &layout, "emitter");
        let rate = 50.0 + round as f32;
        client.input(1, "gravity", &gravity);
        client.input(2, "emitter.rate", &[&emitter.to_le_bytes()[..], &rate.to_le_bytes()].concat());
        let begun = Instant::now();
        while client.input < 2 {
            client.receive(&layout);
            client.acknowledge();
            assert!(begun.elapsed() < Duration::from_secs(60), "never acknowledged");
        }
        assert_eq!(resource(&client.state, &hello, "gravity"), round as f32 + 0.5, "contained, as it says");
        assert_eq!(of_component(&client.state, &layout, "emitter").1, rate);
        // and it dies in the middle of a stream of them
        for number in 3..300 {
            client.input(number, "gravity", &gravity);
            sequence += 1;
        }
        drop(gateway);
        assert!(running.0.try_wait().unwrap().is_none(), "the simulation runs on");
    }
    assert!(sequence > 1_000);
    let frame = |region: &str| commands::json(&["hash", region])["frame"].as_u64().unwrap();
    let before = frame(&region);
    let begun = Instant::now();
    while frame(&region) < before + 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it stands still");
    }
    // a gateway to a simulation that takes none
    let (code, stderr) = commands::failure(&["run", "particles", "--frames", "1", "--inputs", "gravity"]);
    assert!(code == 2 && stderr.contains("--region"), "{stderr}");
    let (_other_directory, _, other) = commands::place();
    let (code, stderr) = commands::failure(&["run", "particles", "--region", &other, "--inputs", "nothing"]);
    assert!(code == 2 && stderr.contains("`nothing`"), "{stderr}");
}

fn layout_of(region: &str) -> Layout {
    let toml = commands::json(&["inspect", region])["layout"]["toml"].as_str().unwrap().to_owned();
    Layout::parse(&toml, "region").unwrap()
}
