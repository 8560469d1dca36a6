//! Halves of floats: conversions without branches, of which the compiler makes vectors.
#![forbid(unsafe_code)]

/// Bits of an `f32`'s exponent that halves lack: 127 - 15.
const BIAS: u32 = 112 << 23;

/// Exact. A NaN keeps its payload and becomes quiet, as the instruction does it.
#[inline(always)]
pub(crate) fn f16_to_f32(half: u16) -> f32 {
    let half = u32::from(half);
    let (sign, magnitude) = ((half & 0x8000) << 16, (half & 0x7fff) << 13);
    let normal = magnitude + BIAS;
    // an infinity or NaN has all bits of the exponent in both
    let quiet = if magnitude > 0x7c00 << 13 { 1 << 22 } else { 0 };
    let special = (normal + BIAS) | quiet;
    // below the normal ones the last bit is worth 2^-24: so it is in 2^-14, which is taken away again
    let tiny = f32::from_bits(magnitude + BIAS + (1 << 23)) - f32::from_bits(BIAS + (1 << 23));
    let bits = if magnitude >= 0x7c00 << 13 { special } else { normal };
    let bits = if magnitude < 0x0400 << 13 { tiny.to_bits() } else { bits };
    f32::from_bits(bits | sign)
}

/// The nearest, of two the even one.
#[inline(always)]
pub(crate) fn f16_from_f32(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, magnitude) = ((bits >> 16) & 0x8000, bits & 0x7fff_ffff);
    let half_and_even = 0xfff + ((magnitude >> 13) & 1);
    let normal = magnitude.wrapping_sub(BIAS).wrapping_add(half_and_even) >> 13;
    // from the middle between the largest one and the next power of two on
    let large = if magnitude >= 0x477f_f000 { 0x7c00 } else { normal };
    // the sum's last bit is worth 2^-24: it is rounded there
    let tiny = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5_f32.to_bits());
    let half = if magnitude < BIAS + (1 << 23) { tiny } else { large } | sign;
    (if magnitude > 0x7f80_0000 { 0x7e00 } else { half }) as u16
}

/// Exact.
#[inline(always)]
pub(crate) fn bf16_to_f32(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// The nearest, of two the even one.
#[inline(always)]
pub(crate) fn bf16_from_f32(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    (if bits & 0x7fff_ffff > 0x7f80_0000 { 0x7fc0 } else { rounded }) as u16
}
