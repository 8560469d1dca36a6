//! A row of the results: what one engine took for one case. The interchange format is one JSON object per line.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// The engine whose rows are "ours".
pub const OURS: &str = "hypostyle";
/// What is no engine but a bound: loops written by hand over plain vectors.
pub const LIMIT: &str = "by hand";

/// One engine's time in one case, in one variant of its use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The theme: a section of the document.
    pub group: String,
    /// What is compared: a table in the section.
    pub case: String,
    /// Entities (or whatever the size of the case counts).
    pub entities: u64,
    /// The engine.
    pub engine: String,
    /// In which of its documented ways it was used.
    pub variant: String,
    /// What the times are in.
    pub unit: String,
    /// Median over the rounds.
    pub median: f64,
    /// Lower quartile.
    pub low: f64,
    /// Upper quartile.
    pub high: f64,
    /// Of the final state; equal within a case.
    pub checksum: String,
    /// What one should know about this row; empty: nothing.
    #[serde(default)]
    pub note: String,
}

impl Row {
    /// Whether it counts as a peer: neither ours nor the limit.
    pub fn is_peer(&self) -> bool {
        !self.is_ours() && !self.is_limit()
    }

    /// Whether it is ours.
    pub fn is_ours(&self) -> bool {
        self.engine == OURS
    }

    /// Whether it is a bound and no engine.
    pub fn is_limit(&self) -> bool {
        self.engine.starts_with(LIMIT)
    }
}

/// The rows of one comparison: same group, case and size.
pub struct Table<'a> {
    /// In the order in which they were measured.
    pub rows: Vec<&'a Row>,
}

impl Table<'_> {
    /// Whether more is better: numbers per second.
    fn more_is_better(&self) -> bool {
        self.rows[0].unit.ends_with("/s")
    }

    fn best(&self, which: impl Fn(&Row) -> bool) -> Option<f64> {
        let medians = self.rows.iter().filter(|row| which(row)).map(|row| row.median);
        if self.more_is_better() { medians.max_by(f64::total_cmp) } else { medians.min_by(f64::total_cmp) }
    }

    /// The best of these rows.
    pub fn best_row(&self, which: impl Fn(&Row) -> bool) -> Option<&Row> {
        let best = self.best(&which)?;
        self.rows.iter().copied().find(|row| which(row) && row.median == best)
    }

    /// A row beside the best peer: below 1 is better. None where there is no peer, or nothing to divide by.
    pub fn ratio(&self, row: &Row) -> Option<f64> {
        let best = self.best(Row::is_peer)?;
        let ratio = if self.more_is_better() { best / row.median } else { row.median / best };
        ratio.is_finite().then_some(ratio)
    }

    /// Whether a row of ours is at least as good as the best peer; none: it is not ours, or there is no peer.
    pub fn verdict(&self, row: &Row) -> Option<bool> {
        let best = self.best(Row::is_peer).filter(|_| row.is_ours())?;
        Some(if self.more_is_better() { row.median >= best } else { row.median <= best })
    }

    /// Whether our best row is at least as good as the best peer; none: there are not both.
    pub fn best_verdict(&self) -> Option<bool> {
        let best = self.best(Row::is_ours)?;
        self.rows.iter().find(|row| row.is_ours() && row.median == best).and_then(|row| self.verdict(row))
    }
}

/// The tables in the order of their first rows.
pub fn tables(rows: &[Row]) -> Vec<Table<'_>> {
    let mut tables: Vec<Table<'_>> = Vec::new();
    for row in rows {
        let key = |other: &Row| other.group == row.group && other.case == row.case && other.entities == row.entities;
        match tables.iter_mut().find(|table| key(table.rows[0])) {
            Some(table) => table.rows.push(row),
            None => tables.push(Table { rows: vec![row] }),
        }
    }
    tables
}

/// Checks that everything that was compared ended in the same state.
///
/// # Errors
/// The first two rows of a table with different checksums, by name.
pub fn check(rows: &[Row]) -> Result<(), String> {
    for Table { rows } in tables(rows) {
        let first = rows[0];
        if let Some(other) = rows.iter().find(|row| row.checksum != first.checksum) {
            return Err(format!(
                "{}: {}, {}: {} ({}) ends with checksum {}, {} ({}) with {}; they must do the same work",
                first.group,
                first.case,
                first.entities,
                first.engine,
                first.variant,
                first.checksum,
                other.engine,
                other.variant,
                other.checksum
            ));
        }
    }
    Ok(())
}

/// Rows from JSON lines; empty lines are left out.
///
/// # Errors
/// The first line that is no row, with its number.
pub fn parse_lines(text: &str) -> Result<Vec<Row>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", at + 1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(engine: &str, median: f64) -> Row {
        Row {
            group: "g".into(),
            case: "c".into(),
            entities: 10,
            engine: engine.into(),
            variant: "v".into(),
            unit: "ns/entity".into(),
            median,
            low: median,
            high: median,
            checksum: "1".into(),
            note: String::new(),
        }
    }

    #[test]
    fn verdicts_are_against_the_best_peer_and_leave_the_limit_out() {
        let rows = [row(OURS, 2.0), row("a", 3.0), row("b", 2.5), row(LIMIT, 0.1), row(OURS, 2.6)];
        let tables = tables(&rows);
        assert_eq!((tables.len(), tables[0].ratio(&rows[1])), (1, Some(3.0 / 2.5)));
        let verdicts: Vec<_> = rows.iter().map(|row| tables[0].verdict(row)).collect();
        assert_eq!(verdicts, [Some(true), None, None, None, Some(false)]);
    }

    #[test]
    fn different_states_are_an_error_that_names_both() {
        let mut rows = [row("first", 1.0), row("second", 1.0)];
        assert_eq!(check(&rows), Ok(()));
        rows[1].checksum = "2".into();
        assert!(check(&rows).is_err_and(|error| error.contains("first") && error.contains("second")));
    }

    #[test]
    fn of_numbers_per_second_more_is_better() {
        let rows = [row(OURS, 2.0), row("a", 1.0)].map(|row| Row { unit: "1/s".into(), ..row });
        let tables = tables(&rows);
        assert_eq!((tables[0].verdict(&rows[0]), tables[0].ratio(&rows[0])), (Some(true), Some(0.5)));
    }

    #[test]
    fn rows_survive_their_lines() {
        let rows = vec![row("a", 1.25), row("b", 0.5)];
        let text: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).expect("plain data")).collect();
        assert_eq!(parse_lines(&text.join("\n\n")), Ok(rows));
        assert!(parse_lines("{}").is_err_and(|error| error.starts_with("line 1: ")));
    }
}
