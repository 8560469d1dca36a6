//! People who meet, fall ill and recover, are born and die: an epidemic on a network of contacts.
//!
//! The model of Reed and Frost, "chain binomial", on a random network, with births and deaths (Keeling and Rohani, "Modeling
//! Infectious Diseases in Humans and Animals", 2008). A person is susceptible, infected or recovered; a contact is an entity that
//! names two people. A frame is a day:
//! - `meet`: over each contact between an infected and a susceptible one the disease passes with a probability;
//! - `sicken`: who was infected falls ill; who was ill before recovers with a probability; and people are counted;
//! - `live`: everyone dies with a probability, and is replaced by a child with contacts of its own; a contact of somebody who
//!   is gone ends (a relation with cascade);
//! - `line up`: people stand in the order of their ids, so that whom a child knows does not depend on who died where.
//!
//! Without births and deaths the part z of all who were ever ill is known: z = 1 - exp(-T d z), with d contacts each on the mean and
//! T = p / (p + r - p r), for the probabilities p of passing and r of recovering: Newman, "Spread of epidemic disease on networks",
//! 2002.
#![forbid(unsafe_code)]

use std::error::Error;
use std::ops::Range;

use hypostyle::{
    Component, Elsewhere, Entity, FieldJoin, GlobalId, Layout, Read, Reduce, Resource, Schedule, System, World,
    WorldBuilder, Write,
};

use super::random::Random;
use super::{Line, Scene, SceneError, SceneOption, SceneOptions, bytes_max, put};

/// How a person is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Component)]
pub struct Person {
    /// [`SUSCEPTIBLE`], [`INFECTED`] or [`RECOVERED`].
    pub state: u32,
    /// Contacts through which the disease came today.
    pub exposures: u32,
}

/// Was never ill.
pub const SUSCEPTIBLE: u32 = 0;
/// Is ill, and passes it on.
pub const INFECTED: u32 = 1;
/// Was ill, and will not be again.
pub const RECOVERED: u32 = 2;

/// Two people who meet each day.
#[derive(Clone, Copy, Debug, PartialEq, Component)]
pub struct Contact {
    /// One of them.
    pub a: Entity,
    /// The other one.
    pub b: Entity,
}

/// How many are how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Resource, Reduce)]
pub struct Census {
    /// People who were never ill.
    #[reduce(sum)]
    pub susceptible: u64,
    /// People who are ill.
    #[reduce(sum)]
    pub infected: u64,
    /// People who were ill.
    #[reduce(sum)]
    pub recovered: u64,
    /// People who fell ill today.
    #[reduce(sum)]
    pub new: u64,
}

/// The disease and the people; probabilities are of a day.
#[derive(Clone, Copy, Debug, PartialEq, Resource)]
pub struct Rules {
    /// That the disease passes over a contact.
    #[resource(default = 0.05)]
    pub infect: f64,
    /// That an ill person recovers.
    #[resource(default = 0.1)]
    pub recover: f64,
    /// That a person dies, and a child is born.
    #[resource(default = 0.0005)]
    pub turnover: f64,
    /// Contacts of a person, on the mean.
    #[resource(default = 8.0)]
    pub degree: f64,
}

/// One in so many is ill at the beginning.
const ILL_AT_FIRST: u64 = 500;

/// The scene.
pub struct Epidemic;

