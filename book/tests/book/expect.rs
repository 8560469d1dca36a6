//! Output as the book shows it, compared with what a command printed: `…` stands for whatever differs.
#![forbid(unsafe_code)]

/// Stands for any text within a line, and alone on a line for any lines.
const ANY: &str = "…";

/// Where the two differ.
pub(crate) fn difference(shown: &str, printed: &str) -> Option<String> {
    let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
    (!lines(&shown, &printed)).then(|| {
        let (shown, printed) = (shown.join("\n"), printed.join("\n"));
        format!("the book shows\n{shown}\n---- and the command printed\n{printed}\n----")
    })
}

fn lines(shown: &[&str], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line.trim() == ANY => (0..=printed.len()).any(|skip| lines(rest, &printed[skip..])),
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, more)| within(line, first) && lines(rest, more))
        }
    }
}

/// Whether a line has the parts that are shown, in order.
fn within(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split(ANY);
    let (Some(first), Some(mut rest)) = (parts.next(), Some(printed)) else { return false };
    match rest.strip_prefix(first) {
        Some(left) => rest = left,
        None => return false,
    }
    let mut last = None;
    for part in parts {
        match rest.find(part) {
            Some(at) => (rest, last) = (&rest[at + part.len()..], Some(part)),
            None => return false,
        }
    }
    rest.is_empty() || last.is_some_and(|last| last.is_empty() || printed.ends_with(last))
}

#[test]
fn what_differs_may_be_left_out() {
    for (shown, printed) in [
        ("a\nb", "a\nb\n"),
        ("a\n…\nc", "a\nc"),
        ("a\n…\nc", "a\nb\nb\nc"),
        ("frame … of …", "frame 3 of 4"),
        ("…", ""),
        ("x …", "x 1"),
        ("… ms", "1 ms 2 ms"),
    ] {
        assert_eq!(difference(shown, printed), None, "{shown} {printed}");
    }
    for (shown, printed) in [("a", "b"), ("a", "a\nb"), ("a\n…\nc", "a\nb"), ("frame …", "fram 3"), ("… ms", "1 s")]
    {
        assert!(difference(shown, printed).is_some(), "{shown} {printed}");
    }
}
