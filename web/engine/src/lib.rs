//! The engine as a WebAssembly module: what a host calls, as functions of numbers.
//!
//! One build shares its memory: the host makes several instances on one memory, each in a thread of its own; one has the
//! engine, the others bring threads to its workers. The other build is for one thread. Functions that can fail return 0
//! or 1 and leave a text: the answer or the error. A text from the host is written to where `text_make` says.
//!
//! A crate of its own with other scenes is built on this one: it names them in [`scenes!`], and exports the rest from here.
//!
//! Invariant: an instance's functions are called by its own thread alone, and not after one of them ended in a trap,
//! but for `panic_text` and, on workers, `worker_died`.
#![expect(unsafe_code, reason = "exports functions by name; the host's promises are its own")]

mod answer;
mod changes;
mod engine;
mod own;

use std::alloc::{Layout, alloc_zeroed};
use std::cell::RefCell;
use std::sync::{Mutex, Once, OnceLock, PoisonError};

use hypostyle::workers::{DeathNotice, HostedWorker};
use hypostyle::{Host, set_host};

use engine::Engine;
use own::{Call, Own, Place};

#[doc(no_inline)]
pub use hypostyle_scenes::{Line, Scene, SceneError, SceneOption, SceneOptions, Space};

/// The scenes of this module, where they are not the engine's own.
static OFFERED: OnceLock<&'static [&'static dyn Scene]> = OnceLock::new();

/// Makes these the scenes of this module; later calls change nothing. [`scenes!`] calls it.
pub fn offer(scenes: &'static [&'static dyn Scene]) {
    let _ = OFFERED.set(scenes);
}

fn offered() -> &'static [&'static dyn Scene] {
    OFFERED.get().copied().unwrap_or_else(hypostyle_scenes::all)
}

/// The scenes of a module of one's own, in place of the engine's: `hypostyle_web_engine::scenes!(Drops, Sparks);`, once in
/// the crate.
#[macro_export]
macro_rules! scenes {
    ($($scene:expr),+ $(,)?) => {
        /// Makes the scenes known; the host calls it first.
        #[unsafe(no_mangle)]
        pub extern "C" fn engine_scenes() {
            static SCENES: &[&dyn $crate::Scene] = &[$(&$scene),+];
            $crate::offer(SCENES);
        }
    };
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    /// Milliseconds since some moment, the same one in all threads; more than 0.
    safe fn now_ms() -> f64;

    /// Calls the kernel of a system of the host's: the system's number, the job's first row in its table, rows, a frame's
    /// seconds, time, frame, and for each column of the system its address, bytes, and the code of its type. 1: it
    /// failed, and the text says why. The host writes to columns that the system writes alone, and within the call.
    fn js_kernel(system: u32, first_row: u32, rows: u32, dt: f64, time: f64, frame: f64, columns: *const Place) -> u32;
}

/// Calls a kernel of the host.
fn call_kernel(call: Call, places: &[Place]) -> Result<(), String> {
    let Call { system, first_row, rows, dt, time, frame } = call;
    // SAFETY: the host writes to written columns alone, while the call goes on (its promise); the job has them for itself.
    match unsafe { js_kernel(system, first_row, rows, dt, time, frame, places.as_ptr()) } {
        0 => Ok(()),
        _ => Err(text()),
    }
}