impl Scene for Epidemic {
    fn name(&self) -> &'static str {
        "epidemic"
    }

    fn about(&self) -> &'static str {
        "people on a network of contacts fall ill and recover, are born and die"
    }

    fn default_entities(&self) -> u64 {
        100_000
    }

    fn options(&self) -> &'static [SceneOption] {
        const OPTIONS: &[SceneOption] = &[
            SceneOption {
                name: "degree",
                value: "D",
                about: "contacts of a person, on the mean, 0 to 100 (default 8)",
            },
            SceneOption {
                name: "infect",
                value: "P",
                about: "probability of a day that it passes over a contact (default 0.05)",
            },
            SceneOption { name: "recover", value: "P", about: "probability of a day to recover (default 0.1)" },
            SceneOption {
                name: "turnover",
                value: "P",
                about: "probability of a day to die, and be replaced (default 0.0005)",
            },
        ];
        OPTIONS
    }

    fn dt(&self) -> f64 {
        1.0
    }

    fn default_frames(&self) -> Option<u64> {
        Some(365)
    }

    fn world(&self, options: &SceneOptions, builder: WorldBuilder) -> Result<World, Box<dyn Error>> {
        let people = options.entities.unwrap_or(self.default_entities());
        let rules = rules_of(options)?;
        let contacts = if people < 2 { 0 } else { (people as f64 * rules.degree / 2.0) as u64 };
        let mut world = builder
            .layout(Layout::parse(include_str!("../../../layouts/epidemic.toml"), "epidemic.toml")?)
            .component::<GlobalId>()
            .component::<Elsewhere>()
            .component::<Person>()
            .component::<Contact>()
            .resource::<Census>()
            .resource::<Rules>()
            .bytes_max_default(bytes_max(people.saturating_add(contacts), 256))
            .build()?;
        // before anything is made of that length
        world.reserve::<(GlobalId, Person)>(people)?;
        world.reserve::<(GlobalId, Contact)>(contacts)?;
        put(&mut world, rules)?;
        let ill = people.div_ceil(ILL_AT_FIRST);
        let handles = world.spawn_batch((0..people).map(|index| {
            let state = if index < ill { INFECTED } else { SUSCEPTIBLE };
            (GlobalId::root(index), Person { state, exposures: 0 })
        }))?;
        put(&mut world, Census { susceptible: people - ill, infected: ill, ..Census::default() })?;
        let seed = options.seed;
        world.spawn_batch((0..contacts).map(|index| {
            let mut random = Random::new(seed, index, 0);
            let a = pick(random.unit(), handles.len());
            // somebody else
            let b = (a + 1 + pick(random.unit(), handles.len() - 1)) % handles.len();
            (GlobalId::root(people + index), Contact { a: handles[a], b: handles[b] })
        }))?;
        Ok(world)
    }

    fn schedule(&self, _: &SceneOptions) -> Schedule {
        let mut schedule = Schedule::new();
        schedule.add(meet()).add(sicken()).add(live());
        // a contact of somebody who is gone ends
        for field in ["contact.a", "contact.b"] {
            schedule.add(System::relation_cascade(format!("part from {field}"), field).after("live"));
        }
        schedule.add(line_up());
        schedule
    }

    fn looks_at_all(&self, _: &SceneOptions) -> bool {
        true
    }

    fn observe(&self, world: &World) -> Result<Vec<Line>, Box<dyn Error>> {
        let census = world.resource::<Census>()?;
        Ok(vec![
            Line::count("susceptible", census.susceptible),
            Line::count("infected", census.infected),
            Line::count("recovered", census.recovered),
            Line::count("contacts", world.entity_count() - census.people()),
        ])
    }
}

impl Census {
    /// All of them.
    #[must_use]
    pub fn people(&self) -> u64 {
        self.susceptible + self.infected + self.recovered
    }
}

/// What the options choose.
fn rules_of(options: &SceneOptions) -> Result<Rules, SceneError> {
    Ok(Rules {
        infect: options.number("infect", 0.0, 1.0)?.unwrap_or(0.05),
        recover: options.number("recover", 0.0, 1.0)?.unwrap_or(0.1),
        turnover: options.number("turnover", 0.0, 0.5)?.unwrap_or(0.0005),
        degree: options.number("degree", 0.0, 100.0)?.unwrap_or(8.0),
    })
}

/// One of so many, by a random number from 0 to 1.
fn pick(unit: f64, count: usize) -> usize {
    ((unit * count as f64) as usize).min(count.saturating_sub(1))
}

