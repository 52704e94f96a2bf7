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

/// Neither `absent` nor anything of it is in what comes out, `present` is, and a warning has `note`.
fn keeps_closed(origin: Origin, text: &str, absent: &str, present: &str, note: &str) {
    let imported = of(origin, text);
    let toml = &imported.toml;
    assert!(!toml.contains(absent), "{text}\n{toml}");
    assert!(toml.contains(present), "{text}\n{toml}");
    assert!(imported.notes.iter().any(|line| line.contains(note)), "{text}\n{:?}", imported.notes);
}

#[test]
fn what_nginx_closes_or_runs_is_not_opened() {
    const LOCATIONS: &[(&str, &str, &str, &str)] = &[
        ("root /w; location ~ \\.php$ { fastcgi_pass h:9; }", "/w", "listen", "warning"),
        ("root /w; location /x/ { uwsgi_pass h:9; } location /y/ { root /v; }", "/w", "/v/y", "warning"),
        (
            "root /w; location /x/ { return 403; } location /y/ { root /v; }",
            "\"/w\"",
            "/v/y",
            "warning: left out",
        ),
        ("root /w; location /x/ { internal; }", "/w", "listen", "warning: left out"),
        ("root /w; location /x/ { deny all; }", "/w", "listen", "warning: / is left out"),
        ("root /w; location = /x { auth_basic a; }", "/w", "listen", "warning"),
        ("root /w; auth_basic a; location /x/ { auth_basic off; }", "\"/w\"", "/w/x", "warning"),
        ("root /w; if ($bad) { return 403; }", "/w", "listen", "warning"),
        ("root /w; location /x/ { alias /v/$y; }", "/w", "listen", "no variables"),
        ("root /w; location /x/ { proxy_pass http://$h; }", "/w", "listen", "warning"),
        ("location / { proxy_pass http://h; } location /x/ { deny all; }", "proxy =", "listen", "warning"),
        ("root /w; return 444;", "/w", "Imported", "warning: the server is left out"),
        // Names with a dot are not served in any case, and this location closes nothing.
        ("root /w; location ~ /\\.ht { deny all; }", "/v", "files = \"/w\"", "a route's path is a prefix"),
        ("root /w; location ~ \\.jpg$ { expires 1d; }", "/v", "files = \"/w\"", "a route's path is a prefix"),
    ];
    for (text, absent, present, note) in LOCATIONS {
        keeps_closed(Origin::Nginx, &format!("server {{ {text} }}"), absent, present, note);
    }
}

#[test]
fn a_listener_shows_no_more_than_it_did() {
    let tls = "ssl_certificate /c; ssl_certificate_key /k;";
    let secure = format!("server {{ listen 443 ssl; server_name a; root /a; {tls} }}");
    // A private server beside a public one.
    for private in ["127.0.0.1:81", "[::1]:81", "unix:/s", "10.0.0.1:81"] {
        let text = format!(
            "server {{ listen 80; root /p; }} server {{ listen {private}; server_name i; root /i; }}"
        );
        keeps_closed(Origin::Nginx, &text, "/i", "files = \"/p\"", "warning: this server is left out");
    }
    let text = "server { listen 80; root /p; } server { listen 81; server_name i; root /i; }";
    keeps_closed(Origin::Nginx, text, "/x", "/i", "answered at 0.0.0.0:80 too");
    let text = format!("server {{ listen 80; server_name p; root /p; }} {secure}");
    keeps_closed(Origin::Nginx, &text, "/x", "/a", "in the clear");
    // A redirect keeps its address.
    for redirect in
        ["return 301 https://$host$request_uri;", "location / { return 301 https://$host$request_uri; }"]
    {
        let text = format!(
            "server {{ listen 80; server_name p; root /p; }} server {{ listen 80; server_name a; {redirect} }} {secure}"
        );
        let present = "http_redirect = [\"0.0.0.0:80\"]";
        keeps_closed(
            Origin::Nginx,
            &text,
            "listen = [\"0.0.0.0:80\"",
            present,
            "warning: listener 0.0.0.0:80",
        );
    }
    // Each address has its default; here there is one.
    let text = "server { listen 80; server_name a; root /a; } server { listen 81; server_name b; root /b; }";
    keeps_closed(Origin::Nginx, text, "host = \"a\"", "host = \"b\"", "is the default of 0.0.0.0:81 there");
    keeps_closed(
        Origin::Nginx,
        "server { listen [::]:80 ipv6only=off; root /a; gzip on; }",
        "/x",
        "listen = [\"0.0.0.0:80\", \"[::]:80\"]",
        "",
    );
}

