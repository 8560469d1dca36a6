//! Values of fields from their bytes.
#![forbid(unsafe_code)]

use hypostyle::layout::FieldLayout;
use hypostyle::{Entity, FieldType, ScalarType};
use serde_json::{Map, Value, json};

/// One number of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// An integer, or a bool as 0 or 1.
    Integer(i128),
    /// A float.
    Float(f64),
    /// A handle; `None`: null.
    Entity(Option<Entity>),
}

impl Number {
    /// As a float, rounded where it has to be; 0 for handles.
    pub(crate) fn to_f64(self) -> f64 {
        match self {
            Number::Integer(value) => value as f64,
            Number::Float(value) => value,
            Number::Entity(_) => 0.0,
        }
    }

    /// As text.
    pub(crate) fn text(self) -> String {
        match self {
            Number::Integer(value) => value.to_string(),
            Number::Float(value) => crate::text::number(value),
            Number::Entity(Some(entity)) => entity.to_string(),
            Number::Entity(None) => "null".to_owned(),
        }
    }

    /// With all digits, for other programs; nothing for no entity.
    pub(crate) fn plain(self) -> String {
        match self {
            Number::Integer(value) => value.to_string(),
            Number::Float(value) => value.to_string(),
            Number::Entity(entity) => entity.map_or_else(String::new, |entity| entity.to_string()),
        }
    }

    /// As JSON; floats that are none (NaN, infinities) are null.
    pub(crate) fn json(self) -> Value {
        match self {
            Number::Integer(value) => i64::try_from(value).map_or_else(|_| json!(value as u64), Value::from),
            Number::Float(value) => json!(value),
            Number::Entity(entity) => json!(entity.map(|entity| entity.to_string())),
        }
    }
}

/// Reads one scalar from its little-endian bytes.
///
/// # Panics
/// When `bytes` is not as long as the type.
pub(crate) fn scalar(ty: ScalarType, bytes: &[u8]) -> Number {
    assert_eq!(bytes.len(), ty.bytes(), "a scalar is as long as its type");
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(wide);
    let signed = |width: u32| i128::from(((bits << (64 - width)) as i64) >> (64 - width));
    match ty {
        ScalarType::F32 => Number::Float(f64::from(f32::from_bits(bits as u32))),
        ScalarType::F64 => Number::Float(f64::from_bits(bits)),
        ScalarType::I8 => Number::Integer(signed(8)),
        ScalarType::I16 => Number::Integer(signed(16)),
        ScalarType::I32 => Number::Integer(signed(32)),
        ScalarType::I64 => Number::Integer(signed(64)),
        ScalarType::U8 | ScalarType::U16 | ScalarType::U32 | ScalarType::U64 | ScalarType::Bool => {
            Number::Integer(i128::from(bits))
        }
        ScalarType::F16
        | ScalarType::Bf16
        | ScalarType::Unorm8
        | ScalarType::Unorm16
        | ScalarType::Snorm8
        | ScalarType::Snorm16 => Number::Float(ty.small_value(&wide[..ty.bytes()]).map_or(f64::NAN, f64::from)),
        ScalarType::Entity => {
            let entity = Entity::from_bits(bits);
            Number::Entity((entity != Entity::default()).then_some(entity))
        }
    }
}

/// A field's value as JSON: an array where the type is one.
pub(crate) fn field(ty: FieldType, bytes: &[u8]) -> Value {
    let one = |bytes: &[u8]| match scalar(ty.scalar, bytes) {
        Number::Integer(value) if ty.scalar == ScalarType::Bool => json!(value != 0),
        // the shortest decimal that is this f32, not the longer one that is this f64
        Number::Float(value) if ty.scalar == ScalarType::F32 || ty.scalar.is_small() => {
            json!((value as f32).to_string().parse::<f64>().ok())
        }
        number => number.json(),
    };
    if ty.array_len == 0 {
        return one(bytes);
    }
    Value::Array(bytes.chunks_exact(ty.scalar.bytes()).map(one).collect())
}

/// A packed value as JSON: its fields by name.
pub(crate) fn packed(fields: &[FieldLayout], bytes: &[u8]) -> Value {
    let mut at = 0;
    let mut value = Map::new();
    for declared in fields {
        let end = at + declared.ty.bytes();
        value.insert(declared.name.clone(), field(declared.ty, &bytes[at..end]));
        at = end;
    }
    Value::Object(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_of_all_widths() {
        assert_eq!(scalar(ScalarType::I8, &[0x80]), Number::Integer(-128));
        assert_eq!(scalar(ScalarType::U64, &[0xff; 8]).json(), json!(u64::MAX));
        assert_eq!(scalar(ScalarType::I64, &[0xff; 8]).json(), json!(-1));
        assert_eq!(scalar(ScalarType::F32, &1.5_f32.to_le_bytes()), Number::Float(1.5));
        assert_eq!(scalar(ScalarType::Entity, &[0xff; 8]).text(), "null");
        let pair = FieldType { scalar: ScalarType::U16, array_len: 2 };
        assert_eq!(field(pair, &[1, 0, 2, 0]), json!([1, 2]));
        let flag = FieldType { scalar: ScalarType::Bool, array_len: 0 };
        assert_eq!(field(flag, &[1]), json!(true));
        let single = FieldType { scalar: ScalarType::F32, array_len: 0 };
        assert_eq!(field(single, &9.81_f32.to_le_bytes()), json!(9.81));
        assert_eq!(field(single, &f32::NAN.to_le_bytes()), Value::Null);
        assert_eq!(scalar(ScalarType::Snorm16, &[0x01, 0x80]), Number::Float(-1.0));
        assert_eq!(field(FieldType { scalar: ScalarType::Unorm8, array_len: 0 }, &[51]), json!(0.2));
        assert_eq!(field(FieldType { scalar: ScalarType::F16, array_len: 2 }, &[0, 0x3e, 0, 0x7e]), json!([1.5, null]));
    }
}
