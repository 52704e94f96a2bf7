//! The program: `sluicegate quota serve` and the commands that ask it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sluicegate::quota::client::Connector;
use sluicegate::rt;

use crate::fixture::{beat, register};
use testkit::certificates::Certificates;
use testkit::program::{self, Program, log_until};
use testkit::records::records;
use testkit::wait::until;

/// A quota server as a process.
struct Quota {
    program: Program,
    url: String,
    started: String,
}

fn command(args: &[&str]) -> Command {
    program::command(&[&["quota"], args].concat())
}

impl Quota {
    fn start(args: &[&str]) -> Self {
        let program = Program::start(&[&["quota", "serve", "--learning", "0s"], args].concat());
        let url = program.started[0].strip_prefix("quota server listening on ").unwrap().to_owned();
        let started = program.started.join("\n");
        Self { program, url, started }
    }

    fn ask(&self, args: &[&str]) -> Output {
        command(args).args(["--server", &self.url]).output().unwrap()
    }

    /// What a command that ends well prints.
    fn says(&self, args: &[&str]) -> String {
        let output = self.ask(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn fails(output: &Output, code: i32, expected: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.contains(expected), "{expected} in {error}");
}

/// The cells of a table.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn limits_are_listed_set_and_deleted_and_clients_shown() {
    let program = Quota::start(&["--limit", "egress=100m", "--limit", "api=100/s"]);
    assert!(
        program.started.contains(
            "\n  egress=100m\n  api=100/s\n\
             what is set by hand holds until a restart; --store file:PATH keeps it\nleases last 30s\n"
        ),
        "{}",
        program.started
    );
    let expected = "LIMIT    RATE  CLIENTS  GRANTED  SOURCE\n\
                    api     100/s        0      0/s  flag\n\
                    egress   100m        0       0B  flag\n";
    assert_eq!(program.says(&["list"]), expected);
    assert_eq!(program.says(&["clients"]), "there are no clients\n");

    rt::block_on(async {
        let mut calls = Connector::new(program.url.parse().unwrap()).connect().await.unwrap();
        for client in ["web-1", "web-2"] {
            register(&mut calls, client).await.unwrap();
            beat(&mut calls, client, &["egress"]).await.unwrap();
        }
    });
    let clients = program.says(&["clients"]);
    let rows = rows(&clients);
    assert_eq!(rows[1][0], "web-1");
    assert_eq!(rows[1][2..], ["egress", "100m", "50m", "all"]);
    assert_eq!(rows[2][2..], ["egress", "0B", "50m", "all"], "until the first has acknowledged");
    let json: serde_json::Value =
        serde_json::from_str(program.says(&["clients", "--json"]).lines().next().unwrap()).unwrap();
    assert_eq!((&json["client"], &json["shares"][0]["share"]), (&"web-1".into(), &(100 << 20).into()));

    let set = program.says(&["set", "egress=8mbit"]);
    let lines: Vec<&str> = set.lines().collect();
    assert_eq!((lines.len(), lines[1].split_whitespace().next()), (3, Some("egress")));
    assert_eq!(
        lines[2],
        "until the quota server restarts: `quota serve --limit egress=8mbit` sets it at each start"
    );
    let json = program.ask(&["set", "egress=8mbit", "--json"]);
    assert!(String::from_utf8(json.stderr).unwrap().contains("until the quota server restarts"));
    serde_json::from_slice::<serde_json::Value>(&json.stdout).unwrap();
    let list = program.says(&["list", "--json"]);
    assert!(list.contains(r#""limit":1000000,"resource":"egress","source":"api","unit":"bytes""#), "{list}");
    let get = program.says(&["get", "egress", "--json"]);
    assert_eq!(Some(get.trim_end()), list.lines().find(|line| line.contains("egress")));
    assert!(program.says(&["reset", "egress"]).lines().nth(1).unwrap().contains("100m"));
    fails(&program.ask(&["reset", "egress"]), 1, "there is nothing to reset");
    assert_eq!(
        program.says(&["delete", "api"]),
        "api has no limit any more\n\
         until the quota server restarts: what its --limit flags say comes back then\n"
    );
    fails(&program.ask(&["get", "api"]), 1, "resource api has no limit");
    fails(&program.ask(&["delete", "api"]), 1, "resource api has no limit");
    fails(&program.ask(&["set", "egress=5/s"]), 1, "counts bytes; delete its limit");
}

#[test]
fn a_watch_prints_shares_as_they_change() {
    let program = Quota::start(&["--limit", "api=100/s"]);
    let mut watch =
        command(&["watch", "api", "--server", &program.url]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    rt::block_on(async {
        let mut calls = Connector::new(program.url.parse().unwrap()).connect().await.unwrap();
        register(&mut calls, "a").await.unwrap();
        beat(&mut calls, "a", &["api"]).await.unwrap();
        let first = lines.next().unwrap().unwrap();
        assert_eq!(first, "a  api  100/s  (fair 100/s, wants all)");
        beat(&mut calls, "a", &[]).await.unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "a  api  gone");
    });
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn usage_errors_are_reported() {
    for (typed, expected) in [
        ("", "a command is missing after quota: serve, list"),
        ("serve --limit egress", "--limit: \"egress\" names no resource"),
        ("serve --limit a=0/s", "a limit of zero"),
        ("serve --limit a=1m --limit a=2m", "a is given twice"),
        ("serve --heartbeat-timeout 0s", "--heartbeat-timeout"),
        ("serve --max-clients 0", "not a whole number from 1"),
        ("serve --tls-cert x", "--tls-cert needs --tls-key"),
        ("serve --client-ca x", "--client-ca needs --tls-cert and --tls-key"),
        ("list --server 127.0.0.1:1", "write http://127.0.0.1:9190"),
        ("list --server https://127.0.0.1:1", "needs --tls-ca"),
        ("set api", "names no resource"),
    ] {
        fails(&command(&typed.split_whitespace().collect::<Vec<_>>()).output().unwrap(), 2, expected);
    }
    fails(
        &command(&["serve", "--listen", "0.0.0.0:0"]).output().unwrap(),
        1,
        "without a token or mutual TLS",
    );
    fails(
        &command(&["list", "--server", "http://127.0.0.1:1"]).output().unwrap(),
        1,
        "cannot reach the quota server",
    );
}

#[test]
fn a_signal_drains_and_the_program_ends_well() {
    let program = Quota::start(&["--limit", "api=100/s", "--heartbeat-timeout", "5s"]);
    assert!(program.started.contains("leases last 5s"), "{}", program.started);
    let mut watch = command(&["watch", "--server", &program.url]).stdout(Stdio::null()).spawn().unwrap();
    // A call that was answered on the same server: the watch may be before or behind it, both are ended.
    program.says(&["list"]);
    let log = program.program.end();
    assert!(log.contains("draining") && log.contains("stopped"), "{log}");
    assert_eq!(watch.wait().unwrap().code(), Some(1), "the watch says why it ends");
}

#[test]
fn over_tls_client_and_server_authenticate_each_other() {
    let files = Certificates::make();
    let [cert, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| files.path(name));
    let args = ["--limit", "api=100/s", "--tls-cert", &cert, "--tls-key", &key, "--client-ca", &ca];
    let program = Quota::start(&args);
    assert!(program.url.starts_with("https://"), "{}", program.url);
    let [cert, key] = ["client.pem", "client.key"].map(|name| files.path(name));
    let ours = ["list", "--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    assert!(program.says(&ours).contains("100/s"));
    fails(&program.ask(&["list", "--tls-ca", &ca]), 1, "sluicegate: ");
    let foreign = Certificates::make();
    let [cert, key] = ["client.pem", "client.key"].map(|name| foreign.path(name));
    fails(
        &program.ask(&["list", "--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key]),
        1,
        "sluicegate: ",
    );
    fails(&program.ask(&["list", "--tls-ca", &foreign.path("ca.pem")]), 1, "certificate");
    fails(&program.ask(&["list", "--tls-ca", "/nowhere"]), 1, "TLS file /nowhere");
    fails(&program.ask(&["list", "--tls-ca", &files.path("client.key")]), 1, "no certificate");
}

#[test]
fn sigusr2_has_a_new_quota_server_take_the_address_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("file:{}", folder.path().join("limits.toml").display());
    for (store, expected) in [("memory", ["100m", "flag"]), (&file, ["50m", "store"])] {
        take_over(store, expected);
    }
}

fn take_over(store: &str, [rate, source]: [&str; 2]) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let addr = port.to_string();
    let args = ["serve", "--learning", "0s", "--listen", &addr, "--limit", "egress=100m", "--store", store];
    let mut old = Program::start_where_told(command(&args));
    let asked = |args: &[&str]| {
        let output = command(args).args(["--server", &format!("http://{addr}")]).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    asked(&["set", "egress=50m"]);
    old.signal(Signal::USR2);
    const REPLACED: &str = "draining: the new program serves; a signal stops this one at once";
    let log = log_until(&mut old, REPLACED);
    let pid = Pid::from_raw(records(&log, REPLACED)[0].number("pid") as i32).unwrap();
    log_until(&mut old, "stopped");
    until("the old one ends", || !old.runs());
    let list = asked(&["list"]);
    assert_eq!(rows(&list)[1], ["egress", rate, "0", "0B", source], "what was typed, or what is kept");
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(old.wait().0.code(), Some(0));
}
