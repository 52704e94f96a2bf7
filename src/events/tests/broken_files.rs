//! Files of streams that a crash or a bad disk left as no server writes them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::super::event::{Draft, StreamName};
use super::super::hub::Hub;
use crate::events::{EventSettings, EventStore};
use crate::rt;

fn settings(path: &Path) -> EventSettings {
    EventSettings { store: EventStore::File(path.to_owned()), ..EventSettings::default() }
}

fn publish(hub: &Arc<Hub>) {
    let batch = vec![Draft::new("data", 100).unwrap()];
    rt::block_on(hub.publish(&StreamName::new("s").unwrap(), batch)).unwrap();
}

fn end(hub: &Arc<Hub>) {
    hub.close();
    rt::block_on(hub.closed());
}

#[test]
fn half_a_file_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let hub = Hub::open("/e/", settings(&path), rt::clock()).unwrap();
    publish(&hub);
    end(&hub);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    // Twice: what failed does not keep it open.
    for _ in 0..2 {
        let error = Hub::open("/e/", settings(&path), rt::clock()).unwrap_err().to_string();
        assert!(error.contains("is damaged") && error.contains("move it away"), "{error}");
    }
}

#[test]
fn a_file_that_a_crash_left_unmade_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    fs::write(&path, vec![0; 100_000]).unwrap();
    for _ in 0..2 {
        let hub = Hub::open("/e/", settings(&path), rt::clock()).unwrap();
        publish(&hub);
        end(&hub);
    }
}
