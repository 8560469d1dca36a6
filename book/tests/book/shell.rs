//! The shell commands of each chapter, in order, in an empty directory, with the built programs on the path.
//!
//! Names of regions are the machine's, so each chapter's get the number of this process. A command that ends in `&` runs on
//! beside the rest; what follows waits until its region has a state. `cargo run` in a chapter runs the program of that
//! chapter, which this crate has built from the very same text.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::blocks::{Block, Chapter, Note, chapters, root};
use crate::expect::difference;

/// The programs of a chapter that is a program: what it writes as `src/main.rs`, in order, and what this crate made of it.
const PROGRAMS: [(&str, &str); 2] = [
    ("book/programs/first.rs", env!("CARGO_BIN_EXE_book-first")),
    ("book/programs/bodies.rs", env!("CARGO_BIN_EXE_book-bodies")),
];
/// Between the outputs of two blocks.
const MARK: &str = "@@@ ";

/// Where the programs are.
fn programs() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_book-bodies")).parent().unwrap().to_owned();
    for name in ["hypostyle", "hypostyle-mpi"] {
        assert!(
            path.join(name).exists(),
            "{name} is not built: `cargo build --package hypostyle-cli --package hypostyle-mpi --bins` first"
        );
    }
    path
}

/// Names that blocks give to regions.
fn regions(blocks: &[Block]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for block in blocks.iter().filter(|block| block.language == "sh") {
        let mut words = block.text.split_whitespace();
        while let Some(word) = words.next() {
            names.extend((word == "--region").then(|| words.next().unwrap().to_owned()));
        }
    }
    names
}

/// A text with each region's name made this process's.
fn renamed(text: &str, regions: &BTreeSet<String>) -> String {
    let mut out = text.to_owned();
    for name in regions {
        let own = format!("{name}-{}", std::process::id());
        let edge = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || "-_./".contains(c)));
        let mut fresh = String::new();
        let mut rest = out.as_str();
        while let Some(at) = rest.find(name.as_str()) {
            let whole = edge(rest[..at].chars().next_back()) && edge(rest[at + name.len()..].chars().next());
            fresh.push_str(&rest[..at]);
            fresh.push_str(if whole { &own } else { name });
            rest = &rest[at + name.len()..];
        }
        out = fresh + rest;
    }
    out
}

/// One script of all blocks: a marker, then the block.
fn script(chapter: &Chapter, regions: &BTreeSet<String>) -> String {
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n");
    for block in &chapter.blocks {
        match (&block.note, block.language.as_str()) {
            (Some(Note::NotRun(_)), _) => {}
            (Some(Note::File(name)), _) => {
                let folder = Path::new(name).parent().unwrap().display().to_string();
                let folder = if folder.is_empty() { ".".to_owned() } else { folder };
                writeln!(script, "mkdir -p {folder}\ncat > {name} <<'END OF FILE'\n{}END OF FILE", block.text).unwrap();
            }
            (None, "sh") => {
                writeln!(script, "echo '{MARK}{}' | tee /dev/stderr", block.line).unwrap();
                for line in renamed(&block.text, regions).lines() {
                    match line.trim_end().strip_suffix(" &") {
                        Some(command) => {
                            let region = command.split("--region ").nth(1).and_then(|rest| rest.split(' ').next());
                            let region = region.expect("a command that runs on has a region");
                            writeln!(script, "{command} >/dev/null 2>&1 &\nawait {region}").unwrap();
                        }
                        None => writeln!(script, "{line}").unwrap(),
                    }
                }
            }
            _ => {}
        }
    }
    script
}

