//! The table of mutants: each ordering and each fence of the modelled protocols is taken away, one at a time, and each model
//! is asked whether it notices. `cargo xtask loom --mutants` prints it.
#![forbid(unsafe_code)]

use crate::primitive::mutant::Mutant;
use crate::{patch, region};

/// Writes a line for each mutant: its name, then the models that fail without it.
#[test]
#[ignore = "takes minutes, and the models have a test for each mutant"]
fn table_of_mutants() {
    let Some(path) = std::env::var_os("HYPOSTYLE_LOOM_MUTANTS") else { return };
    // what a model says as it fails is no news here
    std::panic::set_hook(Box::new(|_| {}));
    let models = patch::MODELS.into_iter().chain(region::pin::models::MODELS);
    let models: Vec<(&str, fn())> = models.collect();
    let line = |mutant: Mutant| {
        let failing = models.iter().filter(|(_, model)| mutant.fails(model)).map(|(name, _)| *name);
        format!("{mutant:?}\t{}\n", failing.collect::<Vec<_>>().join(", "))
    };
    let table: String = Mutant::ALL.into_iter().map(line).collect();
    std::fs::write(path, table).expect("the table can be written");
}
