//! Two parts of the lattice, which trade atoms and ghosts by channels, have the bytes of the whole.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use hypostyle::exchange::{Exchange, ExchangeError, ExchangeNeeds, SortPoint, Stale};
use hypostyle::{Simulation, StepError, Workers, World};

use super::lattice::{Atom, COMPONENTS, DT, atoms, by_id, empty_world, grid, pack, resources, schedule, unpack, weigh};

/// Columns of cells from the border whose atoms the other part needs.
const HALO: i32 = 3;

/// What was called, in words.
type Log = Arc<Mutex<Vec<String>>>;

/// Half of the box.
struct Half {
    part: i32,
    to: Sender<Vec<u8>>,
    from: Receiver<Vec<u8>>,
    /// Rows that are ghosts of the other part.
    sent: Vec<usize>,
    log: Log,
}

impl Half {
    fn swap(&self, bytes: Vec<u8>) -> Result<Vec<u8>, ExchangeError> {
        self.to.send(bytes).map_err(|_| "the other part has gone")?;
        Ok(self.from.recv().map_err(|_| "the other part has gone")?)
    }

    fn log(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }

    /// The column of cells of each row.
    fn columns(world: &World, table: usize) -> Result<Vec<i32>, ExchangeError> {
        let (_, keys) = world.table_column(table, "cell.key")?.ok_or("no keys")?;
        Ok(bytemuck::cast_slice::<u8, u32>(keys).iter().map(|key| grid().cell_of(*key)[0]).collect())
    }

    /// Makes all ghosts anew.
    fn ghosts(&mut self, world: &mut World) -> Result<(), ExchangeError> {
        let table = world.table_with(&COMPONENTS)?;
        let half = grid().cells()[0] / 2;
        let is_near = |column: &i32| column % half < HALO || column % half >= half - HALO;
        let columns = Self::columns(world, table)?;
        self.sent = (0..columns.len()).filter(|row| is_near(&columns[*row])).collect();
        let names = ["cell.key", "position.x", "position.y"];
        let mut bytes = (self.sent.len() as u64).to_le_bytes().to_vec();
        names.iter().try_for_each(|name| self.gather(world, table, name, &mut bytes))?;
        let bytes = self.swap(bytes)?;
        let (count, mut rest) = bytes.split_at(8);
        let count = u64::from_le_bytes(count.try_into()?) as usize;
        let mut take = |bytes: usize| {
            let (first, others) = rest.split_at(bytes * count);
            rest = others;
            first
        };
        let given = [(names[0], take(4)), (names[1], take(8)), (names[2], take(8))];
        Ok(world.set_ghosts(table, count, &given)?)
    }

    fn gather(&self, world: &World, table: usize, name: &str, out: &mut Vec<u8>) -> Result<(), ExchangeError> {
        let (ty, bytes) = world.table_column(table, name)?.ok_or("no such column")?;
        self.sent.iter().for_each(|row| out.extend_from_slice(&bytes[row * ty.bytes()..(row + 1) * ty.bytes()]));
        Ok(())
    }
}

impl Exchange for Half {
    fn begin(&mut self, _: &mut World, needs: &ExchangeNeeds) -> Result<(), ExchangeError> {
        let systems = needs.systems.iter();
        match systems.flat_map(|system| &system.reductions).find(|reduction| !reduction.exact) {
            Some(reduction) => Err(format!("resource `{}` is no exact sum", reduction.resource).into()),
            None => Ok(()),
        }
    }

