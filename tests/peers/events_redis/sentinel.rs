//! Sentinels watch a primary and its copy: servers follow them.

use std::fmt::Write;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;
use testkit::process::listener::free_port;
use testkit::program::Program;
use testkit::wait::until;

use super::{Reader, is_ready, publish, publish_at_last};
use crate::program::{Running, program};
use crate::redis::Redis;

/// A sentinel of the primary at the port, which two of them must take for dead.
struct Sentinel {
    port: u16,
    _process: Running,
    _folder: TempDir,
}

impl Sentinel {
    fn start(primary: u16, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        let mut lines = format!("port {port}\nbind 127.0.0.1\ndir {}\n", folder.path().display());
        for line in [
            format!("monitor news 127.0.0.1 {primary} 2"),
            "down-after-milliseconds news 500".to_owned(),
            "failover-timeout news 2000".to_owned(),
        ] {
            writeln!(lines, "sentinel {line}").unwrap();
        }
        lines.push_str(more);
        let settings = folder.path().join("sentinel.conf");
        std::fs::write(&settings, lines).unwrap();
        let mut command = Command::new(program("redis-server"));
        command.arg(settings).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null());
        Self { port, _process: Running(command.spawn().unwrap()), _folder: folder }
    }

    /// What it answers to a question of the primary.
    fn says(&self, question: &str) -> String {
        let mut command = Command::new(program("redis-cli"));
        command.args(["-p", &self.port.to_string(), "SENTINEL", question, "news"]);
        String::from_utf8(command.stderr(Stdio::null()).output().unwrap().stdout).unwrap()
    }

    /// Whether it knows the copy and the two other sentinels.
    fn knows_all(&self) -> bool {
        self.says("CKQUORUM").starts_with("OK 3 usable")
            && self.says("REPLICAS").contains("master-link-status\nok")
    }
}

fn start(sentinels: &[u16], more: &[&str]) -> Program {
    let list: Vec<String> = sentinels.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let store = format!("redis+sentinel://{}/news/0", list.join(","));
    let args = ["events", "s", "--server-name", "t", "--admin", "127.0.0.1:0", "--store", &store];
    Program::start(&[&args[..], more].concat())
}

#[test]
fn servers_follow_the_primary_that_sentinels_choose() {
    let on = |port: u16| vec!["--port".to_owned(), port.to_string()];
    let (first_port, mut first) = Redis::on_port(on);
    let (_, second) = Redis::on_port(on);
    assert_eq!(second.says(&["REPLICAOF", "127.0.0.1", &first_port.to_string()]), "OK");
    let sentinels = [(); 3].map(|()| Sentinel::start(first_port, ""));
    until("the sentinels to know all", || sentinels.iter().all(Sentinel::knows_all));
    // The first that is named is not there.
    let ports: Vec<u16> =
        [free_port().unwrap()].into_iter().chain(sentinels.iter().map(|each| each.port)).collect();
    let servers = [start(&ports, &[]), start(&ports, &[])];
    until("the store", || servers.iter().all(is_ready));
    let (mut reader, _) = Reader::opened(&servers[1], "");
    publish(&servers[0], "s", &json!({"data": "before"}));
    assert_eq!(reader.data(1), ["before"]);
    let role = |of: &Redis| of.says(&["ROLE"]).lines().next().unwrap_or_default().to_owned();
    let head = |of: &Redis| of.says(&["HGET", "{sluicegate:events:/events/}:s:about", "head"]);
    until("the copy to have it", || head(&second) == "1");

    first.kill();
    publish_at_last(servers[0].addr(), &json!({"data": "after", "id": "after"}));
    assert_eq!(role(&second), "master");
    publish_at_last(servers[1].addr(), &json!({"data": "at the other", "id": "other"}));
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let event = reader.told();
        if event.kind == "message" {
            seen.push(event.data);
        } else {
            assert_eq!(event.kind, "sluicegate.position", "{event:?}");
        }
    }
    assert_eq!(seen, ["after", "at the other"]);
    assert!(servers.iter().all(is_ready));
}

#[test]
fn a_sentinel_that_asks_for_a_password_is_given_the_stores() {
    let (port, primary) = Redis::on_port(|port| vec!["--port".to_owned(), port.to_string()]);
    assert_eq!(primary.says(&["CONFIG", "SET", "requirepass", "hush"]), "OK");
    let sentinel = Sentinel::start(port, "sentinel auth-pass news hush\nrequirepass hush\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "hush\n").unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let server = start(&[sentinel.port], &["--store-password-file", file.to_str().unwrap()]);
    until("the store", || is_ready(&server));
    publish(&server, "s", &json!({"data": "taken"}));
}
