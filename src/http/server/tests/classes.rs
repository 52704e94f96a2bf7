//! Classes of clients on the manual clock: what each class and each client in it gets, to the byte.

use std::cell::Cell;
use std::time::Duration;

use super::pipe::{Client, Road};
use super::{Page, World, content};
use crate::budget::ClientKey;
use crate::http::classes::tests::prepared;
use crate::http::peer::TrustedPeers;
use crate::http::route::{PaceRule, Route, When};
use crate::http::server::Settings;
use crate::limit::{Budget, Rate};
use testkit::recorder;

const LEN: usize = 40_000_000;

/// A server of one long page, with these classes.
fn world(settings: Settings, text: &str) -> World {
    let page = Page { status: 200, bytes: content(LEN), sized: true };
    let limits = settings.limits.clone();
    let world = World::on(settings, Route::handler("/", page));
    world.server.budgets.set_classes(prepared(text, &limits));
    world
}

fn limited(server: u64) -> Settings {
    let mut settings = Settings::default();
    settings.limits.server = Budget::of(Rate::or_unlimited(server));
    settings
}

fn get(client: &Client, fields: &str) {
    client.send(format!("GET /page HTTP/1.1\r\nHost: t\r\n{fields}\r\n").as_bytes());
}

/// Bytes that came to each of `clients` in so many seconds, after two in which they settle.
fn come<const N: usize>(world: &mut World, clients: [&Client; N], seconds: u64) -> [u64; N] {
    let drain = |_: ()| clients.map(|client| client.read(usize::MAX).len() as u64);
    for _ in 0..20 {
        world.pass(Duration::from_millis(100));
        drain(());
    }
    let mut came = [0; N];
    for _ in 0..seconds * 10 {
        world.pass(Duration::from_millis(100));
        for (sum, bytes) in came.iter_mut().zip(drain(())) {
            *sum += bytes;
        }
    }
    came
}

fn assert_near(came: u64, expected: u64, what: &str) {
    // A chunk may be on either side of where the time is cut.
    assert!(came.abs_diff(expected) <= expected / 50 + 20_000, "{what}: {came}, expected {expected}");
}

const VIP: &str = "[[class]]
    name = 'vip'
    match = { header = { x-api-key = ['one', 'two'] } }
    limits = { client = { rate = '300000B' }, total = { rate = '500000B' } }
    required = true
";

#[test]
fn each_client_of_a_class_has_its_limit_and_all_together_theirs() {
    let mut world = world(limited(3_000_000), VIP);
    let [one, two, again, other] = [1, 2, 3, 4].map(|last| world.connect_from([192, 0, 2, last], Road::WIDE));
    get(&one, "X-API-Key: one\r\n");
    let [alone] = come(&mut world, [&one], 5);
    assert_near(alone, 5 * 300_000, "one client alone");
    // A second client, and the first again from another address.
    get(&two, "x-api-key: two\r\n");
    get(&again, "x-api-key: one\r\n");
    get(&other, "");
    let [first, second, third, free] = come(&mut world, [&one, &two, &again, &other], 5);
    assert_near(first + third, 5 * 250_000, "the client with two connections");
    assert_near(second, 5 * 250_000, "the client with one");
    assert!(free > 5 * 1_000_000, "who is in no class is under no limit of one: {free}");
    let class = world.handle.budgets().class("vip").unwrap();
    assert_eq!(class.clients().len(), 2);
    // At once for what is under way.
    class.clients().parent().set(Budget::of(Rate::or_unlimited(100_000)));
    let [first, second, third] = come(&mut world, [&one, &two, &again], 5);
    assert_near(first + third, 5 * 50_000, "half of the new total");
    assert_near(second, 5 * 50_000, "the other half");
    world.cut(1);
    world.cut(2);
    world.cut(3);
    world.cut(4);
}

