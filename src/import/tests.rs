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

/// A whole configuration of nginx.
fn http(text: &str) -> String {
    format!("http {{ {text} }}")
}

#[test]
fn what_nginx_closes_or_runs_is_refused() {
    const LOCATIONS: &[(&str, &str, &str, &str)] = &[
        ("root /w; location ~ \\.php$ { fastcgi_pass h:9; }", "/w", "path = \"/\"\nrefuse", "warning"),
        (
            "root /w; location /x/ { uwsgi_pass h:9; }",
            "/w/x",
            "path = \"/x/\"\nrefuse = 403",
            "warning: refused here",
        ),
        (
            "root /w; location /x/ { return 403; }",
            "/w/x",
            "path = \"/x/\"\nrefuse = 403",
            "warning: refused here",
        ),
        (
            "root /w; location /x/ { internal; }",
            "/w/x",
            "path = \"/x/\"\nrefuse = 403",
            "warning: refused here",
        ),
        (
            "root /w; location /x/ { deny all; }",
            "/w/x",
            "path = \"/x/\"\nrefuse = 403",
            "warning: refused here",
        ),
        // Whatever begins with it was closed.
        (
            "root /w; location /x { deny all; }",
            "\"/w\"",
            "path = \"/\"\nrefuse",
            "warning: / is refused here",
        ),
        ("root /w; location = /x { auth_basic a; }", "/w/x", "path = \"/x\"\nrefuse = 403", "warning"),
        ("root /w; auth_basic a; location /x/ { auth_basic off; }", "\"/w\"", "/w/x", "warning"),
        ("root /w; if ($bad) { return 403; }", "/w", "refuse = 403", "warning"),
        ("root /w; location /x/ { alias /v/$y; }", "/v", "path = \"/x/\"\nrefuse = 403", "no variables"),
        ("root /w; location /x/ { alias /v; }", "/v", "path = \"/x/\"\nrefuse = 403", "end it with a slash"),
        (
            "root /w; location /x/ { proxy_pass http://$h; }",
            "/w/x",
            "path = \"/x/\"\nrefuse = 403",
            "warning",
        ),
        (
            "location / { proxy_pass http://h; } location /x/ { deny all; }",
            "/w",
            "path = \"/x/\"\nrefuse = 403",
            "warning",
        ),
        ("root /w; return 444;", "/w", "refuse = 403", "warning: refused here"),
        ("root /w; module_of_others on;", "/w", "refuse = 403", "it may close it there"),
        (
            "root /w; rewrite ^/a/(.*)$ /b/$1 last;",
            "/v",
            "path = \"/a/\"\nrefuse = 403",
            "/a/ is refused here",
        ),
        ("root /w; rewrite .* /b last;", "/w", "refuse = 403", "what it is for is refused here"),
        ("root /w; try_files /busy.html =503;", "/w", "refuse = 403", "something else is served there"),
        ("root /w; access_by_lua_block { if a { x = '}' } -- }\n }", "/w", "refuse = 403", "warning"),
        // A pattern in a location goes before it, though it is `^~`.
        (
            "location ^~ /x/ { alias /w/; location ~ a { deny all; } }",
            "/w",
            "path = \"/x/\"\nrefuse = 403",
            "warning",
        ),
        // Names with a dot are not served in any case, and this location closes nothing.
        (
            "root /w; location ~ /\\.ht { deny all; }",
            "refuse",
            "files = \"/w\"",
            "a route's path is a prefix",
        ),
        ("root /w; location ~ /\\. { deny all; }", "/v", "path = \"/.well-known\"\nrefuse = 403", "warning"),
        ("root /w; location ~ a|b { expires 1d; }", "refuse", "files = \"/w\"", "a route's path is a prefix"),
        (
            "root /w; location ~ \\.iso$ { limit_rate 1k; }",
            "refuse",
            "extension = \"iso\" }\nrate = \"1k\"",
            "",
        ),
        ("root /w; include none.conf;", "/w", "refuse = 403", "no folder to read from"),
    ];
    for (text, absent, present, note) in LOCATIONS {
        let text = http(&format!("server {{ {text} }}"));
        match note.is_empty() {
            true => assert!(of(Origin::Nginx, &text).toml.contains(present), "{text}"),
            false => keeps_closed(Origin::Nginx, &text, absent, present, note),
        }
        checked(&of(Origin::Nginx, &text).toml);
    }
}

