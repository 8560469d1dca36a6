//! A stage for simulated workers: the engine's real code in threads of which one at a time runs, as a director says.
//!
//! Whoever is on the stage (the main thread, and each simulated worker) gives way at every point of `fault`, where it
//! spins, and where it sleeps. The director, a test's, then decides from its seed who runs next, whether the one that
//! passes the point dies there, and whether the system refuses what it is about to do. Time is the stage's as well. So
//! everything that happens follows from the director, and happens again with an equal one.
//!
//! Invariants: one actor runs, all others wait for their turn; a worker that dies unwinds without running code that
//! passes points, and is gone from the stage before anybody is told; main is always there and never dies.
#![forbid(unsafe_code)]

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::Mutex;

/// The number of the main thread on its stage.
pub const MAIN: usize = 0;
/// Turns without an end of the play after which nothing moves any more.
const TURNS_MAX: u64 = 2_000_000;

/// What becomes of one that passes a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Live,
    /// It is killed there. Main never is.
    Die,
    /// The system refuses what it is about to do, where it can.
    Refuse,
}

/// Decides everything that a run does not.
pub trait Director: Send {
    /// Somebody passes a point.
    fn pass(&mut self, actor: usize, point: &'static str) -> Fate;

    /// Who of these runs next, by place. `rests`: the actor itself has nothing to do.
    fn next(&mut self, actor: usize, ready: &[usize], rests: bool) -> usize;

    /// How long the present turn took.
    fn elapsed(&mut self) -> Duration;
}

struct Sleeper {
    bell: usize,
    until_ns: u64,
}

struct Entry {
    id: usize,
    thread: Option<Thread>,
    sleeps: Option<Sleeper>,
    /// To die at its next turn.
    doomed: bool,
}

struct Inner {
    director: Box<dyn Director>,
    actors: Vec<Entry>,
    next_id: usize,
    clock_ns: u64,
    turns: u64,
}

/// Where actors take turns.
struct Stage {
    running: AtomicUsize,
    /// Nobody takes turns any more: whoever is still there dies at once.
    over: AtomicBool,
    inner: Mutex<Inner>,
}

thread_local! {
    static HERE: RefCell<Option<(Arc<Stage>, usize)>> = const { RefCell::new(None) };
    /// The stage whose main waits for what this thread does.
    static VISITED: RefCell<Option<Arc<Stage>>> = const { RefCell::new(None) };
}

/// What a simulated worker is thrown out with.
struct Died;

/// Whether a payload of a panic is a simulated death, which nothing may catch.
pub(crate) fn is_death(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Died>()
}

fn here() -> Option<(Arc<Stage>, usize)> {
    if std::thread::panicking() {
        return None;
    }
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}

/// As long as it lives, the calling thread is main on a stage of its own.
#[must_use = "the stage is struck where it is dropped"]
pub struct Curtain(Arc<Stage>);

/// Sets up a stage with the calling thread as main on it.
///
/// # Panics
/// On a thread that is on one already.
pub fn raise(director: Box<dyn Director>) -> Curtain {
    let main = Entry { id: MAIN, thread: Some(std::thread::current()), sleeps: None, doomed: false };
    let inner = Inner { director, actors: vec![main], next_id: MAIN + 1, clock_ns: 0, turns: 0 };
    let stage =
        Arc::new(Stage { running: AtomicUsize::new(MAIN), over: AtomicBool::new(false), inner: Mutex::new(inner) });
    HERE.with(|here| {
        let before = here.borrow_mut().replace((Arc::clone(&stage), MAIN));
        assert!(before.is_none(), "a thread is on one stage");
    });
    Curtain(stage)
}

impl Curtain {
    /// The simulated time.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.0.inner.lock().clock_ns)
    }

    /// Workers that are on the stage.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.0.inner.lock().actors.len() - 1
    }
}

impl Drop for Curtain {
    fn drop(&mut self) {
        HERE.with(|here| here.borrow_mut().take());
    }
}

impl Stage {
    fn await_turn(&self, id: usize) {
        while self.running.load(Ordering::Acquire) != id && !self.over.load(Ordering::Acquire) {
            std::thread::park();
        }
    }

