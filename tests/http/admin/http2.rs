//! By HTTP/2, too: the same answers, within the same bounds, for as long.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use sluicegate::admin::Admin;
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::limit::Rate;
use sluicegate::rt::{self, Connect};
use sluicegate::tls::{ClientTls, Identity, ServerTls, TlsSettings};
use sluicegate::token::Token;

use testkit::certificates::Certificates;
use testkit::h2::{self, Sender, WIDE};
use testkit::served::{connect, connect_narrow};
use testkit::versions::Version;
use testkit::wait::until;
use testkit::watched::{TOKEN, Watched, folder};
use testkit::wire::{self, End};

type Asking = Sender<Full<Bytes>>;

/// Sends a request by HTTP/2, and reads its answer: status, fields and content.
async fn ask(
    asking: &mut Asking,
    (method, target): (&str, &str),
    fields: &[(&str, &str)],
    content: &str,
) -> (u16, HeaderMap, String) {
    let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::from(content.to_owned())).unwrap();
    let (head, body) = asking.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const RIGHT: &[(&str, &str)] = &[("authorization", "Bearer 0123456789abcdef0123456789abcdef")];
const WRONG: &[(&str, &str)] = &[("authorization", "Bearer 0123456789abcdef0123456789abcdee")];

/// A request: its method, host, path, fields and content.
type Asked<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

/// Asks for the same by both versions, and compares all but what changes from moment to moment.
fn compare(watched: &Watched, requests: &[Asked<'_>]) {
    rt::block_on(async {
        let mut asking: Asking = h2::connect_with(watched.admin, WIDE).await;
        for (method, host, path, fields, content) in requests {
            let of = format!("{method} {host}{path} {fields:?} {content}");
            let target = format!("http://{host}{path}");
            let (status, headers, body) = ask(&mut asking, (method, &target), fields, content).await;
            let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let length = content.len();
            let by_1 = watched.ask(&format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Length: {length}\r\n\r\n{content}"
            ));
            assert_eq!(status, by_1.status(), "{of}");
            for name in ["content-type", "cache-control", "allow", "www-authenticate", "vary"] {
                let value = headers.get(name).map(|value| value.to_str().unwrap());
                assert_eq!(value, by_1.field(name), "{of}: {name}");
            }
            let has = |name| headers.contains_key(name);
            assert!(has("date") && has("content-length") && !has("connection"), "{of}: {headers:?}");
            if *path == "/metrics" && status == 200 {
                assert_eq!(body.lines().next(), by_1.text().lines().next(), "{of}");
            } else {
                assert_eq!(body, by_1.text(), "{of}");
            }
        }
    });
}

#[test]
fn both_versions_give_the_same_answers() {
    let folder = folder();
    let watched = Watched::new(vec![Route::files("/", folder.path()).unwrap()]);
    let (ours, limit) = ("localhost", "/v1/limits/server");
    let large = format!("{{\"rate\": null{}}}", " ".repeat(16 * 1024));
    compare(
        &watched,
        &[
            ("GET", ours, "/", &[], ""),
            ("GET", ours, "/healthz", &[], ""),
            ("GET", "127.0.0.1:1", "/readyz", &[], ""),
            ("GET", ours, "/metrics", &[], ""),
            ("GET", ours, "/metrics", &[("accept", "application/openmetrics-text")], ""),
            ("HEAD", ours, "/healthz", &[], ""),
            ("HEAD", ours, "/v1/limits", &[], ""),
            ("POST", ours, "/metrics", &[], "x"),
            ("GET", ours, "/none", &[], ""),
            ("GET", ours, "//metrics", &[], ""),
            ("GET", ours, "/../metrics", &[], ""),
            ("GET", "rebound.example", "/healthz", &[], ""),
            ("GET", "rebound.example", "/v1/limits", &[], ""),
            ("GET", ours, "/v1/openapi.json", &[], ""),
            ("GET", ours, "/v1/limits", &[], ""),
            ("GET", ours, "/v1/limits/routes/%2F/total", &[], ""),
            ("GET", ours, "/v1/limits/routes/%2f/total", &[], ""),
            ("GET", ours, "/v1/none", &[], ""),
            ("GET", ours, "/v1/connections?limit=0", &[], ""),
            ("TRACE", ours, limit, &[], ""),
            ("PATCH", ours, limit, JSON, "{\"rate\": 60000}"),
            ("PATCH", ours, limit, JSON, "{\"rate\": \"fast\"}"),
            ("PATCH", ours, limit, JSON, "{"),
            ("PATCH", ours, limit, &[], "{}"),
            ("PATCH", ours, limit, JSON, &large),
            ("PATCH", ours, limit, &[JSON[0], ("origin", "http://localhost")], "{\"rate\": 50000}"),
            ("PATCH", ours, limit, &[JSON[0], ("origin", "http://rebound.example")], "{}"),
            ("GET", ours, limit, &[], ""),
            ("PUT", ours, limit, JSON, "{\"rate\": null}"),
            ("PUT", ours, "/v1/limits/clients/192.0.2.1", JSON, "{\"rate\": 1}"),
            ("DELETE", ours, "/v1/connections/99999", &[], ""),
        ],
    );
}

#[test]
fn by_http2_too_all_but_the_probes_ask_for_the_token() {
    let watched = Watched::with_token(Vec::new());
    assert!(RIGHT[0].1.ends_with(TOKEN));
    let mut requests: Vec<Asked<'_>> = Vec::new();
    for path in ["/", "/metrics", "/healthz", "/readyz", "/none", "/v1/limits", "/v1/none"] {
        for fields in [RIGHT, WRONG, &[]] {
            requests.push(("GET", "metrics.example", path, fields, ""));
        }
    }
    compare(&watched, &requests);
}

