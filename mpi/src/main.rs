//! The program `hypostyle-mpi`: scenes over the ranks of MPI, or over threads of one process.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

mod program;

use std::process::ExitCode;

use clap::Parser;

/// Runs a scene over many ranks, with the bytes of one process.
#[derive(Parser)]
#[command(name = "hypostyle-mpi", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Run a scene. Under mpirun each process is a rank; else --ranks says how many threads of this process are.
    Run(Box<program::Args>),
    /// Print how long a frame of the melt takes on up to 1,024 ranks, by the model of docs/distributed.md.
    Model(program::ModelArgs),
    /// Serve `run` as a worker process. Not for use by hand.
    #[command(hide = true)]
    Worker(program::WorkerArgs),
}

fn main() -> ExitCode {
    // Where this process was started as a worker, it is one and nothing else; its rank is told of errors.
    #[cfg(unix)]
    match hypostyle::serve(program::worker_schedule) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(_) => return ExitCode::FAILURE,
    }
    let done = match Cli::parse().command {
        Command::Run(args) => program::main(&args),
        Command::Model(args) => program::print_model(&args),
        Command::Worker(_) => Err("workers are started by `run --workers processes:N`, not by hand".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", program::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
