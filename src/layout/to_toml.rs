//! A layout as the text of a layout file. Parsing the text gives the same layout back.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use crate::layout::parse::BYTE_UNITS;
use crate::layout::{FieldLayout, Layout, ScalarType, Storage};

/// Fields that take more characters than this get a table of their own, a line each.
const FIELDS_LINE_MAX: usize = 100;

impl Layout {
    /// The text of a layout file; [`Layout::parse`] reads the same layout back from it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Names hold only a-z, 0-9 and _, so they need no quoting or escaping; writing to a String cannot fail.
        let mut out = format!("name = \"{}\"\nbytes_max = {}\n", self.name, bytes_text(self.bytes_max));
        for component in &self.components {
            let _ = writeln!(out, "\n[components.{}]", component.name);
            if component.storage != Storage::Table {
                let _ = writeln!(out, "storage = \"{}\"", component.storage.name());
            }
            if component.track_changes {
                out.push_str("track_changes = true\n");
            }
            put_fields(&mut out, "components", &component.name, &component.fields);
        }
        for resource in &self.resources {
            let _ = writeln!(out, "\n[resources.{}]", resource.name);
            put_fields(&mut out, "resources", &resource.name, &resource.fields);
        }
        for table in &self.tables {
            let names: Vec<String> = table.components.iter().map(|name| format!("\"{name}\"")).collect();
            let _ = writeln!(out, "\n[[tables]]\ncomponents = [{}]\nrows = {}", names.join(", "), table.rows);
        }
        out
    }
}

fn put_fields(out: &mut String, part: &str, owner: &str, fields: &[FieldLayout]) {
    if fields.is_empty() {
        return;
    }
    let shared = shared_unit(fields);
    if let Some(unit) = shared {
        let _ = writeln!(out, "unit = {}", quoted(unit));
    }
    let lines: Vec<String> = fields.iter().map(|field| field_text(field, shared.is_none())).collect();
    let line = lines.join(", ");
    if line.len() <= FIELDS_LINE_MAX {
        let _ = writeln!(out, "fields = {{ {line} }}");
    } else {
        let _ = writeln!(out, "[{part}.{owner}.fields]\n{}", lines.join("\n"));
    }
}

/// The unit that all of several fields have.
fn shared_unit(fields: &[FieldLayout]) -> Option<&str> {
    let [first, second, rest @ ..] = fields else { return None };
    let is_shared = !first.unit.is_empty() && std::iter::once(second).chain(rest).all(|field| field.unit == first.unit);
    is_shared.then_some(first.unit.as_str())
}

fn field_text(field: &FieldLayout, with_unit: bool) -> String {
    let FieldLayout { name, ty, default, unit, description } = field;
    let mut told = Vec::new();
    if let Some(bytes) = default {
        let values: Vec<String> = bytes.chunks_exact(ty.scalar.bytes()).map(|b| value_text(ty.scalar, b)).collect();
        let values = values.join(", ");
        told.push(format!("default = {}", if ty.array_len == 0 { values } else { format!("[{values}]") }));
    }
    for (key, text) in [("unit", unit), ("description", description)] {
        if !text.is_empty() && (with_unit || key != "unit") {
            told.push(format!("{key} = {}", quoted(text)));
        }
    }
    match told.is_empty() {
        true => format!("{name} = \"{ty}\""),
        false => format!("{name} = {{ type = \"{ty}\", {} }}", told.join(", ")),
    }
}

/// A text without control characters, as TOML has it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One scalar; `bytes` are as long as it.
fn value_text(scalar: ScalarType, bytes: &[u8]) -> String {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(wide);
    let unused = 64 - 8 * scalar.bytes() as u32;
    match scalar {
        ScalarType::F32 => float_text(format!("{:?}", f32::from_bits(bits as u32))),
        ScalarType::F64 => float_text(format!("{:?}", f64::from_bits(bits))),
        // the shortest text of the f32 it is: what is read from that is this number again
        ScalarType::F16
        | ScalarType::Bf16
        | ScalarType::Unorm8
        | ScalarType::Unorm16
        | ScalarType::Snorm8
        | ScalarType::Snorm16 => float_text(format!("{:?}", scalar.small_value(bytes).unwrap_or_default())),
        ScalarType::Bool => (bits != 0).to_string(),
        ScalarType::Entity => "\"null\"".to_owned(),
        ScalarType::U8 | ScalarType::U16 | ScalarType::U32 | ScalarType::U64 => bits.to_string(),
        // Up and down again carries the sign over the unused bits.
        ScalarType::I8 | ScalarType::I16 | ScalarType::I32 | ScalarType::I64 => {
            (((bits << unused) as i64) >> unused).to_string()
        }
    }
}

/// Rust's shortest exact text of a float is TOML, but for NaN.
fn float_text(text: String) -> String {
    if text == "NaN" { "nan".to_owned() } else { text }
}

fn bytes_text(bytes: u64) -> String {
    match BYTE_UNITS.iter().find(|(_, unit)| *unit > 1 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) if bytes > 0 => format!("\"{} {name}\"", bytes / unit),
        _ => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layout::arbitrary::layouts;

    #[test]
    fn values_are_written_as_they_are() {
        for (scalar, bytes, text) in [
            (ScalarType::I8, vec![0x80], "-128"),
            (ScalarType::I64, vec![0xff; 8], "-1"),
            (ScalarType::U64, vec![0xff; 8], "18446744073709551615"),
            (ScalarType::F32, 0.1_f32.to_le_bytes().to_vec(), "0.1"),
            (ScalarType::F32, (-0.0_f32).to_le_bytes().to_vec(), "-0.0"),
            (ScalarType::F64, f64::NEG_INFINITY.to_le_bytes().to_vec(), "-inf"),
            (ScalarType::F64, f64::NAN.to_le_bytes().to_vec(), "nan"),
            (ScalarType::Bool, vec![1], "true"),
        ] {
            assert_eq!(value_text(scalar, &bytes), text);
        }
        assert_eq!(bytes_text(16 << 30), "\"16 GiB\"");
        assert_eq!(bytes_text((1 << 20) + 1), "1048577");
    }

    proptest! {
        #[test]
        fn parse_undoes_to_toml(layout in layouts()) {
            let text = layout.to_toml();
            let parsed = Layout::parse(&text, "test.toml").map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
            prop_assert_eq!(parsed, layout);
        }

        /// Whatever happened to a file: an error or a valid layout, never a panic.
        #[test]
        fn mutated_text_is_refused_or_valid(
            layout in layouts(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), "[ -~é\n]{0,3}", 0_usize..8), 1..4),
        ) {
            let mut text: Vec<char> = layout.to_toml().chars().collect();
            for (place, new, gone) in changes {
                let at = place.index(text.len());
                let end = (at + gone).min(text.len());
                text.splice(at..end, new.chars());
                text.push('\n');
            }
            if let Ok(layout) = Layout::parse(&text.into_iter().collect::<String>(), "test.toml") {
                prop_assert_eq!(Layout::decode(&layout.encode()).unwrap(), layout);
            }
        }
    }
}
