//! Conversions beside their definitions, and vectors beside plain code.

use proptest::prelude::*;

use super::*;
use crate::simd::Vectors;

/// The nearest of all values of a type, of two the one with an even last bit, found by looking at all.
fn nearest(all: &[(f64, u32)], value: f64) -> Vec<u32> {
    let at = all.partition_point(|(known, _)| *known < value);
    let near = &all[at.saturating_sub(1)..(at + 1).min(all.len())];
    let distance = |known: f64| (known - value).abs();
    let least = near.iter().map(|(known, _)| distance(*known)).fold(f64::INFINITY, f64::min);
    let ties: Vec<u32> = near.iter().filter(|(known, _)| distance(*known) == least).map(|(_, bits)| *bits).collect();
    let even: Vec<u32> = ties.iter().copied().filter(|bits| bits & 1 == 0).collect();
    if ties.len() > 1 { even } else { ties }
}

/// Values to convert: those of the type, those between each two neighbours, and a step beside these.
fn interesting(all: &[(f64, u32)]) -> Vec<f32> {
    let middles = all.windows(2).map(|pair| ((pair[0].0 + pair[1].0) / 2.0) as f32);
    middles.chain(all.iter().map(|(value, _)| *value as f32)).flat_map(|v| [v.next_down(), v, v.next_up()]).collect()
}

fn check<T: AsF32>(bits: impl Iterator<Item = (T, u32)>, exact: impl Fn(u32) -> f64, ends: (f64, f64)) {
    let mut all = Vec::new();
    for (small, bits) in bits {
        let value = small.to_f32();
        assert_eq!(value, exact(bits) as f32, "{bits:#x} is the nearest f32");
        let back = T::from_f32(value);
        assert_eq!(back.to_f32(), value, "{bits:#x} there and back");
        all.push((exact(bits), bits));
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    for value in interesting(&all) {
        let found = T::from_f32(value).to_f32();
        let want: Vec<f32> =
            nearest(&all, f64::from(value).clamp(ends.0, ends.1)).into_iter().map(|bits| exact(bits) as f32).collect();
        assert!(want.contains(&found), "{value:e} is {found:e}, not {want:?}");
    }
}

#[test]
fn fractions_are_the_nearest() {
    check((0..=255u8).map(|b| (Unorm8(b), b.into())), |bits| f64::from(bits) / 255.0, (0.0, 1.0));
    check((0..=u16::MAX).map(|b| (Unorm16(b), b.into())), |bits| f64::from(bits) / 65535.0, (0.0, 1.0));
    let all = (-127..=127i8).map(|b| (Snorm8(b), i32::from(b) as u32));
    check(all, |bits| f64::from(bits as i32) / 127.0, (-1.0, 1.0));
    let all = (-32767..=32767i16).map(|b| (Snorm16(b), i32::from(b) as u32));
    check(all, |bits| f64::from(bits as i32) / 32767.0, (-1.0, 1.0));
    assert_eq!((Snorm8(-128).to_f32(), Snorm16(i16::MIN).to_f32()), (-1.0, -1.0));
    for value in [f32::NAN, -f32::NAN] {
        let zero = (Unorm8(0), Unorm16(0), Snorm8(0), Snorm16(0));
        let found =
            (Unorm8::from_f32(value), Unorm16::from_f32(value), Snorm8::from_f32(value), Snorm16::from_f32(value));
        assert_eq!(found, zero);
    }
    assert_eq!((Unorm8::from_f32(f32::INFINITY).0, Unorm8::from_f32(-7.0).0), (255, 0));
    assert_eq!((Snorm16::from_f32(f32::INFINITY).0, Snorm16::from_f32(f32::NEG_INFINITY).0), (32767, -32767));
}

/// A half of so many bits of fraction, by its definition.
fn half(bits: u32, fraction_bits: i32, bias: i32) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = ((bits & 0x7fff) >> fraction_bits, f64::from(bits & ((1 << fraction_bits) - 1)));
    let scale = |exponent: i32| 2.0_f64.powi(exponent - bias - fraction_bits);
    sign * match exponent {
        0 => fraction * scale(1),
        exponent => (fraction + f64::from(1 << fraction_bits)) * scale(exponent as i32),
    }
}

#[test]
fn halves_are_the_nearest() {
    // without infinities, NaN and the second zero
    let f16 = (0..=u16::MAX).filter(|b| b & 0x7fff < 0x7c00 && *b != 0x8000).map(|b| (F16(b), b.into()));
    check(f16, |bits| half(bits, 10, 15), (-65504.0, 65504.0));
    let bf16 = (0..=u16::MAX).filter(|b| b & 0x7fff < 0x7f80 && *b != 0x8000).map(|b| (Bf16(b), b.into()));
    check(bf16, |bits| half(bits, 7, 127), (f64::MIN, f64::MAX));
}

