//! Tables and lines that fit into their area on a terminal.
//!
//! Invariant: no number loses a digit. A column that has no room is left out whole, the least important one first; a
//! text that is cut ends with `…`.
#![forbid(unsafe_code)]

use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Row, Table};

/// The least that a column of text is narrowed to.
const TEXT_MIN: usize = 10;
/// Between two facts in a line.
const BETWEEN: &str = "   ";

/// A column to draw.
pub(crate) struct Column {
    head: &'static str,
    /// Which goes first where there is no room: the one with the largest.
    rank: u8,
    is_number: bool,
    cells: Vec<String>,
}

impl Column {
    /// A column of numbers: flush right, whole or not there.
    pub(crate) fn number(head: &'static str, rank: u8, cells: impl IntoIterator<Item = String>) -> Column {
        Column { head, rank, is_number: true, cells: cells.into_iter().collect() }
    }

    /// A column of text, which can be narrowed.
    pub(crate) fn text(head: &'static str, rank: u8, cells: impl IntoIterator<Item = String>) -> Column {
        Column { head, rank, is_number: false, cells: cells.into_iter().collect() }
    }

    fn width(&self) -> usize {
        self.cells.iter().map(|cell| width(cell)).chain([width(self.head)]).max().unwrap_or(0)
    }

    fn width_min(&self) -> usize {
        if self.is_number { self.width() } else { self.width().min(TEXT_MIN) }
    }
}

fn width(text: &str) -> usize {
    Line::from(text).width()
}

/// A text in at most so many cells.
pub(crate) fn cut(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut out = String::new();
    for letter in text.chars() {
        out.push(letter);
        if width(&out) >= cells {
            out.pop();
            break;
        }
    }
    if cells > 0 {
        out.push('…');
    }
    out
}

/// Facts in as many lines as they take; those that belong together begin a line.
pub(crate) fn facts(groups: &[Vec<String>], cells: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for group in groups {
        let mut line = String::new();
        for fact in group {
            let has_room = line.is_empty() || width(&line) + width(BETWEEN) + width(fact) <= cells;
            if !has_room {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push_str(BETWEEN);
            }
            line.push_str(&cut(fact, cells));
        }
        lines.push(line);
    }
    lines
}

/// A frame with a title, in so many cells.
pub(crate) fn block(title: &str, cells: u16) -> Block<'static> {
    Block::bordered().title(cut(title, usize::from(cells.saturating_sub(2))))
}

/// The columns as a table within a frame.
pub(crate) fn table(mut columns: Vec<Column>, title: &str, area: Rect) -> Table<'static> {
    let room = usize::from(area.width.saturating_sub(2));
    let gaps = |columns: &[Column]| columns.len().saturating_sub(1);
    while columns.iter().map(Column::width_min).sum::<usize>() + gaps(&columns) > room {
        let Some(last) = columns.iter().enumerate().max_by_key(|(_, column)| column.rank).map(|(at, _)| at) else {
            break;
        };
        columns.remove(last);
    }
    // what is left goes to texts, in order
    let mut spare = room.saturating_sub(columns.iter().map(Column::width_min).sum::<usize>() + gaps(&columns));
    let widths: Vec<usize> = columns
        .iter()
        .map(|column| {
            let more = (column.width() - column.width_min()).min(spare);
            spare -= more;
            column.width_min() + more
        })
        .collect();
    let line = |column: &Column, text: &str, cells: usize| {
        let line = Line::from(cut(text, cells));
        if column.is_number { line.right_aligned() } else { line }
    };
    let row = |of: &dyn Fn(&Column) -> String| {
        Row::new(
            columns.iter().zip(&widths).map(|(column, cells)| line(column, &of(column), *cells)).collect::<Vec<_>>(),
        )
    };
    let heads = row(&|column| column.head.to_owned()).style(Style::new().add_modifier(Modifier::BOLD));
    let count = columns.iter().map(|column| column.cells.len()).max().unwrap_or(0);
    let rows: Vec<Row<'static>> =
        (0..count).map(|at| row(&|column| column.cells.get(at).cloned().unwrap_or_default())).collect();
    let widths = widths.iter().map(|cells| Constraint::Length(u16::try_from(*cells).unwrap_or(u16::MAX)));
    Table::new(rows, widths).header(heads).block(block(title, area.width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_facts_are_wrapped() {
        assert_eq!([cut("12345", 5), cut("12345", 4), cut("12345", 1), cut("12345", 0)], ["12345", "123…", "…", ""]);
        let groups = [vec!["one".to_owned(), "two".to_owned()], vec!["three".to_owned()]];
        assert_eq!(facts(&groups, 9), ["one   two", "three"]);
        assert_eq!(facts(&groups, 8), ["one", "two", "three"]);
        assert_eq!(facts(&groups, 4), ["one", "two", "thr…"]);
    }
}
