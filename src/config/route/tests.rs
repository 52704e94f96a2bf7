//! A route's keys together: its filters in order, and settings that would do nothing.

use super::*;
use crate::keys::{Absent, Draft, Reading};

/// Reads a route with `keys`: its filters' names, or its faults.
fn read(keys: &str) -> Result<Vec<String>, String> {
    let draft = Draft::from_toml(&format!("[[route]]\n{keys}"), "f", "");
    let reading = Reading::new(&draft, Absent::Unchecked);
    let mut tables = Keys::top(&reading).tables("route");
    let route = Route::read(tables.remove(0), &BTreeMap::new(), &mut Above::default());
    reading.finish().map_err(|error| error.to_string())?;
    Ok(route.unwrap().filters.into_iter().map(|filter| filter.name).collect())
}

const FILES: &str = "path = '/'\nfiles = '.'\n";
const PROXY: &str = "path = '/api'\nproxy = 'http://127.0.0.1:9000'\n";

#[test]
fn rate_is_last_unless_it_is_named_elsewhere() {
    for (source, keys, expected) in [
        (FILES, "rate = 1", &["rate"][..]),
        (FILES, "rate = 1\nfilters = ['gzip', 'count']", &["gzip", "count", "rate"]),
        (FILES, "rate = 1\nfilters = ['rate', 'count']", &["rate", "count"]),
        // No rate, no filter; but a backend may set one.
        (FILES, "", &[]),
        (PROXY, "", &["rate"]),
        (PROXY, "honour_accel = false", &[]),
    ] {
        assert_eq!(read(&format!("{source}{keys}")).unwrap(), expected, "{keys}");
    }
}

#[test]
fn rates_that_follow_one_another_are_a_list_or_a_text() {
    let read = |keys: &str| {
        let text = format!("[[route]]\n{FILES}{keys}");
        let config = crate::config::Loader::new().parse(&text, "f", env!("CARGO_MANIFEST_DIR")).unwrap();
        config.routes[0].pace.rate.to_string()
    };
    for (keys, expected) in [
        ("rate = ['2m for 10m', '500k']", "2m for 10m, 500k"),
        ("rate = '2m for 10m, 500k'", "2m for 10m, 500k"),
        ("limits.response.rate = ['off for 64k', 60]", "off for 64k, 60k"),
        ("rate = [60]", "60k"),
        ("rate = 60", "60k"),
        ("rate = 'off'", "off"),
    ] {
        assert_eq!(read(keys), expected, "{keys}");
    }
}

#[test]
fn settings_that_would_do_nothing_are_faults() {
    for (source, keys, expected) in [
        (FILES, "burst = 1", "f:4:9: burst in [[route]] \"/\": without a rate"),
        (
            FILES,
            "limits.response.burst = 1",
            "f:4:25: burst in limits.response of [[route]] \"/\": without a rate",
        ),
        (FILES, "end_of_stream = 'paced'", "f:4:17: end_of_stream in [[route]] \"/\": without a rate"),
        (FILES, "filters = ['rate']", "f:4:12: filters in [[route]] \"/\": \"rate\" has no rate"),
        (
            FILES,
            "filters = ['rat']",
            "f:4:12: filters in [[route]] \"/\": no filter is called \"rat\"; did you",
        ),
        (
            FILES,
            "rate = 1\nfilters = ['rate', 'rate']",
            "f:5:20: filters in [[route]] \"/\": \"rate\" stands",
        ),
        (FILES, "catch_up = '1s'", "f:4:12: catch_up in [[route]] \"/\": without a rate"),
        (
            FILES,
            "rate = 1\ncatch_up = '199ms'",
            "f:5:12: catch_up in [[route]] \"/\": 199ms is less than the interval of 200ms",
        ),
        (FILES, "rate = 1\ncatch_up = '61s'", "f:5:12: catch_up in [[route]] \"/\": 61s is not a time"),
        (FILES, "rate = ['2m for 10m']", "f:4:8: rate in [[route]] \"/\": nothing follows \"2m for 10m\""),
        (FILES, "rate = ['2m', '1m']", "f:4:8: rate in [[route]] \"/\": \"2m\" does not say for how many"),
        (FILES, "rate = ['2m for 1m', 'off']", "f:4:8: rate in [[route]] \"/\": the last rate cannot"),
        (FILES, "rate = [true, '1m']", "f:4:8: rate in [[route]] \"/\": "),
        (
            PROXY,
            "upload.rate = ['2m for 0B', '1m']",
            "f:4:15: rate in upload of [[route]] \"/api\": a rate for no bytes",
        ),
        (PROXY, "honour_accel = false\nburst = 1", "f:5:9: burst in [[route]] \"/api\": without a rate"),
    ] {
        let error = read(&format!("{source}{keys}")).unwrap_err();
        assert!(error.starts_with(expected) && error.lines().count() == 1, "{keys}: {error}");
    }
}

