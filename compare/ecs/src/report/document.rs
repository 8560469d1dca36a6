//! The document: Markdown tables, in the order in which the cases ran.
#![forbid(unsafe_code)]

use std::fmt::Write;

use crate::row::{Row, Table, tables};

use super::number;

const INTRODUCTION: &str = "\
# Benchmarks

hypostyle beside other engines, written by `cargo xtask compare --write`. The contenders of a case run in turn in one
process, round after round, so that a machine that drifts drifts for all. Times are medians. All contenders of a case
must end in the same state, bit for bit: a checksum sees to it. Peers are used in the fastest ways that they document.
Each line shows our best row and the best row of the best peer; below 1 is faster. All rows, with quartiles, stand in
the pages behind the links, and what is lost has [a page of its own](DETAILS/lost.md). Why others are faster where they
are: [decision 0011](decisions/0011-where-others-are-faster.md).

";

const DETAILS: &str = "\
Written by `cargo xtask compare --write`; how it is measured stands in [the summary](../SUMMARY). Times are medians, with
the lower and upper quartile. *Against the best peer* is a row's median over that of the fastest peer: below 1 is
faster. A row of hypostyle is **won** or **lost** against that one. *By hand* is no engine but a bound: loops over plain
vectors.

";

/// Between what is measured and the situation in which it is, in the names of cases of which many have one situation.
const SEPARATOR: &str = " | ";
/// Pictures on the summary: those of the cases that most users ask about first.
const PICTURES_MAX: usize = 4;

/// A page: its path below the documents' folder, and its text.
pub struct Page {
    pub path: String,
    pub text: String,
}

/// All pages. `pictures` are (group, case, path); `suffix` tells builds with other flags apart.
pub fn pages(
    rows: &[Row],
    pictures: &[(String, String, String)],
    header: &[(String, String)],
    suffix: &str,
) -> Vec<Page> {
    let tables = tables(rows);
    let (folder, summary) = (format!("benchmarks{suffix}"), format!("BENCHMARKS{suffix}.md"));
    let mut groups: Vec<&str> = Vec::new();
    for table in &tables {
        if !groups.contains(&table.rows[0].group.as_str()) {
            groups.push(&table.rows[0].group);
        }
    }
    let mut first = INTRODUCTION.replace("DETAILS", &folder);
    first += "| | |\n|---|---|\n";
    for (what, which) in header {
        line(&mut first, &[what, which]);
    }
    first += "\n";
    for (group, case, path) in pictures.iter().take(PICTURES_MAX) {
        let _ = writeln!(first, "![{group}, {case}: time over the number of entities]({path})\n");
    }
    best_rows(&mut first, &tables, &groups, &folder);
    let mut pages = vec![page(summary.clone(), first)];
    let details = DETAILS.replace("SUMMARY", &summary);
    for group in &groups {
        let mut text = format!("# {}\n\n{details}", title(group));
        group_page(&mut text, rows, &tables, pictures, group);
        pages.push(page(format!("{folder}/{}.md", super::file_name(group, "")), text));
    }
    let mut lost = format!("# What is lost\n\n{details}");
    lost_rows(&mut lost, &tables);
    pages.push(page(format!("{folder}/lost.md"), lost));
    pages
}

fn page(path: String, mut text: String) -> Page {
    text.truncate(text.trim_end().len());
    Page { path, text: text + "\n" }
}

