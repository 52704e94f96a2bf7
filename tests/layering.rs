//! DESIGN's "Rooms and who may import whom", held by reading the sources.
//!
//! Each rule is a row: where it holds, and what must not be found there. For each there is a snippet that
//! breaks it, so that a rule that cannot fail is found out.

#[path = "layering/scan.rs"]
mod scan;

use std::fs;
use std::path::Path;

use scan::Source;

/// Rooms that are told the time and never wait: no runtime, no socket, no clock.
const PURE: &[&str] = &[
    "brigade/",
    "limit/",
    "filter/",
    "events/encoding.rs",
    "events/encoding/",
    "quota/book.rs",
    "quota/book/",
];

/// Places a rule does not hold for, with the reason. An entry that is not needed any more fails.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "the system's clock is read in clock/wheel.rs only",
    "http/files/mod.rs",
    "a file's Last-Modified is compared with the calendar's time, which no monotonic clock tells",
)];

/// What a source breaks a rule with, if it does.
type Check = fn(&Source) -> Option<String>;

struct Rule {
    name: &'static str,
    check: Check,
    /// A file and a text in it that break the rule.
    broken_by: &'static [(&'static str, &'static str)],
    /// And ones that only look like it.
    kept_by: &'static [(&'static str, &'static str)],
}

