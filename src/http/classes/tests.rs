//! Who is in which class, and what tells clients apart there.

use std::sync::Arc;

use http::Request;

use super::*;
use crate::clock::ManualClock;
use crate::http::SharedLimits;
use crate::http::budgets::{Budgets, Charged};
use crate::http::peer::{ClientAddr, PeerAddr};
use crate::http::request_path::RequestPath;
use crate::keys::{Absent, Draft, Keys, Reading};
use crate::limit::{Budget, Limit, Rate};
use crate::tls::ClientCertificate;

/// Reads classes as a file has them, for a server with these limits.
pub(in crate::http) fn prepared(text: &str, limits: &SharedLimits) -> Vec<PreparedClass> {
    let draft = Draft::from_toml(text, "test.toml", "");
    let reading = Reading::new(&draft, Absent::Unchecked);
    let classes = ClassSettings::read_all(&Keys::top(&reading), limits);
    if let Err(error) = reading.finish() {
        panic!("{error}");
    }
    classes.iter().map(|class| class.prepare().unwrap()).collect()
}

fn budgets(key: &str, text: &str) -> Budgets {
    let limits = SharedLimits { key: key.parse().unwrap(), ..SharedLimits::default() };
    let budgets = Budgets::new(&limits, Limit::unlimited(), Arc::new(ManualClock::new()));
    budgets.set_classes(prepared(text, &limits));
    budgets
}

fn peer(ip: &str) -> ClientAddr {
    ClientAddr::Peer(PeerAddr::Tcp(format!("{ip}:5").parse().unwrap()))
}

/// A request of a line such as `GET /a`, and fields such as `x-key: a`.
fn request(text: &str) -> Request<()> {
    let mut lines = text.lines();
    let (method, uri) = lines.next().unwrap().split_once(' ').unwrap();
    let request = Request::builder().method(method).uri(uri);
    let with = |request: http::request::Builder, line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        request.header(name, value)
    };
    lines.fold(request, with).body(()).unwrap()
}

/// The class and the key of a request.
fn of(budgets: &Budgets, client: &ClientAddr, text: &str) -> (String, String) {
    let request = request(text);
    let path = RequestPath::new(request.uri().path());
    shown(budgets.charged(Asked::of(&request, &path), client, None))
}

/// Whether a request would be another's as some read its path.
fn is_ambiguous(budgets: &Budgets, text: &str) -> bool {
    let (request, client) = (request(text), peer("192.0.2.1"));
    let path = RequestPath::new(request.uri().path());
    let asked = Asked::of(&request, &path);
    budgets.differs(&budgets.charged(asked, &client, None), (asked, path.others()), &client, None)
}

fn shown(Charged { class, key }: Charged) -> (String, String) {
    (class.map_or("none".to_owned(), |class| class.name().to_owned()), key.to_string())
}

fn key(text: &str) -> String {
    ClientKey::header(text.as_bytes()).unwrap().to_string()
}

const VIP: &str = "[[class]]\nname = 'vip'\nmatch = { header = { X-Api-Key = ['one', 'two'] } }\n";

#[test]
fn a_known_key_is_a_client_of_its_class_and_an_invented_one_is_none() {
    for required in ["", "required = true\n"] {
        let budgets = budgets("address", &format!("{VIP}{required}"));
        for (fields, class, expected) in [
            ("x-api-key: one", "vip", key("one")),
            ("X-API-KEY: two", "vip", key("two")),
            ("x-api-key: three", "none", "192.0.2.1".to_owned()),
            ("x-api-key: One", "none", "192.0.2.1".to_owned()),
            ("x-api-key: one\nx-api-key: two", "none", "192.0.2.1".to_owned()),
            ("x-api-key: one\nx-api-key: one", "none", "192.0.2.1".to_owned()),
            ("x-api-keys: one", "none", "192.0.2.1".to_owned()),
            ("x-api-key: ", "none", "192.0.2.1".to_owned()),
        ] {
            let found = of(&budgets, &peer("192.0.2.1"), &format!("GET /\n{fields}"));
            assert_eq!(found, (class.to_owned(), expected), "{fields}");
        }
    }
}

