//! Fractions of the largest integer: 0 to 1, or -1 to 1.
//!
//! Products with the largest integer are exact in `f64`, so that they are rounded once.
#![forbid(unsafe_code)]

/// Added to a number of less than 2^51 its last bit is worth 1: the sum is rounded, of two nearest ones to the even one.
const WHOLE: f64 = (1_u64 << 52) as f64 * 1.5;

/// The nearest integer, in the low bits.
#[inline(always)]
fn rounded(value: f64) -> u64 {
    (value + WHOLE).to_bits()
}

/// Within bounds of which the lower is not above zero; NaN is zero.
#[inline(always)]
fn within(value: f32, min: f32) -> f64 {
    let number = if value.is_nan() { 0.0 } else { value };
    let low = if number > min { number } else { min };
    f64::from(if low < 1.0 { low } else { 1.0 })
}

macro_rules! fractions {
    ($($int:ty, $min:literal, $to:ident, $from:ident;)*) => { $(
        #[inline(always)]
        pub(crate) fn $to(bits: $int) -> f32 {
            let value = f32::from(bits) / f32::from(<$int>::MAX);
            if value > $min { value } else { $min }
        }
        #[inline(always)]
        pub(crate) fn $from(value: f32) -> $int {
            rounded(within(value, $min) * f64::from(<$int>::MAX)) as $int
        }
    )* };
}

fractions! {
    u8, 0.0, unorm8_to_f32, unorm8_from_f32;
    u16, 0.0, unorm16_to_f32, unorm16_from_f32;
    i8, -1.0, snorm8_to_f32, snorm8_from_f32;
    i16, -1.0, snorm16_to_f32, snorm16_from_f32;
}
