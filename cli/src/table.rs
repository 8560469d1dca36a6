//! Tables of text: columns as wide as their widest cell, numbers to the right.
#![forbid(unsafe_code)]

use std::fmt;

/// A table to print.
#[derive(Debug, Default)]
pub(crate) struct Table {
    heads: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads; a head that begins with `>` has its column flush right. Without heads: see
    /// [`Table::pairs`].
    pub(crate) fn new(heads: &[&str]) -> Table {
        Table {
            heads: heads.iter().map(|head| head.trim_start_matches('>').to_owned()).collect(),
            right: heads.iter().map(|head| head.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// A table of labels and values, without heads.
    pub(crate) fn pairs() -> Table {
        Table::default()
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Adds a label with its value.
    pub(crate) fn pair(&mut self, label: &str, value: impl fmt::Display) {
        self.row([label.to_owned(), value.to_string()]);
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = (!self.heads.is_empty()).then_some(&self.heads);
        let mut widths: Vec<usize> = Vec::new();
        for row in heads.into_iter().chain(&self.rows) {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in heads.into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (column, (width, cell)) in widths.iter().zip(row).enumerate() {
                if column > 0 {
                    line.push_str("  ");
                }
                let space = " ".repeat(width - cell.chars().count());
                if self.right.get(column).copied().unwrap_or(false) {
                    line.push_str(&space);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&space);
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["name", ">rows"]);
        table.row(["ä", "1"]);
        table.row(["longer", "12,345"]);
        assert_eq!(table.to_string(), "name      rows\nä            1\nlonger  12,345\n");
        let mut pairs = Table::pairs();
        pairs.pair("a", 1);
        pairs.pair("long", "x");
        assert_eq!(pairs.to_string(), "a     1\nlong  x\n");
    }
}
