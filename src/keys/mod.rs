//! Keys of a configuration: what was given for them ([`Draft`]), and how settings read them ([`Keys`]).
//!
//! Settings read their keys in the module that acts on them: `SinkSettings::read(&keys)`. Reading declares: a key
//! that nobody asks for is unknown. What cannot be read is noted and left out, so that one pass finds all
//! faults; a check of several keys says nothing about one that could not be read.

mod declared;
mod draft;
mod on_disk;
mod read;
mod report;
mod table;
mod toml_file;

use std::fmt;

pub(crate) use declared::{Declared, Shape};
pub use draft::Draft;
pub(crate) use draft::{Entry, Given, Node, Place, Step, Value};
pub use on_disk::Absent;
pub(crate) use on_disk::{PathKind, check_file};
pub(crate) use read::{Item, LIMIT_EXAMPLE, MAX_COUNT, NOTHING_AHEAD, UPLOAD_EXAMPLE};
pub use report::ConfigError;
pub(crate) use report::{FaultKind, Reading};
pub(crate) use table::Keys;

/// Why a setting is refused beside the others: its key, and what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The key of the setting.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `read` notes of `draft`, line by line.
    fn faults(draft: &Draft, read: impl Fn(&Keys<'_>)) -> (String, bool) {
        let reading = Reading::new(draft, Absent::Unchecked);
        read(&Keys::top(&reading));
        reading
            .finish()
            .map_or_else(|error| (error.to_string(), error.is_usage()), |_| (String::new(), false))
    }

    fn file(text: &str) -> Draft {
        Draft::from_toml(text, "f", "")
    }

    #[test]
    fn a_flag_writes_its_key_and_gives_messages_its_name() {
        let mut draft = Draft::default();
        draft.text("--client-rate", "limits.client.rate", None);
        draft.text("--client-burst", "limits.client.burst", Some("1m"));
        draft.text("DIR", "route[0].files", Some(""));
        draft.switch("--list", "route[0].list", true, true);
        let read = |keys: &Keys<'_>| {
            keys.table("limits", "").table("client", "").budget();
            for route in keys.tables("route") {
                assert_eq!(route.switch("list"), Some(true));
                route.timeout("other");
                if route.parse("files") == Some(String::new()) {
                    route.fault("files", "it is empty");
                }
            }
        };
        let expected = "--client-burst: without a rate there is nothing to be ahead of; set --client-rate too\n\
                        it is empty";
        assert_eq!(faults(&draft, read), (expected.to_owned(), true));
        // What flags mean together is told when each is good.
        draft.text("--list", "route[0].other", Some("x"));
        let (told, _) = faults(&draft, read);
        assert!(told.starts_with("--list: \"x\" is not a duration") && !told.contains('\n'), "{told}");
    }

    #[test]
    fn a_flag_replaces_the_value_of_the_file() {
        let mut draft = file("level = 'bad'\nother = 1");
        draft.text("--level", "level", Some("5s"));
        let read = |keys: &Keys<'_>| {
            assert_eq!(keys.timeout("level").map(|level| level.as_secs()), Some(5));
            keys.fault("level", "no");
            keys.fault("other", "nor this");
            keys.number("other", 1..=1);
        };
        assert_eq!(faults(&draft, read), ("--level: no".to_owned(), true));
    }

    #[test]
    fn an_unread_key_is_unknown_and_hides_the_fault_of_a_missing_one() {
        let read = |keys: &Keys<'_>| {
            keys.switch("top");
            let table = keys.table("t", "");
            table.require("needed");
            table.switch("needed");
        };
        for (text, expected) in [
            ("t = {}", "f:1:5: \"needed\" is missing in [t]; it is needed there"),
            ("t = { neded = 1 }", "f:1:7: unknown key \"neded\" in [t]; did you mean \"needed\"?"),
            ("t.top = 1", "f:1:3: top cannot stand in [t]; write it at the top, before the first [table]"),
            ("t = 1", "f:1:5: t: invalid type: integer `1`, expected a table"),
            (
                "t = { needed = 1, needed = 2 }",
                "f:1:19: the key \"needed\" stands in this table twice; leave one out",
            ),
        ] {
            let (told, is_usage) = faults(&file(text), read);
            assert_eq!((told.lines().next_back(), is_usage), (Some(expected), false), "{text}");
        }
    }

    #[test]
    fn bounds_are_within_bounds() {
        let read = |text: &str| {
            let draft = file(text);
            let reading = Reading::new(&draft, Absent::Unchecked);
            let keys = Keys::top(&reading);
            let bounds = crate::limit::Size::new(1024)..=crate::limit::Size::new(1 << 20);
            (keys.size("size", bounds), keys.number("number", 1..=4096), keys.timeout("time").is_some())
        };
        assert_eq!(read("size = '1023B'\nnumber = 0\ntime = '0s'"), (None, None, false));
        assert_eq!(read("size = '1024B'\nnumber = 1\ntime = '1ms'"), (Some(1024), Some(1), true));
        assert_eq!(read("size = '1m'\nnumber = 4096"), (Some(1 << 20), Some(4096), false));
        assert_eq!(read("size = '1048577B'\nnumber = 4097"), (None, None, false));
        assert_eq!(read("size = []\nnumber = '5'\ntime = 5"), (None, None, false));
        assert_eq!(read("number = -1"), (None, None, false));
    }

    #[test]
    fn at_most_fifty_errors_of_a_file_are_listed() {
        for (lines, told) in [(1, 1), (49, 49), (50, 50), (51, 50), (5000, 50)] {
            let text: String = (0..lines).map(|line| format!("a{line} = x\n")).collect();
            let (faults, _) = faults(&file(&text), |keys| assert!(!keys.all().is_empty()));
            let syntax = faults.lines().filter(|line| line.contains("not TOML")).count();
            assert_eq!(syntax, told, "{lines}");
        }
    }
}
