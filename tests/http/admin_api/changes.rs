//! Changes that reach a transfer under way: by bytes, over the transfer's own time.

use std::io::Read;

use serde_json::Value;
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;

use super::asking::{patch, transfer_when};
use testkit::watched::Watched;

const RATE: u64 = 100_000;

/// Bytes that may be on their way when a limit is lowered: a chunk or two, and a granted turn.
const SLACK: u64 = 200_000;

/// Bytes and age of the transfer, in ms.
fn progress(told: &Value) -> (u64, u64) {
    (told["bytes"].as_u64().unwrap_or_default(), told["age_ms"].as_u64().unwrap_or_default())
}

/// For each limit: a transfer that runs free until it is lowered, held to it while it lasts, and raised.
#[test]
fn a_lowered_limit_holds_and_a_lifted_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("endless.bin")).unwrap();
    file.set_len(1 << 42).unwrap();
    for limit in [
        "/v1/limits/server",
        "/v1/limits/client",
        "/v1/limits/connection",
        "/v1/limits/clients/127.0.0.1",
        "/v1/limits/routes/%2F/response",
        "/v1/limits/routes/%2F/total",
        "/v1/limits/routes/%2F/client",
    ] {
        let route = Route::files("/", folder.path()).unwrap();
        let watched = Watched::with(Settings::default(), vec![route]);
        let stream = watched.served.begin("/endless.bin");
        let mut reader = stream.try_clone().unwrap();
        let reading = std::thread::spawn(move || {
            let mut buf = vec![0; 1 << 20];
            while matches!(reader.read(&mut buf), Ok(1..)) {}
        });
        transfer_when(&watched, |told| progress(told).0 > 10 * SLACK);

        patch(&watched, limit, &format!("{{\"rate\": {RATE}}}"));
        let (bytes, age) = progress(&transfer_when(&watched, |told| progress(told).0 > 0));
        // The transfer's own time goes on; nothing is slept through.
        let later = transfer_when(&watched, |told| progress(told).1 > age + 1_000);
        let passed = progress(&later).0 - bytes;
        let most = RATE * (progress(&later).1 - age) / 1_000 + SLACK;
        assert!(passed <= most, "{limit}: {passed} bytes of {most}");

        patch(&watched, limit, "{\"rate\": null}");
        let (bytes, _) = progress(&later);
        transfer_when(&watched, |told| progress(told).0 > bytes + 100 * SLACK);
        drop(watched);
        reading.join().unwrap();
        drop(stream);
    }
}
