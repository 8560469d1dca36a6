//! Answers for the host, as JSON: few, short and of known shape, so that a writer of their own is all they need.
#![forbid(unsafe_code)]

use std::fmt::Write;

/// An object under way.
pub(crate) struct Object {
    text: String,
}

impl Object {
    pub(crate) fn new() -> Object {
        Object { text: String::from("{") }
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        quote(&mut self.text, name);
        self.text.push(':');
    }

    /// A text.
    pub(crate) fn text(mut self, name: &str, value: &str) -> Object {
        self.name(name);
        quote(&mut self.text, value);
        self
    }

    /// A number.
    pub(crate) fn number(mut self, name: &str, value: u64) -> Object {
        self.name(name);
        let _ = write!(self.text, "{value}");
        self
    }

    /// Seconds.
    pub(crate) fn seconds(mut self, name: &str, value: f64) -> Object {
        self.name(name);
        let _ = write!(self.text, "{value}");
        self
    }

    /// A list of objects.
    pub(crate) fn list(mut self, name: &str, items: impl IntoIterator<Item = Object>) -> Object {
        self.name(name);
        let items: Vec<String> = items.into_iter().map(Object::end).collect();
        let _ = write!(self.text, "[{}]", items.join(","));
        self
    }

    /// The object as text.
    pub(crate) fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

fn quote(out: &mut String, value: &str) {
    out.push('"');
    for letter in value.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if u32::from(letter) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}
