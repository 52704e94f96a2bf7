//! Where a configuration says each limit: the lines and flags that lists of limits show.

use std::collections::BTreeMap;

use super::route::Route;
use crate::http::ClassSettings;
use crate::keys::{Draft, Given, Step};
use crate::limit::Budget;
use crate::live_limits::{FileLine, LimitSource, LimitSources, Name, Part, Sources};
use crate::schedule::Timetable;

/// The keys of one table of a limit, and where else its rate and burst may stand.
struct Of<'a> {
    table: Vec<Step<'a>>,
    or: Option<Vec<Step<'a>>>,
}

/// The sources of all limits that `draft` sets, which was read without a fault: its classes and routes are `classes` and
/// `routes`, in order.
pub(super) fn of(draft: &Draft, classes: &[ClassSettings], routes: &[Route]) -> LimitSources {
    let mut all = BTreeMap::new();
    let mut add = |name: Name, of: Of<'_>| {
        let sources = of.sources(draft);
        if sources != Sources::default() {
            all.insert(name.to_string(), sources);
        }
    };
    for (name, keys) in [
        (Name::Server, &["limits", "server"][..]),
        (Name::Client, &["limits", "client"]),
        (Name::Connection, &["limits", "connection"]),
        (Name::UploadServer, &["limits", "upload", "server"]),
        (Name::UploadClient, &["limits", "upload", "client"]),
    ] {
        add(name, Of { table: path(&[], keys), or: None });
    }
    for (nth, class) in classes.iter().enumerate() {
        let class_keys = [Step::Key("class"), Step::Item(nth), Step::Key("limits")];
        for (part, keys) in [
            (Part::Total, &["total"][..]),
            (Part::Client, &["client"]),
            (Part::UploadTotal, &["upload", "total"]),
            (Part::UploadClient, &["upload", "client"]),
        ] {
            let mut table = path(&class_keys, keys);
            // A class without a limit for each of its clients has that of all clients.
            if draft.given(&table).is_none() && matches!(part, Part::Client | Part::UploadClient) {
                table = path(&[Step::Key("limits")], keys);
            }
            add(Name::Class(class.name.to_string(), part), Of { table, or: None });
        }
    }
    for (nth, route) in routes.iter().enumerate() {
        let route_keys = [Step::Key("route"), Step::Item(nth)];
        for (part, keys, or) in [
            (Part::Response, &["limits", "response"][..], Some(&[][..])),
            (Part::Total, &["limits", "total"], None),
            (Part::Client, &["limits", "client"], None),
            (Part::Upload, &["upload"], None),
            (Part::UploadTotal, &["limits", "upload", "total"], None),
            (Part::UploadClient, &["limits", "upload", "client"], None),
        ] {
            let or = or.map(|keys| path(&route_keys, keys));
            add(Name::Route(route.name(), part), Of { table: path(&route_keys, keys), or });
        }
    }
    for (nth, route) in routes.iter().enumerate() {
        for (part, key, rules) in
            [(Part::Response, "pace", &route.rules), (Part::Upload, "upload_pace", &route.upload_rules)]
        {
            if rules.is_empty() {
                continue;
            }
            let rule = |rule| {
                let keys = [Step::Key(key), Step::Item(rule), Step::Key("rate")];
                source(draft, &[&[Step::Key("route"), Step::Item(nth)][..], &keys].concat())
            };
            let rules = (0..rules.len()).map(rule).collect();
            let name = Name::Route(route.name(), part).to_string();
            all.entry(name).or_insert_with(Sources::default).rules = rules;
        }
    }
    LimitSources(all)
}

