//! Plays a story on the engine and on the naive world, and looks after each step at everything that is promised.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use hypostyle::columns::Pinned;
use hypostyle::errors::JobFailure;
use hypostyle::{
    Entity, Publication, Reader, RegionError, RegionTarget, Simulation, StepError, Workers, World, WorldError, stage,
};

use super::director::{Dice, Shared, Trouble};
use super::history::History;
use super::mail::{Mail, TAKEN};
use super::power::Disk;
use super::story::{Setup, Step, Story, Weather};
use super::tally::Tally;
use super::watch::Watcher;
use super::{CHECKPOINTS, weather};
use crate::model::drive::Driver;
use crate::model::engine::{self, Log, PATCHERS};
use crate::model::look::{compare, contents, expected, hash_of, same};
use crate::model::naive::{Counts, Naive};
use crate::model::oracle::{self, INPUTS, Outcome, REGISTERED};
use crate::model::program::{Instruction, Payload, mix};

/// How a story went.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    pub tally: Tally,
    /// Everything that was decided and passed: equal for equal runs.
    pub digest: u64,
    /// Seed of the step, frame, state and order of rows of what each frame published.
    pub trace: Vec<(u64, u64, u64, u64)>,
    /// The hash of the last generation.
    pub end: u64,
    /// The story, line by line.
    pub told: Vec<String>,
}

/// How a story ended badly.
#[derive(Clone, Debug)]
pub struct Failure {
    pub message: String,
    /// The step.
    pub step: usize,
    pub told: Vec<String>,
}

impl Failure {
    /// Where it was seen.
    pub fn place(&self) -> Option<&str> {
        self.message.lines().next()
    }
}

/// Memory of worlds.
const BYTES_MAX: u64 = 1 << 25;
/// More than the control page has slots for directories.
const MANY: usize = 530;

/// A story as it is told while it is played.
#[derive(Debug, Default)]
struct Telling {
    step: usize,
    lines: Vec<String>,
    /// Where its files are, which is another place each time.
    place: Option<String>,
}

thread_local! {
    static TELLING: RefCell<Telling> = RefCell::new(Telling::default());
}

fn tell(line: &str) {
    TELLING.with_borrow_mut(|telling| {
        let line = match &telling.place {
            Some(place) => line.replace(place, "PLACE"),
            None => line.to_owned(),
        };
        telling.lines.push(line);
    });
}

/// What came of the step that was told last.
pub(super) fn tell_more(what: &dyn Display) {
    tell(&format!("       {what}"));
}

/// Plays a story, with its twin under other workers where it has one; a panic is the failure, and nothing is printed.
pub fn quietly(story: &Story) -> Result<Ran, Failure> {
    let played = super::hush::hushed(|| {
        TELLING.take();
        catch_unwind(AssertUnwindSafe(|| whole(story)))
    });
    played.map_err(|message| {
        let Telling { step, lines, .. } = TELLING.take();
        Failure { message, step, told: lines }
    })
}

fn whole(story: &Story) -> Ran {
    let ran = play(story);
    if story.seed.is_multiple_of(4) && matches!(story.setup.weather, Weather::Calm | Weather::Deaths) {
        let setup = Setup { workers: Workers::Local, weather: Weather::Calm, readers: 0, ..story.setup };
        tell("by main alone:");
        let twin = play(&Story { setup, ..story.clone() });
        assert_eq!(ran.trace, twin.trace, "the same bytes by main alone");
    }
    ran
}

fn play(story: &Story) -> Ran {
    let shared = Shared::default();
    shared.begin(story.seed, Trouble::default());
    let curtain = stage::raise(shared.director());
    let mut play = Play::new(story, shared.clone());
    for (number, (seed, step)) in story.steps.iter().enumerate() {
        TELLING.with_borrow_mut(|telling| telling.step = number);
        tell(&format!("{:>3}  {step:?}", number + 1));
        play.step(number, *seed, step);
    }
    let (trace, end) = play.end();
    assert_eq!(curtain.workers(), 0, "nobody is left on the stage");
    drop(curtain);
    let told = TELLING.with_borrow(|telling| telling.lines.clone());
    shared.with(|state| Ran { tally: std::mem::take(&mut state.tally), digest: state.digest, trace, end, told })
}

