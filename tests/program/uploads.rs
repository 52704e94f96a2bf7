//! Limits of uploads as a user sets and sees them: in the file, the access log, the lists, the metrics and by SIGHUP.
//!
//! Real time, since it is a sender that is held back: what must not come early is asserted without tolerance, what must come is
//! waited for.

mod ahead;
mod listed;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use rustix::process::Signal;
use sluicegate::rt;

use testkit::backend::{Backend, taking};
use testkit::h2::{WIDE, connect_with};
use testkit::program::{Program, log_until, text};
use testkit::records::{Record, records};
use testkit::served::connect;
use testkit::wait::{PATIENCE, Told, soon, until};
use testkit::wire::{content, read_all, status};

use crate::typed::{prints, words};

/// How an upload comes: as a request of either version, or through a relay of raw TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Http1,
    Http2,
    Tcp,
}

use Way::{Http1, Http2, Tcp};

/// A limit of uploads: what `held_by` says of it, where it stands in the file (at the top, in the route, in the port), what a
/// reload calls it with `PORT` for the port's name, and the ways that it holds.
struct Limit {
    held_by: &'static str,
    at: [&'static str; 3],
    told: &'static str,
    ways: &'static [Way],
}

const LIMITS: [Limit; 8] = [
    Limit {
        held_by: "upload_server",
        at: ["limits.upload.server = { rate = 'RATE' }", "", ""],
        told: "all uploads",
        ways: &[Http1, Http2, Tcp],
    },
    Limit {
        held_by: "upload_client",
        at: ["limits.upload.client = { rate = 'RATE' }", "", ""],
        told: "uploads of each client",
        ways: &[Http1, Http2, Tcp],
    },
    Limit {
        held_by: "upload_route",
        at: ["", "limits.upload.total = { rate = 'RATE' }", ""],
        told: "all uploads to /",
        ways: &[Http1, Http2],
    },
    Limit {
        held_by: "upload_route_client",
        at: ["", "limits.upload.client = { rate = 'RATE' }", ""],
        told: "uploads of each client to /",
        ways: &[Http1, Http2],
    },
    Limit {
        held_by: "upload",
        at: ["", "upload = { rate = 'RATE' }", ""],
        told: "each upload to /",
        ways: &[Http1, Http2],
    },
    Limit {
        held_by: "upload_tcp",
        at: ["", "", "limits.upload.total = { rate = 'RATE' }"],
        told: "all uploads to PORT",
        ways: &[Tcp],
    },
    Limit {
        held_by: "upload_tcp_client",
        at: ["", "", "limits.upload.client = { rate = 'RATE' }"],
        told: "uploads of each client to PORT",
        ways: &[Tcp],
    },
    Limit {
        held_by: "upload",
        at: ["", "", "upload_rate = 'RATE'"],
        told: "each upload to PORT",
        ways: &[Tcp],
    },
];

/// A program in front of a backend that takes uploads, on a route and on a port, with one limit.
struct Uploading {
    program: Program,
    limit: &'static Limit,
    folder: tempfile::TempDir,
    backend: Backend,
    bodies: Told<Vec<u8>>,
    /// Bytes of bodies that the backend has read.
    count: Arc<AtomicU64>,
}

impl Uploading {
    fn new(limit: &'static Limit, rate: &str) -> Self {
        let (backend, bodies, count) = taking();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), backend.addr, limit, rate);
        let program = Program::start(&["run", text(&folder.path().join("site.toml")), "--log-level", "info"]);
        Self { program, limit, folder, backend, bodies, count }
    }

    /// The address of the port of raw TCP.
    fn port(&self) -> SocketAddr {
        let line = self.program.started.iter().find_map(|line| line.strip_prefix("listening on tcp:"));
        line.unwrap().split(' ').next().unwrap().parse().unwrap()
    }

    fn taken(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Sends `len` bytes on a connection of their own, on a thread. Its value is the status of the answer.
    fn send(&self, way: Way, len: usize) -> JoinHandle<u16> {
        let addr = if way == Tcp { self.port() } else { self.program.addr() };
        std::thread::spawn(move || if way == Http2 { sent_by_2(addr, len) } else { sent_by_1(addr, len) })
    }

    /// Has the program read its file again, with another rate in it.
    fn hang_up(&mut self, rate: &str) -> String {
        write(self.folder.path(), self.backend.addr, self.limit, rate);
        self.program.signal(Signal::HUP);
        log_until(&mut self.program, "reloaded")
    }
}

