//! A new configuration for a running server: limits on live transfers, routes for new requests, and a
//! server that stays as it is if something is wrong.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sluicegate::address::ListenAddr;
use sluicegate::config::{Config, FilterKinds, Loader};
use sluicegate::http::server::Server;
use sluicegate::limit::Rate;
use sluicegate::tls::NamedTls;
use testkit::served::Served;
use testkit::wait::until;

/// The size of the file that is downloaded: sparse, and more than all buffers on the way hold.
const LEN: u64 = 64 << 20;

/// What all buffers on the way may give away after a limit came down, the kernel's excepted.
const BUFFERS: u64 = 512 * 1024;

fn site() -> tempfile::TempDir {
    let folder = testkit::folder::sparse("a.bin", LEN);
    std::fs::write(folder.path().join("a.txt"), "first").unwrap();
    std::fs::create_dir(folder.path().join("other")).unwrap();
    std::fs::write(folder.path().join("other/a.txt"), "second").unwrap();
    folder
}

fn config(site: &tempfile::TempDir, text: &str) -> Config {
    let text = format!("listen = '127.0.0.1:0'\n{text}");
    Loader::new().parse(&text, "test.toml", site.path()).unwrap()
}

fn serving(config: &Config) -> Served {
    Served::running(Server::from_config(config, &FilterKinds::default()).unwrap())
}

fn reload(served: &Served, config: &Config) -> Vec<String> {
    served.handle.reload(config, &FilterKinds::default()).unwrap().changes
}

/// Asks for the long file and reads the first byte of the answer.
fn begin(served: &Served) -> TcpStream {
    let mut stream = served.send(b"GET /a.bin HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    stream.read_exact(&mut [0]).unwrap();
    stream
}

/// Reads to the end on a thread of its own, and counts.
fn drain(mut stream: TcpStream) -> (std::thread::JoinHandle<bool>, Arc<AtomicU64>) {
    let seen = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&seen);
    let thread = std::thread::spawn(move || {
        let mut buf = vec![0; 1 << 20];
        loop {
            match stream.read(&mut buf) {
                Ok(0) => return true,
                Ok(n) => _ = counted.fetch_add(n as u64, Ordering::Relaxed),
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::ConnectionReset), "{error}");
                    return false;
                }
            }
        }
    });
    (thread, seen)
}

/// Each limit there is: a configuration with `RATE` in its place, and how the change is told.
const LIMITS: [(&str, &str); 7] = [
    ("[[route]]\npath='/'\nfiles='.'\nrate='RATE'", "each response of /"),
    ("[[route]]\npath='/'\nfiles='.'\nlimits.total={rate='RATE'}", "route /"),
    ("[[route]]\npath='/'\nfiles='.'\nlimits.client={rate='RATE'}", "each client of /"),
    ("[limits]\nserver={rate='RATE'}\n[[route]]\npath='/'\nfiles='.'", "the server"),
    ("[limits]\nclient={rate='RATE'}\n[[route]]\npath='/'\nfiles='.'", "each client"),
    ("[limits]\nconnection={rate='RATE'}\n[[route]]\npath='/'\nfiles='.'", "each connection"),
    (
        "[filter.brake]\nkind='rate'\nrate='RATE'\n[[route]]\npath='/'\nfiles='.'\nfilters=['brake']",
        "filter brake on /",
    ),
];

/// At 1 KiB/s the file would take 18 hours.
#[test]
fn a_limit_goes_up_and_away_under_a_live_transfer() {
    let site = site();
    for (text, of) in LIMITS {
        let at = |rate: &str| config(&site, &text.replace("RATE", rate));
        let served = serving(&at("1k"));
        let (reading, seen) = drain(begin(&served));
        let changes = reload(&served, &at("1m"));
        // Of a connection the burst that is meant is told too.
        let told = changes.join("; ").replace(" burst 64k", "");
        assert_eq!(told, format!("limit of {of}: 1k → 1m"));
        until(&format!("{of} at its new rate"), || seen.load(Ordering::Relaxed) >= 512 * 1024);
        let told = if of.starts_with("filter") {
            // A filter has always a rate; another one is as good as none.
            reload(&served, &at("1g")).join("; ")
        } else {
            reload(&served, &at("off")).join("; ").replace("1m burst 64k → off", "1m → off")
        };
        assert!(told.starts_with(&format!("limit of {of}: 1m → ")), "{told}");
        assert!(reading.join().unwrap(), "{of}: not all came");
    }
}

