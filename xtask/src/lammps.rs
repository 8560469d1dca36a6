//! LAMMPS on the same melt, where it is installed: `bench/in.lj` with as many atoms.
#![forbid(unsafe_code)]

use std::process::Command;
use std::time::Duration;

use crate::process::ask;
use crate::tools::root;

/// That of the comparison of scenes.
const INPUT: &str = "compare/physics/src/in.lj";
const ASK: Duration = Duration::from_secs(20);

/// What a run took, of one frame and atom, nanoseconds: on all processors together, and by the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Took {
    pub(crate) cpu_ns: f64,
    pub(crate) wall_ns: f64,
}

/// Whether there is one.
pub(crate) fn is_installed() -> bool {
    ask(Command::new("lmp").arg("-h"), ASK).is_some()
}

/// Unit cells along each side for so many atoms, as even as they can be: those of the scene.
fn cells(atoms: u64) -> Option<[u64; 3]> {
    let all = atoms / 4;
    let mut best: Option<[u64; 3]> = None;
    for x in (1..).take_while(|x| x * x * x <= all).filter(|x| all.is_multiple_of(*x)) {
        for y in (x..).take_while(|y| y * y <= all / x).filter(|y| (all / x).is_multiple_of(*y)) {
            let z = all / x / y;
            if best.is_none_or(|[bx, _, bz]| z * bx < bz * x) {
                best = Some([x, y, z]);
            }
        }
    }
    best.filter(|_| atoms.is_multiple_of(4))
}

/// Runs it on so many ranks.
pub(crate) fn run(mpirun: &mut Command, (atoms, steps): (u64, u64), bound: Duration) -> Result<Took, String> {
    let sides = cells(atoms).ok_or_else(|| format!("{atoms} atoms fill no lattice: take a multiple of 4"))?;
    mpirun.args(["lmp", "-log", "none", "-in"]).arg(root().join(INPUT));
    for (name, number) in [("xcells", sides[0]), ("ycells", sides[1]), ("zcells", sides[2]), ("steps", steps)] {
        mpirun.args(["-var", name, &number.to_string()]);
    }
    mpirun.env("OMP_NUM_THREADS", "1");
    let text = ask(mpirun, bound).ok_or("a run of LAMMPS failed")?;
    took(&text, atoms, steps).ok_or_else(|| format!("LAMMPS told no times of {atoms} atoms"))
}

/// `Loop time of 1.5 on 2 procs for 100 steps with 64000 atoms`, and `99.8% CPU use with 2 MPI tasks x no OpenMP threads`.
fn took(text: &str, atoms: u64, steps: u64) -> Option<Took> {
    let words: Vec<&str> = text.lines().find(|line| line.starts_with("Loop time of "))?.split_whitespace().collect();
    let number = |at: usize| words.get(at)?.parse::<u64>().ok();
    let (processes, wall) = (number(5)?, words.get(3)?.parse::<f64>().ok()?);
    if number(8)? != steps || number(11)? != atoms {
        return None;
    }
    let used = text.lines().find(|line| line.contains("% CPU use with"))?;
    let share: f64 = used.split('%').next()?.trim().parse().ok()?;
    let wall_ns = wall * 1e9 / (atoms * steps) as f64;
    Some(Took { cpu_ns: wall_ns * share / 100.0 * processes as f64, wall_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let text = "Loop time of 2.5 on 2 procs for 100 steps with 64000 atoms\n\n50.0% CPU use with 2 MPI tasks x no OpenMP threads\n";
        let read = took(text, 64_000, 100).expect("has both lines");
        assert!((read.wall_ns - 390.625).abs() < 1e-9 && (read.cpu_ns - 390.625).abs() < 1e-9, "{read:?}");
        assert_eq!(took(text, 32_000, 100), None);
    }

    #[test]
    fn lattices_are_those_of_the_scene() {
        assert_eq!(cells(32_000), Some([20, 20, 20]));
        assert_eq!(cells(64_000), Some([20, 25, 32]));
        assert_eq!(cells(4_000_001), None);
    }
}
