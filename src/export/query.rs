#![forbid(unsafe_code)]
//! Questions in SQL about a pinned generation, answered by DataFusion over the record batches that exports are made of.
//!
//! The one table is `world`: the entity, then every component's columns, null where an entity lacks the component.
//! Names of columns have a dot in them, which SQL would take for a table's; [`quoted`] sees to it that `position.x`
//! means the column. Columns are read where they are.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::arrow;
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;

use crate::snapshot::Reader;

use super::{Batches, ExportError, ExportOptions};

/// What a question came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

impl Answer {
    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

fn refused(error: impl std::fmt::Display) -> ExportError {
    ExportError::Question { what: error.to_string() }
}

/// Asks the newest generation. Arrays are columns of their elements, `spot.trail[0]`.
///
/// # Errors
/// SQL that is none, names that do not exist; as [`Batches::new`].
pub fn run(reader: Reader, sql: &str, options: &ExportOptions) -> Result<Answer, ExportError> {
    let batches = Batches::new(reader, &options.clone().flat(true))?;
    let schema = batches.schema();
    let batches = batches.collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let sql = quoted(sql, &names);
    let table = MemTable::try_new(Arc::clone(&schema), vec![batches]).map_err(refused)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(refused)?;
    runtime.block_on(async {
        let context = SessionContext::new();
        context.register_table("world", Arc::new(table)).map_err(refused)?;
        let frame = context.sql(&sql).await.map_err(refused)?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.map_err(refused)?;
        Ok(Answer { schema, batches })
    })
}

/// Puts the names of columns that have dots or brackets in quotation marks, outside of texts and names that are quoted
/// already.
fn quoted(sql: &str, names: &[&str]) -> String {
    let mut names: Vec<&str> = names.iter().copied().filter(|name| name.contains('.')).collect();
    // `spot.trail[0]` before `spot.trail`
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        if next == '\'' || next == '"' {
            let end = rest[1..].find(next).map_or(rest.len(), |end| end + 2);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            before = next;
            continue;
        }
        let fits = |name: &&&str| {
            let after = rest[name.len()..].chars().next();
            !after.is_some_and(part_of_name)
        };
        let found = names.iter().filter(|name| rest.starts_with(**name)).find(fits);
        if let Some(name) = found.filter(|_| !part_of_name(before)) {
            out.push('"');
            out.push_str(name);
            out.push('"');
            rest = &rest[name.len()..];
            before = '"';
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
            before = next;
        }
    }
    out
}

/// The answer as a table for people.
///
/// # Errors
/// None that is known.
pub fn table(answer: &Answer) -> Result<String, ExportError> {
    let batches = if answer.batches.is_empty() {
        &[RecordBatch::new_empty(Arc::clone(&answer.schema))][..]
    } else {
        &answer.batches
    };
    Ok(arrow::util::pretty::pretty_format_batches(batches)?.to_string())
}

/// The answer as a JSON array of objects; null values are left out.
///
/// # Errors
/// None that is known.
pub fn json(answer: &Answer) -> Result<String, ExportError> {
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    writer.write_batches(&answer.batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    let text = String::from_utf8(writer.into_inner()).map_err(refused)?;
    Ok(if text.is_empty() { "[]".to_owned() } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::sample;

    #[test]
    fn names_with_dots_are_columns() {
        let names = ["entity", "position.x", "position.xy", "spot.trail[0]", "spot.trail"];
        for (sql, expected) in [
            ("position.x > 1", "\"position.x\" > 1"),
            ("world.position.x>-position.xy", "world.\"position.x\">-\"position.xy\""),
            ("my_position.x", "my_position.x"),
            ("position.xyz", "position.xyz"),
            ("'position.x' = \"position.x\"", "'position.x' = \"position.x\""),
            ("spot.trail[0]+spot.trail[10]", "\"spot.trail[0]\"+\"spot.trail\"[10]"),
            ("'open", "'open"),
        ] {
            assert_eq!(quoted(sql, &names), expected);
        }
    }

    #[test]
    fn conditions_and_sums_are_answered() {
        let world = sample::world();
        let ask = |sql: &str| run(world.reader().expect("a lease"), sql, &ExportOptions::default());
        let all = ask("select * from world").expect("it is SQL");
        assert_eq!(all.rows() as u64, world.entity_count());
        let some =
            ask("select entity, spot.x from world where spot.x >= 10 and spot.trail[0] < 40").expect("it is SQL");
        assert_eq!((some.rows(), some.schema.fields().len()), (20, 2));
        let warm = ask("select count(*) as n, sum(warm.heat) as heat from world where warm.heat is not null");
        let warm = warm.expect("it is SQL");
        // every seventh of 90, without those from 40 to 43
        let heats: Vec<u64> = (0..90).step_by(7).filter(|i| !(40..44).contains(i)).collect();
        let expected = format!("[{{\"n\":{},\"heat\":{}}}]", heats.len(), heats.iter().sum::<u64>());
        assert_eq!(json(&warm).expect("it is text"), expected);
        assert!(table(&some).expect("it is text").contains("spot.x"));
        for wrong in ["select nothing from world", "sel", "select * from other"] {
            assert!(matches!(ask(wrong), Err(ExportError::Question { .. })), "{wrong}");
        }
    }
}