#[test]
fn rates_that_come_by_a_reload_hold_for_the_bytes_that_a_live_transfer_has_sent() {
    let site = site();
    let at = |rate: &str| config(&site, &format!("[[route]]\npath='/'\nfiles='.'\nrate={rate}"));
    let served = serving(&at("'1k'"));
    let (_reading, seen) = drain(begin(&served));
    let told = reload(&served, &at("['2m for 1m', '10k']"));
    assert_eq!(told, ["limit of each response of /: 1k → 2m for 1m, 10k"]);
    until("the edge", || seen.load(Ordering::Relaxed) >= 1 << 20);
    let at_edge = seen.load(Ordering::Relaxed);
    assert!(at_edge < (1 << 20) + BUFFERS, "{at_edge} bytes");
    assert_eq!(reload(&served, &at("['2m for 1m', '10k']")), [""; 0]);
    let told = reload(&served, &at("'4m'"));
    assert_eq!(told, ["limit of each response of /: 2m for 1m, 10k → 4m"]);
    until("the single rate", || seen.load(Ordering::Relaxed) >= 4 << 20);
}

/// A share of a fleet's limit is a ceiling above the file's limit, and not the file's to change.
#[test]
fn the_servers_own_limit_changes_below_the_ceiling_of_its_share() {
    let site = site();
    let at = |rate: &str| config(&site, &LIMITS[3].0.replace("RATE", rate));
    let served = serving(&at("10m"));
    let budgets = served.handle.budgets();
    let server = budgets.server();
    server.set_ceiling(Rate::or_unlimited(1 << 20));
    assert_eq!(reload(&served, &at("20m")), ["limit of the server: 10m → 20m"]);
    assert_eq!(
        (server.budget().rate, server.in_force().rate),
        (Rate::or_unlimited(20 << 20), Rate::or_unlimited(1 << 20))
    );
    server.set_ceiling(None);
    assert_eq!(server.in_force().rate, Rate::or_unlimited(20 << 20));
}

/// Real time: that bytes do not come can be seen only by waiting. A late machine only makes the bound wider.
#[test]
fn the_file_goes_before_every_limit_that_was_set_by_hand() {
    let site = site();
    let text = |rate: &str| {
        let of = |what: &str| format!("{what}={{rate='{rate}'}}\n");
        let route =
            format!("[[route]]\npath='/'\nfiles='.'\nrate='{rate}'\nlimits.total={{rate='{rate}'}}\n");
        format!(
            "[limits]\n{}{}{}{route}limits.client={{rate='{rate}'}}",
            of("server"),
            of("client"),
            of("connection")
        )
    };
    let config = config(&site, &text("1m"));
    let served = serving(&config);
    let budgets = served.handle.budgets();
    let route = served.handle.routes().remove(0);
    let client = |n: u8| sluicegate::budget::ClientKey::address([192, 0, 2, n].into());
    // One is known, one is not yet.
    let (known, of_route) = (budgets.clients().node(&client(1)), route.clients().node(&client(1)));
    let by_hand = sluicegate::limit::Budget::of(Rate::or_unlimited(7));
    budgets.server().set(by_hand);
    budgets.clients().set(by_hand);
    budgets.connection().set(by_hand);
    route.limit().set(by_hand);
    route.clients().parent().set(by_hand);
    route.clients().set(by_hand);
    for n in [1, 2] {
        budgets.clients().set_override(&client(n), Some(by_hand)).unwrap();
        route.clients().set_override(&client(n), Some(by_hand)).unwrap();
    }
    let told = reload(&served, &config);
    let rate = Rate::or_unlimited(1 << 20);
    let node = |clients: &sluicegate::budget::Clients, n| clients.node(&client(n)).budget().rate;
    assert_eq!([known.budget().rate, of_route.budget().rate], [rate; 2]);
    assert_eq!([node(budgets.clients(), 2), node(route.clients(), 2)], [rate; 2]);
    assert_eq!([budgets.server().budget().rate, budgets.clients().budget().rate], [rate; 2]);
    assert_eq!([budgets.connection().budget().rate, route.limit().budget().rate], [rate; 2]);
    assert_eq!([route.clients().parent().budget().rate, route.clients().budget().rate], [rate; 2]);
    assert_eq!(budgets.clients().overrides(), []);
    assert_eq!(told.len(), 8, "{told:?}");
    assert!(told.contains(&"limit of client 192.0.2.2: 7B → that of each client".to_owned()), "{told:?}");
}

