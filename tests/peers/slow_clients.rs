//! slowhttptest, which keeps some hundred connections busy with next to nothing: heads that never end,
//! bodies that never come, readers that hardly read, ranges without number.
//!
//! The server must stay available to others, let those go that are too slow, and keep nothing of them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::backend;
use crate::bystanders::{self, Bystanders, PACED, SMALL};
use crate::program::{ended, loud, make_file, program};
use crate::sluicegate::Sluicegate;
use testkit::records::without_colours;
use testkit::wait::{soon, until};

/// Connections of one attack.
const CONNECTIONS: u64 = 300;

/// Served with a pace of 60 KiB/s it lasts longer than any attack here.
const LARGE: (&str, usize) = ("large", 4_000_000);

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, len) in [SMALL, PACED, LARGE] {
        make_file(folder.path(), name, len);
    }
    folder
}

/// The server at 60 KiB/s with further flags.
fn serve(folder: &Path, flags: &[&str]) -> Sluicegate {
    Sluicegate::serve(
        folder,
        &[&["--rate", "60", "--admin", "127.0.0.1:0", "--log-level", "warn"], flags].concat(),
    )
}

/// Attacks `target` with so many connections, 400 more each second, for at most `seconds`. Says how it
/// ended.
fn slowhttptest(server: &Sluicegate, target: &str, seconds: u32, mode: &str) -> String {
    let mut command = Command::new(program("slowhttptest"));
    let all = format!("-c {CONNECTIONS} -r 400 -p 1 -l {seconds} {mode}");
    let report = ended(command.args(all.split(' ')).args(["-u", &server.url(target)]));
    let report = without_colours(&String::from_utf8_lossy(&report.stdout));
    let status = report.lines().find_map(|line| line.strip_prefix("Exit status: "));
    status.unwrap_or_else(|| panic!("{command:?}: {report}")).to_owned()
}

/// How often the server's connections are counted.
const GLANCE: Duration = Duration::from_millis(50);

/// What is to be seen of an attack from the server's side.
struct Seen {
    /// How slowhttptest says that it ended.
    status: String,
    /// The most connections at a time.
    peak: u64,
}

/// Runs an attack beside clients that do nothing wrong; these must not notice. Afterwards nothing is left.
fn attacked(server: &Sluicegate, target: &str, seconds: u32, mode: &str) -> Seen {
    let descriptors = at_rest(server);
    let bystanders = Bystanders::of(server.addr);
    let mut peak = 0;
    let status = std::thread::scope(|scope| {
        let attack = scope.spawn(|| slowhttptest(server, target, seconds, mode));
        while !attack.is_finished() {
            peak = peak.max(server.metric("sluicegate_connections"));
            std::thread::sleep(GLANCE);
        }
        attack.join().unwrap()
    });
    let others = bystanders.finish();
    let came =
        ["accepted", "refused"].map(|how| server.metric(&format!("sluicegate_connections_{how}_total")));
    assert!(came[0] + came[1] >= CONNECTIONS + others, "{came:?}, {others} of them in peace");
    until("the end of all connections", || server.metric("sluicegate_connections") == 0);
    until("the descriptors there were before", || server.descriptors() <= descriptors);
    assert_eq!(server.metric("sluicegate_egress_buffered_bytes"), 0);
    Seen { status, peak }
}

/// The descriptors that are open when nobody is there. What is opened once has been opened by then.
fn at_rest(server: &Sluicegate) -> usize {
    assert_eq!(bystanders::ask(server.addr, SMALL.0).status(), 200);
    until("the end of the first connection", || server.metric("sluicegate_connections") == 0);
    // The admin listener's connection ends a moment later.
    let mut before = usize::MAX;
    soon("the end of its connection", || {
        let now = server.descriptors();
        let settled = std::mem::replace(&mut before, now) == now;
        settled.then_some(now)
    })
}

/// slowhttptest's words for: the server ended them all.
const LET_GO: &str = "No open connections left";

#[test]
fn heads_that_never_end_are_closed_at_the_timeout() {
    let _machine = loud();
    let folder = folder();
    let server = serve(folder.path(), &["--header-timeout", "2s"]);
    let seen = attacked(&server, "/small", 12, "-H -i 1 -x 10");
    assert_eq!(seen.status, LET_GO);
    assert!(seen.peak > CONNECTIONS / 2, "{} at a time", seen.peak);
}

