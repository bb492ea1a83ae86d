//! Results for people and for machines.

use std::fmt::{self, Display};
use std::io::Write;

use serde::Serialize;

use crate::error::Failure;
use crate::progress::Phase;

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Format {
    /// Print one JSON object with a versioned `schema` field instead of text
    #[arg(long)]
    pub json: bool,
}

/// What a command reports: text by [`Display`], JSON by [`Serialize`].
pub trait Report: Display + Serialize {
    /// Name and version of the JSON form. The version grows when a field is removed or changes its meaning.
    const SCHEMA: &'static str;
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

/// Prints a result.
pub fn result<R: Report>(format: Format, report: &R) {
    if format.json {
        json(&Envelope { schema: R::SCHEMA, body: report });
    } else {
        line(report);
    }
}

/// The JSON form of a result.
#[cfg(test)]
pub fn value<R: Report>(report: &R) -> serde_json::Value {
    serde_json::to_value(Envelope { schema: R::SCHEMA, body: report }).unwrap()
}

/// Prints a failure: one line on standard error, and an object on standard output if JSON was asked for.
pub fn failure(format: Format, failure: &Failure) {
    #[derive(Serialize)]
    struct Body {
        kind: &'static str,
        exit_code: u8,
        message: String,
    }
    let message = failure.one_line();
    let _ = writeln!(std::io::stderr(), "kiln: {message}");
    if format.json {
        let body = Body { kind: failure.kind(), exit_code: failure.exit_code(), message };
        json(&Envelope { schema: "kiln.error/1", body: &body });
    }
}

/// Something to know before work starts, on standard error.
pub fn note(message: impl Display) {
    let _ = writeln!(std::io::stderr(), "kiln: {message}");
}

/// Says something that must not be missed, on standard error.
pub fn warn(message: impl Display) {
    let _ = writeln!(std::io::stderr(), "kiln: WARNING: {message}");
}

fn json<T: Serialize>(value: &T) {
    // Reports are plain data: strings, numbers, lists. They always have a JSON form.
    if let Ok(text) = serde_json::to_string_pretty(value) {
        line(&text);
    }
}

/// A reader that went away (`kiln … | head`) is no failure: the work is done.
fn line(text: &impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// What took how long, a line each.
pub fn phases(f: &mut fmt::Formatter<'_>, phases: &[Phase]) -> fmt::Result {
    for Phase { phase, wall_s } in phases {
        write!(f, "\n    {phase:<28} {}", seconds(*wall_s))?;
    }
    Ok(())
}

/// Integers of a tensor to read: all of a short one, the first of a long one. The JSON form has all.
pub fn integers(values: &[i64]) -> String {
    const SHOWN: usize = 32;
    match values.split_at_checked(SHOWN) {
        Some((first, rest)) if !rest.is_empty() => {
            let first = format!("{first:?}");
            format!("{}, … {} more, see --json]", first.trim_end_matches(']'), rest.len())
        }
        _ => format!("{values:?}"),
    }
}

/// A count of bytes in the unit that suits it.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1 << 10 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// A time in the unit that suits it.
pub fn seconds(time_s: f64) -> String {
    if time_s >= 1.0 {
        format!("{time_s:.2} s")
    } else if time_s >= 1e-3 {
        format!("{:.1} ms", time_s * 1e3)
    } else {
        format!("{:.1} µs", time_s * 1e6)
    }
}

/// A count with its thousands set apart.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_tensors_are_shown_by_their_beginning() {
        let values: Vec<i64> = (-2..48).collect();
        assert_eq!(integers(&values[..3]), "[-2, -1, 0]");
        assert_eq!(integers(&values[..32]), format!("{:?}", &values[..32]));
        assert!(integers(&values).starts_with("[-2, -1,"));
        assert!(integers(&values).ends_with(", 29, … 18 more, see --json]"));
        assert_eq!(integers(&[]), "[]");
    }

    #[test]
    fn quantities_read_well_at_every_seam() {
        assert_eq!(
            [0, 1023, 1024, 1 << 20, 3 << 29].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.5 GiB"]
        );
        assert_eq!([0.0, 0.0009, 0.0123, 1.0].map(seconds), ["0.0 µs", "900.0 µs", "12.3 ms", "1.00 s"]);
        assert_eq!([0, 999, 1000, 1234567].map(count), ["0", "999", "1 000", "1 234 567"]);
    }
}