fn write(folder: &Path, backend: SocketAddr, limit: &Limit, rate: &str) {
    let [top, route, port] = limit.at.map(|text| text.replace("RATE", rate));
    let file = format!(
        "access_log = 'stderr'\nadmin = '127.0.0.1:0'\n{top}\n\
         [[route]]\npath = '/'\nproxy = 'http://{backend}'\n{route}\n\
         [[tcp]]\nlisten = '127.0.0.1:0'\nto = '{backend}'\n{port}\n"
    );
    // Renamed into place: a hang-up never sees half of it.
    std::fs::write(folder.join("new"), file).unwrap();
    std::fs::rename(folder.join("new"), folder.join("site.toml")).unwrap();
}

/// A request with `len` bytes. Through a relay it goes to the backend as it is.
fn head(len: usize) -> String {
    format!("POST /a HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n")
}

fn sent_by_1(addr: SocketAddr, len: usize) -> u16 {
    let mut stream: TcpStream = connect(addr);
    stream.write_all(&[head(len).as_bytes(), &content(len)].concat()).unwrap();
    // To the end, or the close would be a reset. What is sent may wait in the kernel for long.
    stream.set_read_timeout(Some(3 * PATIENCE)).unwrap();
    status(std::str::from_utf8(&read_all(&mut stream)).unwrap())
}

fn sent_by_2(addr: SocketAddr, len: usize) -> u16 {
    rt::block_on(async {
        let mut sender = connect_with(addr, WIDE).await;
        let request = Request::post("http://t/a").body(Full::new(Bytes::from(content(len)))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        status
    })
}

/// Runs `check` for each of `limits`, all at once.
fn each(limits: &'static [Limit], check: impl Fn(&'static Limit) + Sync) {
    std::thread::scope(|scope| {
        for limit in limits {
            scope.spawn(|| check(limit));
        }
    });
}

/// The one line of the access log, about an upload that came by `way`.
fn line(log: &str, way: Way) -> Record {
    let lines = records(log, if way == Tcp { "stream" } else { "response" });
    let version = match way {
        Http1 => ("version", "HTTP/1.1"),
        Http2 => ("version", "HTTP/2.0"),
        Tcp => ("msg", "stream"),
    };
    let [line] = &lines[..] else { panic!("{way:?}: {log}") };
    line.assert_says(&[version]);
    line.clone()
}

#[test]
fn the_access_log_names_the_limit_that_held_an_upload_and_its_pace() {
    const LEN: usize = 120_000;
    each(&LIMITS, |limit| {
        for way in limit.ways {
            let what = format!("{} {way:?}", limit.told);
            // It takes a second. Where it takes much longer the machine holds it, and that is no matter of limits.
            until("an upload that only its limit holds", || {
                let uploading = Uploading::new(limit, "100000B");
                assert_eq!(uploading.send(*way, LEN).join().unwrap(), 200, "{what}");
                let body = uploading.bodies.recv().unwrap();
                assert!(body == content(LEN), "{what}: {} bytes", body.len());
                let log = uploading.program.end();
                let line = line(&log, *way);
                let is_timely = line.number("duration_ms") < 1_250;
                if is_timely {
                    check_line(&line, limit, LEN, if *way == Tcp { head(LEN).len() } else { 0 });
                }
                is_timely
            });
        }
    });
}

/// Checks what the access log says of an upload of `len` bytes at 100 000 bytes/s; through a relay the head is one of them.
fn check_line(line: &Record, limit: &Limit, len: usize, head: usize) {
    let bytes = (len + head) as u64;
    let set = if limit.held_by == "upload" { "100000B" } else { "off" };
    line.assert_says(&[
        ("held_by", limit.held_by),
        ("bytes_up", &bytes.to_string()),
        ("rate_up_set", set),
        ("outcome", "complete"),
    ]);
    // At the start, behind a pause, and at the end a chunk of 200 ms may leave sooner.
    let (pace, lasted) = (line.number("bytes_up_per_second"), line.number("duration_ms"));
    assert!(lasted >= 600 && pace <= 201_000, "{line:?}");
    // A stream's is that of all its time; content ends before the answer does.
    assert!(pace >= bytes * 1_000 / (lasted + 1), "{line:?}");
}