/// A generation as it was published.
pub(super) struct Published {
    model: Rc<Naive>,
    hash: Option<u64>,
}

pub(super) struct Play {
    pub(super) setup: Setup,
    pub(super) shared: Shared,
    pub(super) log: Log,
    pub(super) place: Option<tempfile::TempDir>,
    /// Where the region is now.
    pub(super) at: Option<PathBuf>,
    pub(super) simulation: Option<Simulation>,
    pub(super) driver: Driver,
    /// The newest generation's.
    pub(super) saved: Rc<Naive>,
    pub(super) generations: BTreeMap<u64, Published>,
    pub(super) pins: Vec<(Pinned, u64)>,
    pub(super) watchers: Vec<Watcher>,
    pub(super) mail: Mail,
    /// The hash and frame of the checkpoint that is there.
    pub(super) kept: Option<(u64, u64)>,
    /// What of the directory of checkpoints is on the disk.
    pub(super) disk: Disk,
    /// The power failed once the checkpoint was written.
    pub(super) is_late: bool,
    pub(super) history: Option<History>,
    pub(super) histories: usize,
    pub(super) trace: Vec<(u64, u64, u64, u64)>,
}

impl Play {
    fn new(story: &Story, shared: Shared) -> Play {
        let setup = story.setup;
        let place = setup.shared.then(|| tempfile::tempdir_in(memory_files()).expect("a temporary directory"));
        TELLING.with_borrow_mut(|telling| {
            telling.place = place.as_ref().map(|place| place.path().display().to_string());
        });
        let at = place.as_ref().map(|place| place.path().join("region"));
        if let Some(place) = &place {
            std::fs::create_dir(place.path().join(CHECKPOINTS)).expect("a directory");
        }
        let mut builder = engine::builder(BYTES_MAX).keep_generations(setup.keep);
        if let Some(at) = &at {
            builder = builder.region(RegionTarget::Directory(at.clone())).keep_region(true);
        }
        let mut world = builder.build().expect("the layout is valid");
        world.set_publish_wait(Duration::ZERO);
        let mut driver = Driver { model: Naive::default(), history: vec![], tight: false };
        driver.model.resources[1] = Some((-9.5f32).to_le_bytes().to_vec());
        let saved = Rc::new(driver.model.clone());
        let mut play = Play {
            setup,
            shared,
            log: Log::default(),
            place,
            at,
            simulation: None,
            driver,
            saved,
            generations: BTreeMap::new(),
            pins: Vec::new(),
            watchers: Vec::new(),
            mail: Mail::default(),
            kept: None,
            disk: Disk::default(),
            is_late: false,
            history: None,
            histories: 0,
            trace: Vec::new(),
        };
        play.simulate(world);
        play.record();
        play
    }

    /// Puts a simulation of all systems on a world.
    fn simulate(&mut self, world: World) {
        let setup = self.setup;
        let built = Simulation::builder()
            .workers(setup.workers)
            .main_helps(setup.main_helps || setup.workers == Workers::Local)
            .ring_bytes(setup.ring_bytes)
            .publish_every(setup.publish_every)
            .fuse(setup.fuse)
            .inputs(if setup.inputs { &TAKEN[..] } else { &[] }.iter().copied())
            .build(world, engine::schedule(&self.log, setup.sort, setup.job_rows));
        self.simulation = Some(built.expect("the schedule is sound"));
        self.mail = if setup.inputs { Mail::open(self.world()) } else { Mail::default() };
        self.watchers = (0..setup.readers).map(|_| Watcher::start(self.reader())).collect();
    }

    pub(super) fn simulation(&mut self) -> &mut Simulation {
        self.simulation.as_mut().expect("there is a writer")
    }

    pub(super) fn world(&self) -> &World {
        self.simulation.as_ref().expect("there is a writer").world()
    }

    pub(super) fn reader(&self) -> Reader {
        self.world().reader().expect("there are leases")
    }

