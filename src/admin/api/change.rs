//! Reads a change of a limit from JSON, strictly.
//!
//! A rate or burst is a number of bytes (a second), or a string with a unit as in the configuration. A string of digits
//! alone is refused: elsewhere it means KiB, which would mislead beside numbers of bytes.

use serde_json::{Map, Number, Value};

use crate::excerpt::excerpt;
use crate::http::api::{Problem, SHOWN};
use crate::limit::{Budget, Burst, Rate, UnitError, Weight};

/// The largest number: above it not every program reads JSON numbers exactly (RFC 7493 section 2.2).
const MOST: u64 = (1 << 53) - 1;

/// A change of a limit; `None` leaves a value as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    rate: Option<Option<Rate>>,
    burst: Option<u64>,
    weight: Option<Weight>,
    report_only: Option<bool>,
}

impl Change {
    /// Reads a change. A weight is accepted only if the limit has one.
    pub(super) fn of(object: &Map<String, Value>, weighted: bool) -> Result<Self, Problem> {
        let mut change = Self::default();
        for (name, value) in object {
            match name.as_str() {
                "rate" => change.rate = Some(rate(value)?),
                "burst" => change.burst = Some(burst(value)?),
                "weight" if weighted => change.weight = Some(weight(value)?),
                "weight" => {
                    let detail = "this limit has no weight: it shares nothing with others of its kind";
                    return Err(Problem::bad_member(name, detail));
                }
                "report_only" => {
                    let known = value.as_bool();
                    let wrong = || Problem::bad_member(name, "report_only must be true or false");
                    change.report_only = Some(known.ok_or_else(wrong)?);
                }
                _ => {
                    let known = if weighted {
                        "rate, burst, weight, report_only"
                    } else {
                        "rate, burst, report_only"
                    };
                    let detail = format!("{:?} is not known here; known: {known}", excerpt(name, SHOWN));
                    return Err(Problem::bad_member(&excerpt(name, SHOWN), detail));
                }
            }
        }
        Ok(change)
    }

    /// The complete limit, with defaults for what is missing. The rate is required.
    pub(super) fn replaces(&self) -> Result<Budget, Problem> {
        if self.rate.is_none() {
            let detail = "rate is missing; \"off\" is unlimited. PATCH changes a part and leaves the rest";
            return Err(Problem::bad_member("rate", detail));
        }
        Ok(self.changes(Budget::default()))
    }

    /// Whether it sets a rate, which takes the place of several.
    pub(super) fn sets_rate(&self) -> bool {
        self.rate.is_some()
    }

    /// Which of rate, burst, weight and report_only it sets; all if it is the whole limit.
    pub(super) fn sets(&self, is_whole: bool) -> [bool; 4] {
        let part =
            [self.rate.is_some(), self.burst.is_some(), self.weight.is_some(), self.report_only.is_some()];
        part.map(|is_set| is_set || is_whole)
    }

    pub(super) fn changes(&self, old: Budget) -> Budget {
        Budget {
            rate: self.rate.unwrap_or(old.rate),
            burst: self.burst.unwrap_or(old.burst),
            weight: self.weight.unwrap_or(old.weight),
            report_only: self.report_only.unwrap_or(old.report_only),
        }
    }
}

fn rate(value: &Value) -> Result<Option<Rate>, Problem> {
    let wrong = |detail: String| Problem::bad_member("rate", detail);
    let good = "write bytes per second as a number from 1, a text with a unit (\"500B\", \"64k\", \"1.5m\", \
                \"8mbit\"), or \"off\" or null for unlimited";
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => {
            let rate = whole(number).and_then(|rate| Rate::new(rate).ok());
            rate.map(Some).ok_or_else(|| wrong(format!("{number} is not a rate: {good}")))
        }
        Value::String(text) => {
            let rate = text_of(text, Rate::parse_or_off).map_err(wrong)?;
            match rate {
                Some(rate) if rate.bytes_per_second() > MOST => {
                    Err(wrong(format!("{:?} is above {MOST} bytes per second", excerpt(text, SHOWN))))
                }
                rate => Ok(rate),
            }
        }
        _ => Err(wrong(format!("this is not a rate: {good}"))),
    }
}

fn burst(value: &Value) -> Result<u64, Problem> {
    let wrong = |detail: String| Problem::bad_member("burst", detail);
    let good = "write bytes as a number from 0, or a text with a unit (\"500B\", \"64k\", \"1.5m\")";
    match value {
        Value::Number(number) => {
            whole(number).ok_or_else(|| wrong(format!("{number} is not a burst: {good}")))
        }
        Value::String(text) => {
            let bytes = text_of(text, str::parse::<Burst>).map_err(wrong)?.bytes();
            let above = || wrong(format!("{:?} is above {MOST} bytes", excerpt(text, SHOWN)));
            (bytes <= MOST).then_some(bytes).ok_or_else(above)
        }
        _ => Err(wrong(format!("this is not a burst: {good}"))),
    }
}