    fn before_sort(&mut self, world: &mut World, point: &SortPoint) -> Result<(), ExchangeError> {
        self.log(format!("before {}", point.system));
        let table = world.table_with(&COMPONENTS)?;
        assert_eq!(point.tables(world).collect::<Vec<_>>(), [table]);
        assert_eq!(point.key, ("cell".to_owned(), "key".to_owned()));
        let half = grid().cells()[0] / 2;
        let columns = Self::columns(world, table)?;
        let leave = (0..columns.len()).filter(|row| columns[*row] / half != self.part);
        let leave: Vec<_> = leave.map(|row| world.table_entities(table)[row]).collect();
        let mut words = Vec::new();
        for entity in leave {
            words.extend(pack(&world.get::<Atom>(entity)?));
            world.despawn(entity)?;
        }
        let came = self.swap(bytemuck::cast_slice(&words).to_vec())?;
        let words: Vec<u64> = came.chunks_exact(8).map(bytemuck::pod_read_unaligned).collect();
        words.chunks_exact(9).try_for_each(|atom| world.spawn(unpack(atom)).map(drop))?;
        Ok(())
    }

    fn after_sort(&mut self, world: &mut World, point: &SortPoint) -> Result<(), ExchangeError> {
        self.log(format!("after {}", point.system));
        self.ghosts(world)
    }

    fn refresh(&mut self, world: &mut World, stale: &Stale<'_>) -> Result<(), ExchangeError> {
        let names: Vec<&str> = stale.components().collect();
        self.log(format!("refresh {}{}", if stale.rows_moved() { "all: " } else { "" }, names.join(", ")));
        if stale.rows_moved() {
            return self.ghosts(world);
        }
        let table = world.table_with(&COMPONENTS)?;
        for name in names {
            let fields = world.layout().component(name).ok_or("no such component")?.1.fields.iter();
            let columns: Vec<String> = fields.map(|field| format!("{name}.{}", field.name)).collect();
            for column in columns {
                let mut bytes = Vec::new();
                self.gather(world, table, &column, &mut bytes)?;
                let came = self.swap(bytes)?;
                if let Some(ghosts) = world.ghost_column_mut(table, &column)? {
                    ghosts.copy_from_slice(&came);
                }
            }
        }
        Ok(())
    }

    fn reduce(
        &mut self,
        resource: &str,
        value: &mut [u8],
        join: &dyn Fn(&mut [u8], &[u8]),
    ) -> Result<(), ExchangeError> {
        self.log(format!("reduce {resource}"));
        let mut other = self.swap(value.to_vec())?;
        if self.part == 0 {
            join(value, &other);
        } else {
            join(&mut other, value);
            value.copy_from_slice(&other);
        }
        Ok(())
    }

    fn agree(&mut self, resource: &str, wrote: bool, value: &mut [u8]) -> Result<bool, ExchangeError> {
        self.log(format!("agree {resource}"));
        let other = self.swap([&[u8::from(wrote)], &*value].concat())?;
        let theirs = other[0] == 1;
        if wrote && theirs && *value != other[1..] {
            return Err(format!("resource `{resource}` has two values").into());
        }
        if theirs {
            value.copy_from_slice(&other[1..]);
        }
        Ok(wrote || theirs)
    }

    fn end_frame(&mut self, _: &mut World) -> Result<(), ExchangeError> {
        self.log("end".to_owned());
        Ok(())
    }
}

/// Atoms and resources after each frame.
type Course = Vec<(BTreeMap<u64, Vec<u64>>, Vec<Option<Vec<u8>>>)>;

fn run(simulation: &mut Simulation, frames: u64) -> Course {
    let frame = |_| {
        simulation.step(DT).unwrap();
        (by_id(simulation.world()), resources(simulation.world()))
    };
    (0..frames).map(frame).collect()
}

fn whole(frames: u64) -> Course {
    let mut world = empty_world();
    world.spawn_batch(atoms()).unwrap();
    run(&mut Simulation::new(world, schedule(), Workers::Local).unwrap(), frames)
}

fn halves() -> [(Half, Log); 2] {
    let ((to_second, from_first), (to_first, from_second)) = (channel(), channel());
    let half = |part, to, from| {
        let log = Log::default();
        (Half { part, to, from, sent: Vec::new(), log: Arc::clone(&log) }, log)
    };
    [half(0, to_second, from_second), half(1, to_first, from_first)]
}

