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
}

fn main() -> ExitCode {
    let Command::Run(args) = Cli::parse().command;
    match program::main(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", program::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
