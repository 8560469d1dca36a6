//! Worlds of several ranks: shown as one, by the ids of their entities.

use std::collections::BTreeMap;

use hypostyle::regions::notes_of_rank;
use hypostyle::{Dangling, Elsewhere, GlobalId, Schedule, Simulation, Workers};
use hypostyle_gateway::Source;
use hypostyle_gateway::delta::{Role, StateTable};

use super::*;

const RANKS: usize = 3;
/// Entities that others name: they never die.
const NAMED: u64 = 20;

#[derive(Component, Clone, Copy)]
struct Mate {
    of: Entity,
}

/// What a client is to see of an entity: where it is, and whom it names.
type Seen = (f32, f32, Option<u64>);

fn empty(region: RegionTarget, notes: [(&'static str, String); 3]) -> World {
    let builder = World::builder().component::<GlobalId>().component::<Elsewhere>();
    let builder = builder.component::<Position>().component::<Mate>().resource::<Wind>();
    let builder = notes.into_iter().fold(builder, |builder, (name, value)| builder.note(name, value));
    builder.bytes_max(1 << 26).region(region).keep_generations(2).build().unwrap()
}

/// Ranks, and what is in all of them together.
struct Parts {
    ranks: Vec<Simulation>,
    truth: BTreeMap<u64, Seen>,
    next: u64,
}

impl Parts {
    fn new(name: &RegionTarget) -> Parts {
        let part = |rank| {
            let mut world = empty(name.of_rank(rank), notes_of_rank(rank, RANKS, 9));
            world.insert_resource(Wind { speed: 1.0 }).unwrap();
            Simulation::new(world, Schedule::new(), Workers::Local).unwrap()
        };
        let mut parts = Parts { ranks: (0..RANKS).map(part).collect(), truth: BTreeMap::new(), next: 0 };
        for id in 0..NAMED {
            parts.spawn(id as usize % RANKS, None);
        }
        parts.step();
        parts
    }

    fn find(&self, id: u64) -> (usize, usize, u32) {
        for (rank, part) in self.ranks.iter().enumerate() {
            let world = part.world();
            for table in (0..world.table_count()).filter(|table| !world.is_elsewhere(*table)) {
                let own = |entity: &Entity| world.get::<GlobalId>(*entity).unwrap().value == id;
                if let Some(row) = world.table_entities(table).iter().position(own) {
                    return (rank, table, row as u32);
                }
            }
        }
        panic!("entity {id} is nowhere");
    }

    /// A new entity on a rank, which may name one that lives there.
    fn spawn(&mut self, rank: usize, names: Option<u64>) {
        let (id, x) = (self.next, self.next as f32);
        self.next += 1;
        let of = names.map(|named| self.find(named)).filter(|found| found.0 == rank);
        let of = of.map(|(_, table, row)| self.ranks[rank].world().table_entities(table)[row as usize]);
        let world = self.ranks[rank].world_mut();
        let own = (GlobalId::root(id), Position { x, y: 0.5 });
        match of {
            Some(of) => world.spawn((own.0, own.1, Mate { of })).unwrap(),
            None => world.spawn(own).unwrap(),
        };
        self.truth.insert(id, (x, 0.5, names.filter(|_| of.is_some())));
    }

    /// An entity goes to another rank; who names it still does.
    fn travel(&mut self, id: u64, to: usize) {
        let (from, table, row) = self.find(id);
        let world = self.ranks[from].world_mut();
        let bytes = world.copy_rows(table, &[row]).unwrap().encode();
        world.leave_rows(table, &[row]).unwrap();
        let world = self.ranks[to].world_mut();
        let batch = world.decode_rows(&bytes).unwrap();
        world.put_rows(&[batch], Dangling::Elsewhere).unwrap();
    }

    fn change(&mut self, random: &mut Random) {
        for _ in 0..1 + random.below(6) {
            let ids: Vec<u64> = self.truth.keys().copied().collect();
            let id = ids[random.below(ids.len() as u64) as usize];
            let rank = random.below(RANKS as u64) as usize;
            match random.below(4) {
                0 => self.spawn(rank, Some(random.below(NAMED))),
                1 => self.travel(id, rank),
                2 if id >= NAMED => {
                    let (rank, table, row) = self.find(id);
                    let world = self.ranks[rank].world_mut();
                    world.remove_rows(table, &[row]).unwrap();
                    self.truth.remove(&id);
                }
                _ => {
                    let (rank, table, row) = self.find(id);
                    let world = self.ranks[rank].world_mut();
                    let x = random.below(1_000) as f32;
                    world.set(world.table_entities(table)[row as usize], Position { x, y: 2.0 }).unwrap();
                    let seen = self.truth.get_mut(&id).unwrap();
                    (seen.0, seen.1) = (x, 2.0);
                }
            }
        }
    }

    /// A frame on all ranks.
    fn step(&mut self) {
        for rank in &mut self.ranks {
            rank.step(0.1).unwrap();
        }
    }

    /// The newest generation of all.
    fn generation(&self) -> u64 {
        self.ranks.iter().map(|rank| rank.world().generation()).min().unwrap()
    }

    fn serve(&self, change: impl FnOnce(&mut GatewayOptions)) -> Serving {
        let readers: Vec<_> = self.ranks.iter().map(|rank| rank.world().reader().unwrap()).collect();
        let mut options = GatewayOptions::new("127.0.0.1:0".parse().unwrap(), "melt");
        options.rate_hz_max = 1000.0;
        change(&mut options);
        let open = move || Source::ranks(readers.iter().map(|reader| reader.try_clone()).collect::<Result<_, _>>()?);
        let gateway = Gateway::bind(Box::new(open), options).unwrap();
        let (address, stopper) = (gateway.address(), gateway.stopper());
        let thread = Some(std::thread::spawn(move || gateway.run().unwrap()));
        Serving { address, stopper, thread }
    }
}

/// The values of a table's column, each as its bytes.
fn values<const N: usize>(table: &StateTable, role: Role) -> Option<&[[u8; N]]> {
    table.column(role).map(|column| column.bytes.as_chunks::<N>().0)
}

/// What a client sees, by id; and in how many tables.
fn seen(state: &State, world: &World) -> (BTreeMap<u64, Seen>, usize) {
    let component = |name: &str| world.layout().component(name).unwrap().0 as u16;
    let field = |name: &str, field| Role { code: Role::FIELD, field, component: component(name) };
    let (mut all, mut tables) = (BTreeMap::new(), 0);
    for (_, table) in state.tables.range(2..).filter(|(_, table)| table.rows > 0) {
        tables += 1;
        let ids = values::<8>(table, Role { code: Role::HANDLE, field: 0, component: 0 }).unwrap();
        let (x, y) = (values::<4>(table, field("position", 0)), values::<4>(table, field("position", 1)));
        let mates = values::<8>(table, field("mate", 0));
        for (row, id) in ids.iter().enumerate() {
            let mate = mates.map(|mates| u64::from_le_bytes(mates[row])).filter(|mate| *mate != u64::MAX);
            let place = |column: Option<&[[u8; 4]]>| f32::from_le_bytes(column.unwrap()[row]);
            let twice = all.insert(u64::from_le_bytes(*id), (place(x), place(y), mate));
            assert!(twice.is_none(), "entity {id:?} is there twice");
        }
    }
    (all, tables)
}

#[test]
fn clients_see_the_entities_of_all_ranks_by_their_ids_while_they_travel() {
    let directory = tempfile::tempdir().unwrap();
    let mut parts = Parts::new(&RegionTarget::Directory(directory.path().join("melt")));
    let serving = parts.serve(|_| {});
    let layout = parts.ranks[0].world().layout().clone();
    let mut clients = [
        (Client::open(serving.address, json!({})), 1),
        (Client::open(serving.address, json!({"compression": "zstd"})), 5),
    ];
    let mut random = Random(5);
    for round in 1..=300_u64 {
        parts.change(&mut random);
        parts.step();
        let generation = parts.generation();
        for (client, every) in &mut clients {
            if round % *every != 0 {
                continue;
            }
            if random.below(20) == 0 {
                client.again(serving.address);
            }
            client.catch_up(generation, &layout);
            let (all, tables) = seen(&client.state, parts.ranks[0].world());
            assert_eq!((client.state.frame, &all), (parts.ranks[0].world().frame(), &parts.truth), "round {round}");
            assert!(tables >= RANKS, "rows of all ranks: {tables} tables");
        }
    }
    for (client, every) in &clients {
        assert!(client.deltas as u64 > 150 / every && client.full < 20, "{} of {} full", client.full, client.deltas);
    }
    let names = parts.truth.values().filter(|(_, _, mate)| mate.is_some()).count();
    assert!(names > 20, "{names} name others");
    // the same over HTTP, whole, for tools
    let hello = get(serving.address, "/layout").json();
    assert_eq!((&hello["ranks"], &hello["identity"]), (&json!(RANKS), &json!("global_id")));
    assert_eq!(get(serving.address, "/healthz").json()["frame"], parts.ranks[0].world().frame());
    #[cfg(feature = "export")]
    {
        let answer = get(serving.address, "/snapshot");
        assert_eq!(answer.status, 200);
        // a batch of each table of each rank, its columns as they are
        let component = layout.component("position").unwrap().0 as u16;
        let tables = clients[0].0.state.tables.range(2..).filter(|(_, table)| table.rows > 0);
        for (_, table) in tables {
            let bytes = &table.column(Role { code: Role::FIELD, field: 0, component }).unwrap().bytes;
            assert!(answer.body.windows(bytes.len()).any(|window| window == bytes), "rows of a table are missing");
        }
    }
}

#[test]
fn a_box_and_rounding_hold_for_all_ranks() {
    let directory = tempfile::tempdir().unwrap();
    let parts = Parts::new(&RegionTarget::Directory(directory.path().join("melt")));
    let serving = parts.serve(|_| {});
    let layout = parts.ranks[0].world().layout().clone();
    let wishes = json!({
        "columns": ["position"], "quantise": {"position.y": 0.5},
        "box": {"fields": ["position.x"], "min": [5], "max": [14]},
    });
    let mut client = Client::open(serving.address, wishes);
    client.catch_up(1, &layout);
    let area = Role { code: Role::AREA, field: 0, component: 0 };
    let inside =
        |table: &StateTable| values::<8>(table, area).map_or(0, |words| u64::from_le_bytes(words[0]).count_ones());
    let per_table: Vec<u32> = client.state.tables.range(2..).map(|(_, table)| inside(table)).collect();
    assert_eq!((per_table.iter().sum::<u32>(), per_table.iter().filter(|count| **count > 0).count()), (10, RANKS));
}

#[test]
fn a_rank_that_dies_is_named_and_nothing_hangs() {
    let (_directory, path, name) = commands::place();
    let mut parts = Parts::new(&RegionTarget::Directory(path));
    let gateway = commands::command(&["gateway", &name, "--listen", "127.0.0.1:0", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut gateway = commands::Running(gateway.unwrap());
    let mut text = String::new();
    let mut stdout = BufReader::new(gateway.0.stdout.take().unwrap());
    while !text.contains('}') && stdout.read_line(&mut text).unwrap() > 0 {}
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    let address: SocketAddr = told["address"].as_str().unwrap().parse().unwrap();
    let layout = parts.ranks[0].world().layout().clone();
    let mut client = Client::open(address, json!({}));
    client.catch_up(1, &layout);
    parts.step();
    let last = parts.generation();
    client.catch_up(last, &layout);
    let truth = parts.truth.clone();
    assert_eq!(seen(&client.state, parts.ranks[0].world()).0, truth);
    assert_eq!(get(address, "/healthz").status, 200);
    drop(parts.ranks.remove(1));
    // it goes on at once with what all ranks have
    parts.step();
    let begun = Instant::now();
    while get(address, "/healthz").status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody notices");
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = loop {
        let status = client.socket.expect(5);
        if status[2] & 1 == 0 {
            break status;
        }
    };
    assert_eq!(u64::from_le_bytes(*status[16..].first_chunk::<8>().unwrap()), client.state.frame);
    // a client that comes now sees the last frame of the whole
    let mut late = Client::open(address, json!({}));
    late.catch_up(last, &layout);
    assert_eq!((late.state.generation, late.state.frame), (last, client.state.frame));
    assert_eq!(seen(&late.state, parts.ranks[0].world()).0, truth);
    gateway.0.kill().unwrap();
    let mut told = String::new();
    gateway.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(told.contains("rank 1 of 3 is gone"), "{told}");
}

#[test]
fn ranks_without_ids_are_refused() {
    let error = Source::ranks(vec![world(3).reader().unwrap()]).err().unwrap().to_string();
    assert!(error.contains("`global_id`"), "{error}");
    let mut bare = empty(RegionTarget::Heap, notes_of_rank(0, 1, 1));
    bare.spawn(Position { x: 1.0, y: 1.0 }).unwrap();
    bare.publish().unwrap();
    let serving = {
        let reader = bare.reader().unwrap();
        let options = GatewayOptions::new("127.0.0.1:0".parse().unwrap(), "melt");
        let gateway = Gateway::bind(Box::new(move || Source::ranks(vec![reader.try_clone()?])), options).unwrap();
        let (address, stopper) = (gateway.address(), gateway.stopper());
        Serving { address, stopper, thread: Some(std::thread::spawn(move || gateway.run().unwrap())) }
    };
    let answer = get(serving.address, "/snapshot.bin");
    assert_eq!(answer.status, 503, "nothing is shown under handles that two ranks may have");
}