/// Passes the disease over contacts.
fn meet() -> System {
    System::try_neighbours::<(Read<Contact>, Read<GlobalId>), Read<Person>>("meet", |job, (contact, id), people| {
        let rules: Rules = job.resource()?;
        let state = |entity| people.locate(entity).map(|(table, row)| people.table(table).columns.state[row]);
        for row in 0..job.len() {
            let (a, b) = (contact.a[row], contact.b[row]);
            let target = match (state(a), state(b)) {
                (Some(INFECTED), Some(SUSCEPTIBLE)) => b,
                (Some(SUSCEPTIBLE), Some(INFECTED)) => a,
                _ => continue,
            };
            if job.random_of_id(id.value[row]).f64() < rules.infect {
                job.accumulate(target, Person { state: 0, exposures: 1 });
            }
        }
        Ok(())
    })
    .reads_resource::<Rules>()
    .accumulates::<Person>(FieldJoin::Sum)
}

/// Exposed people fall ill, ill ones recover; counts everyone.
fn sicken() -> System {
    System::try_rows::<(Write<Person>, Read<GlobalId>)>("sicken", |job, (mut person, id)| {
        let rules: Rules = job.resource()?;
        let mut census = Census::default();
        for row in 0..job.len() {
            let before = person.state[row];
            let state = match before {
                SUSCEPTIBLE if person.exposures[row] > 0 => INFECTED,
                INFECTED if job.random_of_id(id.value[row]).f64() < rules.recover => RECOVERED,
                _ => before,
            };
            if state != before {
                person.state[row] = state;
            }
            if person.exposures[row] > 0 {
                person.exposures[row] = 0;
            }
            census.susceptible += u64::from(state == SUSCEPTIBLE);
            census.infected += u64::from(state == INFECTED);
            census.recovered += u64::from(state == RECOVERED);
            census.new += u64::from(state != before && state == INFECTED);
        }
        job.reduce(census);
        Ok(())
    })
    .reads_resource::<Rules>()
    .reduces::<Census>()
    .after("meet")
}

/// The n-th of all rows that these ranges have, one after the other.
fn nth(ranges: &[Range<usize>], mut n: usize) -> usize {
    for range in ranges {
        if n < range.len() {
            return range.start + n;
        }
        n -= range.len();
    }
    ranges.last().map_or(0, |range| range.end - 1)
}

/// People who were born stand last, and those who died have left gaps: everyone goes back to the place of his id.
fn line_up() -> System {
    System::rows::<(Read<Person>, Read<GlobalId>)>("line up", |_, _| {})
        .sort_by("global_id.value")
        .after("part from contact.a")
        .after("part from contact.b")
}

/// People die and are replaced by children, who know some others.
fn live() -> System {
    System::try_neighbours::<(Read<Person>, Read<GlobalId>), (Read<Person>, Read<GlobalId>)>(
        "live",
        |job, (_, id), people| {
            let rules: Rules = job.resource()?;
            let Some(own) = people.own() else { return Ok(()) };
            let all = people.table(own);
            // those of other ranks stand behind the own ones
            let in_order = all.ordered(all.columns.1.value);
            for row in 0..job.len() {
                let mut random = job.random_of_id(id.value[row]);
                if random.f64() >= rules.turnover {
                    continue;
                }
                job.despawn_row(row);
                let child_id = GlobalId { value: id.value[row] }.child(job.frame(), 0);
                let child = job.spawn((child_id, Person::default()));
                // with somebody who dies today, too, the contact ends at once
                for number in 0..u64::from(rules.degree as u32) {
                    let known = all.entities[nth(&in_order, pick(random.f64(), all.entities.len()))];
                    if known != job.entities()[row] {
                        job.spawn((child_id.child(job.frame(), number), Contact { a: child, b: known }));
                    }
                }
            }
            Ok(())
        },
    )
    .reads_resource::<Rules>()
    .spawns::<(GlobalId, Person)>()
    .spawns::<Contact>()
    .despawns()
    .after("sicken")
}