    fn step(&mut self, number: usize, seed: u64, step: &Step) {
        let places = self.at.as_deref().zip(self.place.as_ref().map(|place| place.path()));
        let places = places.filter(|_| self.world().generation() > 0);
        let trouble = weather::trouble(&self.setup, number, seed, step, places);
        self.driver.tight = trouble.refuse.is_some();
        let copy = trouble.crash.as_ref().map(|crash| crash.to.clone());
        self.shared.begin(mix(seed), trouble);
        self.shared.with(|state| *state.tally.steps.entry(step.name()).or_default() += 1);
        let (before, begun) = (self.world().generation(), Rc::new(self.driver.model.clone()));
        let kept = self.kept;
        self.is_late = false;
        self.act(seed, step, before, &begun);
        for line in self.shared.with(|state| std::mem::take(&mut state.told)) {
            tell_more(&line);
        }
        // what comes now is looked at in peace
        self.shared.calm();
        self.look(number);
        self.record_newest(number, seed);
        match copy.filter(|copy| copy.exists()) {
            Some(copy) if matches!(step, Step::Checkpoint) => self.after_files(&copy, kept),
            Some(copy) => self.inherit(&copy, before, &begun, Dice(seed ^ 0xdead).one_in(2)),
            None => {}
        }
        assert_eq!(self.shared.with(|state| state.broken.take()), None);
        self.shared.borne();
    }

    /// The step itself; `begun`: the world before it, with its newest generation.
    fn act(&mut self, seed: u64, step: &Step, before: u64, begun: &Rc<Naive>) {
        match step {
            Step::Edit(edit) => {
                let simulation = self.simulation.as_mut().expect("there is a writer");
                self.driver.edit(simulation.world_mut(), edit);
                self.published(before, begun);
                if self.world().generation() > before {
                    self.mail.published();
                }
            }
            Step::Frame { payloads, known, dt } => self.frame(seed, payloads, known, *dt, begun),
            Step::Pin => {
                if self.pins.len() < 6
                    && let Ok(pinned) = self.reader().into_pinned()
                {
                    let hash = pinned.snapshot().hash();
                    self.pins.push((pinned, hash));
                }
            }
            Step::Unpin(which) if !self.pins.is_empty() => {
                drop(self.pins.swap_remove(usize::from(*which) % self.pins.len()));
            }
            Step::ReaderDies(which) if !self.pins.is_empty() => self.reader_dies(*which),
            Step::Unpin(_) | Step::ReaderDies(_) => {}
            Step::Rollback(frames) => self.rollback(u64::from(*frames)),
            Step::TakeOver => self.take_over(),
            Step::SecondOpener => self.second_opener(),
            Step::Checkpoint => {
                self.checkpoint();
                self.look_back(seed);
            }
            Step::Send if self.setup.inputs => self.mail.send(&self.driver, seed),
            Step::Send => {}
            Step::ManyPublications => self.many_publications(),
            Step::Wrong => panic!("wrong on purpose"),
        }
    }

    /// Whatever happened: the world is the model's, pins are what they were, readers saw whole generations.
    fn look(&mut self, number: usize) {
        compare(self.world(), &self.driver.model, &format!("after step {}", number + 1));
        for (pinned, hash) in &self.pins {
            let snapshot = pinned.snapshot();
            assert_eq!(snapshot.hash(), *hash, "generation {} changed under its pin", snapshot.generation());
        }
        for watcher in &self.watchers {
            for (generation, hash) in watcher.take() {
                let known = self.generations.get_mut(&generation);
                let known =
                    known.unwrap_or_else(|| panic!("a reader saw generation {generation}, which nobody published"));
                assert_eq!(*known.hash.get_or_insert(hash), hash, "a reader saw another generation {generation}");
            }
        }
        let world = self.world();
        if world.generation() > 0 {
            let mut reader = self.reader();
            let snapshot = reader.pin().expect("something is published");
            assert_eq!(
                (snapshot.frame(), snapshot.time()),
                (self.saved.frame, self.saved.time),
                "the newest generation"
            );
            assert_eq!(snapshot.generation(), world.generation());
            self.mail.check(world.generation());
            same(&contents(&snapshot).0, &expected(&self.saved), "the newest generation");
            snapshot.check().expect("it is whole");
        }
    }

    /// Notes what was published since `before`, when the model was `begun`.
    fn published(&mut self, before: u64, begun: &Rc<Naive>) {
        let now = self.world().generation();
        assert!((before..=before + 2).contains(&now), "generations {before} to {now} in one step");
        if now == before {
            return;
        }
        let mut reader = self.reader();
        let snapshot = reader.pin().expect("something is published");
        let hash = Some(snapshot.hash());
        let is_now = snapshot.frame() == self.driver.model.frame;
        self.saved = if is_now { Rc::new(self.driver.model.clone()) } else { Rc::clone(begun) };
        if now == before + 2 {
            self.generations.insert(before + 1, Published { model: Rc::clone(begun), hash: None });
        }
        self.generations.insert(now, Published { model: self.saved.clone(), hash });
    }

