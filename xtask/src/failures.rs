//! What a failed run is remembered by: the names of failed tests, where they panicked, and the seeds that replay them.
//!
//! Programs' output passes by line by line; what matters of it is kept, so that the last lines of a run are enough to
//! go on from.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

/// Lines kept of one step: the first failures matter.
const LINES_MAX: usize = 60;
/// A line is cut there.
const LINE_BYTES_MAX: usize = 300;
/// Words of lines that say how to run a failure again.
const REPLAY: [&str; 5] = ["replay with", "_SEED=", "seed", "minimal failing input", "successes:"];

/// Failures seen since they were last taken.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Reads the output of one program.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    /// The test whose output is being shown.
    section: Option<String>,
    /// The next line is a panic's message.
    message: bool,
}

impl Listener {
    /// Looks at a line; what is kept of it, indented below the test's name.
    pub(crate) fn hear(&mut self, line: &str) -> Option<String> {
        let line = line.trim_end();
        if let Some(name) = failed_test(line) {
            return Some(cut(name));
        }
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.section = Some(name.to_owned());
            self.message = false;
            return Some(cut(&format!("{name}:")));
        }
        if line == "failures:" || line.starts_with("test result: ") {
            (self.section, self.message) = (None, false);
            return None;
        }
        self.section.as_ref()?;
        let panicked = line.contains(" panicked at ");
        let replays = REPLAY.iter().any(|word| line.to_ascii_lowercase().contains(&word.to_ascii_lowercase()));
        let keep = panicked || self.message || replays;
        self.message = panicked;
        (keep && !line.is_empty()).then(|| cut(&format!("    {}", line.trim_start())))
    }
}

/// The name in a line that says that a test failed: libtest's, pytest's, node's.
fn failed_test(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix("test ") {
        return rest.strip_suffix(" ... FAILED");
    }
    let pytest =
        line.strip_prefix("FAILED ").or_else(|| line.strip_prefix("ERROR ")).filter(|rest| rest.contains("::"));
    let node =
        || line.trim_start().strip_prefix("not ok ").and_then(|rest| rest.split_once(" - ")).map(|(_, name)| name);
    let spec = || line.trim_start().strip_prefix("\u{2716} ").filter(|name| !name.starts_with("failing tests"));
    pytest.or_else(node).or_else(spec)
}

fn cut(line: &str) -> String {
    let mut end = line.len().min(LINE_BYTES_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line[..end].to_owned()
}

/// Keeps a line for the end of the run; the same line once.
pub(crate) fn keep(line: String) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.len() < LINES_MAX && !seen.contains(&line) {
        seen.push(line);
    }
}

/// What was kept since it was last asked for.
pub(crate) fn take() -> Vec<String> {
    std::mem::take(&mut *SEEN.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Vec<String> {
        let mut listener = Listener::default();
        text.lines().filter_map(|line| listener.hear(line)).collect()
    }

    #[test]
    fn failed_tests_are_named_with_place_message_and_seed() {
        let text = "running 2 tests\ntest a::good ... ok\ntest a::bad ... FAILED\n\nfailures:\n\n---- a::bad stdout ----\n\
                    a line of no interest\n\nthread 'a::bad' panicked at tests/a.rs:3:5:\nthe sum is 4, not 5\nmore\n\
                    replay with: HYPOSTYLE_SEED=7 cargo test\n\nfailures:\n    a::bad\n\ntest result: FAILED. 1 passed";
        assert_eq!(
            heard(text),
            [
                "a::bad",
                "a::bad:",
                "    thread 'a::bad' panicked at tests/a.rs:3:5:",
                "    the sum is 4, not 5",
                "    replay with: HYPOSTYLE_SEED=7 cargo test",
            ]
        );
    }

    #[test]
    fn failures_of_pytest_and_node_are_named() {
        assert_eq!(heard("FAILED test_a.py::test_sum - assert 4 == 5"), ["test_a.py::test_sum - assert 4 == 5"]);
        assert_eq!(heard("not ok 3 - the box holds its rows"), ["the box holds its rows"]);
        assert_eq!(heard("  \u{2716} a page without storage (3.2ms)"), ["a page without storage (3.2ms)"]);
        assert_eq!(heard("ok 4 - fine\nFAILED to find it\ntest x ... ok\nseed 4"), [""; 0]);
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let name = "\u{e4}".repeat(LINE_BYTES_MAX);
        assert!(heard(&format!("test {name} ... FAILED"))[0].len() <= LINE_BYTES_MAX);
    }
}
