//! Routes of hosts: the same over HTTP/1 and HTTP/2, for every kind of source, in reports, and through a reload.

use std::io::{Read, Write};
use std::time::Duration;

use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use sluicegate::admin::Admin;
use sluicegate::config::{Config, FilterKinds, Loader};
use sluicegate::http::server::Server;
use sluicegate::rt::{self, Listener};
use testkit::backend::Backend;
use testkit::h2::{WIDE, connect};
use testkit::served::{Served, connect as open};
use testkit::wait::until;
use testkit::wire::{answer, answer_to};

fn config(folder: &tempfile::TempDir, text: &str) -> Config {
    let text = format!("listen = '127.0.0.1:0'\n{text}");
    Loader::new().parse(&text, "test.toml", folder.path()).unwrap()
}

fn serving(config: &Config) -> Served {
    Served::running(Server::from_config(config, &FilterKinds::default()).unwrap())
}

fn reload(served: &Served, config: &Config) -> Vec<String> {
    served.handle.reload(config, &FilterKinds::default()).unwrap().changes
}

/// Asks for `target` with a Host over HTTP/1.1: status and content.
fn ask(served: &Served, target: &str, host: &str) -> (u16, String) {
    let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = answer(served.send(head));
    (answer.status(), answer.text().trim_end().to_owned())
}

/// Asks for `uri` over HTTP/2, whose authority names the host: status and content.
fn ask_h2(served: &Served, uri: &str) -> (u16, String) {
    rt::block_on(async {
        let mut sender = connect(served.addr, WIDE).await;
        let request = Request::builder().method(Method::GET).uri(uri).body(Empty::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let content = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(content.to_vec()).unwrap().trim_end().to_owned())
    })
}

