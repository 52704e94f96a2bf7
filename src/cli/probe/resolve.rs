//! Turns the arguments into a plan and a goal.

use std::path::Path;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use sluicegate::limit::Rate;
use sluicegate::probe::report::Goal;
use sluicegate::probe::run::Plan;
use sluicegate::probe::target::{Target, TargetError};
use sluicegate::tls::ClientTls;

use super::Probe;
use crate::cli::{CliError, value};

/// The default of `--seconds`.
const SECONDS: f64 = 30.0;

pub(super) fn resolve(typed: &Probe) -> Result<(Plan, Goal), CliError> {
    let targets = std::iter::once(&typed.url).chain(&typed.compare);
    let targets = targets.map(|url| url.parse()).collect::<Result<Vec<Target>, TargetError>>();
    let targets = targets.map_err(|error| CliError::Usage(error.to_string()))?;
    let goal = Goal {
        rate: value("--rate", &typed.rate, str::parse::<Rate>)?,
        shared: typed.shared,
        tolerance: typed.tolerance.as_deref().map(tolerance).transpose()?,
    };
    if goal.shared && goal.rate.is_none() {
        return Err(CliError::Usage("--shared needs --rate: give --rate too".to_owned()));
    }
    if goal.tolerance.is_some() && goal.rate.is_none() && targets.len() == 1 {
        return Err(CliError::Usage("--tolerance needs --rate or --compare: give one too".to_owned()));
    }
    let is_tls = targets.iter().any(Target::is_tls);
    if typed.ca.is_some() && !is_tls {
        return Err(CliError::Usage("--ca is for https: give a URL that begins with https://".to_owned()));
    }
    let tls = is_tls.then(|| ClientTls::for_http1(typed.ca.as_deref().map(Path::new)));
    let tls = tls.transpose().map_err(CliError::failed)?;
    let plan = Plan {
        targets,
        connections: connections(typed.connections.as_deref())?,
        lasting: seconds(typed.seconds.as_deref())?,
        slow: value("--slow", &typed.slow, str::parse::<Rate>)?,
        repeat: typed.repeat,
        fields: typed.header.iter().map(|field| header(field)).collect::<Result<_, _>>()?,
        tls,
    };
    Ok((plan, goal))
}

fn number(flag: &str, text: &str, range: std::ops::RangeInclusive<f64>, what: &str) -> Result<f64, CliError> {
    // `f64` also parses "inf" and "1e3".
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = text.parse::<f64>().ok().filter(|number| plain && range.contains(number));
    number.ok_or_else(|| CliError::flag(flag, format_args!("{text:?} is not {what}")))
}

fn seconds(typed: Option<&str>) -> Result<Duration, CliError> {
    let seconds =
        typed.map(|text| number("--seconds", text, 0.1..=86_400.0, "a number of seconds from 0.1 to 86400"));
    Ok(Duration::from_secs_f64(seconds.transpose()?.unwrap_or(SECONDS)))
}

fn connections(typed: Option<&str>) -> Result<usize, CliError> {
    let Some(text) = typed else { return Ok(1) };
    let number = text.parse().ok().filter(|number| (1..=1000).contains(number));
    number.ok_or_else(|| {
        CliError::flag("--connections", format_args!("{text:?} is not a number from 1 to 1000"))
    })
}

fn tolerance(text: &str) -> Result<f64, CliError> {
    let plain = text.strip_suffix('%').unwrap_or(text).trim_end();
    number("--tolerance", plain, 0.0..=100.0, "a percentage from 0 to 100")
}