#[test]
fn a_limit_comes_down_and_to_life_under_a_live_transfer() {
    let site = site();
    for (text, of) in LIMITS {
        let at = |rate: &str| config(&site, &text.replace("RATE", rate));
        for before in ["32m", "off"] {
            if before == "off" && of.starts_with("filter") {
                continue;
            }
            let served = serving(&at(before));
            // It stops after the first byte, so that the transfer cannot be over.
            let stream = begin(&served);
            assert_eq!(reload(&served, &at("1k")).len(), 1);
            let (at_first, began) = (served.handle.egress().bytes_written(), Instant::now());
            let (reading, _) = drain(stream);
            std::thread::sleep(Duration::from_millis(300));
            let passed = served.handle.egress().bytes_written() - at_first;
            let allowed = BUFFERS + (1024.0 * began.elapsed().as_secs_f64()) as u64;
            assert!(passed <= allowed, "{of}, from {before}: {passed} bytes in {:?}", began.elapsed());
            served.handle.stop();
            assert!(!reading.join().unwrap(), "{of}: cut");
        }
    }
}

#[test]
fn routes_come_and_go_and_what_began_goes_on() {
    let site = site();
    let route = |path: &str, folder: &str, rate: &str| {
        format!("[[route]]\npath='{path}'\nfiles='{folder}'\nrate='{rate}'\n")
    };
    let served = serving(&config(&site, &route("/", ".", "32m")));
    let (mut kept, stream) = (served.connect(), begin(&served));
    let mut ask = |target: &str| {
        write!(kept, "GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let answer = testkit::wire::answer(&mut kept);
        (answer.status(), String::from_utf8(answer.body).unwrap())
    };
    assert_eq!(ask("/a.txt"), (200, "first".into()));
    assert_eq!(ask("/new/a.txt").0, 404);

    let next = config(&site, &format!("{}{}", route("/", "other", "32m"), route("/new/", ".", "1m")));
    assert_eq!(reload(&served, &next), ["route / changed", "route /new/ added"]);
    assert_eq!(ask("/a.txt"), (200, "second".into()), "on a connection that was there");
    assert_eq!(ask("/new/a.txt"), (200, "first".into()));

    let next = config(&site, &route("/new/", ".", "2m"));
    let changes = reload(&served, &next);
    assert_eq!(changes, ["limit of each response of /new/: 1m → 2m", "route / removed"]);
    assert_eq!(ask("/a.txt").0, 404);
    assert!(drain(stream).0.join().unwrap(), "the transfer on the route that is gone");
    assert_eq!(reload(&served, &next), [""; 0], "nothing changed");
}

#[test]
fn a_configuration_that_cannot_be_built_changes_nothing() {
    let site = site();
    let first = config(&site, "[[route]]\npath='/'\nfiles='.'\nrate='1m'");
    let served = serving(&first);
    let gone = tempfile::tempdir().unwrap();
    let text = format!(
        "access_log='stderr'\n[[route]]\npath='/'\nfiles='other'\nrate='2m'\n[[route]]\npath='/gone/'\nfiles='{}'",
        gone.path().display()
    );
    let next = config(&site, &text);
    drop(gone);
    let error = served.handle.reload(&next, &FilterKinds::default()).unwrap_err().to_string();
    assert!(error.starts_with("route /gone/: folder "), "{error}");
    assert_eq!(served.get("/a.txt", "").body, b"first");
    assert_eq!(reload(&served, &first), [""; 0], "all is as it was");
}

#[test]
fn changed_settings_are_logged_and_addresses_need_a_restart() {
    let site = site();
    let text = "[[route]]\npath='/'\nfiles='.'";
    let served = serving(&config(&site, text));
    let mut next = config(&site, &format!("max_connections = 1\nidle_timeout = '1h'\n{text}"));
    next.listen = vec!["127.0.0.1:1".parse::<ListenAddr>().unwrap().into()];
    let reloaded = served.handle.reload(&next, &FilterKinds::default()).unwrap();
    assert_eq!(reloaded.to_string(), "max_connections: 10000 → 1; idle_timeout: 1m → 1h");
    assert_eq!(reloaded.needs_restart, ["listen"]);
    let kept = begin(&served);
    assert_eq!(served.get("/a.txt", "").status(), 503, "there is one connection already");
    drop(kept);
    // It is still another than the one in force.
    let again = served.handle.reload(&next, &FilterKinds::default()).unwrap();
    assert_eq!((again.to_string().as_str(), again.needs_restart), ("nothing changed", vec!["listen"]));
}

#[test]
fn a_filter_counts_on_across_reloads() {
    let site = site();
    let counting = |path: &str| format!("[[route]]\npath='{path}'\nfiles='.'\nfilters=['count']");
    let served = serving(&config(&site, &counting("/")));
    assert_eq!(served.get("/a.txt", "").body, b"first");
    reload(&served, &config(&site, &counting("/new/")));
    assert_eq!(served.get("/new/a.txt", "").body, b"first");
    reload(&served, &config(&site, "[[route]]\npath='/'\nfiles='.'"));
    assert_eq!(served.handle.counts()["count"].bytes(), 10);
}

#[test]
fn requests_are_answered_while_one_reload_follows_the_other() {
    let site = site();
    let with = |folder: &str, rate: &str| {
        config(&site, &format!("[[route]]\npath='/'\nfiles='{folder}'\nrate='{rate}'\nfilters=['count']"))
    };
    let states = [with(".", "1m"), with("other", "off")];
    let served = serving(&states[0]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut asked = 0;
                while !done.load(Ordering::Relaxed) || asked == 0 {
                    let body = served.get("/a.txt", "").body;
                    assert!(body == b"first" || body == b"second", "{body:?}");
                    asked += 1;
                }
            })
        });
        for round in 0..200 {
            reload(&served, &states[round % 2]);
        }
        done.store(true, Ordering::Relaxed);
        asking.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(served.get("/a.txt", "").body, b"second");
    let counted = served.handle.telemetry().routes();
    assert_eq!(counted.len(), 2, "a route keeps its number: {counted:?}");
}

