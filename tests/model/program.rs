//! Random programs: what is spawned, what changes between frames, and the instructions that the patching systems get
//! as their payload. Whether an instruction fires, and with which value, depends on the row's entity, the frame and
//! the values that the kernel read, never on rows or workers.

use hypostyle::Entity;
use proptest::prelude::*;

use super::components::{BUNDLES, COMPONENTS};

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Set,
    Add,
    Remove,
    Despawn,
    Spawn,
    SetScore,
    Fail,
}

/// Whom it does it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The own row, by row.
    Row,
    /// The own row, by handle.
    Own,
    /// One of the payload's handles.
    Known,
    /// A spawn of the same kernel call; there may be none: then a handle that another job reserved.
    Spawned,
}

/// One instruction, for every row that it fires on.
#[derive(Clone, Copy, Debug)]
pub struct Instruction {
    pub op: Op,
    pub target: Target,
    /// A component, or a bundle.
    pub what: u8,
    /// Which handle or spawn is the target.
    pub which: u8,
    /// What fields that hold entities get.
    pub link: Target,
    pub link_which: u8,
    /// One row in so many.
    pub one_in: u8,
    pub seed: u32,
}

const OPS: [Op; 7] = [Op::Set, Op::Add, Op::Remove, Op::Despawn, Op::Spawn, Op::SetScore, Op::Fail];
const TARGETS: [Target; 4] = [Target::Row, Target::Own, Target::Known, Target::Spawned];

/// A system's payload: instructions and handles.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    pub known: Vec<Entity>,
    pub instructions: Vec<Instruction>,
}

fn place<T: PartialEq>(list: &[T], item: &T) -> u8 {
    list.iter().position(|other| other == item).unwrap_or(0) as u8
}

impl Payload {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.known.len() as u8];
        for entity in &self.known {
            out.extend_from_slice(&entity.to_bits().to_le_bytes());
        }
        for i in &self.instructions {
            out.extend([place(&OPS, &i.op), place(&TARGETS, &i.target), i.what, i.which]);
            out.extend([place(&TARGETS, &i.link), i.link_which, i.one_in, 0]);
            out.extend(i.seed.to_le_bytes());
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Self {
        let Some((count, rest)) = bytes.split_first() else { return Payload::default() };
        let (known, rest) = rest.split_at(usize::from(*count) * 8);
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        Payload {
            known: known.chunks_exact(8).map(|bits| Entity::from_bits(word(bits))).collect(),
            instructions: rest
                .chunks_exact(12)
                .map(|b| Instruction {
                    op: OPS[usize::from(b[0])],
                    target: TARGETS[usize::from(b[1])],
                    what: b[2],
                    which: b[3],
                    link: TARGETS[usize::from(b[4])],
                    link_which: b[5],
                    one_in: b[6],
                    seed: u32::from_le_bytes([b[8], b[9], b[10], b[11]]),
                })
                .collect(),
        }
    }

    fn handle(&self, target: Target, which: u8, own: Entity) -> Entity {
        match target {
            Target::Row | Target::Own => own,
            Target::Known if self.known.is_empty() => Entity::NULL,
            Target::Known => self.known[usize::from(which) % self.known.len()],
            Target::Spawned => Entity::from_parts(u32::from(which % 5), SYMBOL),
        }
    }
}

/// The generation of a symbol for "the nth spawn of this kernel call": no handle has it.
const SYMBOL: u32 = u32::MAX;

/// Which spawn of its kernel call a handle is the symbol of.
pub fn symbol(entity: Entity) -> Option<usize> {
    (entity.generation() == SYMBOL && entity != Entity::NULL).then_some(entity.index() as usize)
}

/// A handle that some other job may have reserved.
pub fn foreign(which: u64) -> Entity {
    let entity = Entity::from_bits(1 << 63 | which << 20 | 77);
    assert!(entity.is_reserved());
    entity
}

