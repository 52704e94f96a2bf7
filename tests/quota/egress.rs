//! Servers under one fleet limit, as processes, with real downloads.
//!
//! Real time, because what is looked at is bytes on sockets. Tolerances are those of the promise; on a busy
//! machine a test may be tried again, for a share that is wrong is wrong each time. The long ones are run by
//! `cargo test --test quota -- --ignored`, and by CI.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use testkit::certificates::Certificates;
use testkit::program::{Program, command, text};
use testkit::wait::{PATIENCE, until};
use testkit::watched::metric;

/// The limit of all together, bytes a second.
const LIMIT: f64 = 3.0 * 1024.0 * 1024.0;

const TRIES: usize = 4;

/// Held by each test that looks at the clock: on two cores they would spoil each other.
static MACHINE: Mutex<()> = Mutex::new(());

/// Runs a test that looks at the clock.
fn timed(test: impl Fn()) {
    let _machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 1..TRIES {
        if catch_unwind(AssertUnwindSafe(&test)).is_ok() {
            return;
        }
        println!("tried again");
    }
    test();
}

/// A program, and where it listens. Dropping it kills it.
struct Process {
    addr: SocketAddr,
    _program: Program,
}

impl Process {
    fn start(args: &[&str]) -> Self {
        let program = Program::start_where_told(command(args));
        let (_, addr) = program.started[0].rsplit_once("://").unwrap();
        Self { addr: addr.parse().unwrap(), _program: program }
    }

    fn quota(listen: &str, learning: &[&str]) -> Self {
        let limit = ["--limit", "egress=3m", "--heartbeat-timeout", "3s"];
        Self::start(&[&["quota", "serve", "--listen", listen][..], &limit, learning].concat())
    }

    fn serve(folder: &str, quota: SocketAddr, name: &str) -> Self {
        let quota = format!("http://{quota}");
        Self::start(&["serve", folder, "--listen", "127.0.0.1:0", "--quota", &quota, "--client-id", name])
    }
}

