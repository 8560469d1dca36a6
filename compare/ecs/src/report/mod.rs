//! What is made of the rows: tables on a terminal, and the document with its pictures.
#![forbid(unsafe_code)]

mod document;
mod machine;
mod picture;

use std::path::{Path, PathBuf};

use crate::row::{Row, tables};

/// The tables of these rows, for a terminal.
pub fn terminal(rows: &[Row], colour: bool) -> String {
    let mut out = String::new();
    for table in tables(rows) {
        let first = table.rows[0];
        out += &format!("\n{}: {}, {} ({})\n", first.group, first.case, first.entities, first.unit);
        for row in &table.rows {
            let ratio = table.ratio(row).map_or(String::new(), |ratio| format!("{ratio:6.2}x"));
            let verdict = match table.verdict(row) {
                Some(true) => "won",
                Some(false) => "LOST",
                None => "",
            };
            let (bold, plain) = if colour && row.is_ours() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            out += &format!(
                "{bold}  {:<12} {:<52} {:>10}  {:>9} - {:<9} {ratio} {verdict}{plain}\n",
                row.engine,
                row.variant,
                number(row.median),
                number(row.low),
                number(row.high),
            );
        }
    }
    out
}

/// Three digits that count.
pub fn number(value: f64) -> String {
    match value.abs() {
        x if x >= 100.0 => format!("{value:.0}"),
        x if x >= 10.0 => format!("{value:.1}"),
        x if x >= 1.0 => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.3}"),
    }
}

/// Writes the document and its pictures into the repository; the document's path.
///
/// # Errors
/// What the file system or the plotter refuses.
pub fn write(rows: &[Row], cores: usize) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    write_into(&root.join("docs"), rows, cores)
}

/// The same, into a given folder.
fn write_into(docs: &Path, rows: &[Row], cores: usize) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let suffix = if machine::native() { "-native" } else { "" };
    std::fs::create_dir_all(docs.join("pictures"))?;
    let mut pictures = Vec::new();
    for (group, case) in picture::worth_drawing(rows) {
        let file = format!("pictures/{}{suffix}.svg", file_name(&group, &case));
        picture::draw(&docs.join(&file), rows, &group, &case)?;
        pictures.push((group, case, file));
    }
    let pages = document::pages(rows, &pictures, &machine::header(cores, rows), suffix);
    for page in &pages {
        let path = docs.join(&page.path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, &page.text)?;
    }
    Ok(docs.join(&pages[0].path))
}

/// The names' letters and digits, with a dash between words.
fn file_name(group: &str, case: &str) -> String {
    let text = format!("{group} {case}").to_lowercase();
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_with_a_picture_is_written() {
        let row = |engine: &str, entities, median| Row {
            group: "integrate".into(),
            case: "1 thread".into(),
            entities,
            engine: engine.into(),
            variant: "plain | simple".into(),
            unit: "ns/entity".into(),
            median,
            low: median * 0.9,
            high: median * 1.1,
            checksum: "1".into(),
            note: String::new(),
        };
        let rows = [
            row("hypostyle", 1000, 0.5),
            row("hecs", 1000, 1.0),
            row("hypostyle", 100_000, 2.0),
            row("hecs", 100_000, 1.0),
        ];
        let folder = std::env::temp_dir().join(format!("compare-report-{}", std::process::id()));
        let path = write_into(&folder, &rows, 2).expect("a temporary folder can be written");
        let text = std::fs::read_to_string(&path).expect("it was written");
        assert!(text.contains("2.00 ns/entity") && text.contains("(benchmarks/integrate.md)"), "{text}");
        let details = std::fs::read_to_string(folder.join("benchmarks/integrate.md")).expect("it was written, too");
        assert!(details.contains("**lost**") && details.contains("won"), "{details}");
        assert!(details.contains("plain \\| simple") && details.contains("](../pictures/"), "{details}");
        assert!(folder.join("benchmarks/lost.md").exists());
        let pictures = std::fs::read_dir(folder.join("pictures")).expect("there is a folder").count();
        assert_eq!(pictures, 1);
        std::fs::remove_dir_all(folder).expect("it is ours");
    }
}
