//! Classes of clients over the admin API: listed, changed, and named where they hold a transfer.

use serde_json::{Value, json};
use sluicegate::budget::ClientKey;
use sluicegate::config::Loader;
use sluicegate::http::route::Route;
use sluicegate::limit::Rate;
use testkit::watched::Watched;

use super::asking::{connection_when, get, json, patch, send};

fn watched(text: &str) -> (tempfile::TempDir, Watched) {
    let folder = testkit::folder::sparse("large", 1 << 30);
    let text = format!("listen = '127.0.0.1:0'\n{text}\n[[route]]\npath = '/'\nfiles = '.'\n");
    let config = Loader::new().parse(&text, "test.toml", folder.path()).unwrap();
    let watched = Watched::new(vec![Route::files("/", folder.path()).unwrap()]);
    watched.served.handle.set_classes(&config.classes).unwrap();
    (folder, watched)
}

const VIP: &str = "[[class]]
    name = 'vip'
    match = { header = { x-api-key = ['one', 'two'] } }
    limits = { client = { rate = '20k' }, total = { rate = '30k', weight = 5 } }";

#[test]
fn a_class_is_listed_behind_the_routes_and_changed_like_any_limit() {
    let (_folder, watched) = watched(VIP);
    let list = get(&watched, "/v1/limits");
    let of_class: Vec<&Value> =
        list["limits"].as_array().unwrap().iter().filter(|limit| limit["class"] == "vip").collect();
    let told: Vec<Value> = of_class
        .iter()
        .map(|limit| json!([limit["href"], limit["kind"], limit["rate"], limit["weight"]]))
        .collect();
    let path = "/v1/limits/classes/vip";
    let expected = [
        json!([format!("{path}/total"), "class", 30_720, 5]),
        json!([format!("{path}/client"), "class_client", 20_480, 1]),
        json!([format!("{path}/upload-total"), "upload_class", null, 5]),
        json!([format!("{path}/upload-client"), "upload_class_client", null, 1]),
    ];
    assert_eq!(told, expected);
    let changed = patch(&watched, "/v1/limits/classes/vip/total", "{\"rate\": \"1m\", \"weight\": 7}");
    assert_eq!((&changed["rate"], &changed["weight"]), (&json!(1 << 20), &json!(7)));
    let class = watched.served.handle.budgets().class("vip").unwrap();
    let budget = class.clients().parent().budget();
    assert_eq!((budget.rate, budget.weight.get()), (Rate::or_unlimited(1 << 20), 7));
    for (path, detail) in [
        ("/v1/limits/classes/none/total", "No class of clients has this name"),
        ("/v1/limits/classes/vip/response", "There is no such resource"),
        ("/v1/limits/classes/vip", "There is no such resource"),
    ] {
        let answer = send(&watched, "GET", path, "", "");
        assert!(json(&answer, 404)["detail"].as_str().unwrap().contains(detail), "{path}");
    }
}

#[test]
fn a_transfer_names_its_class_and_the_limit_of_it_that_holds_it() {
    let (_folder, watched) = watched(VIP);
    let request = |key: &str| {
        watched.served.send(format!("GET /large HTTP/1.1\r\nHost: t\r\nx-api-key: {key}\r\n\r\n"))
    };
    let _one = request("one");
    let told = connection_when(&watched, |told| told["transfers"][0]["held_by"] == "class_client");
    let transfer = &told["transfers"][0];
    assert_eq!(
        (&transfer["class"], &transfer["limit"]),
        (&json!("vip"), &json!("/v1/limits/classes/vip/client"))
    );
    // A part of a limit of the client's own leaves the rest as it is in the class.
    let shown = ClientKey::header(b"one").unwrap().to_string();
    let own = format!("/v1/limits/clients/{shown}");
    patch(&watched, &own, "{\"weight\": 3}");
    let in_class = || watched.served.handle.budgets().class("vip").unwrap().clients().known(2)[0].1.budget();
    assert_eq!((in_class().rate, in_class().weight.get()), (Rate::or_unlimited(20_480), 3));
    assert_eq!(send(&watched, "DELETE", &own, "", "").status(), 204);
    assert_eq!(in_class().weight.get(), 1);
    // A limit of the client's own is that of its node in the class.
    patch(&watched, &own, "{\"rate\": 1024}");
    let class = watched.served.handle.budgets().class("vip").unwrap();
    assert_eq!(class.clients().known(2)[0].1.budget().rate, Rate::or_unlimited(1024));
    connection_when(&watched, |told| told["transfers"][0]["limit"] == own.as_str());
    assert_eq!(send(&watched, "DELETE", &own, "", "").status(), 204);
    assert_eq!(class.clients().known(2)[0].1.budget().rate, Rate::or_unlimited(20_480));
    patch(&watched, "/v1/limits/classes/vip/total", "{\"rate\": 1024}");
    let held = connection_when(&watched, |told| told["transfers"][0]["held_by"] == "class");
    assert_eq!(held["transfers"][0]["limit"], "/v1/limits/classes/vip/total");
    let page = String::from_utf8(watched.get("/metrics", "").body).unwrap();
    let sample = |line: &str| assert!(page.lines().any(|known| known == line), "{line}: {page}");
    sample("sluicegate_class_clients{class=\"vip\"} 1");
    sample("sluicegate_class_limit_rate_bytes{class=\"vip\",limit=\"total\"} 1024");
    sample("sluicegate_class_limit_rate_bytes{class=\"vip\",limit=\"client\"} 20480");
    let passed = page.lines().find_map(|line| {
        line.strip_prefix("sluicegate_class_passed_bytes_total{class=\"vip\",limit=\"total\"} ")?
            .parse::<u64>()
            .ok()
    });
    assert!(passed.is_some_and(|passed| passed > 0), "{page}");
    assert!(!page.contains("key-") && !page.contains("x-api-key"), "clients are no label");
}