/// What the systems do that write handles densely: what they spawn, and what they write without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// Spawns a counter with this seed, and writes its handle.
    Spawned(u64),
    /// Spawns what it may not, and writes its handle.
    Refused,
    /// Writes a handle that is not this job's.
    Foreign(u64),
    /// Writes what is there already.
    Same,
}

/// What happens to a row.
pub fn bind(own: Entity, frame: u64) -> Option<Bind> {
    let dice = mix(own.to_bits() ^ mix(frame ^ 0xb1d));
    match dice % 40 {
        0 | 1 => Some(Bind::Spawned(dice)),
        2 => Some(Bind::Refused),
        3 => Some(Bind::Foreign(dice >> 50)),
        4 => Some(Bind::Same),
        _ => None,
    }
}

/// A well-mixed number.
pub fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// An instruction that fired.
#[derive(Clone, Copy, Debug)]
pub struct Fired {
    pub op: Op,
    pub by_row: bool,
    pub target: Entity,
    pub what: usize,
    pub link: Entity,
    pub seed: u64,
}

/// The instructions that fire on a row, in order. `seen` is what the kernel read.
pub fn fired(payload: &Payload, own: Entity, frame: u64, seen: u64) -> impl Iterator<Item = Fired> + '_ {
    payload.instructions.iter().enumerate().filter_map(move |(index, i)| {
        let dice = mix(own.to_bits() ^ mix(frame ^ mix(u64::from(i.seed) ^ (index as u64) << 40)));
        dice.is_multiple_of(u64::from(i.one_in.max(1))).then(|| Fired {
            op: i.op,
            by_row: i.target == Target::Row,
            target: payload.handle(i.target, i.which, own),
            what: usize::from(i.what) % if i.op == Op::Spawn { BUNDLES.len() } else { COMPONENTS },
            link: payload.handle(i.link, i.link_which, own),
            seed: mix(dice ^ seen),
        })
    })
}

/// A change by the owner between frames. Numbers pick from what there is.
#[derive(Clone, Debug)]
pub enum Edit {
    Spawn {
        kind: u8,
        count: u8,
        seed: u32,
        link: u16,
    },
    SpawnColumns {
        count: u8,
        seed: u32,
    },
    SpawnPrefab {
        count: u8,
        seed: u32,
        over: bool,
    },
    Despawn {
        who: u16,
    },
    Set {
        who: u16,
        component: u8,
        seed: u32,
        link: u16,
    },
    Add {
        who: u16,
        component: u8,
        seed: u32,
        link: u16,
    },
    Remove {
        who: u16,
        component: u8,
    },
    AddWhere {
        query: u8,
        component: u8,
        seed: u32,
    },
    RemoveWhere {
        query: u8,
        component: u8,
    },
    DespawnWhere {
        query: u8,
    },
    QueryMut {
        which: u8,
    },
    Resource {
        which: u8,
        seed: u32,
        insert: bool,
    },
    /// An entity gets a list, in place of the one it has.
    List {
        who: u16,
        seed: u32,
        link: u16,
    },
    /// It loses it.
    Unlist {
        who: u16,
    },
    Publish,
}

/// One frame and what goes before it.
#[derive(Clone, Debug)]
pub struct FrameSpec {
    pub edits: Vec<Edit>,
    pub payloads: [Vec<Instruction>; 4],
    /// Picks the payloads' handles.
    pub known: Vec<u16>,
    pub pin: bool,
    /// Lets go of one of the pins.
    pub unpin: Option<u8>,
    /// The writer ends before this frame, and another one takes the region over: what was not published is gone.
    pub resume: bool,
}

#[derive(Clone, Debug)]
pub struct Program {
    /// Bundle, entities, seed.
    pub initial: Vec<(u8, u8, u32)>,
    pub frames: Vec<FrameSpec>,
    pub sort: bool,
}

impl Program {
    /// Whether the world goes back to its last generation, which depends on how often it publishes: a frame may fail, or
    /// another writer takes over.
    pub fn may_go_back(&self) -> bool {
        self.resumes() || self.may_fail()
    }

    /// Whether another writer takes over.
    pub fn resumes(&self) -> bool {
        self.frames.iter().any(|frame| frame.resume)
    }

