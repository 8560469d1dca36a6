//! Sums of floats that do not depend on the order in which they are added.
//!
//! The sum is held exactly, as a fixed-point number over the whole range of `f64`: digits of 28 bits, each in an `i64` of its own.
//! Digits are added one by one and never carried over, so that two sums are joined digit by digit, and the digits of the result
//! are the same whatever the order and grouping: U. Kulisch, "Computer Arithmetic and Validity" (2008), whose long accumulator
//! this is; with carries put off as in R. Neal, "Fast exact summation using small and large superaccumulators" (2015).
#![forbid(unsafe_code)]

use crate::Field;
use crate::join::Summed;

/// Bits of a digit.
const DIGIT_BITS: usize = 28;
const DIGIT_MASK: i128 = (1 << DIGIT_BITS) - 1;
/// Digits from 2^-1074, the smallest `f64`, to 2^1023, the highest bit of the largest one.
const DIGITS: usize = 2098_usize.div_ceil(DIGIT_BITS);
/// Bits below the point.
const BELOW: usize = 1074;
/// Bits of an `f64`'s fraction, and the mask of its exponent.
const FRACTION_BITS: usize = 52;
const EXPONENT_MASK: u64 = 0x7FF;

/// An exact sum of `f64`, a field of resources that rows are reduced to: with `#[reduce(sum)]` the result has the same bits
/// whatever the order of rows, the size of jobs, or the parts that a world is spread over.
///
/// It holds 2^35 values (34 thousand million) without a digit's overflow. It takes 624 bytes, so a kernel adds its rows to one of
/// its own, and reduces once.
///
/// ```
/// use hypostyle::{Component, ExactSum, Read, Reduce, Resource, Schedule, Simulation, System, Workers, World};
/// #[derive(Component, Clone, Copy)]
/// struct Charge { e: f64 }
/// #[derive(Resource, Reduce, Clone, Copy)]
/// struct Total {
///     #[reduce(sum)]
///     charge: ExactSum,
/// }
/// let mut world = World::builder().component::<Charge>().resource::<Total>().build()?;
/// world.spawn_batch([1e100, 1.0, -1e100].map(|e| Charge { e }))?;
/// let mut schedule = Schedule::new();
/// schedule.add(
///     System::rows::<Read<Charge>>("sum", |job, charge| {
///         let mut total = ExactSum::new();
///         charge.e.iter().for_each(|e| total.add(*e));
///         job.reduce(Total { charge: total });
///     })
///     .reduces::<Total>(),
/// );
/// let mut simulation = Simulation::new(world, schedule, Workers::Auto)?;
/// simulation.step(1.0)?;
/// assert_eq!(simulation.world().resource::<Total>()?.charge.value(), 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Field, Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExactSum {
    digits: [i64; DIGITS],
    /// How many values were infinity, minus infinity, and not a number.
    special: [i64; 3],
}

impl ExactSum {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        ExactSum { digits: [0; DIGITS], special: [0; 3] }
    }

    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let bits = value.to_bits();
        let exponent = bits >> FRACTION_BITS & EXPONENT_MASK;
        let fraction = bits & ((1 << FRACTION_BITS) - 1);
        if exponent == EXPONENT_MASK {
            return self.add_special(value);
        }
        // subnormal numbers have the exponent of the smallest normal ones, and no hidden bit
        let (whole, shift) = match exponent {
            0 => (fraction, 0),
            _ => (fraction | 1 << FRACTION_BITS, exponent as usize - 1),
        };
        let (digit, low) = (shift / DIGIT_BITS, shift % DIGIT_BITS);
        let mut rest = u128::from(whole) << low;
        let sign = if bits >> 63 == 0 { 1 } else { -1 };
        // 53 bits from anywhere in a digit end in the next but one
        for digit in &mut self.digits[digit..(digit + 3).min(DIGITS)] {
            let part = (rest & DIGIT_MASK as u128) as i64;
            *digit = digit.wrapping_add(sign * part);
            rest >>= DIGIT_BITS;
        }
    }

    #[cold]
    fn add_special(&mut self, value: f64) {
        let which = if value.is_nan() { 2 } else { usize::from(value < 0.0) };
        self.special[which] = self.special[which].wrapping_add(1);
    }

    /// Adds what another sum holds.
    pub fn add_sum(&mut self, other: &ExactSum) {
        let add = |(own, other): (&mut i64, &i64)| *own = own.wrapping_add(*other);
        self.digits.iter_mut().zip(&other.digits).for_each(add);
        self.special.iter_mut().zip(&other.special).for_each(add);
    }

    /// The sum, rounded to the nearest `f64`, of two that are equally near to the even one: as if it had been computed with all its
    /// digits. It is infinite if a value was, and not a number if one was not, or if there were infinities of both signs. A sum of
    /// 0 is +0.
    #[must_use]
    pub fn value(&self) -> f64 {
        match self.special.map(|count| count != 0) {
            [false, false, false] => {}
            [true, false, false] => return f64::INFINITY,
            [false, true, false] => return f64::NEG_INFINITY,
            _ => return f64::NAN,
        }
        let (digits, over) = self.carried(1);
        if over < 0 {
            let (digits, over) = self.carried(-1);
            return -rounded(&digits, over);
        }
        rounded(&digits, over)
    }

    /// The digits of the sum times `sign`, each from 0 to below 2^28, and what is above the highest one.
    fn carried(&self, sign: i128) -> ([u32; DIGITS], i128) {
        let mut digits = [0; DIGITS];
        let mut carry = 0;
        for (digit, own) in digits.iter_mut().zip(self.digits) {
            let all = sign * i128::from(own) + carry;
            *digit = (all & DIGIT_MASK) as u32;
            carry = all >> DIGIT_BITS;
        }
        (digits, carry)
    }
}

