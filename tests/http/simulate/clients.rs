//! What clients do: read slowly, upload, give up, are refused.

use super::*;

const FAST: &str = "[[route]]\npath = '/'\nfiles = 'src'\nrate = '10m'";

#[test]
fn a_slow_reader_is_held_by_itself() {
    let clients = "[[clients]]\nname = 'slow'\npath = '/a'\nsize = '10m'\nrequests = 1\nread_rate = '1m'";
    let outcome = simulate(FAST, clients, 60);
    let slow = group(&outcome, "slow");
    let time = slow.times.unwrap().p50.as_secs_f64();
    assert!((9.9..10.2).contains(&time), "{time} s");
    assert!(held(slow, "reader") > 0.9, "{:?}", slow.waits);
}

#[test]
fn a_reader_that_takes_too_little_is_cut_if_the_configuration_says_so() {
    let config = format!("{FAST}\n[sink]\non_full = 'close'\nbuffer = '8m'");
    let clients = "[[clients]]\nname = 'slow'\npath = '/a'\nsize = '100m'\nrequests = 1\nread_rate = '10k'";
    let outcome = simulate(&config, clients, 120);
    let transfers = group(&outcome, "slow").transfers;
    assert_eq!((transfers.cut, transfers.done), (1, 0), "{transfers:?}");
}

#[test]
fn clients_give_up_after_their_patience() {
    let clients =
        "[[clients]]\nname = 'hasty'\ncount = 2\npath = '/a'\nsize = '100m'\npatience = '2s'\nthink = '1s'";
    let outcome = simulate(FAST, clients, 30);
    let transfers = group(&outcome, "hasty").transfers;
    // One each 3 s from each.
    assert_eq!((transfers.given_up, transfers.done), (20, 0), "{transfers:?}");
    near(group(&outcome, "hasty").rates.unwrap().p50 as f64, f64::from(10 << 20), 0.1);
}

#[test]
fn a_client_has_as_many_connections_as_it_may_and_is_refused_beyond() {
    let config = format!("client_connections = 2\n{FAST}");
    let clients = "[[clients]]\nname = 'greedy'\nconnections = 5\npath = '/a'\nsize = 'endless'";
    let outcome = simulate(&config, clients, 14);
    let transfers = group(&outcome, "greedy").transfers;
    // Three are refused at once, and again 5 s and 10 s later.
    assert_eq!((transfers.under_way, transfers.refused), (2, 9), "{transfers:?}");
}

#[test]
fn errors_are_not_done() {
    let config = "[[route]]\npath = '/here/'\nfiles = 'src'\n[[route]]\npath = '/away/'\nredirect = 'https://example.com'";
    let asking = |name: &str, path: &str| {
        format!("[[clients]]\nname = '{name}'\nrequests = 2\npath = '{path}'\nsize = '1k'\n")
    };
    let clients = asking("here", "/here/a") + &asking("lost", "/there") + &asking("away", "/away/x");
    let outcome = simulate(config, &clients, 10);
    let transfers = ["here", "lost", "away"].map(|name| group(&outcome, name).transfers);
    assert_eq!(transfers.map(|transfers| (transfers.done, transfers.failed)), [(2, 0), (0, 2), (0, 2)]);
}

#[test]
fn uploads_go_at_the_pace_of_the_route_and_share_its_limit() {
    let config = "
        [[route]]
        path = '/'
        proxy = 'http://127.0.0.1:9'
        upload = { rate = '1m' }
        limits.upload = { total = { rate = '3m' } }
    ";
    let clients = "[[clients]]\nname = 'a'\ncount = 6\nrequests = 1\npath = '/a'\nupload = '5m'";
    let outcome = simulate(config, clients, 60);
    let group = group(&outcome, "a");
    assert_eq!((group.transfers.done, group.bytes_up), (6, 6 * (5 << 20)));
    // 30 MiB at 3 MiB/s; alone each would take 5 s.
    let times = group.times.unwrap();
    assert!((9.5..10.3).contains(&times.most.as_secs_f64()), "{times:?}");
    assert!(held(group, "upload_route") > 0.2, "{:?}", group.waits);
    assert_eq!(limit(&outcome, "upload-route /").passed(), 6 * (5 << 20));
}

#[test]
fn clients_are_told_apart_by_their_addresses_and_put_into_classes_by_their_certificates() {
    let config = "
        listen = { address = '127.0.0.1:8443', tls = 'default' }
        limits.client = { rate = '1m' }
        [tls.default]
        self_signed = true
        client_ca = 'Cargo.toml'
        [[class]]
        name = 'staff'
        match = { certificate = 'alice' }
        limits.client = { rate = '5m' }
        [[route]]
        path = '/'
        files = 'src'
    ";
    let with = |name: &str, more: &str| {
        format!("[[clients]]\nname = '{name}'\n{more}\npath = '/'\nsize = 'endless'\n")
    };
    let clients = with("addresses", "count = 3")
        + &with("one address", "connections = 3")
        + &with("staff", "certificate = 'alice'\ncount = 2")
        + &with("others", "certificate = 'bob'\ncount = 2");
    let outcome = simulate(config, &clients, 20);
    // The two of staff have one certificate, and so are one client.
    for (name, mib) in [("addresses", 3.0), ("one address", 1.0), ("staff", 5.0), ("others", 2.0)] {
        near(group(&outcome, name).moved() as f64 / 20.0 / 1_048_576.0, mib, 0.02);
    }
}
