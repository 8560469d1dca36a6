//! LAMMPS as another process. It writes what its loop took, and how much of the processors it had meanwhile.

use std::error::Error;
use std::process::{Command, Stdio};

use crate::measure::Sample;

/// LAMMPS's own `bench/in.lj`, with the number of unit cells and of steps left open.
const INPUT: &str = include_str!("in.lj");

/// Whether it is there: `None`, or what is missing.
pub fn missing(mpi: bool) -> Option<&'static str> {
    let there = |program: &str| {
        let mut asked = Command::new(program);
        asked.arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).status().is_ok()
    };
    if !there("lmp") {
        Some("lmp (Debian: lammps)")
    } else if mpi && !there("mpirun") {
        Some("mpirun (Debian: openmpi-bin)")
    } else {
        None
    }
}

/// A run of the melt with `cells` unit cells along each side.
pub fn melt(cells: u64, steps: u32, optimised: bool, processes: u32) -> Result<Sample, Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("compare-physics-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("in.lj"), INPUT)?;
    let mut command = if processes == 1 {
        Command::new("lmp")
    } else {
        let mut mpi = Command::new("mpirun");
        mpi.args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", &processes.to_string(), "lmp"]);
        mpi
    };
    command.args(["-in", "in.lj", "-log", "none", "-var", "cells", &cells.to_string()]);
    command.args(["-var", "steps", &steps.to_string()]);
    if optimised {
        command.args(["-sf", "opt"]);
    }
    let out = command.current_dir(&directory).env("OMP_NUM_THREADS", "1").stdin(Stdio::null()).output()?;
    std::fs::remove_dir_all(&directory)?;
    let text = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() {
        return Err(format!("it failed: {}", text.lines().last().unwrap_or_default()).into());
    }
    let atoms = 4 * cells * cells * cells;
    sample(&text, steps, atoms, processes)
        .ok_or_else(|| format!("its output has no times of {atoms} atoms: {text}").into())
}

/// `Loop time of 1.5 on 1 procs for 100 steps with 32000 atoms`, and `99.8% CPU use with 1 MPI tasks x no OpenMP threads`.
fn sample(text: &str, steps: u32, atoms: u64, processes: u32) -> Option<Sample> {
    let line = text.lines().find(|line| line.starts_with("Loop time of "))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.get(8)?.parse::<u32>().ok()? != steps || words.get(11)?.parse::<u64>().ok()? != atoms {
        return None;
    }
    let wall: f64 = words.get(3)?.parse().ok()?;
    let share: f64 =
        text.lines().find(|line| line.contains("% CPU use with"))?.split('%').next()?.trim().parse().ok()?;
    let bytes = mebibytes(text).map(|each| each * 1024.0 * 1024.0 * f64::from(processes));
    Some(Sample { wall, cpu: wall * share / 100.0 * f64::from(processes), bytes })
}

/// `Per MPI rank memory allocation (min/avg/max) = 13.82 | 13.82 | 13.82 Mbytes`: the mean.
fn mebibytes(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with("Per MPI rank memory allocation"))?;
    line.split('|').nth(1)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::sample;

    #[test]
    fn times_are_read() {
        let text = "Per MPI rank memory allocation (min/avg/max) = 1 | 1.5 | 2 Mbytes\nLoop time of 2.5 on 2 procs for 100 steps with 32000 atoms\n\n50.0% CPU use with 2 MPI tasks x no OpenMP threads\n";
        let read = sample(text, 100, 32_000, 2).expect("has both lines");
        assert!((read.wall - 2.5).abs() < 1e-12 && (read.cpu - 2.5).abs() < 1e-12);
        assert_eq!(read.bytes, Some(3.0 * 1024.0 * 1024.0), "of both processes");
        assert!(sample(text, 10, 32_000, 2).is_none() && sample(text, 100, 4000, 2).is_none());
    }
}
