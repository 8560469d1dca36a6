//! Cases that are drawn from seeds, each from one of its own: `HYPOSTYLE_SEED=<seed>` runs that case again and prints what it
//! shrinks to, `HYPOSTYLE_CASES=<n>` multiplies the number of cases. A failure prints its command.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no whole number")))
}

/// Runs a property on so many cases. `program` and `test` are what a failure's command names.
pub fn check<S: Strategy>(program: &str, test: &str, cases: u64, strategy: S, property: impl Fn(S::Value)) {
    let times = number("HYPOSTYLE_CASES").unwrap_or(1);
    let seeds = match number("HYPOSTYLE_SEED") {
        Some(seed) => seed..seed + times,
        None => 0..cases * times,
    };
    for seed in seeds {
        let config = Config {
            cases: 1,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            max_shrink_iters: 400,
            ..Config::default()
        };
        let outcome = TestRunner::new(config).run(&strategy, |value| {
            property(value);
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("replay with: HYPOSTYLE_SEED={seed} cargo test --test {program} {test}\n{error}");
        }
    }
}