const RULES: &[Rule] = &[
    Rule {
        name: "brigade imports nothing of the crate",
        check: |source| imports_but(source, "brigade/", &[&["brigade"]]),
        broken_by: &[
            ("brigade/mod.rs", "use crate::clock::Instant;"),
            ("brigade/bucket.rs", "use super::super::limit::Rate;"),
            ("brigade/bucket.rs", "fn f() -> crate::limit::Rate {}"),
        ],
        kept_by: &[
            ("brigade/bucket.rs", "use super::Brigade; use std::fmt; pub(super) fn f() {}"),
            (
                "brigade/mod.rs",
                "//! See [`crate::filter`].\n#[cfg(test)] mod tests { use crate::clock::Instant; }",
            ),
        ],
    },
    Rule {
        name: "limit imports clock::Instant and excerpt only",
        check: |source| imports_but(source, "limit/", &[&["limit"], &["clock", "Instant"], &["excerpt"]]),
        broken_by: &[
            ("limit/tree.rs", "use crate::{clock::{Clock, Instant}, limit::Rate};"),
            ("limit/mod.rs", "use super::brigade::Brigade;"),
            ("limit/mod.rs", "use crate::clock::*;"),
        ],
        kept_by: &[("limit/tree.rs", "use crate::clock::Instant; use super::{Rate, live::Limit};")],
    },
    Rule {
        name: "filter imports brigade, limit, clock::Instant and excerpt only",
        check: |source| {
            let allowed: [&[&str]; 5] =
                [&["filter"], &["brigade"], &["limit"], &["clock", "Instant"], &["excerpt"]];
            imports_but(source, "filter/", &allowed)
        },
        broken_by: &[
            ("filter/rate.rs", "use crate::{brigade::Brigade, clock::Sleep};"),
            ("filter/gzip/mod.rs", "use super::super::http::content::Content;"),
        ],
        kept_by: &[(
            "filter/gzip/mod.rs",
            "use super::Verdict; use http::request; use crate::clock::Instant as I;",
        )],
    },
    Rule {
        name: "budget imports clock and limit only",
        check: |source| imports_but(source, "budget/", &[&["budget"], &["clock"], &["limit"]]),
        broken_by: &[
            ("budget/key.rs", "use crate::http::peer::PeerAddr;"),
            ("budget/alarm.rs", "fn f() { crate::rt::spawn(g()) }"),
        ],
        kept_by: &[("budget/seat.rs", "use super::Node; use crate::{clock::Clock, limit::NodeId};")],
    },
    Rule {
        name: "throttle imports budget, clock and limit only",
        check: |source| {
            imports_but(source, "throttle/", &[&["throttle"], &["budget"], &["clock"], &["limit"]])
        },
        broken_by: &[
            ("throttle/body.rs", "use crate::body::PacedBody;"),
            ("throttle/tower.rs", "fn f() { crate::rt::clock(); }"),
        ],
        kept_by: &[("throttle/read.rs", "use super::pace::Pace; use crate::{budget::Gate, clock::Clock};")],
    },
    Rule {
        name: "telemetry imports clock::Instant only",
        check: |source| imports_but(source, "telemetry/", &[&["telemetry"], &["clock", "Instant"]]),
        broken_by: &[("telemetry/recent.rs", "use crate::clock::Clock;")],
        kept_by: &[("telemetry/recent.rs", "use crate::clock::Instant;")],
    },
    Rule {
        name: "only the admin API and its client in cli/ speak JSON",
        check: |source| {
            let speaks = source.is_in("admin/api/") || source.is_in("cli/");
            (!speaks).then(|| any_word(source, &["serde_json"]))?
        },
        broken_by: &[("admin/answer.rs", "fn f(v: serde_json::Value) {}")],
        kept_by: &[
            ("admin/api/change.rs", "use serde_json::Value;"),
            ("cli/table.rs", "serde_json::json!();"),
        ],
    },
    Rule {
        name: "config imports filter, limit and excerpt only",
        check: |source| imports_but(source, "config/", &[&["config"], &["filter"], &["limit"], &["excerpt"]]),
        broken_by: &[
            ("config/sink.rs", "use crate::sink::OnFull;"),
            ("config/mod.rs", "fn f() { crate::rt::memory_limit() }"),
        ],
        kept_by: &[("config/sink.rs", "use super::Route; use crate::limit::{Rate, Size};")],
    },
    Rule {
        name: "pure rooms have no runtime, no socket, no clock and nothing async",
        check: |source| {
            let pure = PURE.iter().any(|place| source.is_in(place));
            pure.then(|| {
                any_word(
                    source,
                    &["await", "async", "Context", "async_std", "async_io", "hyper", "hyper_util"],
                )
                .or_else(|| any_path(source, &["std::time::Instant", "std::time::SystemTime", "std::net"]))
                .or_else(|| any_path(source, &["std::os::unix::net", "std::thread", "futures_lite"]))
            })?
        },
        broken_by: &[
            ("brigade/mod.rs", "fn f() { g().await }"),
            ("limit/tree.rs", "use std::task::{Context, Poll};"),
            ("filter/rate.rs", "use std::{fmt, time::{Duration, Instant}};"),
            ("filter/rate.rs", "fn f(t: std::time::SystemTime) {}"),
            ("filter/rate.rs", "use std::net::TcpStream;"),
            ("filter/rate.rs", "fn f() { std::thread::sleep(d) }"),
            ("events/encoding.rs", "use hyper::body::Frame;"),
            ("quota/book.rs", "use async_std::task;"),
        ],
        kept_by: &[
            (
                "limit/mod.rs",
                "// never .await, no Context\nconst S: &str = \"hyper\"; use std::time::Duration;",
            ),
            ("events/hub.rs", "use std::task::Context;"),
        ],
    },
    Rule {
        name: "the system's clock is read in clock/wheel.rs only",
        check: |source| {
            (!source.is_in("clock/wheel.rs")).then(|| {
                let reads = ["Instant :: now", "SystemTime :: now", ". elapsed (", ":: elapsed"];
                reads.iter().find(|words| source.has(words)).map(ToString::to_string)
            })?
        },
        broken_by: &[
            ("sink.rs", "let t = std::time::Instant::now();"),
            ("http/server/mod.rs", "let t = SystemTime::now();"),
            ("body.rs", "let t = start . elapsed();"),
        ],
        kept_by: &[("clock/wheel.rs", "std::time::Instant::now()"), ("body.rs", "let t = clock.now();")],
    },
    Rule {
        name: "only rt/ names the runtime",
        check: |source| {
            let runtime =
                ["async_std", "async_io", "async_signal", "async_executor", "async_global_executor", "smol"];
            (!source.is_in("rt/")).then(|| any_word(source, &runtime))?
        },
        broken_by: &[
            ("http/server/mod.rs", "use async_std::net::TcpListener;"),
            ("sink.rs", "fn f(s: async_io::Async<TcpStream>) {}"),
            ("main.rs", "use async_signal::Signals;"),
        ],
        kept_by: &[
            ("rt/mod.rs", "use async_std::task;"),
            ("sink.rs", "/* on async_io */ const A: u8 = b'\"';"),
        ],
    },
    Rule {
        name: "only rt/ spawns tasks and threads",
        check: |source| {
            let ways = [
                "thread :: spawn",
                "thread :: scope",
                "thread :: Builder",
                "task :: spawn",
                "task :: spawn_blocking",
            ];
            (!source.is_in("rt/")).then(|| {
                let called = ways.iter().find(|words| source.has(words)).map(ToString::to_string);
                called.or_else(|| {
                    any_path(source, &["std::thread::spawn", "std::thread::Builder", "std::thread::scope"])
                })
            })?
        },
        broken_by: &[
            ("clock/wheel.rs", "std::thread::spawn(|| ());"),
            ("http/mod.rs", "use std::thread::{Builder};"),
            ("http/mod.rs", "let task = task::spawn(async {});"),
        ],
        kept_by: &[
            ("http/mod.rs", "crate::rt::spawn(async {});"),
            ("clock/wheel.rs", "#[cfg(test)]\nmod tests { fn f() { std::thread::spawn(|| ()); } }"),
        ],
    },
    Rule {
        name: "only main.rs starts femme or ends the process",
        check: |source| {
            (!source.is_in("main.rs")).then(|| {
                let ends = ["process :: exit", "process :: abort"];
                let ends = ends.iter().find(|words| source.has(words)).map(ToString::to_string);
                let imported = || any_path(source, &["std::process::exit", "std::process::abort"]);
                any_word(source, &["femme"]).or(ends).or_else(imported)
            })?
        },
        broken_by: &[
            ("cli/mod.rs", "femme::start();"),
            ("lib.rs", "std::process::exit(1)"),
            ("rt/signals.rs", "use std::process::{exit};"),
        ],
        kept_by: &[
            ("main.rs", "femme::start(); process::exit(2)"),
            ("cli/mod.rs", "use std::process::ExitCode;"),
        ],
    },
    Rule {
        name: "only cli/ and main.rs know argh",
        check: |source| {
            (!source.is_in("cli/") && !source.is_in("main.rs"))
                .then(|| any_word(source, &["argh", "FromArgs"]))?
        },
        broken_by: &[("config/mod.rs", "#[derive(argh::FromArgs)] struct A;")],
        kept_by: &[
            ("cli/args.rs", "use argh::FromArgs;"),
            ("config/mod.rs", "/// As argh has it.\nstruct A;"),
        ],
    },
    Rule {
        name: "unsafe is nowhere",
        check: |source| any_word(source, &["unsafe"]),
        broken_by: &[("sink.rs", "fn f() { unsafe { g() } }")],
        kept_by: &[(
            "sink.rs",
            "#![forbid(unsafe_code)] // no unsafe\nconst S: &str = r#\"an \"unsafe\" one\"#;",
        )],
    },
    Rule {
        name: "no module is called util, common or helpers",
        check: |source| {
            let vague = ["util", "utils", "common", "helper", "helpers", "misc"];
            source.module().into_iter().find(|name| vague.contains(&name.as_str()))
        },
        broken_by: &[("http/util.rs", ""), ("common/mod.rs", "")],
        kept_by: &[("http/mod.rs", "use hyper_util::rt;")],
    },
    Rule {
        name: "no file has more than 400 lines",
        check: |source| (source.lines > 400).then(|| format!("{} lines", source.lines)),
        broken_by: &[],
        kept_by: &[],
    },
];

