//! The live page in Chromium: puppeteer-core drives it, axe-core looks at what everybody can read. The scenarios are scripts
//! beside this file.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluicegate::admin::Admin;
use sluicegate::budget::ClientKey;
use sluicegate::events::{EventSettings, Events};
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::limit::{Budget, Rate, Weight};
use sluicegate::rt;
use sluicegate::token::Token;

use crate::program::{ended_within, loud, program, timed};
use crate::streams::installed;
use testkit::served::files;
use testkit::watched::{TOKEN, Watched, folder};

/// A whole scenario, with a browser that starts, on a machine that does much else. Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(400);

/// Runs a scenario with these arguments. Returns what it printed.
fn run(scenario: &str, args: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/page/");
    let mut node = Command::new(program("node"));
    node.env("PEERS_NODE", installed("node")).env("PEERS_CHROMIUM", program("chromium"));
    node.arg(format!("{script}{scenario}.mjs")).args(args);
    let output = ended_within(PATIENCE, &mut node);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{scenario}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn admin(watched: &Watched) -> String {
    format!("http://{}/", watched.admin)
}

fn served(watched: &Watched) -> String {
    format!("http://{}", watched.served.addr)
}

/// A file that takes minutes at the paces of these tests.
fn large() -> tempfile::TempDir {
    testkit::folder::folder(&[("large.bin", &vec![b'y'; 200_000_000])])
}

#[test]
fn rates_are_typed_exactly_and_a_refusal_says_why() {
    run("parts", &[concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin/page/assets")]);
}

#[test]
fn a_limit_that_is_dragged_or_typed_binds_within_200_ms_and_is_taken_back() {
    timed(|| {
        let folder = large();
        let watched = Watched::new(vec![files(&folder, 0)]);
        watched.served.handle.budgets().server().set(Budget::of(Rate::or_unlimited(4_000_000)));
        run("drag", &[&admin(&watched), &served(&watched)]);
    });
}

#[test]
fn shares_are_marked_by_weight() {
    let _machine = loud();
    let folder = large();
    let watched = Watched::new(vec![files(&folder, 0)]);
    let budgets = watched.served.handle.budgets();
    budgets.server().set(Budget::of(Rate::or_unlimited(1_000_000)));
    let heavy = Budget { weight: Weight::new(3).unwrap(), ..Budget::default() };
    let client = ClientKey::address([127, 0, 0, 3].into());
    budgets.clients().set_override(&client, Some(heavy)).unwrap();
    run("shares", &[&admin(&watched), &served(&watched)]);
}

#[test]
fn what_clients_choose_is_text() {
    let _machine = loud();
    let payloads = [
        "<script>ran=1</script>",
        "<img/src=x/onerror=ran=1>",
        "\"><svg/onload=ran=1>",
        "'onmouseover='ran=1",
        "javascript:ran=1",
        "{{constructor.constructor('ran=1')()}}",
        "</title><style>*{display:none}</style>",
        "__proto__",
    ];
    let folder = large();
    // The operator's own names, and whatever a client may put into a request.
    let name = |payload: &str| format!("/{}/", payload.replace('/', "\\"));
    let names: Vec<String> = payloads.iter().map(|payload| name(payload)).collect();
    let named = names.iter().filter_map(|name| Route::files(name, folder.path()).ok());
    let of_events = "/<img\u{a0}src=x\u{a0}onerror=ran=1>/";
    let events = Events::new(of_events, EventSettings::default(), None, rt::clock());
    let own = [files(&folder, 10_000), Route::events(of_events, events)];
    let routes: Vec<Route> = own.into_iter().chain(named).collect();
    let known: Vec<String> = routes.iter().map(|route| route.name().to_owned()).collect();
    assert!(known.len() > payloads.len() / 2, "{known:?}");
    let watched = Watched::new(routes);
    let encoded = payloads.map(|payload| {
        percent_encoding::utf8_percent_encode(payload, percent_encoding::NON_ALPHANUMERIC).to_string()
    });
    let streams: Vec<TcpStream> = payloads
        .iter()
        .map(|payload| (*payload).to_owned())
        .chain(encoded.clone())
        .map(|payload| {
            let fields = format!(
                "Host: t\r\nUser-Agent: {payload}\r\nReferer: {payload}\r\nX-Forwarded-For: {payload}"
            );
            watched.served.send(format!("GET /large.bin?{payload} HTTP/1.1\r\n{fields}\r\n\r\n"))
        })
        .collect();
    // Files with such names, and a stream of events with one.
    let of_files = encoded.map(|payload| {
        let path = folder.path().join(format!(
            "{}.bin",
            percent_encoding::percent_decode_str(&payload).decode_utf8_lossy().replace('/', "\\")
        ));
        std::fs::File::create(path).unwrap().set_len(1 << 30).unwrap();
        let name = payload.replace("%2F", "%5C");
        watched.served.begin(&format!("/{name}.bin"))
    });
    let stream = percent_encoding::utf8_percent_encode(of_events, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2F", "/");
    let stream = watched.served.begin(&format!("{stream}%3Cscript%3Eran=1%3C%2Fscript%3E"));
    let admin = admin(&watched);
    let args: Vec<&str> = std::iter::once(admin.as_str()).chain(known.iter().map(String::as_str)).collect();
    run("payloads", &args);
    drop((streams, of_files, stream));
}

#[test]
fn a_token_is_asked_for_and_kept_by_the_page_alone() {
    const READER: &str = "fedcba9876543210fedcba9876543210";
    let _machine = loud();
    let folder = folder();
    let watched = Watched::made(Settings::default(), vec![files(&folder, 0)], |listener, handle| {
        let admin = Admin::new(vec![listener], Some(Token::new(TOKEN).unwrap()), handle).unwrap();
        admin.with_read_only(Some(Token::new(READER).unwrap()))
    });
    run("tokens", &[&admin(&watched), TOKEN, READER]);
}

#[test]
fn everybody_can_read_and_use_it() {
    let _machine = loud();
    let folder = large();
    let watched = Watched::new(vec![files(&folder, 50_000)]);
    watched.served.handle.budgets().server().set(Budget::of(Rate::or_unlimited(1_000_000)));
    let _streams: Vec<TcpStream> = (0..3).map(|_| watched.served.begin("/large.bin")).collect();
    run("accessible", &[&admin(&watched)]);
}

#[test]
fn it_comes_back_with_its_server_also_below_a_proxys_prefix() {
    let _machine = loud();
    let folder = large();
    let [served, admin] = [(); 2].map(|()| {
        let port = testkit::process::listener::free_port().unwrap();
        format!("127.0.0.1:{port}")
    });
    let config = folder.path().join("gate.toml");
    let text =
        format!("listen = '{served}'\nadmin = '{admin}'\n[[route]]\npath = '/'\nfiles = '.'\nrate = '1m'\n");
    std::fs::write(&config, text).unwrap();
    run("restart", &[env!("CARGO_BIN_EXE_sluicegate"), config.to_str().unwrap(), &served, &admin]);
}

/// For a minute, or as many seconds as `SLUICEGATE_PAGE_SECONDS` says.
#[test]
fn the_tabs_heap_does_not_grow_with_a_thousand_transfers() {
    let _machine = loud();
    let folder = large();
    let watched = Watched::new(vec![files(&folder, 20_000)]);
    let seconds = std::env::var("SLUICEGATE_PAGE_SECONDS").unwrap_or_else(|_| "60".to_owned());
    println!("{}", run("heap", &[&admin(&watched), &served(&watched), &seconds]));
}

/// How many transfers there are in [`of_thousands_the_largest_are_shown_and_the_rest_is_summed`], if nobody says: enough that
/// the server lists some and sums the others.
const MANY: usize = 1_500;

/// The transfers that have a row on the page.
const ROWS: usize = 60;

/// Transfers of as many clients each.
const OF_A_CLIENT: usize = 10;

/// With as many transfers as `SLUICEGATE_PAGE_TRANSFERS` says, at least 601.
#[test]
fn of_thousands_the_largest_are_shown_and_the_rest_is_summed() {
    let _machine = loud();
    let said = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let (transfers, seconds) =
        (said("SLUICEGATE_PAGE_TRANSFERS").unwrap_or(MANY), said("SLUICEGATE_PAGE_SECONDS").unwrap_or(8));
    // Ours; the server is a process with a limit of its own.
    rt::raise_descriptor_limit();
    let folder = large();
    let config = folder.path().join("gate.toml");
    let route = |path: &str, rate: &str| {
        format!("[[route]]\npath = '{path}'\nfiles = '.'\nrate = '{rate}'\ninterval = '1s'\n")
    };
    let toml = format!("admin = '127.0.0.1:0'\n{}{}", route("/", "500B"), route("/large/", "20000B"));
    std::fs::write(&config, toml).unwrap();
    let program = testkit::program::Program::start(&["run", config.to_str().unwrap()]);
    let streams: Vec<TcpStream> = (0..transfers)
        .map(|number| {
            let client = number / OF_A_CLIENT;
            let from = [127, 1, (client / 250) as u8, (client % 250 + 1) as u8];
            let mut stream = testkit::served::connect_from(from, program.addr());
            let folder = if number % (transfers / ROWS) == 0 && number / (transfers / ROWS) < ROWS {
                "/large"
            } else {
                ""
            };
            write!(stream, "GET {folder}/large.bin?{number} HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    let reads = AtomicBool::new(true);
    std::thread::scope(|scope| {
        // To the end of the scenario, however that ends.
        let _end = OnDrop(|| reads.store(false, Ordering::Relaxed));
        scope.spawn(|| {
            let mut bytes = vec![0; 64 * 1024];
            while reads.load(Ordering::Relaxed) {
                for mut stream in &streams {
                    while stream.read(&mut bytes).is_ok_and(|read| read == bytes.len()) {}
                }
                // Their sockets hold what comes meanwhile.
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        let numbers =
            [transfers, ROWS, transfers.div_ceil(OF_A_CLIENT), seconds].map(|number| number.to_string());
        let admin = format!("http://{}/", program.admin());
        let args: Vec<&str> = std::iter::once(&admin).chain(&numbers).map(String::as_str).collect();
        println!("{}", run("many", &args));
    });
}

/// Does something at the end of a scope, also if that is a panic.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Makes the pictures of docs/live.md, in the folder `SLUICEGATE_PICTURES`, which is `target/peers` if nobody says another one.
#[test]
#[ignore = "takes two minutes, and is no test"]
fn pictures() {
    let _machine = loud();
    let folder = large();
    let config = folder.path().join("gate.toml");
    std::fs::write(&config, include_str!("pictures.toml")).unwrap();
    let program = testkit::program::Program::start(&["run", config.to_str().unwrap()]);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let to =
        std::env::var_os("SLUICEGATE_PICTURES").map_or_else(|| root.join("target/peers"), |to| root.join(to));
    let (admin, served) = (format!("http://{}/", program.admin()), format!("http://{}", program.addr()));
    run("pictures", &[&admin, &served, to.to_str().unwrap()]);
}