#[test]
fn where_keys_are_required_an_unknown_one_tells_no_client_apart() {
    for (required, expected) in [("", key("three")), ("required = true\n", "192.0.2.1".to_owned())] {
        let budgets = budgets("header:x-api-key", &format!("{VIP}{required}"));
        let of = |value: &str| of(&budgets, &peer("192.0.2.1"), &format!("GET /\nx-api-key: {value}"));
        assert_eq!(of("three"), ("none".to_owned(), expected));
        assert_eq!(of("one"), ("vip".to_owned(), key("one")));
        let twice = if required.is_empty() { key("one") } else { "192.0.2.1".to_owned() };
        assert_eq!(of("one\nx-api-key: two"), ("none".to_owned(), twice));
    }
    // A known key that another condition keeps out of the class still is one.
    let text =
        "[[class]]\nname = 'vip'\nmatch = { header = { x-key = 'one' }, path = '/a/*' }\nrequired = true";
    let budgets = budgets("header:x-key", text);
    let of = |text: &str| of(&budgets, &peer("192.0.2.1"), text);
    assert_eq!(of("GET /a/b\nx-key: one"), ("vip".to_owned(), key("one")));
    assert_eq!(of("GET /b\nx-key: one"), ("none".to_owned(), key("one")));
    assert_eq!(of("GET /a/b\nx-key: two"), ("none".to_owned(), "192.0.2.1".to_owned()));
}

#[test]
fn all_conditions_hold_one_of_a_list_is_enough_and_the_first_class_counts() {
    let text = "
        [[class]]
        name = 'partner'
        match = { network = ['192.0.2.0/24', '2001:db8::/32'], method = ['GET', 'HEAD'], path = ['/isos/*', '/a/b'] }
        [[class]]
        name = 'robot'
        match = { user_agent = ['*bot*', 'curl/*'], not = { path = '/robots.txt', network = '192.0.2.9' } }
        [[class]]
        name = 'office'
        match = { network = '192.0.2.0/24' }
        [[class]]
        name = 'others'
        match = { not = { network = '10.0.0.0/8' } }";
    let budgets = budgets("address", text);
    for (ip, text, expected) in [
        ("192.0.2.1", "GET /isos/a.iso", "partner"),
        ("192.0.2.1", "HEAD /a/b", "partner"),
        // Another spelling of a path is the same path.
        ("192.0.2.1", "GET /x/..//isos/%61.iso", "partner"),
        ("192.0.2.1", "POST /isos/a.iso", "office"),
        ("192.0.2.1", "GET /isos", "office"),
        ("192.0.2.1", "GET /isos/a.iso\nuser-agent: curl/8", "partner"),
        ("192.0.2.1", "GET /\nuser-agent: curl/8", "robot"),
        ("192.0.2.1", "GET /\nuser-agent: GoogleBot/2", "robot"),
        ("192.0.2.1", "GET /robots.txt\nuser-agent: curl/8", "office"),
        ("192.0.2.9", "GET /\nuser-agent: curl/8", "office"),
        ("198.51.100.1", "GET /isos/a.iso", "others"),
        ("10.1.1.1", "GET /\nuser-agent: Mozilla/5.0 curl/8", "none"),
    ] {
        assert_eq!(of(&budgets, &peer(ip), text), (expected.to_owned(), ip.to_owned()), "{ip} {text}");
    }
    // No name hides in a long field.
    let long = format!("GET /\nuser-agent: {}bot{}", "x".repeat(20_000), "y".repeat(5_000));
    assert_eq!(of(&budgets, &peer("192.0.2.1"), &long).0, "robot");
    let stream =
        |ip: &str| shown(budgets.charged_stream(PeerAddr::Tcp(format!("{ip}:1").parse().unwrap()), None)).0;
    assert_eq!(
        [stream("192.0.2.1"), stream("10.0.0.1"), stream("198.51.100.1")],
        ["office", "none", "others"]
    );
    // A client without an address is in no network, and so not in 10.0.0.0/8.
    assert_eq!(
        shown(budgets.charged_stream(PeerAddr::Unix, None)),
        ("others".to_owned(), "local".to_owned())
    );
}

