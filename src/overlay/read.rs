//! Reads an overlay, as strictly as a configuration.

use std::path::Path;

use super::{MAX_CLIENTS, Overlay, SavedLimit};
use crate::budget::ClientKey;
use crate::keys::{Absent, ConfigError, Draft, Entry, Keys, LIMIT_EXAMPLE, Place, Reading};
use crate::limit::{Burst, Rates, Weight};
use crate::live_limits::{FileLine, LimitChange, LimitSource, Name, Part, Sources};
use crate::words::shorten;

impl Overlay {
    /// Reads `text` as the file `name`.
    ///
    /// # Errors
    /// Lists what is wrong in it, one line each, as of a configuration.
    pub(crate) fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        let draft = Draft::from_toml(text, name, Path::new(""));
        let reading = Reading::new(&draft, Absent::Unchecked);
        let mut reader = Reader { draft: &draft, entries: Vec::new() };
        let keys = Keys::top(&reading);
        for (key, name) in
            [("server", Name::Server), ("client", Name::Client), ("connection", Name::Connection)]
        {
            reader.limit_at(&keys, key, name);
        }
        reader.clients(&keys, Name::Own);
        let uploads = keys.table("uploads", " such as { client = { rate = \"1m\" } }");
        for (key, name) in [("server", Name::UploadServer), ("client", Name::UploadClient)] {
            reader.limit_at(&uploads, key, name);
        }
        reader.clients(&uploads, Name::UploadOwn);
        let parts = |of: &[&[Part]]| of.concat();
        let of_route = parts(&[&Part::OF_RESPONSES, &Part::OF_UPLOADS]);
        let routes = keys.table("routes", " such as { \"/logs/\" = { total = { rate = \"20m\" } } }");
        reader.parts(&routes, &of_route, Name::Route);
        let classes = keys.table("classes", " such as { vip = { total = { rate = \"64m\" } } }");
        reader.parts(&classes, &Part::OF_CLASS, Name::Class);
        let mut overlay = Self { entries: reader.entries };
        overlay.entries.sort_by_key(|entry| entry.line);
        if overlay.clients() > MAX_CLIENTS {
            let text = format!("there are limits of more than {MAX_CLIENTS} clients; leave some out");
            keys.table_fault(Place::Whole, text);
        }
        reading.finish()?;
        Ok(overlay)
    }
}

struct Reader<'a> {
    draft: &'a Draft,
    entries: Vec<SavedLimit>,
}

impl Reader<'_> {
    fn limit_at(&mut self, keys: &Keys<'_>, key: &'static str, name: Name) {
        let table = keys.table(key, LIMIT_EXAMPLE);
        if keys.has(key) {
            self.limit(&table, name);
        }
    }

    /// Reads the table of a limit.
    fn limit(&mut self, keys: &Keys<'_>, name: Name) {
        let rate = match name.has_rates() {
            true => keys.rates("rate"),
            false => keys.rate("rate").map(Rates::from),
        };
        let weight = if name.is_weighted() { keys.number("weight", 1..=u16::MAX.into()) } else { None };
        let change = LimitChange {
            rate,
            burst: keys.amount("burst", str::parse::<Burst>).map(Burst::bytes),
            weight: weight.and_then(|weight| Weight::new(weight as u16)),
            report_only: keys.switch("report_only"),
        };
        let mut lines = Vec::new();
        let mut source = |key: &str, is_set: bool| {
            let Place::File(start, _) = keys.place(key) else { return LimitSource::Default };
            let Some((file, line)) = self.draft.line(start).filter(|_| is_set) else {
                return LimitSource::Default;
            };
            lines.push(line);
            LimitSource::Overlay(FileLine { file: file.into(), line })
        };
        let [rate, burst, weight, report_only] = change.sets();
        let sources = Sources {
            rate: source("rate", rate),
            burst: source("burst", burst),
            weight: source("weight", weight),
            report_only: source("report_only", report_only),
            ..Sources::default()
        };
        // A table that says nothing sets nothing.
        if let Some(line) = lines.into_iter().min() {
            self.entries.push(SavedLimit { name, change, sources, line });
        }
    }

    /// Reads `clients` of `keys`.
    fn clients(&mut self, keys: &Keys<'_>, named: fn(ClientKey) -> Name) {
        let clients = keys.table("clients", " such as { \"192.0.2.1\" = { rate = \"10m\" } }");
        let mut seen: Vec<ClientKey> = Vec::new();
        for entry in clients.all() {
            let shown = shorten(&entry.name);
            let fault = |text: String| clients.table_fault(entry.at.clone(), text);
            match client(&entry.name) {
                Err(why) => fault(format!("{shown:?} is not a client that a limit can be saved for: {why}")),
                Ok(key) if seen.contains(&key) => {
                    fault(format!("{shown:?} is a client that stands above already; leave one out"));
                }
                Ok(key) => {
                    if let Some(table) = inner(&clients, entry, LIMIT_EXAMPLE) {
                        self.limit(&table, named(key.clone()));
                    }
                    seen.push(key);
                }
            }
        }
    }

    /// Reads the `parts` of each table in `keys`.
    fn parts(&mut self, keys: &Keys<'_>, parts: &[Part], named: fn(String, Part) -> Name) {
        for entry in keys.all() {
            let Some(table) = inner(keys, entry, " such as { total = { rate = \"20m\" } }") else { continue };
            for part in parts {
                self.limit_at(&table, part.word(), named(entry.name.clone(), *part));
            }
        }
    }
}

