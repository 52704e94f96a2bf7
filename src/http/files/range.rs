//! Which bytes a `Range` field asks for (RFC 9110 §14.1, §14.2).
//!
//! Pure. The `headers` crate's `Range` is not used: it passes over what is malformed instead of
//! ignoring the field, and refuses a suffix longer than the file.

use std::ops::Range;

/// The most ranges in one field that are answered as such. More are taken as an attack, or an
/// accident, and get the whole file (§14.2 allows to ignore the field, §17.15 advises to).
const MAX_RANGES: usize = 16;

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selected {
    /// Everything: no range was asked for, or not in a way that could be answered.
    Whole,
    /// These ranges: at least one, none empty, all within the file, no two touching each other.
    Parts(Vec<Range<u64>>),
    /// No byte of the file was asked for: 416.
    Nothing,
}

/// Reads a `Range` field for a file of `size` bytes.
///
/// Unknown units and malformed sets are ignored, as the RFC wants. Ranges that overlap or touch become
/// one, in the place of the first of them; otherwise the client's order is kept. An empty file has no
/// bytes to select, but its last `n` bytes are all of it.
pub(super) fn select(field: &[u8], size: u64) -> Selected {
    let Some(asked) = parse(field) else { return Selected::Whole };
    if asked.len() > MAX_RANGES {
        return Selected::Whole;
    }
    let mut parts: Vec<Range<u64>> = Vec::new();
    for spec in asked {
        let range = match spec {
            Spec::From(first, last) => first..last.saturating_add(1).min(size),
            Spec::Last(0) => continue,
            Spec::Last(_) if size == 0 => return Selected::Whole,
            Spec::Last(count) => size.saturating_sub(count)..size,
        };
        if range.start < range.end {
            insert(&mut parts, range);
        }
    }
    if parts.is_empty() { Selected::Nothing } else { Selected::Parts(parts) }
}

/// Adds a range, joined with all it touches.
fn insert(parts: &mut Vec<Range<u64>>, mut range: Range<u64>) {
    let mut place = parts.len();
    while let Some(at) = parts.iter().position(|part| part.start <= range.end && range.start <= part.end) {
        let part = parts.remove(at);
        range = part.start.min(range.start)..part.end.max(range.end);
        place = place.min(at);
    }
    parts.insert(place.min(parts.len()), range);
}

/// One element of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// From the first to the last position, both included; `u64::MAX` is the end.
    From(u64, u64),
    /// So many bytes at the end.
    Last(u64),
}

/// The set's elements; `None` if the field is not a well-formed set of byte ranges.
///
/// Stops when it is sure that there are too many.
fn parse(field: &[u8]) -> Option<Vec<Spec>> {
    let field = field.trim_ascii();
    let (unit, set) = field.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let mut specs = Vec::new();
    for element in set.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if specs.len() > MAX_RANGES {
            break;
        }
        if !element.is_empty() {
            specs.push(parse_spec(element)?);
        }
    }
    if specs.is_empty() { None } else { Some(specs) }
}

fn parse_spec(element: &[u8]) -> Option<Spec> {
    let minus = memchr::memchr(b'-', element)?;
    match (&element[..minus], &element[minus + 1..]) {
        ([], count) => Some(Spec::Last(number(count)?)),
        (first, []) => Some(Spec::From(number(first)?, u64::MAX)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, last))
        }
    }
}

