//! Numbers as people read them.
#![forbid(unsafe_code)]

use std::time::Duration;

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `12.3 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64;
    let mut name = "B";
    for unit in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, name) = (value / 1024.0, unit);
    }
    format!("{value:.1} {name}")
}

/// `16.2 ms`.
pub(crate) fn time(duration: Duration) -> String {
    nanoseconds(duration.as_nanos() as f64)
}

/// `16.2 ms`.
pub(crate) fn nanoseconds(ns: f64) -> String {
    match ns {
        0.0 => "0".to_owned(),
        ns if ns < 1e3 => format!("{ns:.1} ns"),
        ns if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.1} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

/// `87 %`.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// A value with six digits that matter.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !(1e-4..1e9).contains(&size) {
        format!("{value:.5e}")
    } else {
        let digits = (5 - size.log10().floor() as i32).clamp(0, 9) as usize;
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    }
}

/// A hash: 16 hex digits.
pub(crate) fn hash(value: u64) -> String {
    format!("{value:016x}")
}

/// How long ago a time in ns since 1970 was: `5 min ago`.
pub(crate) fn ago(ns: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = now.saturating_sub(ns / 1_000_000_000);
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(0), count(999), count(1000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([bytes(12), bytes(1024), bytes(5 << 30)], ["12 B", "1.0 KiB", "5.0 GiB"]);
        assert_eq!([number(0.0), number(1.5), number(-169.0751639)], ["0", "1.5", "-169.075"]);
        assert_eq!([number(123_456.7), number(1e12), number(1e-7)], ["123457", "1.00000e12", "1.00000e-7"]);
        assert_eq!(number(f64::NAN), "NaN");
        assert_eq!(nanoseconds(16_200_000.0), "16.2 ms");
        assert_eq!(hash(10), "000000000000000a");
    }
}
