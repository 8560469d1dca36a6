//! Names in layouts: snake_case, as the engine checks them again when a world is built.
#![forbid(unsafe_code)]

/// Bytes that a name may have; the engine's own limit.
const NAME_BYTES_MAX: usize = 64;

/// `RigidBody` as `rigid_body`, `HTTPServer` as `http_server`.
pub fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (i, c) in chars.iter().enumerate() {
        let after_word = i > 0 && (chars[i - 1].is_lowercase() || chars[i - 1].is_ascii_digit());
        let before_word = i > 0 && chars[i - 1].is_uppercase() && chars.get(i + 1).is_some_and(|c| c.is_lowercase());
        if c.is_uppercase() && (after_word || before_word) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// What is wrong with a name, if anything is.
pub fn problem(name: &str) -> Option<String> {
    if name.len() > NAME_BYTES_MAX {
        return Some(format!("the name `{name}` has {} bytes; a name may have {NAME_BYTES_MAX}", name.len()));
    }
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (!good).then(|| format!("the name `{name}` is not snake_case: a letter a-z, then a-z, 0-9 or _"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, snake) in
            [("Position", "position"), ("HTTPServer", "http_server"), ("RigidBody", "rigid_body"), ("A", "a")]
        {
            assert_eq!(snake_case(name), snake);
            assert_eq!(problem(snake), None);
        }
        assert!(problem("Position").is_some() && problem("_x").is_some() && problem("").is_some());
        assert!(problem(&"x".repeat(65)).is_some());
    }
}