thread_local! {
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What the threads of the other instances are to run, and how their deaths are told.
static WORKERS: Mutex<Vec<(Option<HostedWorker>, DeathNotice)>> = Mutex::new(Vec::new());

fn workers() -> std::sync::MutexGuard<'static, Vec<(Option<HostedWorker>, DeathNotice)>> {
    WORKERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves a text for the host; 1 for an error's.
fn leave(answer: Result<String, String>) -> u32 {
    let failed = answer.is_err();
    TEXT.set(answer.unwrap_or_else(|error| error).into_bytes());
    u32::from(failed)
}

fn text() -> String {
    TEXT.with_borrow(|text| String::from_utf8_lossy(text).into_owned())
}

fn with(act: impl FnOnce(&mut Engine) -> Result<String, String>) -> u32 {
    leave(ENGINE.with_borrow_mut(|engine| match engine {
        Some(engine) => act(engine),
        None => Err("the engine has not been started, or was stopped".to_owned()),
    }))
}

/// Makes room for a text of so many bytes, which the host writes there.
#[unsafe(no_mangle)]
pub extern "C" fn text_make(bytes: usize) -> *mut u8 {
    TEXT.with_borrow_mut(|text| {
        text.clear();
        text.resize(bytes, 0);
        text.as_mut_ptr()
    })
}

/// Where the last call's text is, until the next call.
#[unsafe(no_mangle)]
pub extern "C" fn text_start() -> *const u8 {
    TEXT.with_borrow(|text| text.as_ptr())
}

/// How long it is.
#[unsafe(no_mangle)]
pub extern "C" fn text_bytes() -> usize {
    TEXT.with_borrow(Vec::len)
}

/// Leaves what the last panic of this instance said.
#[unsafe(no_mangle)]
pub extern "C" fn panic_text() -> u32 {
    leave(Ok(PANIC.with_borrow(String::clone)))
}

/// Memory for a thread's stack or its thread-local values, for good; 0: there is none.
#[unsafe(no_mangle)]
pub extern "C" fn memory_take(bytes: usize, align: usize) -> *mut u8 {
    match Layout::from_size_align(bytes.max(1), align.max(16)) {
        // SAFETY: the size is not zero.
        Ok(layout) => unsafe { alloc_zeroed(layout) },
        Err(_) => std::ptr::null_mut(),
    }
}

/// Starts the engine with the scene that the text names and so many workers, for whose threads the host calls
/// `worker_run` on other instances. Answers with what the scene is.
#[unsafe(no_mangle)]
pub extern "C" fn engine_start(entities: f64, seed: u64, threads: u32, cores: u32, publish_every: u32) -> u32 {
    prepare(cores);
    leave(Engine::start(&text(), entities, seed, threads as usize, u64::from(publish_every)).map(keep))
}

/// Keeps an engine, for whose workers the host brings threads; what runs.
fn keep(mut engine: Engine) -> String {
    let brought = engine.hosted_workers().into_iter().map(|worker| {
        let notice = worker.death_notice();
        (Some(worker), notice)
    });
    *workers() = brought.collect();
    let about = engine.about();
    ENGINE.set(Some(engine));
    about
}

/// Begins a world of the host's own, by the layout that the text is; [`own_start`] starts it.
#[unsafe(no_mangle)]
pub extern "C" fn own_layout(cores: u32) -> u32 {
    prepare(cores);
    leave(Own::new(&text()).map(|own| {
        OWN.set(Some(own));
        String::new()
    }))
}

fn with_own(act: impl FnOnce(&mut Own, String) -> Result<String, String>) -> u32 {
    let given = text();
    leave(OWN.with_borrow_mut(|own| match own {
        Some(own) => act(own, given),
        None => Err("no world of one's own was begun".to_owned()),
    }))
}

/// Begins to spawn so many entities of it: what they have, and then [`own_spawn`].
#[unsafe(no_mangle)]
pub extern "C" fn own_entities(count: f64) -> u32 {
    with_own(|own, _| own.begin(count))
}

/// They have the component that the text names.
#[unsafe(no_mangle)]
pub extern "C" fn own_component() -> u32 {
    with_own(Own::component)
}

/// They have the column that the text names, of so many bytes: answers with where the host writes it.
#[unsafe(no_mangle)]
pub extern "C" fn own_column(bytes: usize) -> u32 {
    with_own(|own, name| own.column(name, bytes))
}

/// Spawns them.
#[unsafe(no_mangle)]
pub extern "C" fn own_spawn() -> u32 {
    with_own(|own, _| own.spawn())
}

/// Adds a system that the text names.
#[unsafe(no_mangle)]
pub extern "C" fn own_system() -> u32 {
    with_own(Own::system)
}

/// Says more of it: 0 its stage, 1 a column that it writes, 2 one that it reads, 3 and 4 components that entities have
/// or lack, 5 to 8 components that it sets, adds, removes and spawns, 9 that it despawns.
#[unsafe(no_mangle)]
pub extern "C" fn own_part(kind: u32) -> u32 {
    with_own(|own, name| own.part(kind, name))
}

/// In a call of a kernel, when it is done: notes a change of so many rows of the job, 0 sets, 1 adds, 2 removes, 3
/// despawns, 4 spawns, for the components that the text names with commas. The host writes the rows there.
#[unsafe(no_mangle)]
pub extern "C" fn patch_note(kind: u32, count: usize) -> *mut u32 {
    changes::note(kind, text(), count)
}

/// Notes so many bytes of values of it, for the field that the text names, from an array for values of these types: a bit
/// for each, at its code. The host writes them there.
#[unsafe(no_mangle)]
pub extern "C" fn patch_column(bytes: usize, types: u32) -> *mut u8 {
    changes::note_column(text(), bytes, types)
}

/// Starts the engine with the world that was begun, as [`engine_start`] does with a scene.
#[unsafe(no_mangle)]
pub extern "C" fn own_start(dt: f64, threads: u32, publish_every: u32) -> u32 {
    let own = OWN.take().ok_or_else(|| "no world of one's own was begun".to_owned());
    leave(own.and_then(|own| own.start(dt, threads as usize, u64::from(publish_every), call_kernel)).map(keep))
}

/// Once in a memory: the clock, and where panics are told.
fn prepare(cores: u32) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let now_ns = || ((now_ms() * 1e6) as u64).max(1);
        set_host(Host { now_ns, cores: cores.max(1) as usize });
        std::panic::set_hook(Box::new(|info| PANIC.set(info.to_string())));
    });
}