/// At least one digit. What is too large for us is larger than any file.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(parts: &[(u64, u64)]) -> Selected {
        Selected::Parts(parts.iter().map(|(start, end)| *start..*end).collect())
    }

    #[test]
    fn ranges_of_a_file_of_1000_bytes() {
        for (field, expected) in [
            ("bytes=0-0", parts(&[(0, 1)])),
            ("bytes=0-499", parts(&[(0, 500)])),
            ("bytes=500-", parts(&[(500, 1000)])),
            ("bytes=999-", parts(&[(999, 1000)])),
            ("bytes=-300", parts(&[(700, 1000)])),
            ("bytes=-1000", parts(&[(0, 1000)])),
            ("bytes=-5000", parts(&[(0, 1000)])),
            ("bytes=0-99999999999999999999999999", parts(&[(0, 1000)])),
            ("BYTES=1-2", parts(&[(1, 3)])),
            (" bytes= 1-2 , ,4-5,", parts(&[(1, 3), (4, 6)])),
            ("bytes=0-0,-1", parts(&[(0, 1), (999, 1000)])),
            ("bytes=500-599,0-99", parts(&[(500, 600), (0, 100)])),
            ("bytes=0-99,50-149", parts(&[(0, 150)])),
            ("bytes=0-99,100-199", parts(&[(0, 200)])),
            ("bytes=0-99,101-199", parts(&[(0, 100), (101, 200)])),
            ("bytes=500-599,0-99,90-510", parts(&[(0, 600)])),
            ("bytes=10-19,50-59,30-39,20-29", parts(&[(10, 40), (50, 60)])),
            ("bytes=2000-,1-1", parts(&[(1, 2)])),
            ("bytes=-0,1-1", parts(&[(1, 2)])),
            ("bytes=1000-", Selected::Nothing),
            ("bytes=1000-2000,3000-", Selected::Nothing),
            ("bytes=99999999999999999999999999-", Selected::Nothing),
            ("bytes=-0", Selected::Nothing),
            ("", Selected::Whole),
            ("bytes", Selected::Whole),
            ("bytes=", Selected::Whole),
            ("bytes=,", Selected::Whole),
            ("bytes=-", Selected::Whole),
            ("bytes=5-4", Selected::Whole),
            ("bytes=0-1,5-4", Selected::Whole),
            ("bytes=a-b", Selected::Whole),
            ("bytes=1", Selected::Whole),
            ("bytes=1-2-3", Selected::Whole),
            ("bytes=+1-2", Selected::Whole),
            ("bytes=1 - 2", Selected::Whole),
            ("bytes =1-2", Selected::Whole),
            ("lines=1-2", Selected::Whole),
        ] {
            assert_eq!(select(field.as_bytes(), 1000), expected, "{field}");
        }
    }

    #[test]
    fn an_empty_file_has_no_first_byte() {
        assert_eq!(select(b"bytes=0-", 0), Selected::Nothing);
        assert_eq!(select(b"bytes=-1", 0), Selected::Whole);
        assert_eq!(select(b"bytes=-0", 0), Selected::Nothing);
    }

    #[test]
    fn sixteen_ranges_are_answered_and_seventeen_are_not() {
        let set = |count: u64| {
            (0..count).map(|at| format!("{}-{}", at * 10, at * 10 + 1)).collect::<Vec<_>>().join(",")
        };
        let selected = |count| select(format!("bytes={}", set(count)).as_bytes(), 1000);
        assert!(matches!(selected(16), Selected::Parts(parts) if parts.len() == 16));
        assert_eq!(selected(17), Selected::Whole);
        assert_eq!(select(format!("bytes={}", "0-,".repeat(10_000)).as_bytes(), 1000), Selected::Whole);
    }

    proptest! {
        #[test]
        fn ranges_lie_within_the_file_and_apart(
            field in prop_oneof![
                "bytes=[0-9]{0,3}-[0-9]{0,3}(, ?[0-9]{0,3}-[0-9]{0,3}){0,17}",
                "(bytes=)?[-0-9, a=\\PC]{0,30}",
            ],
            size in prop_oneof![0_u64..1200, Just(u64::MAX)],
        ) {
            if let Selected::Parts(parts) = select(field.as_bytes(), size) {
                prop_assert!(!parts.is_empty() && parts.len() <= MAX_RANGES);
                for (at, part) in parts.iter().enumerate() {
                    prop_assert!(part.start < part.end && part.end <= size);
                    prop_assert!(parts[at + 1..].iter().all(|other| other.start > part.end || other.end < part.start));
                }
            }
        }
    }
}
