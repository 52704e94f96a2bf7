//! The example is true: it has every key, and shows the defaults and the words that are taken.

use super::entries::{Entry, entries};
use super::*;
use crate::live_limits::LimitSources;

fn read(text: &str) -> Result<Config, String> {
    let config = Config::read(&Draft::from_toml(text, "example", ""), &BTreeSet::new(), Absent::Unchecked);
    let config = config.map_err(|error| error.to_string())?;
    // Lines of the file, and filters that are used only with other routes.
    Ok(Config { limit_sources: LimitSources::default(), warnings: Vec::new(), ..config })
}

/// The example as a whole, with another text in the place of a line.
fn with_line(number: usize, text: &str) -> String {
    let whole = whole();
    let lines = whole.lines().enumerate().map(|(at, line)| if at == number { text } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_good_as_it_is_and_as_a_whole() {
    assert_eq!(read(EXAMPLE).map(|config| config.routes.len()), Ok(1));
    assert_eq!(read(&whole()).map(|config| config.routes.len()), Ok(6));
}

/// The dotted keys of `table`, each with whether the table is a limit.
fn dotted(table: &Declared, path: &str, found: &mut Vec<(String, bool)>) {
    let is_limit = table.keys.iter().any(|(key, _)| *key == "report_only");
    for (key, _) in &table.keys {
        let path = if path.is_empty() { (*key).to_owned() } else { format!("{path}.{key}") };
        found.push((path.clone(), is_limit));
        if let Some(inner) = table.tables.get(*key) {
            dotted(inner, &path, found);
        }
    }
    if let Some(inner) = table.tables.get("*") {
        dotted(inner, &format!("{path}.*"), found);
    }
}

/// All dotted keys in `value`, a table or a list of tables.
fn given(value: &toml::Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let key = if ["tls", "filter", "class.match.header"].contains(&path) { "*" } else { key };
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                given(value, &path, found);
                found.insert(path);
            }
        }
        toml::Value::Array(items) => items.iter().for_each(|item| given(item, path, found)),
        _ => {}
    }
}

#[test]
fn every_key_that_settings_ask_for_is_in_the_example() {
    let mut all = Vec::new();
    dotted(&declared(&whole()).unwrap(), "", &mut all);
    assert!(all.len() > 250, "{}", all.len());
    let mut in_example = BTreeSet::new();
    given(&toml::Value::Table(whole().parse().unwrap()), "", &mut in_example);
    let missing: Vec<&String> = all
        .iter()
        // What every limit has is there once.
        .filter(|(path, is_limit)| {
            let name = path.rsplit('.').next().unwrap();
            let limits = ["limits.server", "class.limits.total"];
            let as_in_another =
                *is_limit && limits.iter().any(|limit| in_example.contains(&format!("{limit}.{name}")));
            // The pace of a filter is as a route's, a pattern of `not` one of `match`, a rule of uploads one of responses.
            let twin = path.replace("filter.*.", "route.").replace("match.not.", "match.");
            let twin = twin.replace("upload_pace.when.", "pace.when.");
            !as_in_another && !in_example.contains(path.as_str()) && !in_example.contains(&twin)
        })
        .map(|(path, _)| path)
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_key_shows_its_default_or_says_that_it_has_none() {
    let whole_config = read(&whole()).unwrap();
    let mut defaults = 0;
    for Entry { path, line, about, .. } in entries().iter().filter(|entry| entry.value.is_some()) {
        let entry = entries().into_iter().find(|entry| entry.line == *line).unwrap();
        if about.is_empty() || path == "listen" {
            continue;
        }
        let without = read(&with_line(*line, ""));
        if entry.is_default() {
            // Not with `assert_eq`, which would print both.
            assert!(without.as_ref() == Ok(&whole_config), "{path}: {:?}", without.err());
            defaults += 1;
        } else {
            assert!(without.as_ref() != Ok(&whole_config), "{path} is what holds without it");
            assert!(!entry.is_required() || without.is_err(), "{path} is not required");
        }
    }
    assert!(defaults > 60, "{defaults}");
}

#[test]
fn the_words_of_a_key_are_all_that_it_takes() {
    let mut tried = 0;
    for entry in entries().iter().filter(|entry| !entry.words().is_empty()) {
        let key = entry.path.rsplit('.').next().unwrap();
        let words = entry.words();
        let with = |word: &str| read(&with_line(entry.line, &format!("{key} = {word:?}"))).map(drop);
        for word in &words {
            // It may not go with the other keys.
            let told = with(word).err().unwrap_or_default();
            assert!(!told.contains(&format!("{word:?} is")), "{}: {told}", entry.path);
        }
        let told = with("qqqqqqqqqqqqqqqqq").unwrap_err();
        let (_, known) = told.split_once("known here: ").unwrap_or(("", &told));
        let known = known.lines().next().unwrap_or_default();
        let is_list = known == words.join(", ");
        let is_pair = words.len() == 2 && words.iter().all(|word| known.contains(&format!("{word:?}")));
        assert!(is_list || is_pair, "{}: {told}", entry.path);
        tried += 1;
    }
    assert!(tried > 12, "{tried}");
}

#[test]
fn the_schema_has_types_bounds_words_defaults_and_a_line_of_help() {
    let schema = schema().unwrap();
    let of = |path: &str| schema.pointer(path).unwrap_or_else(|| panic!("{path}")).clone();
    for (path, expected) in [
        ("/additionalProperties", "false"),
        ("/properties/log_level/enum", r#"["off","error","warn","info","debug","trace"]"#),
        ("/properties/log_level/default", r#""info""#),
        ("/properties/max_connections/maximum", "10000000"),
        ("/properties/max_connections/default", "10000"),
        ("/properties/client_connections/examples", "[200]"),
        ("/properties/idle_timeout/description", r#""How long a connection may stay without a request.""#),
        ("/properties/route/items/required", r#"["path"]"#),
        ("/properties/route/items/properties/via/type", r#""boolean""#),
        ("/properties/tls/additionalProperties/properties/cert/anyOf/0/type", r#""string""#),
        ("/properties/route/items/properties/types/additionalProperties", "true"),
        ("/properties/limits/properties/client/properties/rate/type", r#"["string","number"]"#),
    ] {
        assert_eq!(of(path).to_string(), expected, "{path}");
    }
    assert!(schema.pointer("/properties/client_connections/default").is_none());
}