/// The table that is the value of `entry`; anything else is a fault.
fn inner<'a>(keys: &Keys<'a>, entry: &'a Entry, like: &str) -> Option<Keys<'a>> {
    let table = keys.inner(entry);
    if table.is_none() {
        let text =
            format!("{:?}: invalid type: {}, expected a table{like}", shorten(&entry.name), entry.node.value);
        keys.table_fault(entry.node.at.clone(), text);
    }
    table
}

/// The client that an overlay calls `text`.
pub(super) fn client(text: &str) -> Result<ClientKey, &'static str> {
    let wrong = "write an address (for IPv6 any in its /64), \"local\", or key- or cert- with the 64 hex digits of a SHA-256";
    ClientKey::named(text).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> String {
        Overlay::parse(text, "f").map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn each_limit_has_its_lines() {
        let text = "# a comment\n[server]\nrate = 60\n\nburst = '1m'\n[clients]\n\"::ffff:192.0.2.1\" = { weight = 2 }\n\
                    [routes.'/a']\nupload.rate = ['1m for 1m', '2m']\n[classes.vip.total]\n";
        let overlay = Overlay::parse(text, "f").unwrap();
        let shown: Vec<String> = overlay
            .entries
            .iter()
            .map(|entry| {
                let Sources { rate, burst, weight, report_only, .. } = &entry.sources;
                format!("{} {}: {rate} {burst} {weight} {report_only}", entry.name, entry.line)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "/v1/limits/server 3: f:3 f:5 default default",
                "/v1/limits/clients/192.0.2.1 7: default default f:7 default",
                "/v1/limits/routes/%2Fa/upload 9: f:9 default default default",
            ]
        );
        assert_eq!(
            overlay.entries[0].change.rate,
            Some("60k".parse().unwrap()),
            "the units of a configuration"
        );
    }

    #[test]
    fn everything_wrong_is_told_with_its_place() {
        for (text, expected) in [
            ("[server]\nrate = '1x'", "f:2:8: rate in [server]: \"1x\" is not a rate"),
            ("[server]\nweight = 2", "f:2:1: unknown key \"weight\" in [server]; known here: "),
            ("[server]\nrte = 2", "f:2:1: unknown key \"rte\" in [server]; did you mean \"rate\"?"),
            ("[sever]\nrate = 2", "f:1:2: unknown key \"sever\" at the top level; did you mean \"server\"?"),
            ("server = 2", "f:1:10: server: invalid type: integer `2`, expected a table such as { rate = "),
            ("[server]\nrate = ['1m for 1m', '2m']", "f:2:8: rate in [server]: invalid type: a list"),
            ("[client]\nweight = 0", "f:2:10: weight in [client]: 0 is not a number from 1 to 65535"),
            ("[client]\nreport_only = 1", "expected true or false"),
            (
                "[clients]\nnobody.rate = 1",
                "f:2:1: \"nobody\" is not a client that a limit can be saved for: write an address",
            ),
            (
                "[clients]\n'192.0.2.1' = 1",
                "f:2:15: \"192.0.2.1\": invalid type: integer `1`, expected a table",
            ),
            (
                "[clients]\n'192.0.2.1'.rate=1\n'::ffff:192.0.2.1'.rate=1",
                "f:3:1: \"::ffff:192.0.2.1\" is a client that stands above already",
            ),
            (
                "[clients.key-0123456789abcdef]\nrate = 1",
                "f:1:10: \"key-0123456789abcdef\" is not a client that a limit can be saved for: write an address",
            ),
            (
                "[routes.'/a'.totl]\nrate = 1",
                "f:1:14: unknown key \"totl\" in [routes./a]; did you mean \"total\"?",
            ),
            (
                "[routes]\n'/a' = 1",
                "f:2:8: \"/a\": invalid type: integer `1`, expected a table such as { total",
            ),
            ("[classes.vip.response]\nrate = 1", "f:1:14: unknown key \"response\" in [classes.vip]"),
            (
                "[server]\nrate = 1\nrate = 2",
                "f:3:1: the key \"rate\" stands in this table twice; leave one out",
            ),
            ("[server", "f:1:"),
        ] {
            let told = faults(text);
            assert!(
                told.starts_with(expected) || expected.starts_with("expected") && told.contains(expected),
                "{text}\n{told}"
            );
        }
        let two = faults("[server]\nrate = '1x'\n[client]\nburst = -1");
        assert_eq!(two.lines().count(), 2, "all of them: {two}");
    }

    #[test]
    fn clients_are_bounded() {
        let text = |clients: usize| {
            let client = |nth: usize| format!("'10.0.{}.{}'.rate = 1\n", nth / 256, nth % 256);
            format!("[clients]\n{}", (0..clients).map(client).collect::<String>())
        };
        assert_eq!(faults(&text(MAX_CLIENTS)), "");
        assert_eq!(
            faults(&text(MAX_CLIENTS + 1)),
            "f: there are limits of more than 1000 clients; leave some out"
        );
    }

    #[test]
    fn the_example_of_the_documentation_is_one() {
        let (_, rest) = include_str!("../../docs/limits.md").split_once("### Save changes").unwrap();
        let (_, rest) = rest.split_once("```toml\n").unwrap();
        let overlay = Overlay::parse(rest.split("```").next().unwrap(), "docs").unwrap();
        let names: Vec<String> = overlay.entries.iter().map(|entry| entry.name.words()).collect();
        let expected = [
            "client",
            "response /logs/",
            "class vip",
            "client 192.0.2.1",
            "client key-f52fbd32b2b3b86f",
            "upload-server",
        ]
        .map(str::to_owned);
        assert_eq!(names, expected);
    }
}
