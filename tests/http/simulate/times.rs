//! Rates that change: by the bytes of a response, and by the calendar.

use super::*;

const MIB: f64 = 1_048_576.0;

/// How long each of a group's transfers took that were done, if all took as long.
fn time(outcome: &Outcome, name: &str) -> f64 {
    let times = group(outcome, name).times.unwrap();
    near(times.most.as_secs_f64(), times.least.as_secs_f64(), 0.001);
    times.p50.as_secs_f64()
}

#[test]
fn a_falling_rate_takes_the_integral_of_its_parts() {
    let config = "[[route]]\npath = '/'\nfiles = 'src'\nrate = ['2m for 10m', '500k']";
    let clients = "[[clients]]\nname = 'a'\ncount = 3\nrequests = 2\npath = '/a'\nsize = '15m'\nlatency = '10ms'\nthink = '7s'";
    let outcome = simulate(config, clients, 60);
    assert_eq!(group(&outcome, "a").transfers.done, 6);
    // 10 MiB at 2 MiB/s, and 5 MiB at 500 KiB/s: the first chunk leaves at once, the last less than one with it.
    let expected = 10.0 / 2.0 + 5.0 * 1024.0 / 500.0;
    assert!((expected - 0.45..=expected + 0.1).contains(&time(&outcome, "a")), "{}", time(&outcome, "a"));
    assert!(held(group(&outcome, "a"), "pace") > 0.95);
}

#[test]
fn a_transfer_that_crosses_a_boundary_moves_to_the_new_rate() {
    let config = "
        [[route]]
        path = '/'
        files = 'src'
        rate = '1m'
        [[route.pace]]
        when = { during = '18:00-22:00' }
        rate = '256k'
    ";
    let clients = "[[clients]]\nname = 'a'\ncount = 5\npath = '/a'\nsize = 'endless'";
    let outcome = simulate_at("2026-01-05 17:59", config, clients, 120, 1);
    near(mean(group(&outcome, "a"), 10..60) / 5.0, MIB, 0.01);
    near(mean(group(&outcome, "a"), 61..119) / 5.0, MIB / 4.0, 0.01);
    // And back.
    let outcome = simulate_at("2026-01-05 21:59:30", config, clients, 60, 1);
    near(mean(group(&outcome, "a"), 5..29) / 5.0, MIB / 4.0, 0.01);
    near(mean(group(&outcome, "a"), 31..59) / 5.0, MIB, 0.01);
}

#[test]
fn a_shared_limit_follows_its_schedule_over_a_boundary() {
    for limit in [
        "[limits.server]\nrate = '4m'",
        "[[route]]\npath = '/'\nfiles = 'src'\n[route.limits.total]\nrate = '4m'",
    ] {
        let mut config = format!("{limit}\nschedule = [{{ during = '18:00-22:00', rate = '1m' }}]\n");
        if !limit.contains("route") {
            config += "[[route]]\npath = '/'\nfiles = 'src'\n";
        }
        let clients = "[[clients]]\nname = 'a'\ncount = 5\npath = '/a'\nsize = 'endless'";
        for (at, before, after) in [("2026-01-05 17:59:30", 4.0, 1.0), ("2026-01-05 21:59:30", 1.0, 4.0)] {
            let outcome = simulate_at(at, &config, clients, 60, 1);
            near(mean(group(&outcome, "a"), 5..29), before * MIB, 0.01);
            near(mean(group(&outcome, "a"), 31..59), after * MIB, 0.01);
        }
    }
}

#[test]
fn rules_go_by_the_path_the_size_and_the_class() {
    let config = "
        [[class]]
        name = 'vip'
        match = { network = '10.2.0.0/16' }
        [[route]]
        path = '/'
        files = 'src'
        rate = '1m'
        [[route.pace]]
        when = { class = 'vip' }
        rate = '4m'
        [[route.pace]]
        when = { extension = 'iso' }
        rate = '2m'
        [[route.pace]]
        when = { size = '>10m' }
        rate = '512k'
    ";
    let asking = |name: &str, path: &str, size: &str| {
        format!("[[clients]]\nname = '{name}'\nrequests = 1\npath = '{path}'\nsize = '{size}'\n")
    };
    let clients = asking("plain", "/a", "8m")
        + &asking("vip", "/a", "8m")
        + &asking("image", "/a.iso", "8m")
        + &asking("large", "/a", "12m");
    let outcome = simulate(config, &clients, 60);
    for (name, expected) in [("plain", 8.0), ("vip", 2.0), ("image", 4.0), ("large", 24.0)] {
        let time = time(&outcome, name);
        assert!((expected - 0.4..=expected + 0.1).contains(&time), "{name}: {time} s");
    }
}
