//! Each page, its head, and what becomes of it while the server goes down.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sluicegate::admin::Admin;
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;

use testkit::served::connect;
use testkit::watched::{Watched, folder, text};
use testkit::wire;

#[test]
fn each_page_answers_get_and_head_and_nothing_else() {
    let watched = Watched::new(Vec::new());
    let plain = "text/plain; charset=utf-8";
    for (path, kind, begins) in [
        ("/", plain, "Sluicegate\n"),
        ("/healthz", plain, "ok\n"),
        ("/readyz", plain, "ready\n"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "# HELP process_cpu_seconds_total "),
        ("/metrics?x=y", "text/plain; version=0.0.4; charset=utf-8", "# HELP "),
    ] {
        let got = watched.get(path, "");
        assert_eq!((got.status(), got.field("content-type")), (200, Some(kind)), "{path}");
        assert_eq!(got.field("cache-control"), Some("no-store"));
        assert_eq!(got.field("content-length"), Some(got.body.len().to_string().as_str()));
        assert!(text(got).starts_with(begins), "{path}");
        let head = watched.ask(&format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!((head.status(), head.field("content-type")), (200, Some(kind)), "HEAD {path}");
        assert!(head.field("content-length").unwrap().parse::<usize>().unwrap() >= 3, "HEAD {path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
            let refused = watched.ask(&request);
            assert_eq!((refused.status(), refused.field("allow")), (405, Some("GET, HEAD")), "{request}");
        }
    }
    for path in ["/metrics/", "/none", "/../metrics", "//metrics", "/METRICS"] {
        assert_eq!(watched.get(path, "").status(), 404, "{path}");
    }
}

#[test]
fn a_connection_is_kept_and_heads_do_not_get_out_of_step() {
    let watched = Watched::new(Vec::new());
    let mut stream = connect(watched.admin);
    for method in ["HEAD", "GET", "HEAD", "GET"] {
        write!(stream, "{method} /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let response = wire::answer_to(&mut stream, method);
        assert_eq!((response.status(), response.body.is_empty()), (200, method == "HEAD"));
    }
}

#[test]
fn clients_that_prefer_openmetrics_get_it() {
    let watched = Watched::new(Vec::new());
    let counter = "sluicegate_egress_bytes_total counter\nsluicegate_egress_bytes_total 0\n";
    // What curl, promtool's users, and Prometheus 2.42 send.
    for fields in ["", "Accept: */*\r\n", "Accept: text/plain\r\n"] {
        let response = watched.get("/metrics", fields);
        assert_eq!(
            response.field("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8"),
            "{fields}"
        );
        assert_eq!(response.field("vary"), Some("accept"));
        let text = text(response);
        assert!(text.contains(&format!("\n# TYPE {counter}")));
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
        // promtool: each family has its help, by the name that it has.
        let of = |keyword: &str| -> Vec<String> {
            let names = text.lines().filter_map(|line| line.strip_prefix(keyword)?.split_once(' '));
            names.map(|(name, _)| name.to_owned()).collect()
        };
        assert_eq!(of("# HELP "), of("# TYPE "));
    }
    let fields =
        "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n";
    let response = watched.get("/metrics", fields);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((response.field("content-type"), response.field("vary")), (Some(kind), Some("accept")));
    let text = text(response);
    assert!(text.ends_with("\n# EOF\n") && !text.contains(counter), "{text}");
}

#[test]
fn readiness_has_its_reasons() {
    let lost = Arc::new(AtomicBool::new(false));
    let watched = Watched::made(Settings::default(), Vec::new(), |listener, handle| {
        let lost = Arc::clone(&lost);
        Admin::new(vec![listener], None, handle).unwrap().ready_when(move || {
            if lost.load(Ordering::Relaxed) { Err("the disk is lost".to_owned()) } else { Ok(()) }
        })
    });
    assert_eq!(watched.get("/readyz", "").status(), 200);
    lost.store(true, Ordering::Relaxed);
    let failed = watched.get("/readyz", "");
    assert_eq!((failed.status(), failed.body.as_slice()), (503, &b"the disk is lost\n"[..]));
    assert_eq!(watched.get("/healthz", "").status(), 200);
    lost.store(false, Ordering::Relaxed);
    assert_eq!(watched.get("/readyz", "").status(), 200);
}

#[test]
fn while_the_server_sheds_load_it_is_not_ready() {
    let folder = folder();
    let mut settings = Settings { egress_total: Some(10_000), ..Settings::default() };
    settings.sink.send_buffer = Some(8192);
    let route = Route::files("/", folder.path()).unwrap();
    let watched = Watched::with(settings, vec![route]);
    // A reader that takes nothing: a million bytes are more than the kernel takes for it.
    let mut slow = watched.served.begin("/large.bin");
    let metrics = watched.metrics_when(|metrics| {
        metrics.value("sluicegate_shedding") == 1.0
            && metrics.value("sluicegate_egress_buffered_bytes") > 10_000.0
    });
    assert!(metrics.value("sluicegate_egress_buffer_high_water_bytes") <= 65_536.0);
    let ready = watched.get("/readyz", "");
    assert_eq!(ready.status(), 503);
    assert_eq!(ready.body, b"shedding: all the bytes that may be held for clients are held\n");
    assert_eq!(wire::answer(&mut slow).body.len(), 1_000_000);
    watched.metrics_when(|metrics| metrics.value("sluicegate_shedding") == 0.0);
    assert_eq!(watched.get("/readyz", "").status(), 200);
}

#[test]
fn while_the_server_drains_it_is_alive_and_not_ready_and_at_the_end_it_is_gone() {
    let folder = folder();
    let watched = Watched::new(vec![testkit::served::files(&folder, 1_000_000)]);
    let mut transfer = watched.served.begin("/large.bin");
    transfer.read_exact(&mut [0; 100]).unwrap();
    let mut kept = connect(watched.admin);
    watched.served.handle.drain();

    let ready = watched.get("/readyz", "");
    assert_eq!(ready.status(), 503);
    assert_eq!(ready.body, b"draining: no new connections are taken\n");
    assert_eq!(watched.get("/healthz", "").status(), 200);
    assert_eq!(watched.metrics().value("sluicegate_connections"), 1.0);

    transfer.read_to_end(&mut Vec::new()).unwrap();
    watched.join();
    // Closed, whichever way.
    assert!(!matches!(kept.read(&mut [0; 1]), Ok(n) if n > 0));
}
