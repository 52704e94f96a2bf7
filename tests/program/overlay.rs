//! Limits that are set by hand and saved: in the overlay beside the configuration, over reloads and restarts.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use testkit::program::{Program, log_until, site, text};

use crate::typed::{fails, prints, sluicegate, words};

const CONFIGURATION: &str = "listen = '127.0.0.1:0'
admin = '127.0.0.1:0'
[limits]
client = { rate = '2m', burst = '1m' }
[[class]]
name = 'vip'
match = { network = '10.0.0.0/8' }
[[route]]
path = '/'
files = '.'
rate = 60
[[route]]
path = '/logs/'
files = '.'
";

/// A server of a configuration in a folder of its own.
struct Gate {
    _folder: tempfile::TempDir,
    file: PathBuf,
    program: Program,
}

impl Gate {
    fn start() -> Self {
        Self::start_with(CONFIGURATION, None)
    }

    fn start_with(configuration: &str, overlay: Option<&str>) -> Self {
        let folder = site(100);
        let file = folder.path().join("gate.toml");
        fs::write(&file, configuration).unwrap();
        if let Some(overlay) = overlay {
            fs::write(folder.path().join("gate.overlay.toml"), overlay).unwrap();
        }
        let program = Program::start(&["run", text(&file), "--log-level", "info"]);
        Self { _folder: folder, file, program }
    }

    fn overlay(&self) -> PathBuf {
        self.file.with_file_name("gate.overlay.toml")
    }

    fn saved(&self) -> String {
        fs::read_to_string(self.overlay()).unwrap_or_default()
    }

    fn args(&self, typed: &str) -> Vec<String> {
        let admin = self.program.admin().to_string();
        words(typed).into_iter().chain(["--admin"]).map(str::to_owned).chain([admin]).collect()
    }

