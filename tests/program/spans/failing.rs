//! Collectors that are gone, silent, busy or unwilling: events go on, and what is lost is counted.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::collector::Collector;
use super::{SAMPLED, Subscriber, metric, publish};
use testkit::program::Program;
use testkit::wait::until;

/// How long the end may take: 2 s for spans, and the rest for a busy machine. An answer is waited for 5 s.
const ENDED: Duration = Duration::from_secs(4);

/// Starts the program with a small queue of spans for the collector at `url`.
fn start(url: &str, queue: usize) -> (Program, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("traced.toml");
    let text = format!(
        "admin = '127.0.0.1:0'\n[tracing]\notlp = '{url}'\nqueue = {queue}\n\
         [[route]]\npath = '/events/'\nevents = {{ names = ['news'] }}\n"
    );
    std::fs::write(&file, text).unwrap();
    (Program::start(&["run", file.to_str().unwrap()]), folder)
}

/// Publishes so many traced events, and has a subscriber take them.
fn go(program: &Program, events: usize) {
    let mut subscriber = Subscriber::new(program, "");
    for at in 0..events {
        publish(program, &at.to_string(), Some(SAMPLED));
    }
    for at in 0..events {
        assert_eq!(subscriber.data(), at.to_string());
    }
}

fn counted(program: &Program, name: &str) -> u64 {
    metric(program, &format!("sluicegate_spans_{name}")).unwrap()
}

#[test]
fn a_dead_collector_costs_spans_and_nothing_else() {
    // A port that nobody listens on: taken, and left.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (program, _folder) = start(&format!("http://{port}"), 8);
    go(&program, 30);
    until("spans fail", || counted(&program, "export_failures_total") > 0);
    // Their number is bounded, whatever was made: what the queue held was dropped beyond that.
    until("spans are dropped", || counted(&program, "dropped_total") > 0);
    assert_eq!(counted(&program, "exported_total"), 0);
    assert!(counted(&program, "queued") <= 8);
    go(&program, 3);
    let began = Instant::now();
    let log = program.end();
    assert!(began.elapsed() < ENDED, "{:?}", began.elapsed());
    assert_eq!(log.matches("spans cannot be exported").count(), 1, "{log}");
    assert!(log.contains("Connection refused"), "{log}");
}

#[test]
fn a_silent_collector_costs_no_more() {
    let collector = Collector::new(|_| None);
    let (program, _folder) = start(&collector.url(), 4);
    go(&program, 30);
    collector.request();
    // It has a batch and says nothing; the queue stays full.
    until("spans are dropped", || counted(&program, "dropped_total") >= 20);
    go(&program, 3);
    assert!(counted(&program, "queued") <= 4);
    let began = Instant::now();
    let log = program.end();
    assert!(began.elapsed() < ENDED, "{:?}", began.elapsed());
    assert!(log.contains("spans were not exported in time"), "{log}");
}

#[test]
fn a_busy_collector_is_asked_again() {
    let collector = Collector::new(|at| Some(if at < 2 { "503 Service Unavailable" } else { "200 OK" }));
    let (program, _folder) = start(&collector.url(), 100);
    publish(&program, "hello", Some(SAMPLED));
    let requests = [(); 3].map(|()| collector.request().body);
    assert!(requests[0] == requests[1] && requests[1] == requests[2]);
    until("it is taken", || counted(&program, "exported_total") == 1);
    assert_eq!(counted(&program, "failed_total"), 0);
    program.end();
}

#[test]
fn an_unwilling_collector_is_not() {
    let collector = Collector::new(|_| Some("400 Bad Request"));
    let (program, _folder) = start(&collector.url(), 100);
    publish(&program, "hello", Some(SAMPLED));
    until("it is refused", || counted(&program, "failed_total") == 1);
    assert_eq!((counted(&program, "export_failures_total"), counted(&program, "queued")), (1, 0));
    collector.request();
    let log = program.end();
    assert!(log.contains("status code: 400") && log.contains("spans cannot be exported"), "{log}");
}