    fn frame(&mut self, seed: u64, payloads: &[Vec<Instruction>; 4], known: &[u16], dt: f64, begun: &Rc<Naive>) {
        let known: Vec<Entity> = known.iter().map(|who| self.driver.pick(*who)).collect();
        let payloads =
            [0, 1, 2, 3].map(|index: usize| Payload { known: known.clone(), instructions: payloads[index].clone() });
        for (name, payload) in PATCHERS.iter().zip(&payloads) {
            self.simulation().set_payload(name, payload.encode()).expect("the system is there");
        }
        let before = self.world().generation();
        let (inputs, takes) = (self.mail.next(), self.takes());
        let stepped = self.simulation().step(dt).map(|report| (report.patches.clone(), report.inputs.clone()));
        let took = self.takes() > takes;
        let log = self.log.take();
        if let Err(error) = &stepped
            && self.is_weather(error)
        {
            tell_more(&error);
            return self.undone(before, begun, took);
        }
        match (stepped, oracle::frame(&mut self.driver.model, &payloads, dt, &log, &inputs)) {
            (Ok((patches, inputs)), Outcome::Done(mut report)) => {
                report.entry(INPUTS).or_default().refused += self.posted(before, took);
                for (name, got) in REGISTERED.iter().zip(&patches).chain([(&INPUTS, &inputs)]) {
                    let got = Counts {
                        applied: got.applied,
                        overwritten: got.overwritten,
                        stale: got.stale,
                        absent: got.absent,
                        refused: got.refused,
                        spawned: got.spawned,
                        despawned: got.despawned,
                    };
                    assert_eq!(got, report.get(name).cloned().unwrap_or_default(), "patches of `{name}`");
                }
            }
            (Err(StepError::Job { undone, frame, .. }), Outcome::Failed(_)) => {
                self.undone(before, begun, took);
                return assert_eq!((frame, undone), (self.saved.frame, begun.frame + 1 - self.saved.frame));
            }
            (Ok(_), Outcome::Failed(system)) => panic!("system `{system}` did not fail"),
            (Err(error), _) => panic!("the frame failed: {error}"),
        }
        self.published(before, begun);
        let handles = self.driver.model.handles();
        self.driver.history.extend(handles.iter().filter(|entity| entity.to_bits() % 7 == 0));
        let mut reader = self.reader();
        let snapshot = reader.pin().expect("something is published");
        if snapshot.frame() == self.driver.model.frame {
            self.trace.push((seed, snapshot.frame(), snapshot.hash(), hash_of(&contents(&snapshot).1)));
        }
    }

    /// Whether a frame may fail so in this weather.
    fn is_weather(&self, error: &StepError) -> bool {
        match error {
            StepError::Job { failure, .. } | StepError::Pool { failure, .. } => {
                let killed = matches!(**failure, JobFailure::KilledWorkers { .. } | JobFailure::NoWorkers { .. });
                let deadly = matches!(self.setup.weather, Weather::Slaughter);
                assert!(!killed || deadly, "two deaths cost time alone: {error}");
                killed
            }
            StepError::World { source, .. } => {
                let refused = self.driver.tight && matches!(**source, WorldError::Region(_));
                assert!(refused, "the frame failed: {error}");
                true
            }
            _ => false,
        }
    }

    /// How often inputs were taken.
    fn takes(&self) -> u64 {
        self.shared.with(|state| state.tally.at("inputs-taken").times)
    }

    /// What a frame that ended well did with inputs, where it was published or not. How many it says were given up.
    fn posted(&mut self, before: u64, took: bool) -> u64 {
        assert_eq!(took, self.setup.inputs, "every frame takes inputs, where there are any");
        let now = self.world().generation();
        let is_published = now > before && self.newest_frame() == self.driver.model.frame;
        if now > before + u64::from(is_published) {
            // what was edited was published before the frame began
            self.mail.published();
        }
        let given_up = if took { self.mail.took() } else { 0 };
        self.mail.applied();
        if is_published {
            self.mail.published();
        }
        given_up
    }

