use super::*;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::proxy::ProxySource;
use crate::http::proxy::{Client, Proxy};
use crate::http::route::{Answer, Handler};
use crate::rt;
use http::{Request, Response};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

struct Nowhere;

impl Handler for Nowhere {
    fn respond<'a>(&'a self, _: Request<RequestBody>, _: &'a Client) -> Answer<'a> {
        Box::pin(async { Response::new(Content::Empty) })
    }
}

fn handlers(paths: &[&str]) -> Routes {
    Routes::new(paths.iter().map(|path| Route::handler(path, Nowhere)).collect(), |_| 0)
}

fn proxies(paths: &[&str]) -> Routes {
    let proxy = || Proxy::new(ProxySource::new("http://b".parse().unwrap()), None, rt::clock());
    Routes::new(paths.iter().map(|path| Route::proxy(path, proxy())).collect(), |_| 0)
}

/// The route, what its source is asked for, and the rest behind the route; or what else was found.
fn lead(routes: &Routes, target: &str) -> (String, String, String) {
    let other = |what: &str, uri: &str| (what.to_owned(), uri.to_owned(), String::new());
    let asked: Uri = target.parse().unwrap();
    match routes.find(&RequestPath::new(asked.path()), &asked, &HeaderMap::new()) {
        Found::Route(route, target) => {
            let uri = target.rewritten.unwrap_or(asked);
            (route.path().to_owned(), uri.to_string(), uri.path()[target.rest..].to_owned())
        }
        Found::MissingSlash(_, uri) => other("slash", &uri.to_string()),
        Found::Ambiguous => other("ambiguous", ""),
        Found::Nothing => other("nothing", ""),
        Found::Misdirected => other("misdirected", ""),
        Found::AboveRoot => other("above", ""),
        Found::NoPath => other("no path", ""),
    }
}

#[track_caller]
fn assert_leads(routes: &Routes, cases: &[(&str, (&str, &str, &str))]) {
    for (target, (route, uri, rest)) in cases {
        let expected = ((*route).to_owned(), (*uri).to_owned(), (*rest).to_owned());
        assert_eq!(lead(routes, target), expected, "{target}");
    }
}

#[test]
fn the_longest_prefix_wins_and_prefixes_end_at_slashes() {
    assert_leads(
        &handlers(&["/", "/logs/", "/logs/old/", "/exact"]),
        &[
            ("/", ("/", "/", "")),
            ("/a/b", ("/", "/a/b", "a/b")),
            ("/logs/a", ("/logs/", "/logs/a", "a")),
            ("/logs/old/", ("/logs/old/", "/logs/old/", "")),
            ("/logs/older", ("/logs/", "/logs/older", "older")),
            ("/logsx", ("/", "/logsx", "logsx")),
            ("/exact", ("/exact", "/exact", "")),
            ("/exact/a", ("/exact", "/exact/a", "a")),
            ("/exactly", ("/", "/exactly", "exactly")),
            ("/logs?a=/b", ("slash", "/logs?a=/b", "")),
            ("*", ("no path", "", "")),
            // As hyper reads `GET index.html`: an authority.
            ("index.html", ("no path", "", "")),
        ],
    );
    assert_leads(&handlers(&["/a/"]), &[("/b", ("nothing", "", ""))]);
}

#[test]
fn a_source_is_asked_for_the_normal_form() {
    assert_leads(
        &handlers(&["/", "/slow/"]),
        &[
            ("/%73low/x?%73=//", ("/slow/", "/slow/x?%73=//", "x")),
            ("//slow//x", ("/slow/", "/slow/x", "x")),
            ("/a/../slow/./x", ("/slow/", "/slow/x", "x")),
            ("/slow/../x", ("/", "/x", "x")),
            ("/slow/../../x", ("above", "", "")),
            ("/%73low", ("slash", "/slow", "")),
            ("http://h/%73low/x", ("/slow/", "http://h/slow/x", "x")),
            ("/%%37%33low/x", ("/", "/%2573low/x", "%2573low/x")),
            ("/a%2fb", ("/", "/a%2Fb", "a%2Fb")),
        ],
    );
}

#[test]
fn an_upstream_is_asked_in_the_clients_spelling_where_that_means_the_same() {
    assert_leads(
        &proxies(&["/", "/p/", "/p/admin/"]),
        &[
            ("/p/a%2bb;c%2Fd//e?f", ("/p/", "/p/a%2bb;c%2Fd//e?f", "a%2bb;c%2Fd//e")),
            ("/p/%61dmin/x", ("/p/admin/", "/p/admin/x", "x")),
            ("/p//admin/x", ("/p/admin/", "/p/admin/x", "x")),
            ("/p/./x", ("/p/", "/p/x", "x")),
            ("/p/%2e%2E/x", ("/", "/x", "x")),
            ("//p/x", ("/p/", "/p/x", "x")),
            ("//x", ("/", "//x", "/x")),
            ("/p/100%", ("/p/", "/p/100%25", "100%25")),
        ],
    );
}