#[test]
fn a_path_that_some_would_read_into_another_class_is_ambiguous() {
    let text = "
        [[class]]
        name = 'slow'
        match = { path = ['/isos/*', '*.iso'] }
        [[class]]
        name = 'fast'
        match = { not = { path = '/api/*' } }";
    let budgets = budgets("address", text);
    for (target, class, expected) in [
        ("/isos/a", "slow", false),
        ("/isos%2Fa", "fast", true),
        ("/x/..%2fisos%5Ca", "fast", true),
        ("/isos;v=1/a", "fast", true),
        ("/x/..;/isos/a", "fast", true),
        ("/a.iso;v=1", "fast", true),
        ("/api%2Fa", "fast", true),
        ("/api;a/b", "fast", true),
        ("/api/x%2F..%5C..%2Fy", "none", true),
        // All read what has the same limits.
        ("/isos/a%2Fb;c", "slow", false),
        ("/x%2Fa.iso", "slow", false),
        ("/api/a%2Fb", "none", false),
        ("/x%5Cy;z", "fast", false),
    ] {
        let text = format!("GET {target}");
        assert_eq!(of(&budgets, &peer("192.0.2.1"), &text).0, class, "{target}");
        assert_eq!(is_ambiguous(&budgets, &text), expected, "{target}");
    }
}

#[test]
fn a_stream_of_raw_tcp_has_no_path_that_could_keep_it_out() {
    let text = "
        [[class]]
        name = 'office'
        match = { network = '192.0.2.0/24', not = { path = '/backup/*', method = 'PUT', header = { x-key = 'a' } } }
        [[class]]
        name = 'pages'
        match = { path = '*' }";
    let budgets = budgets("address", text);
    let stream =
        |ip: &str| shown(budgets.charged_stream(PeerAddr::Tcp(format!("{ip}:1").parse().unwrap()), None)).0;
    assert_eq!([stream("192.0.2.1"), stream("198.51.100.1")], ["office", "none"]);
}

#[test]
fn the_client_that_a_trusted_proxy_names_is_the_one_whose_network_counts() {
    let budgets = budgets("address", "[[class]]\nname = 'office'\nmatch = { network = '192.0.2.0/24' }");
    let named = ClientAddr::Named("192.0.2.7".parse().unwrap());
    assert_eq!(of(&budgets, &named, "GET /"), ("office".to_owned(), "192.0.2.7".to_owned()));
    let named = ClientAddr::Named("10.0.0.7".parse().unwrap());
    assert_eq!(of(&budgets, &named, "GET /"), ("none".to_owned(), "10.0.0.7".to_owned()));
}

