//! The limits of uploads that a configuration file sets: each in its place, at the start and by a reload.

use std::io::Write;
use std::net::SocketAddr;

use sluicegate::config::{Config, FilterKinds, Loader};
use sluicegate::http::server::{Handle, Server};
use sluicegate::limit::{Budget, Rate};
use testkit::backend::{Backend, taking};
use testkit::h2::{WIDE, connect_with};
use testkit::message::read_head;
use testkit::served::Served;
use testkit::wire::{content, status};

use bytes::Bytes;
use http::Request;
use http_body_util::{Full, StreamBody};
use hyper::body::Frame;
use sluicegate::rt;

/// Where the limits of uploads stand, beside those of what leaves in the same tables. Each has the rate `first` plus its number,
/// ten times that as its burst, and `report_only` if its number is even.
fn file(first: u64) -> String {
    let each = |number: u64| {
        let rate = first + number;
        let (burst, reports) = (10 * rate, number.is_multiple_of(2));
        format!("{{ rate = '{rate}B', burst = '{burst}B', report_only = {reports} }}")
    };
    let rate = |number: u64| format!("'{}B'", first + number);
    format!(
        "listen = '127.0.0.1:0'\n\
         [limits]\nserver = {}\nclient = {}\nupload = {{ server = {}, client = {} }}\n\
         [[route]]\npath = '/'\nproxy = 'http://127.0.0.1:9'\nrate = {}\nupload = {}\n\
         limits = {{ total = {}, client = {}, upload = {{ total = {}, client = {} }} }}\n\
         [[route]]\npath = '/events/'\nevents = {{}}\nupload = {}\n\
         limits.upload = {{ total = {}, client = {} }}\n\
         [[tcp]]\nlisten = '127.0.0.1:0'\nto = '127.0.0.1:9'\nrate = {}\nupload_rate = {}\n\
         limits = {{ total = {}, client = {}, upload = {{ total = {}, client = {} }} }}\n",
        each(1),
        each(2),
        each(3),
        each(4),
        rate(5),
        each(6),
        each(7),
        each(8),
        each(9),
        each(10),
        each(11),
        each(12),
        each(13),
        rate(14),
        rate(15),
        each(16),
        each(17),
        each(18),
        each(19),
    )
}

fn config(text: &str) -> Config {
    Loader::new().parse(text, "test.toml", ".").unwrap()
}

/// Every limit that [`file`] sets, in its order.
fn in_force(handle: &Handle) -> Vec<Budget> {
    let budgets = handle.budgets();
    let (routes, ports) = (handle.routes(), handle.ports());
    let route = |path: &str| routes.iter().find(|route| route.name() == path).unwrap();
    let (route, events, port) = (route("/"), route("/events/"), ports[0].service());
    vec![
        budgets.server().budget(),
        budgets.clients().budget(),
        budgets.uploads().parent().budget(),
        budgets.uploads().budget(),
        route.limit().budget(),
        route.upload_limit().budget(),
        route.clients().parent().budget(),
        route.clients().budget(),
        route.upload_clients().parent().budget(),
        route.upload_clients().budget(),
        events.upload_limit().budget(),
        events.upload_clients().parent().budget(),
        events.upload_clients().budget(),
        port.limit().budget(),
        port.upload().budget(),
        port.clients().parent().budget(),
        port.clients().budget(),
        port.upload_clients().parent().budget(),
        port.upload_clients().budget(),
    ]
}

/// What [`in_force`] must be.
fn set(first: u64) -> Vec<Budget> {
    let of = |number: u64| {
        let rate = first + number;
        let budget = Budget::of(Rate::or_unlimited(rate));
        // Paces of responses and of streams have no table.
        if [5, 14, 15].contains(&number) {
            return budget;
        }
        Budget { report_only: number.is_multiple_of(2), ..budget.with_burst(10 * rate) }
    };
    (1..=19).map(of).collect()
}

