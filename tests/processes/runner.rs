//! Runs named tests one after the other and reports as a test harness does.
#![forbid(unsafe_code)]

use std::panic::catch_unwind;
use std::time::Instant;

/// One test.
pub struct Test {
    name: &'static str,
    /// Only run when asked for.
    ignored: bool,
    run: fn(),
}

/// A test of every run.
pub const fn test(name: &'static str, run: fn()) -> Test {
    Test { name, ignored: false, run }
}

/// A test of long runs.
pub const fn soak(name: &'static str, run: fn()) -> Test {
    Test { name, ignored: true, run }
}

/// What the arguments ask for.
#[derive(Default)]
struct Options {
    filters: Vec<String>,
    skips: Vec<String>,
    exact: bool,
    list: bool,
    only_ignored: bool,
    also_ignored: bool,
}

/// Options that take a value which does not matter here.
const VALUED: [&str; 4] = ["--test-threads", "--format", "--color", "--logfile"];

impl Options {
    fn parse(args: &[String]) -> Options {
        let mut options = Options::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--exact" => options.exact = true,
                "--list" => options.list = true,
                "--ignored" => options.only_ignored = true,
                "--include-ignored" => options.also_ignored = true,
                "--skip" => options.skips.extend(args.next().cloned()),
                valued if VALUED.contains(&valued) => drop(args.next()),
                flag if flag.starts_with('-') => {}
                filter => options.filters.push(filter.to_owned()),
            }
        }
        options
    }

    fn wants(&self, test: &Test) -> bool {
        let fits = |text: &String| if self.exact { test.name == text } else { test.name.contains(text.as_str()) };
        (self.filters.is_empty() || self.filters.iter().any(fits))
            && !self.skips.iter().any(fits)
            && (!self.only_ignored || test.ignored)
    }
}

/// Runs what the arguments ask for; the exit code.
pub fn run(tests: &[Test], args: &[String]) -> i32 {
    let options = Options::parse(args);
    let wanted: Vec<&Test> = tests.iter().filter(|test| options.wants(test)).collect();
    if options.list {
        for test in &wanted {
            println!("{}: test", test.name);
        }
        println!("\n{} tests, 0 benchmarks", wanted.len());
        return 0;
    }
    let begun = Instant::now();
    let (mut passed, mut ignored, mut failures) = (0, 0, Vec::new());
    println!("\nrunning {} tests", wanted.len());
    for test in &wanted {
        if test.ignored && !options.only_ignored && !options.also_ignored {
            println!("test {} ... ignored", test.name);
            ignored += 1;
            continue;
        }
        let since = Instant::now();
        match catch_unwind(test.run) {
            Ok(()) => {
                println!("test {} ... ok <{:.2}s>", test.name, since.elapsed().as_secs_f64());
                passed += 1;
            }
            Err(_) => {
                println!("test {} ... FAILED", test.name);
                failures.push(test.name);
            }
        }
    }
    for name in &failures {
        println!("    {name}");
    }
    println!(
        "\ntest result: {}. {passed} passed; {} failed; {ignored} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failures.is_empty() { "ok" } else { "FAILED" },
        failures.len(),
        tests.len() - wanted.len(),
        begun.elapsed().as_secs_f64()
    );
    if failures.is_empty() { 0 } else { 101 }
}
