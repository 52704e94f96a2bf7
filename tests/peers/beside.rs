//! nginx and HAProxy in front of it and behind it, by the blocks of docs/operations.md and docs/proxy.md as they are there:
//! only addresses and paths of files are others.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use testkit::backend::Backend;
use testkit::wait::until;

use crate::haproxy::{blocks, haproxy, with};
use crate::nginx::Nginx;
use crate::pace::{CHUNK, RATE, assert_paced, get};
use crate::program::{make_file, program, site, succeeded, timed};
use crate::sluicegate::Sluicegate;

const OPERATIONS: &str = include_str!("../../docs/operations.md");
const BACKENDS: &str = include_str!("../../docs/proxy.md");
const BESIDE: &str = "Beside other programs";

/// Sluicegate by the configuration for a proxy in front, for the files of `folder`.
fn behind_proxy(state: &Path, folder: &Path) -> Sluicegate {
    let file = state.join("behind-nginx.toml");
    let keys = blocks(OPERATIONS, "Behind nginx", "toml")[0];
    let keys = with(keys, &[("fixtures/site", folder.to_str().unwrap())]);
    fs::write(&file, format!("access_log = \"stderr\"\n{keys}")).unwrap();
    Sluicegate::run(&file)
}

/// What curl gets from an address that nobody trusts.
fn curl(url: &str) -> Vec<u8> {
    curl_from("127.0.0.3", url)
}

fn curl_from(address: &str, url: &str) -> Vec<u8> {
    let mut command = Command::new(program("curl"));
    command.args(["-q", "-sS", "--fail", "--interface", address, "-H", "X-Forwarded-For: 6.6.6.6", url]);
    succeeded(&mut command)
}

#[test]
fn nginx_in_front_names_its_clients_and_keeps_the_pace() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        let content = make_file(folder.path(), "a.txt", 8 * CHUNK);
        let server = behind_proxy(folder.path(), folder.path());
        let block = with(
            blocks(OPERATIONS, "Behind nginx", "nginx")[0],
            &[("127.0.0.1:8080", &server.addr.to_string())],
        );
        let nginx = Nginx::start(&block);
        assert!(curl(&nginx.url("/a.txt")) == content);
        server.logged(&[("client", "127.0.0.3"), ("target", "/a.txt"), ("outcome", "complete")]);
        let answer = get(nginx.addr, "/a.txt", "");
        assert!(answer.body == content);
        assert_paced(&answer, RATE, 0);
    });
}

#[test]
fn a_rule_of_nginx_rewrites_addresses_in_front() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("new")).unwrap();
        let content = make_file(&folder.path().join("new"), "a.txt", 8 * CHUNK);
        let server = behind_proxy(folder.path(), folder.path());
        let block = blocks(OPERATIONS, BESIDE, "nginx")[1];
        let nginx = Nginx::start(&with(block, &[("127.0.0.1:8080", &server.addr.to_string())]));
        let answer = get(nginx.addr, "/old/a.txt", "");
        assert!(answer.body == content);
        assert_paced(&answer, RATE, 0);
        assert!(curl(&nginx.url("/old/a.txt")) == content);
        server.logged(&[("client", "127.0.0.3"), ("target", "/new/a.txt"), ("outcome", "complete")]);
    });
}

#[test]
fn haproxy_in_front_balances_clients_among_servers_that_listen() {
    let folder = tempfile::tempdir().unwrap();
    let content = make_file(folder.path(), "f", 1_000);
    let [one, other] = [(); 2].map(|()| behind_proxy(folder.path(), folder.path()));
    let [a, b] = [&one, &other].map(|server| server.addr.to_string());
    let block = blocks(OPERATIONS, BESIDE, "haproxy")[0];
    let (front, _haproxy) = haproxy(folder.path(), |addr| {
        with(block, &[(":80\n", &format!("{addr}\n")), ("10.0.0.1:8080", &a), ("10.0.0.2:8080", &b)])
    });
    let url = format!("http://{front}/f");
    // An odd number: taking turns would not keep a client where it was.
    let addresses: Vec<_> = (2..=16).map(|n| format!("127.0.0.{n}")).collect();
    let served = |server: &Sluicegate, address: &str| server.said(&format!("\"client\":\"{address}\","));
    for address in addresses.iter().chain(&addresses) {
        assert!(curl_from(address, &url) == content);
    }
    let counts = || addresses.iter().map(|address| [&one, &other].map(|server| served(server, address)));
    until("each of both had its clients, and each client one of them", || {
        counts().all(|counts| counts.contains(&2) && counts.contains(&0))
    });
    for side in 0..2 {
        assert!(counts().any(|counts| counts[side] == 2), "{:?}", counts().collect::<Vec<_>>());
    }
    // One that ends listens no more, and its clients go to the other.
    kill_process(Pid::from_raw(one.id() as i32).unwrap(), Signal::TERM).unwrap();
    until("HAProxy leaves it out", || {
        let asked = |address: &String| {
            let mut command = Command::new(program("curl"));
            command.args(["-q", "-sS", "--fail", "--interface", address, &url]).output().unwrap()
        };
        addresses.iter().map(asked).all(|output| output.status.success() && output.stdout == content)
    });
    for address in &addresses {
        assert!(curl_from(address, &url) == content);
    }
}

