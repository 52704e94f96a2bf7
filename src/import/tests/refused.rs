//! What an import must not open, and does not.

use super::{checked, http, of};
use crate::import::Origin;

/// Neither `absent` nor anything of it is in what comes out, `present` is, and a warning has `note`.
fn keeps_closed(origin: Origin, text: &str, absent: &str, present: &str, note: &str) {
    let imported = of(origin, text);
    let toml = &imported.toml;
    assert!(!toml.contains(absent), "{text}\n{toml}");
    assert!(toml.contains(present), "{text}\n{toml}");
    assert!(imported.notes.iter().any(|line| line.contains(note)), "{text}\n{:?}", imported.notes);
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
        ("root /w; location /x/ { return 301 /x/; }", "/v", "path = \"/x/\"\nrefuse = 403", "without an end"),
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
    // What moves there is closed as it was.
    let moved = format!(
        "server {{ listen 80; server_name a; location ~ \\.key$ {{ deny all; }} location /x/ {{ root /m; }} \
         location / {{ return 301 https://$host$request_uri; }} }} {secure}"
    );
    keeps_closed(Origin::Nginx, &moved, "/m", "http_redirect", "/x/ is refused here");
    // Only what asks how a request came sends everyone there.
    let text = format!(
        "server {{ listen 443 ssl; root /b; {tls} if ($cookie_a = \"\") {{ return 302 https://$x$request_uri; }} }}"
    );
    keeps_closed(Origin::Nginx, &text, "/b", "refuse", "left out");
    let text = format!("server {{ listen 443 ssl; root /b; {tls} rewrite ^(.*)$ https://$x$1 redirect; }}");
    keeps_closed(Origin::Nginx, &text, "/b", "refuse", "is refused here");
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
    // The modules of access may be part of the program.
    let text = "LoadModule dir_module x.so\nListen 80\nDocumentRoot /w\n<IfModule mod_authz_core.c>\n<Location />\n\
                Require all denied\n</Location>\n</IfModule>\n";
    keeps_closed(Origin::Apache, text, "/w", "refuse = 403", "refused here");
    let text = "LoadModule dir_module x.so\nListen 80\n<IfModule mod_ssl.c>\nDocumentRoot /s\n</IfModule>\nDocumentRoot /w\n\
                <IfModule !mod_ssl.c>\nAlias /x /v\n</IfModule>\n";
    keeps_closed(Origin::Apache, text, "/s", "files = \"/v\"", "its condition does not hold");
}
