//! Floats as small integers with an offset and a scale, within an error bound.

use hypostyle::layout::ScalarType;

use super::block::{FIXED8, FIXED16, FIXED32};

/// How values are rounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fixed {
    /// FIXED8, FIXED16 or FIXED32.
    pub code: u8,
    pub offset: f64,
    pub scale: f64,
}

/// Bytes of one value.
pub(super) fn width(code: u8) -> usize {
    match code {
        FIXED8 => 1,
        FIXED16 => 2,
        _ => 4,
    }
}

/// The values as numbers.
pub(super) fn scalars(bytes: &[u8], scalar: ScalarType) -> Vec<f64> {
    match scalar {
        ScalarType::F32 => bytes.as_chunks::<4>().0.iter().map(|v| f64::from(f32::from_le_bytes(*v))).collect(),
        _ => bytes.as_chunks::<8>().0.iter().map(|v| f64::from_le_bytes(*v)).collect(),
    }
}

/// The smallest way in which all values stay within the bound; `None`: only as they are.
pub(super) fn choose(values: &[f64], scalar: ScalarType, error: f64) -> Option<Fixed> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        if !value.is_finite() {
            return None;
        }
        low = low.min(*value);
        high = high.max(*value);
    }
    // a little less than twice the bound, for the roundings of this arithmetic
    let scale = 2.0 * error * (1.0 - 1e-6);
    let levels = ((high - low) / scale).ceil();
    let code = match levels {
        l if l <= f64::from(u8::MAX) => FIXED8,
        l if l <= f64::from(u16::MAX) => FIXED16,
        l if l <= f64::from(u32::MAX) && scalar == ScalarType::F64 => FIXED32,
        _ => return None,
    };
    // far from zero doubles are coarser than the bound
    let coarse = low.abs().max(high.abs()) * f64::EPSILON * 4.0 > error * 1e-6;
    (!coarse).then_some(Fixed { code, offset: low, scale })
}

/// Appends the values.
pub(super) fn write(values: &[f64], fixed: &Fixed, out: &mut Vec<u8>) {
    for value in values {
        let level = ((value - fixed.offset) / fixed.scale).round();
        match fixed.code {
            FIXED8 => out.push(level as u8),
            FIXED16 => out.extend_from_slice(&(level as u16).to_le_bytes()),
            _ => out.extend_from_slice(&(level as u32).to_le_bytes()),
        }
    }
}

/// Makes values out of what was written, appended as bytes of their type.
pub(super) fn read(bytes: &[u8], fixed: &Fixed, scalar: ScalarType, out: &mut Vec<u8>) {
    let mut put = |level: u32| {
        let value = fixed.offset + fixed.scale * f64::from(level);
        match scalar {
            ScalarType::F32 => out.extend_from_slice(&(value as f32).to_le_bytes()),
            _ => out.extend_from_slice(&value.to_le_bytes()),
        }
    };
    match fixed.code {
        FIXED8 => bytes.iter().for_each(|level| put(u32::from(*level))),
        FIXED16 => bytes.as_chunks::<2>().0.iter().for_each(|level| put(u32::from(u16::from_le_bytes(*level)))),
        _ => bytes.as_chunks::<4>().0.iter().for_each(|level| put(u32::from_le_bytes(*level))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn errors_stay_within_the_bound(
            values in prop::collection::vec(-1e4f32..1e4, 1..200),
            exponent in -4i32..3,
        ) {
            let error = 10f64.powi(exponent);
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            let numbers = scalars(&bytes, ScalarType::F32);
            if let Some(fixed) = choose(&numbers, ScalarType::F32, error) {
                let (mut levels, mut back) = (Vec::new(), Vec::new());
                write(&numbers, &fixed, &mut levels);
                prop_assert_eq!(levels.len(), numbers.len() * width(fixed.code));
                read(&levels, &fixed, ScalarType::F32, &mut back);
                for (value, found) in numbers.iter().zip(scalars(&back, ScalarType::F32)) {
                    let rounding = value.abs().max(error) * f64::from(f32::EPSILON);
                    prop_assert!((value - found).abs() <= error + rounding, "{value} became {found}");
                }
            } else {
                prop_assert!(error < 1.0);
            }
        }
    }
}
