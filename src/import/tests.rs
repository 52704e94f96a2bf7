//! Configurations as they are, and as nobody writes them.

use proptest::prelude::*;
use sluicegate::config::{Absent, Loader};

use super::{Files, Imported, Origin, import};

fn of(origin: Origin, text: &str) -> Imported {
    import(origin, "f", text, &Files::default()).unwrap()
}

/// The configuration, which `check` must accept.
fn checked(toml: &str) -> sluicegate::config::Config {
    let config = Loader::new().absent(Absent::Unchecked).parse(toml, "imported", "");
    config.unwrap_or_else(|error| panic!("{error} in\n{toml}"))
}

#[test]
fn the_samples_come_to_what_is_written_beside_them() {
    for (origin, name) in [(Origin::Nginx, "nginx"), (Origin::Nginx, "nginx-tls"), (Origin::Apache, "apache")]
    {
        let read =
            |ending: &str| std::fs::read_to_string(format!("fixtures/import/{name}.{ending}")).unwrap();
        let file = format!("fixtures/import/{name}.conf");
        let imported = import(origin, &file, &read("conf"), &Files::default()).unwrap();
        checked(&imported.toml);
        assert_eq!(imported.toml, read("toml"), "{name}");
        assert_eq!(imported.notes.join("\n") + "\n", read("txt"), "{name}");
    }
}

#[test]
fn each_directive_is_taken_over_or_told() {
    // A directive of a server of nginx, what it comes to, and what is said of it.
    for (directive, toml, note) in [
        ("limit_rate 64k;", "rate = \"64k\"", ""),
        ("limit_rate 500;", "rate = \"500B\"", ""),
        ("limit_rate 1M; limit_rate_after 2m;", "burst = \"2m\"", ""),
        // Without a rate it does nothing there either.
        ("limit_rate_after 2m;", "files = \"/a\"\n", ""),
        ("limit_rate 64k; limit_rate 0;", "files = \"/a\"\n", ""),
        ("limit_rate 64kb;", "files = \"/a\"\n", "limit_rate 64kb: left out"),
        ("limit_rate \"\";", "files = \"/a\"\n", "left out"),
        ("root /b$x;", "files = \"/a\"", "root /b$x: left out"),
        ("gzip on;", "files = \"/a\"", "f:1: gzip on: left out"),
        ("listen 80 ssl;", "path = \"/\"", "listener 0.0.0.0:80: left out: it has no certificate"),
        ("listen localhost:80;", "path = \"/\"", "listen localhost:80: left out"),
        ("listen unix:/run/a.sock;", "listen = [\"unix:/run/a.sock\"]", ""),
        ("listen *:81; listen [::1]:82;", "listen = [\"0.0.0.0:81\", \"[::1]:82\"]", ""),
        ("return 302 https://n.example/;", "redirect = \"https://n.example/\"", "is appended"),
        ("return 200 ok;", "files = \"/a\"", "left out: a redirect has a status"),
        ("location /x { root /b; }", "path = \"/x/\"\nfiles = \"/b/x\"", ""),
        ("location /x { alias /b; }", "path = \"/x/\"\nfiles = \"/b\"", ""),
        ("location /x { proxy_pass http://h:1; proxy_read_timeout 5m; }", "read_timeout = \"5m\"", ""),
        ("location /x { proxy_pass http://unix:/s:/y; }", "proxy = \"unix:/s:/y\"", ""),
        ("location /x { proxy_pass http://$h; }", "files = \"/a\"", "without variables"),
        ("location @x { root /b; }", "files = \"/a\"", "location @x: left out: a route's path is a prefix"),
        ("root '/a b' ; # comment ; {", "files = \"/a b\"", ""),
    ] {
        let imported = of(Origin::Nginx, &format!("server {{ root /a; {directive}\n}}"));
        checked(&imported.toml);
        assert!(imported.toml.contains(toml), "{directive}\n{}", imported.toml);
        let notes = imported.notes.join("\n");
        assert!(notes.contains(note) && notes.is_empty() == note.is_empty(), "{directive}: {notes:?}");
    }
    for (directive, toml, note) in [
        ("SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 400", "rate = 400", ""),
        ("SetEnv rate-limit 400", "files = \"/a\"\n", ""),
        ("SetOutputFilter RATE_LIMIT\nSetEnv rate-limit -1", "files = \"/a\"\n", ""),
        (
            "SetOutputFilter RATE_LIMIT\nSetEnv rate-limit fast",
            "files = \"/a\"\n",
            "setenv rate-limit fast: left out",
        ),
        ("SetOutputFilter DEFLATE", "files = \"/a\"\n", "only RATE_LIMIT is taken over"),
        ("<Location /x>\nProxyPass http://h:1\n</Location>", "path = \"/x/\"\nproxy = \"http://h:1/\"", ""),
        ("ProxyPass /x ajp://h", "files = \"/a\"", "a backend is http://"),
        (
            "<Location /x/>\nSetOutputFilter RATE_LIMIT\nSetEnv rate-limit 9\n</Location>",
            "files = \"/a/x\"",
            "",
        ),
        (
            "<Files *.iso>\nSetEnv rate-limit 9\n</Files>",
            "files = \"/a\"",
            "files *.iso: left out, with all in it",
        ),
        ("LimitRequestBody 100", "files = \"/a\"", ""),
        ("<IfModule !x>\nA b\n</IfModule>", "files = \"/a\"", "left out, with all in it"),
    ] {
        let imported = of(Origin::Apache, &format!("Listen 80\nDocumentRoot /a\n{directive}\n"));
        checked(&imported.toml);
        assert!(imported.toml.contains(toml), "{directive}\n{}", imported.toml);
        let notes = imported.notes.join("\n");
        assert!(notes.contains(note) && notes.is_empty() == note.is_empty(), "{directive}: {notes:?}");
    }
}