/// Small programs before all others on the path: `await`, and a `cargo` that builds nothing.
fn helpers(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let mut cargo = String::from("#!/bin/sh\nset -eu\nif [ \"$1\" = run ]; then\n");
    cargo += "  while [ \"$1\" != -- ]; do shift; done; shift\n";
    for (source, program) in PROGRAMS {
        let source = root().join(source);
        writeln!(cargo, "  cmp -s src/main.rs {} && exec {program} \"$@\"", source.display()).unwrap();
    }
    cargo += "  echo 'this crate has no program of that text' >&2\n  exit 99\nfi\n";
    writeln!(cargo, "exec {} \"$@\"", std::env::var("CARGO").unwrap()).unwrap();
    let wait = "#!/bin/sh\nfor i in $(seq 1200); do\n  hypostyle hash \"$1\" >/dev/null 2>&1 && exit 0\n  sleep 0.05\n\
                done\necho \"region $1 has no state\" >&2\nexit 1\n";
    for (name, text) in [("cargo", cargo.as_str()), ("await", wait)] {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Runs a chapter; what is wrong with it.
fn run(chapter: &Chapter) -> Result<(), String> {
    let (directory, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    helpers(tools.path());
    let regions = regions(&chapter.blocks);
    let path = format!("{}:{}:{}", tools.path().display(), programs().display(), std::env::var("PATH").unwrap());
    let script = script(chapter, &regions);
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(directory.path()).env("PATH", &path).stdin(Stdio::null());
    // the package of the test is none of the chapter's programs
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO")) {
        if name != "CARGO_HOME" {
            shell.env_remove(name);
        }
    }
    let output = shell.output().unwrap();
    for name in &regions {
        let own = format!("{name}-{}", std::process::id());
        let _ = Command::new(programs().join("hypostyle")).args(["clean", &own]).output().unwrap();
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        let line = out.rsplit(MARK).next().unwrap().lines().next().unwrap_or_default();
        let err = err.rsplit(MARK).next().unwrap();
        return Err(format!("docs/book/{}.md:{line}: {}\n{err}", chapter.name, output.status));
    }
    let printed: Vec<(usize, &str)> = out
        .split(MARK)
        .skip(1)
        .map(|part| part.split_once('\n').unwrap())
        .map(|(line, text)| (line.parse().unwrap(), text))
        .collect();
    for pair in chapter.blocks.windows(2) {
        let [block, shown] = pair else { continue };
        if block.language == "sh" && block.note.is_none() && shown.language == "text" && shown.follows {
            let (_, text) = printed.iter().find(|(line, _)| *line == block.line).unwrap();
            if let Some(why) = difference(&renamed(&shown.text, &regions), text) {
                return Err(format!("docs/book/{}.md:{}: {why}", chapter.name, block.line));
            }
        }
    }
    Ok(())
}

#[test]
fn every_command_runs_and_prints_what_the_book_shows() {
    let mut faults = Vec::new();
    let mut count = 0;
    for chapter in chapters() {
        if chapter.blocks.iter().any(|block| block.language == "sh" && block.note.is_none()) {
            let begun = std::time::Instant::now();
            faults.extend(run(&chapter).err());
            eprintln!("{}: {:.1} s", chapter.name, begun.elapsed().as_secs_f64());
            count += 1;
        }
    }
    assert!(count >= 10, "{count} chapters have commands");
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn the_programs_are_those_of_the_chapters() {
    let chapters = chapters();
    let chapter = chapters.iter().find(|chapter| chapter.name == "own-simulation").unwrap();
    let is_main = |block: &&Block| block.note == Some(Note::File("src/main.rs".to_owned()));
    let texts: Vec<&str> = chapter.blocks.iter().filter(is_main).map(|block| block.text.as_str()).collect();
    assert_eq!(texts.len(), PROGRAMS.len());
    for (text, (path, _)) in texts.into_iter().zip(PROGRAMS) {
        let path = root().join(path);
        if std::env::var_os("HYPOSTYLE_BLESS").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(path).unwrap(), "HYPOSTYLE_BLESS=1 takes it over from the chapter");
    }
}

#[test]
fn names_of_regions_are_made_this_processs() {
    let names = BTreeSet::from(["demo".to_owned()]);
    let own = format!("demo-{}", std::process::id());
    assert_eq!(
        renamed("stats demo x; democracy demo.csv \"demo\"", &names),
        format!("stats {own} x; democracy demo.csv \"{own}\"")
    );
}

#[test]
fn a_command_that_fails_or_prints_something_else_is_told() {
    let chapter = |text: &str| Chapter {
        name: "sample".to_owned(),
        path: PathBuf::new(),
        text: String::new(),
        blocks: crate::blocks::blocks(text).unwrap(),
    };
    assert_eq!(run(&chapter("```sh\necho a\n```\n\n```text\na\n```\n")), Ok(()));
    let other = run(&chapter("```sh\necho a\n```\n\n```text\nb\n```\n")).unwrap_err();
    assert!(other.contains("sample.md:1") && other.contains("the book shows\nb"), "{other}");
    let failed =
        run(&chapter("```sh\ntrue\n```\n\nwords\n\n```sh\nhypostyle stats nobody-is-here\n```\n")).unwrap_err();
    assert!(failed.contains("sample.md:7") && failed.contains("there is no region"), "{failed}");
}
