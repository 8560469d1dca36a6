//! What a launcher says in the environment, and whether it fits what MPI says.
//!
//! A program that runs under the `mpirun` of another MPI than its own sees n worlds of one rank, and no error: each would
//! compute the whole. That is found here.
#![forbid(unsafe_code)]

use crate::error::ClusterError;

/// Numbers of processes, as launchers tell them: Open MPI; MPICH, Intel MPI, Slurm's PMI and Hydra; Cray.
const SIZES: &[&str] = &["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE", "MPI_LOCALNRANKS", "PALS_SIZE"];

/// How many processes a launcher says it started; none where there is no launcher.
#[must_use]
pub fn launched() -> Option<u64> {
    launched_by(|name| std::env::var(name).ok())
}

fn launched_by(variable: impl Fn(&str) -> Option<String>) -> Option<u64> {
    SIZES.iter().find_map(|name| variable(name)?.trim().parse().ok())
}

/// Whether MPI's world is that of the launcher.
///
/// # Errors
/// It is not: the launcher is of another MPI.
pub fn check_size(size: usize) -> Result<(), ClusterError> {
    check(launched(), size)
}

fn check(launched: Option<u64>, size: usize) -> Result<(), ClusterError> {
    match launched {
        Some(launched) if launched > 1 && size == 1 => Err(ClusterError::Launcher { launched, size }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launcher_of_another_mpi_is_recognised() {
        let of =
            |name: &'static str, text: &'static str| launched_by(move |asked| (asked == name).then(|| text.to_owned()));
        assert_eq!(of("OMPI_COMM_WORLD_SIZE", "4"), Some(4));
        assert_eq!(of("PMI_SIZE", " 2 "), Some(2));
        assert_eq!(of("PMI_SIZE", "many"), None);
        assert_eq!(of("HOME", "4"), None);
        assert!(check(None, 1).is_ok() && check(Some(1), 1).is_ok() && check(Some(4), 4).is_ok());
        let error = check(Some(4), 1).expect_err("four worlds of one rank").to_string();
        assert!(error.contains("started 4 processes") && error.contains("another MPI"), "{error}");
    }
}