    fn prints(&self, typed: &str) -> String {
        let args = self.args(typed);
        prints(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn fails(&self, typed: &str) -> String {
        let args = self.args(typed);
        fails(1, &args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What the list says of a limit: its rate, its burst, and the source.
    fn shows(&self, limit: &str) -> String {
        let list = self.prints("limits list");
        let line = list.lines().find(|line| line.starts_with(&format!("{limit} "))).unwrap_or_default();
        let cells: Vec<&str> = line[limit.len().min(line.len())..].split_whitespace().collect();
        // Behind "(each)" stand rate, burst, weight, passed (two words), waits, over and the source.
        let cells = cells.strip_prefix(&["(each)"]).unwrap_or(&cells);
        [0, 1, cells.len().max(1) - 1].map(|at| *cells.get(at).unwrap_or(&"")).join(" ")
    }

    fn json(&self, href: &str) -> Value {
        let list: Value = serde_json::from_str(&self.prints("limits list --json")).unwrap();
        let limits = list["limits"].as_array().unwrap();
        limits.iter().find(|limit| limit["href"] == href).cloned().unwrap_or_default()
    }

    fn reload(&mut self, mark: &str) -> String {
        self.program.signal(Signal::HUP);
        log_until(&mut self.program, mark)
    }

    /// Ends the program and starts another.
    fn restart(&mut self) {
        let args = ["run", text(&self.file), "--log-level", "info"];
        let old = std::mem::replace(&mut self.program, Program::start(&args));
        old.end();
    }
}

#[test]
fn a_saved_weight_of_one_client_leaves_its_rate_that_of_each_whatever_sets_it() {
    let mut gate = Gate::start();
    gate.prints("limits set client 192.0.2.1 --weight 3 --save");
    let own = |gate: &Gate| {
        let limit = gate.json("/v1/limits/clients/192.0.2.1");
        json!([
            limit["rate"],
            limit["weight"],
            limit["source"]["rate"]["from"],
            limit["source"]["weight"]["from"]
        ])
    };
    assert_eq!(own(&gate), json!([2 << 20, 3, "file", "overlay"]));
    gate.prints("limits set client --rate 50k");
    assert_eq!(own(&gate), json!([50 << 10, 3, "api", "overlay"]));
    // The reload takes the rate of each back, and that of the client with it.
    gate.reload("reloaded");
    assert_eq!(own(&gate), json!([2 << 20, 3, "file", "overlay"]));
    gate.prints("limits set client --rate 60k --save");
    assert_eq!(own(&gate), json!([60 << 10, 3, "overlay", "overlay"]));
    // And a schedule of each client's, which holds at all times.
    gate.prints("limits reset client --save");
    let at_all_times = "client = { rate = '2m', schedule = [{ during = '00:00-24:00', rate = '30k' }] }";
    let configuration = CONFIGURATION.replace("client = { rate = '2m', burst = '1m' }", at_all_times);
    fs::write(&gate.file, configuration).unwrap();
    gate.reload("reloaded");
    assert_eq!(own(&gate)[0], json!(30 << 10));
    assert_eq!(own(&gate)[1], json!(3));
}

#[test]
fn what_is_saved_stays_over_reloads_and_restarts_and_the_rest_does_not() {
    let mut gate = Gate::start();
    assert_eq!(gate.shows("client"), "2m 1m file:4");
    gate.prints("limits set client --rate 50k --save");
    gate.prints("limits set client --burst 5k");
    gate.prints("limits set server --rate 100m");
    gate.prints("limits set response /logs/ --rate 2m --save");
    gate.prints("limits set class vip --weight 7 --save");
    gate.prints("limits set client 192.0.2.1 --rate 10m --save");
    gate.prints("limits set upload-client local --report-only true --save");
    let before = [
        ("client", "50k 5k overlay:5+api"),
        ("server", "100m - api"),
        ("response /logs/", "2m - overlay:8"),
        ("response /", "60k - file:11"),
        ("class vip", "off - overlay:11"),
        ("client 192.0.2.1", "10m 5k overlay:14+api"),
        ("route /", "off - default"),
    ];
    for (limit, expected) in before {
        assert_eq!(gate.shows(limit), expected, "{limit} of\n{}", gate.prints("limits list"));
    }
    let saved = gate.saved();
    let expected = format!(
        "# Limits that were set by hand and saved: `sluicegate limits set ... --save`. They go over those of\n\
         # {}, in its units; `sluicegate limits reset ... --save` takes them out.\n\n\
         [client]\nrate = \"50k\"\n\n[routes.\"/logs/\".response]\nrate = \"2m\"\n\n[classes.vip.total]\nweight = 7\n\n\
         [clients.\"192.0.2.1\"]\nrate = \"10m\"\n\n[uploads.clients.local]\nreport_only = true\n",
        gate.file.display()
    );
    assert_eq!(saved, expected);
    let log = gate.reload("reloaded");
    assert!(log.contains("limit of the server: 100m → off"), "{log}");
    let after = [
        ("client", "50k 1m overlay:5+file"),
        ("server", "off - default"),
        ("response /logs/", "2m - overlay:8"),
        ("class vip", "off - overlay:11"),
        ("client 192.0.2.1", "10m 1m overlay:14+file"),
    ];
    for turn in ["reload", "restart"] {
        for (limit, expected) in after {
            assert_eq!(
                gate.shows(limit),
                expected,
                "{limit} after the {turn}: {}",
                gate.prints("limits list")
            );
        }
        assert_eq!(gate.json("/v1/limits/classes/vip/total")["weight"], 7);
        gate.restart();
    }
    assert_eq!(gate.json("/v1/limits/uploads/clients/local")["report_only"], true);
    let source = json!({"from": "overlay", "file": gate.overlay(), "line": 5});
    assert_eq!(gate.json("/v1/limits/client")["source"]["rate"], source);
    gate.program.end();
}

#[test]
fn a_limit_is_reset_until_the_reload_or_for_good_or_with_all_others() {
    let mut gate = Gate::start();
    for typed in ["client --rate 50k --save", "server --rate 9m --save", "client 192.0.2.1 --rate 1k --save"]
    {
        gate.prints(&format!("limits set {typed}"));
    }
    gate.prints("limits set connection --rate 3m");
    assert!(gate.prints("limits reset client").contains("2m"), "the file's");
    assert_eq!(gate.shows("client"), "2m 1m file:4");
    let log = gate.reload("reloaded");
    assert!(
        log.contains("limit of each client: 2m burst 1m → 50k burst 1m (")
            && log.contains("gate.overlay.toml:5)"),
        "{log}"
    );
    assert_eq!(gate.shows("client"), "50k 1m overlay:5+file");
    gate.prints("limits reset client --save");
    assert_eq!(gate.shows("client"), "2m 1m file:4");
    // The lines of the others have moved.
    assert_eq!(gate.shows("server"), "9m - overlay:5");
    assert!(!gate.saved().contains("[client]"));
    gate.prints("limits set connection --rate 3m");
    let reset = gate.prints("limits reset all --save");
    assert_eq!(reset, "connection (each) is reset\nserver is reset\nclient 192.0.2.1 is reset\n");
    assert_eq!(gate.prints("limits reset all"), "nothing was set by hand\n");
    assert_eq!(
        (gate.shows("server").as_str(), gate.shows("client 192.0.2.1").as_str()),
        ("off - default", "  ")
    );
    assert!(gate.saved().lines().all(|line| line.is_empty() || line.starts_with('#')), "{}", gate.saved());
    gate.reload("nothing changed");
    gate.program.end();
}

#[test]
fn a_reload_reads_what_was_written_by_hand_and_check_shows_it() {
    let mut gate = Gate::start();
    let mine = "# Mine.\n\n[server]\nrate = '7m' # the uplink\n";
    fs::write(gate.overlay(), mine).unwrap();
    let log = gate.reload("reloaded");
    assert!(log.contains("limit of the server: off → 7m (") && log.contains("gate.overlay.toml:4)"), "{log}");
    gate.prints("limits set server --rate 8m --save");
    assert_eq!(gate.saved(), mine.replace("'7m'", "\"8m\""));
    let check = prints(&["check", text(&gate.file)]);
    assert!(check.contains("gate.overlay.toml sets over that"), "{check}");
    assert!(check.contains("  server: off → 8m (line 4)"), "{check}");
    assert!(!prints(&["check", "--offline", text(&gate.file)]).contains("overlay"));
    fs::remove_file(gate.overlay()).unwrap();
    gate.reload("limit of the server: 8m → off");
    gate.program.end();
}

#[test]
fn a_wrong_overlay_is_told_with_its_place_and_nothing_changes() {
    let mut gate = Gate::start();
    fs::write(gate.overlay(), "[server]\nrte = '7m'\n").unwrap();
    let wrong = gate.fails("limits set server --rate 8m --save");
    assert!(
        wrong.contains("gate.overlay.toml:2:1: unknown key \"rte\" in [server]; did you mean \"rate\"?"),
        "{wrong}"
    );
    assert!(wrong.contains("Nothing was changed"), "{wrong}");
    assert_eq!(
        (gate.shows("server").as_str(), gate.saved().as_str()),
        ("off - default", "[server]\nrte = '7m'\n")
    );
    let log = gate.reload("not reloaded");
    assert!(log.contains("gate.overlay.toml:2:1: unknown key"), "{log}");
    let check = fails(1, &["check", text(&gate.file)]);
    assert!(check.contains("gate.overlay.toml:2:1: unknown key"), "{check}");
    let start = fails(1, &["run", text(&gate.file)]);
    assert!(start.contains("gate.overlay.toml:2:1: unknown key"), "{start}");
    gate.program.end();
}

#[test]
fn what_cannot_be_written_is_not_changed_either() {
    let gate = Gate::start();
    gate.prints("limits set server --rate 1m --save");
    let saved = gate.saved();
    // Whoever the test runs as, a folder is no file to write into.
    let trap = gate.file.with_file_name(".gate.overlay.toml.new");
    fs::create_dir(&trap).unwrap();
    for typed in
        ["limits set server --rate 2m --save", "limits reset server --save", "limits reset all --save"]
    {
        let failed = gate.fails(typed);
        assert!(failed.contains("gate.overlay.toml cannot be written: "), "{failed}");
        assert!(failed.contains("Nothing was changed"), "{failed}");
        assert_eq!(
            (gate.shows("server").as_str(), gate.saved()),
            ("1m - overlay:5", saved.clone()),
            "{typed}"
        );
    }
    fs::remove_dir(&trap).unwrap();
    // What a power cut left is no obstacle.
    fs::write(&trap, "[server]\nra").unwrap();
    gate.prints("limits set server --rate 2m --save");
    assert_eq!((gate.shows("server").as_str(), trap.exists()), ("2m - overlay:5", false));
    gate.program.end();
}

#[test]
fn a_folder_that_may_not_be_written_is_said_with_what_to_do() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        // Whom no permission stops.
        return;
    }
    let gate = Gate::start();
    let folder = gate.file.parent().unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
    let failed = gate.fails("limits set server --rate 2m --save");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(
        failed.contains("Permission denied") && failed.contains("let the server's user write"),
        "{failed}"
    );
    assert_eq!(gate.shows("server"), "off - default");
    gate.program.end();
}

#[test]
fn sets_at_once_are_all_saved() {
    let gate = Gate::start();
    std::thread::scope(|scope| {
        for nth in 0..12 {
            let gate = &gate;
            scope.spawn(move || {
                gate.prints(&format!("limits set client 192.0.2.{nth} --rate {}k --save", nth + 1))
            });
        }
    });
    let saved = gate.saved();
    for nth in 0..12 {
        assert!(
            saved.contains(&format!("[clients.\"192.0.2.{nth}\"]\nrate = \"{}k\"\n", nth + 1)),
            "{saved}"
        );
        let source = gate.json(&format!("/v1/limits/clients/192.0.2.{nth}"))["source"]["rate"].clone();
        let line = source["line"].as_u64().unwrap() as usize;
        assert_eq!(saved.lines().nth(line - 1), Some(&*format!("rate = \"{}k\"", nth + 1)), "{source}");
    }
    gate.program.end();
}

#[test]
fn a_route_that_is_gone_is_a_warning_and_can_be_reset() {
    let overlay =
        "[routes.'/old/'.total]\nrate = '1m'\n[classes.old.client]\nrate = '1m'\n[server]\nrate = '2m'\n";
    let mut gate = Gate::start_with(CONFIGURATION, Some(overlay));
    assert_eq!(gate.shows("server"), "2m - overlay:6");
    let check = sluicegate(&["check", text(&gate.file)]);
    let warnings = String::from_utf8(check.stderr).unwrap();
    assert_eq!(check.status.code(), Some(0), "{warnings}");
    for expected in [
        "gate.overlay.toml:2: there is no [[route]] \"/old/\"",
        "sluicegate limits reset route /old/ --save",
        "gate.overlay.toml:4: there is no [[class]] \"old\"",
        "sluicegate limits reset class-client old --save",
    ] {
        assert!(warnings.contains(expected), "{expected} in {warnings}");
    }
    assert_eq!(gate.prints("limits reset route /old/ --save"), "route /old/ is reset\n");
    assert_eq!(gate.prints("limits reset class-client old --save"), "class-client old is reset\n");
    assert_eq!(gate.saved(), "[server]\nrate = '2m'\n");
    assert!(gate.fails("limits reset route /old/ --save").contains("No route has this path"));
    assert!(!gate.reload("reloaded").contains("there is no [[route]]"));
    gate.program.end();
}

#[test]
fn without_a_configuration_nothing_is_saved() {
    let site = site(100);
    let program =
        Program::start(&["serve", text(site.path()), "--server-rate", "5m", "--admin", "127.0.0.1:0"]);
    let admin = program.admin().to_string();
    let refused = fails(1, &["limits", "set", "server", "--rate", "1m", "--save", "--admin", &admin]);
    assert!(
        refused.contains("has no configuration file") && refused.contains("sluicegate run FILE"),
        "{refused}"
    );
    let list = prints(&["limits", "list", "--admin", &admin]);
    assert!(list.contains("flag") && list.contains("5m"), "{list}");
    prints(&["limits", "set", "server", "--rate", "1m", "--admin", &admin]);
    assert!(prints(&["limits", "reset", "server", "--admin", &admin]).contains("5m"));
    program.end();
}

#[test]
fn the_configuration_may_name_another_file() {
    let state = tempfile::tempdir().unwrap();
    let named = state.path().join("saved.toml");
    let configuration = format!("overlay = '{}'\n{CONFIGURATION}", named.display());
    let mut gate = Gate::start_with(&configuration, Some("[server]\nrate = 'wrong'\n"));
    gate.prints("limits set server --rate 1m --save");
    assert!(fs::read_to_string(&named).unwrap().contains("[server]\nrate = \"1m\"\n"));
    gate.restart();
    assert_eq!(gate.shows("server"), "1m - overlay:5");
    fs::write(&gate.file, configuration.replace("saved.toml", "other.toml")).unwrap();
    let log = gate.reload("reloaded");
    assert!(log.contains("limit of the server: 1m → off") && log.contains("overlay: "), "{log}");
    let missing = configuration.replace("saved.toml", "none/saved.toml");
    fs::write(&gate.file, missing).unwrap();
    gate.reload("overlay: ");
    gate.program.end();
}

#[test]
fn the_list_fits_a_terminal() {
    let gate = Gate::start();
    gate.prints("limits set client --rate 50k --burst 64k --save");
    gate.prints("limits set client --burst 32k");
    let list = gate.prints("limits list");
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    assert!(list.lines().next().unwrap().ends_with("SOURCE"), "{list}");
    gate.program.end();
}

#[test]
fn a_limit_set_by_hand_leaves_its_schedule_until_it_is_reset_and_one_that_is_saved_does_for_good() {
    const SCHEDULED: &str = "listen = '127.0.0.1:0'
admin = '127.0.0.1:0'
[limits.server]
rate = '2m'
burst = '1m'
[[limits.server.schedule]]
during = '00:00-24:00'
rate = '3m'
[[route]]
path = '/'
files = '.'
";
    let mut gate = Gate::start_with(SCHEDULED, None);
    let scheduled = "3m 1m schedule:8+file";
    let follows = |gate: &Gate| gate.json("/v1/limits/server")["follows_schedule"].clone();
    assert_eq!((gate.shows("server").as_str(), follows(&gate)), (scheduled, json!(true)));
    let server = gate.json("/v1/limits/server");
    assert_eq!(server["source"]["rate"]["from"], "schedule");
    assert_eq!(server["schedule"][0]["source"]["line"], 8);

    // What is not changed stays what the schedule made of it.
    let changed = gate.prints("limits set server --burst 5k --json");
    let changed: Value = serde_json::from_str(&changed).unwrap();
    assert_eq!((&changed["rate"], &changed["burst"]), (&json!(3 << 20), &json!(5 << 10)));
    assert_eq!((&changed["source"]["rate"]["from"], follows(&gate)), (&json!("schedule"), json!(false)));
    gate.prints("limits reset server");
    assert_eq!((gate.shows("server").as_str(), follows(&gate)), (scheduled, json!(true)));
    gate.prints("limits set server --rate 7m");
    gate.reload("reloaded");
    assert_eq!((gate.shows("server").as_str(), follows(&gate)), (scheduled, json!(true)));

    gate.prints("limits set server --rate 7m --save");
    for again in [|gate: &mut Gate| drop(gate.reload("reloaded")), Gate::restart] {
        again(&mut gate);
        let list = gate.prints("limits list");
        assert!(
            list.lines().any(|line| line.starts_with("server ") && line.ends_with("set by hand")),
            "{list}"
        );
        let server = gate.json("/v1/limits/server");
        assert_eq!((&server["rate"], &server["burst"]), (&json!(7 << 20), &json!(1 << 20)));
        assert_eq!((&server["source"]["rate"]["from"], follows(&gate)), (&json!("overlay"), json!(false)));
    }
    let checked = prints(&["check", text(&gate.file)]);
    assert!(checked.contains("not followed, since the limit was set by hand and saved"), "{checked}");

    gate.prints("limits reset server --save");
    assert_eq!((gate.shows("server").as_str(), follows(&gate)), (scheduled, json!(true)));
    gate.restart();
    assert_eq!((gate.shows("server").as_str(), follows(&gate)), (scheduled, json!(true)));
}
