//! Rust source without its comments and literals: enough of a lexer to tell code from text about code.
#![forbid(unsafe_code)]

/// The source with every comment and the inside of every string and character literal replaced by spaces. Line breaks
/// stay, so that lines keep their numbers.
pub(crate) fn code(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => block_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'\'' => char_end(bytes, at),
            b'r' | b'b' | b'c' if !at.checked_sub(1).is_some_and(|before| is_word(bytes[before])) => {
                prefixed(bytes, at)
            }
            _ => at,
        };
        blank(&mut out[at..end]);
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether `code` has `word` as a whole identifier.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    positions(code, word).next().is_some()
}

/// Where `text` has `word`, not as a part of a longer identifier.
pub(crate) fn positions<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    let at_word = |index: usize| is_word(bytes[index]);
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = at > 0 && at_word(at) && at_word(at - 1);
        let end = at + word.len();
        let after = end < bytes.len() && at_word(end - 1) && at_word(end);
        !before && !after
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

/// The end of a block comment; they nest.
fn block_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if bytes[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The end of a literal whose opening quote stands at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let mut next = at + 1;
    while next < bytes.len() {
        match bytes[next] {
            b'\\' => next += 2,
            byte if byte == quote => return next + 1,
            _ => next += 1,
        }
    }
    bytes.len()
}

/// The end of a character literal; `at` itself for a lifetime.
fn char_end(bytes: &[u8], at: usize) -> usize {
    let text = String::from_utf8_lossy(&bytes[at + 1..bytes.len().min(at + 6)]).into_owned();
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => string_end(bytes, at),
        (Some(_), Some('\'')) => string_end(bytes, at),
        _ => at,
    }
}

/// The end of a literal with a prefix (`r"`, `r#"`, `b"`, `b'`, `br#"`, `c"`, `cr#"`); `at` itself for anything else.
fn prefixed(bytes: &[u8], at: usize) -> usize {
    let mut next = at + usize::from(matches!(bytes[at], b'b' | b'c'));
    let raw = bytes.get(next) == Some(&b'r');
    if !raw {
        return match bytes.get(next) {
            Some(b'"') => string_end(bytes, next),
            Some(b'\'') if bytes[at] == b'b' => string_end(bytes, next),
            _ => at,
        };
    }
    next += 1;
    let hashes = bytes[next..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(next + hashes) != Some(&b'"') {
        return at;
    }
    let closing = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let body = next + hashes + 1;
    let length = bytes[body..].windows(closing.len()).position(|window| window == closing);
    length.map_or(bytes.len(), |length| body + length + closing.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_code(source: &str) -> bool {
        has_word(&code(source), "unsafe")
    }

    #[test]
    fn code_is_told_from_text() {
        for source in [
            "unsafe { read(p) }",
            "unsafe fn f() {}",
            "/* a /* b */ c */ unsafe {}",
            "let a = \"//\"; unsafe {}",
            "let a = '\"'; unsafe {}",
            "let a = '\\''; unsafe {}",
            "let a = b'\\\\'; unsafe {}",
            "fn f<'a>(x: &'a str) { unsafe {} }",
            "let a = r#\"\"\"#; unsafe {}",
            "let a = br\"\\\"; unsafe {}",
            "let var = \"x\"; unsafe {}",
            "'outer: loop { unsafe {} }",
            "#[unsafe(no_mangle)] fn f() {}",
            "let a = 'ä'; unsafe {}",
            "r#type; unsafe {}",
        ] {
            assert!(is_code(source), "{source}");
        }
        for source in [
            "// unsafe",
            "//! unsafe",
            "/* unsafe */",
            "/* /* */ unsafe */",
            "#![forbid(unsafe_code)]",
            "let a = \"unsafe\";",
            "let a = \"\\\" unsafe\";",
            "let a = r\"\\\"; let b = \" unsafe\";",
            "let a = r##\" \"# unsafe \"##;",
            "let a = b\"unsafe\";",
            "let a = c\"unsafe\";",
            "let a = br#\"unsafe\"#;",
            "let a = '\\'' ; // unsafe",
            "let not_unsafe = 1;",
            "/* unsafe",
            "let a = \"unsafe",
        ] {
            assert!(!is_code(source), "{source}");
        }
    }

    #[test]
    fn lines_keep_their_numbers() {
        let source = "a\n/* x\ny */ b\n\"c\nd\" e";
        let code = code(source);
        assert_eq!(code.len(), source.len());
        assert_eq!(code.lines().count(), source.lines().count());
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "b", "e"]);
    }
}