#[test]
fn the_ends_of_halves() {
    for (value, bits) in [
        (0.0, 0),
        (-0.0, 0x8000),
        (65504.0, 0x7bff),
        // the middle between it and 2^16 is even as an infinity
        (65519.996, 0x7bff),
        (65520.0, 0x7c00),
        (f32::MAX, 0x7c00),
        (f32::NEG_INFINITY, 0xfc00),
        (f32::NAN, 0x7e00),
        (-f32::NAN, 0x7e00),
        (f32::from_bits(0x7f80_0001), 0x7e00),
        // half of the least one is even as zero
        (2.0_f32.powi(-25), 0),
        (2.0_f32.powi(-25).next_up(), 1),
        (f32::from_bits(1), 0),
    ] {
        assert_eq!(F16::from_f32(value).0, bits, "{value:e}");
    }
    assert_eq!(F16(0x7c00).to_f32(), f32::INFINITY);
    assert!(F16(0x7c01).to_f32().is_nan() && F16(0xfe00).to_f32().is_nan());
    for (value, bits) in
        [(f32::NAN, 0x7fc0), (-f32::NAN, 0x7fc0), (f32::MAX, 0x7f80), (f32::NEG_INFINITY, 0xff80), (-0.0, 0x8000)]
    {
        assert_eq!(Bf16::from_f32(value).0, bits, "{value:e}");
    }
}

/// All bits of halves, and as many floats, by all vectors.
#[test]
fn vectors_convert_to_the_same_bits() {
    fn all<T: AsF32>(small: &[T], wide: &[f32]) -> (Vec<u32>, Vec<u8>) {
        let mut there = vec![0.0; small.len()];
        widen(small, &mut there);
        let mut back = vec![T::from_f32(0.0); wide.len()];
        narrow(wide, &mut back);
        (there.into_iter().map(f32::to_bits).collect(), bytemuck::cast_slice(&back).to_vec())
    }
    let halves: Vec<u16> = (0..=u16::MAX).collect();
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from_bits(state)
    };
    let floats: Vec<f32> = (0..200_003).map(|_| random()).chain((0..=u16::MAX).map(|b| F16(b).to_f32())).collect();
    let convert = || {
        let f16 = all::<F16>(bytemuck::cast_slice(&halves), &floats);
        let bf16 = all::<Bf16>(bytemuck::cast_slice(&halves), &floats);
        let fractions = all::<Unorm8>(bytemuck::cast_slice(&halves), &floats);
        (f16, bf16, fractions, all::<Snorm16>(bytemuck::cast_slice(&halves), &floats))
    };
    Vectors::Baseline.limit();
    let want = convert();
    Vectors::Avx512.limit();
    assert!(convert() == want, "the bits are those of the plain version");
}

proptest! {
    /// Columns of small numbers have the bytes of a loop over rows, in place, beside and past the caches.
    #[test]
    fn maps_see_floats(bits in prop::collection::vec(any::<(u16, u32)>(), 0..700), skip in 0usize..3) {
        let old: Vec<F16> = bits.iter().map(|(half, _)| F16(*half)).collect();
        let a: Vec<f32> = bits.iter().map(|(_, wide)| f32::from_bits(*wide)).collect();
        let f = |x: f32| x * 0.75 + 1.0;
        let g = |x: f32, a: f32| x - a * 0.5;
        let bits = |values: &[F16]| values.iter().map(|value| value.0).collect::<Vec<_>>();
        let one: Vec<F16> = old.iter().map(|x| F16::from_f32(f(x.to_f32()))).collect();
        let two: Vec<F16> = old.iter().zip(&a).map(|(x, a)| F16::from_f32(g(x.to_f32(), *a))).collect();
        use super::narrow as maps;
        let mut memory = vec![F16(7); old.len() + skip];
        let new = &mut memory[skip..];
        maps::map(new, &old, f);
        prop_assert_eq!(bits(new), bits(&one));
        maps::map_streamed(new, &old, f);
        prop_assert_eq!(bits(new), bits(&one));
        maps::map_with(new, &old, &a, g);
        prop_assert_eq!(bits(new), bits(&two));
        maps::map_with_streamed(new, &old, &a, g);
        prop_assert_eq!(bits(new), bits(&two));
        new.copy_from_slice(&old);
        maps::map_in_place(new, f);
        prop_assert_eq!(bits(new), bits(&one));
        new.copy_from_slice(&old);
        maps::map_with_in_place(new, &a, g);
        prop_assert_eq!(bits(new), bits(&two));
        prop_assert!(memory[..skip].iter().all(|value| value.0 == 7));
    }
}
