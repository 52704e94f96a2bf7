//! Reads a change of a limit from JSON, strictly.
//!
//! A rate or burst is a number of bytes (a second), or a string with a unit as in the configuration. A string of digits
//! alone is refused: elsewhere it means KiB, which would mislead beside numbers of bytes.

use serde_json::{Map, Number, Value};

use crate::excerpt::excerpt;
use crate::http::api::{Problem, SHOWN};
use crate::limit::{Burst, Rate, Rates, RatesError, UnitError, Weight};
use crate::live_limits::{LimitChange, Name, Setting};

/// The largest number: above it not every program reads JSON numbers exactly (RFC 7493 section 2.2).
const MOST: u64 = (1 << 53) - 1;

/// Reads a change of the limit `name`. A weight is accepted only if the limit has one, and several rates only if they may follow one
/// another there.
pub(super) fn of(object: &Map<String, Value>, name: &Name) -> Result<LimitChange, Problem> {
    let mut change = LimitChange::default();
    for (key, value) in object {
        match key.as_str() {
            "rate" => change.rate = Some(rates(value, name.has_rates())?),
            "burst" => change.burst = Some(burst(value)?),
            "weight" if name.is_weighted() => change.weight = Some(weight(value)?),
            "weight" => {
                let detail = "this limit has no weight: it shares nothing with others of its kind";
                return Err(Problem::bad_member(key, detail));
            }
            "report_only" => {
                let known = value.as_bool();
                let wrong = || Problem::bad_member(key, "report_only must be true or false");
                change.report_only = Some(known.ok_or_else(wrong)?);
            }
            _ => {
                let known = match name.is_weighted() {
                    true => "rate, burst, weight, report_only",
                    false => "rate, burst, report_only",
                };
                let detail = format!("{:?} is not known here; known: {known}", excerpt(key, SHOWN));
                return Err(Problem::bad_member(&excerpt(key, SHOWN), detail));
            }
        }
    }
    Ok(change)
}

/// The complete limit, with defaults for what is missing. The rate is required.
pub(super) fn whole(change: &LimitChange, name: &Name) -> Result<LimitChange, Problem> {
    if change.rate.is_none() {
        let detail = "rate is missing; \"off\" is unlimited. PATCH changes a part and leaves the rest";
        return Err(Problem::bad_member("rate", detail));
    }
    Ok(LimitChange::whole(&change.over(Setting::default()), name.is_weighted()))
}

/// A rate, or several in one text, such as `2m for 10m, 500k`.
fn rates(value: &Value, may_follow: bool) -> Result<Rates, Problem> {
    let wrong = |detail: String| Problem::bad_member("rate", detail);
    let Some(text) = value.as_str().filter(|text| text.contains(',')) else {
        return rate(value).map(Rates::from);
    };
    if !may_follow {
        let detail = "this limit has one rate: only those of each response or upload of a route can follow one another";
        return Err(wrong(detail.to_owned()));
    }
    let parts = text.split(',').flat_map(|rate| rate.split(" for ")).map(str::trim);
    let is_bare = |part: &&str| part.ends_with(|last: char| last.is_ascii_digit());
    if let Some(part) = parts.clone().find(is_bare) {
        return Err(wrong(no_unit_in(part)));
    }
    let rates: Rates = text.parse().map_err(|error: RatesError| wrong(error.to_string()))?;
    // Only the server's own arithmetic is exact above that.
    let most = Rate::or_unlimited(MOST);
    if rates
        .texts()
        .iter()
        .filter_map(|text| text.split(" for ").next()?.parse::<Rate>().ok())
        .any(|rate| Some(rate) > most)
    {
        return Err(wrong(format!("a rate is above {MOST} bytes per second")));
    }
    Ok(rates)
}

