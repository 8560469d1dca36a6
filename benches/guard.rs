//! Instructions of the hot paths, counted: fails where one of them takes a fifth more than it should.
//!
//! Times on a shared machine say nothing about a fifth; instructions do, and they can be counted anywhere: this program
//! starts itself once per path and lets it run step by step between two marks. `cargo bench --bench guard` prints the
//! counts beside the limits in `benches/guard.toml`; `-- --write` takes today's counts as the new ones.
//!
//! Paths: the hot loop, patches, pins, the frame itself, direct changes. None of it asks the operating system for
//! memory or time between the marks more than a run of the engine would.
#![expect(clippy::print_stdout, reason = "a table for people is what it is for")]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod guard {
    pub mod count;
    pub mod paths;
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    guard::count::main()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {
    println!("guard: instructions are counted on Linux on x86-64 only");
}
