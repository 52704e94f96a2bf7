//! Who may import whom (`docs/architecture.md`), held by reading the sources.
//!
//! Only what the compiler and clippy cannot hold: crates are held by Cargo.toml, clocks, threads and exits by clippy.toml.
//! Each rule is a row with a snippet that breaks it, so that a rule that cannot fail is found out.

#[path = "layering/breaches.rs"]
mod breaches;
#[path = "layering/places.rs"]
mod places;
#[path = "layering/rules.rs"]
mod rules;
#[path = "layering/scan.rs"]
mod scan;

use std::fs;
use std::path::Path;

use rules::{RULES, Rule};
use scan::Source;

/// Every `.rs` file below `src` of the program and of the core. Their modules' names do not clash.
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for sources in ["src", "crates/core/src"] {
        read(&root.join(sources), "", &mut found);
    }
    found
}

#[test]
fn every_file_keeps_to_its_room() {
    let sources = sources();
    for known in ["filter/rate.rs", "http/route/mod.rs"] {
        assert!(sources.iter().any(|source| source.path == known), "{known} was not found");
    }
    let breach = |rule: &Rule, source: &Source| {
        Some(format!("{}: {}: {}", source.path, rule.name, (rule.check)(source)?))
    };
    let breaches: Vec<String> =
        RULES.iter().flat_map(|rule| sources.iter().filter_map(|source| breach(rule, source))).collect();
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
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