/// An app on a port of its own, which counts what it is asked for.
fn app(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (Backend, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let backend = Backend::new(move |stream, head| {
        // HAProxy's checks of a port say nothing.
        if !head.is_empty() {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(&answer(head));
        }
    });
    (backend, asked)
}

fn response(fields: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn what_nginx_has_in_its_cache_behind_is_paced_too() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        let content = make_file(folder.path(), "f", 8 * CHUNK);
        let body = content.clone();
        let (app, asked) = app(move |_| response("Cache-Control: max-age=60\r\n", &body));
        let block = blocks(OPERATIONS, BESIDE, "nginx")[0];
        let nginx = Nginx::start_http(|addr, state| {
            with(
                block,
                &[
                    ("/var/cache/nginx/app", state.join("app").to_str().unwrap()),
                    ("127.0.0.1:9000", &addr.to_string()),
                    ("127.0.0.1:3000", &app.addr.to_string()),
                ],
            )
        });
        let server = Sluicegate::proxy(nginx.addr, &["--rate", "60"]);
        // Of another client: one that had a response waits for what that had on credit.
        assert!(curl(&server.url("/f")) == content);
        let answer = get(server.addr, "/f", "");
        assert!(answer.body == content);
        assert_paced(&answer, RATE, 0);
        assert_eq!(asked.load(Ordering::SeqCst), 1, "the app is asked once");
    });
}

#[test]
fn a_script_of_haproxy_behind_has_the_last_word_on_the_pace() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        let content = make_file(folder.path(), "f", 300_000);
        let body = content.clone();
        let (app, _) = app(move |head| {
            let kind = if head.contains("/film ") { "video/mp4" } else { "text/plain" };
            response(&format!("Content-Type: {kind}\r\n"), &body)
        });
        let script = folder.path().join("pace.lua");
        fs::write(&script, blocks(OPERATIONS, BESIDE, "lua")[0]).unwrap();
        let block = blocks(OPERATIONS, BESIDE, "haproxy")[1];
        let (haproxy, _process) = haproxy(folder.path(), |addr| {
            with(
                block,
                &[
                    ("/etc/haproxy/pace.lua", script.to_str().unwrap()),
                    ("127.0.0.1:9000", &addr.to_string()),
                    ("127.0.0.1:3000", &app.addr.to_string()),
                ],
            )
        });
        let server = Sluicegate::proxy(haproxy, &["--rate", "1m"]);
        let film = get(server.addr, "/film", "");
        assert!(film.body == content && film.field("x-accel-limit-rate").is_none());
        assert_paced(&film, 250_000, 0);
        server.logged(&[("target", "/film"), ("rate_set", "2mbit"), ("outcome", "complete")]);
        let text = get(server.addr, "/text", "");
        assert!(text.body == content);
        assert_paced(&text, 1 << 20, 0);
        server.logged(&[("target", "/text"), ("rate_set", "1m"), ("outcome", "complete")]);
    });
}

#[test]
fn haproxy_behind_leaves_out_what_its_probes_find_ill() {
    let folder = tempfile::tempdir().unwrap();
    let (app, asked) = app(|head| match head.contains("/health") {
        true => response("", b"well"),
        false => response("", b"content"),
    });
    // Its probes have another answer.
    let (ill, ill_asked) =
        self::app(|_| b"HTTP/1.1 500 Ill\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec());
    let block = blocks(BACKENDS, "Several backends", "haproxy")[0];
    let (haproxy, _process) = haproxy(folder.path(), |addr| {
        with(
            block,
            &[
                ("127.0.0.1:9001", &addr.to_string()),
                ("10.0.0.1:9000", &app.addr.to_string()),
                ("10.0.0.2:9000", &ill.addr.to_string()),
            ],
        )
    });
    let server = Sluicegate::proxy(haproxy, &["--rate", "1m"]);
    until("both are probed", || asked.load(Ordering::SeqCst) > 1 && ill_asked.load(Ordering::SeqCst) > 3);
    for _ in 0..10 {
        assert_eq!(curl(&server.url("/f")), b"content");
    }
}

/// oauth2-proxy itself is in no registry of packages that the checks reach: its block is held to what it must say.
#[test]
fn the_block_of_oauth2_proxy_can_be_read_and_leads_here() {
    let block = blocks(OPERATIONS, BESIDE, "ini")[0];
    let keys: toml::Table = block.parse().unwrap();
    let names: Vec<_> = keys.keys().map(String::as_str).collect();
    assert_eq!(names, ["email_domains", "http_address", "provider", "upstreams"]);
    let served = Sluicegate::serve(&site(), &[]);
    let upstream = keys["upstreams"][0].as_str().unwrap().replace("127.0.0.1:8080", &served.addr.to_string());
    assert!(!curl(&upstream).is_empty());
}
