//! The PROXY protocol as HAProxy and nginx speak it, in both directions, by the lines of docs/proxy-protocol.md.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use testkit::certificates::Certificates;

use crate::haproxy::{blocks, haproxy, listening};
use crate::nginx::Nginx;
use crate::program::{Running, make_file, program, succeeded};
use crate::sluicegate::Sluicegate;

const PAGE: &str = include_str!("../../docs/proxy-protocol.md");

/// The first block of the page in this language.
fn block(language: &str) -> &'static str {
    blocks(PAGE, "Behind HAProxy and nginx", language)[0]
}

fn nginx_stream(folder: &Path, stream: impl Fn(SocketAddr) -> String) -> (SocketAddr, Running) {
    let file = folder.join("nginx.conf");
    listening(|addr| {
        let state = folder.display();
        let text = format!(
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off; master_process off; \
             pid {state}/nginx.pid;\nevents {{ worker_connections 512; }}\n{}",
            stream(addr)
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program("nginx"));
        command.arg("-p").arg(folder).arg("-c").arg(&file).args(["-e", "stderr"]);
        command
    })
}

/// curl from an address that nobody trusts; gives the address and port that it came from.
fn curl(made: &Certificates, url: &str, further: &[&str], copy: &Path) -> String {
    let mut command = Command::new(program("curl"));
    command.args(["-q", "-sS", "--interface", "127.0.0.3", "--cacert", &made.path("ca.pem")]).args(further);
    command.args(["-H", "X-Forwarded-For: 6.6.6.6", "-w", "%{local_ip}:%{local_port}", "-o"]);
    String::from_utf8(succeeded(command.arg(copy).arg(url))).unwrap()
}

/// A server of `content` as `f` in the folder of `made`, over https behind proxies on 127.0.0.1.
fn secured(made: &Certificates) -> (Sluicegate, Vec<u8>) {
    let content = make_file(&made.at(""), "f", 300_000);
    let keys = "listen = { address = '127.0.0.1:0', tls = 'main', proxy_protocol = true }\n\
                trusted_proxies = '127.0.0.1'\naccess_log = 'stderr'\n\
                [tls.main]\ncert = 'server.pem'\nkey = 'server.key'\n[[route]]\npath = '/'\nfiles = '.'\n";
    made.write("all.toml", keys);
    (Sluicegate::run_as_told(&made.at("all.toml")), content)
}

#[test]
fn haproxy_and_nginx_in_front_name_their_clients() {
    let made = Certificates::make();
    let (server, content) = secured(&made);
    let place = tempfile::tempdir().unwrap();
    let to_server = |text: &str, addr: SocketAddr| {
        text.replace("127.0.0.1:8443", &server.addr.to_string())
            .replace("bind :443", &format!("bind {addr}"))
            .replace("listen 443", &format!("listen {addr}"))
    };
    let (v2, _haproxy) = haproxy(place.path(), |addr| to_server(block("haproxy"), addr));
    let one = |addr| to_server(block("haproxy"), addr).replace("send-proxy-v2", "send-proxy");
    let folder = tempfile::tempdir().unwrap();
    let (v1, _haproxy_v1) = haproxy(folder.path(), one);
    let (nginx, _nginx) = nginx_stream(place.path(), |addr| to_server(block("nginx"), addr));
    for front in [v2, v1, nginx] {
        for version in ["--http1.1", "--http2"] {
            let copy = place.path().join("copy");
            let client = curl(&made, &format!("https://{front}/f"), &[version], &copy);
            assert!(std::fs::read(&copy).unwrap() == content, "{front} {version}");
            server.logged(&[("client", &client), ("outcome", "complete")]);
        }
    }
}

#[test]
fn haproxy_and_nginx_behind_are_named_the_client() {
    let place = tempfile::tempdir().unwrap();
    let (haproxy, _haproxy) = haproxy(place.path(), |addr| {
        format!(
            "frontend tells\n mode http\n bind {addr} accept-proxy\n \
             http-request return status 200 content-type text/plain lf-string %[src]:%[src_port]\n"
        )
    });
    let location = "location / { return 200 $proxy_protocol_addr:$proxy_protocol_port; }";
    let nginx = Nginx::start_with("proxy_protocol", location);
    for target in [haproxy, nginx.addr] {
        for version in ["v1", "v2"] {
            let relay = Sluicegate::relay(target, &["--send-proxy", version]);
            let flags = ["--send-proxy", version, "--trusted-proxy", "127.0.0.9"];
            let proxy = Sluicegate::proxy(target, &flags);
            // Two requests on one connection, each of which has another to the backend. curl 7.88 asks by HTTP/2 without
            // TLS only once on each.
            for (addr, protocol, paths) in [
                (relay.addr, "--http1.1", &["a", "b"][..]),
                (proxy.addr, "--http1.1", &["a", "b"]),
                (proxy.addr, "--http2-prior-knowledge", &["a"]),
            ] {
                let mut curl = Command::new(program("curl"));
                curl.args(["-q", "-sS", "--interface", "127.0.0.3", "-w", "\n%{local_ip}:%{local_port}\n"]);
                curl.arg(protocol).args(paths.iter().map(|path| format!("http://{addr}/{path}")));
                let told = String::from_utf8(succeeded(&mut curl)).unwrap();
                let lines: Vec<_> = told.lines().collect();
                assert_eq!(lines, vec![lines[1]; 2 * paths.len()], "{target} {version} {protocol}");
            }
            // Without a port, which both leave out.
            let mut curl = Command::new(program("curl"));
            curl.args(["-q", "-sS", "--interface", "127.0.0.9", "-H", "X-Forwarded-For: 192.0.2.1"]);
            let told = String::from_utf8(succeeded(curl.arg(format!("http://{}/", proxy.addr)))).unwrap();
            assert_eq!(told, "192.0.2.1:", "{target} {version}");
        }
    }
}
