//! The loom models: every interleaving of the ring and of publish, pin and reclaim, and the mutants that must fail.
//!
//! `--mutants` prints what each ordering is for: which models fail without it. What no model has is named too, with the
//! reason, so that an ordering that is added somewhere is either modelled or explained.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process;
use crate::report::Outcome;
use crate::tools::{cargo, root};

/// They have a target directory of their own, as their flags would rebuild everything else.
const TEST: &str =
    "test --locked --release --package hypostyle --lib --no-default-features --target-dir target/loom --";

/// Files with orderings that no model has, and why. Loom's atomics are larger than words and cannot be laid over memory
/// that processes share, so it can only model what is written for any memory.
const NOT_MODELLED: &[(&str, &str)] = &[
    ("src/fault/stage.rs", "tests alone have it"),
    ("src/inputs/mailbox.rs", "looks whether an owner is gone; the lock of the ring decides"),
    ("src/inputs/sender.rs", "takes a ring of a private region; of a shared one the lock of a file decides"),
    ("src/inputs/steering.rs", "words of their own, none of which says anything of another"),
    (
        "src/inputs/words.rs",
        "over shared memory: the head's check word, the history's second look; simulator, senders killed",
    ),
    ("src/os/portable.rs", "makes threads stand back where there is no system call for it"),
    ("src/patch/ring.rs", "where an end is taken: main hands it over, or it goes on behind one that has ended"),
    ("src/patch/ring_memory.rs", "making a ring, before the other end has it; its positions are modelled in ring.rs"),
    ("src/region/control.rs", "over shared memory: the published word's ordering is modelled in pin.rs"),
    ("src/region/lease.rs", "over shared memory: the count of leases comes before the modelled fences of a pin"),
    ("src/trace/header.rs", "the magic of a new timeline, stored last"),
    (
        "src/trace/ring.rs",
        "over shared memory: a number in each event and a second look at the head; a reader beside a fast writer",
    ),
    ("src/worker/main/set/mod.rs", "over shared memory: claims, as in board/mod.rs"),
    ("src/worker/main/set/supervise.rs", "over shared memory: claims, as in board/mod.rs"),
    ("src/worker/serve/hosted.rs", "the end of a hosted worker; worker::tests::hosted, under ThreadSanitizer too"),
    ("src/worker/shared/board/mod.rs", "over shared memory: window and claims; simulator, kills, ThreadSanitizer"),
    ("src/worker/shared/board/slots.rs", "over shared memory: a worker's stage and what it says; simulator, kills"),
    ("src/worker/shared/undo.rs", "over shared memory: read after its writer's death alone; kills at each store"),
    ("src/worker/shared/wait.rs", "sequentially consistent, with a sleep that ends by itself; every test with workers"),
    ("src/world/life/publish.rs", "the writer reads what writers before it have left; nobody writes beside it"),
];

/// Runs all models.
pub(crate) fn run(left: Duration) -> Outcome {
    process::run(test().arg("models"), left).tests_outcome()
}

fn test() -> std::process::Command {
    let mut command = cargo(TEST);
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} --cfg loom").trim_start());
    command
}

/// Runs all models once for each mutant, and prints the table.
pub(crate) fn mutants(left: Duration) -> Outcome {
    let places = match Places::find() {
        Ok(places) => places,
        Err(error) => return Outcome::Failed(error),
    };
    let told = root().join("target/loom-mutants.txt");
    let _ = std::fs::remove_file(&told);
    let mut command = test();
    command.args(["--ignored", "--exact", "models::table_of_mutants"]).env("HYPOSTYLE_LOOM_MUTANTS", &told);
    let outcome = process::run(&mut command, left).tests_outcome();
    if !matches!(outcome, Outcome::Passed(_)) {
        return outcome;
    }
    let table = match std::fs::read_to_string(&told) {
        Ok(table) => table,
        Err(error) => return Outcome::Failed(format!("the models left no table: {error}")),
    };
    places.print(&table)
}

/// Where orderings are in the code.
#[derive(Debug, Default, PartialEq, Eq)]
struct Places {
    /// Of each mutant, `file:line`.
    modelled: BTreeMap<String, String>,
    /// Files with those that have none, and how many.
    others: BTreeMap<String, usize>,
}

