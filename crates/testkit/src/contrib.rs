//! Files that are shipped beside the program.

use std::fs;
use std::path::{Path, PathBuf};

/// The path of a file or folder in `contrib`.
pub fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib").join(name)
}

/// The queries of the dashboard's panels.
pub fn dashboard_queries() -> Vec<String> {
    let text = fs::read_to_string(contrib("grafana/sluicegate.json")).unwrap();
    let board: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}
