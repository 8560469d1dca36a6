//! Questions in SQL about a pinned generation, answered by DataFusion over the record batches that exports are made of.
//!
//! The one table is `world`: the entity, then every component's columns, null where an entity lacks the component.
//! Names of columns have a dot in them, which SQL would take for a table's: they stand in quotation marks,
//! `"position.x"`. Columns are read where they are.
#![forbid(unsafe_code)]

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::arrow;
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;

use crate::snapshot::{Pinned, Reader};

use super::files::joined;
use super::{Batches, ExportError, ExportOptions};

/// Result of a query.
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

/// Asks the newest generation: `select avg("position.y") from world`. Arrays are columns of their elements,
/// `"spot.trail[0]"`.
///
/// # Errors
/// SQL that is none, names that do not exist; as [`Batches::new`].
pub fn run(reader: Reader, sql: &str, options: &ExportOptions) -> Result<Answer, ExportError> {
    let batches = Batches::new(reader, &options.clone().flat(true))?;
    answer(batches.schema(), batches.collect::<Result<Vec<_>, _>>()?, sql)
}

/// Asks generations that are parts of one world, as [`run`] asks one: their rows are one table.
///
/// # Errors
/// [`ExportError::Parts`]: there are none, or they have different columns; else as for [`run`].
pub fn run_parts(parts: Vec<Pinned>, sql: &str, options: &ExportOptions) -> Result<Answer, ExportError> {
    let (schema, batches) = joined(parts, &options.clone().flat(true))?;
    answer(schema, batches.collect::<Result<Vec<_>, _>>()?, sql)
}

fn answer(schema: SchemaRef, batches: Vec<RecordBatch>, sql: &str) -> Result<Answer, ExportError> {
    let table = MemTable::try_new(Arc::clone(&schema), vec![batches]).map_err(refused)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(refused)?;
    runtime.block_on(async {
        let context = SessionContext::new();
        context.register_table("world", Arc::new(table)).map_err(refused)?;
        let frame = context.sql(sql).await.map_err(refused)?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.map_err(refused)?;
        Ok(Answer { schema, batches })
    })
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