#[test]
fn a_path_that_some_take_for_another_routes_is_ambiguous() {
    let cases = [
        "/p/..%2f..%2fx",
        "/p/admin%2fx",
        "/p%2Fadmin/x",
        "/p/x/..%5Cadmin%5cx",
        "/p/admin%2F",
        // Only one of both is a separator.
        "/p/admin%2Fx%5C..%5C..",
        // Servlet containers drop parameters, and read `..` then.
        "/p/..;/x",
        "/p/admin;v=1/x",
        "/p/x/..;a/admin;/y",
        "/..;/p/x",
    ];
    for target in cases {
        for routes in [proxies, handlers].map(|make| make(&["/", "/p/", "/p/admin/"])) {
            assert_eq!(lead(&routes, target).0, "ambiguous", "{target}");
        }
    }
    // Files have no such names.
    let files =
        Routes::new(vec![Route::files("/", "src").unwrap(), Route::files("/p/", "src").unwrap()], |_| 0);
    assert_leads(&files, &[("/p%2Fx", ("/", "/p%2Fx", "p%2Fx"))]);
}

#[test]
fn a_route_is_found_by_its_own_normal_form() {
    let routes = handlers(&["/caf\u{e9}/", "/%7eme/"]);
    for (target, route) in
        [("/caf%c3%a9/x", "/caf\u{e9}/"), ("/caf\u{e9}/x", "/caf\u{e9}/"), ("/~me/", "/%7eme/")]
    {
        assert_eq!(lead(&routes, target).0, route, "{target}");
    }
}

/// Routes, each with its hosts.
fn on_hosts(routes: &[(&[&str], &str)]) -> Routes {
    let route = |(hosts, path): &(&[&str], &str)| {
        Route::handler(path, Nowhere).on_hosts(hosts.iter().map(|host| host.parse().unwrap()))
    };
    Routes::new(routes.iter().map(route).collect(), |_| 0)
}

/// The name of the route of a request, or what else was found.
fn name(routes: &Routes, target: &str, host: Option<&str>) -> String {
    let headers = host.map(|host| (http::header::HOST, host.parse().unwrap())).into_iter().collect();
    let target: Uri = target.parse().unwrap();
    match routes.find(&RequestPath::new(target.path()), &target, &headers) {
        Found::Route(route, _) => route.name().to_owned(),
        Found::MissingSlash(_, uri) => format!("slash {uri}"),
        Found::Ambiguous => "ambiguous".to_owned(),
        Found::Nothing => "nothing".to_owned(),
        Found::Misdirected => "misdirected".to_owned(),
        Found::AboveRoot => "above".to_owned(),
        Found::NoPath => "no path".to_owned(),
    }
}

const SITES: &[(&[&str], &str)] = &[
    (&["*.example.org"], "/"),
    (&["files.example.org", "[2001:db8::1]"], "/"),
    (&["*.eu.example.org"], "/a/"),
    (&["files.example.org"], "/logs/"),
    (&["192.0.2.1"], "/a/"),
];

#[test]
fn the_most_specific_host_goes_before_the_longest_path() {
    let named = on_hosts(SITES);
    let with_rest = on_hosts(&[SITES, &[(&[], "/logs/"), (&[], "/")]].concat());
    for (target, host, expected) in [
        ("/", "files.example.org", "files.example.org/"),
        ("/x", "FILES.example.org.:8080", "files.example.org/"),
        ("/logs/x", "files.example.org", "files.example.org/logs/"),
        ("/logs", "files.example.org", "slash /logs"),
        ("/x", "[2001:DB8::1]:443", "files.example.org/"),
        // The second host of that route has no other route.
        ("/logs/x", "[2001:db8::1]", "files.example.org/"),
        ("/logs/x", "other.example.org", "*.example.org/"),
        ("/a/x", "b.eu.example.org", "*.eu.example.org/a/"),
        // A host has the routes of its most specific name alone.
        ("/x", "b.eu.example.org", "nothing"),
        ("/x", "192.0.2.1", "nothing"),
        ("/a/x", "192.0.2.1:80", "192.0.2.1/a/"),
        ("/../x", "files.example.org", "above"),
        // The target's authority goes before the field (RFC 9112, section 3.2.2).
        ("http://files.example.org/logs/x", "other.example.org", "files.example.org/logs/"),
        ("https://other.example.org:8443/logs/x", "files.example.org", "*.example.org/"),
        ("*", "unknown.example", "no path"),
    ] {
        for routes in [&named, &with_rest] {
            assert_eq!(name(routes, target, Some(host)), expected, "{target} {host}");
        }
    }
    for (target, host, without, with) in [
        ("/logs/x", Some("unknown.example"), "misdirected", "/logs/"),
        ("/x", Some("example.org"), "misdirected", "/"),
        ("http://unknown.example/x", Some("files.example.org"), "misdirected", "/"),
        ("/x", Some("127.0.0.1:8080"), "misdirected", "/"),
        // Who names no host means no other server.
        ("/x", None, "nothing", "/"),
        ("/x", Some(""), "nothing", "/"),
    ] {
        assert_eq!(name(&named, target, host), without, "{target} {host:?}");
        assert_eq!(name(&with_rest, target, host), with, "{target} {host:?}");
    }
    assert_eq!(name(&handlers(&["/"]), "/x", Some("any.example")), "/");
    assert_eq!(name(&handlers(&[]), "/x", Some("any.example")), "nothing");
}

