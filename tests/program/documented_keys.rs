//! The pages about keys say what the parser knows: a key that is missing there, or that does not exist, fails.

use std::collections::BTreeSet;

use sluicegate::config::Loader;

const PAGE: &str = include_str!("../../docs/configuration.md");

/// No key is near to it, so that the parser lists all it knows.
const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";

/// The keys that the parser knows where `text` has `KEY`.
fn known(text: &str) -> BTreeSet<String> {
    let text = text.replace("KEY", &format!("{UNKNOWN} = 1"));
    let error = Loader::new().parse(&text, "test.toml", ".").unwrap_err().to_string();
    let line = error.lines().find(|line| line.contains(UNKNOWN)).unwrap_or_else(|| panic!("{error}"));
    let (_, keys) = line.split_once("known here: ").unwrap_or_else(|| panic!("{line}"));
    keys.split(", ").map(str::to_owned).collect()
}

/// The rows of the table number `table` below the heading `section`, each as its cells.
fn rows(section: &str, table: usize) -> Vec<Vec<&'static str>> {
    let (_, rest) = PAGE.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("{section}"));
    let section = rest.split("\n## ").next().unwrap_or_default();
    let tables = section.split("\n\n").filter(|part| part.starts_with("| "));
    let table = tables.into_iter().nth(table).unwrap();
    let cells = |line: &'static str| line.trim_matches('|').split(" | ").map(str::trim).collect();
    table.lines().skip(2).map(cells).collect()
}

/// What is in back-ticks.
fn names(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The keys of a table of the page: the first cell of each row.
fn documented(section: &str, table: usize) -> BTreeSet<String> {
    rows(section, table).into_iter().flat_map(|row| names(row[0])).collect()
}

#[test]
fn every_key_is_documented_and_nothing_else() {
    let route = "[[route]]\npath = '/'\nfiles = '.'\n";
    let events = "[[route]]\npath = '/'\n[route.events]\nKEY";
    for (section, table, text) in [
        ("Top level", 0, "KEY".to_owned()),
        ("[limits]", 0, "[limits]\nKEY".to_owned()),
        ("[sink]", 0, "[sink]\nKEY".to_owned()),
        ("[quota]", 0, "[quota]\nserver = 'http://127.0.0.1:1'\nclient_id = 'a'\nKEY".to_owned()),
        ("[tracing]", 0, "[tracing]\nKEY".to_owned()),
        ("[[route]]", 0, format!("{route}KEY")),
        ("[[route]]", 1, format!("{route}[route.limits]\nKEY")),
        ("[route.events]", 0, events.to_owned()),
        ("[[tcp]]", 0, "[[tcp]]\nlisten = '127.0.0.1:1'\nto = 'a:1'\nKEY".to_owned()),
    ] {
        assert_eq!(documented(section, table), known(&text), "{section}");
    }
}

#[test]
fn every_key_of_a_limit_is_documented() {
    let limits = documented("[limits]", 1);
    assert_eq!(limits, known("[limits.client]\nKEY"));
    let shared: BTreeSet<String> = limits.into_iter().filter(|key| key != "key").collect();
    for place in ["[limits.server]\nKEY", "[limits.connection]\nKEY"] {
        assert_eq!(shared, known(place), "{place}");
    }
    let route = "[[route]]\npath = '/'\nfiles = '.'\n";
    for place in ["total", "client"] {
        assert_eq!(shared, known(&format!("{route}[route.limits.{place}]\nKEY")), "{place}");
    }
    let response = &rows("[[route]]", 1)[2];
    let (_, typed) = response[1].split_once("{ ").unwrap();
    let keys: BTreeSet<String> = typed.trim_end_matches(" }`").split(", ").map(str::to_owned).collect();
    assert_eq!(keys, known(&format!("{route}[route.limits.response]\nKEY")));
}

#[test]
fn every_key_of_a_filter_is_documented() {
    for row in rows("[filter.NAME]", 0) {
        let kind = names(row[0]).next().unwrap();
        // Examples of values are in back-ticks too.
        let is_key = |name: &String| name.starts_with(|c: char| c.is_ascii_lowercase());
        let keys: BTreeSet<String> = names(row[1]).filter(is_key).collect();
        if !keys.is_empty() {
            assert_eq!(keys, known(&format!("[filter.a]\nkind = '{kind}'\nKEY")), "{kind}");
        }
    }
}