#[test]
fn hosts_and_paths_stand_once_and_faults_name_the_place() {
    let read = |keys: &str| {
        let draft = Draft::from_toml(keys, "f", "");
        let reading = Reading::new(&draft, Absent::Unchecked);
        let mut above = Above::default();
        let routes: Vec<_> = (Keys::top(&reading).tables("route").into_iter())
            .filter_map(|keys| Route::read(keys, &BTreeMap::new(), &mut above))
            .collect();
        reading.finish().map_err(|error| error.to_string())?;
        Ok::<_, String>(routes.iter().map(Route::name).collect::<Vec<_>>())
    };
    let route = |keys: &str| format!("[[route]]\npath = '/'\nfiles = '.'\n{keys}\n");
    let two = |one: &str, other: &str| read(&(route(one) + &route(other)));
    assert_eq!(
        two("host = 'B.example.'", "host = ['*.example', '[::1]']").unwrap(),
        ["b.example/", "*.example/"]
    );
    assert_eq!(two("host = 'a'", "").unwrap(), ["a/", "/"]);
    for (one, other, expected) in [
        (
            "host = 'a'",
            "host = ['b', 'A.']",
            "f:8:14: a [[route]] for \"a/\" stands above already; leave one out",
        ),
        ("host = ['a', 'A']", "", "f:4:14: host in [[route]] \"a/\": a stands here twice; leave one out"),
        (
            "",
            "host = 'a:80'",
            "f:8:8: host in [[route]]: \"a:80\" is not a host: a route answers on every port",
        ),
        ("host = []", "", "f:4:8: host in [[route]] \"/\": no host is in it"),
        ("", "", "f:6:8: a [[route]] for \"/\" stands above already; leave one out"),
    ] {
        let error = two(one, other).unwrap_err();
        assert!(error.starts_with(expected) && error.lines().count() == 1, "{one} {other}: {error}");
    }
    let proxy = "[[route]]\npath = '/'\nproxy = 'http://b'\nhost = 'client'";
    let expected = "f:4:8: host in [[route]] \"client/\": names the hosts of requests; for the Host of the backend \
                    write upstream_host = \"client\"";
    assert!(read(proxy).unwrap_err().starts_with(expected));
}

#[test]
fn backends_are_one_or_several_of_one_path() {
    const MANY: &str = "path = '/api'\nproxy = ";
    for good in [
        "'https://b'\nca = 'ca.pem'\ntls_name = 'app.test'",
        "'https://b'\ncert = 'a.pem'\nkey = 'a.key'",
        "['http://a/x', 'https://b:1/x', 'unix:/run/a.sock:/x']\ntls_name = '::1'",
        "'unix:a.sock'",
    ] {
        assert_eq!(read(&format!("{MANY}{good}")).as_deref(), Ok(&["rate".to_owned()][..]), "{good}");
    }
    let numbers: Vec<_> = (1..=65).map(|port| format!("'http://b:{port}'")).collect();
    let too_many = format!("[{}]", numbers.join(", "));
    for (keys, expected) in [
        ("[]", "f:3:9: proxy in [[route]] \"/api\": is empty; name a backend"),
        ("5", "f:3:9: proxy in [[route]] \"/api\": invalid type: integer `5`, expected a string or a list"),
        ("'https//b'", "f:3:9: proxy in [[route]] \"/api\": \"https//b\" is not a backend"),
        ("['http://a', 'ftp://b']", "f:3:22: proxy in [[route]] \"/api\": \"ftp://b\" is not a backend"),
        ("['http://a', 'http://a']", "f:3:22: proxy in [[route]] \"/api\": http://a stands here twice"),
        (
            "['http://a', 'http://b/']",
            "f:3:22: proxy in [[route]] \"/api\": the path of http://b/ is another",
        ),
        (&too_many, "f:3:9: proxy in [[route]] \"/api\": has 65 backends; 64 are the most"),
        (
            "'http://b'\nca = 'a.pem'",
            "f:4:6: ca in [[route]] \"/api\": does nothing without an https:// backend",
        ),
        (
            "'unix:/a'\ntls_name = 'b'",
            "f:4:12: tls_name in [[route]] \"/api\": does nothing without an https",
        ),
        ("'https://b'\ncert = 'a.pem'", "f:4:8: cert in [[route]] \"/api\": its key is missing; set key too"),
        (
            "'https://b'\nkey = 'a.pem'",
            "f:4:7: key in [[route]] \"/api\": its certificate is missing; set cert too",
        ),
        (
            "'https://b'\ntls_name = 'b:443'",
            "f:4:12: tls_name in [[route]] \"/api\": it is no name of a server",
        ),
    ] {
        let error = read(&format!("{MANY}{keys}")).unwrap_err();
        assert!(error.starts_with(expected) && error.lines().count() == 1, "{keys}: {error}");
    }
    let error = read(&format!("{FILES}tls_name = 'b'")).unwrap_err();
    assert!(error.contains("does nothing with files, only with proxy"), "{error}");
}