/// Windows of 256 to 512 bytes, of which 32 are read each second.
const SLOW_READ: &str = "-X -w 256 -y 512 -n 1 -z 32";

#[test]
fn readers_that_hardly_read_are_closed_at_the_timeout() {
    let _machine = loud();
    let folder = folder();
    let flags = ["--send-buffer", "16k", "--stall-timeout", "1s", "--min-drain-rate", "1k"];
    let server = serve(folder.path(), &flags);
    let seen = attacked(&server, "/large", 4, SLOW_READ);
    assert!(seen.peak > CONNECTIONS / 2, "{} at a time", seen.peak);
    assert!(server.metric("sluicegate_egress_stall_closes_total") >= CONNECTIONS);
    assert_eq!(server.metric("sluicegate_egress_overflow_closes_total"), 0);
    // A line for each would be an attack on the disk.
    let told = server.said("connection reset");
    assert!((1..=20).contains(&told), "{told} lines");
}

#[test]
fn readers_that_hardly_read_are_closed_when_their_buffers_overflow() {
    let _machine = loud();
    let folder = folder();
    let server = serve(folder.path(), &["--send-buffer", "16k", "--on-full", "close"]);
    attacked(&server, "/large", 4, SLOW_READ);
    assert!(server.metric("sluicegate_egress_overflow_closes_total") >= CONNECTIONS);
    assert_eq!(server.metric("sluicegate_egress_stall_closes_total"), 0);
}

#[test]
fn bodies_that_hardly_come_are_not_waited_for_where_nobody_wants_them() {
    let _machine = loud();
    let folder = folder();
    let server = serve(folder.path(), &[]);
    let seen = attacked(&server, "/small", 12, "-B -i 1 -x 10 -s 100000");
    assert_eq!(seen.status, LET_GO);
}

#[test]
fn bodies_that_hardly_come_are_given_up_at_the_backends_timeout() {
    let _machine = loud();
    let folder = folder();
    let config = folder.path().join("both.toml");
    let backend = backend::deaf();
    let text = format!(
        "admin = '127.0.0.1:0'\nlog_level = 'warn'\nmax_connections = 1000\n\
         [[route]]\npath = '/'\nfiles = '.'\nrate = 60\n\
         [[route]]\npath = '/up/'\nproxy = 'http://{backend}'\nresponse_timeout = '1s'\n"
    );
    std::fs::write(&config, text).unwrap();
    let server = Sluicegate::run(&config);
    let seen = attacked(&server, "/up/", 12, "-B -i 3 -x 10 -s 100000");
    assert_eq!(seen.status, LET_GO);
    assert!(seen.peak > CONNECTIONS / 2, "{} at a time", seen.peak);
}

/// Two thousand ranges that overlap: "0-", "5-5", "5-6" and so on.
const RANGES: &str = "-R -a 5 -b 2000";

#[test]
fn ranges_without_number_cost_no_more_than_the_whole() {
    let _machine = loud();
    let folder = folder();
    let server = serve(folder.path(), &[]);
    let seen = attacked(&server, "/large", 12, RANGES);
    assert_eq!(seen.status, LET_GO);
    let whole =
        crate::pace::get(server.addr, "/small", &format!("Range: bytes=0-{}\r\n", ",5-6".repeat(2000)));
    assert_eq!((whole.status(), whole.body.len()), (200, SMALL.1));
    // The same with their content: each download is whole, and paced as others are.
    attacked(&server, "/large", 3, &format!("{RANGES} -t GET"));
}

/// Without its bound one address takes all places but the last eighth, and those that send heads bit by bit make room.
#[test]
fn one_address_takes_no_more_places_than_it_may() {
    let _machine = loud();
    let folder = folder();
    let places = ["--max-connections", "100"];
    let server = serve(folder.path(), &[&places[..], &["--client-connections", "60"]].concat());
    let seen = attacked(&server, "/small", 2, "-H -i 1 -x 10");
    assert!((30..=62).contains(&seen.peak), "{} at a time", seen.peak);
    assert!(server.metric("sluicegate_connections_refused_total") > 0);

    let server = serve(folder.path(), &places);
    std::thread::scope(|scope| {
        let attack = scope.spawn(|| slowhttptest(&server, "/small", 2, "-H -i 1 -x 10"));
        until("all places but 12", || server.metric("sluicegate_connections") == 88);
        assert_eq!(bystanders::ask(server.addr, SMALL.0).status(), 200);
        attack.join().unwrap();
    });
}
