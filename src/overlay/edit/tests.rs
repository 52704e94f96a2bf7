//! The text of an overlay after changes.

use proptest::prelude::*;

use super::*;
use crate::limit::{Rate, Weight};
use crate::live_limits::Part;
use crate::overlay::Overlay;

fn rate(text: &str) -> LimitChange {
    LimitChange { rate: Some(text.parse().unwrap()), ..LimitChange::default() }
}

fn client(text: &str) -> Name {
    Name::Own(ClientKey::address(text.parse().unwrap()))
}

fn route(path: &str, part: Part) -> Name {
    Name::Route(path.to_owned(), part)
}

fn class(name: &str, part: Part) -> Name {
    Name::Class(name.to_owned(), part)
}

#[test]
fn an_overlay_reads_as_if_a_person_had_written_it() {
    let certificate = ClientKey::certificate(&"ab".repeat(32)).unwrap();
    let weight = Some(Weight::new(3).unwrap());
    let full = LimitChange { burst: Some(1 << 20), weight, report_only: Some(true), ..rate("2m") };
    let changes = [
        (Name::Server, rate("100m")),
        (route("/logs/", Part::Response), rate("2m for 10m, 500k")),
        (client("192.0.2.1"), full.clone()),
        (route("/logs/", Part::UploadTotal), rate("off")),
        (class("vip", Part::Total), LimitChange { burst: Some(0), ..rate("64m") }),
        (Name::UploadOwn(certificate), rate("5000B")),
        (client("2001:db8::7"), rate("8mbit")),
        (Name::Server, LimitChange { rate: None, ..full }),
        (Name::UploadServer, rate("1m")),
    ];
    let text = changes
        .iter()
        .fold(String::new(), |text, (name, change)| with_change(&text, "gate.toml", name, change).unwrap());
    let expected = r#"# Limits that were set by hand and saved: `sluicegate limits set ... --save`. They go over those of
# gate.toml, in its units; `sluicegate limits reset ... --save` takes them out.

[server]
rate = "100m"
burst = "1m"
weight = 3
report_only = true

[routes."/logs/".response]
rate = ["2m for 10m", "500k"]

[routes."/logs/".upload-total]
rate = "off"

[clients."192.0.2.1"]
rate = "2m"
burst = "1m"
weight = 3
report_only = true

[clients."2001:db8::/64"]
rate = "8mbit"

[classes.vip.total]
rate = "64m"
burst = "0B"

[uploads.clients.cert-abababababababababababababababababababababababababababababababab]
rate = "5000B"

[uploads.server]
rate = "1m"
"#;
    assert_eq!(text, expected);
}

#[test]
fn comments_order_and_spelling_of_the_rest_stay() {
    let old = "# The weekend.\n\n# All of it.\n[server] # the uplink\nrate = '100m'   # until Monday\nburst = 64 # as ever\n\n\
               [classes]\nvip.total.rate = \"1m\" # dotted\nnear = { total = { rate = \"2m\" } } # on one line\n\n# End.\n";
    let changed = with_change(old, "", &Name::Server, &rate("50m")).unwrap();
    assert_eq!(changed, old.replace("'100m'", "\"50m\""));
    let dotted = with_change(old, "", &class("vip", Part::Total), &rate("3m")).unwrap();
    assert_eq!(dotted, old.replace("vip.total.rate = \"1m\"", "vip.total.rate = \"3m\""));
    let inline = with_change(old, "", &class("near", Part::Client), &rate("3m")).unwrap();
    let expected = "near = { total = { rate = \"2m\" }, client = { rate = \"3m\" } } # on one line";
    assert_eq!(inline, old.replace("near = { total = { rate = \"2m\" } } # on one line", expected));
    let without = without(old, &Name::Server).unwrap();
    assert_eq!(without, format!("# The weekend.\n\n{}", &old[old.find("[classes]").unwrap()..]));
    assert_eq!(without_all(old).unwrap(), "# The weekend.\n\n\n# End.\n");
    // A comment alone stays before what comes.
    let begun = with_change("# Mine.\n", "", &Name::Server, &rate("1m")).unwrap();
    assert_eq!(begun, "# Mine.\n\n[server]\nrate = \"1m\"\n");
    assert_eq!(super::without(&begun, &Name::Server).unwrap(), "# Mine.\n\n");
}

#[test]
fn a_client_is_found_however_it_is_written() {
    let text = "[clients]\n\"2001:db8::7\".rate = \"1m\"   # by hand\n";
    let name = client("2001:db8::9");
    let changed = with_change(text, "gate.toml", &name, &rate("2m")).unwrap();
    assert_eq!(changed, "[clients]\n\"2001:db8::7\".rate = \"2m\"   # by hand\n");
    assert!(!without(&changed, &name).unwrap().contains("2001"));
    let uploads = text.replace("[clients]", "[uploads.clients]");
    let Name::Own(key) = name else { unreachable!() };
    assert!(!without(&uploads, &Name::UploadOwn(key)).unwrap().contains("2001"));
}