#[test]
fn two_parts_have_the_bytes_of_the_whole() {
    const FRAMES: u64 = 12;
    let whole = whole(FRAMES);
    for workers in [Workers::Local, Workers::Threads(2)] {
        let parts = halves().map(|(half, log)| {
            std::thread::spawn(move || {
                let mut world = empty_world();
                // all atoms begin in one part: the other one has no rows, and no table
                if half.part == 0 {
                    world.spawn_batch(atoms()).unwrap();
                }
                let builder = Simulation::builder().workers(workers).exchange(Box::new(half));
                let mut simulation = builder.build(world, schedule()).unwrap();
                let course = run(&mut simulation, FRAMES);
                let ghosts = simulation.world().ghosts(0);
                (course, log.lock().unwrap().clone(), ghosts)
            })
        });
        let parts = parts.map(|part| part.join().unwrap());
        for (frame, (atoms, resources)) in whole.iter().enumerate() {
            let both: BTreeMap<_, _> = parts.iter().flat_map(|part| part.0[frame].0.clone()).collect();
            assert_eq!(parts.each_ref().map(|part| part.0[frame].0.len()).iter().sum::<usize>(), 256);
            assert!(parts.iter().all(|part| part.0[frame].0.len() > 90), "both have a part");
            assert!(both == *atoms, "frame {frame} by {workers}");
            for part in &parts {
                assert_eq!(part.0[frame].1, *resources, "frame {frame} by {workers}");
            }
        }
        assert_eq!(parts[0].1, parts[1].1, "both make the same calls");
        let frame = "before bin; after bin; refresh position; agree leader; reduce facts; reduce visits; end";
        assert_eq!(sorted(&parts[0].1[..7]), sorted(&frame.split("; ").map(str::to_owned).collect::<Vec<_>>()));
        assert_eq!(parts[0].1.len(), 7 * FRAMES as usize);
        assert!(parts[0].1.chunks(7).all(|calls| *calls == parts[0].1[..7]), "as in the first frame, so in all");
        assert!(parts.iter().all(|part| part.2 > 90), "both have ghosts");
    }
    // it is a scene where something happens
    let moved = whole[11].0.iter().filter(|(id, atom)| whole[0].0[*id][1] != atom[1]).count();
    let crowds = whole[11].0.values().map(|atom| atom[2]).max();
    assert!(
        moved > 60 && crowds > Some(3),
        "{moved} atoms have other cells, and at most {crowds:?} are near each other"
    );
    assert!(whole[2].1[1].is_none() && whole[11].1[1].is_some(), "`visits` gets a value when rows give one");
}

/// The calls without the order of those whose systems have no order between each other.
fn sorted(calls: &[String]) -> Vec<&str> {
    let mut calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    calls[3..6].sort_unstable();
    calls
}

#[test]
fn what_the_parts_cannot_do_is_refused_when_the_simulation_is_built() {
    let [(half, _), _] = halves();
    let mut unfit = schedule();
    unfit.add(weigh());
    let mut world = Some(empty_world());
    let builder = Simulation::builder().workers(Workers::Local).exchange(Box::new(half));
    let refused = builder.build_from(&mut world, unfit).err().unwrap();
    assert!(matches!(refused, StepError::ExchangeRefused { .. }), "{refused}");
    assert!(refused.to_string().contains("`energy` is no exact sum"), "{refused}");
    assert!(world.is_some(), "the world is still there");
}

#[test]
fn a_part_that_goes_ends_the_other_ones_step() {
    let [(half, _), (other, _)] = halves();
    drop(other);
    let mut world = empty_world();
    world.spawn_batch(atoms()).unwrap();
    let builder = Simulation::builder().workers(Workers::Local).exchange(Box::new(half));
    let mut simulation = builder.build(world, schedule()).unwrap();
    let error = simulation.step(DT).unwrap_err();
    let StepError::Exchange { at, undone: 1, frame: 0, .. } = &error else { panic!("{error}") };
    assert_eq!(at, "before the sort of system `bin`");
    assert!(error.to_string().contains("the other part has gone"), "{error}");
    assert_eq!(simulation.world().entity_count(), 256, "nothing has left");
}
