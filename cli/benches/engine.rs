//! The engine's benchmarks for `cargo bench`; `hypostyle bench` prints the same cases side by side.

use hypostyle::Workers;
use hypostyle_scenes as scenes;
use hypostyle_scenes::cases::{Options, integrate_simulation, worker_schedule};

const DT: f64 = 1.0 / 60.0;

fn worker_args(name: &str) -> Vec<String> {
    vec!["bench-worker".to_owned(), name.to_owned()]
}

fn options() -> Options {
    Options { sizes: Vec::new(), rounds: 3, worker: cfg!(unix).then_some(worker_args), filter: None }
}

const WORKERS: [Workers; 3] = [Workers::Local, Workers::Threads(1), Workers::Processes(1)];

/// A frame of position += velocity * dt, published.
#[divan::bench(args = [10_000usize, 100_000, 1_000_000])]
fn integrate(bencher: divan::Bencher<'_, '_>, size: usize) {
    let mut simulation = integrate_simulation(size, Workers::Local, 1, &options()).expect("a world can be made");
    bencher.counter(divan::counter::ItemsCount::new(size)).bench_local(|| {
        simulation.step(DT).expect("an integration step does not fail");
    });
}

/// The same at a million entities, with each pool.
#[divan::bench(args = WORKERS)]
fn integrate_1m(bencher: divan::Bencher<'_, '_>, workers: Workers) {
    let mut simulation = integrate_simulation(1_000_000, workers, 1, &options()).expect("a world can be made");
    bencher.counter(divan::counter::ItemsCount::new(1_000_000usize)).bench_local(|| {
        simulation.step(DT).expect("an integration step does not fail");
    });
}

/// A frame of the `particles` scene at a hundred thousand entities.
#[divan::bench]
fn particles_100k(bencher: divan::Bencher<'_, '_>) {
    let scene = scenes::find("particles").expect("the scene is compiled in");
    let settings = scenes::SceneOptions::new(Some(100_000), 1);
    let world = scene.world(&settings, hypostyle::World::builder()).expect("the scene can be made");
    let mut simulation =
        hypostyle::Simulation::new(world, scene.schedule(&settings), Workers::Local).expect("the schedule fits");
    bencher.counter(divan::counter::ItemsCount::new(100_000usize)).bench_local(|| {
        simulation.step(scene.dt()).expect("the scene's frames do not fail");
    });
}

fn main() {
    // a worker process of one of the pools above
    let name = std::env::args().nth(2).unwrap_or_default();
    if cfg!(unix) && hypostyle::serve(|| worker_schedule(&name)).expect("the main process is told") {
        return;
    }
    divan::main();
}
