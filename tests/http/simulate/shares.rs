//! Who gets how much of what is shared.

use super::*;

const CLASSES: &str = "
    [limits]
    server = { rate = '4m' }

    [[class]]
    name = 'gold'
    match = { header = { x-api-key = ['gold'] } }
    limits.total = { weight = 3 }

    [[class]]
    name = 'plain'
    match = { header = { x-api-key = ['plain'] } }

    [[route]]
    path = '/'
    files = 'src'
";

const TWO: &str = "
    [[clients]]
    name = 'gold'
    count = 4
    headers = { x-api-key = 'gold' }
    path = '/a'
    size = 'endless'

    [[clients]]
    name = 'plain'
    count = 7
    connections = 2
    headers = { x-api-key = 'plain' }
    path = '/a'
    size = '1m'
";

#[test]
fn classes_share_the_server_by_their_weights() {
    let outcome = simulate(CLASSES, TWO, 60);
    let [gold, plain] = ["gold", "plain"].map(|name| group(&outcome, name).moved() as f64);
    near(gold / plain, 3.0, 0.01);
    near(gold + plain, 60.0 * f64::from(4 << 20), 0.01);
    let [gold, plain] = ["class gold", "class plain"].map(|name| limit(&outcome, name).passed() as f64);
    near(gold / plain, 3.0, 0.01);
    let server = limit(&outcome, "server");
    assert_eq!((server.allowed, server.span()), (Some(60 * (4 << 20)), Some((4 << 20, 4 << 20))));
    // max(burst, what it gives in 200 ms) + rate × w, and heads, which are charged afterwards.
    assert!(server.peak <= (4 << 20) * 12 / 10, "{}", server.peak);
    for name in ["gold", "plain"] {
        assert!(held(group(&outcome, name), "server") > 0.9, "{:?}", group(&outcome, name).waits);
    }
    assert_eq!(group(&outcome, "gold").transfers.under_way, 4);
}

#[test]
fn the_same_seed_gives_the_same_and_another_gives_others() {
    let clients = format!(
        "{TWO}\n[[clients]]\nname = 'by chance'\ncount = 50\narrive = {{ per_second = 3 }}\npath = '/a'\nsize = {{ median = '300k', spread = 3 }}\nread_rate = '200k'\npatience = '20s'\n"
    );
    let run = |seed| simulate_at("2026-01-05 12:00", CLASSES, &clients, 30, seed);
    let (one, again, other) = (run(1), run(1), run(2));
    assert_eq!(one, again);
    assert_ne!(one, other);
    let visitors = &group(&one, "by chance").transfers;
    assert!((60..130).contains(&(visitors.done + visitors.given_up + visitors.under_way)), "{visitors:?}");
}

#[test]
fn each_client_has_its_share_whatever_connections_it_has_and_its_limit() {
    let config = "
        [limits]
        server = { rate = '1m' }
        client = { rate = '400k' }
        [[route]]
        path = '/'
        files = 'src'
    ";
    let clients = "
        [[clients]]
        name = 'one'
        path = '/'
        size = 'endless'
        [[clients]]
        name = 'many'
        connections = 10
        path = '/'
        size = 'endless'
        [[clients]]
        name = 'little'
        path = '/'
        size = 'endless'
        source_rate = '100k'
    ";
    let outcome = simulate(config, clients, 60);
    let rate = |name: &str| group(&outcome, name).moved() as f64 / 60.0 / 1024.0;
    // 1024 KiB/s are enough for 400 + 400 + 100: nobody is held by the server.
    near(rate("one"), 400.0, 0.01);
    near(rate("many"), 400.0, 0.01);
    near(rate("little"), 100.0, 0.01);
    assert!(held(group(&outcome, "one"), "client") > 0.9, "{:?}", group(&outcome, "one").waits);
    assert!(held(group(&outcome, "little"), "source") > 0.9, "{:?}", group(&outcome, "little").waits);
    let spread = group(&outcome, "many").spread.unwrap();
    assert_eq!(spread.least, spread.most, "one client");
}
