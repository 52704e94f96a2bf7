//! Event streams and uploads inside TLS, with curl.

use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::mpsc;

use sluicegate::config::EventSettings;
use sluicegate::http::route::Route;
use sluicegate::http::server::{Server, Settings};
use sluicegate::limit::{Budget, Rate};
use sluicegate::rt::Listener;
use sluicegate::tls::{Identity, ServerTls, TlsSettings};
use testkit::backend::Backend;
use testkit::certificates::Certificates;
use testkit::served::Served;
use testkit::wait::until;

use super::curl;
use crate::program::{PATIENCE, Running, make_file, succeeded, timed};
use crate::streams::{lines, numbers, publish, stream};

/// A server with TLS alone.
pub fn serve(settings: &TlsSettings, routes: Vec<Route>) -> Served {
    let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
    let tls = ServerTls::from_settings("main", settings).unwrap();
    Served::running(Server::new(Settings::default(), vec![], routes).with_listener(listener, Some(tls)))
}

/// The same with the certificate `server`.
fn certified(made: &Certificates, route: Route) -> Served {
    let identity = Identity { certificate: made.at("server.pem"), key: made.at("server.key") };
    serve(&TlsSettings::of(vec![identity]), vec![route])
}

/// Each way in which curl is to speak TLS, and HTTP inside.
const WAYS: [&[&str]; 4] = [
    &["--http1.1", "--tls-max", "1.2"],
    &["--http2", "--tls-max", "1.2"],
    &["--http1.1", "--tlsv1.3"],
    &["--http2", "--tlsv1.3"],
];

#[test]
fn curl_reads_an_event_stream_and_goes_on_behind_the_last_id() {
    for way in WAYS {
        let made = Certificates::make();
        let (route, hub) = stream(EventSettings::default());
        let served = certified(&made, route);
        let url = format!("https://{}/events/s", served.addr);
        let mut id = None::<String>;
        for round in 0..3 {
            let expected = numbers(round * 5 + 1..=round * 5 + 5);
            let mut command = curl(&made);
            command.args(way).args(["-N", &url]).stdout(Stdio::piped());
            if let Some(id) = &id {
                // What was published while it was away.
                publish(&hub, &expected);
                command.args(["-H", &format!("Last-Event-ID: {id}")]);
            }
            let mut running = Running(command.spawn().unwrap());
            let printed = lines(running.0.stdout.take().unwrap());
            if id.is_none() {
                until("the client", || hub.gauges().subscribers == 1);
                publish(&hub, &expected);
            }
            let mut seen = Vec::new();
            while seen.len() < 5 {
                let line = printed.recv_timeout(PATIENCE).unwrap();
                match line.split_once(": ") {
                    Some(("id", value)) => id = Some(value.to_owned()),
                    Some(("data", value)) if !value.starts_with('{') => seen.push(value.to_owned()),
                    _ => {}
                }
            }
            assert_eq!(seen, expected, "{way:?}");
            drop(running);
            until("it has left", || hub.gauges().subscribers == 0);
        }
    }
}

#[test]
fn curls_uploads_arrive_whole_at_their_pace() {
    timed(|| {
        let (made, folder) = (Certificates::make(), tempfile::tempdir().unwrap());
        let content = make_file(folder.path(), "body", 300_000);
        let (got, bodies) = mpsc::channel();
        let backend = Backend::new(move |stream, head| {
            let length = testkit::wire::field(head, "content-length").map(|length| length.parse().unwrap());
            let mut body = vec![0; length.unwrap_or_default()];
            stream.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            let _ = got.send(body);
        });
        let route = backend.route(0).upload(Budget::of(Rate::or_unlimited(200_000)));
        let served = certified(&made, route);
        for way in WAYS {
            let mut command = curl(&made);
            command.args(way).args(["-w", " %{time_total}", "-T"]).arg(folder.path().join("body"));
            let said = succeeded(command.arg(format!("https://{}/up", served.addr)));
            let said = String::from_utf8(said).unwrap();
            let (answer, time) = said.split_once(' ').unwrap();
            assert_eq!(answer, "ok", "{way:?}");
            assert!(bodies.recv().unwrap() == content, "{way:?}");
            // Chunks of 40 000 bytes: the first at once, and what is less than one with the seventh, at 1.2 s.
            let time: f64 = time.parse().unwrap();
            assert!(time > 1.15, "{way:?}: {time}");
        }
    });
}