/// A line for each case at its largest size: our best row beside the best peer's best.
fn best_rows(out: &mut String, tables: &[Table<'_>], groups: &[&str], folder: &str) {
    let verdicts: Vec<bool> = tables.iter().filter_map(Table::best_verdict).collect();
    let _ = writeln!(
        out,
        "## Summary\n\nOur best row is the best of all engines in {} of {} cases and sizes.\n",
        verdicts.iter().filter(|won| **won).count(),
        verdicts.len(),
    );
    *out += "| case | entities | hypostyle | ours | best peer | theirs | ratio |\n|---|---:|---|---:|---|---:|---:|\n";
    for group in groups {
        let link = format!("[{}]({folder}/{}.md)", title(group), super::file_name(group, ""));
        let mut cases: Vec<&Table<'_>> = Vec::new();
        for table in tables.iter().filter(|table| table.rows[0].group == *group) {
            let row = table.rows[0];
            // many measures of one situation have their own page
            if row.case.contains(SEPARATOR) {
                continue;
            }
            match cases.iter_mut().find(|known| known.rows[0].case == row.case) {
                Some(known) if known.rows[0].entities < row.entities => *known = table,
                Some(_) => {}
                None => cases.push(table),
            }
        }
        if cases.is_empty() {
            line(out, &[&link, "", "see the page", "", "", "", ""]);
        }
        for table in cases {
            let (Some(ours), Some(theirs)) = (table.best_row(Row::is_ours), table.best_row(Row::is_peer)) else {
                continue;
            };
            let (case, unit) = (&ours.case, &ours.unit);
            let peer = format!("{}: {}", theirs.engine, theirs.variant);
            let ratio = table.ratio(ours).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let ratio = if table.verdict(ours) == Some(true) { format!("**{ratio}**") } else { ratio };
            line(
                out,
                &[
                    &format!("{link}: {case}"),
                    &count(ours.entities),
                    &ours.variant,
                    &format!("{} {unit}", number(ours.median)),
                    &peer,
                    &number(theirs.median),
                    &ratio,
                ],
            );
        }
    }
}

/// All tables of a group.
fn group_page(
    out: &mut String,
    rows: &[Row],
    tables: &[Table<'_>],
    pictures: &[(String, String, String)],
    group: &str,
) {
    let mut cases: Vec<&str> = Vec::new();
    for table in tables.iter().filter(|table| table.rows[0].group == group) {
        if !cases.contains(&table.rows[0].case.as_str()) {
            cases.push(&table.rows[0].case);
        }
    }
    let (measures, cases): (Vec<&str>, Vec<&str>) = cases.into_iter().partition(|case| case.contains(SEPARATOR));
    for case in cases {
        section(out, rows, tables, pictures, (group, case));
    }
    let mut situations: Vec<&str> = Vec::new();
    for (_, situation) in measures.iter().filter_map(|case| case.split_once(SEPARATOR)) {
        if !situations.contains(&situation) {
            situations.push(situation);
        }
    }
    for situation in situations {
        many_measures(out, tables, group, situation);
    }
}

/// One case: a table with a line per row.
fn section(
    out: &mut String,
    rows: &[Row],
    tables: &[Table<'_>],
    pictures: &[(String, String, String)],
    (group, case): (&str, &str),
) {
    let same = |row: &Row| row.group == group && row.case == case;
    let unit = rows.iter().find(|row| same(row)).map_or("", |row| &row.unit);
    let _ = writeln!(out, "## {} ({unit})\n", title(case));
    if let Some((.., path)) = pictures.iter().find(|picture| picture.0 == group && picture.1 == case) {
        let _ = writeln!(out, "![{unit} over the number of entities](../{path})\n");
    }
    *out += "| entities | engine | how | median | quartiles | against the best peer | |\n";
    *out += "|---:|---|---|---:|---|---:|---|\n";
    for table in tables.iter().filter(|table| same(table.rows[0])) {
        rows_of(out, table);
    }
    *out += "\n";
    notes(out, rows.iter().filter(|row| same(row)));
}

/// One situation in which many things are measured: a line for each of them, a column for each engine.
fn many_measures(out: &mut String, tables: &[Table<'_>], group: &str, situation: &str) {
    let here: Vec<(&str, &Table<'_>)> = tables
        .iter()
        .filter(|table| table.rows[0].group == group)
        .filter_map(|table| {
            let (measure, of) = table.rows[0].case.split_once(SEPARATOR)?;
            (of == situation).then_some((measure, table))
        })
        .collect();
    let entities = here.first().map_or(0, |(_, table)| table.rows[0].entities);
    let _ = writeln!(out, "## {}, {} entities\n", title(situation), count(entities));
    let mut columns: Vec<(&str, &str)> = Vec::new();
    for row in here.iter().flat_map(|(_, table)| &table.rows) {
        let column = (row.engine.as_str(), row.variant.as_str());
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let names: Vec<String> = columns.iter().map(|(engine, variant)| format!("{engine}: {variant}")).collect();
    let mut head = vec![""];
    head.extend(names.iter().map(String::as_str));
    line(out, &head);
    *out += "|---|";
    *out += &"---:|".repeat(columns.len());
    *out += "\n";
    for (measure, table) in &here {
        let mut cells = vec![format!("{measure} ({})", table.rows[0].unit)];
        for (engine, variant) in &columns {
            let row = table.rows.iter().find(|row| row.engine == *engine && row.variant == *variant);
            cells.push(row.map_or("-".to_owned(), |row| {
                let verdict = verdict(table, row);
                format!("{}{}{verdict}", number(row.median), if verdict.is_empty() { "" } else { " " })
            }));
        }
        line(out, &cells.iter().map(String::as_str).collect::<Vec<_>>());
    }
    *out += "\n";
    notes(out, here.iter().flat_map(|(_, table)| table.rows.iter().copied()));
}

fn rows_of(out: &mut String, table: &Table<'_>) {
    for (place, row) in table.rows.iter().enumerate() {
        let entities = if place == 0 { count(row.entities) } else { String::new() };
        let ratio = table.ratio(row).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let verdict = verdict(table, row);
        let engine = if row.is_ours() { format!("**{}**", row.engine) } else { row.engine.clone() };
        let spread = format!("{} - {}", number(row.low), number(row.high));
        line(out, &[&entities, &engine, &row.variant, &number(row.median), &spread, &ratio, verdict]);
    }
}

fn verdict(table: &Table<'_>, row: &Row) -> &'static str {
    match table.verdict(row) {
        Some(true) => "won",
        Some(false) => "**lost**",
        None => "",
    }
}

/// Everything that was lost, by name.
fn lost_rows(out: &mut String, tables: &[Table<'_>]) {
    let ours = || {
        let rows = tables.iter().flat_map(|table| table.rows.iter().map(move |row| (table, *row)));
        rows.filter_map(|(table, row)| Some((table.verdict(row)?, row, table.ratio(row))))
    };
    let won = ours().filter(|(won, ..)| *won).count();
    let lost: Vec<_> = ours().filter(|(won, ..)| !won).collect();
    let _ = writeln!(out, "Of {} rows of hypostyle {won} are won and {} are lost.\n", won + lost.len(), lost.len());
    if lost.is_empty() {
        return;
    }
    out.push_str("| lost | entities | how | against the best peer |\n|---|---:|---|---:|\n");
    for (_, row, ratio) in lost {
        let name = format!("{}: {}", row.group, row.case);
        let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        line(out, &[&name, &count(row.entities), &row.variant, &ratio]);
    }
    out.push('\n');
}

fn notes<'a>(out: &mut String, rows: impl Iterator<Item = &'a Row>) {
    let mut seen: Vec<(&str, &str, &str)> = Vec::new();
    for row in rows.filter(|row| !row.note.is_empty()) {
        let note = (row.engine.as_str(), row.variant.as_str(), row.note.as_str());
        if !seen.contains(&note) {
            seen.push(note);
        }
    }
    for (engine, variant, note) in &seen {
        let _ = writeln!(out, "- {engine} ({variant}): {note}.");
    }
    if !seen.is_empty() {
        out.push('\n');
    }
}

fn line(out: &mut String, cells: &[&str]) {
    for cell in cells {
        let _ = write!(out, "| {} ", cell.replace('|', "\\|"));
    }
    out.push_str("|\n");
}

/// Digits in groups of three.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn title(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([count(7), count(1000), count(12_345_678)], ["7", "1,000", "12,345,678"]);
    }
}