/// The `f64` nearest to a number that is not negative.
fn rounded(digits: &[u32; DIGITS], over: i128) -> f64 {
    if over != 0 {
        // 2^1026 or more
        return f64::INFINITY;
    }
    let bit = |at: usize| digits[at / DIGIT_BITS] >> (at % DIGIT_BITS) & 1 != 0;
    let Some(high) = digits.iter().rposition(|digit| *digit != 0) else { return 0.0 };
    let top = high * DIGIT_BITS + digits[high].ilog2() as usize;
    // the lowest bit that is kept; numbers below 2^-1021 keep all
    let lowest = top.saturating_sub(FRACTION_BITS);
    let whole = (lowest..=top).rev().fold(0u64, |whole, at| whole << 1 | u64::from(bit(at)));
    let half = lowest > 0 && bit(lowest - 1);
    let up = half && (whole & 1 != 0 || (0..lowest - 1).any(bit));
    // the hidden bit counts one exponent on, and so does a carry out of the fraction
    let bits = ((lowest as u64) << FRACTION_BITS) + whole + u64::from(up);
    if bits >= EXPONENT_MASK << FRACTION_BITS { f64::INFINITY } else { f64::from_bits(bits) }
}

const _: () = assert!(DIGITS * DIGIT_BITS > BELOW + 1024, "the largest f64 is below the highest digit's end");

impl Default for ExactSum {
    fn default() -> Self {
        ExactSum::new()
    }
}

impl Extend<f64> for ExactSum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.add(value));
    }
}

impl FromIterator<f64> for ExactSum {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sum = ExactSum::new();
        sum.extend(values);
        sum
    }
}

impl Summed for ExactSum {
    const ZERO: Self = ExactSum::new();
    const EXACT: bool = true;

