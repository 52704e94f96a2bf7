//! Configurations as they are, and as nobody writes them.

mod refused;

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
    let mut wrong = String::new();
    for (origin, name) in [
        (Origin::Nginx, "nginx"),
        (Origin::Nginx, "nginx-tls"),
        (Origin::Nginx, "nginx-closed"),
        (Origin::Apache, "apache"),
    ] {
        let read =
            |ending: &str| std::fs::read_to_string(format!("fixtures/import/{name}.{ending}")).unwrap();
        let file = format!("fixtures/import/{name}.conf");
        let imported = import(origin, &file, &read("conf"), &Files::default()).unwrap();
        checked(&imported.toml);
        for (ending, text) in [("toml", imported.toml), ("txt", imported.notes.join("\n") + "\n")] {
            if text != read(ending) {
                wrong.push_str(&format!("== {name}.{ending}\n{text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "what they come to now:\n{wrong}");
}

/// A whole configuration of nginx.
fn http(text: &str) -> String {
    format!("http {{ {text} }}")
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
        ("limit_rate 64k; limit_rate 0k;", "files = \"/a\"\n", ""),
        ("set $limit_rate 8k; limit_rate 64k;", "rate = \"8k\"", ""),
        ("limit_rate 64kb;", "files = \"/a\"\n", "limit_rate 64kb: left out"),
        ("limit_rate $x;", "files = \"/a\"\n", "warning: left out: its pace is not kept"),
        ("limit_rate \"\";", "files = \"/a\"\n", "left out"),
        ("root /b$x;", "refuse = 403", "root /b$x: left out"),
        ("root b;", "files = \"b\"", "warning: it starts from the folder of this configuration"),
        ("gzip on;", "files = \"/a\"", "f:1: gzip on: left out"),
        ("listen 80 ssl;", "path = \"/\"", "listener 0.0.0.0:80: left out: it has no certificate"),
        ("listen web:80;", "refuse = 403", "listen web:80: left out"),
        ("listen localhost:80;", "127.0.0.1:80", ""),
        ("listen unix:/run/a.sock;", "listen = [\"unix:/run/a.sock\"]", ""),
        ("listen *:81; listen [::1]:82;", "listen = [\"0.0.0.0:81\", \"[::1]:82\"]", ""),
        ("return 302 https://n.example/;", "redirect = \"https://n.example/\"", "is appended"),
        ("return 301 https://n.example$request_uri;", "redirect = \"https://n.example\"", ""),
        ("return 200 ok;", "refuse = 403", "left out: a redirect has a status"),
        ("location /x { root /b; }", "path = \"/x/\"\nfiles = \"/b/x\"", "whatever begins with /x"),
        ("location /x/ { alias /b/; }", "path = \"/x/\"\nfiles = \"/b/\"", ""),
        ("location /x/ { proxy_pass http://h:1; proxy_read_timeout 5m; }", "read_timeout = \"5m\"", ""),
        ("location /x/ { proxy_pass http://unix:/s:/y/; }", "proxy = \"unix:/s:/y/\"", ""),
        ("location /x/ { proxy_pass http://h/y; }", "refuse = 403", "end it with a slash"),
        ("location /x/ { proxy_pass https://h/; }", "https://h/", "certificate is verified"),
        ("location /x/ { proxy_pass http://$h; }", "refuse = 403", "without variables"),
        ("location @x { root /b; }", "files = \"/a\"", "location @x: left out: nothing leads to it"),
        ("root '/a b' ; # comment ; {", "files = \"/a b\"", ""),
    ] {
        let imported = of(Origin::Nginx, &http(&format!("server {{ root /a; {directive}\n}}")));
        checked(&imported.toml);
        assert!(imported.toml.contains(toml), "{directive}\n{}", imported.toml);
        let notes = imported.notes.join("\n");
        assert!(notes.contains(note) && notes.is_empty() == note.is_empty(), "{directive}: {notes:?}");
    }
    for (directive, toml, note) in [
        ("SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 400", "rate = 400", ""),
        ("SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 400k", "rate = 400", ""),
        ("SetEnv rate-limit 400", "files = \"/a\"\n", ""),
        ("SetOutputFilter RATE_LIMIT\nSetEnv rate-limit -1", "files = \"/a\"\n", ""),
        ("SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 9\nUnsetEnv rate-limit", "files = \"/a\"\n", ""),
        (
            "SetOutputFilter RATE_LIMIT\nSetEnv rate-limit fast",
            "files = \"/a\"\n",
            "setenv rate-limit fast: left out",
        ),
        ("SetOutputFilter DEFLATE", "files = \"/a\"\n", "only RATE_LIMIT is taken over"),
        ("<Location /x>\nProxyPass http://h:1\n</Location>", "path = \"/x\"\nproxy = \"http://h:1/\"", ""),
        ("Redirect 301 /x https://n/y", "redirect = \"https://n/y\"\nredirect_status = 301", ""),
        (
            "<Location /x/>\nSetOutputFilter RATE_LIMIT\nSetEnv rate-limit 9\n</Location>",
            "files = \"/a/x\"",
            "",
        ),
        ("<Files *.iso>\nSetEnv rate-limit 9\n</Files>", "files = \"/a\"", "warning: its pace is not kept"),
        ("LimitRequestBody 100", "files = \"/a\"", ""),
        ("<IfModule !x>\nA b\n</IfModule>", "files = \"/a\"", "its condition does not hold"),
        (
            "<Location /x>\n<IfModule y>\nSetOutputFilter RATE_LIMIT\nSetEnv rate-limit 9\n</IfModule>\n</Location>",
            "rate = 9",
            "",
        ),
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
    let imported = of(
        Origin::Nginx,
        &http("set_real_ip_from 10.0.0.0/8; server { listen 82 proxy_protocol; root /a; }"),
    );
    checked(&imported.toml);
    assert!(imported.toml.contains("trusted_proxies = [\"10.0.0.0/8\"]"), "{}", imported.toml);
    let line = "listen = [{ address = \"0.0.0.0:82\", proxy_protocol = true }]";
    assert!(imported.toml.contains(line), "{}", imported.toml);
    // Without them, it would believe everyone, or nobody.
    let imported = of(Origin::Nginx, &http("server { listen 82 proxy_protocol; root /a; }"));
    assert!(
        imported.notes.iter().any(|line| line.contains("listener 0.0.0.0:82: left out")),
        "{:?}",
        imported.notes
    );
    checked(&imported.toml);
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
        (Origin::Apache, "<A\n</A>\n", "f:1: <A: there is no \">\" at its end"),
        (Origin::Nginx, "a;\nb\0;", "f:2: a NUL byte"),
        (Origin::Apache, "a\n\0", "f:2: a NUL byte"),
        (Origin::Nginx, "content_by_lua_block { {", "f:1: its block is not closed"),
    ] {
        let error = import(origin, "f", text, &Files::default()).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    // A long line does not make a long message.
    let long = format!("a {}", "b".repeat(1 << 20));
    assert!(import(Origin::Nginx, "f", &long, &Files::default()).unwrap_err().len() < 200);
    // What editors of other systems leave is no part of a text.
    for (origin, text) in [
        (Origin::Nginx, "\u{feff}server {\r\n root /a;\r\n}\r\n"),
        (Origin::Apache, "\u{feff}Listen 80\r\nDocumentRoot \\\r\n /a\r\n"),
    ] {
        let toml = of(origin, text).toml;
        assert!(toml.contains("files = \"/a\"\n"), "{toml}");
    }
}

#[test]
fn what_is_too_much_is_told_and_nothing_grows_without_an_end() {
    let of_servers = |count: usize, server: fn(usize) -> String| (0..count).map(server).collect::<String>();
    let text = "a;\n".repeat(60_000);
    let error = import(Origin::Nginx, "f", &text, &Files::default()).unwrap_err();
    assert_eq!(error, "f:50001: a: more than 50000 directives; import a part");
    // Servers that are alike, and servers that are not: as many as a farm has.
    let text = of_servers(1000, |_| "server { root /w; }\n".to_owned());
    assert_eq!(of(Origin::Nginx, &text).toml.matches("[[route]]").count(), 1);
    let text = of_servers(1000, |nth| format!("server {{ server_name a{nth}; root /w; }}\n"));
    assert_eq!(of(Origin::Nginx, &text).toml.matches("[[route]]").count(), 1000);
    let text = of_servers(1100, |nth| {
        format!("server {{ listen 10.1.{}.{}:80; server_name a{nth}; root /w; }}\n", nth / 250, nth % 250 + 1)
    });
    let imported = of(Origin::Nginx, &text);
    checked(&imported.toml);
    assert!(imported.notes.iter().any(|line| line.contains("more than 1000 listeners")));
    // Names in names.
    let names: String = (0..60).map(|nth| format!("Define a{} ${{a{nth}}}${{a{nth}}}\n", nth + 1)).collect();
    let imported = of(
        Origin::Apache,
        &format!("Listen 80\nDefine a0 xxxxxxxxxxxxxxxx\n{names}DocumentRoot /${{a60}}\n"),
    );
    checked(&imported.toml);
    assert!(imported.toml.len() < 1000 && imported.toml.contains("refuse = 403"), "{}", imported.toml);
    // What check would not read.
    let text = format!(
        "server {{ root /w; {} }}",
        of_servers(800, |nth| format!("location /{}{nth}/ {{ }}\n", "a".repeat(1500)))
    );
    let error = import(Origin::Nginx, "f", &text, &Files::default()).unwrap_err();
    assert!(error.starts_with("f:1: what comes of it is longer than 1 MiB"), "{error}");
}

#[test]
fn what_nobody_writes_comes_to_what_check_accepts() {
    for (text, expected) in [
        ("http { rewrite ^/x/ /y; }", "Nothing is taken over"),
        ("server { server_name a A a; root /w; } server { server_name b b; root /v; }", "host = \"b\""),
        ("server { listen 127.0.0.1:080; listen 127.0.0.1:80; root /w; }", "listen = [\"127.0.0.1:80\"]"),
        ("server { listen [0::0]:80; listen [::]:080; root /w; }", "listen = [\"[::]:80\"]"),
    ] {
        let toml = of(Origin::Nginx, text).toml;
        checked(&toml);
        assert!(toml.contains(expected), "{text}\n{toml}");
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
    write("deep.conf", "server { root /d; include sites/rules/?.inc; }");
    std::fs::create_dir(folder.path().join("sites/rules")).unwrap();
    write("sites/rules/a.inc", "deny all;");
    let files = Files { base: Some(folder.path().to_owned()) };
    let text = "http { include mime.types; include sites/*.conf; }";
    let imported = import(Origin::Nginx, "f", text, &files).unwrap();
    assert!(imported.toml.contains("listen = [\"0.0.0.0:81\"]"), "{}", imported.toml);
    let told: Vec<_> =
        imported.notes.iter().filter(|line| line.contains("include") || line.contains("gzip")).collect();
    assert!(told.iter().any(|line| line.contains("f:1: include mime.types: left out")), "{told:?}");
    assert!(told.iter().any(|line| line.ends_with("sites/a.conf:1: gzip on: left out")), "{told:?}");
    let error = import(Origin::Nginx, "f", "include loop.conf;", &files).unwrap_err();
    assert!(error.ends_with("loop.conf:1: include loop.conf: the file includes itself"), "{error}");
    // What cannot be read may have rules.
    let imported = import(Origin::Nginx, "f", "server { root /a; include none/*.conf; }", &files).unwrap();
    assert!(imported.notes.iter().any(|line| line.contains("none cannot be read")), "{:?}", imported.notes);
    assert!(imported.toml.contains("refuse = 403") && !imported.toml.contains("files"), "{}", imported.toml);
    let imported = import(Origin::Nginx, "f", "include deep.conf;", &files).unwrap();
    assert!(imported.toml.contains("refuse = 403") && !imported.toml.contains("files"), "{}", imported.toml);
    // A site's file is beside the folder where names start.
    let site = Files { base: Some(folder.path().join("sites")) };
    let imported = import(Origin::Nginx, "f", "server { root /a; include deep.conf; }", &site).unwrap();
    assert!(!imported.notes.iter().any(|line| line.contains("cannot be read")), "{:?}", imported.notes);
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
