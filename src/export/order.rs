//! Rows in the order of columns: as readers of a data set want them, so that a query on space leaves most of it out.
//!
//! Invariant: rows that stand in order already are not copied.
#![forbid(unsafe_code)]

use std::cmp::Ordering;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array as _, ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;

use super::ExportError;

/// Brings rows into the order of these columns, of which each is a whole number without a sign.
///
/// # Errors
/// [`ExportError::Order`]: a column that is not exported, or no such number; what the batches' maker says.
pub(super) fn ordered(
    batches: impl Iterator<Item = Result<RecordBatch, ExportError>>,
    schema: &SchemaRef,
    columns: &[String],
) -> Result<Vec<RecordBatch>, ExportError> {
    for name in columns {
        let field = schema.column_with_name(name).map(|(_, field)| field.data_type());
        if !matches!(field, Some(DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64)) {
            return Err(ExportError::Order { column: name.clone() });
        }
    }
    let batches = batches.collect::<Result<Vec<_>, _>>()?;
    let keys: Vec<Vec<(bool, u64)>> = columns
        .iter()
        .map(|name| batches.iter().filter_map(|batch| batch.column_by_name(name)).flat_map(values).collect())
        .collect();
    let compare = |a: usize, b: usize| {
        let by = |key: &Vec<(bool, u64)>| key[a].cmp(&key[b]);
        keys.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if (1..count).all(|row| compare(row - 1, row).is_le()) {
        return Ok(batches);
    }
    let mut rows: Vec<u64> = (0..count as u64).collect();
    rows.sort_by(|a, b| compare(*a as usize, *b as usize));
    let whole = concat_batches(schema, &batches)?;
    drop(batches);
    Ok(vec![take_record_batch(&whole, &UInt64Array::from(rows))?])
}

/// Numbers; of each whether there is none, which comes last, then its value.
fn values(column: &ArrayRef) -> Vec<(bool, u64)> {
    let value = |value: Option<u64>| (value.is_none(), value.unwrap_or(0));
    match column.data_type() {
        DataType::UInt8 => column.as_primitive::<UInt8Type>().iter().map(|v| value(v.map(u64::from))).collect(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().iter().map(|v| value(v.map(u64::from))).collect(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().iter().map(|v| value(v.map(u64::from))).collect(),
        _ => column.as_primitive::<UInt64Type>().iter().map(value).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float32Array, UInt32Array};

    use super::*;

    fn batch(keys: &[Option<u32>], ids: &[u64]) -> RecordBatch {
        let numbers: Vec<f32> = ids.iter().map(|id| *id as f32).collect();
        let columns: [(&str, ArrayRef, bool); 3] = [
            ("key", Arc::new(UInt32Array::from(keys.to_vec())), true),
            ("id", Arc::new(UInt64Array::from(ids.to_vec())), true),
            ("x", Arc::new(Float32Array::from(numbers)), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn order(batches: &[RecordBatch], columns: &[&str]) -> Result<Vec<u64>, ExportError> {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        let schema = batches[0].schema();
        let ordered = ordered(batches.iter().cloned().map(Ok), &schema, &columns)?;
        let ids =
            ordered.iter().flat_map(|batch| batch.column(2).as_primitive::<arrow_array::types::Float32Type>().iter());
        Ok(ids.map(|id| id.unwrap() as u64).collect())
    }

    #[test]
    fn rows_of_several_batches_come_in_one_order_and_those_without_a_value_last() {
        let batches = [batch(&[Some(3), Some(1)], &[7, 8]), batch(&[None, Some(1), Some(3)], &[1, 2, 3])];
        assert_eq!(order(&batches, &["key", "id"]).unwrap(), [2, 8, 3, 7, 1]);
        assert_eq!(order(&batches, &["id"]).unwrap(), [1, 2, 3, 7, 8]);
        for column in ["x", "nobody"] {
            let error = order(&batches, &[column]).unwrap_err().to_string();
            assert!(error.contains(column), "{error}");
        }
    }

    #[test]
    fn what_is_in_order_is_not_copied() {
        let batches = [batch(&[Some(1), Some(1)], &[2, 8]), batch(&[Some(3), None], &[3, 1])];
        let schema = batches[0].schema();
        let columns = ["key".to_owned(), "id".to_owned()];
        let ordered = ordered(batches.iter().cloned().map(Ok), &schema, &columns).unwrap();
        assert_eq!(ordered.len(), 2);
        for (before, after) in batches.iter().zip(&ordered) {
            assert_eq!(
                before.column(1).to_data().buffers()[0].as_ptr(),
                after.column(1).to_data().buffers()[0].as_ptr()
            );
        }
    }
}