#[test]
fn a_change_by_http2_is_there_for_all() {
    let watched = Watched::new(Vec::new());
    rt::block_on(async {
        let mut asking: Asking = h2::connect_with(watched.admin, WIDE).await;
        let limit = "http://localhost/v1/limits/server";
        let (status, _, body) = ask(&mut asking, ("PATCH", limit), JSON, "{\"rate\": 7000}").await;
        assert!(status == 200 && body.contains("7000"), "{status} {body}");
        assert!(watched.get("/v1/limits/server", "").text().contains("7000"));
        assert_eq!(watched.served.handle.budgets().server().budget().rate, Rate::or_unlimited(7000));
    });
}

/// A watched server whose admin listener wants [`TOKEN`], inside TLS.
fn secured(made: &Certificates) -> Watched {
    let identity = Identity { certificate: made.at("server.pem"), key: made.at("server.key") };
    let tls = ServerTls::from_settings("main", &TlsSettings::of(vec![identity])).unwrap();
    Watched::made(Settings::default(), Vec::new(), |listener, handle| {
        let admin = Admin::new(vec![listener], Some(Token::new(TOKEN).unwrap()), handle).unwrap();
        admin.with_tls(Some(tls))
    })
}

#[test]
fn inside_tls_several_requests_share_a_connection() {
    let made = Certificates::make();
    let watched = secured(&made);
    rt::block_on(async {
        let to = Connect { host: "127.0.0.1".into(), port: watched.admin.port(), receive_buffer: None };
        let client = ClientTls::new(&made.at("ca.pem"), None).unwrap();
        let socket = client.connect("127.0.0.1", rt::connect(&to).await.unwrap()).await.unwrap();
        let mut asking: Asking = h2::over(socket, WIDE).await;
        let paths = ["/healthz", "/metrics", "/v1/limits", "/readyz", "/metrics"];
        let sent = paths.map(|path| {
            let request = Request::get(format!("https://127.0.0.1{path}")).header(RIGHT[0].0, RIGHT[0].1);
            asking.send_request(request.body(Full::default()).unwrap())
        });
        for (path, answer) in paths.iter().zip(sent) {
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            assert!(!answer.into_body().collect().await.unwrap().to_bytes().is_empty(), "{path}");
        }
        assert_eq!(ask(&mut asking, ("GET", "https://127.0.0.1/metrics"), &[], "").await.0, 401);
    });
}

/// Connections at a time.
const MOST: usize = 64;

#[test]
fn no_clients_of_http2_without_the_token_keep_others_out() {
    let watched = Watched::with_token(Vec::new());
    let mut kept: Vec<TcpStream> = Vec::new();
    // A stream without a window does not come to its end; a preface alone has no request.
    for request in [Version::Http2.get_through("/healthz", 0), Version::Http2.get("/healthz")[..24].to_vec()]
    {
        for _ in 0..2 * MOST {
            let mut stream = connect(watched.admin);
            let _ = stream.write_all(&request);
            kept.push(stream);
        }
        assert_eq!(watched.get("/healthz", "").status(), 200);
        let fields = format!("Authorization: Bearer {TOKEN}\r\n");
        assert_eq!(watched.get("/metrics", &fields).status(), 200);
    }
    until("the end of all that have no place", || {
        kept.retain_mut(|stream| {
            stream.set_nonblocking(true).unwrap();
            loop {
                match stream.read(&mut [0; 4096]) {
                    Ok(1..) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                    _ => return false,
                }
            }
        });
        kept.len() < MOST
    });
}

/// In real time: ten seconds, in which neither takes anything.
#[test]
fn a_client_that_takes_nothing_is_given_up_by_either_version() {
    let watched = Watched::with_token(Vec::new());
    let began = Instant::now();
    let mut by_2 = connect(watched.admin);
    by_2.write_all(&Version::Http2.get_through("/healthz", 0)).unwrap();
    // More answers than the sockets between take.
    let mut by_1 = connect_narrow(watched.admin);
    by_1.set_nonblocking(true).unwrap();
    let mut requests = Bytes::from(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20_000));
    until("the reset of the one that does not read", || match by_1.write(&requests) {
        Ok(sent) => {
            let _ = requests.split_to(sent);
            by_1.take_error().unwrap().is_some()
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => by_1.take_error().unwrap().is_some(),
        Err(_) => true,
    });
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    let answer = Version::Http2.answer(&mut by_2);
    assert_eq!((answer.body.len(), answer.end), (0, End::StreamReset));
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(watched.get("/healthz", "").status(), 200);
}

#[test]
fn while_the_server_drains_each_connection_has_one_answer_by_either_version() {
    let folder = folder();
    let watched = Watched::with_token(vec![testkit::served::files(&folder, 50_000)]);
    let mut transfer = watched.served.begin("/large.bin");
    transfer.read_exact(&mut [0; 100]).unwrap();
    rt::block_on(async {
        let mut kept: Asking = h2::connect_with(watched.admin, WIDE).await;
        assert_eq!(ask(&mut kept, ("GET", "http://localhost/readyz"), &[], "").await.0, 200);
        watched.served.handle.drain();
        until("its end", || kept.is_closed());
    });
    for _ in 0..3 {
        let mut new = connect(watched.admin);
        new.write_all(&Version::Http2.get("/readyz")).unwrap();
        let answer = Version::Http2.answer(&mut new);
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!((text.as_str(), answer.end), ("draining: no new connections are taken\n", End::Complete));
    }
    let mut new = connect(watched.admin);
    new.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let answer = wire::read_all(&mut new);
    assert!(String::from_utf8(answer).unwrap().contains("\r\nconnection: close\r\n"));
    drop(transfer);
    watched.join();
}