#[test]
fn what_apache_closes_or_runs_is_not_opened() {
    const HOSTS: &[(&str, &str, &str, &str)] = &[
        ("<FilesMatch \\.php$>\nSetHandler php\n</FilesMatch>", "/w", "listen", "warning"),
        ("AddHandler php .php", "/w", "listen", "warning"),
        ("<Location /x>\nRequire ip 10\n</Location>", "/w", "listen", "warning"),
        ("<Directory />\nRequire all denied\n</Directory>", "/w", "listen", "warning"),
        (
            "<Directory />\nRequire all denied\n</Directory>\n<Directory /w>\nRequire all granted\n</Directory>",
            "/x",
            "files = \"/w\"",
            "left out",
        ),
        ("<Files .ht*>\nRequire all denied\n</Files>", "/x", "files = \"/w\"", "left out"),
        ("ProxyPass / http://h/\nProxyPass /x !", "proxy =", "listen", "warning: / is left out"),
        ("Alias /x ${A}/b", "/w", "listen", "no variables"),
        ("Redirect 403 /x", "/w", "listen", "warning"),
        ("ProxyPass /a http://h retry=5 timeout=9", "/x", "proxy", "left out of it: retry=5 timeout=9"),
        (
            "<Proxy balancer://b>\nBalancerMember http://one status=+D\nBalancerMember http://two loadfactor=2\n</Proxy>\n\
             ProxyPass /a balancer://b",
            "one",
            "two",
            "it is out of service",
        ),
        (
            "Options Indexes\n<Directory /w/x>\nOptions +FollowSymLinks\n</Directory>",
            "list = false",
            "list = true",
            "",
        ),
    ];
    for (text, absent, present, note) in HOSTS {
        let text = format!("Listen 80\nServerName n\nDocumentRoot /w\n{text}\nA b\n");
        keeps_closed(Origin::Apache, &text, absent, present, note);
        keeps_closed(Origin::Apache, &text, "host = \"n\"", "0.0.0.0:80\", \"[::]:80", "");
    }
    let text = "Listen 80\nListen 443\n<VirtualHost *:80>\nServerName a\nRedirect / https://a/\nDocumentRoot /r\n</VirtualHost>\n\
                <VirtualHost *:443>\nServerName a\nSSLEngine on\nSSLCertificateFile /c\n<IfModule x>\nSSLCertificateKeyFile /k\n\
                </IfModule>\nDocumentRoot /w\n</VirtualHost>\n";
    keeps_closed(Origin::Apache, text, "/r", "http_redirect = [\"0.0.0.0:80\", \"[::]:80\"]", "https");
    keeps_closed(Origin::Apache, text, "/r", "cert = [\"/c\"]\nkey = [\"/k\"]", "");
    let text = "<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile /c\nDocumentRoot /w\n</VirtualHost>\n";
    keeps_closed(Origin::Apache, text, "/r", "key = [\"/c\"]", "its key is in the same file");
    let text = "Listen 80\nListen 127.0.0.1:81\n<VirtualHost *:80>\nDocumentRoot /p\n</VirtualHost>\n\
                <VirtualHost 127.0.0.1:81>\nServerName i\nDocumentRoot /i\n</VirtualHost>\n";
    keeps_closed(Origin::Apache, text, "/i", "/p", "warning: this server is left out");
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
        ("root /b$x;", "listen = ", "root /b$x: left out"),
        ("gzip on;", "files = \"/a\"", "f:1: gzip on: left out"),
        ("listen 80 ssl;", "path = \"/\"", "listener 0.0.0.0:80: left out: it has no certificate"),
        ("listen localhost:80;", "path = \"/\"", "listen localhost:80: left out"),
        ("listen unix:/run/a.sock;", "listen = [\"unix:/run/a.sock\"]", ""),
        ("listen *:81; listen [::1]:82;", "listen = [\"0.0.0.0:81\", \"[::1]:82\"]", ""),
        ("return 302 https://n.example/;", "redirect = \"https://n.example/\"", "is appended"),
        ("return 200 ok;", "Imported", "left out: a redirect has a status"),
        ("location /x { root /b; }", "path = \"/x/\"\nfiles = \"/b/x\"", ""),
        ("location /x { alias /b; }", "path = \"/x/\"\nfiles = \"/b\"", ""),
        ("location /x { proxy_pass http://h:1; proxy_read_timeout 5m; }", "read_timeout = \"5m\"", ""),
        ("location /x { proxy_pass http://unix:/s:/y; }", "proxy = \"unix:/s:/y\"", ""),
        ("location /x { proxy_pass http://$h; }", "listen = ", "without variables"),
        ("location @x { root /b; }", "files = \"/a\"", "location @x: left out: a route's path is a prefix"),
        ("root '/a b' ; # comment ; {", "files = \"/a b\"", ""),
    ] {
        let imported = of(Origin::Nginx, &format!("server {{ root /a; {directive}\n}}"));
        // What leaves a site out may leave none.
        if imported.toml.contains("[[route]]") {
            checked(&imported.toml);
        }
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
        ("ProxyPass /x ajp://h", "listen = ", "a backend is http://"),
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
        // What leaves a site out may leave none.
        if imported.toml.contains("[[route]]") {
            checked(&imported.toml);
        }
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
    let told: Vec<_> =
        imported.notes.iter().filter(|line| line.contains("include") || line.contains("gzip")).collect();
    let [missing, gzip] = &told[..] else { panic!("{:?}", imported.notes) };
    assert!(
        missing.contains("f:1: include mime.types: left out") && missing.contains("cannot be read"),
        "{missing}"
    );
    assert!(gzip.ends_with("sites/a.conf:1: gzip on: left out"), "{gzip}");
    let notes = import(Origin::Nginx, "f", "include loop.conf;", &files).unwrap().notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    let notes = import(Origin::Nginx, "f", "include none/*.conf;", &files).unwrap().notes;
    assert!(notes[0].contains("none cannot be read"), "{notes:?}");
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
