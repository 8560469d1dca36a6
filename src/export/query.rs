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

use crate::snapshot::Pinned;

use super::files::joined;
use super::{ExportError, ExportOptions};

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

    /// Keeps the first rows.
    pub fn truncate(&mut self, rows: usize) {
        let mut left = rows;
        self.batches.retain_mut(|batch| {
            *batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
            batch.num_rows() > 0
        });
    }
}

fn refused(error: impl std::fmt::Display) -> ExportError {
    ExportError::Question { what: error.to_string() }
}

/// Generations that are asked as one table, as often as one likes: those of the parts of one world, or one.
///
/// It holds them, and none of their columns is copied.
#[derive(Debug)]
pub struct Asked {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Asked {
    /// Takes them: their rows are the table `world`, where arrays are columns of their elements, `"spot.trail[0]"`.
    ///
    /// # Errors
    /// [`ExportError::Parts`]: there are none, or they have different columns; else as [`Batches::new`](super::Batches::new).
    pub fn of(parts: Vec<Pinned>, options: &ExportOptions) -> Result<Asked, ExportError> {
        let (schema, batches) = joined(parts, &options.clone().flat(true))?;
        Ok(Asked { schema, batches: batches.collect::<Result<_, _>>()? })
    }

    /// The table's columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Asks: `select avg("position.y") from world`.
    ///
    /// # Errors
    /// [`ExportError::Question`]: SQL that is none, names that do not exist.
    pub fn ask(&self, sql: &str) -> Result<Answer, ExportError> {
        let table = MemTable::try_new(self.schema(), vec![self.batches.clone()]).map_err(refused)?;
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

/// The answer as JSON; null values are left out.
///
/// # Errors
/// None that is known.
pub fn json(answer: &Answer, form: Json) -> Result<String, ExportError> {
    let batches: Vec<&RecordBatch> = answer.batches.iter().collect();
    let bytes = match form {
        Json::Array if answer.rows() == 0 => b"[]".to_vec(),
        Json::Array => {
            let mut writer = arrow::json::ArrayWriter::new(Vec::new());
            writer.write_batches(&batches)?;
            writer.finish()?;
            writer.into_inner()
        }
        Json::Lines => {
            let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
            writer.write_batches(&batches)?;
            writer.finish()?;
            writer.into_inner()
        }
    };
    String::from_utf8(bytes).map_err(refused)
}

/// How an answer is written as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    /// An array of objects.
    Array,
    /// An object in each line.
    Lines,
}

/// The answer as CSV, with a line of names first.
///
/// # Errors
/// Columns of lists.
pub fn csv(answer: &Answer) -> Result<String, ExportError> {
    let mut writer = arrow_csv::Writer::new(Vec::new());
    // names without rows, too
    writer.write(&RecordBatch::new_empty(Arc::clone(&answer.schema)))?;
    for batch in &answer.batches {
        writer.write(batch)?;
    }
    String::from_utf8(writer.into_inner()).map_err(refused)
}
