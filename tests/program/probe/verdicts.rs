//! Our own server, looked at: its pace, file beside proxied, and whether a gate opens.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::server::{document, ends};
use testkit::program::Program;

/// A folder with a large file and a small one.
fn site() -> tempfile::TempDir {
    testkit::folder::folder(&[("large", &vec![b'x'; 8 << 20]), ("small", &[b'x'; 2200])])
}

fn serve(folder: &Path, rate: &str) -> Program {
    Program::start(&["serve", folder.to_str().unwrap(), "--rate", rate])
}

#[test]
fn the_pace_of_a_file_is_recognised_and_judged() {
    let folder = site();
    let server = serve(folder.path(), "60");
    let url = format!("http://{}/large", server.addr());
    let good = document(0, &[&url, "--rate", "60", "--seconds", "3", "--tolerance", "25"]);
    let seen = &good["urls"][0]["connections"][0];
    assert_eq!((&good["met"], &good["misses"], &good["schema"]), (&json!(true), &json!([]), &json!(1)));
    assert_eq!(seen["chunks"]["size_bytes"], 12_288, "{seen}");
    let interval = seen["chunks"]["interval_us"].as_u64().unwrap();
    assert!((150_000..250_000).contains(&interval), "{seen}");
    let series = seen["series"].as_array().unwrap();
    assert!(series.windows(2).all(|pair| pair[0][0].as_u64() < pair[1][0].as_u64()), "{seen}");
    assert_eq!(series.last().unwrap()[1], seen["bytes"]);

    let bad = document(1, &[&url, "--rate", "120", "--seconds", "1.5", "--tolerance", "25"]);
    assert_eq!(bad["met"], false);
    assert!(bad["misses"][0].as_str().unwrap().contains("% off, 25 % are allowed"), "{bad}");
    server.end();
}

#[test]
fn direct_and_proxied_agree_and_two_rates_do_not() {
    let folder = site();
    let unpaced = serve(folder.path(), "off");
    let direct = serve(folder.path(), "60");
    let backend = format!("http://{}", unpaced.addr());
    let proxied = Program::start(&["proxy", &backend, "--rate", "60"]);
    let faster = serve(folder.path(), "90");
    let url = |server: &Program| format!("http://{}/large", server.addr());
    let run = ["--seconds", "4", "--tolerance", "20"];
    let same = document(0, &[&[&*url(&direct), "--compare", &url(&proxied)], &run[..]].concat());
    assert_eq!(same["comparison"]["agree"], true, "{}", same["comparison"]);
    let (out, error) = ends(1, &[&[&*url(&direct), "--compare", &url(&faster)], &run[..]].concat());
    assert!(out.contains("The two do NOT agree.\n"), "{out}");
    assert!(error.contains("the two timelines do not agree"), "{error}");
    for server in [direct, proxied, faster, unpaced] {
        server.end();
    }
}

#[test]
fn reuse_is_no_escape_from_the_pace() {
    let folder = site();
    let server = serve(folder.path(), "60");
    let url = format!("http://{}/small", server.addr());
    let repeated = document(0, &[&url, "--repeat", "--seconds", "2"]);
    let seen = &repeated["urls"][0]["connections"][0];
    assert_eq!(seen["dials"], 1);
    // A chunk at once, less than a chunk on credit, and the rate: no thread that is late can make it more.
    assert!(seen["bytes"].as_u64().unwrap() <= 2 * 12_288 + 2 * 61_440, "{seen}");
    assert!(seen["responses"].as_u64().unwrap() > 20, "{seen}");
    server.end();
}

#[test]
fn people_get_text_a_plot_and_lines_of_progress() {
    let folder = site();
    let server = serve(folder.path(), "60");
    let svg = folder.path().join("pace.svg");
    let url = format!("http://{}/large?a=1&b=%3C", server.addr());
    let args = ["--connections", "3", "--rate", "60", "--seconds", "5.2", "--svg", svg.to_str().unwrap()];
    let (out, error) = ends(0, &[&[&*url], &args[..]].concat());
    assert!(out.starts_with(&format!("{url}, 3 connections\n  rate of each ")), "{out}");
    for words in [
        "\n  of all       ",
        " bytes in 5.",
        "fairness     ",
        "\n  #3  ",
        "12 288 B every ",
        "As read off the wire",
    ] {
        assert!(out.contains(words), "{words:?} in {out}");
    }
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    // Standard error is no terminal here.
    assert!(error.starts_with("5 of 5.2 s, ") && !error.contains('\u{1b}'), "{error:?}");
    let plot = fs::read_to_string(&svg).unwrap();
    let document = roxmltree::Document::parse(&plot).unwrap();
    assert!(
        document.descendants().any(|node| node.text().is_some_and(|text| text.contains("a=1&b=%3C × 3")))
    );
    server.end();
}

#[test]
fn a_usage_error_exits_with_2_before_any_request() {
    for (args, expected) in [
        (&["127.0.0.1:1"][..], "http:// or https:// is missing"),
        (&["http://127.0.0.1:1/", "--seconds", "x"], "--seconds: \"x\" is not a number of seconds"),
        (&["http://127.0.0.1:1/", "--tolerance", "1"], "--tolerance needs --rate or --compare"),
        (&[], "URL"),
    ] {
        let (out, error) = ends(2, args);
        assert!(out.is_empty() && error.contains(expected), "{args:?}: {error}");
    }
    let (_, error) = ends(1, &["http://127.0.0.1:1/", "--svg", "none-such/pace.svg"]);
    assert!(error.contains("cannot write the plot to none-such/pace.svg: No such file"), "{error}");
}
