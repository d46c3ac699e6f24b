//! The format of numbers in the table and in the report.

use crate::columns::NONE;

/// Returns a number with three significant digits. A number with more than three digits before the point keeps all of
/// those digits.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if !size.is_finite() => return NONE.to_owned(),
        _ if size < 0.000_5 => return "0".to_owned(),
        // A number that rounding raises by a digit before the point has a digit less behind the point.
        _ if size < 0.999_5 => 3,
        _ if size < 9.995 => 2,
        _ if size < 99.95 => 1,
        _ => 0,
    };
    grouped(&format!("{value:.decimals$}"))
}

/// Returns a whole number as text, without a decimal point.
pub fn count(value: f64) -> String {
    if value.is_finite() { grouped(&format!("{value:.0}")) } else { NONE.to_owned() }
}

/// Groups the digits by three, separated by a space at which no line breaks.
fn grouped(plain: &str) -> String {
    let whole = plain.find('.').unwrap_or(plain.len());
    let mut grouped = String::new();
    for (at, digit) in plain.char_indices() {
        let left = whole.saturating_sub(at);
        if grouped.ends_with(|last: char| last.is_ascii_digit()) && left > 0 && left.is_multiple_of(3) {
            grouped.push('\u{a0}');
        }
        grouped.push(digit);
    }
    grouped
}

/// Returns a number of bytes with a binary unit.
pub fn bytes(value: f64) -> String {
    let units = [("GiB", f64::from(1 << 30)), ("MiB", f64::from(1 << 20)), ("KiB", 1024.0), ("bytes", 1.0)];
    let (unit, size) = units.into_iter().find(|(_, size)| value >= *size).unwrap_or(("bytes", 1.0));
    let value = value / size;
    let figure = if value.fract() == 0.0 { count(value) } else { number(value) };
    format!("{figure}\u{a0}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits_and_groups_of_three() {
        let cases = [
            (0.0, "0"),
            (0.000_4, "0"),
            (0.05, "0.050"),
            (0.123_4, "0.123"),
            (1.0, "1.00"),
            (1.234, "1.23"),
            (9.999, "10.0"),
            (12.34, "12.3"),
            (99.99, "100"),
            (123.4, "123"),
            (1234.4, "1\u{a0}234"),
            (123_456.0, "123\u{a0}456"),
            (1_234_567.0, "1\u{a0}234\u{a0}567"),
            (-123.0, "-123"),
            (-123_456.0, "-123\u{a0}456"),
            (f64::NAN, NONE),
            (f64::INFINITY, NONE),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected, "{value}");
        }
    }

    #[test]
    fn bytes_have_binary_units() {
        let cases = [
            (64.0, "64 bytes"),
            (16384.0, "16 KiB"),
            (1536.0, "1.50 KiB"),
            (8.0 * (1u64 << 30) as f64, "8 GiB"),
        ];
        for (value, expected) in cases {
            assert_eq!(bytes(value).replace('\u{a0}', " "), expected);
        }
    }
}
