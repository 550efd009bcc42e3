//! Numbers for people: three digits, and a unit that keeps them short.

/// A median with its unit: "5.44 k/s", "160 µs", "1.25 s".
pub fn value(value: f64, unit: &str) -> String {
    match unit {
        "1/s" => scaled(value, &[(1.0, " /s"), (1e3, " k/s"), (1e6, " M/s"), (1e9, " G/s")]),
        "µs" => scaled(value, &[(1e-3, " ns"), (1.0, " µs"), (1e3, " ms"), (1e6, " s")]),
        "ms" => scaled(value, &[(1e-6, " ns"), (1e-3, " µs"), (1.0, " ms"), (1e3, " s")]),
        "B/entry" => scaled(value, &[(1.0, " B"), (1e3, " kB"), (1e6, " MB")]),
        "MB" => scaled(value, &[(1e-6, " B"), (1e-3, " kB"), (1.0, " MB"), (1e3, " GB")]),
        unit => format!("{} {unit}", digits(value)),
    }
}

/// The label of a mark on an axis: a value without trailing zeros.
pub fn mark(at: f64, unit: &str) -> String {
    let text = value(at, unit);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number} {unit}")
}

/// How many times better: "2.35×", "0.81×". Small ratios are fractions, "1/24×", which are easier
/// to read than "0.04×".
pub fn ratio(ratio: f64) -> String {
    match ratio {
        _ if ratio > 0.0 && ratio < 0.095 => format!("1/{}×", digits(ratio.recip())),
        _ => format!("{}×", digits(ratio)),
    }
}

/// The text with its first letter in upper case.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// The number in the largest unit that makes it at least 1. `units` ascend.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = |(step, _): &&(f64, &str)| value.abs() / step >= 0.9995;
    match units.iter().rev().find(fits).or(units.first()) {
        Some(_) if value == 0.0 => format!("0{}", unit_of_one(units)),
        Some((step, unit)) => format!("{}{unit}", digits(value / step)),
        None => digits(value),
    }
}

fn unit_of_one<'a>(units: &[(f64, &'a str)]) -> &'a str {
    units.iter().find(|(step, _)| *step == 1.0).map_or("", |(_, unit)| unit)
}

/// Three digits, or all digits before the point if there are more.
fn digits(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "–".to_owned(),
        0.0 => "0".to_owned(),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_three_digits_and_a_unit_that_fits() {
        let cases = [
            (5444.0, "1/s", "5.44 k/s"),
            (347_991.0, "1/s", "348 k/s"),
            (999_700.0, "1/s", "1.00 M/s"),
            (15.3e6, "1/s", "15.3 M/s"),
            (7.0, "1/s", "7.00 /s"),
            (0.141, "µs", "141 ns"),
            (1.106, "µs", "1.11 µs"),
            (4300.0, "µs", "4.30 ms"),
            (0.16, "ms", "160 µs"),
            (99.97, "ms", "100 ms"),
            (1252.0, "ms", "1.25 s"),
            (0.0, "ms", "0 ms"),
            (201.0, "B/entry", "201 B"),
            (0.4, "B/entry", "0.40 B"),
            (928.0, "MB", "928 MB"),
            (2.3, "B/B", "2.30 B/B"),
            (f64::NAN, "B/B", "– B/B"),
        ];
        for (number, unit, text) in cases {
            assert_eq!(value(number, unit), text);
        }
    }

    #[test]
    fn marks_have_no_empty_decimals() {
        assert_eq!(mark(1e3, "1/s"), "1 k/s");
        assert_eq!(mark(1e5, "1/s"), "100 k/s");
        assert_eq!(mark(0.5, "µs"), "500 ns");
        assert_eq!(mark(2.5, "µs"), "2.5 µs");
    }

    #[test]
    fn small_ratios_are_fractions() {
        let cases = [
            (2.349, "2.35×"),
            (12.34, "12.3×"),
            (340.4, "340×"),
            (0.807, "0.81×"),
            (0.0427, "1/23.4×"),
            (0.00041, "1/2439×"),
            (0.0, "0×"),
            (1.0, "1.00×"),
        ];
        for (number, text) in cases {
            assert_eq!(ratio(number), text);
        }
        assert_eq!(ratio(f64::INFINITY), "–×");
    }
}
