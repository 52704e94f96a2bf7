//! Limits that uploads share, and what is told of uploads.

use std::time::Duration;

use super::{Framed, SECOND, Taking, lines, rate, request, statuses, taking, text};
use crate::budget::HeldBy;
use crate::http::limits::{SharedLimits, UploadLimits};
use crate::http::server::Settings;
use crate::http::server::tests::World;
use crate::http::server::tests::pipe::{Client, Road};
use crate::limit::{Budget, Rate};

fn limited(server: u64, client: u64) -> Settings {
    limited_by(UploadLimits { server: rate(server), client: rate(client) })
}

fn limited_by(upload: UploadLimits) -> Settings {
    let limits = SharedLimits { upload, ..SharedLimits::default() };
    Settings { limits, access_log: true, ..Settings::default() }
}

/// The limits that an upload can wait for, by the names that log and lists have for them.
const NAMES: [&str; 5] = ["upload_server", "upload_client", "upload_route", "upload_route_client", "upload"];

/// A server whose only limit is that of this name.
fn under(name: &str, budget: Budget) -> (World, Taking) {
    let of = |known: &str| if name == known { budget } else { Budget::default() };
    let limits = UploadLimits { server: of("upload_server"), client: of("upload_client") };
    taking(limited_by(limits), |route| {
        let route = route.upload_total(of("upload_route")).upload(of("upload"));
        route.upload_per_client(of("upload_route_client"))
    })
}

/// Sets the limit of this name while uploads run.
fn set(world: &World, name: &str, per_second: u64) {
    let (budgets, route, budget) =
        (world.handle.budgets(), world.handle.routes().remove(0), rate(per_second));
    match name {
        "upload_server" => budgets.uploads().parent().set(budget),
        "upload_client" => budgets.uploads().set(budget),
        "upload_route" => route.upload_clients().parent().set(budget),
        "upload_route_client" => route.upload_clients().set(budget),
        _ => route.upload_limit().set(budget),
    }
}

/// What holds the one upload under way.
fn held_by(world: &World) -> String {
    let reports = world.handle.connections_after(0, 10, 100);
    let upload = reports[0].transfers[0].upload.as_ref().unwrap();
    match &upload.held.as_ref().unwrap().by {
        HeldBy::Pace => "upload".to_owned(),
        by => by.as_str().to_owned(),
    }
}

#[test]
fn each_limit_holds_an_upload_to_its_rate_and_is_named_for_it_alone() {
    for name in NAMES {
        for framed in [Framed::Length, Framed::Chunked] {
            let (mut world, taking) = under(name, rate(100_000));
            let client = world.connect(Road::WIDE);
            client.send(&request(1_000_000, framed, ""));
            world.settle();
            for fifth in 0..45 {
                let due = 20_000 * fifth;
                assert!(
                    (due..=due + 20_000).contains(&taking.taken()),
                    "{name}: {}, {due} due",
                    taking.taken()
                );
                assert_eq!(held_by(&world), name, "after {fifth} fifths of a second");
                world.pass(SECOND / 5);
            }
            world.pass(SECOND);
            assert_eq!((taking.taken(), statuses(&text(&client))), (1_000_000, vec![200]), "{name}");
            let [line] = &lines()[..] else { panic!() };
            let set = if name == "upload" { "100000B" } else { "off" };
            assert_eq!((line.field("held_by"), line.field("rate_up_set")), (name, set));
            assert_eq!(line.number("bytes_up"), 1_000_000, "{name}");
            let per_second = line.number("bytes_up_per_second");
            assert!((100_000..=104_200).contains(&per_second), "{name}: {per_second}");
        }
    }
}

#[test]
fn a_burst_of_each_limit_passes_at_once_and_once() {
    for name in NAMES {
        let (mut world, taking) = under(name, rate(100_000).with_burst(300_000));
        // A limit that was set a moment ago has earned nothing yet.
        world.pass(3 * SECOND);
        let client = world.connect(Road::WIDE);
        client.send(&request(1_000_000, Framed::Length, ""));
        world.settle();
        for fifth in 0..30 {
            let due = 300_000 + 20_000 * fifth;
            let taken = taking.taken();
            // A shared limit lets whole frames pass, of 16 KiB.
            assert!((due - 16_384..=due + 20_000).contains(&taken), "{name}: {taken} of {due}");
            world.pass(SECOND / 5);
        }
        client.reset();
        world.settle();
    }
}