#[test]
fn a_listener_shows_no_more_than_it_did() {
    let tls = "ssl_certificate /c; ssl_certificate_key /k;";
    let secure = format!("server {{ listen 443 ssl; server_name a; root /a; {tls} }}");
    // Servers at an address of fewer, at another port, or behind TLS, beside a public one.
    for other in ["127.0.0.1:81", "[::1]:81", "unix:/s", "10.0.0.1:81", "81", "81 ssl", "backend:81"] {
        let text = format!(
            "server {{ listen 80; root /p; }} server {{ listen {other}; server_name i; root /i; {tls} }}"
        );
        keeps_closed(Origin::Nginx, &text, "/i", "files = \"/p\"", "warning: this server is left out");
    }
    let text = format!("server {{ listen 80; server_name p; root /p; }} {secure}");
    keeps_closed(Origin::Nginx, &text, "\"/a\"", "/p", "run it on its own");
    // One at both has them both, also if it is written twice.
    let text = format!("server {{ listen 80; server_name a; root /a; }} {secure}");
    keeps_closed(Origin::Nginx, &text, "/x", "listen = [\"0.0.0.0:80\", {", "is the same as the one");
    // A redirect keeps its address.
    for redirect in [
        "return 301 https://$host$request_uri;",
        "location / { return 301 https://$host$request_uri; }",
        "rewrite ^ https://$host$request_uri? permanent;",
    ] {
        let text = format!(
            "server {{ listen 80; listen 443 ssl; server_name p; root /p; {tls} }} server {{ listen 80; server_name a; {redirect} }} {secure}"
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
    let text =
        "server { listen 80; server_name a; root /a; } server { listen [::]:80; server_name b; root /b; }";
    keeps_closed(Origin::Nginx, text, "host = \"a\"", "host = \"b\"", "is the default of [::]:80 there");
    keeps_closed(
        Origin::Nginx,
        "server { listen [::]:80 ipv6only=off; root /a; gzip on; }",
        "/x",
        "listen = [\"0.0.0.0:80\", \"[::]:80\"]",
        "",
    );
    // One server says for all that an address has TLS.
    let text = format!("server {{ listen 443; server_name b; root /b; gzip on; }} {secure}");
    keeps_closed(Origin::Nginx, &text, "listen = [\"", "tls = \"imported\"", "");
}

#[test]
fn hosts_are_not_given_to_another_server() {
    let server = |text: &str| format!("server {{ listen 80; {text} }}");
    let first = server("server_name a; root /a;");
    for (others, absent, present, note) in [
        ("server_name ~^x; root /x;", "/x", "/a", "warning: this server is left out"),
        ("server_name _; location /x/ { alias /x/; }", "/x", "/a", "warning: this server is left out"),
        ("location /x/ { alias /x/; }", "/x", "/a", "warning: this server is left out"),
        ("server_name a; location /x/ { alias /x/; }", "/x", "/a", "warning: a: left out here"),
        ("server_name b_c a..b; root /x;", "/a..b", "/a", "no route can be for it"),
        ("server_name b; return 403;", "/x", "host = \"b\"\npath = \"/\"\nrefuse = 403", "warning"),
        // A wildcard of another would be for the default's own name.
        ("server_name *.w; root /w;", "/x", "host = \"*.w\"", ""),
    ] {
        let text = format!("{first} {}", server(others));
        keeps_closed(Origin::Nginx, &text, absent, present, note);
        checked(&of(Origin::Nginx, &text).toml);
    }
    let text = format!("{} {}", server("server_name x.w; root /a;"), server("server_name *.w; root /w;"));
    keeps_closed(Origin::Nginx, &text, "/x", "host = \"x.w\"\npath = \"/\"\nfiles = \"/a\"", "");
}

#[test]
fn what_apache_closes_or_runs_is_refused() {
    const REFUSED: &str = "refuse = 403";
    const HOSTS: &[(&str, &str, &str, &str)] = &[
        ("<FilesMatch \\.php$>\nSetHandler php\n</FilesMatch>", "/w", REFUSED, "warning"),
        ("AddHandler php .php", "/w", REFUSED, "warning"),
        ("<Location /x>\nRequire ip 10\n</Location>", "/w/x", "path = \"/x\"\nrefuse = 403", "warning"),
        (
            "<Directory /w/x>\nOrder allow,deny\n</Directory>",
            "/w/x",
            "path = \"/x\"\nrefuse = 403",
            "warning",
        ),
        ("<Directory />\nRequire all denied\n</Directory>", "/w", REFUSED, "warning"),
        ("<Location /x*>\nRequire all denied\n</Location>", "/w", REFUSED, "warning"),
        ("<Directory /w>\nAllowOverride All\n</Directory>", "\"/w\"", REFUSED, "looked through for rules"),
        ("Module_of_others on", "/w", REFUSED, "it may close it there"),
        ("Include none.conf", "/w", REFUSED, "no folder to read from"),
        (
            "<Directory />\nRequire all denied\n</Directory>\n<Directory /w>\nRequire all granted\n</Directory>",
            "refuse",
            "files = \"/w\"",
            "left out",
        ),
        ("<Files .ht*>\nRequire all denied\n</Files>", "refuse", "files = \"/w\"", "left out"),
        ("ProxyPass /x !\nProxyPass / http://h/", "\"/w\"", "files = \"/w/x\"", "no route passes it on"),
        ("ProxyPass / http://h/\nAlias /x /v", "/v", "http://h/", "/x/: left out: / at f:4 is for it"),
        ("Alias /x ${A}/b", "files = \"${A}", "path = \"/x\"\nrefuse = 403", "no variables"),
        ("Redirect 403 /x", "/v", "path = \"/x\"\nrefuse = 403", "warning"),
        ("ProxyPass /a http://h retry=5 timeout=9", "/x", "proxy", "left out of it: retry=5 timeout=9"),
        ("ProxyPass /a ajp://h", "proxy =", "path = \"/a\"\nrefuse = 403", "a backend is http://"),
        ("RewriteEngine on\nRewriteRule ^/x/ - [F]", "/v", "path = \"/x/\"\nrefuse = 403", "warning"),
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
        let text = format!("Listen 80\nServerName n\nDocumentRoot /w\n{text}\nTimeout 5\n");
        keeps_closed(Origin::Apache, &text, absent, present, note);
        keeps_closed(Origin::Apache, &text, "host = \"n\"", "0.0.0.0:80\", \"[::]:80", "");
        checked(&of(Origin::Apache, &text).toml);
    }
    // A part of a configuration does not say whether a folder is open.
    let text = "<VirtualHost *:80>\nDocumentRoot /w\n</VirtualHost>\n";
    keeps_closed(Origin::Apache, text, "/w", REFUSED, "whether it is open is said in the main file");
}

#[test]
fn virtual_hosts_of_apache_keep_to_themselves() {
    let text = "Listen 80\nListen 443\n<VirtualHost *:80>\nServerName a\nRedirect / https://a/\nDocumentRoot /r\n</VirtualHost>\n\
                <VirtualHost *:443>\nServerName a\nSSLEngine on\nSSLCertificateFile /c\n<IfModule x>\nSSLCertificateKeyFile /k\n\
                </IfModule>\nDocumentRoot /w\n</VirtualHost>\n";
    keeps_closed(Origin::Apache, text, "/r", "http_redirect = [\"0.0.0.0:80\", \"[::]:80\"]", "https");
    keeps_closed(Origin::Apache, text, "/r", "cert = \"/c\"\nkey = \"/k\"", "https");
    let text = "Listen 443\n<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile /c\nDocumentRoot /w\n</VirtualHost>\n";
    keeps_closed(Origin::Apache, text, "/r", "key = \"/c\"", "its key is in the same file");
    let text = "Listen 80\nListen 127.0.0.1:81\n<VirtualHost *:80>\nDocumentRoot /p\n</VirtualHost>\n\
                <VirtualHost 127.0.0.1:81>\nServerName i\nDocumentRoot /i\n</VirtualHost>\n";
    keeps_closed(Origin::Apache, text, "/i", "/p", "warning: this server is left out");
    // What holds is known where modules are loaded.
    let text = "LoadModule dir_module x.so\nListen 80\n<IfModule mod_ssl.c>\nDocumentRoot /s\n</IfModule>\nDocumentRoot /w\n\
                <IfModule !mod_ssl.c>\nAlias /x /v\n</IfModule>\n";
    keeps_closed(Origin::Apache, text, "/s", "files = \"/v\"", "its condition does not hold");
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