/// What a file of the room `place` imports of the crate, other than what begins with one of `allowed`.
fn imports_but(source: &Source, place: &str, allowed: &[&[&str]]) -> Option<String> {
    if !source.is_in(place) {
        return None;
    }
    source.paths().into_iter().find_map(|path| {
        let [root, inside @ ..] = path.as_slice() else { return None };
        let fine =
            root != "crate" || allowed.iter().any(|allowed| inside.iter().take(allowed.len()).eq(*allowed));
        (!fine).then(|| path.join("::"))
    })
}

fn any_word(source: &Source, words: &[&str]) -> Option<String> {
    source.tokens.iter().find(|token| words.contains(&token.as_str())).cloned()
}

/// A path that begins with one of `prefixes`.
fn any_path(source: &Source, prefixes: &[&str]) -> Option<String> {
    source.paths().into_iter().find_map(|path| {
        let path = path.join("::");
        let begins = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        prefixes.iter().any(|prefix| begins(prefix)).then_some(path)
    })
}

/// Every `.rs` file below `src`.
fn sources() -> Vec<Source> {
    fn read(folder: &Path, below: &str, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{below}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                read(&entry.path(), &format!("{name}/"), found);
            } else if name.ends_with(".rs") {
                found.push(Source::new(&name, &fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    found
}

#[test]
fn every_file_keeps_to_its_room() {
    let sources = sources();
    assert!(sources.iter().any(|source| source.path == "filter/rate.rs"), "src was not found");
    let mut breaches = Vec::new();
    let mut used = Vec::new();
    for rule in RULES {
        for source in &sources {
            let Some(what) = (rule.check)(source) else { continue };
            match EXCEPTIONS.iter().find(|(name, path, _)| *name == rule.name && *path == source.path) {
                Some(exception) => used.push(exception),
                None => breaches.push(format!("src/{}: {}: {what}", source.path, rule.name)),
            }
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
    let idle: Vec<_> = EXCEPTIONS.iter().filter(|exception| !used.contains(exception)).collect();
    assert!(idle.is_empty(), "exceptions that nothing needs: {idle:?}");
}

#[test]
fn every_rule_can_fail_and_is_not_misled() {
    for rule in RULES {
        for (path, text) in rule.broken_by {
            assert!(
                (rule.check)(&Source::new(path, text)).is_some(),
                "{}: let through in {path}: {text}",
                rule.name
            );
        }
        for (path, text) in rule.kept_by {
            assert_eq!((rule.check)(&Source::new(path, text)), None, "{}: {path}: {text}", rule.name);
        }
        assert!(!rule.broken_by.is_empty() || rule.name.contains("400"), "{} was not tried", rule.name);
    }
    let long = |lines| Source::new("sink.rs", &"\n".repeat(lines));
    let rule = RULES.iter().find(|rule| rule.name.contains("400")).unwrap();
    assert!((rule.check)(&long(400)).is_none() && (rule.check)(&long(401)).is_some());
}

#[test]
fn prose_and_literals_are_not_code() {
    let text = r####"
        //! unsafe
        /* unsafe /* nested unsafe */ unsafe */
        const A: &str = "unsafe \" unsafe"; const B: &[u8] = b"unsafe"; const C: &str = r##"unsafe "# "##;
        const D: char = '"'; const E: char = '\''; const F: u8 = b'\\';
        fn f<'unsafe_>(a: &'unsafe_ str) -> safe { r#fn }
    "####;
    let source = Source::new("sink.rs", text);
    assert!(!source.tokens.iter().any(|token| token.contains("unsafe")), "{:?}", source.tokens);
    assert!(source.has("fn f <") && source.has("- > safe {"));
}

#[test]
fn paths_are_followed_to_the_crate() {
    let text = "use super::{a::{self, B}, c::*}; use self::d as e; mod inner { use super::f; } use std::fmt; use super::super::g;";
    let paths: Vec<String> =
        Source::new("one/two.rs", text).paths().iter().map(|path| path.join("::")).collect();
    assert_eq!(
        paths,
        [
            "crate::one::a::self",
            "crate::one::a::B",
            "crate::one::c::*",
            "crate::one::two::d",
            "crate::one::two::f",
            "std::fmt",
            "crate::g"
        ]
    );
}