    fn plus(mut self, later: Self) -> Self {
        self.add_sum(&later);
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> f64 {
        values.iter().copied().collect::<ExactSum>().value()
    }

    /// Sums that were rounded once, as Python's `math.fsum` gives them; the last value is the sum.
    const ROUNDED_ONCE: &[&[f64]] = &[
        &[
            10928588.983213553,
            1.4186613525849614e134,
            -7.571968556055867e-74,
            -1.4074705188261364e113,
            -3.3339745473042614e-121,
            -1.2342180766211395e-271,
            1.4186613525849614e134,
        ],
        &[
            3.490691392124745e240,
            1.3282314387596086e-145,
            -2.9317061175715426e274,
            4.1124768973349897e-302,
            -2.5983853818656714e29,
            -2.5839922981649337e259,
            -2.9317061175715452e274,
        ],
        &[
            5.479819147089663e143,
            2.536303715130626e165,
            -1.2640982652192417e170,
            -6.400067224499766e150,
            -4.039575584597161e178,
            5.1914906095294186e156,
            1.1690626509531861e147,
            -5.479819147089664e143,
            -2.536303715130626e165,
            -4.039575597238144e178,
        ],
        &[
            5.476477195367888e-09,
            -92408903.20386244,
            -2.9558485067754593e-05,
            8.309457772122571e-06,
            0.0034805061578357006,
            7491120.252435165,
            50.79949019155122,
            -5.476477195367889e-09,
            92408903.20386244,
            7491171.0553846145,
        ],
        &[
            1.84474997942009e-271,
            1.2196099086295227e-288,
            1.6354454389076962e-285,
            -3.5394324960787636e-298,
            7.2802885413481415e-289,
            7.016751877684674e-281,
            6.933563042498466e-274,
            -1.8447499794200904e-271,
            -1.2196099086295227e-288,
            6.93356374418949e-274,
        ],
        &[
            2.2242821219510864e210,
            1.3160052907245507e237,
            2.461797419511512e228,
            2.0506487652698952e208,
            -1.468055855116261e224,
            -3.4955199160888885e233,
            -7.061989668459253e208,
            -2.224282121951087e210,
            -1.3160052907245507e237,
            -3.4954952995827494e233,
        ],
    ];

    #[test]
    fn sums_are_rounded_once() {
        for values in ROUNDED_ONCE {
            let (want, values) = values.split_last().expect("there are values");
            assert_eq!(sum(values).to_bits(), want.to_bits(), "{values:?}");
        }
        let (most, least, one) = (f64::MAX, f64::from_bits(1), 1.0f64.next_up() - 1.0);
        let cases: &[(&[f64], f64)] = &[
            (&[], 0.0),
            (&[-0.0, -0.0], 0.0),
            (&[1e100, 1.0, -1e100], 1.0),
            (&[most, most, -most], most),
            (&[most, -most, -most], -most),
            (&[most, most], f64::INFINITY),
            (&[-most, -most, -most], f64::NEG_INFINITY),
            // half of the last digit of the largest number: a tie, and the even one is infinity
            (&[most, 2.0f64.powi(970)], f64::INFINITY),
            (&[most, 2.0f64.powi(970), -least], most),
            (&[least], least),
            (&[least, -least], 0.0),
            (&[f64::MIN_POSITIVE, -least], f64::MIN_POSITIVE.next_down()),
            (&[f64::MIN_POSITIVE.next_down(), least], f64::MIN_POSITIVE),
            // ties go to the even one, and a trifle decides
            (&[1.0, one / 2.0], 1.0),
            (&[1.0, one / 2.0, least], 1.0 + one),
            (&[1.0, one / 2.0, -least], 1.0),
            (&[1.0 + one, one / 2.0], 1.0 + 2.0 * one),
            (&[2.0f64.next_down(), one / 2.0], 2.0),
            (&[f64::INFINITY, 1.0], f64::INFINITY),
            (&[f64::NEG_INFINITY, most], f64::NEG_INFINITY),
        ];
        for (values, want) in cases {
            assert_eq!(sum(values).to_bits(), want.to_bits(), "{values:?}");
            let negative: Vec<f64> = values.iter().map(|value| -value).collect();
            assert_eq!(sum(&negative), -want, "{negative:?}");
        }
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert!(sum(&[1.0, f64::NAN, f64::INFINITY]).is_nan());
    }

    /// Any finite number: all exponents alike.
    fn finite() -> impl Strategy<Value = f64> {
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite())
    }

    proptest! {
        #[test]
        fn order_and_grouping_make_no_difference(
            values in prop::collection::vec(finite(), 0..80), cut in 0usize..80, turn in 0usize..80,
        ) {
            let all: ExactSum = values.iter().copied().collect();
            let mut other = values.clone();
            other.reverse();
            other.rotate_left(turn % values.len().max(1));
            let (one, two) = other.split_at(cut.min(values.len()));
            let join = |values: &[f64]| values.iter().copied().collect::<ExactSum>();
            prop_assert_eq!(join(two).plus(join(one)), all);
            prop_assert_eq!(join(two).plus(join(one)).value().to_bits(), all.value().to_bits());
        }

        #[test]
        fn the_value_is_that_of_integers(
            values in prop::collection::vec((any::<i64>(), 0u32..60), 0..60), exponent in -1074i32..800,
        ) {
            // numbers of 53 bits: exact as floats, and their sum as an integer, which is rounded as a float is
            let parts = values.iter().map(|(number, shift)| (i128::from(number >> 11)) << shift);
            let want = parts.clone().sum::<i128>() as f64;
            let scaled = |value: f64| value * 2.0f64.powi(exponent / 2) * 2.0f64.powi(exponent - exponent / 2);
            let all: ExactSum = parts.map(|part| scaled(part as f64)).collect();
            prop_assert_eq!(all.value(), scaled(want));
        }
    }
}
