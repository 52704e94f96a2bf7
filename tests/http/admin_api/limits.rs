//! The limits: what is told of them, and what each way of changing them leaves.

use serde_json::{Value, json};
use sluicegate::budget::ClientKey;
use sluicegate::config::SharedLimits;
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::limit::{Budget, Rate};

use super::asking::{get, json, patch, send};
use testkit::watched::{Watched, folder};

fn watched(settings: Settings) -> (tempfile::TempDir, Watched) {
    let folder = folder();
    let routes = vec![
        testkit::served::files(&folder, 500_000).burst(1_000),
        Route::files("/a b/", folder.path()).unwrap().total(Budget::of(Rate::or_unlimited(7))),
    ];
    let watched = Watched::with(settings, routes);
    (folder, watched)
}

#[test]
fn all_limits_are_listed_with_what_they_did() {
    let limits = SharedLimits {
        server: Budget::of(Rate::or_unlimited(1 << 30)),
        client: Budget::of(Rate::or_unlimited(1_000)).reporting_only(),
        key: "header:x-key".parse().unwrap(),
        ..SharedLimits::default()
    };
    let (_folder, watched) = watched(Settings { limits, ..Settings::default() });
    assert_eq!(watched.served.get("/large.bin", "").status(), 200);
    let list = get(&watched, "/v1/limits");
    assert_eq!(list["client_key"], "header:x-key");
    let limits = list["limits"].as_array().unwrap();
    let hrefs: Vec<&str> = limits.iter().map(|limit| limit["href"].as_str().unwrap()).collect();
    let expected = "/v1/limits/server /v1/limits/client /v1/limits/connection \
                    /v1/limits/routes/%2Fa%20b%2F/response /v1/limits/routes/%2Fa%20b%2F/total \
                    /v1/limits/routes/%2Fa%20b%2F/client /v1/limits/routes/%2F/response \
                    /v1/limits/routes/%2F/total /v1/limits/routes/%2F/client \
                    /v1/limits/uploads/server /v1/limits/uploads/client \
                    /v1/limits/routes/%2Fa%20b%2F/upload /v1/limits/routes/%2Fa%20b%2F/upload-total \
                    /v1/limits/routes/%2Fa%20b%2F/upload-client /v1/limits/routes/%2F/upload \
                    /v1/limits/routes/%2F/upload-total /v1/limits/routes/%2F/upload-client";
    assert_eq!(hrefs.join(" "), expected);
    for limit in limits {
        let alone = get(&watched, limit["href"].as_str().unwrap());
        assert_eq!(alone["kind"], limit["kind"]);
    }
    assert!(limits[0]["bytes"].as_u64().unwrap() >= 1_000_000);
    assert_eq!(limits[0]["waits"], 0);
    let over = limits[1]["over"].as_u64().unwrap();
    assert!((900_000..=1_100_000).contains(&over), "what it would have delayed: {}", limits[1]);
    assert_eq!(
        limits[4],
        json!({
            "href": "/v1/limits/routes/%2Fa%20b%2F/total", "kind": "route", "route": "/a b/", "client": null,
            "own": null, "rate": 7, "burst": 0, "weight": null, "report_only": false, "bytes": 0, "waits": 0,
            "over": 0,
        })
    );
    assert_eq!((&limits[6]["rate"], &limits[6]["burst"]), (&json!(500_000), &json!(1_000)));
    assert_eq!((&limits[6]["bytes"], &limits[6]["weight"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_part_is_patched_and_the_whole_is_put() {
    let (_folder, watched) = watched(Settings::default());
    let paths = "/v1/limits/server /v1/limits/client /v1/limits/connection /v1/limits/routes/%2F/response \
                 /v1/limits/routes/%2F/total /v1/limits/routes/%2F/client /v1/limits/clients/192.0.2.1";
    for path in paths.split(' ') {
        let put = "{\"rate\": \"1.5m\", \"report_only\": true}";
        let told = json(&send(&watched, "PUT", path, "", put), 200);
        let of = |told: &Value| (told["rate"].clone(), told["burst"].clone(), told["report_only"].clone());
        assert_eq!(of(&told), (json!(1_572_864), json!(0), json!(true)), "{path}");
        assert_eq!(
            of(&patch(&watched, path, "{\"burst\": \"1k\"}")),
            (json!(1_572_864), json!(1024), json!(true))
        );
        let told = patch(&watched, path, "{\"rate\": null, \"report_only\": false}");
        assert_eq!(of(&told), (Value::Null, json!(1024), json!(false)), "{path}");
        assert_eq!(get(&watched, path), told);
        assert_eq!(get(&watched, path), patch(&watched, path, "{}"), "no change is none");
    }
    let budgets = watched.served.handle.budgets();
    assert_eq!(budgets.server().budget(), Budget::default().with_burst(1024));
    assert_eq!(budgets.connection().burst(), 1024);
}

#[test]
fn clients_have_limits_of_their_own_until_these_are_removed() {
    let (_folder, watched) = watched(Settings::default());
    let told = get(&watched, "/v1/limits/clients/2001:db8::7");
    assert_eq!((&told["own"], &told["rate"]), (&json!(false), &Value::Null));
    patch(&watched, "/v1/limits/client", "{\"rate\": 5000}");
    for (key, shown) in [
        ("2001:db8::7", "2001:db8::/64"),
        ("2001:db8:0:1::%2F64", "2001:db8:0:1::/64"),
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.2", "192.0.2.2"),
        ("local", "local"),
    ] {
        let told = patch(&watched, &format!("/v1/limits/clients/{key}"), "{\"weight\": 3}");
        assert_eq!((&told["client"], &told["own"]), (&json!(shown), &json!(true)));
        assert_eq!((&told["rate"], &told["weight"]), (&json!(5000), &json!(3)), "the rest is what all have");
        assert_eq!(get(&watched, told["href"].as_str().unwrap()), told);
    }
    let mut shown = Vec::new();
    let mut path = "/v1/limits/clients?limit=2".to_owned();
    loop {
        let page = get(&watched, &path);
        let limits = page["limits"].as_array().unwrap();
        assert!(!limits.is_empty() && limits.len() <= 2);
        shown.extend(limits.iter().map(|limit| limit["client"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/limits/clients?limit=2&after={}", next.replace('/', "%2F"));
    }
    assert_eq!(shown, ["192.0.2.1", "192.0.2.2", "2001:db8:0:1::/64", "2001:db8::/64", "local"]);

    let removed = watched.ask("DELETE /v1/limits/clients/192.0.2.1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((removed.status(), removed.body.len()), (204, 0));
    let told = get(&watched, "/v1/limits/clients/192.0.2.1");
    assert_eq!((&told["own"], &told["weight"]), (&json!(false), &json!(1)));
}

#[test]
fn what_is_not_set_of_a_clients_own_limit_follows_that_of_each() {
    let (_folder, watched) = watched(Settings::default());
    let own = "/v1/limits/clients/192.0.2.1";
    patch(&watched, "/v1/limits/client", "{\"rate\": 5000}");
    patch(&watched, own, "{\"weight\": 3}");
    patch(&watched, "/v1/limits/client", "{\"rate\": 7000, \"burst\": 100, \"weight\": 2}");
    let shown = |href: &str| {
        let told = get(&watched, href);
        json!([told["own"], told["rate"], told["burst"], told["weight"], told["report_only"]])
    };
    assert_eq!(shown(own), json!([true, 7000, 100, 3, false]));
    // A second change goes over the first.
    patch(&watched, own, "{\"burst\": 9}");
    patch(&watched, "/v1/limits/client", "{\"rate\": \"off\", \"burst\": 5, \"report_only\": true}");
    assert_eq!(shown(own), json!([true, null, 9, 3, true]));
    let key = ClientKey::address("192.0.2.1".parse().unwrap());
    let node = watched.served.handle.budgets().clients().node(&key);
    assert_eq!((node.budget().rate, node.budget().burst, node.budget().weight.get()), (None, 9, 3));
    patch(&watched, "/v1/limits/client", "{\"rate\": 1000}");
    assert_eq!(node.budget().rate, Rate::or_unlimited(1000), "also of a client that is there");
    patch(&watched, "/v1/limits/clients/192.0.2.2", "{}");
    assert_eq!(shown("/v1/limits/clients/192.0.2.2")[0], json!(false), "an empty change is none");
    watched.ask(&format!("DELETE {own} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_eq!((node.budget().burst, node.budget().weight.get()), (5, 2));
}

#[test]
fn a_client_known_by_a_header_is_named_by_its_fingerprint() {
    let limits = SharedLimits { key: "header:x-key".parse().unwrap(), ..SharedLimits::default() };
    let (_folder, watched) = watched(Settings { limits, ..Settings::default() });
    patch(&watched, "/v1/limits/server", "{\"rate\": \"1g\"}");
    assert_eq!(watched.served.get("/small.bin", "X-Key: hunter2\r\n").status(), 200);
    let (key, _) = watched.served.handle.budgets().clients().known(10).pop().unwrap();
    let path = format!("/v1/limits/clients/{key}");
    let told = patch(&watched, &path, "{\"rate\": 9}");
    assert_eq!((&told["client"], &told["rate"]), (&json!(key.to_string()), &json!(9)));
    let own = watched.served.handle.budgets().clients().overrides();
    assert_eq!(own, [(key, Budget::of(Rate::or_unlimited(9)))]);
    let all = get(&watched, "/v1/limits/clients").to_string();
    assert!(all.contains("key-") && !all.contains("hunter2"), "{all}");
    assert_eq!(watched.get("/v1/limits/clients/key-0123456789abcdef", "").status(), 404);
}

#[test]
fn a_certificate_has_a_limit_by_its_whole_fingerprint_before_it_is_seen_and_is_named_by_the_beginning() {
    let (_folder, watched) = watched(Settings::default());
    assert_eq!(watched.get("/v1/limits/clients/cert-abababababababab", "").status(), 404);
    for spelt in [["AB"; 32].join(":"), "ab".repeat(32)] {
        let told = patch(&watched, &format!("/v1/limits/clients/cert-{spelt}"), "{\"rate\": 9}");
        assert_eq!((&told["client"], &told["own"]), (&json!("cert-abababababababab"), &json!(true)));
        assert_eq!(get(&watched, told["href"].as_str().unwrap()), told);
    }
    let key = ClientKey::certificate(&"ab".repeat(32)).unwrap();
    let own = watched.served.handle.budgets().clients().overrides();
    assert_eq!(own, [(key, Budget::of(Rate::or_unlimited(9)))]);
    for bad in
        ["cert-", "cert-ab", &format!("cert-{}", "ab".repeat(33)), &format!("cert-{}", "xy".repeat(32))]
    {
        assert_eq!(watched.get(&format!("/v1/limits/clients/{bad}"), "").status(), 404, "{bad}");
    }
}

#[test]
fn metrics_have_limits_by_kind_and_route_and_never_by_client() {
    let (_folder, watched) = watched(Settings::default());
    patch(&watched, "/v1/limits/client", "{\"rate\": 1000, \"report_only\": true}");
    patch(&watched, "/v1/limits/clients/192.0.2.1", "{\"rate\": 5}");
    assert_eq!(watched.served.get("/large.bin", "").status(), 200);
    let text = testkit::watched::text(watched.get("/metrics", ""));
    let value = |sample: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(sample))?;
        line.trim().parse().ok()
    };
    let of = |family: &str, limit: &str, route: &str| {
        value(&format!("sluicegate_limit_{family}{{limit=\"{limit}\",route=\"{route}\"}}"))
    };
    assert_eq!(of("rate_bytes", "client", "all"), Some(1000.0));
    assert_eq!(of("rate_bytes", "pace", "/"), Some(500_000.0));
    assert_eq!(of("rate_bytes", "server", "all"), None, "unlimited");
    assert!(of("passed_bytes_total", "server", "all").unwrap() >= 1e6);
    assert!(of("over_bytes_total", "client", "all").unwrap() >= 9e5, "{text}");
    assert_eq!(of("waits_total", "client", "all"), Some(0.0));
    assert!(!text.contains("192.0.2.1"));
}