#[test]
fn a_hang_up_changes_the_pace_of_an_upload_under_way_and_nothing_is_lost() {
    const LEN: usize = 8 << 20;
    each(&LIMITS, |limit| {
        for way in limit.ways {
            let what = format!("{} {way:?}", limit.told);
            let mut uploading = Uploading::new(limit, "1000B");
            let told = limit.told.replace("PORT", &format!("tcp:{}", uploading.port()));
            let sending = uploading.send(*way, LEN);
            until("the first bytes", || uploading.taken() > 0);
            assert!(uploading.taken() <= 20_000, "{what}: {} bytes", uploading.taken());

            // At the rate before it would take an hour.
            let log = uploading.hang_up("2m");
            assert!(log.contains(&format!("limit of {told}: 1000B → 2m")), "{what}: {log}");
            until("the faster pace", || uploading.taken() >= 1 << 20);

            let log = uploading.hang_up("1000B");
            assert!(log.contains(&format!("limit of {told}: 2m → 1000B")), "{what}: {log}");
            let before = uploading.taken();
            // That bytes do not come can be seen only by waiting. At the rate before it would be a megabyte.
            std::thread::sleep(Duration::from_millis(500));
            let more = uploading.taken() - before;
            assert!(more <= 256 * 1024 && uploading.taken() < LEN as u64, "{what}: {more} bytes more");

            let log = uploading.hang_up("off");
            assert!(log.contains(&format!("limit of {told}: 1000B → off")), "{what}: {log}");
            assert_eq!(sending.join().unwrap(), 200, "{what}");
            assert!(uploading.bodies.recv().unwrap() == content(LEN), "{what}: not what was sent");
            uploading.program.end();
        }
    });
}

/// The line of a table that `is_it` finds, its cells one space apart.
fn row(table: &str, is_it: impl Fn(&str) -> bool) -> Option<String> {
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.into_iter().find(|line| is_it(line))
}

#[test]
fn an_upload_under_way_is_in_the_lists_and_metrics_and_a_command_sets_it_free() {
    const LEN: usize = 60_000;
    // Those of requests; a port's limits are neither listed nor set by the command.
    each(&LIMITS[..5], |limit| {
        // As the command writes them, with and without "each".
        let of_all = ["upload_server", "upload_client"].contains(&limit.held_by);
        let typed = limit.held_by.replace('_', "-") + if of_all { "" } else { " /" };
        let listed = if limit.held_by == "upload_client" { format!("{typed} (each)") } else { typed.clone() };
        let route = if of_all { "all" } else { "/" };
        for way in [Http1, Http2] {
            let what = format!("{} {way:?}", limit.told);
            let uploading = Uploading::new(limit, "1000B");
            let admin = uploading.program.admin().to_string();
            let metric = |name: &str| {
                let name =
                    format!("sluicegate_limit_{name}{{limit=\"{}\",route=\"{route}\"}}", limit.held_by);
                testkit::watched::metric(uploading.program.admin(), &name)
            };
            let sending = uploading.send(way, LEN);
            let set = if limit.held_by == "upload" { "1000B" } else { "off" };
            // ID, peer, client, method, target, age, bytes and what comes now stand before it.
            let connections = soon("the upload in the list, held", || {
                let list = prints(&["connections", "list", "--wide", "--admin", &admin]);
                let upload = row(&list, |line| line.contains("POST /a (upload)"))?;
                upload.contains(&format!("/s {set} {} ", limit.held_by)).then_some(upload)
            });
            assert!(
                connections.ends_with(&format!(" ms {listed}"))
                    || connections.ends_with(&format!(" s {listed}")),
                "{connections}"
            );
            let list = prints(&["limits", "list", "--admin", &admin]);
            let of_limit = row(&list, |line| line.starts_with(&format!("{listed} "))).unwrap();
            assert!(of_limit.starts_with(&format!("{listed} 1000B - ")), "{what}: {of_limit}");
            assert_eq!(metric("rate_bytes"), Some(1_000), "{what}");
            if limit.held_by == "upload" {
                assert_eq!((metric("passed_bytes_total"), metric("waits_total")), (None, None));
            } else {
                let passed = metric("passed_bytes_total").unwrap();
                assert!((1..=LEN as u64 / 2).contains(&passed), "{what}: {passed}");
                until("a wait that was counted", || metric("waits_total").unwrap() >= 1);
            }

            let change = format!("limits set {typed} --rate off --admin {admin}");
            let changed = prints(&words(&change));
            assert!(changed.contains(&format!("{listed} ")) && changed.contains(" off "), "{changed}");
            assert_eq!(sending.join().unwrap(), 200, "{what}");
            assert!(uploading.bodies.recv().unwrap() == content(LEN), "{what}");
            assert_eq!(metric("rate_bytes"), None, "{what}");
            if limit.held_by != "upload" {
                assert_eq!(metric("passed_bytes_total"), Some(LEN as u64), "{what}");
            }

            // One that only reports holds nothing and counts what it would have held.
            prints(&words(&format!("limits set {typed} --rate 1000B --report-only true --admin {admin}")));
            assert_eq!(uploading.send(way, LEN).join().unwrap(), 200, "{what}");
            let over = metric("over_bytes_total").unwrap();
            assert!((LEN as u64 / 2..=LEN as u64).contains(&over), "{what}: {over} of {LEN}");
            uploading.program.end();
        }
    });
}