    /// Hands the turn to whom the director names. `own`: the one that has it; gone where it has left.
    fn choose(&self, inner: &mut Inner, own: usize, rests: bool) {
        let ready = loop {
            let now = inner.clock_ns;
            let is_ready =
                |actor: &&Entry| actor.doomed || actor.sleeps.as_ref().is_none_or(|sleeper| sleeper.until_ns <= now);
            let ready: Vec<usize> = inner.actors.iter().filter(is_ready).map(|actor| actor.id).collect();
            if !ready.is_empty() {
                break ready;
            }
            // everybody sleeps: time goes on to the first who wakes
            let wakes = inner.actors.iter().filter_map(|actor| Some(actor.sleeps.as_ref()?.until_ns)).min();
            inner.clock_ns = wakes.unwrap_or(now + 1);
        };
        let next = match ready.as_slice() {
            [only] => *only,
            several => several[inner.director.next(own, several, rests) % several.len()],
        };
        let actor = inner.actors.iter_mut().find(|actor| actor.id == next).expect("it was among them");
        actor.sleeps = None;
        self.running.store(next, Ordering::Release);
        if next != own
            && let Some(thread) = &actor.thread
        {
            thread.unpark();
        }
    }

    /// A turn ends at a point; returns when the next one of the same actor begins.
    fn turn(&self, id: usize, point: &'static str, sleep: Option<Sleeper>) -> Fate {
        if id != MAIN && self.over.load(Ordering::Acquire) {
            return Fate::Die;
        }
        let mut inner = self.inner.lock();
        inner.turns += 1;
        let stuck = inner.turns > TURNS_MAX;
        let took = inner.director.elapsed();
        inner.clock_ns += took.as_nanos() as u64;
        let mut fate = inner.director.pass(id, point);
        if id == MAIN && fate == Fate::Die {
            fate = Fate::Live;
        }
        if fate == Fate::Live {
            let rests = sleep.is_some();
            if let Some(actor) = inner.actors.iter_mut().find(|actor| actor.id == id) {
                actor.sleeps = sleep;
            }
            self.choose(&mut inner, id, rests);
            drop(inner);
            self.await_turn(id);
            inner = self.inner.lock();
            if id != MAIN && self.over.load(Ordering::Acquire)
                || inner.actors.iter().any(|actor| actor.id == id && actor.doomed)
            {
                fate = Fate::Die;
            }
        }
        drop(inner);
        assert!(!stuck, "nothing moves any more on the stage");
        fate
    }

    fn leave(&self, id: usize) {
        let mut inner = self.inner.lock();
        inner.actors.retain(|actor| actor.id != id);
        if !self.over.load(Ordering::Acquire) {
            self.choose(&mut inner, id, true);
        }
    }

    /// The play is over, or main unwinds: nobody hands on the turn any more.
    fn close(&self) {
        self.over.store(true, Ordering::Release);
        for thread in self.inner.lock().actors.iter().filter_map(|actor| actor.thread.as_ref()) {
            thread.unpark();
        }
    }
}

/// A thread that works while main waits for it: it passes points as main does, and nobody takes a turn meanwhile.
#[cfg(feature = "checkpoint")]
pub(crate) struct Guest(Option<Arc<Stage>>);

#[cfg(feature = "checkpoint")]
impl Guest {
    /// Of the calling thread, where that is main on a stage.
    pub(crate) fn of_this_thread() -> Self {
        Guest(here().filter(|(_, id)| *id == MAIN).map(|(stage, _)| stage))
    }

    /// The thread that calls this is the guest.
    pub(crate) fn enter(self) {
        VISITED.with(|visited| *visited.borrow_mut() = self.0);
    }
}

/// What becomes of a guest; none: the calling thread is no guest.
fn visit(point: &'static str) -> Option<Fate> {
    let stage = VISITED.try_with(|visited| visited.borrow().clone()).ok().flatten()?;
    Some(stage.inner.lock().director.pass(MAIN, point))
}

fn die() -> ! {
    resume_unwind(Box::new(Died))
}

/// Passes a point.
pub(crate) fn pass(point: &'static str) {
    let Some((stage, id)) = here() else {
        visit(point);
        return;
    };
    if stage.turn(id, point, None) == Fate::Die {
        die();
    }
}

/// What the system says at a point where it can refuse.
///
/// # Errors
/// The director wants one.
pub(crate) fn refusal(point: &'static str) -> io::Result<()> {
    let fate = match here() {
        Some((stage, id)) => stage.turn(id, point, None),
        None => visit(point).unwrap_or(Fate::Live),
    };
    match fate {
        Fate::Live => Ok(()),
        Fate::Die => die(),
        Fate::Refuse => Err(io::Error::other(format!("refused for a test at `{point}`"))),
    }
}

/// A size, or the one that it has on a stage.
pub(crate) fn sized<T>(size: T, on_stage: T) -> T {
    if here().is_some() { on_stage } else { size }
}

/// Gives way; false: nobody is on a stage here.
pub fn give_way() -> bool {
    let Some((stage, id)) = here() else { return false };
    if stage.turn(id, "spins", None) == Fate::Die {
        die();
    }
    true
}

