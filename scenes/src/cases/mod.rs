//! What is measured, by `hypostyle bench` (interleaved, medians with spread) and by `cargo bench`.
//!
//! Every case does the whole work each time it is called: a frame with its commit and, where it says so, its
//! publication. What is compared runs in turn, round by round, so that a machine that drifts drifts for all.

mod checkpoint;
mod integrate;
mod journal;
mod others;
mod particles;
mod sandbox;
mod tracing;

use std::hint::black_box;
use std::time::Instant;

use hypostyle::Schedule;

pub use integrate::simulation as integrate_simulation;

/// One measured figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What is compared: figures of one group stand side by side.
    pub group: String,
    /// Who.
    pub case: String,
    /// The unit, such as `ns/entity`.
    pub unit: &'static str,
    /// Median over the rounds.
    pub median: f64,
    /// First and third quartile.
    pub quartiles: (f64, f64),
    /// Median over the median of the group's first case.
    pub ratio: f64,
}

/// How much to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Entity counts.
    pub sizes: Vec<usize>,
    /// Rounds per group.
    pub rounds: usize,
    /// Arguments that start this program as a worker process of a bench world; none: no processes are measured.
    pub worker: Option<fn(&str) -> Vec<String>>,
    /// Only groups whose name contains this.
    pub filter: Option<String>,
}

/// The schedule of a worker process that was started with this name.
pub fn worker_schedule(name: &str) -> Schedule {
    match name {
        "particles" => particles::schedule(),
        "idle" => others::idle_schedule(),
        _ => integrate::schedule(),
    }
}

/// One of the things that a group compares: a call does some operations and returns how many.
pub struct Case<'a> {
    name: String,
    run: Box<dyn FnMut() -> u64 + 'a>,
}

impl<'a> Case<'a> {
    fn new(name: impl Into<String>, run: impl FnMut() -> u64 + 'a) -> Self {
        Case { name: name.into(), run: Box::new(run) }
    }
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}

/// Runs the cases in turn, twice to warm up (once where few rounds are wanted) and then `rounds` times.
fn compare(group: &str, unit: &'static str, rounds: usize, mut cases: Vec<Case<'_>>) -> Vec<Figure> {
    let mut times: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); cases.len()];
    let warm_ups = if rounds < 3 { 1 } else { 2 };
    for round in 0..rounds + warm_ups {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            let begun = Instant::now();
            let operations = black_box((case.run)());
            if round >= warm_ups {
                times.push(begun.elapsed().as_nanos() as f64 / operations as f64);
            }
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    let first = quantile(&times[0], 0.5);
    cases
        .iter()
        .zip(&times)
        .map(|(case, times)| Figure {
            group: group.to_owned(),
            case: case.name.clone(),
            unit,
            median: quantile(times, 0.5),
            quartiles: (quantile(times, 0.25), quantile(times, 0.75)),
            ratio: quantile(times, 0.5) / first,
        })
        .collect()
}

/// Measures everything; `tell` hears what comes next and gets each group's figures.
///
/// # Errors
/// A filter that leaves nothing, or no sizes where only what has sizes was asked for; what keeps a world from being made.
pub fn run_all(
    options: &Options,
    tell: &mut dyn FnMut(&str, &[Figure]),
) -> Result<Vec<Figure>, Box<dyn std::error::Error>> {
    type Group = fn(&Options, usize) -> Result<Vec<Figure>, Box<dyn std::error::Error>>;
    let sized: [(&'static str, Group); 6] = [
        ("position += velocity * dt", integrate::group),
        ("particles", particles::group),
        ("tracing", tracing::group),
        ("sandbox", sandbox::group),
        ("recording", journal::group),
        ("checkpoint", checkpoint::group),
    ];
    let single: [(&'static str, Group); 4] = [
        ("empty frame", others::empty_frame),
        ("set patches", others::set_patches),
        ("bulk spawn", others::bulk_spawn),
        ("pin + unpin", others::pin),
    ];
    let wanted = |name: &str| options.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let chosen = |names: &mut dyn Iterator<Item = &'static str>| names.filter(|name| wanted(name)).count();
    let of_sizes = chosen(&mut sized.iter().map(|(name, _)| *name));
    if of_sizes * options.sizes.len() + chosen(&mut single.iter().map(|(name, _)| *name)) == 0 {
        let names: Vec<_> = sized.iter().map(|(name, _)| *name).chain(single.iter().map(|(name, _)| *name)).collect();
        let filter = options.filter.as_deref().unwrap_or_default();
        return Err(format!("no comparison's name contains `{filter}`; there are: {}", names.join(", ")).into());
    }
    let mut all = Vec::new();
    for (name, group) in sized.into_iter().filter(|(name, _)| wanted(name)) {
        for &size in &options.sizes {
            tell(&format!("{name}, {size} entities"), &[]);
            let figures = group(options, size)?;
            tell("", &figures);
            all.extend(figures);
        }
    }
    for (name, group) in single.into_iter().filter(|(name, _)| wanted(name)) {
        tell(name, &[]);
        let figures = group(options, 0)?;
        tell("", &figures);
        all.extend(figures);
    }
    Ok(all)
}
