//! A client in a runtime of the program's own: tasks and sockets are those of smol here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sluicegate::quota::client::{
    Connecting, Io, QuotaClient, QuotaClientSettings, ResourceUse, Runtime, ShareState, Task,
};
use testkit::wait::until;

use crate::fixture::{Served, settings};

/// smol, which counts what it is asked for.
#[derive(Clone, Debug, Default)]
struct Smol {
    spawned: Arc<AtomicUsize>,
    connected: Arc<AtomicUsize>,
    living: Arc<()>,
}

impl Runtime for Smol {
    fn spawn(&self, task: Task) {
        self.spawned.fetch_add(1, Ordering::SeqCst);
        let living = Arc::clone(&self.living);
        smol::spawn(async move {
            task.await;
            drop(living);
        })
        .detach();
    }

    fn connect(&self, host: String, port: u16) -> Connecting {
        self.connected.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { Ok(Io::new(smol::net::TcpStream::connect((host, port)).await?)) })
    }
}

#[test]
fn all_tasks_and_sockets_of_a_client_are_those_of_the_runtime_it_was_given() {
    let runtime = Smol::default();
    let served = Served::new(settings());
    let settings = QuotaClientSettings::new(served.endpoint(), "a".parse().unwrap())
        .using(ResourceUse::new("api".parse().unwrap()))
        .run_in(runtime.clone());
    let client = QuotaClient::start(settings).unwrap();
    let api = client.allocation("api").unwrap();
    let leased = |rate| {
        move |api: &sluicegate::quota::client::Allocation| {
            (api.share().per_second(), api.share().state) == (rate, ShareState::Leased)
        }
    };
    until("it has all", || leased(100)(&api));
    // More often on a machine so busy that the first calls were late.
    assert!(runtime.connected.load(Ordering::SeqCst) >= 1);
    // Its own task, and that of the connection at least.
    assert!(runtime.spawned.load(Ordering::SeqCst) >= 2);
    smol::block_on(client.close());
    until("all tasks ended", || Arc::strong_count(&runtime.living) == 1);
    until("farewell was heard", || served.handle.clients() == 0);
}

#[test]
fn what_the_runtime_cannot_connect_to_is_told_and_tried_again() {
    #[derive(Debug)]
    struct Refusing;
    impl Runtime for Refusing {
        fn spawn(&self, task: Task) {
            smol::spawn(task).detach();
        }
        fn connect(&self, host: String, port: u16) -> Connecting {
            Box::pin(async move { Err(std::io::Error::other(format!("no way to {host} {port}"))) })
        }
    }
    let endpoint = "http://quota.example:9190".parse().unwrap();
    let settings = QuotaClientSettings::new(endpoint, "a".parse().unwrap()).run_in(Refusing);
    let client = QuotaClient::start(settings).unwrap();
    until("it is told", || client.trouble().as_deref() == Some("no way to quota.example 9190"));
    assert!(!client.is_connected());
    smol::block_on(client.close());
}
