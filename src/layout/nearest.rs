//! Names close to a misspelt one, for error messages. Pure functions of strings.
#![forbid(unsafe_code)]

use crate::limits::NAME_BYTES_MAX;

/// The candidate closest to `name`, if one is close enough to have been meant; the first of equally close ones.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 2 * NAME_BYTES_MAX {
        return None; // no typing error; and hostile text must not cost a product of lengths
    }
    let reach = (name.chars().count() / 3).max(1);
    let best = candidates.into_iter().map(|c| (distance(name, c), c)).min_by_key(|(d, _)| *d)?;
    (best.0 <= reach).then_some(best.1)
}

/// The end of a message about a name that is not there: the known one that may have been meant, if any is close enough.
///
/// ```
/// use hypostyle::layout::did_you_mean;
/// assert_eq!(did_you_mean("positon", ["position", "velocity"]), " (did you mean `position`?)");
/// assert_eq!(did_you_mean("charge", ["position", "velocity"]), "");
/// ```
#[must_use]
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|nearest| format!(" (did you mean `{nearest}`?)")).unwrap_or_default()
}

/// Single-character edits (insert, delete, replace) from one string to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// `name` in snake_case, if there is such a spelling.
pub(crate) fn snake_case(name: &str) -> Option<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (i, c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() {
            let after_word = i > 0 && (chars[i - 1].is_ascii_lowercase() || chars[i - 1].is_ascii_digit());
            let before_word =
                i > 0 && chars[i - 1].is_ascii_uppercase() && chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
            if after_word || before_word {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        } else if c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_' {
            out.push(*c);
        } else if matches!(c, ' ' | '-' | '.') {
            out.push('_');
        }
    }
    let out = out.trim_start_matches(|c: char| c == '_' || c.is_ascii_digit()).to_owned();
    is_snake_case(&out).then_some(out)
}

/// Whether `name` is a letter a-z, then letters a-z, digits or underscores.
pub(crate) fn is_snake_case(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["position", "velocity", "age"];
        assert_eq!(nearest("positon", names), Some("position"));
        assert_eq!(nearest("velocities", names), Some("velocity"));
        assert_eq!(nearest("agee", names), Some("age"));
        assert_eq!(nearest("temperature", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn spells_snake_case() {
        for (name, snake) in [
            ("Position", "position"),
            ("HTTPServer", "http_server"),
            ("rigidBody2D", "rigid_body2_d"),
            ("mass-centre", "mass_centre"),
            ("_x", "x"),
            ("3d", "d"),
        ] {
            assert_eq!(snake_case(name).as_deref(), Some(snake), "{name}");
        }
        assert_eq!(snake_case("é"), None);
        assert_eq!(snake_case(""), None);
        assert!(is_snake_case("a_1") && !is_snake_case("1a") && !is_snake_case("A") && !is_snake_case("a.b"));
    }
}