#[test]
fn tables_that_are_empty_then_go_with_the_last_limit_in_them() {
    let begin = with_change("", "gate.toml", &route("/a/", Part::Total), &rate("1m")).unwrap();
    let both = with_change(&begin, "", &route("/a/", Part::Client), &rate("1m")).unwrap();
    assert_eq!(without(&both, &route("/a/", Part::Client)).unwrap(), begin);
    let none = without(&begin, &route("/a/", Part::Total)).unwrap();
    assert!(none.starts_with("# Limits that were set by hand") && !none.contains('['), "{none}");
    assert_eq!(without(&none, &Name::Server).unwrap(), none, "what is not there needs no change");
    assert!(with_change("[server", "", &Name::Server, &rate("1m")).is_err());
}

fn names() -> impl Strategy<Value = Name> {
    let path = "[ -~äé]{1,12}".prop_map(|path| format!("/{path}"));
    let address = any::<std::net::IpAddr>().prop_map(ClientKey::address);
    let digest = any::<[u8; 32]>().prop_map(|digest| ClientKey::Certificate(digest.into()));
    let header = any::<[u8; 32]>().prop_map(|digest| ClientKey::Header(digest.into()));
    let key = prop_oneof![address, digest, header, Just(ClientKey::Local)];
    let parts = [Part::OF_RESPONSES, Part::OF_UPLOADS].concat();
    prop_oneof![
        prop::sample::select(vec![
            Name::Server,
            Name::Client,
            Name::Connection,
            Name::UploadServer,
            Name::UploadClient
        ]),
        (key, any::<bool>()).prop_map(|(key, up)| if up { Name::UploadOwn(key) } else { Name::Own(key) }),
        (path, prop::sample::select(parts)).prop_map(|(path, part)| Name::Route(path, part)),
        ("[a-zA-Z0-9_-]{1,8}", prop::sample::select(Part::OF_CLASS.to_vec()))
            .prop_map(|(name, part)| Name::Class(name, part)),
    ]
}

/// A change that the API accepts of the limit.
fn change_of(name: Name) -> impl Strategy<Value = (Name, LimitChange)> {
    const MOST: u64 = (1 << 53) - 1;
    let one = prop_oneof![Just(0), 1..2_000_000_u64, Just(MOST), (1..100_u64).prop_map(|mega| mega << 20)];
    let rates = (prop::collection::vec((one.clone(), 1..=MOST / 32), 0..4), one.clone());
    let has_rates = name.has_rates();
    let rates = rates.prop_map(move |(first, last)| {
        let first: Vec<_> =
            first.into_iter().map(|(rate, bytes)| (Rate::or_unlimited(rate), bytes)).collect();
        let last = Rate::or_unlimited(last);
        match Rates::new(&first, last) {
            Ok(rates) if has_rates => rates,
            _ => last.into(),
        }
    });
    let weight = (1..=u16::MAX).prop_map(|weight| Weight::new(weight).unwrap());
    let is_weighted = name.is_weighted();
    (prop::option::of(rates), prop::option::of(0..=MOST), prop::option::of(weight), any::<Option<bool>>())
        .prop_map(move |(rate, burst, weight, report_only)| {
            let weight = weight.filter(|_| is_weighted);
            (name.clone(), LimitChange { rate, burst, weight, report_only })
        })
}

proptest! {
    #[test]
    fn what_is_saved_is_what_is_read(changes in prop::collection::vec(names().prop_flat_map(change_of), 1..12)) {
        let mut text = String::new();
        let mut expected: Vec<(Name, LimitChange)> = Vec::new();
        for (name, change) in changes {
            text = with_change(&text, "gate.toml", &name, &change).unwrap();
            let index = expected.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                expected.push((name.clone(), LimitChange::default()));
                expected.len() - 1
            });
            let old = &mut expected[index].1;
            old.rate = change.rate.or(old.rate.take());
            old.burst = change.burst.or(old.burst);
            old.weight = change.weight.or(old.weight);
            old.report_only = change.report_only.or(old.report_only);
        }
        expected.retain(|(_, change)| change.sets() != [false; 4]);
        let read = Overlay::parse(&text, "f").unwrap();
        prop_assert_eq!(read.entries.len(), expected.len(), "{}", text);
        for (name, change) in &expected {
            prop_assert_eq!(&read.get(name).unwrap().change, change, "{}", text);
        }
        while let Some((name, _)) = expected.pop() {
            text = without(&text, &name).unwrap();
            let read = Overlay::parse(&text, "f").unwrap();
            prop_assert_eq!(read.entries.len(), expected.len(), "{}", text);
            prop_assert!(expected.iter().all(|(name, _)| read.get(name).is_some()));
        }
        prop_assert!(text.starts_with("# Limits that were set by hand"), "{}", text);
    }
}

#[test]
fn of_a_limit_some_values_alone_can_be_left() {
    let text = "# Mine.\n[client]\nrate = \"2m\" # the uplink\nburst = \"1m\"\nweight = 3\n\n[server]\nrate = \"9m\"\n";
    let expected = "# Mine.\n[client]\nrate = \"2m\" # the uplink\nweight = 3\n\n[server]\nrate = \"9m\"\n";
    assert_eq!(with_only(text, &Name::Client, [true, false, true, false]).unwrap(), expected);
    let inline = "client = { rate = \"2m\", burst = \"1m\" }\n";
    let left = with_only(inline, &Name::Client, [false, true, false, false]).unwrap();
    assert_eq!(
        Overlay::parse(&left, "f").unwrap().entries[0].change.sets(),
        [false, true, false, false],
        "{left}"
    );
}
