//! Text for terminals whose locale is not UTF-8: each letter beyond ASCII as one letter within it, so that columns stay where
//! they are.
//!
//! A locale counts where one is named (`LC_ALL`, `LC_CTYPE`, `LANG`, the first that is set): machines that name none mostly
//! show UTF-8.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::io::{self, Write};

/// Whether the locale that is named has another encoding than UTF-8.
pub(crate) fn is_wanted() -> bool {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os);
    named
        .map(|name| name.to_string_lossy().to_lowercase())
        .find(|name| !name.is_empty())
        .is_some_and(|name| !is_utf8(&name))
}

fn is_utf8(locale: &str) -> bool {
    locale.contains("utf-8") || locale.contains("utf8")
}

/// One letter within ASCII for each letter.
fn letter(letter: char) -> char {
    match letter {
        _ if letter.is_ascii() => letter,
        'µ' => 'u',
        '·' => '-',
        '×' => 'x',
        '…' => '~',
        '▁' => '_',
        '▂' => '.',
        '▃' => '-',
        '▄' => ':',
        '▅' => '=',
        '▆' => '+',
        '▇' => '*',
        '█' => '#',
        _ => '?',
    }
}

/// A text as the locale can show it.
pub(crate) fn fitting(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !is_wanted() { text.into() } else { text.chars().map(letter).collect::<String>().into() }
}

/// Writes what is written to it within ASCII, or as it is.
pub(crate) struct Output<W> {
    out: W,
    ascii: bool,
    /// The beginning of a letter whose end was not written yet.
    rest: Vec<u8>,
}

impl<W: Write> Output<W> {
    /// `ascii`: whether it is to be within.
    pub(crate) fn new(out: W, ascii: bool) -> Self {
        Output { out, ascii, rest: Vec::new() }
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.ascii || (self.rest.is_empty() && bytes.is_ascii()) {
            return self.out.write(bytes);
        }
        self.rest.extend_from_slice(bytes);
        let mut text = String::new();
        let mut from = 0;
        for chunk in self.rest.utf8_chunks() {
            text.extend(chunk.valid().chars().map(letter));
            from += chunk.valid().len();
            let broken = chunk.invalid();
            // a letter that is not at its end yet waits for it
            if from + broken.len() < self.rest.len() || broken.len() >= 4 {
                text.extend(broken.iter().map(|_| '?'));
                from += broken.len();
            }
        }
        self.rest.drain(..from);
        self.out.write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_keep_their_columns() {
        let mut out = Output::new(Vec::new(), true);
        let text = "5.2 µs · 3 × 4, a lo…  ▁▂▃▄▅▆▇█ ä\n";
        // byte by byte, so that letters are cut
        for byte in text.as_bytes() {
            out.write_all(&[*byte]).unwrap();
        }
        out.flush().unwrap();
        let found = String::from_utf8(out.out).unwrap();
        assert_eq!(found, "5.2 us - 3 x 4, a lo~  _.-:=+*# ?\n");
        assert_eq!(found.len(), text.chars().count());
        let mut out = Output::new(Vec::new(), false);
        out.write_all(text.as_bytes()).unwrap();
        assert_eq!(out.out, text.as_bytes());
    }

    #[test]
    fn bytes_that_are_no_text_are_no_end() {
        let mut out = Output::new(Vec::new(), true);
        out.write_all(b"a\xff\xfeb\xc3").unwrap();
        out.write_all(b"c").unwrap();
        assert_eq!(out.out, b"a??b?c");
    }

    #[test]
    fn locales_say_what_they_can() {
        for (locale, utf8) in
            [("c.utf-8", true), ("de_de.utf8", true), ("c", false), ("posix", false), ("de_de.iso-8859-1", false)]
        {
            assert_eq!(is_utf8(locale), utf8, "{locale}");
        }
    }
}