#[test]
fn a_listener_for_proxies_is_taken_over_and_the_proxies_must_be_named() {
    let imported = of(Origin::Nginx, "server { listen 82 proxy_protocol; root /a; }");
    let line = "listen = [{ address = \"0.0.0.0:82\", proxy_protocol = true }]";
    assert!(imported.toml.contains(line), "{}", imported.toml);
    assert!(imported.notes[0].contains("trusted_proxies must name the proxies"), "{:?}", imported.notes);
}

#[test]
fn a_fault_of_syntax_is_told_with_its_line() {
    let deep = "a {".repeat(40);
    for (origin, text, expected) in [
        (Origin::Nginx, "http {\n  root /a;\n", "f:1: http: its block is not closed"),
        (Origin::Nginx, "a b;\n}\n", "f:2: \"}\" closes no block"),
        (Origin::Nginx, "a\n{ b 'c;\n}", "f:2: a quotation mark is not closed"),
        (Origin::Nginx, "{ a; }", "f:1: \"{\" opens a block without a name"),
        (Origin::Nginx, "a { b }", "f:1: b: there is no \";\" behind it"),
        (Origin::Nginx, "a b", "f:1: a b: there is no \";\" behind it"),
        (Origin::Nginx, &deep, "f:1: there are too many blocks in one another"),
        (Origin::Apache, "<Location /a>\nB c\n", "f:1: <location /a> is not closed"),
        (Origin::Apache, "A\n</Location>\n", "f:2: </location> closes no section that is open"),
        (Origin::Apache, "<A>\n</B>\n", "f:2: </b> closes no section"),
    ] {
        let error = import(origin, "f", text, &Files::default()).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn included_files_are_read_beside_the_first_and_one_that_includes_itself_ends() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("sites")).unwrap();
    write("sites/b.conf", "server { listen 82; server_name b; root /b; }");
    write("sites/a.conf", "server { listen 81; server_name a; root /a; gzip on; }");
    write("sites/.c.conf", "server { listen 83; root /c; }");
    write("loop.conf", "include loop.conf;");
    let files = Files { base: Some(folder.path().to_owned()) };
    let text = "http { include mime.types; include sites/*.conf; }";
    let imported = import(Origin::Nginx, "f", text, &files).unwrap();
    assert!(imported.toml.contains("listen = [\"0.0.0.0:81\", \"0.0.0.0:82\"]"), "{}", imported.toml);
    let [missing, gzip] = &imported.notes[..] else { panic!("{:?}", imported.notes) };
    assert!(
        missing.contains("f:1: include mime.types: left out") && missing.contains("cannot be read"),
        "{missing}"
    );
    assert!(gzip.ends_with("sites/a.conf:1: gzip on: left out"), "{gzip}");
    let notes = import(Origin::Nginx, "f", "include loop.conf;", &files).unwrap().notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    // Standard input has no folder.
    assert!(of(Origin::Nginx, "include sites/a.conf;").notes[0].contains("left out"));
}

/// Words of both servers, in any order.
fn words() -> impl Strategy<Value = String> {
    const WORDS: &str = "http|server|location|/|/a|/a/|~|^~|{|}|;|\n|root|alias|listen|80|ssl|*:80|[::]:80|server_name|_|.a.b|\
        limit_rate|1k|0|99999999999999999999g|proxy_pass|http://h/|http://unix:/s:|return|301|https://$host$request_uri|\
        upstream|limit_conn_zone|$binary_remote_addr|zone=z:1m|limit_conn|z|5|index|autoindex|on|'|\"|\\|#|$|\u{1}|ü|\
        <Location|<Directory|<VirtualHost|<IfModule|x>|/>|</Location>|</Directory>|</VirtualHost>|</IfModule>|Listen|DocumentRoot|\
        Alias|ProxyPass|balancer://b|<Proxy|BalancerMember|</Proxy>|SetOutputFilter|RATE_LIMIT|SetEnv|rate-limit|\
        rate-initial-burst|-1|7|ServerName|Options|+Indexes|DirectoryIndex|include|Include|client_max_body_size|ssl_certificate|\
        ssl_certificate_key|SSLEngine|SSLCertificateFile|SSLCertificateKeyFile|keepalive_timeout|ProxyTimeout";
    let words: Vec<String> = WORDS.split('|').map(str::to_owned).collect();
    proptest::collection::vec(proptest::sample::select(words), 0..60).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn whatever_is_read_comes_to_toml_or_a_message(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in words()) {
        for text in [String::from_utf8_lossy(&bytes).into_owned(), format!("server {{ root /a; {text} }}"), text] {
            for origin in [Origin::Nginx, Origin::Apache] {
                if let Ok(imported) = import(origin, "f", &text, &Files::default()) {
                    prop_assert!(imported.toml.parse::<toml::Table>().is_ok(), "{}", imported.toml);
                }
            }
        }
    }
}