fn rate(value: &Value) -> Result<Option<Rate>, Problem> {
    let wrong = |detail: String| Problem::bad_member("rate", detail);
    let good = "write bytes per second as a number from 1, a text with a unit (\"500B\", \"64k\", \"1.5m\", \
                \"8mbit\"), or \"off\" or null for unlimited";
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => {
            let rate = whole_number(number).and_then(|rate| Rate::new(rate).ok());
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
            whole_number(number).ok_or_else(|| wrong(format!("{number} is not a burst: {good}")))
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
    let number = value.as_number().and_then(whole_number).and_then(|number| u16::try_from(number).ok());
    let wrong = || Problem::bad_member("weight", format!("a weight must be a number from 1 to {}", u16::MAX));
    number.and_then(Weight::new).ok_or_else(wrong)
}

/// A whole number that every program reads exactly. `1.0` is one, as in JSON Schema.
fn whole_number(number: &Number) -> Option<u64> {
    let float =
        || number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..=MOST as f64).contains(float));
    let whole = number.as_u64().or_else(|| float().map(|float| float as u64));
    whole.filter(|whole| *whole <= MOST)
}

fn text_of<T>(text: &str, read: impl Fn(&str) -> Result<T, UnitError>) -> Result<T, String> {
    let value = read(text).map_err(|error| error.to_string())?;
    if text.ends_with(|last: char| last.is_ascii_digit()) {
        return Err(no_unit_in(text));
    }
    Ok(value)
}

fn no_unit_in(text: &str) -> String {
    let text = excerpt(text, SHOWN);
    format!("{text:?} does not say its unit: write a number for bytes, or a text such as \"60k\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Budget;
    use crate::live_limits::Part;

    fn change(text: &str) -> Result<LimitChange, Problem> {
        of(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap(), &Name::Client)
    }

    fn response(text: &str) -> Result<LimitChange, Problem> {
        let name = Name::Route("/".to_owned(), Part::Response);
        of(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap(), &name)
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
            assert_eq!(read.rate, Some(Rates::from(expected.map(|rate| Rate::new(rate).unwrap()))), "{text}");
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
            ("\"2m for 10m, 500k\"", "this limit has one rate"),
        ] {
            let problem = format!("{:?}", change(&format!("{{\"rate\": {text}}}")).unwrap_err());
            assert!(problem.contains(expected) && problem.contains("#/rate"), "{text}: {problem}");
        }
    }

    #[test]
    fn rates_of_each_response_may_follow_one_another() {
        for text in ["\"2m for 10m, 500k\"", "\" 2m for 10m ,500k\""] {
            let read = response(&format!("{{\"rate\": {text}}}")).unwrap();
            assert_eq!(read.rate, Some("2m for 10m, 500k".parse().unwrap()), "{text}");
        }
        for (text, expected) in [
            ("[]", "not a rate"),
            ("\"99999999999999g for 1k, 1k\"", "above"),
            ("\"2m, 500k\"", "does not say for how many bytes"),
            ("\"2m for 10m, off\"", "the last rate cannot be off"),
            ("\"2 for 10m, 500k\"", "\\\"2\\\" does not say its unit"),
            ("\"2m for 10m, 500\"", "\\\"500\\\" does not say its unit"),
            ("\"2m for 10, 500k\"", "\\\"10\\\" does not say its unit"),
        ] {
            let problem = format!("{:?}", response(&format!("{{\"rate\": {text}}}")).unwrap_err());
            assert!(problem.contains(expected) && problem.contains("#/rate"), "{text}: {problem}");
        }
    }

    #[test]
    fn a_change_leaves_the_rest_and_a_replacement_does_not() {
        let old = Budget { burst: 7, report_only: true, ..Budget::of(Rate::or_unlimited(5)) };
        let changed = change("{\"burst\": \"1k\", \"weight\": 3}").unwrap();
        let expected = Budget { burst: 1024, weight: Weight::new(3).unwrap(), ..old };
        assert_eq!(changed.of_budget().over(old), expected);
        assert!(whole(&changed, &Name::Client).is_err(), "the rate is missing");
        let replaced = change("{\"rate\": null, \"report_only\": false}").unwrap();
        assert_eq!(whole(&replaced, &Name::Client).unwrap().of_budget().over(old), Budget::default());
        assert_eq!(change("{}").unwrap().of_budget().over(old), old);
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
        assert!(format!("{:?}", response("{\"weight\": 1}").unwrap_err()).contains("has no weight"));
    }
}