#[test]
fn each_limit_of_uploads_is_read_in_its_place_and_set_there_by_a_reload() {
    let served =
        Served::running(Server::from_config(&config(&file(1_000)), &FilterKinds::default()).unwrap());
    assert_eq!(in_force(&served.handle), set(1_000));
    let reload = |text: &str| served.handle.reload(&config(text), &FilterKinds::default()).unwrap();
    let reloaded = reload(&file(2_000));
    assert_eq!(in_force(&served.handle), set(2_000));
    assert_eq!((reloaded.changes.len(), &reloaded.needs_restart[..]), (19, &[][..]), "{reloaded}");
    let port = served.handle.ports()[0].name().to_owned();
    for (of, number) in [
        ("all uploads", 3),
        ("uploads of each client", 4),
        ("each upload to /", 6),
        ("all uploads to /", 9),
        ("uploads of each client to /", 10),
        ("each upload to /events/", 11),
        ("all uploads to /events/", 12),
        ("uploads of each client to /events/", 13),
        (&*format!("all uploads to {port}"), 18),
        (&*format!("uploads of each client to {port}"), 19),
    ] {
        let spelt = |first: u64| {
            let (rate, reports) =
                (first + number, if number.is_multiple_of(2) { " only reported" } else { "" });
            format!("{rate}B burst {}B{reports}", 10 * rate)
        };
        let told = format!("limit of {of}: {} → {}", spelt(1_000), spelt(2_000));
        assert!(reloaded.changes.contains(&told), "{told} in {:#?}", reloaded.changes);
    }
    let told = format!("limit of each upload to {port}: 1015B → 2015B");
    assert!(reloaded.changes.contains(&told), "{told} in {:#?}", reloaded.changes);
    assert_eq!(reload(&file(2_000)).changes, [""; 0]);
}

#[test]
fn limits_of_uploads_do_nothing_where_nothing_is_read_and_the_file_says_so() {
    let route = |keys: &str| format!("[[route]]\npath = '/'\nfiles = '.'\n{keys}");
    let port = |keys: &str| format!("[[tcp]]\nlisten = '127.0.0.1:1'\nfile = 'Cargo.toml'\n{keys}");
    let files = "does nothing with files: the content of such requests is not read; leave it out";
    let relay = "does something with to only; leave it out";
    for (text, expected) in [
        (route("upload = { rate = '1m' }"), format!("upload in [[route]] \"/\": {files}")),
        (route("limits.upload.total = { rate = '1m' }"), files.to_owned()),
        (route("limits.upload.client = { rate = '1m' }"), files.to_owned()),
        (port("upload_rate = '1m'"), format!("upload_rate in [[tcp]] 127.0.0.1:1: {relay}")),
        (port("limits.upload.total = { rate = '1m' }"), relay.to_owned()),
        (port("limits.upload.client = { rate = '1m' }"), relay.to_owned()),
        ("[limits.upload]\nclients = { rate = '1m' }\n".to_owned() + &route(""), "test.toml:2:1".to_owned()),
        ("[limits.upload]\ntotal = { rate = '1m' }\n".to_owned() + &route(""), "test.toml:2:1".to_owned()),
    ] {
        let error = Loader::new().parse(&text, "test.toml", ".").unwrap_err().to_string();
        assert!(error.contains(&expected), "{text}: {error}");
    }
}

/// The status of an answer over HTTP/1, and what came before it.
fn over_1(addr: SocketAddr, path: &str, fields: &str, body: &[u8]) -> u16 {
    let mut stream = testkit::served::connect(addr);
    stream.write_all(format!("POST {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    status(&read_head(&mut stream).unwrap())
}

fn over_2(addr: SocketAddr, path: &str, len: usize, has_length: bool) -> u16 {
    let target = format!("http://t{path}");
    rt::block_on(async {
        if has_length {
            let mut sender = connect_with(addr, WIDE).await;
            let request = Request::post(target).body(Full::new(Bytes::from(content(len)))).unwrap();
            return sender.send_request(request).await.unwrap().status().as_u16();
        }
        let mut sender = connect_with(addr, WIDE).await;
        let frame = Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(content(len))));
        let request =
            Request::post(target).body(StreamBody::new(futures_lite::stream::iter([frame]))).unwrap();
        sender.send_request(request).await.unwrap().status().as_u16()
    })
}