#[test]
fn a_class_shares_the_server_by_its_weight_and_its_clients_share_that() {
    let text = "[[class]]
        name = 'gold'
        match = { network = '192.0.2.0/28' }
        limits.total = { weight = 3 }";
    let mut world = world(limited(1_000_000), text);
    let gold = [1, 2, 3].map(|last| world.connect_from([192, 0, 2, last], Road::WIDE));
    let others = [100, 101].map(|last| world.connect_from([192, 0, 2, last], Road::WIDE));
    gold.iter().chain(&others).for_each(|client| get(client, ""));
    let [a, b, c, d, e] = come(&mut world, [&gold[0], &gold[1], &gold[2], &others[0], &others[1]], 20);
    // 3 : 1 : 1, and the three of the class share three.
    for (came, what) in [(a, "gold"), (b, "gold"), (c, "gold"), (d, "other"), (e, "other")] {
        assert_near(came, 20 * 200_000, what);
    }
    // What the class leaves the others use, and the other way round.
    world.cut(1);
    world.cut(2);
    let [c, d, e] = come(&mut world, [&gold[2], &others[0], &others[1]], 20);
    assert_near(c, 20 * 600_000, "the class has its share whoever is in it");
    assert_near(d + e, 20 * 400_000, "the others");
    world.cut(4);
    world.cut(5);
    let [c] = come(&mut world, [&gold[2]], 20);
    assert_near(c, 20 * 1_000_000, "alone");
}

#[test]
fn an_invented_key_gets_no_budget_and_no_node() {
    let mut settings = limited(1 << 30);
    settings.limits.client = Budget::of(Rate::or_unlimited(100_000));
    settings.limits.key = "header:x-api-key".parse().unwrap();
    let mut world = world(settings, VIP);
    let clients: Vec<Client> = (0..20).map(|_| world.connect(Road::WIDE)).collect();
    for (at, client) in clients.iter().enumerate() {
        get(client, &format!("X-Api-Key: invented-{at}\r\n"));
    }
    let came = come(&mut world, [&clients[0], &clients[1], &clients[2]], 10);
    assert_near(came.iter().sum(), 10 * 100_000 * 3 / 20, "three of twenty that are one client");
    let budgets = world.handle.budgets();
    let address = ClientKey::address("192.0.2.1".parse().unwrap());
    let known: Vec<ClientKey> = budgets.clients().known(100).into_iter().map(|(key, _)| key).collect();
    assert_eq!(known, [address], "one node, by address");
    assert!(budgets.class("vip").unwrap().clients().is_empty());
}

#[test]
fn over_http_2_and_behind_a_trusted_proxy_the_same_classes_hold() {
    let text = "[[class]]
        name = 'office'
        match = { network = '198.51.100.0/24' }
        limits.client = { rate = '200000B' }
        [[class]]
        name = 'proxies'
        match = { network = '192.0.2.0/24' }
        limits.client = { rate = '100000B' }";
    let trusted: TrustedPeers = ["192.0.2.0/24".parse().unwrap()].into_iter().collect();
    let mut world = world(Settings { trusted, ..limited(1 << 30) }, text);
    let [named, unnamed, h2] = [(); 3].map(|()| world.connect(Road::WIDE));
    get(&named, "X-Forwarded-For: 198.51.100.7\r\n");
    get(&unnamed, "");
    let [of_named, of_unnamed] = come(&mut world, [&named, &unnamed], 5);
    assert_near(of_named, 5 * 200_000, "the client that the proxy names");
    assert_near(of_unnamed, 5 * 100_000, "the proxy itself");
    h2.send(super::GET_2);
    let class = world.handle.budgets().class("proxies").unwrap();
    // One client, by HTTP/1 and HTTP/2: no node but its own.
    let came = Cell::new(0);
    world.until("the answer over HTTP/2", |_| came.replace(came.get() + h2.read(usize::MAX).len()) > 10_000);
    assert_eq!(class.clients().len(), 1);
    for number in 1..=3 {
        world.cut(number);
    }
    world.until("the end of the stream", |world| world.handle.connections() == 0);
}