#[cfg(feature = "tls")]
#[test]
fn a_certificate_is_meant_by_its_digest_its_name_or_at_all() {
    let name = ClientCertificate::digest_of_name("alice").unwrap();
    let shown_one = ClientCertificate { fingerprint: Arc::new([1; 32]), name: Arc::new(name), is_dns: false };
    let other = ClientCertificate { fingerprint: Arc::new([3; 32]), name: Arc::new([4; 32]), is_dns: false };
    let by_print = ClientKey::Certificate(Arc::new([1; 32])).to_string();
    let by_name = ClientKey::Certificate(Arc::new(name)).to_string();
    for (wanted, expected, of_other) in [
        ("01".repeat(32), by_print.clone(), "none"),
        ("alice".to_owned(), by_name, "none"),
        ("*".to_owned(), by_print, "certified"),
    ] {
        let budgets = budgets(
            "address",
            &format!("[[class]]\nname = 'certified'\nmatch = {{ certificate = '{wanted}' }}"),
        );
        let (client, request) = (peer("192.0.2.1"), request("GET /"));
        let of = |client: &ClientAddr, certificate| {
            shown(budgets.charged(Asked::of(&request, &RequestPath::new("/")), client, certificate))
        };
        assert_eq!(of(&client, Some(&shown_one)), ("certified".to_owned(), expected), "{wanted}");
        assert_eq!(of(&client, Some(&other)).0, of_other, "{wanted}");
        assert_eq!(of(&client, None), ("none".to_owned(), "192.0.2.1".to_owned()), "{wanted}");
        // That of a proxy says nothing of the client that it names.
        let named = ClientAddr::Named("192.0.2.7".parse().unwrap());
        assert_eq!(of(&named, Some(&shown_one)), ("none".to_owned(), "192.0.2.7".to_owned()), "{wanted}");
        let ClientAddr::Peer(peer) = client else { unreachable!() };
        assert_eq!(shown(budgets.charged_stream(peer, Some(&shown_one))).0, "certified");
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_dns_name_is_meant_in_any_case_and_a_common_name_in_its_own() {
    let client = peer("192.0.2.1");
    for (wanted, name, is_dns, expected) in [
        ("A.Test", "a.test", true, "certified"),
        ("a.test", "a.test", true, "certified"),
        ("b.test", "a.test", true, "none"),
        ("J.Doe", "j.doe", false, "none"),
        ("J.Doe", "J.Doe", false, "certified"),
        ("j.doe", "J.Doe", false, "none"),
    ] {
        let name = Arc::new(ClientCertificate::digest_of_name(name).unwrap());
        let shown_one = ClientCertificate { fingerprint: Arc::new([1; 32]), name: Arc::clone(&name), is_dns };
        let text = format!("[[class]]\nname = 'certified'\nmatch = {{ certificate = '{wanted}' }}");
        let (budgets, request) = (budgets("address", &text), request("GET /"));
        let path = RequestPath::new("/");
        let charged = shown(budgets.charged(Asked::of(&request, &path), &client, Some(&shown_one)));
        assert_eq!(charged.0, expected, "{wanted}");
        if expected == "certified" {
            assert_eq!(charged.1, ClientKey::Certificate(name).to_string(), "{wanted}");
        }
    }
}

#[test]
fn a_class_keeps_its_nodes_where_its_name_stays_and_takes_the_new_limits() {
    let class = |name: &str, rate: &str| {
        format!(
            "[[class]]\nname = '{name}'\nmatch = {{ network = '192.0.2.0/24' }}\nlimits.client.rate = '{rate}'\n"
        )
    };
    let limits = SharedLimits { client: Budget::of(Rate::or_unlimited(77)), ..SharedLimits::default() };
    let budgets = Budgets::new(&limits, Limit::unlimited(), Arc::new(ManualClock::new()));
    let set = |text: &str| budgets.set_classes(prepared(text, &limits));
    set(&class("vip", "1k"));
    let key = ClientKey::address("192.0.2.1".parse().unwrap());
    let node = budgets.class("vip").unwrap().clients().node(&key);
    let by_hand = budgets.class("vip").unwrap();
    let under_way = Arc::downgrade(&by_hand);
    by_hand.clients().set_override(&key, Some(Budget::of(Rate::or_unlimited(9)))).unwrap();
    set(&format!("{}{}", class("other", "3k"), class("vip", "2k")));
    assert_eq!(node.budget().rate, Rate::or_unlimited(2048), "under way, and set by hand before");
    assert_eq!(budgets.class("vip").unwrap().clients().len(), 1);
    drop(by_hand);
    // What is under way holds the class and no keys: it is the same one, whatever the conditions have become.
    assert!(under_way.upgrade().is_some_and(|class| Arc::ptr_eq(&class, &budgets.class("vip").unwrap())));
    set(&class("other", "3k"));
    assert_eq!(under_way.strong_count(), 0, "and without anything under way it is gone");
    assert_eq!(node.budget().rate, Rate::or_unlimited(2048), "a class that is gone keeps what is under way");
    set(&class("vip", "4k"));
    assert_eq!(node.budget().rate, Rate::or_unlimited(2048), "and one that comes is another");
    assert!(budgets.class("vip").unwrap().clients().is_empty());
    // Without limits for each of its clients those of all clients hold.
    set(
        "[[class]]\nname = 'plain'\nmatch = { network = '192.0.2.0/24' }\nlimits.total = { rate = '5k', weight = 7 }",
    );
    let plain = budgets.class("plain").unwrap();
    assert_eq!(plain.clients().budget().rate, Rate::or_unlimited(77));
    let weights = [plain.clients(), plain.uploads()].map(|clients| clients.parent().budget().weight.get());
    assert_eq!(weights, [7, 7], "what clients send has the weight of what they are sent");
}