#[test]
fn a_path_is_ambiguous_only_beside_routes_of_its_host() {
    let routes = on_hosts(&[(&["a.test"], "/"), (&["b.test"], "/"), (&["b.test"], "/p/")]);
    assert_eq!(name(&routes, "/p%2Fx", Some("a.test")), "a.test/");
    assert_eq!(name(&routes, "/p%2Fx", Some("b.test")), "ambiguous");
}

/// The names that each kind of source reads from a path: what is a separator beside `/`, and whether parameters are names,
/// or dropped before or after the rest is decoded.
fn readings(path: &str) -> Vec<String> {
    let without = |text: &str, at: &[char]| {
        let names: Vec<&str> = text.split(at).map(|name| name.split(';').next().unwrap()).collect();
        names.join("/")
    };
    let mut all = Vec::new();
    for separators in [&['/'][..], &['/', '\\']] {
        for encoded in [false, true] {
            let decoded = |path: &str| {
                let path =
                    if encoded { path.to_owned() } else { path.replace("%2F", "%01").replace("%2f", "%01") };
                percent_decode_str(&path).decode_utf8_lossy().into_owned()
            };
            let dropped = decoded(&without(path, &['/']));
            for text in [decoded(path), without(&decoded(path), separators), dropped] {
                let mut names: Vec<&str> = Vec::new();
                for name in text.split(separators) {
                    match name {
                        "" | "." => {}
                        ".." => drop(names.pop()),
                        name => names.push(name),
                    }
                }
                all.push(names.iter().map(|name| format!("/{name}")).collect::<String>() + "/");
            }
        }
    }
    all
}

/// A character of a path in some spelling.
fn spelt() -> impl Strategy<Value = String> {
    let letters = prop::sample::select("/padminslow.x".chars().collect::<Vec<_>>());
    let odd = prop::sample::select(vec![
        "//", "/./", "/x/../", "/%2e%2E/", "%2f", "\\", "%5c", "%", "%25", ";", "%3b", "..;a/",
    ]);
    prop_oneof![
        6 => letters.clone().prop_map(String::from),
        3 => letters.prop_map(|letter| format!("%{:02x}", u32::from(letter))),
        1 => odd.prop_map(str::to_owned),
    ]
}

/// Any path, and spellings of paths that routes are there for.
fn paths() -> impl Strategy<Value = String> {
    let any = prop::collection::vec(spelt(), 0..20).prop_map(|parts| format!("/{}", parts.concat()));
    let known = prop::sample::select(vec!["/slow/x", "/p/admin/x", "/p/x", "/exact", "/p/admin/../x"]);
    let known = (known, prop::collection::vec(0..6_u8, 16)).prop_map(|(path, ways)| {
        let spelt = path.chars().zip(ways).map(|(letter, way)| match (way, letter) {
            (0, _) => format!("%{:02x}", u32::from(letter)),
            (1, _) => format!("%{:02X}", u32::from(letter)),
            (2, '/') => "//".to_owned(),
            (3, '/') => "/./".to_owned(),
            (4, '/') => "\\".to_owned(),
            _ => letter.to_string(),
        });
        format!("/{}", spelt.collect::<String>())
    });
    prop_oneof![any, known]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn no_spelling_gets_to_a_source_except_by_the_route_of_its_normal_form(path in paths()) {
        const ROUTES: [&str; 5] = ["/", "/slow/", "/p/", "/p/admin/", "/exact"];
        let Ok(uri) = path.parse::<Uri>() else { return Ok(()) };
        for routes in [handlers(&ROUTES), proxies(&ROUTES)] {
            let asked = RequestPath::new(uri.path());
            if let Found::Route(route, target) = routes.find(&asked, &uri, &HeaderMap::new()) {
                let normal = asked.normal().unwrap().to_owned();
                // The route of the normal form has what the source is asked for, read as laxly as may be.
                prop_assert!(route.rest(&normal).is_some(), "{} {}", path, normal);
                let all = readings(target.rewritten.as_ref().unwrap_or(&uri).path());
                if asked.others().next().is_none() {
                    prop_assert_eq!(&all, &readings(&normal));
                }
                for asked in all {
                    let deepest = ROUTES.into_iter().rev().find(|route| {
                        asked.starts_with(&format!("{}/", route.trim_end_matches('/')))
                    });
                    // A route's prefix without its slash at the end is not below it.
                    let bare = asked.trim_end_matches('/');
                    let is_bare = route.path() != bare && ROUTES.contains(&&*format!("{bare}/"));
                    prop_assert!(deepest == Some(route.path()) || is_bare, "{} {:?} {}", path, deepest, asked);
                }
            }
        }
    }
}