#[test]
fn who_makes_a_proxy_contradict_itself_is_in_no_class_not_in_the_proxys() {
    let text = "[[class]]
        name = 'proxies'
        match = { network = '192.0.2.0/24' }
        limits.client = { rate = '900000B' }
        [[class]]
        name = 'others'
        match = { not = { network = '192.0.2.0/24' } }
        limits.client = { rate = '800000B' }";
    let trusted: TrustedPeers = ["192.0.2.0/24".parse().unwrap()].into_iter().collect();
    let mut settings = Settings { trusted, ..limited(1 << 30) };
    settings.limits.client = Budget::of(Rate::or_unlimited(100_000));
    let mut world = world(settings, text);
    let [named, invented] = [(); 2].map(|()| world.connect(Road::WIDE));
    get(&named, "X-Forwarded-For: 198.51.100.7\r\n");
    get(&invented, "Forwarded: for=203.0.113.6\r\nX-Forwarded-For: 198.51.100.7\r\n");
    let [of_named, of_invented] = come(&mut world, [&named, &invented], 5);
    assert_near(of_named, 5 * 800_000, "the client that the proxy names");
    assert_near(of_invented, 5 * 100_000, "a client that is not known");
    let clients = |class| world.handle.budgets().class(class).unwrap().clients().len();
    assert_eq!((clients("proxies"), clients("others")), (0, 1));
    world.cut(1);
    world.cut(2);
}

#[test]
fn a_rule_of_a_route_is_for_a_class() {
    let page = Page { status: 200, bytes: content(LEN), sized: true };
    let when = When { class: vec!["vip".parse().unwrap()], ..When::default() };
    let rule = PaceRule { name: None, when, rates: "400000B".parse().unwrap(), burst: 0 };
    let route = Route::handler("/", page).rate(Rate::or_unlimited(50_000)).pace_rules(vec![rule]);
    let mut world = World::on(Settings::default(), route);
    let text = "[[class]]\nname = 'vip'\nmatch = { header = { x-api-key = 'one' } }";
    world.server.budgets.set_classes(prepared(text, &Default::default()));
    let [vip, other] = [(); 2].map(|()| world.connect(Road::WIDE));
    get(&vip, "X-Api-Key: one\r\n");
    get(&other, "X-Api-Key: two\r\n");
    let [fast, slow] = come(&mut world, [&vip, &other], 5);
    assert_eq!([fast, slow], [5 * 400_000, 5 * 50_000]);
}

#[test]
fn what_is_under_way_keeps_its_class_when_that_is_removed() {
    let mut world = world(limited(3_000_000), VIP);
    let [before, after] = [(); 2].map(|()| world.connect(Road::WIDE));
    get(&before, "X-Api-Key: one\r\n");
    let [came] = come(&mut world, [&before], 2);
    assert_near(came, 2 * 300_000, "in its class");
    world.server.budgets.set_classes(Vec::new());
    get(&after, "X-Api-Key: one\r\n");
    let [kept, free] = come(&mut world, [&before, &after], 2);
    assert_near(kept, 2 * 300_000, "as it began");
    assert!(free > 2 * 1_000_000, "and what comes is in none: {free}");
    world.cut(1);
    world.cut(2);
}

#[test]
fn the_access_log_names_the_class_and_the_rule_that_held() {
    let page = Page { status: 200, bytes: content(1000), sized: true };
    let when = |name: &str| When { class: vec![name.parse().unwrap()], ..When::default() };
    let rule = |name: Option<&str>, of: &str| PaceRule {
        name: name.map(str::to_owned),
        when: when(of),
        rates: "400000B".parse().unwrap(),
        burst: 0,
    };
    let route = Route::handler("/", page).pace_rules(vec![
        rule(None, "none"),
        rule(None, "vip"),
        rule(Some("slow"), "near"),
    ]);
    let settings = Settings { access_log: true, ..Settings::default() };
    let mut world = World::on(settings, route);
    let text = "[[class]]\nname = 'vip'\nmatch = { header = { x-api-key = 'one' } }
        [[class]]\nname = 'near'\nmatch = { network = '192.0.2.1' }";
    world.server.budgets.set_classes(prepared(text, &Default::default()));
    let mut said = Vec::new();
    for (ip, fields) in [(1, "X-Api-Key: one\r\n"), (1, ""), (2, "")] {
        let client = world.connect_from([192, 0, 2, ip], Road::WIDE);
        get(&client, fields);
        world.pass(Duration::from_secs(1));
        for record in recorder::taken().into_iter().filter(|record| record.text == "response") {
            assert!(record.fields.values().all(|value| !value.contains("one")), "no key is logged");
            let field = |name: &str| record.fields.get(name).cloned();
            said.push((field("class"), field("rule")));
        }
    }
    let named = |class: &str, rule: &str| (Some(class.to_owned()), Some(rule.to_owned()));
    assert_eq!(said, [named("vip", "2"), named("near", "slow"), (None, None)]);
}
