//! Saved limits of clients that are told apart by a key in a header: they hold again after a restart, and the key is written nowhere.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testkit::program::{Program, get, site, text};

use crate::typed::{fails, prints};

const CONFIGURATION: &str = "listen = '127.0.0.1:0'
admin = '127.0.0.1:0'
[limits]
client = { rate = '2m', key = 'header:x-token' }
[[class]]
name = 'vip'
match = { header = { x-api-key = ['hunter2'] } }
limits = { client = { rate = '5m' } }
[[route]]
path = '/'
files = '.'
";

/// As `printf %s KEY | sha256sum` prints them.
const KEY: &str = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
const TOKEN: &str = "6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090";

fn start(file: &Path) -> Program {
    Program::start(&["run", text(file), "--log-level", "info"])
}

fn set(program: &Program, client: &str, rate: &str) {
    let admin = program.admin().to_string();
    prints(&["limits", "set", "client", client, "--rate", rate, "--save", "--admin", &admin]);
}

/// The limit of a client that is shown so: its rate, where that comes from, and how many bytes passed it.
fn limit(program: &Program, shown: &str) -> Value {
    let list = prints(&["limits", "list", "--json", "--admin", &program.admin().to_string()]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let all = list["limits"].as_array().unwrap();
    let own = all.iter().find(|limit| limit["client"] == shown).cloned().unwrap_or_default();
    json!([own["rate"], own["source"]["rate"]["from"], own["bytes"]])
}

#[test]
fn the_limit_of_a_key_is_saved_by_its_digest_and_holds_for_who_shows_it() {
    let folder = site(100);
    let file = folder.path().join("gate.toml");
    fs::write(&file, CONFIGURATION).unwrap();
    let program = start(&file);
    // One that was seen, by what the list shows, and one that was not.
    get(program.connect(), "/a.bin", "X-Api-Key: hunter2\r\n");
    set(&program, &format!("key-{}", &KEY[..16]), "6m");
    set(&program, &format!("key-{TOKEN}"), "7m");
    program.end();
    let saved = fs::read_to_string(folder.path().join("gate.overlay.toml")).unwrap();
    assert!(saved.contains(&format!("[clients.key-{KEY}]\nrate = \"6m\"\n")), "{saved}");
    assert!(saved.contains(&format!("[clients.key-{TOKEN}]\nrate = \"7m\"\n")), "{saved}");
    assert!(!saved.contains("hunter2"), "{saved}");

    let program = start(&file);
    for (digest, rate, field) in [(KEY, 6 << 20, "X-Api-Key: hunter2"), (TOKEN, 7 << 20, "X-Token: abc123")] {
        let shown = format!("key-{}", &digest[..16]);
        let told = limit(&program, &shown);
        assert_eq!((&told[0], &told[1]), (&json!(rate), &json!("overlay")), "{shown}");
        get(program.connect(), "/a.bin", &format!("{field}\r\n"));
        assert!(limit(&program, &shown)[2].as_u64().unwrap() >= 100, "{}", limit(&program, &shown));
    }
    let admin = program.admin().to_string();
    let unknown =
        fails(1, &["limits", "set", "client", "key-0123456789abcdef", "--rate", "1m", "--admin", &admin]);
    assert!(unknown.contains("No such client") && unknown.contains("64 hex digits"), "{unknown}");
    prints(&["limits", "reset", "client", &format!("key-{}", &KEY[..16]), "--save", "--admin", &admin]);
    let saved = fs::read_to_string(folder.path().join("gate.overlay.toml")).unwrap();
    assert!(!saved.contains(KEY) && saved.contains(TOKEN), "{saved}");
    program.end();
}
