//! `run --sandbox`: what it reports, and what it says where workers cannot be shut in.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod commands;

use std::process::Output;

use hypostyle::Sandbox;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde_json::Value;

use commands::{code, command, failure, json, stdout};

const RUN: [&str; 9] = ["run", "particles", "--entities", "3000", "--frames", "5", "--print-hash", "--seed", "4"];
const PROCESSES: [&str; 2] = ["--workers", "processes:2"];

/// Whether this system has no sandbox; says so.
fn skips(test: &str) -> bool {
    let lacks = Sandbox::lacks();
    if !lacks.is_empty() {
        println!("SKIPPED {test}: this system lacks {}", lacks.join(" and "));
    }
    !lacks.is_empty()
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&RUN[..], &PROCESSES, more].concat()
}

/// The line of the table that begins with this word.
fn line<'a>(text: &'a str, word: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(word)).unwrap_or_else(|| panic!("no `{word}` in {text}"))
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_run_in_a_sandbox_says_so_and_ends_in_the_same_state() {
    if skips("a_run_in_a_sandbox_says_so_and_ends_in_the_same_state") {
        return;
    }
    let alone = stdout(&[&RUN[..], &["--workers", "local"]].concat());
    for how in ["--sandbox", "--sandbox=required", "--sandbox=best-effort"] {
        let output = command(&with(&[how])).output().unwrap();
        let (out, err) = text(&output);
        assert_eq!((code(&output), out), (0, alone.clone()), "{how}: {err}");
        assert!(line(&err, "workers").ends_with("processes:2, in a sandbox"), "{how}: {err}");
    }
    let told = json(&with(&["--sandbox"]));
    assert_eq!(
        (&told["workers"]["sandbox"], &told["workers"]["sandbox_lacks"]),
        (&"required".into(), &Value::Array(vec![]))
    );
    assert!(told["workers"]["each"].as_array().unwrap()[1..].iter().any(|worker| worker["jobs"].as_u64() > Some(0)));
    let (_, err) = text(&command(&with(&[])).output().unwrap());
    assert!(!line(&err, "workers").contains("sandbox"), "{err}");
}

#[test]
fn what_cannot_be_shut_in_is_said() {
    for workers in ["local", "threads:1", "auto"] {
        let (code, why) = failure(&[&RUN[..], &["--sandbox=best-effort", "--workers", workers]].concat());
        assert!(code == 1 && why.contains(&format!("use `processes:N` instead of `{workers}`")), "{code} {why}");
    }
    let (code, why) = failure(&with(&["--sandbox=perhaps"]));
    assert!(code == 2 && why.contains("`off`, `required` or `best-effort`"), "{code} {why}");
}

/// Runs the command on a system that has no Landlock, as its kernel says. The filter is of the thread that starts it, and of
/// all that this one starts.
fn without_landlock(args: Vec<&'static str>) -> Output {
    /// `landlock_create_ruleset` has one number on all processors.
    const CREATE_RULESET: i64 = 444;
    const ENOSYS: u32 = 38;
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let rules = [(CREATE_RULESET, Vec::new())].into();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(ENOSYS), arch).unwrap();
    let filter = BpfProgram::try_from(filter).unwrap();
    let run = move || {
        seccompiler::apply_filter(&filter).unwrap();
        command(&args).output().unwrap()
    };
    std::thread::spawn(run).join().unwrap()
}

#[test]
fn a_kernel_that_lacks_a_part_is_an_error_or_told() {
    if skips("a_kernel_that_lacks_a_part_is_an_error_or_told") {
        return;
    }
    let refused = without_landlock(with(&["--sandbox"]));
    let (_, why) = text(&refused);
    assert!(code(&refused) == 1 && why.contains("cannot be shut in") && why.contains("Landlock"), "{why}");
    let output = without_landlock(with(&["--sandbox=best-effort"]));
    let (out, err) = text(&output);
    assert_eq!((code(&output), out), (0, stdout(&with(&["--sandbox"]))), "{err}");
    let said = line(&err, "workers");
    assert!(said.contains("processes:2, in a sandbox without") && said.contains("Landlock"), "{said}");
    let output = without_landlock(with(&["--sandbox=best-effort", "--json"]));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let lacks = told["workers"]["sandbox_lacks"].as_array().unwrap();
    assert!(lacks.len() == 1 && lacks[0].as_str().unwrap().contains("Landlock"), "{lacks:?}");
}
