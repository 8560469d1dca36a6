//! Numbers on the command line: counts and bytes as people write them.
//!
//! `5000`, `5_000`, `5e3` and `5k` are the same count; `65536`, `64k` and `64KiB` the same number of bytes. What is
//! no whole number is refused: nothing is rounded.
#![forbid(unsafe_code)]

/// Powers of ten that a count may end with.
const DECIMAL: [(&str, u128); 4] = [("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("T", 1_000_000_000_000)];
/// Powers of two that a number of bytes may end with.
const BINARY: [(&str, u128); 4] = [("k", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)];
/// Digits and exponents beyond this are no number that fits.
const DIGITS_MAX: usize = 40;

/// A count: of entities, frames, rows.
///
/// # Errors
/// It is no whole number, or too large.
pub fn count<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let number = whole(text, &DECIMAL).ok_or("it must be a whole number, such as 5000, 5_000, 5e3 or 5k")?;
    fit(number)
}

/// A count of at least 1.
///
/// # Errors
/// It is 0, no whole number, or too large.
pub fn positive<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    match count::<u64>(text)? {
        0 => Err("it must be at least 1".to_owned()),
        number => fit(u128::from(number)),
    }
}

/// A number of bytes.
///
/// # Errors
/// It is no whole number, or too large.
pub fn bytes<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let plain = ["iB", "ib", "i"].iter().find_map(|end| text.strip_suffix(end)).unwrap_or(text);
    let number = whole(plain, &BINARY)
        .filter(|_| plain.len() == text.len() || plain.ends_with(|end: char| end.is_ascii_alphabetic()))
        .ok_or("it must be a whole number of bytes, such as 65536, 65_536, 64k or 64KiB (both times 1024)")?;
    fit(number)
}

/// Seconds, with a fraction.
///
/// # Errors
/// It is no number, below 0, or above 1e9.
pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "it must be a number of seconds".to_owned())?;
    if (0.0..=1e9).contains(&seconds) { Ok(seconds) } else { Err("it must be from 0 to 1e9 seconds".to_owned()) }
}

fn fit<T: TryFrom<u64>>(number: u128) -> Result<T, String> {
    let max = match size_of::<T>() {
        1 => u64::from(u8::MAX),
        2 => u64::from(u16::MAX),
        4 => u64::from(u32::MAX),
        _ => u64::MAX,
    };
    let number = u64::try_from(number).ok().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("it is too large: at most {max}"))
}

/// A whole number: digits (`_` between two of them), a fraction and an exponent that leave it whole, a suffix.
fn whole(text: &str, suffixes: &[(&str, u128)]) -> Option<u128> {
    let found = suffixes.iter().find_map(|(suffix, factor)| {
        let end = text.get(text.len().checked_sub(suffix.len())?..)?;
        end.eq_ignore_ascii_case(suffix).then(|| (&text[..text.len() - suffix.len()], *factor))
    });
    let (text, factor) = found.unwrap_or((text, 1));
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse::<usize>().ok()?),
        None => (text, 0),
    };
    let (units, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let units = digits(units)?;
    let fraction = if mantissa.contains('.') { digits(fraction)? } else { String::new() };
    if exponent > DIGITS_MAX || units.len() + fraction.len() > DIGITS_MAX {
        // every such number is too large, or 0
        return if units.bytes().chain(fraction.bytes()).all(|digit| digit == b'0') {
            Some(0)
        } else {
            Some(u128::MAX)
        };
    }
    let places = fraction.len();
    let scaled = format!("{units}{fraction}").parse::<u128>().ok()?.saturating_mul(factor);
    let scaled = scaled.saturating_mul(10u128.saturating_pow(u32::try_from(exponent).ok()?));
    let unit = 10u128.checked_pow(u32::try_from(places).ok()?)?;
    scaled.is_multiple_of(unit).then_some(scaled / unit)
}

/// The digits of a text that has nothing else but `_` between two of them.
fn digits(text: &str) -> Option<String> {
    let groups = text.split('_').collect::<Vec<_>>();
    let good = groups.iter().all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    good.then(|| groups.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let good = [
            ("0", 0),
            ("5000", 5000),
            ("5_000", 5000),
            ("5e3", 5000),
            ("1E6", 1_000_000),
            ("1e+6", 1_000_000),
            ("2.5e6", 2_500_000),
            ("64k", 64_000),
            ("1.5M", 1_500_000),
            ("3G", 3_000_000_000),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, number) in good {
            assert_eq!(count::<u64>(text), Ok(number), "{text}");
        }
        for (text, number) in
            [("64k", 65_536), ("64K", 65_536), ("64KiB", 65_536), ("64Ki", 65_536), ("1MiB", 1 << 20), ("100", 100)]
        {
            assert_eq!(bytes::<u64>(text), Ok(number), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_is_right() {
        let wrong = [
            "", "k", "e3", "-1", "+1", "1.5", "1_", "_1", "1__0", "1,000", "0x10", "ten", "1e-3", "1e", "1.e3", ".5k",
            "1kk", "1 k", "NaN", "inf", "1.0001k", "64KiB",
        ];
        for text in wrong {
            let why = count::<u64>(text).expect_err(text);
            assert!(why.contains("such as 5000, 5_000, 5e3 or 5k"), "{text}: {why}");
        }
        for text in ["", "iB", "1iB", "64kB", "64B", "1.3", "KiB"] {
            assert!(bytes::<u64>(text).expect_err(text).contains("64KiB"), "{text}");
        }
        for text in ["18446744073709551616", "1e20", "99999999T", "1e99999", "1e999999999999"] {
            let why = count::<u64>(text).expect_err(text);
            assert!(why.contains("at most 18446744073709551615"), "{text}: {why}");
        }
        assert!(count::<u16>("70k").expect_err("too large").contains("at most 65535"));
        assert!(positive::<u64>("0").expect_err("none").contains("at least 1"));
    }
}