impl Places {
    fn find() -> Result<Places, String> {
        let mut files = Vec::new();
        rust_files(&root().join("src"), &mut files).map_err(|error| format!("src cannot be read: {error}"))?;
        let mut places = Places::default();
        for file in files {
            let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            let name = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
            let is_test = name.contains("/tests") || name.contains("/fuzzing/");
            if !is_test && name != "src/primitive.rs" {
                places.look(&name, &text);
            }
        }
        Ok(places)
    }

    /// Looks through a file up to its tests.
    fn look(&mut self, name: &str, text: &str) {
        for (number, line) in text.lines().enumerate() {
            let code = line.trim_start();
            if code.starts_with("mod tests {") || code.contains("mod models {") {
                break;
            }
            let mutant = ["ordering!(", "fence_seq_cst!("]
                .iter()
                .find_map(|macro_| code.split_once(macro_))
                .and_then(|(_, rest)| rest.split([',', ')']).next());
            let strong = ["Acquire", "Release", "AcqRel", "SeqCst"];
            if code.starts_with("//") {
            } else if let Some(mutant) = mutant {
                self.modelled.insert(mutant.to_owned(), format!("{name}:{}", number + 1));
            } else if strong.iter().any(|strong| code.contains(&format!("Ordering::{strong}"))) {
                *self.others.entry(name.to_owned()).or_default() += 1;
            }
        }
    }

    /// The table of mutants that the models left; whether all were noticed and all else is explained.
    fn print(&self, table: &str) -> Outcome {
        let mut faults = Vec::new();
        let mut noticed = 0;
        println!("\n{:<14}{:<24}models that fail without it", "mutant", "where");
        for line in table.lines() {
            let (mutant, models) = line.split_once('\t').unwrap_or((line, ""));
            let place = self.modelled.get(mutant).map_or("nowhere", String::as_str);
            println!("{mutant:<14}{place:<24}{}", if models.is_empty() { "NONE" } else { models });
            if models.is_empty() || place == "nowhere" {
                faults.push(format!("{mutant} survives"));
            }
            noticed += usize::from(!models.is_empty());
        }
        for mutant in
            self.modelled.keys().filter(|name| !table.lines().any(|line| line.starts_with(&format!("{name}\t"))))
        {
            faults.push(format!("{mutant} was not tried"));
        }
        println!("\n{:<36}{:<11}why no model has them", "file", "orderings");
        for (file, count) in &self.others {
            let why = NOT_MODELLED.iter().find(|(other, _)| other == file).map(|(_, why)| *why);
            println!("{file:<36}{count:<11}{}", why.unwrap_or("NO REASON IS GIVEN"));
            if why.is_none() {
                faults.push(format!("{file} has orderings that no model has, without a reason"));
            }
        }
        for (file, _) in NOT_MODELLED.iter().filter(|(file, _)| !self.others.contains_key(*file)) {
            faults.push(format!("{file} has no such ordering any more"));
        }
        println!();
        if faults.is_empty() {
            let others: usize = self.others.values().sum();
            Outcome::Passed(format!("{noticed} mutants, all noticed; {others} orderings elsewhere, explained"))
        } else {
            Outcome::Failed(faults.join("; "))
        }
    }
}

fn rust_files(directory: &Path, out: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, out)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            out.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orderings_are_found_and_all_others_explained() {
        let mut places = Places::default();
        let text = "word.store(1, ordering!(Pin, Ordering::Release));\n// Ordering::SeqCst\nfence_seq_cst!(PinFence);\n\
                    word.load(Ordering::Acquire)\nword.load(Ordering::Relaxed)\nmod tests {\nfence(Ordering::SeqCst)\n";
        places.look("src/a.rs", text);
        let modelled = [("Pin", "src/a.rs:1"), ("PinFence", "src/a.rs:3")];
        assert_eq!(places.modelled, modelled.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
        assert_eq!(places.others, [("src/a.rs".to_owned(), 1)].into());
        let found = Places::find().unwrap();
        assert!(found.modelled.len() >= 10, "{found:?}");
        let table: String = found.modelled.keys().map(|name| format!("{name}\tone\n")).collect();
        assert!(matches!(found.print(&table), Outcome::Passed(_)), "{:?}", found.print(&table));
        let survivor = table.replacen("\tone", "\t", 1);
        assert!(matches!(found.print(&survivor), Outcome::Failed(why) if why.contains("survives")));
        assert!(matches!(found.print(""), Outcome::Failed(why) if why.contains("was not tried")));
    }
}