fn header(text: &str) -> Result<(String, String), CliError> {
    let bad = |why: &str| CliError::flag("--header", format_args!("{text:?} {why}; write 'Name: value'"));
    let (name, value) = text.split_once(':').ok_or_else(|| bad("has no colon"))?;
    let value = value.trim_matches([' ', '\t']);
    name.parse::<HeaderName>().map_err(|_| bad("has no field name before its colon"))?;
    HeaderValue::from_str(value).map_err(|_| bad("has characters that a field may not have"))?;
    // These would change the protocol: upgrade the connection, or announce a body that does not follow.
    for reserved in ["connection", "content-length", "transfer-encoding", "upgrade", "expect"] {
        if name.eq_ignore_ascii_case(reserved) {
            return Err(bad("is a field that the probe sets itself"));
        }
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed() -> Probe {
        Probe { url: "http://h/x".to_owned(), ..Probe::default() }
    }

    fn refused(change: impl FnOnce(&mut Probe)) -> String {
        let mut probe = typed();
        change(&mut probe);
        match resolve(&probe) {
            Err(CliError::Usage(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn little_need_be_typed() {
        let (plan, goal) = resolve(&typed()).unwrap();
        assert_eq!(
            (plan.connections, plan.lasting, plan.slow, plan.repeat),
            (1, Duration::from_secs(30), None, false)
        );
        assert_eq!(goal, Goal::default());
    }

    #[test]
    fn all_that_is_typed_counts() {
        let some = |text: &str| Some(text.to_owned());
        let (plan, goal) = resolve(&Probe {
            compare: some("http://h:81/y"),
            rate: some("60"),
            shared: true,
            tolerance: some("1.5 %"),
            seconds: some("0.5"),
            connections: some("20"),
            repeat: true,
            slow: some("500B"),
            header: vec!["X-A:  b: c ".to_owned()],
            ..typed()
        })
        .unwrap();
        assert_eq!(plan.targets[1].to_string(), "http://h:81/y");
        assert_eq!((plan.connections, plan.lasting, plan.repeat), (20, Duration::from_millis(500), true));
        assert_eq!(
            (plan.slow, plan.fields),
            (Rate::or_unlimited(500), vec![("X-A".to_owned(), "b: c".to_owned())])
        );
        assert_eq!(goal, Goal { rate: Rate::or_unlimited(61_440), shared: true, tolerance: Some(1.5) });
    }

    #[test]
    fn a_usage_error_names_its_flag() {
        let some = |text: &str| Some(text.to_owned());
        for (text, why) in [
            (
                refused(|typed| typed.url = "h".to_owned()),
                "\"h\" is not a URL to probe: http:// or https:// is missing",
            ),
            (refused(|typed| typed.compare = some("ftp://h")), "\"ftp://h\" is not a URL to probe"),
            (refused(|typed| typed.rate = some("60x")), "--rate: \"60x\" is not a rate"),
            (refused(|typed| typed.slow = some("0")), "--slow: "),
            (refused(|typed| typed.shared = true), "give --rate too"),
            (refused(|typed| typed.tolerance = some("1")), "needs --rate or --compare"),
            (refused(|typed| typed.tolerance = some("-1")), "--tolerance: \"-1\" is not a percentage"),
            (refused(|typed| typed.tolerance = some("inf")), "--tolerance: \"inf\""),
            (
                refused(|typed| typed.seconds = some("0")),
                "--seconds: \"0\" is not a number of seconds from 0.1",
            ),
            (refused(|typed| typed.seconds = some("1e3")), "--seconds: \"1e3\""),
            (refused(|typed| typed.seconds = some("86401")), "--seconds: "),
            (refused(|typed| typed.connections = some("0")), "--connections: \"0\" is not a number from 1"),
            (refused(|typed| typed.connections = some("1001")), "--connections: "),
            (refused(|typed| typed.header = vec!["x".to_owned()]), "has no colon"),
            (refused(|typed| typed.header = vec![": x".to_owned()]), "has no field name"),
            (refused(|typed| typed.header = vec!["a: \r\nb: c".to_owned()]), "a field may not have"),
            (refused(|typed| typed.header = vec!["Connection: close".to_owned()]), "the probe sets itself"),
            (refused(|typed| typed.ca = some("ca.pem")), "--ca is for https"),
        ] {
            assert!(text.contains(why), "{why:?} in {text:?}");
        }
    }
}