fn weight(value: &Value) -> Result<Weight, Problem> {
    let number = value.as_number().and_then(whole).and_then(|number| u16::try_from(number).ok());
    let wrong = || Problem::bad_member("weight", format!("a weight must be a number from 1 to {}", u16::MAX));
    number.and_then(Weight::new).ok_or_else(wrong)
}

/// A whole number that every program reads exactly. `1.0` is one, as in JSON Schema.
fn whole(number: &Number) -> Option<u64> {
    let float =
        || number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..=MOST as f64).contains(float));
    let whole = number.as_u64().or_else(|| float().map(|float| float as u64));
    whole.filter(|whole| *whole <= MOST)
}

fn text_of<T>(text: &str, read: impl Fn(&str) -> Result<T, UnitError>) -> Result<T, String> {
    let value = read(text).map_err(|error| error.to_string())?;
    if text.ends_with(|last: char| last.is_ascii_digit()) {
        return Err(format!(
            "{:?} does not say its unit: write a number for bytes, or a text such as \"60k\"",
            excerpt(text, SHOWN)
        ));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str) -> Result<Change, Problem> {
        Change::of(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap(), true)
    }

    #[test]
    fn rates_are_bytes_or_say_their_unit() {
        for (text, expected) in [
            ("1", Some(1)),
            ("1.0", Some(1)),
            ("1e6", Some(1_000_000)),
            ("9007199254740991", Some(MOST)),
            ("\"500B\"", Some(500)),
            ("\"1.5m\"", Some(1_572_864)),
            ("\"8mbit\"", Some(1_000_000)),
            ("\"off\"", None),
            ("null", None),
        ] {
            let read = change(&format!("{{\"rate\": {text}}}")).unwrap();
            assert_eq!(read.rate, Some(expected.map(|rate| Rate::new(rate).unwrap())), "{text}");
        }
        for (text, expected) in [
            ("0", "not a rate"),
            ("-1", "not a rate"),
            ("1.5", "not a rate"),
            ("9007199254740992", "not a rate"),
            ("1e300", "not a rate"),
            ("\"60\"", "does not say its unit"),
            ("\"0k\"", "at zero nothing would ever leave"),
            ("\"17179869183g\"", "above"),
            ("\"fast\"", "does not begin with a plain number"),
            ("\"\"", "it is empty"),
            ("true", "not a rate"),
            ("[]", "not a rate"),
        ] {
            let problem = format!("{:?}", change(&format!("{{\"rate\": {text}}}")).unwrap_err());
            assert!(problem.contains(expected) && problem.contains("#/rate"), "{text}: {problem}");
        }
    }

    #[test]
    fn a_change_leaves_the_rest_and_a_replacement_does_not() {
        let old = Budget { burst: 7, report_only: true, ..Budget::of(Rate::or_unlimited(5)) };
        let changed = change("{\"burst\": \"1k\", \"weight\": 3}").unwrap();
        let expected = Budget { burst: 1024, weight: Weight::new(3).unwrap(), ..old };
        assert_eq!(changed.changes(old), expected);
        assert!(changed.replaces().is_err(), "the rate is missing");
        let replaced = change("{\"rate\": null, \"report_only\": false}").unwrap();
        assert_eq!(replaced.replaces().unwrap(), Budget::default());
        assert_eq!(change("{}").unwrap().changes(old), old);
    }

    #[test]
    fn unknown_members_and_bad_values_are_refused() {
        for (text, expected) in [
            ("{\"rte\": 1}", "\\\"rte\\\" is not known here; known: rate, burst, weight, report_only"),
            ("{\"burst\": -1}", "-1 is not a burst"),
            ("{\"burst\": \"1mbit\"}", "bits are for rates only"),
            ("{\"burst\": \"5\"}", "does not say its unit"),
            ("{\"burst\": null}", "not a burst"),
            ("{\"weight\": 0}", "from 1 to 65535"),
            ("{\"weight\": 65536}", "from 1 to 65535"),
            ("{\"weight\": \"1\"}", "from 1 to 65535"),
            ("{\"report_only\": 1}", "true or false"),
        ] {
            let problem = format!("{:?}", change(text).unwrap_err());
            assert!(problem.contains(expected), "{text}: {problem}");
        }
        let object: Map<String, Value> = serde_json::from_str("{\"weight\": 1}").unwrap();
        assert!(format!("{:?}", Change::of(&object, false).unwrap_err()).contains("has no weight"));
    }
}
