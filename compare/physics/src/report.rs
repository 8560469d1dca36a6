//! Tables for people.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use crate::measure::{Spread, Table};

const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->";

/// All tables.
pub fn markdown(tables: &[Table]) -> String {
    let mut text = String::new();
    for table in tables {
        // writing to a string cannot fail
        let _ = writeln!(text, "### {}\n", table.name);
        let _ = writeln!(text, "Nanoseconds per {}, medians of {} rounds with quartiles.\n", table.unit, table.rounds);
        let told = table.rows.iter().any(|row| row.bytes.is_some());
        text.push_str("| contender | by the clock | processor time | processor time of the first over this |");
        text.push_str(&if told { format!(" bytes per {} |\n", table.thing) } else { "\n".to_owned() });
        text.push_str(if told { "|---|---:|---:|---:|---:|\n" } else { "|---|---:|---:|---:|\n" });
        let first = table.rows.first().map_or(0.0, |row| row.cpu.median);
        for row in &table.rows {
            let bytes =
                row.bytes.map_or_else(|| if told { " |" } else { "" }.to_owned(), |bytes| format!(" {bytes:.0} |"));
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.2} |{bytes}",
                row.name,
                spread(row.wall),
                spread(row.cpu),
                first / row.cpu.median
            );
        }
        text.push('\n');
    }
    text
}

fn spread(spread: Spread) -> String {
    let digits = if spread.median < 10.0 { 3 } else { 0 };
    format!("{:.digits$} ({:.digits$} to {:.digits$})", spread.median, spread.low, spread.high)
}

/// Puts the tables between the markers of a page.
pub fn write(page: &Path, tables: &[Table]) -> Result<(), Box<dyn Error>> {
    let text = std::fs::read_to_string(page)?;
    let (Some(begin), Some(end)) = (text.find(BEGIN), text.find(END)) else {
        return Err(format!("{} lacks the lines {} and {END}", page.display(), BEGIN.trim()).into());
    };
    let written = format!("{}{BEGIN}\n{}{}", &text[..begin], markdown(tables), &text[end..]);
    std::fs::write(page, written)?;
    Ok(())
}