    fn may_fail(&self) -> bool {
        self.frames.iter().flat_map(|f| f.payloads.iter().flatten()).any(|i| i.op == Op::Fail)
    }
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![4 => Just(Target::Row), 1 => Just(Target::Own), 3 => Just(Target::Known), 2 => Just(Target::Spawned)]
}

pub fn instruction() -> impl Strategy<Value = Instruction> {
    let op = prop_oneof![
        120 => Just(Op::Set),
        160 => Just(Op::Add),
        120 => Just(Op::Remove),
        60 => Just(Op::Despawn),
        100 => Just(Op::Spawn),
        15 => Just(Op::SetScore),
        10 => Just(Op::Fail),
    ];
    (op, target(), any::<u8>(), any::<u8>(), target(), any::<u8>(), 1u8..12, any::<u32>()).prop_map(
        |(op, target, what, which, link, link_which, one_in, seed)| {
            let one_in = match op {
                Op::Despawn | Op::Spawn => one_in.saturating_mul(6).saturating_add(4),
                Op::Fail => 150,
                _ => one_in,
            };
            Instruction { op, target, what, which, link, link_which, one_in, seed }
        },
    )
}

pub fn edit() -> impl Strategy<Value = Edit> {
    let (b, w, s) = (any::<u8>, any::<u16>, any::<u32>);
    prop_oneof![
        3 => (b(), 0u8..80, s(), w()).prop_map(|(kind, count, seed, link)| Edit::Spawn { kind, count, seed, link }),
        1 => (0u8..80, s()).prop_map(|(count, seed)| Edit::SpawnColumns { count, seed }),
        1 => (0u8..20, s(), any::<bool>()).prop_map(|(count, seed, over)| Edit::SpawnPrefab { count, seed, over }),
        3 => w().prop_map(|who| Edit::Despawn { who }),
        3 => (w(), b(), s(), w()).prop_map(|(who, component, seed, link)| Edit::Set { who, component, seed, link }),
        4 => (w(), b(), s(), w()).prop_map(|(who, component, seed, link)| Edit::Add { who, component, seed, link }),
        3 => (w(), b()).prop_map(|(who, component)| Edit::Remove { who, component }),
        2 => (b(), b(), s()).prop_map(|(query, component, seed)| Edit::AddWhere { query, component, seed }),
        2 => (b(), b()).prop_map(|(query, component)| Edit::RemoveWhere { query, component }),
        2 => b().prop_map(|query| Edit::DespawnWhere { query }),
        2 => b().prop_map(|which| Edit::QueryMut { which }),
        1 => (b(), s(), any::<bool>()).prop_map(|(which, seed, insert)| Edit::Resource { which, seed, insert }),
        3 => (w(), s(), w()).prop_map(|(who, seed, link)| Edit::List { who, seed, link }),
        1 => w().prop_map(|who| Edit::Unlist { who }),
        1 => Just(Edit::Publish),
    ]
}

fn frame() -> impl Strategy<Value = FrameSpec> {
    let payload = || prop::collection::vec(instruction(), 0..6);
    (
        prop_oneof![1 => Just(vec![]), 2 => prop::collection::vec(edit(), 0..6)],
        [payload(), payload(), payload(), payload()],
        prop::collection::vec(any::<u16>(), 0..6),
        any::<bool>(),
        prop::option::of(any::<u8>()),
        prop::bool::weighted(0.07),
    )
        .prop_map(|(edits, payloads, known, pin, unpin, resume)| FrameSpec {
            edits,
            payloads,
            known,
            pin,
            unpin,
            resume,
        })
}

/// Any program.
pub fn programs() -> impl Strategy<Value = Program> {
    (
        prop::collection::vec((any::<u8>(), 1u8..250, any::<u32>()), 1..7),
        prop::collection::vec(frame(), 1..10),
        prop::bool::weighted(0.4),
    )
        .prop_map(|(initial, frames, sort)| Program { initial, frames, sort })
}