/// Sleeps on a bell; false: nobody is on a stage here.
pub(crate) fn sleep(bell: usize, timeout: Duration) -> bool {
    sleep_at("sleeps", bell, timeout)
}

/// Rests for a while, where the calling thread is on a stage.
pub fn rest(time: Duration) {
    sleep_at("rests", 0, time);
}

fn sleep_at(point: &'static str, bell: usize, timeout: Duration) -> bool {
    let Some((stage, id)) = here() else { return false };
    let now = stage.inner.lock().clock_ns;
    let until_ns = now.saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
    if stage.turn(id, point, Some(Sleeper { bell, until_ns })) == Fate::Die {
        die();
    }
    true
}

/// Wakes who sleeps on a bell; false: nobody is on a stage here.
pub(crate) fn wake(bell: usize) -> bool {
    let Some((stage, _)) = here() else { return false };
    for actor in &mut stage.inner.lock().actors {
        if actor.sleeps.as_ref().is_some_and(|sleeper| sleeper.bell == bell) {
            actor.sleeps = None;
        }
    }
    true
}

/// A moment: the stage's where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(std::time::Instant);

impl Instant {
    pub(crate) fn now() -> Instant {
        static BEGAN: OnceLock<std::time::Instant> = OnceLock::new();
        Instant(match here() {
            None => std::time::Instant::now(),
            Some((stage, _)) => {
                let ns = stage.inner.lock().clock_ns;
                *BEGAN.get_or_init(std::time::Instant::now) + Duration::from_nanos(ns)
            }
        })
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Instant::now().0.saturating_duration_since(self.0)
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, time: Duration) -> Instant {
        Instant(self.0 + time)
    }
}

/// Somebody on the stage beside main, as main has it: a simulated worker process, or whatever a test lets play.
pub struct Actor {
    stage: Arc<Stage>,
    id: usize,
    status: Arc<OnceLock<&'static str>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Actor {
    /// Starts one on the calling thread's stage.
    ///
    /// # Errors
    /// There is no stage; no thread can be had; the director refuses.
    pub fn start(serve: impl FnOnce() + Send + 'static) -> io::Result<Actor> {
        let Some((stage, _)) = here() else {
            return Err(io::Error::other("simulated workers want a stage on the thread that starts them"));
        };
        let id = {
            let mut inner = stage.inner.lock();
            let id = inner.next_id;
            inner.next_id += 1;
            inner.actors.push(Entry { id, thread: None, sleeps: None, doomed: false });
            id
        };
        let status = Arc::new(OnceLock::new());
        let (own, told) = (Arc::clone(&stage), Arc::clone(&status));
        let body = move || {
            if let Some(actor) = own.inner.lock().actors.iter_mut().find(|actor| actor.id == id) {
                actor.thread = Some(std::thread::current());
            }
            own.await_turn(id);
            HERE.with(|here| *here.borrow_mut() = Some((Arc::clone(&own), id)));
            let done = catch_unwind(AssertUnwindSafe(serve));
            HERE.with(|here| here.borrow_mut().take());
            let status = match done {
                Ok(()) => "it ended by itself",
                Err(payload) if is_death(payload.as_ref()) => "it was killed",
                Err(_) => "it panicked",
            };
            let _ = told.set(status);
            own.leave(id);
        };
        let thread = std::thread::Builder::new().name(format!("simulated-{id}")).stack_size(1 << 20).spawn(body);
        match thread {
            Ok(thread) => Ok(Actor { stage, id, status, thread: Some(thread) }),
            Err(error) => {
                stage.inner.lock().actors.retain(|actor| actor.id != id);
                Err(error)
            }
        }
    }

    /// Its number, in place of a process's.
    pub(crate) fn pid(&self) -> u32 {
        self.id as u32
    }

    /// How it ended.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.status.get().map(|status| (*status).to_owned())
    }

    /// Whether it was killed. To be asked once it has ended.
    pub(crate) fn was_killed(&self) -> bool {
        self.status.get() == Some(&"it was killed")
    }

    /// It dies at its next turn.
    pub fn kill(&self) {
        if let Some(actor) = self.stage.inner.lock().actors.iter_mut().find(|actor| actor.id == self.id) {
            actor.doomed = true;
        }
    }

    /// Waits for its end, at most this long, then kills it and waits.
    pub fn end(&mut self, grace: Duration) {
        let begun = Instant::now();
        while self.status.get().is_none() {
            if begun.elapsed() >= grace {
                self.kill();
            }
            if !give_way() {
                self.stage.close();
                break;
            }
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}