/// Reads to what is looked for.
fn read_to(stream: &mut TcpStream, wanted: &str) -> String {
    let mut seen = String::new();
    let mut piece = [0; 4096];
    while !seen.contains(wanted) {
        let len = stream.read(&mut piece).unwrap();
        assert!(len > 0, "no {wanted:?} in {seen:?}");
        seen.push_str(std::str::from_utf8(&piece[..len]).unwrap());
    }
    seen
}

#[test]
fn streams_of_events_go_on_and_end_with_their_route() {
    let site = site();
    let events = |more: &str| format!("[[route]]\npath = '/e/'\nevents = {{ names = ['s'], {more} }}\n");
    let served = serving(&config(&site, &events("")));
    let mut stream = served.send(b"GET /e/s HTTP/1.1\r\nHost: localhost\r\n\r\n");
    read_to(&mut stream, "event: sluicegate.open");
    reload(&served, &config(&site, &events("event_size = '1k', heartbeat = '20s'")));
    let publish = |data: &str| {
        testkit::served::post(served.addr, "/e/s", "Content-Type: text/plain\r\n", data).status()
    };
    assert_eq!(publish("after"), 200);
    read_to(&mut stream, "data: after\n\n");
    assert_eq!(publish(&"x".repeat(1025)), 413, "the new bound holds");
    reload(&served, &config(&site, "[[route]]\npath = '/'\nfiles = '.'\n"));
    let rest = read_to(&mut stream, "\r\n0\r\n\r\n");
    assert!(rest.contains("retry: "), "{rest}");
}

#[test]
fn a_self_signed_certificate_stays_whatever_else_of_its_table_changes() {
    let site = site();
    let of = |keys: &str| config(&site, &format!("{keys}\n[[route]]\npath = '/'\nfiles = '.'"));
    let before = of("[tls.default]\nself_signed = true");
    let served = serving(&before);
    let shown = || {
        let tls = served.handle.extension::<NamedTls>().unwrap().of(Some("default")).unwrap();
        tls.certificates()
    };
    let made = shown();
    for keys in
        ["self_signed = true\nhandshake_timeout = '3s'", "self_signed = true\nunknown_name = 'refuse'"]
    {
        assert_eq!(reload(&served, &of(&format!("[tls.default]\n{keys}"))), ["tls default changed"]);
        assert_eq!(shown(), made, "{keys}");
    }
}
