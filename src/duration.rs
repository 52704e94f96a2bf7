//! Durations as configuration files, flags and logs spell them: `500ms`, `30s`, `2m`, `1h`.

use std::time::Duration;

use crate::words::shorten;

/// The longest duration that can be set: 365 days. A deadline that far away never overflows a clock.
pub const MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Units with their milliseconds. The first that divides a duration is the one it is printed in.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

text_error! {
    /// Why a text is not a duration. Displays what is wrong and which spellings are accepted.
    DurationError
}

impl DurationError {
    fn new(text: &str, why: &str) -> Self {
        let shown = shorten(text);
        Self(format!("{shown:?} is not a duration: {why}; write 500ms, 30s, 2m or 1h"))
    }
}

/// Parses a whole number with a unit: `500ms`, `30s`, `2m` or `1h`.
///
/// ```
/// use std::time::Duration;
/// use sluicegate::duration;
///
/// assert_eq!(duration::parse("2m"), Ok(Duration::from_secs(120)));
/// assert_eq!(duration::spell(Duration::from_millis(1500)), "1500ms");
/// assert!(duration::parse("30").is_err(), "thirty what?");
/// ```
///
/// # Errors
/// The text has no unit, a fraction, a space or a sign, or is longer than [`MAX`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    parse_millis(text).map(Duration::from_millis).map_err(|why| DurationError::new(text, why))
}

fn parse_millis(text: &str) -> Result<u64, &'static str> {
    const TOO_LONG: &str = "it is above a year";
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err("it does not begin with a plain number");
    }
    if unit.is_empty() {
        return Err("a plain number has no unit");
    }
    if unit.starts_with('.') {
        return Err("it is not a whole number");
    }
    let (_, millis) =
        UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or("its unit is not known")?;
    let number: u64 = match number.trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().map_err(|_| TOO_LONG)?,
    };
    let millis = number.checked_mul(*millis).ok_or(TOO_LONG)?;
    if u128::from(millis) > MAX.as_millis() { Err(TOO_LONG) } else { Ok(millis) }
}

/// Returns `duration` if it can serve as a timeout.
///
/// # Errors
/// `duration` is zero: everything would be late at once.
pub fn positive(duration: Duration) -> Result<Duration, DurationError> {
    if duration.is_zero() {
        return Err(DurationError::new(&spell(duration), "nothing can be done in no time"));
    }
    Ok(duration)
}

/// Formats `duration` in its largest whole unit, as [`parse`] reads it. Fractions of a millisecond are cut off.
pub fn spell(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let (name, unit) =
        UNITS.iter().find(|(_, unit)| millis.is_multiple_of(u128::from(*unit))).copied().unwrap_or(("ms", 1));
    format!("{}{name}", millis / u128::from(unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_spellings_are_read_and_printed() {
        for (text, millis, printed) in [
            ("500ms", 500, "500ms"),
            ("30s", 30_000, "30s"),
            ("2m", 120_000, "2m"),
            ("90s", 90_000, "90s"),
            ("60S", 60_000, "1m"),
            ("1h", 3_600_000, "1h"),
            ("24h", 86_400_000, "24h"),
            ("0s", 0, "0s"),
            ("007s", 7_000, "7s"),
            ("8760h", 31_536_000_000, "8760h"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(spell(duration), printed, "{text}");
        }
    }

    #[test]
    fn bad_spellings_say_what_is_wrong() {
        for (text, expected) in [
            ("", "it does not begin with a plain number"),
            ("s", "it does not begin with a plain number"),
            ("-1s", "it does not begin with a plain number"),
            (" 1s", "it does not begin with a plain number"),
            ("off", "it does not begin with a plain number"),
            ("30", "a plain number has no unit"),
            ("0", "a plain number has no unit"),
            ("1.5s", "it is not a whole number"),
            ("1 s", "its unit is not known"),
            ("1sec", "its unit is not known"),
            ("1d", "its unit is not known"),
            ("1m30s", "its unit is not known"),
            ("8761h", "it is above a year"),
            ("99999999999999999999s", "it is above a year"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(error.ends_with("; write 500ms, 30s, 2m or 1h"), "{error}");
        }
    }

    #[test]
    fn a_timeout_is_not_zero() {
        assert!(positive(parse("1ms").unwrap()).is_ok());
        let error = positive(parse("0ms").unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("\"0s\" is not a duration: nothing can be done in no time"), "{error}");
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_back(millis in 0u64..=31_536_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&spell(duration)), Ok(duration));
        }

        #[test]
        fn any_text_gets_a_value_or_a_message(text in "\\PC*", likely in "[0-9]{0,24}[a-z.]{0,3}") {
            let _ = (parse(&text), parse(&likely));
        }
    }
}