#[test]
fn a_changed_limit_holds_for_an_upload_under_way_within_an_interval() {
    for name in NAMES {
        let (mut world, taking) = under(name, rate(10_000));
        let client = world.connect(Road::WIDE);
        client.send(&request(1_000_000, Framed::Length, ""));
        // Between two chunks.
        world.pass(3 * SECOND + Duration::from_millis(70));
        let mut before = taking.taken();
        for per_second in [200_000, 10_000, 100_000, 1_000] {
            set(&world, name, per_second);
            let chunk = per_second / 5;
            for fifth in 1..=5 {
                world.pass(SECOND / 5);
                let (more, due) = (taking.taken() - before, chunk * fifth);
                // A shared limit lets whole frames pass, of 16 KiB.
                let least = due.saturating_sub(chunk + 16_384);
                assert!(
                    (least..=due + chunk).contains(&more),
                    "{name} at {per_second}: {more} in {fifth} fifths"
                );
            }
            before = taking.taken();
        }
        client.reset();
        world.settle();
    }
}

#[test]
fn clients_share_the_servers_limit_max_min_and_a_change_holds_at_once() {
    let (mut world, _) = taking(limited(1_000_000, 0), |route| route);
    // Three connections of one client, one of each of three others, and one that wants little.
    let greedy = [[192, 0, 2, 1]; 3].into_iter().chain((2..5).map(|last| [192, 0, 2, last]));
    let mut clients: Vec<Client> = greedy.map(|ip| world.connect_from(ip, Road::WIDE)).collect();
    let modest = world.connect_from([192, 0, 2, 9], Road::WIDE);
    for client in &clients {
        client.send(&request(40_000_000, Framed::Length, ""));
    }
    modest.send(b"POST /page HTTP/1.1\r\nHost: t\r\nContent-Length: 10000000\r\n\r\n");
    clients.push(modest.clone());
    world.settle();
    let uploaded = |world: &World| -> Vec<u64> {
        let reports = world.handle.connections_after(0, 10, 100);
        reports.iter().map(|report| report.transfers[0].upload.as_ref().unwrap().bytes).collect()
    };
    let run = |world: &mut World, seconds: u32| {
        let before = uploaded(world);
        for _ in 0..seconds * 10 {
            modest.send(&[b'x'; 10_000]);
            world.pass(SECOND / 10);
        }
        let passed = uploaded(world).into_iter().zip(before).map(|(now, before)| now - before);
        passed.map(|bytes| bytes / u64::from(seconds)).collect::<Vec<u64>>()
    };
    run(&mut world, 1);
    let near = |got: &[u64], expected: &[u64]| {
        let is_near = |(got, expected): (&u64, &u64)| got.abs_diff(*expected) * 100 <= *expected;
        assert!(got.iter().zip(expected).all(is_near), "{got:?} instead of {expected:?}");
    };
    // 100 000 for the modest one, and the rest in four parts, of which the first has three.
    near(&run(&mut world, 40), &[75_000, 75_000, 75_000, 225_000, 225_000, 225_000, 100_000]);
    world.handle.budgets().uploads().parent().set(rate(500_000));
    run(&mut world, 1);
    near(&run(&mut world, 40), &[33_333, 33_333, 33_333, 100_000, 100_000, 100_000, 100_000]);
    for client in &clients {
        client.reset();
    }
    world.settle();
}

#[test]
fn an_upload_is_reported_while_it_runs_and_logged_at_its_end() {
    let (mut world, _) = taking(limited(0, 40_000), |route| route.upload(rate(100_000)));
    let client = world.connect(Road::WIDE);
    client.send(&request(100_000, Framed::Length, ""));
    world.pass(SECOND + SECOND / 20);
    let reports = world.handle.connections_after(0, 10, 100);
    let upload = reports[0].transfers[0].upload.as_ref().unwrap();
    // What 200 ms give at the start, and 40 000 in the second, but for a turn that is waited for.
    assert!((40_000..=50_000).contains(&upload.bytes), "{}", upload.bytes);
    let passed = upload.bytes;
    assert_eq!((upload.length, upload.has_ended), (Some(100_000), false));
    assert_eq!(upload.pace, Rate::or_unlimited(100_000));
    let held = upload.held.as_ref().unwrap();
    assert_eq!(held.by, HeldBy::Budget("upload_client".into()));
    let counted = |world: &World| world.handle.telemetry().routes()[0].received();
    assert_eq!(counted(&world), passed);
    world.pass(2 * SECOND);
    assert_eq!((statuses(&text(&client)), counted(&world)), (vec![200], 100_000));
    let [line] = &lines()[..] else { panic!() };
    assert_eq!(line.number("bytes_up"), 100_000);
    assert_eq!((line.field("rate_up_set"), line.field("held_by")), ("100000B", "upload_client"));
    let per_second = line.number("bytes_up_per_second");
    assert!((40_000..=45_000).contains(&per_second), "{per_second}");
}

#[test]
fn uploads_that_only_report_are_not_delayed() {
    let (mut world, taking) = taking(Settings::default(), |route| route.upload(rate(1_000).reporting_only()));
    let client = world.connect(Road::WIDE);
    client.send(&request(50_000, Framed::Length, ""));
    world.settle();
    assert_eq!((taking.taken(), statuses(&text(&client))), (50_000, vec![200]));
    let over = world.handle.routes()[0].upload_limit().over();
    assert_eq!(over, 50_000 - 200);
}