fn sites() -> tempfile::TempDir {
    let files =
        [("a/who", &b"a"[..]), ("a/logs/who", b"logs of a"), ("wild/who", b"wild"), ("rest/who", b"rest")];
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

const NAMED: &str = "
[[route]]
host = ['a.test', '[2001:db8::1]']
path = '/'
files = 'a'
[[route]]
host = '*.test'
path = '/'
files = 'wild'
";
const REST: &str = "[[route]]\npath = '/'\nfiles = 'rest'";
const MISDIRECTED: &str = "This server has nothing for the host that you name.";

#[test]
fn a_host_has_its_own_routes_over_each_version() {
    let folder = sites();
    let (named, with_rest) =
        (serving(&config(&folder, NAMED)), serving(&config(&folder, &format!("{NAMED}{REST}"))));
    let other =
        |served: &Served| if std::ptr::eq(served, &named) { (421, MISDIRECTED) } else { (200, "rest") };
    for served in [&named, &with_rest] {
        for (host, expected) in [
            ("a.test", (200, "a")),
            ("A.Test.", (200, "a")),
            ("a.test:81", (200, "a")),
            ("[2001:DB8:0::1]:81", (200, "a")),
            ("b.test", (200, "wild")),
            ("c.b.test", (200, "wild")),
            ("test", other(served)),
            ("unknown.example", other(served)),
        ] {
            let expected = (expected.0, expected.1.to_owned());
            assert_eq!(ask(served, "/who", host), expected, "{host}");
            // The target's authority, not the Host that is sent beside it.
            assert_eq!(ask(served, &format!("http://{host}/who"), "b.test"), expected, "{host}");
            assert_eq!(ask_h2(served, &format!("http://{host}/who")), expected, "{host}");
        }
        assert_eq!(ask(served, "/none", "a.test").0, 404);
    }
    // Without a name there is no other server that it could mean.
    let nameless = |served: &Served| answer(served.send("GET /who HTTP/1.0\r\n\r\n")).status();
    assert_eq!((nameless(&named), nameless(&with_rest)), (404, 200));
    let head = "HEAD /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(answer_to(named.send(head), "HEAD").status(), 421);
}

#[test]
fn each_kind_of_source_has_hosts() {
    let backend = Backend::saying("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nbackend");
    let folder = sites();
    let text = format!(
        "[[route]]\nhost='p.test'\npath='/'\nproxy='http://{}'\n\
         [[route]]\nhost='e.test'\npath='/'\nevents={{}}\n\
         [[route]]\nhost='f.test'\npath='/'\nevents={{}}\n",
        backend.addr
    );
    let served = serving(&config(&folder, &text));
    assert_eq!(ask(&served, "/x", "p.test"), (200, "backend".to_owned()));
    let post = |host: &str| {
        let head = format!(
            "POST /news HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\
             Connection: close\r\n\r\n{{\"data\":\"x\"}}"
        );
        answer(served.send(head)).status()
    };
    assert_eq!([post("e.test"), post("p.test"), post("q.test")].map(|status| status / 100), [2, 2, 4]);
    // The streams of one host are not those of another.
    assert_eq!([ask(&served, "/news/poll", "e.test").0, ask(&served, "/news/poll", "f.test").0], [200, 404]);
    // Their metrics have the names of the routes.
    let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
    let admin_addr = listener.local_addr().unwrap();
    let admin = Admin::new(vec![listener], None, served.handle.clone()).unwrap();
    let running = std::thread::spawn(move || rt::block_on(admin.run()));
    let admin = |target: &str| {
        let mut stream = open(admin_addr);
        write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        answer(stream)
    };
    let metrics = admin("/metrics");
    for line in [
        "sluicegate_events_published_total{route=\"e.test/\"} 1",
        "sluicegate_events_published_total{route=\"f.test/\"} 0",
    ] {
        assert!(metrics.text().contains(line), "{line} is not in {}", metrics.text());
    }
    assert!(metrics.text().contains("route=\"p.test/\""));
    let limit = admin("/v1/limits/routes/e.test%2F/total");
    assert_eq!(limit.status(), 200);
    assert!(limit.text().contains("\"route\":\"e.test/\""), "{}", limit.text());
    assert_eq!(admin("/v1/limits/routes/%2F/total").status(), 404);
    drop(served);
    running.join().unwrap();
}

#[test]
fn hosts_come_and_go_by_a_reload_and_transfers_under_way_keep_their_route() {
    const LEN: u64 = 64 << 20;
    let folder = testkit::folder::sparse("big", LEN);
    let at = |hosts: &str, rate: &str| {
        config(
            &folder,
            &format!("[[route]]\nhost={hosts}\npath='/'\nfiles='.'\nlimits.total={{rate='{rate}'}}"),
        )
    };
    let served = serving(&at("'a.test'", "1k"));
    let mut under_way = served.send("GET /big HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    under_way.read_exact(&mut [0]).unwrap();
    // Named anew, it is still the route of a.test: the transfer has its new limit.
    let changes = reload(&served, &at("['b.test', 'a.test']", "2k"));
    assert_eq!(changes, ["route b.test/ added", "route a.test/ removed"]);
    let names = || served.handle.routes().iter().map(|route| route.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(), ["b.test/"]);
    let limit = || served.handle.routes()[0].clients().parent().budget().rate.unwrap().bytes_per_second();
    assert_eq!(limit(), 2048);
    let passed = || served.handle.routes()[0].clients().parent().passed().bytes;
    until("the transfer is under the route's node", || passed() > 0);
    // Gone, its transfers end under what they began with, and new requests find nothing.
    let changes = reload(&served, &config(&folder, "[[route]]\nhost='c.test'\npath='/'\nfiles='.'"));
    assert_eq!(changes, ["route c.test/ added", "route b.test/ removed"]);
    assert_eq!(ask(&served, "/big", "a.test"), (421, MISDIRECTED.to_owned()));
    until("the other connection has ended", || served.handle.connections() == 1);
    under_way.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    under_way.read_exact(&mut [0; 512]).unwrap();
}

#[test]
fn a_route_that_refuses_closes_what_another_would_serve_there() {
    let folder = sites();
    let text = "[[route]]\npath='/'\nfiles='a'\n\
                [[route]]\npath='/logs'\nrefuse=403\nheaders.set.X-Why='closed'\n\
                [[route]]\npath='/logs/public/'\nfiles='rest'\n\
                [[route]]\nhost='gone.test'\npath='/'\nrefuse=410\n";
    let served = serving(&config(&folder, text));
    for (target, host, status) in [
        ("/who", "x.test", 200),
        ("/logs", "x.test", 403),
        ("/logs/", "x.test", 403),
        ("/logs/who", "x.test", 403),
        ("/%6cogs//./who", "x.test", 403),
        ("/logs/public/who", "x.test", 200),
        ("/logs2", "x.test", 404),
        ("/who", "gone.test", 410),
    ] {
        assert_eq!(ask(&served, target, host).0, status, "{host} {target}");
        assert_eq!(ask_h2(&served, &format!("http://{host}{target}")).0, status, "{host} {target}");
    }
    let content = "Forbidden: this server does not serve this path.";
    assert_eq!(ask(&served, "/logs/who", "x.test"), (403, content.to_owned()));
    for (bad, why) in [("refuse=200", "400 to 599"), ("refuse=403\nfiles='a'", "refuse and another source")] {
        let text = format!("[[route]]\npath='/'\n{bad}\n");
        let error = Loader::new().parse(&text, "test.toml", folder.path()).unwrap_err().to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
}