    fn newest_frame(&self) -> u64 {
        self.reader().pin().expect("something is published").frame()
    }

    /// A frame failed: the world is at its last generation.
    fn undone(&mut self, before: u64, begun: &Rc<Naive>, took: bool) {
        let now = self.world().generation();
        assert!((before..=before + 1).contains(&now), "generations {before} to {now} in a frame that failed");
        if now > before {
            // what was edited was published before the frame began
            self.mail.published();
            self.saved = Rc::clone(begun);
            self.generations.insert(now, Published { model: Rc::clone(begun), hash: None });
        }
        if took {
            // a frame that fails reports nothing
            self.mail.took();
        }
        self.mail.failed();
        self.driver.model = Naive::clone(&self.saved);
    }

    fn rollback(&mut self, frames: u64) {
        let before = self.world().generation();
        let target = self.world().frame().checked_sub(frames);
        let kept: Vec<(u64, u64)> = self.world().kept_generations().map(|kept| (kept.generation, kept.frame)).collect();
        let found = target.and_then(|target| kept.iter().rev().find(|(_, frame)| *frame <= target));
        match (self.simulation().rollback(frames), found) {
            (Ok(back), Some((source, frame))) => {
                assert_eq!((back.source, back.frame), (*source, *frame), "of {kept:?}");
                let of = &self.generations[source];
                let (model, hash) = (of.model.clone(), of.hash);
                assert_eq!(back.generation, self.world().generation());
                self.driver.model = Naive::clone(&model);
                self.saved = Rc::clone(&model);
                self.mail.went_back();
                if back.generation > before {
                    self.mail.published();
                    self.generations.insert(back.generation, Published { model, hash });
                }
            }
            (Err(WorldError::NotKept { .. }), None) => {}
            (Err(WorldError::Region(error)), Some(_)) if self.driver.tight => {
                tell_more(&error);
                self.mail.went_back();
                self.driver.model = Naive::clone(&self.saved);
            }
            (got, found) => panic!("rolled back by {frames} of {kept:?}: {got:?}, {found:?}"),
        }
    }

    fn strike(&mut self) {
        if let Some(history) = &mut self.history {
            history.pause();
        }
        for watcher in std::mem::take(&mut self.watchers) {
            watcher.end();
        }
        self.mail = Mail::default();
        self.simulation = None;
    }

    fn resume(&mut self, at: &Path) -> World {
        let builder = engine::builder(1 << 20).keep_region(true).keep_generations(self.setup.keep);
        let mut world = builder.resume(&RegionTarget::Directory(at.to_owned())).expect("its writer has ended");
        world.set_publish_wait(Duration::ZERO);
        world
    }

    fn take_over(&mut self) {
        let Some(at) = self.at.clone().filter(|_| self.world().generation() > 0) else { return };
        self.strike();
        let target = RegionTarget::Directory(at.clone());
        let builder = engine::builder(1 << 20).keep_region(true).keep_generations(self.setup.keep);
        // an attempt that the system refuses leaves the region as it was
        if let Err(error) = builder.resume(&target) {
            assert!(self.driver.tight && matches!(error, WorldError::Region(_)), "its writer has ended: {error}");
            tell_more(&error);
        }
        self.shared.calm();
        let world = self.resume(&at);
        self.driver.model = Naive::clone(&self.saved);
        self.simulate(world);
        if let Some(history) = &mut self.history {
            history.resume(self.simulation.as_ref().expect("there is a writer").world());
        }
    }

    /// A writer died in this step, and left this: it is its last generation, can be gone on from, and nothing else is.
    fn inherit(&mut self, copy: &Path, before: u64, begun: &Rc<Naive>, goes_on: bool) {
        let world = self.resume(copy);
        let generation = world.generation();
        let now = self.world().generation();
        assert!(
            (before..=now).contains(&generation),
            "a dead writer left generation {generation} of {before} to {now}"
        );
        let model = match self.generations.get(&generation) {
            Some(published) => Rc::clone(&published.model),
            None => Rc::clone(begun),
        };
        compare(&world, &model, "what a dead writer left");
        if goes_on {
            tell_more(&format!("what the dead writer left is gone on with, generation {generation}"));
            self.strike();
            if let Some(old) = self.at.replace(copy.to_owned()) {
                std::fs::remove_dir_all(old).expect("it is there");
            }
            self.generations.retain(|known, _| *known <= generation);
            (self.driver.model, self.saved) = (Naive::clone(&model), model);
            self.pins.clear();
            self.simulate(world);
            // the old one has what this one never did
            return self.record();
        }
        let mut world = world;
        assert!(matches!(world.publish(), Ok(Publication::Published(next)) if next == generation + 1));
        let mut reader = world.reader().expect("there are leases");
        same(&contents(&reader.pin().expect("it was published")).0, &expected(&model), "published by an heir");
        drop(reader);
        world.set_keep_region(false);
        drop(world);
        assert!(!copy.exists(), "a region that ends is gone");
    }

