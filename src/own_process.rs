//! Tests that measure their whole process (its memory, its descriptors) run in one of their own: what other tests do
//! in other threads is not theirs.
#![forbid(unsafe_code)]

/// Set in the process that runs a single test.
const ALONE: &str = "HYPOSTYLE_TEST_ALONE";

/// Runs `body` in a process of its own: this test program, asked for the test of this name alone.
///
/// # Panics
/// Where the body panics, with all that its process wrote.
pub(crate) fn run(test: &str, body: impl FnOnce()) {
    if std::env::var(ALONE).is_ok_and(|name| name == test) {
        return body();
    }
    let program = std::env::current_exe().expect("a test program has a path");
    let output = std::process::Command::new(program)
        .args(["--exact", test, "--test-threads", "1", "--nocapture"])
        .env(ALONE, test)
        .output()
        .expect("the test program starts once more");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} failed in a process of its own: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{test} is no test's whole name:\n{out}");
}

#[cfg(all(unix, not(miri)))]
#[test]
fn a_failure_in_a_process_of_its_own_is_a_failure() {
    let name = "own_process::a_failure_in_a_process_of_its_own_is_a_failure";
    let failed = std::panic::catch_unwind(|| run(name, || panic!("as it should")));
    if std::env::var_os(ALONE).is_some() {
        return failed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
    let said = failed.expect_err("the body panicked").downcast::<String>().expect("a message");
    assert!(said.contains("as it should"), "{said}");
}