/// Runs so many frames.
#[unsafe(no_mangle)]
pub extern "C" fn engine_step(frames: u32) -> u32 {
    with(|engine| engine.step(u64::from(frames)))
}

/// Answers with the hash of the newest state, as `hypostyle run --print-hash` prints it.
#[unsafe(no_mangle)]
pub extern "C" fn engine_hash() -> u32 {
    with(Engine::hash)
}

/// Pins the newest generation and answers with where its columns are; they stay as they are until it is released.
#[unsafe(no_mangle)]
pub extern "C" fn engine_pin() -> u32 {
    with(Engine::pin)
}

/// Releases what a snapshot has pinned.
#[unsafe(no_mangle)]
pub extern "C" fn engine_release(snapshot: u32) -> u32 {
    with(|engine| engine.release(snapshot))
}

/// Answers with how frames and workers are doing.
#[unsafe(no_mangle)]
pub extern "C" fn engine_status() -> u32 {
    with(|engine| Ok(engine.status()))
}

/// Ends the engine; its workers' threads return from `worker_run`.
#[unsafe(no_mangle)]
pub extern "C" fn engine_stop() -> u32 {
    ENGINE.set(None);
    workers().clear();
    leave(Ok(String::new()))
}

/// Brings this instance's thread to a worker until the engine is stopped.
#[unsafe(no_mangle)]
pub extern "C" fn worker_run(index: u32) -> u32 {
    let worker = workers().get_mut(index as usize).and_then(|(worker, _)| worker.take());
    leave(match worker {
        Some(worker) => worker.run().map(|()| String::new()).map_err(|error| error.to_string()),
        None => Err(format!("there is no worker {index}, or a thread has come to it before")),
    })
}

/// Tells the engine that `worker_run` ended in a trap, for the reason that the text gives.
#[unsafe(no_mangle)]
pub extern "C" fn worker_died(index: u32) {
    let reason = text();
    if let Some((_, notice)) = workers().get(index as usize) {
        // SAFETY: this is the instance whose thread was in `worker_run`: it is here now, and goes back there no more
        // (the host's promise).
        unsafe { notice.report_death(reason) };
    }
}