#[test]
fn backends_that_cannot_be_connected_to_are_faults() {
    for (keys, expected) in [
        (
            "proxy = 'https://a..b'",
            "f:3:9: proxy in [[route]] \"/\": https://a..b: no certificate can be for",
        ),
        (
            "proxy = ['https://b', 'https://-/']",
            "f:3:23: proxy in [[route]] \"/\": https://-/: no certificate",
        ),
        ("proxy = 'https://a..b'\ntls_name = 'b.test'", ""),
        ("proxy = 'http://a..b'", ""),
        ("proxy = 'https://[::1]'", ""),
        ("proxy = 'https://127.0.0.1'", ""),
    ] {
        let found = read(&format!("path = '/'\n{keys}")).err().unwrap_or_default();
        assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{keys}: {found}");
        assert!(found.lines().count() <= 1, "{found}");
    }
    // The path of a socket counts once it is joined to the file's folder.
    let base = format!("/{}", "d".repeat(99));
    for (socket, is_good) in [("1234567", false), ("123456", true), ("/run/app.sock", true)] {
        let text = format!("[[route]]\npath = '/'\nproxy = ['http://b', 'unix:{socket}']");
        let draft = Draft::from_toml(&text, "f", &base);
        let reading = Reading::new(&draft, Absent::Unchecked);
        let table = Keys::top(&reading).tables("route").remove(0);
        Route::read(table, &BTreeMap::new(), &mut Above::default());
        let found = reading.finish().err().map(|error| error.to_string());
        let expected = format!(
            "f:3:22: proxy in [[route]] \"/\": the path {base}/{socket} is longer than 107 bytes, which a socket's cannot be"
        );
        assert_eq!(found, Some(expected).filter(|_| !is_good), "{socket}");
    }
}

#[test]
fn rules_of_the_pace_are_read_with_their_conditions() {
    let text = "time_zone = 'Europe/Berlin'\n[[route]]\npath = '/'\nfiles = '.'\n\
                [[route.pace]]\nwhen = { path = '/a/*', method = ['GET', 'HEAD'], status = [404, '5xx'] }\nrate = 60\nburst = '1m'\n\
                [[route.pace]]\nwhen = { during = ['Sat,Sun', '22:00-06:00'], time_zone = 'UTC' }\nrate = 'off'\n\
                [[route.pace]]\nwhen = { during = 'Mon-Fri 08:00-18:00', content_type = 'video/*' }\nrate = ['2m for 1m', '1m']\n";
    let config = crate::config::Loader::new().parse(text, "f", env!("CARGO_MANIFEST_DIR")).unwrap();
    let route = &config.routes[0];
    let rules: Vec<_> =
        route.rules.iter().map(|rule| (rule.when.to_string(), rule.rates.to_string(), rule.burst)).collect();
    let expected = [
        ("path /a/*, method GET or HEAD, status 404 or 5xx", "60k", 1 << 20),
        ("during Sat-Sun 00:00-24:00, 22:00-06:00 UTC", "off", 0),
        ("content type video/*, during Mon-Fri 08:00-18:00 Europe/Berlin", "2m for 1m, 1m", 0),
    ];
    assert_eq!(rules, expected.map(|(when, rates, burst)| (when.to_owned(), rates.to_owned(), burst)));
    // The place of the pace is there though the route has no rate of its own.
    assert_eq!(route.filters.iter().map(|filter| filter.name.as_str()).collect::<Vec<_>>(), ["rate"]);
    assert_eq!(route.fastest(), None, "at times there is no limit");
}

#[test]
fn rules_that_cannot_be_met_or_ask_nothing_are_faults() {
    for (rule, expected) in [
        ("rate = 1", "\"when\" is missing in [[route.pace]]"),
        ("when = { status = 404 }", "\"rate\" is missing in [[route.pace]]"),
        ("rate = 1\nwhen = {}", "when in [[route.pace]]: it asks nothing"),
        ("rate = 1\nwhen = { path = [] }", "it is empty"),
        ("rate = 1\nwhen = { path = 'a' }", "\"a\" is not a path"),
        ("rate = 1\nwhen = { method = 'get' }", "\"get\" is not a method"),
        ("rate = 1\nwhen = { status = 600 }", "\"600\" is not a status"),
        ("rate = 1\nwhen = { size = '10m' }", "\"10m\" is not a bound of a size"),
        ("rate = 1\nwhen = { during = 'Mo' }", "\"Mo\" is not a day"),
        ("rate = 1\nwhen = { during = 'Mon', time_zone = 'Mars' }", "no time zone is called \"Mars\""),
        ("rate = 1\nwhen = { status = 404, time_zone = 'UTC' }", "there is no time that it is of"),
        ("rate = 'off'\nburst = 1\nwhen = { status = 404 }", "burst in [[route.pace]]: without a rate"),
        ("rate = 1\nwhen = { colour = 1 }", "unknown key \"colour\""),
    ] {
        let error = read(&format!("{FILES}[[route.pace]]\n{rule}")).unwrap_err();
        assert!(error.contains(expected) && error.lines().count() <= 2, "{rule}: {error}");
    }
}
