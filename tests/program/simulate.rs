//! `sluicegate simulate` as it is typed.

use std::fs;

use serde_json::{Value, json};

use crate::typed::{fails, prints, sluicegate};

const SERVER: &str = "fixtures/simulate/server.toml";
const CLIENTS: &str = "fixtures/simulate/clients.toml";

/// Two minutes over the boundary at 22:00 in Berlin, with further arguments.
fn typed<'a>(more: &[&'a str]) -> Vec<&'a str> {
    of(SERVER, more)
}

fn of<'a>(server: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let all = ["simulate", server, "--clients", CLIENTS, "--seconds", "120", "--at", "2026-12-24 21:59"];
    [&all[..], more].concat()
}

// Of paces alone: the order in which turns under a shared limit are given is not a promise. To write the file anew, run the
// command, and read what it says.
#[test]
fn the_text_of_a_seed_is_as_it_was_and_fits_a_terminal() {
    let text = prints(&of("fixtures/simulate/paced.toml", &[]));
    let expected = fs::read_to_string("fixtures/simulate/expected.txt").unwrap();
    assert_eq!(text, expected, "\n{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn the_same_seed_prints_the_same_and_another_another() {
    let json = |more: &[&str]| prints(&typed(&[&["--json"], more].concat()));
    let (one, again, other) = (json(&[]), json(&["--seed", "1"]), json(&["--seed", "2"]));
    assert_eq!(one, again);
    assert_ne!(one, other);
    let document: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(
        (&document["schema"], &document["seconds"], &document["seed"]),
        (&json!(1), &json!(120), &json!(1))
    );
    assert_eq!(document["began_ms"], json!(1_798_145_940_000_u64), "21:59 in Berlin is 20:59 in UTC");
    let names = |list: &str| -> Vec<String> {
        let all = document[list].as_array().unwrap();
        all.iter().map(|each| each["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("groups"), ["visitors", "members", "phones", "senders"]);
    assert_eq!(&names("limits")[..4], ["server", "class members", "route /api/", "route /"]);
    for group in document["groups"].as_array().unwrap() {
        let series: u64 =
            group["series_bytes"].as_array().unwrap().iter().map(|sum| sum.as_u64().unwrap()).sum();
        assert_eq!(series / 120, group["bytes_per_second"].as_u64().unwrap());
    }
}

#[test]
fn rules_that_are_not_met_and_classes_without_limits_that_hold_change_no_figure() {
    const KEYS: &str = "fixtures/simulate/keys.toml";
    let [without, with] = ["no_rules", "many_rules"].map(|name| -> Value {
        let server = format!("fixtures/simulate/{name}.toml");
        let text = prints(&["simulate", &server, "--clients", KEYS, "--seconds", "5", "--json"]);
        serde_json::from_str(&text).unwrap()
    });
    assert_eq!(without["groups"], with["groups"]);
    let limits = |document: &Value| document["limits"].as_array().unwrap().len();
    assert_eq!((limits(&without), limits(&with)), (4, 204), "of responses and of uploads");
    // With rules that are met the figures are others.
    let server = "fixtures/simulate/many_rules.toml";
    let at = ["--at", "2026-01-05 09:00"];
    let text =
        prints(&[&["simulate", server, "--clients", KEYS, "--seconds", "5", "--json"], &at[..]].concat());
    let met: Value = serde_json::from_str(&text).unwrap();
    assert_ne!(met["groups"], with["groups"]);
}

#[test]
fn the_plot_is_xml_with_a_line_for_each_group_and_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rates.svg");
    prints(&typed(&["--svg", path.to_str().unwrap()]));
    let text = fs::read_to_string(path).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let paths = document.descendants().filter(|node| node.has_tag_name("path"));
    let classes: Vec<_> = paths.map(|path| path.attribute("class").unwrap().to_owned()).collect();
    assert_eq!(classes, ["line s0", "line s1", "line s2", "line s3", "goal"]);
    let words: Vec<_> = document.descendants().filter_map(|node| node.text()).map(str::trim).collect();
    for word in ["visitors", "members", "phones", "senders", "the server's limit", "MiB/s, mean of each 1 s"]
    {
        assert!(words.contains(&word), "{word}: {words:?}");
    }
}

#[test]
fn what_cannot_be_simulated_says_where_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.toml");
    fs::write(&bad, "[[clients]]\npath = '/'\nsise = '1m'\n").unwrap();
    let bad = bad.to_str().unwrap();
    for (code, args, expected) in [
        (
            1,
            vec![SERVER, "--clients", bad],
            vec!["bad.toml:3:1: unknown key \"sise\" in [[clients]]; did you mean \"size\"?"],
        ),
        (1, vec!["nowhere.toml", "--clients", CLIENTS], vec!["nowhere.toml: cannot be read"]),
        (1, vec![SERVER, "--clients", "nowhere.toml"], vec!["nowhere.toml: cannot be read"]),
        (1, vec![CLIENTS, "--clients", CLIENTS], vec!["unknown key \"clients\""]),
        (
            2,
            vec![SERVER, "--clients", CLIENTS, "--seconds", "0"],
            vec!["--seconds: \"0\" is not a number of seconds from 1 to 604800"],
        ),
        (2, vec![SERVER, "--clients", CLIENTS, "--seed", "x"], vec!["--seed: \"x\" is not a number"]),
        (
            2,
            vec![SERVER, "--clients", CLIENTS, "--at", "then"],
            vec!["--at: \"then\" is not a point in time"],
        ),
        (
            2,
            vec![SERVER, "--clients", CLIENTS, "--at", "1950-01-01 00:00"],
            vec!["--at: it is not between 1970 and 2500"],
        ),
        (
            1,
            vec![SERVER, "--clients", CLIENTS, "--svg", "nowhere/x.svg"],
            vec!["cannot write the plot to nowhere/x.svg"],
        ),
        (2, vec![SERVER], vec!["--clients"]),
    ] {
        let told = fails(code, &[&["simulate"], &args[..]].concat());
        for words in expected {
            assert!(told.contains(words), "{args:?}: {told}");
        }
    }
}

#[test]
fn files_that_are_elsewhere_are_not_needed_and_what_is_left_out_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.toml");
    let text = "[[route]]\npath = '/'\nfiles = 'elsewhere'\nrate = '1m'\n[[tcp]]\nlisten = '127.0.0.1:7070'\nto = '127.0.0.1:7071'\n";
    fs::write(&path, text).unwrap();
    let output = sluicegate(&["simulate", path.to_str().unwrap(), "--clients", CLIENTS, "--seconds", "5"]);
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(told, "sluicegate: warning: ports of [[tcp]] are not simulated\n");
}