/// The answer to a request that states its length and sends nothing of it.
fn head_over_2(addr: SocketAddr, path: &str, len: usize) -> u16 {
    type Never = futures_lite::stream::Pending<Result<Frame<Bytes>, std::convert::Infallible>>;
    let body: StreamBody<Never> = StreamBody::new(futures_lite::stream::pending());
    let request = Request::post(format!("http://t{path}")).header("content-length", len).body(body).unwrap();
    rt::block_on(async {
        connect_with(addr, WIDE).await.send_request(request).await.unwrap().status().as_u16()
    })
}

/// Asks for `len` bytes in all ways that there are, and checks what is answered.
fn check(addr: SocketAddr, path: &str, len: usize, expected: u16) {
    let body = content(len);
    let sized = format!("Content-Length: {len}\r\n");
    assert_eq!(over_1(addr, path, &sized, &body), expected, "{path} {len} with a length");
    let chunked = [format!("{len:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let fields = "Transfer-Encoding: chunked\r\n";
    assert_eq!(over_1(addr, path, fields, &chunked), expected, "{path} {len} in chunks");
    // Refused before anything of it is asked for, or asked for.
    let fields = format!("{sized}Expect: 100-continue\r\n");
    let expected_first = if expected == 413 { 413 } else { 100 };
    assert_eq!(over_1(addr, path, &fields, b""), expected_first, "{path} {len} expecting 100");
    if expected == 413 {
        assert_eq!(head_over_2(addr, path, len), 413, "{path} {len} over HTTP/2 before it is there");
    }
    assert_eq!(over_2(addr, path, len, true), expected, "{path} {len} over HTTP/2");
    assert_eq!(over_2(addr, path, len, false), expected, "{path} {len} over HTTP/2 without a length");
}

#[test]
fn the_bounds_of_content_are_read_in_their_places_and_a_reload_sets_them_for_new_requests() {
    let (backend, _bodies, _) = taking();
    let Backend { addr } = backend;
    let text = |server: &str, own: &str, events: &str| {
        format!(
            "listen = '127.0.0.1:0'\nmax_body = '{server}'\n\
             [[route]]\npath = '/'\nproxy = 'http://{addr}'\n\
             [[route]]\npath = '/own/'\nproxy = 'http://{addr}'\nmax_body = '{own}'\n\
             [[route]]\npath = '/events/'\nevents = {{}}\nmax_body = '{events}'\n"
        )
    };
    let config = |server, own, events| config(&text(server, own, events));
    let first = config("20B", "10B", "5B");
    let served = Served::running(Server::from_config(&first, &FilterKinds::default()).unwrap());
    let publish = |len: usize| {
        let event = format!("{{\"data\":\"{}\"}}", "x".repeat(len - 11));
        testkit::served::post(served.addr, "/events/news", "Content-Type: application/json\r\n", &event)
            .status()
    };
    for (path, len, expected) in
        [("/", 20, 200), ("/", 21, 413), ("/own/", 10, 200), ("/own/", 11, 413), ("/own/", 21, 413)]
    {
        check(served.addr, path, len, expected);
    }
    assert_eq!(publish(20), 413);
    let told = served.handle.reload(&config("30B", "40B", "100B"), &FilterKinds::default()).unwrap();
    let mut changes = told.changes.clone();
    changes.sort();
    assert_eq!(changes, ["max_body: 20B → 30B", "route /events/ changed", "route /own/ changed"]);
    for (path, len, expected) in [("/", 30, 200), ("/", 31, 413), ("/own/", 40, 200), ("/own/", 41, 413)] {
        check(served.addr, path, len, expected);
    }
    assert_eq!((publish(100), publish(101)), (200, 413));
}