fn path<'a>(above: &[Step<'a>], keys: &[&'a str]) -> Vec<Step<'a>> {
    above.iter().copied().chain(keys.iter().map(|key| Step::Key(key))).collect()
}

fn source(draft: &Draft, path: &[Step<'_>]) -> LimitSource {
    match draft.given(path) {
        Some(Given::Line(file, line)) => LimitSource::File(FileLine { file: file.into(), line }),
        Some(Given::Flag(flag)) => LimitSource::Flag(flag.into()),
        None => LimitSource::Default,
    }
}

impl Of<'_> {
    fn sources(&self, draft: &Draft) -> Sources {
        let of = |key| {
            let tables = self.or.iter().chain([&self.table]);
            let mut found = tables.map(|table| source(draft, &path(table, &[key])));
            found.find(|source| *source != LimitSource::Default).unwrap_or_default()
        };
        Sources {
            rate: of("rate"),
            burst: of("burst"),
            weight: of("weight"),
            report_only: of("report_only"),
            rules: Vec::new(),
            schedule: self.schedule(draft),
        }
    }

    /// What each time of its schedule says.
    fn schedule(&self, draft: &Draft) -> Vec<[LimitSource; 4]> {
        let time = |nth| [&path(&self.table, &["schedule"])[..], &[Step::Item(nth)]].concat();
        let times = (0..Timetable::<Budget>::MAX).map(time).take_while(|time| draft.given(time).is_some());
        let said = |time: Vec<Step<'_>>| {
            ["rate", "burst", "weight", "report_only"].map(|key| source(draft, &path(&time, &[key])))
        };
        times.map(said).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loader;

    const FILE: &str = r#"
[limits]
client = { rate = "2m", burst = "1m" }
[limits.upload.server]
rate = "9m"
[limits.connection]
rate = "8m"

[[class]]
name = "vip"
match = { network = "10.0.0.0/8" }
[class.limits.total]
weight = 3

[[route]]
path = "/"
files = "src"
rate = 60
limits.response.burst = "1k"
limits.total = { rate = "7m", report_only = true }
[[route.pace]]
when = { extension = "iso" }
rate = "1m"

[[route]]
path = "/api"
proxy = "http://127.0.0.1:9000"
limits.response.rate = "5m"
upload = { rate = "6m" }
limits.upload.client = { rate = "4m", schedule = [{ during = "Mon", rate = "1m" }] }
[[route.upload_pace]]
when = { content_type = "text/*" }
rate = "1m"
[[route.limits.total.schedule]]
during = "Tue"
rate = "2m"
burst = "1m"
[[route.limits.total.schedule]]
during = "Wed"
report_only = true
"#;

    #[test]
    fn each_value_is_where_it_was_written() {
        let config = Loader::new().parse(FILE, "f.toml", env!("CARGO_MANIFEST_DIR")).unwrap();
        let text = |address: &str| {
            let Sources { rate, burst, weight, report_only, rules, schedule } =
                config.limit_sources.of(address);
            let rules: String = rules.iter().map(|rule| format!(" {rule}")).collect();
            let times = schedule
                .iter()
                .map(|[rate, burst, weight, report_only]| format!("; {rate} {burst} {weight} {report_only}"));
            format!("{rate} {burst} {weight} {report_only}{rules}{}", times.collect::<String>())
                .replace("default", "-")
                .replace("f.toml:", "")
        };
        for (address, expected) in [
            ("/v1/limits/server", "- - - -"),
            ("/v1/limits/client", "3 3 - -"),
            ("/v1/limits/connection", "7 - - -"),
            ("/v1/limits/uploads/server", "5 - - -"),
            ("/v1/limits/classes/vip/total", "- - 13 -"),
            ("/v1/limits/classes/vip/client", "3 3 - -"),
            ("/v1/limits/routes/%2F/response", "18 19 - - 23"),
            ("/v1/limits/routes/%2F/total", "20 - - 20"),
            ("/v1/limits/routes/%2Fapi/response", "28 - - -"),
            ("/v1/limits/routes/%2Fapi/upload", "29 - - - 33"),
            ("/v1/limits/routes/%2Fapi/upload-client", "30 - - -; 30 - - -"),
            ("/v1/limits/routes/%2Fapi/total", "- - - -; 36 37 - -; - - - 40"),
        ] {
            assert_eq!(text(address), expected, "{address}");
        }
    }

    #[test]
    fn a_flags_value_is_the_flags() {
        let mut draft = Draft::from_toml(FILE, "f.toml", env!("CARGO_MANIFEST_DIR"));
        draft.text("--client-rate", "limits.client.rate", Some("1m"));
        draft.text("--client-burst", "limits.client.burst", None);
        let config = Loader::new().finish(draft).unwrap();
        let sources = config.limit_sources.of("/v1/limits/client");
        assert_eq!(
            (sources.rate.to_string(), sources.burst.to_string()),
            ("--client-rate".into(), "f.toml:3".into())
        );
        assert_eq!(sources.rate.word(), "flag");
    }
}
