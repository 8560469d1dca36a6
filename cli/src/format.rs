//! `--format`: how a command prints data: as a table for people, or for other programs.
#![forbid(unsafe_code)]

use std::io::Write;

use clap::ValueEnum;
use serde_json::Value;

use crate::failure::Outcome;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table, for people.
    #[default]
    Table,
    /// One JSON object.
    Json,
    /// A JSON object in each line.
    Ndjson,
    /// Comma-separated values, with a line of names first.
    Csv,
}

impl Format {
    /// With what `--json` says, which is short for one of them.
    pub(crate) fn or_json(self, json: bool) -> Format {
        if json && self == Format::Table { Format::Json } else { self }
    }
}

/// Rows for programs: an object in each line, or CSV with these columns. Tables and whole objects commands print in their own ways.
pub(crate) fn put_rows(format: Format, columns: &[&str], rows: &[Value], out: &mut dyn Write) -> Outcome {
    if format == Format::Ndjson {
        return rows.iter().try_for_each(|row| Ok(writeln!(out, "{row}")?));
    }
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(columns)?;
    for row in rows {
        csv.write_record(columns.iter().map(|column| cell(&row[*column])))?;
    }
    Ok(csv.flush()?)
}

/// What a command found, for programs: the whole of it as JSON, or what it has most of as rows.
pub(crate) fn put_data(format: Format, data: &Value, columns: &[&str], rows: &[Value], out: &mut dyn Write) -> Outcome {
    match format {
        Format::Json | Format::Table => crate::put_json(out, data),
        Format::Ndjson | Format::Csv => put_rows(format, columns, rows, out),
    }
}

/// A value in a cell: what there is not is empty, several stand side by side.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(several) => several.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_have_their_cells_in_order_and_commas_stay_within_them() {
        let rows =
            [json!({ "b": [1, 2], "a": "x, \"y\"", "c": 0.1, "d": 7 }), json!({ "a": null, "b": [], "c": true })];
        let text = |format| {
            let mut out = Vec::new();
            put_rows(format, &["a", "b", "c"], &rows, &mut out).expect("a vector takes all");
            String::from_utf8(out).expect("text")
        };
        assert_eq!(text(Format::Csv), "a,b,c\n\"x, \"\"y\"\"\",1 2,0.1\n,,true\n");
        let lines: Vec<Value> =
            text(Format::Ndjson).lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert_eq!(lines, rows);
    }
}
