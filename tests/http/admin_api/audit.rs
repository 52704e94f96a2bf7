//! Who changed what, how it is taken back, and who may only look.

use serde_json::{Value, json};
use sluicegate::admin::Admin;
use sluicegate::http::server::Settings;
use sluicegate::token::Token;

use super::asking::{connection_when, get, json as json_of, patch, send};
use testkit::served::files;
use testkit::watched::{TOKEN, Watched, folder};

/// Sends the request that a change names for taking it back.
fn undo(watched: &Watched, change: &Value) {
    let undo = &change["undo"];
    let content = undo["content"].as_object().map(|content| json!(content).to_string()).unwrap_or_default();
    let (method, href) = (undo["method"].as_str().unwrap(), undo["href"].as_str().unwrap());
    assert!(send(watched, method, href, "", &content).status() < 300, "{undo}");
}

#[test]
fn a_change_is_listed_with_what_was_before_and_can_be_taken_back() {
    let folder = folder();
    let watched = Watched::new(vec![files(&folder, 60_000)]);
    assert_eq!(get(&watched, "/v1/changes"), json!({"read_only": false, "changes": []}));
    patch(&watched, "/v1/limits/server", "{\"rate\": \"1m\", \"burst\": 7}");
    patch(&watched, "/v1/limits/server", "{\"rate\": \"1m\"}");
    patch(&watched, "/v1/limits/clients/192.0.2.1", "{\"weight\": 3}");
    patch(&watched, "/v1/limits/routes/%2F/response", "{\"rate\": \"2m for 10m, 500k\"}");
    let listed = get(&watched, "/v1/changes");
    let changes = listed["changes"].as_array().unwrap();
    let told: Vec<&str> = changes.iter().map(|change| change["href"].as_str().unwrap()).collect();
    let expected = ["/v1/limits/routes/%2F/response", "/v1/limits/clients/192.0.2.1", "/v1/limits/server"];
    assert_eq!(told, expected, "the latest first, and none that changed nothing");
    assert_eq!(changes[2]["before"], json!({"rate": "off", "burst": 0, "report_only": false}));
    assert_eq!(changes[2]["after"], json!({"rate": 1_048_576, "burst": 7, "report_only": false}));
    assert_eq!((&changes[2]["id"], &changes[2]["what"]), (&json!(1), &json!("set")));
    assert!(changes[2]["by"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(changes[0]["after"]["rate"], "2m for 10m, 500k");

    changes.iter().for_each(|change| undo(&watched, change));
    assert_eq!(get(&watched, "/v1/limits/server")["rate"], Value::Null);
    assert_eq!(get(&watched, "/v1/limits/server")["burst"], 0);
    assert_eq!(get(&watched, "/v1/limits/clients/192.0.2.1")["own"], false);
    assert_eq!(get(&watched, "/v1/limits/routes/%2F/response")["rate"], 60_000);
    // Undoing is a change, which can be undone.
    let listed = get(&watched, "/v1/changes");
    assert_eq!(listed["changes"].as_array().unwrap().len(), 6);
    undo(&watched, &listed["changes"][0]);
    assert_eq!(get(&watched, "/v1/limits/server")["rate"], 1_048_576);
}

#[test]
fn a_reset_is_taken_back_by_what_was_set() {
    let folder = folder();
    let watched = Watched::new(vec![files(&folder, 0)]);
    patch(&watched, "/v1/limits/clients/192.0.2.1", "{\"rate\": 5000, \"weight\": 3}");
    assert_eq!(send(&watched, "DELETE", "/v1/limits/clients/192.0.2.1", "", "").status(), 204);
    let listed = get(&watched, "/v1/changes");
    assert_eq!(listed["changes"][0]["what"], "reset");
    undo(&watched, &listed["changes"][0]);
    let limit = get(&watched, "/v1/limits/clients/192.0.2.1");
    assert_eq!((&limit["own"], &limit["rate"], &limit["weight"]), (&json!(true), &json!(5000), &json!(3)));
}

/// A client's own limit is what was set of it; the rest follows that of each, also after a change was taken back.
#[test]
fn what_was_a_part_of_a_limit_comes_back_as_that_part() {
    let folder = folder();
    let watched = Watched::new(vec![files(&folder, 0)]);
    let own = "/v1/limits/clients/192.0.2.1";
    patch(&watched, own, "{\"weight\": 3}");
    patch(&watched, own, "{\"rate\": 5000, \"burst\": 7}");
    let listed = get(&watched, "/v1/changes");
    assert_eq!(
        listed["changes"][0]["undo"],
        json!({"method": "PATCH", "href": format!("{own}?only=true"), "content": {"weight": 3}})
    );
    undo(&watched, &listed["changes"][0]);
    patch(&watched, "/v1/limits/client", "{\"rate\": 9000, \"burst\": 70000}");
    let limit = get(&watched, own);
    assert_eq!(json!([limit["rate"], limit["burst"], limit["weight"]]), json!([9000, 70_000, 3]));
    // Taken back, and so on.
    assert_eq!(send(&watched, "DELETE", own, "", "").status(), 204);
    undo(&watched, &get(&watched, "/v1/changes")["changes"][0]);
    patch(&watched, "/v1/limits/client", "{\"rate\": 8000}");
    let limit = get(&watched, own);
    assert_eq!(json!([limit["rate"], limit["burst"], limit["weight"]]), json!([8000, 70_000, 3]));
    // Nothing is left of its own.
    patch(&watched, &format!("{own}?only=true"), "{}");
    assert_eq!(get(&watched, own)["own"], false);
    assert_eq!(send(&watched, "PUT", &format!("{own}?only=true"), "", "{\"rate\": 1}").status(), 400);
}

#[test]
fn a_closed_connection_is_listed() {
    let folder = folder();
    let watched = Watched::new(vec![files(&folder, 1000)]);
    let _stream = watched.served.begin("/large.bin");
    let id = connection_when(&watched, |told| told["requests"] == 1)["id"].clone();
    assert_eq!(send(&watched, "DELETE", &format!("/v1/connections/{id}"), "", "").status(), 204);
    assert_eq!(send(&watched, "DELETE", "/v1/connections/9999999", "", "").status(), 404);
    let listed = get(&watched, "/v1/changes");
    let changes = listed["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0]["what"], "close");
    assert_eq!(changes[0]["href"], format!("/v1/connections/{id}"));
    assert_eq!(changes[0]["undo"], Value::Null);
}

#[test]
fn who_may_only_look_changes_nothing() {
    const READER: &str = "fedcba9876543210fedcba9876543210";
    let folder = folder();
    let watched = Watched::made(Settings::default(), vec![files(&folder, 1000)], |listener, handle| {
        let admin = Admin::new(vec![listener], Some(Token::new(TOKEN).unwrap()), handle).unwrap();
        admin.with_read_only(Some(Token::new(READER).unwrap()))
    });
    let _stream = watched.served.begin("/large.bin");
    let reads = format!("Authorization: Bearer {READER}\r\n");
    let changes = format!("Authorization: Bearer {TOKEN}\r\n");
    let id = testkit::wait::soon("the connection", || {
        let list = json_of(&watched.get("/v1/connections", &reads), 200);
        list["connections"][0]["id"].as_u64()
    });
    for (method, path, content) in [
        ("PATCH", "/v1/limits/server", "{\"rate\": 1}"),
        ("PUT", "/v1/limits/server", "{\"rate\": 1}"),
        ("DELETE", "/v1/limits/server", ""),
        ("DELETE", "/v1/limits", ""),
        ("DELETE", &format!("/v1/connections/{id}"), ""),
    ] {
        let problem = json_of(&send(&watched, method, path, &reads, content), 403);
        assert!(
            problem["detail"].as_str().unwrap().contains("for looking only"),
            "{method} {path}: {problem}"
        );
    }
    for path in ["/v1/limits", "/v1/connections", "/metrics", "/v1/changes", "/"] {
        assert_eq!(watched.get(path, &reads).status(), 200, "{path}");
        assert_eq!(watched.get(path, "").status(), 401, "{path}");
    }
    let listed = |fields: &str| json_of(&watched.get("/v1/changes", fields), 200);
    assert_eq!(listed(&reads), json!({"read_only": true, "changes": []}));
    assert_eq!(send(&watched, "PATCH", "/v1/limits/server", &changes, "{\"rate\": 1000000}").status(), 200);
    assert_eq!(listed(&changes)["read_only"], false);
    assert_eq!(listed(&reads)["changes"].as_array().unwrap().len(), 1);
}
