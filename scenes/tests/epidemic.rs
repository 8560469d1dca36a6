//! The epidemic: sizes that theory gives, nobody lost, the same bytes for all workers.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use hypostyle::{Simulation, Workers, World};
use hypostyle_scenes as scenes;
use scenes::epidemic::{Census, Epidemic};
use scenes::{Scene, SceneOptions};

fn town(people: u64, own: &[(&str, f64)], workers: Workers) -> Simulation {
    let mut options = SceneOptions::new(Some(people), 5);
    for (name, value) in own {
        options = options.with(name, value);
    }
    let world = Epidemic.world(&options, World::builder()).unwrap();
    Simulation::new(world, Epidemic.schedule(&options), workers).unwrap()
}

fn census(simulation: &Simulation) -> Census {
    simulation.world().resource::<Census>().unwrap()
}

/// z = 1 - exp(-T d z), by bisection.
fn final_size(infect: f64, recover: f64, degree: f64) -> f64 {
    let pass = infect / (infect + recover - infect * recover);
    let (mut low, mut high) = (1e-6, 1.0);
    for _ in 0..60 {
        let z = 0.5 * (low + high);
        if 1.0 - f64::exp(-pass * degree * z) > z { low = z } else { high = z }
    }
    low
}

#[test]
fn so_many_fall_ill_as_theory_says() {
    for (infect, recover, degree) in [(0.05, 0.1, 6.0), (0.04, 0.2, 10.0), (0.3, 0.5, 4.0)] {
        let people = 20_000;
        let rules = [("infect", infect), ("recover", recover), ("degree", degree), ("turnover", 0.0)];
        let mut simulation = town(people, &rules, Workers::Local);
        let mut days = 0;
        while census(&simulation).infected > 0 {
            simulation.step(1.0).unwrap();
            assert_eq!(census(&simulation).people(), people);
            days += 1;
            assert!(days < 2000, "it ends");
        }
        let part = census(&simulation).recovered as f64 / people as f64;
        let theory = final_size(infect, recover, degree);
        assert!((part - theory).abs() < 0.015, "{part} {theory} with {infect} {recover} {degree}");
    }
}

/// Nobody meets anybody: who is ill recovers, and nobody else falls ill.
#[test]
fn without_contacts_the_ill_recover() {
    let mut simulation = town(100_000, &[("degree", 0.0), ("recover", 0.1), ("turnover", 0.0)], Workers::Local);
    let ill = census(&simulation).infected as f64;
    simulation.run(5, 1.0).unwrap();
    let now = census(&simulation);
    let expected = ill * 0.9_f64.powi(5);
    assert!((now.infected as f64 - expected).abs() < 4.0 * expected.sqrt(), "{now:?} {expected}");
    assert_eq!(now.infected + now.recovered, ill as u64);
}

#[test]
fn births_and_deaths_keep_the_number_and_contacts_end_with_people() {
    let mut simulation = town(5000, &[("turnover", 0.02)], Workers::Local);
    let contacts = simulation.world().entity_count() - 5000;
    let mut first = None;
    for _ in 0..60 {
        let report = simulation.step(1.0).unwrap();
        let counts = report.total();
        assert_eq!(counts.refused, 0, "{counts:?}");
        assert_eq!(census(&simulation).people(), 5000);
        first.get_or_insert(counts.spawned);
    }
    assert!(first.unwrap() > 100);
    // contacts of those who died have ended, and children have made new ones
    let now = simulation.world().entity_count() - 5000;
    assert!((now as f64 / contacts as f64 - 1.0).abs() < 0.25, "{contacts} {now}");
}

#[test]
fn the_same_bytes_for_threads() {
    let run = |workers: Workers| -> Vec<u64> {
        let mut simulation = town(10_000, &[("turnover", 0.01), ("infect", 0.2)], workers);
        let mut reader = simulation.world().reader().unwrap();
        (0..20)
            .map(|_| {
                simulation.step(1.0).unwrap();
                reader.pin().unwrap().hash()
            })
            .collect()
    };
    let local = run(Workers::Local);
    for workers in [Workers::Threads(1), Workers::Threads(3)] {
        assert_eq!(run(workers), local, "{workers}");
    }
}
