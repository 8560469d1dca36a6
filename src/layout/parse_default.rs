//! Defaults in layout files: a TOML value to the bytes of a field.
//!
//! A default is exact or an error: nothing is cut off, wrapped or taken for something else. A float is the nearest
//! value of the field's own type to the decimal that was written (never rounded twice).
#![forbid(unsafe_code)]

use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeValue};

use crate::layout::error::integer_range;
use crate::layout::parse::{Wrong, describe};
use crate::layout::validate::{F32_NAN_BITS, F64_NAN_BITS};
use crate::layout::{FieldType, LayoutProblem, ScalarType};

/// The bytes of a default.
pub(super) fn default_bytes(value: &Spanned<DeValue<'_>>, ty: FieldType, subject: &str) -> Result<Vec<u8>, Wrong> {
    let mut out = Vec::with_capacity(ty.bytes());
    if ty.array_len == 0 {
        scalar_bytes(value, ty, subject, &mut out)?;
        return Ok(out);
    }
    let Some(elements) = value.get_ref().as_array() else { return Err(wrong_kind(value, ty, subject)) };
    if elements.len() != ty.elements() {
        let problem = LayoutProblem::DefaultLen { subject: subject.to_owned(), ty, found: elements.len() };
        return Err(Wrong::new(value.span(), problem));
    }
    for element in elements {
        scalar_bytes(element, ty, subject, &mut out)?;
    }
    Ok(out)
}

fn wrong_kind(value: &Spanned<DeValue<'_>>, ty: FieldType, subject: &str) -> Wrong {
    let problem = LayoutProblem::DefaultKind { subject: subject.to_owned(), ty, found: describe(value.get_ref()) };
    Wrong::new(value.span(), problem)
}

fn scalar_bytes(value: &Spanned<DeValue<'_>>, ty: FieldType, subject: &str, out: &mut Vec<u8>) -> Result<(), Wrong> {
    let scalar = ty.scalar;
    let bytes = match (scalar, value.get_ref()) {
        (ScalarType::Bool, DeValue::Boolean(b)) => Some(vec![u8::from(*b)]),
        (ScalarType::Entity, DeValue::String(s)) if s == "null" => Some(vec![0xff; 8]),
        (ScalarType::F32, DeValue::Float(f)) => f32_of(f).map(|v| v.to_le_bytes().to_vec()),
        (ScalarType::F64, DeValue::Float(f)) => f64_of(f).map(|v| v.to_le_bytes().to_vec()),
        (ScalarType::F32, DeValue::Integer(i)) => {
            exact(i).filter(|i| i.unsigned_abs() <= 1 << 24).map(|i| (i as f32).to_le_bytes().to_vec())
        }
        (ScalarType::F64, DeValue::Integer(i)) => {
            exact(i).filter(|i| i.unsigned_abs() <= 1 << 53).map(|i| (i as f64).to_le_bytes().to_vec())
        }
        (small, DeValue::Float(f)) if small.is_small() => f32_of(f).and_then(|value| small_of(small, value)),
        (small, DeValue::Integer(i)) if small.is_small() => {
            exact(i).filter(|i| i.unsigned_abs() <= 1 << 24).and_then(|i| small_of(small, i as f32))
        }
        (ScalarType::Bool | ScalarType::Entity | ScalarType::F32 | ScalarType::F64, _) => {
            return Err(wrong_kind(value, ty, subject));
        }
        (_, DeValue::Integer(i)) => {
            let (min, max) = integer_range(scalar);
            // Two's complement, little-endian: the low bytes of the wide integer are the narrow one.
            exact(i).filter(|i| (min..=max).contains(i)).map(|i| i.to_le_bytes()[..scalar.bytes()].to_vec())
        }
        _ => return Err(wrong_kind(value, ty, subject)),
    };
    let problem =
        || LayoutProblem::DefaultRange { subject: subject.to_owned(), scalar, value: describe(value.get_ref()) };
    out.extend_from_slice(&bytes.ok_or_else(|| Wrong::new(value.span(), problem()))?);
    Ok(())
}

fn exact(integer: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn f32_of(float: &DeFloat<'_>) -> Option<f32> {
    let value: f32 = float.as_str().parse().ok()?;
    if value.is_nan() {
        return (!float.as_str().starts_with('-')).then_some(f32::from_bits(F32_NAN_BITS));
    }
    (value.is_finite() || float.as_str().contains("inf")).then_some(value)
}

/// The bytes of a small number within its range; infinities and NaN only where the type has them.
fn small_of(scalar: ScalarType, value: f32) -> Option<Vec<u8>> {
    let (min, max) = scalar.range()?;
    let float = matches!(scalar, ScalarType::F16 | ScalarType::Bf16);
    let fits = (min..=max).contains(&value) || (float && !value.is_finite());
    let mut bytes = Vec::new();
    (fits && scalar.put_small(value, &mut bytes)).then_some(bytes)
}

fn f64_of(float: &DeFloat<'_>) -> Option<f64> {
    let value: f64 = float.as_str().parse().ok()?;
    if value.is_nan() {
        return (!float.as_str().starts_with('-')).then_some(f64::from_bits(F64_NAN_BITS));
    }
    (value.is_finite() || float.as_str().contains("inf")).then_some(value)
}
