//! `sluicegate probe` on a server that others wrote, and its plot in a browser that others wrote.

use std::process::Command;

use serde_json::Value;

use crate::nginx::Nginx;
use crate::program::{make_file, succeeded, timed};

#[test]
fn nginx_is_seen_to_keep_its_limit_in_bursts() {
    timed(|| {
        let folder = tempfile::tempdir().unwrap();
        make_file(folder.path(), "large", 4 << 20);
        let nginx = Nginx::serve(folder.path(), "limit_rate 60k;");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        command.args([
            "probe",
            &nginx.url("/large"),
            "--rate",
            "60",
            "--seconds",
            "10",
            "--tolerance",
            "8",
            "--json",
        ]);
        let document: Value = serde_json::from_slice(&succeeded(&mut command)).unwrap();
        let seen = &document["urls"][0]["connections"][0];
        // It sends what it has read at once, and then waits for as long as that may take: half a second and more.
        assert!(seen["chunks"]["interval_us"].as_u64().unwrap() > 250_000, "{seen}");
        assert!(seen["longest_gap_ms"].as_u64().unwrap() > 400, "{seen}");
        assert!(seen["worst_second_bytes"].as_u64() < seen["best_second_bytes"].as_u64(), "{seen}");
    });
}