    fn second_opener(&mut self) {
        let Some(at) = self.at.clone() else { return };
        let refused = engine::builder(1 << 20).keep_region(true).resume(&RegionTarget::Directory(at));
        let live = matches!(&refused, Err(WorldError::Region(RegionError::Live { .. })));
        assert!(live, "a second writer beside a living one: {:?}", refused.err());
    }

    /// A reader dies: its pin stays on its lease, its lock is gone.
    fn reader_dies(&mut self, which: u8) {
        let (pinned, _) = self.pins.swap_remove(usize::from(which) % self.pins.len());
        let Some(leases) = self.at.as_ref().map(|at| at.join("leases")) else { return };
        let before = std::fs::read(&leases).unwrap_or_default();
        drop(pinned);
        let after = std::fs::read(&leases).unwrap_or_default();
        let Ok(file) = std::fs::OpenOptions::new().write(true).open(&leases) else { return };
        for (page, (old, new)) in before.chunks(4096).zip(after.chunks(4096)).enumerate() {
            if old[..12] != new[..12] {
                std::os::unix::fs::FileExt::write_all_at(&file, &old[..12], page as u64 * 4096)
                    .expect("it can be written");
            }
        }
    }

    fn many_publications(&mut self) {
        let held = self.pins.len();
        for number in 0..MANY {
            let before = self.world().generation();
            let published = self.simulation().world_mut().publish();
            let done = matches!(&published, Ok(Publication::Published(_)));
            assert!(done || self.driver.tight, "publication {number} with {held} pins: {published:?}");
            let begun = Rc::new(self.driver.model.clone());
            self.published(before, &begun);
            self.mail.published();
        }
    }

    /// All let go; nothing is left of anybody.
    fn end(mut self) -> (Vec<(u64, u64, u64, u64)>, u64) {
        self.shared.begin(0, Trouble::default());
        self.driver.tight = false;
        self.pins.clear();
        for watcher in std::mem::take(&mut self.watchers) {
            watcher.end();
        }
        for _ in 0..2 {
            let (before, begun) = (self.world().generation(), Rc::new(self.driver.model.clone()));
            let published = self.simulation().world_mut().publish();
            assert!(matches!(&published, Ok(Publication::Published(_))), "at the end: {published:?}");
            self.published(before, &begun);
            self.mail.published();
        }
        self.look(usize::MAX - 1);
        self.look_back(0);
        let leases = self.reader().leases().expect("they can be read");
        let newest = self.world().generation();
        let held: Vec<_> = leases.iter().filter(|lease| lease.generation.is_some_and(|held| held < newest)).collect();
        assert!(held.is_empty(), "leases that nobody has hold generations: {held:?}");
        let end = self.reader().pin().expect("it was published").hash();
        self.simulation().set_keep_region(false);
        self.strike();
        if let Some(at) = &self.at {
            assert!(!at.exists(), "a region that ends is gone");
        }
        if let Some(place) = &self.place {
            let names = std::fs::read_dir(place.path()).expect("it is there").filter_map(Result::ok);
            let left: Vec<_> = names
                .map(|entry| entry.file_name())
                .filter(|name| name != CHECKPOINTS && !name.to_string_lossy().starts_with("journal"))
                .collect();
            assert!(left.is_empty(), "left behind: {left:?}");
        }
        (self.trace, end)
    }
}

/// Where named regions are: in memory.
fn memory_files() -> PathBuf {
    let path = RegionTarget::Named("simulated".to_owned()).path().expect("there are named regions");
    path.and_then(|path| path.parent().map(Path::to_owned)).expect("they have a directory")
}