/// Downloads that never end, and the bytes that came.
struct Download {
    bytes: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Download {
    fn from(addr: SocketAddr) -> Self {
        let (bytes, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let (count, stop) = (Arc::clone(&bytes), Arc::clone(&over));
        std::thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            while let Ok(len @ 1..) = stream.read(&mut piece) {
                count.fetch_add(len as u64, Ordering::Relaxed);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        Self { bytes, over }
    }

    fn so_far(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Bytes a second of each over `time`.
fn rates(downloads: &[Download], time: Duration) -> Vec<f64> {
    let before: Vec<u64> = downloads.iter().map(Download::so_far).collect();
    let began = Instant::now();
    std::thread::sleep(time);
    let after: Vec<u64> = downloads.iter().map(Download::so_far).collect();
    let seconds = began.elapsed().as_secs_f64();
    before.iter().zip(after).map(|(before, after)| (after - before) as f64 / seconds).collect()
}

/// Whether all together sent no more in a window than the promise has: the limit, and an interval's worth of
/// it that the servers' buckets held because the machine stood still before; and hardly less.
fn holds(total: f64, window: Duration) -> bool {
    let most = 1.0 + 0.2 / window.as_secs_f64() + 0.005;
    (0.98..most).contains(&(total / LIMIT))
}

fn site() -> tempfile::TempDir {
    testkit::folder::sparse("large.bin", 1 << 32)
}

/// What the quota server says each client has, in MiB/s.
fn shares(quota: SocketAddr) -> Vec<f64> {
    let url = format!("http://{quota}");
    let asked = command(&["quota", "clients", "--json", "--server", &url]).output().unwrap();
    let text = String::from_utf8(asked.stdout).unwrap();
    let share = |line: &str| {
        let client: serde_json::Value = serde_json::from_str(line).unwrap();
        client["shares"][0]["share"].as_f64().unwrap_or(0.0) / 1024.0 / 1024.0
    };
    text.lines().filter(|line| line.starts_with('{')).map(share).collect()
}

#[test]
#[ignore = "long, in real time; CI runs it"]
fn three_servers_share_one_limit_and_the_dead_ones_share_is_the_others() {
    let folder = site();
    let folder = folder.path().to_str().unwrap();
    timed(|| {
        let quota = Process::quota("127.0.0.1:0", &["--learning", "0s"]);
        let mut servers: Vec<Process> =
            ["a", "b", "c"].iter().map(|name| Process::serve(folder, quota.addr, name)).collect();
        let mut downloads: Vec<Download> = servers.iter().map(|server| Download::from(server.addr)).collect();
        until("thirds", || shares(quota.addr) == [1.0; 3]);
        // What was sent ahead under larger shares.
        std::thread::sleep(Duration::from_secs(1));
        let each = rates(&downloads, Duration::from_secs(6));
        let total: f64 = each.iter().sum();
        assert!((total / LIMIT - 1.0).abs() < 0.02, "all together {:.4} of the limit", total / LIMIT);
        for rate in &each {
            assert!((rate / (LIMIT / 3.0) - 1.0).abs() < 0.03, "{each:?}");
        }

        servers.pop();
        let killed = Instant::now();
        until("halves", || shares(quota.addr) == [1.5; 2]);
        assert!(killed.elapsed() < Duration::from_secs(3) + Duration::from_secs(1), "{:?}", killed.elapsed());
        downloads.pop();
        let each = rates(&downloads, Duration::from_secs(4));
        for rate in &each {
            assert!((rate / (LIMIT / 2.0) - 1.0).abs() < 0.03, "{each:?}");
        }
    });
}

#[test]
#[ignore = "long, in real time; CI runs it"]
fn a_quota_server_killed_in_mid_transfer_stops_nobody_and_lets_no_more_through() {
    let folder = site();
    let folder = folder.path().to_str().unwrap();
    timed(|| {
        let quota = Process::quota("127.0.0.1:0", &["--learning", "0s"]);
        let servers: Vec<Process> =
            ["a", "b", "c"].iter().map(|name| Process::serve(folder, quota.addr, name)).collect();
        let downloads: Vec<Download> = servers.iter().map(|server| Download::from(server.addr)).collect();
        until("thirds", || shares(quota.addr) == [1.0; 3]);
        std::thread::sleep(Duration::from_secs(1));
        let addr = quota.addr;
        drop(quota);
        // Leases run out after 3 s, and then each has a third as its safe share.
        let window = Duration::from_secs(5);
        let total: f64 = rates(&downloads, window).iter().sum();
        assert!(holds(total, window), "without a server {:.4} of the limit", total / LIMIT);
        let again = Process::quota(&addr.to_string(), &[]);
        let began = Instant::now();
        let total: f64 = rates(&downloads, window).iter().sum();
        // It learns: what came back on its safe share stays there until a lease's time is over, so the total
        // is that of the safe shares. Then leases are given again, each counted once.
        assert!(holds(total, window), "while it learns {:.4} of the limit", total / LIMIT);
        until("thirds again", || shares(again.addr) == [1.0; 3]);
        assert!(began.elapsed() < PATIENCE);
        let total: f64 = rates(&downloads, Duration::from_secs(3)).iter().sum();
        assert!((total / LIMIT - 1.0).abs() < 0.03, "and then {:.4} of the limit", total / LIMIT);
    });
}

#[test]
#[ignore = "long, in real time; CI runs it"]
fn an_idle_server_lends_and_has_its_share_back_when_it_is_busy() {
    let folder = site();
    let folder = folder.path().to_str().unwrap();
    timed(|| {
        let quota = Process::quota("127.0.0.1:0", &["--learning", "0s"]);
        let (busy, idle) = (Process::serve(folder, quota.addr, "a"), Process::serve(folder, quota.addr, "b"));
        let first = Download::from(busy.addr);
        until("the busy one has what the idle one does not want", || {
            shares(quota.addr) == [3.0 - 0.0625, 0.0625]
        });
        let second = Download::from(idle.addr);
        until("halves", || shares(quota.addr) == [1.5, 1.5]);
        std::thread::sleep(Duration::from_secs(1));
        for rate in rates(&[first, second], Duration::from_secs(4)) {
            assert!((rate / (LIMIT / 2.0) - 1.0).abs() < 0.03, "{rate}");
        }
    });
}

#[test]
fn a_bound_server_shows_and_believes_certificates_named_in_its_file() {
    let (site, files) = (site(), Certificates::make());
    let [cert, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| files.path(name));
    let tls = ["--tls-cert", &cert, "--tls-key", &key, "--client-ca", &ca];
    let serve = ["quota", "serve", "--listen", "127.0.0.1:0", "--learning", "0s", "--limit", "egress=3m"];
    let quota = Process::start(&[&serve[..], &tls].concat());
    let [cert, key] = ["client.pem", "client.key"].map(|name| files.path(name));
    let config = site.path().join("sluicegate.toml");
    let text = format!(
        "listen = '127.0.0.1:0'\n[quota]\nserver = 'https://{}'\nclient_id = 'web-1'\n\
         tls_ca = '{ca}'\ntls_cert = '{cert}'\ntls_key = '{key}'\n[[route]]\npath = '/'\nfiles = '.'\n",
        quota.addr
    );
    std::fs::write(&config, text).unwrap();
    let server = Process::start(&["run", config.to_str().unwrap()]);
    let url = format!("https://{}", quota.addr);
    let ask = ["quota", "clients", "--server", &url, "--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    until("it has its share", || {
        let asked = command(&ask).output().unwrap();
        let text = String::from_utf8(asked.stdout).unwrap();
        text.lines().any(|line| line.starts_with("web-1") && line.contains(" 3m "))
    });
    drop(server);
}

#[test]
fn a_class_has_its_share_of_a_limit_of_its_own() {
    let folder = site();
    let serve = ["quota", "serve", "--listen", "127.0.0.1:0", "--learning", "0s"];
    let quota = Process::start(&[&serve[..], &["--limit", "egress=64m", "--limit", "free=1m"]].concat());
    let config = folder.path().join("sluicegate.toml");
    let text = |classes: &str| {
        format!(
            "listen = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\n[quota]\nserver = 'http://{}'\nclient_id = 'web-1'\n{classes}\n\
             [[class]]\nname = 'free'\nmatch = {{ user_agent = 'free*' }}\n\
             [[route]]\npath = '/'\nfiles = '.'\n",
            quota.addr
        )
    };
    for (classes, expected) in [
        ("classes = { paid = 'paid' }", "paid: there is no [[class]] of this name"),
        ("classes = { free = 'egress' }", "free: its resource is that of the whole server"),
        ("classes = { free = '' }", "free: "),
        ("classes = { free = 1 }", "free: expected the name of a resource"),
    ] {
        std::fs::write(&config, text(classes)).unwrap();
        let checked = command(&["check", config.to_str().unwrap()]).output().unwrap();
        let error = String::from_utf8(checked.stderr).unwrap();
        assert!(!checked.status.success() && error.contains(expected), "{classes}: {error}");
    }
    std::fs::write(&config, text("classes = { free = 'free' }")).unwrap();
    let server = Program::start(&["run", config.to_str().unwrap()]);
    assert!(server.started.iter().any(|line| line == "  class free: at most its share of free"));
    let shares = [("egress", 64 << 20), ("free", 1 << 20)];
    until("both shares", || {
        let share = |(name, value): &(&str, u64)| {
            metric(server.admin(), &format!("sluicegate_quota_share{{resource=\"{name}\"}}")) == Some(*value)
        };
        shares.iter().all(share)
    });
    let list = command(&["limits", "list", "--admin", &server.admin().to_string()]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let of_class = list.lines().skip_while(|line| !line.starts_with("class free")).nth(1).unwrap();
    assert!(
        of_class.trim_start().starts_with("its share of the fleet's") && of_class.contains(" 1m "),
        "{list}"
    );
    server.end();
}

#[test]
fn a_bound_server_shows_its_share_and_says_farewell() {
    let folder = site();
    let quota = Process::quota("127.0.0.1:0", &["--learning", "0s"]);
    let url = format!("http://{}", quota.addr);
    let flags = ["--quota", &url, "--client-id", "web-1", "--server-rate", "10m", "--admin", "127.0.0.1:0"];
    let server = Program::start(&[&["serve", text(folder.path())], &flags[..]].concat());
    assert!(
        server.started.contains(&format!("quota: at most its share of egress from {url}, as client web-1"))
    );
    until("the share is in the metrics", || {
        [
            ("sluicegate_quota_connected", 1),
            ("sluicegate_quota_share{resource=\"egress\"}", 3_145_728),
            ("sluicegate_quota_share_state{resource=\"egress\",state=\"leased\"}", 1),
        ]
        .iter()
        .all(|(name, value)| metric(server.admin(), name) == Some(*value))
    });
    assert_eq!(shares(quota.addr), [3.0]);
    server.end();
    assert!(shares(quota.addr).is_empty(), "it is unregistered");
}
