//! The PROXY protocol as it is configured: what is refused, what `check` shows, and what the log says.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};

use testkit::folder::folder;
use testkit::program::{Program, command, log_until, text};
use testkit::records::records;
use testkit::served::{connect, connect_from};
use testkit::wire;

use crate::typed::{fails, prints};

#[test]
fn keys_that_do_not_fit_are_faults_with_their_places() {
    let site = folder(&[("f", b"x")]);
    let file = site.path().join("all.toml");
    let route = "[[route]]\npath = '/'\nfiles = '.'\n";
    let tcp = |keys: &str| format!("[[tcp]]\nlisten = '127.0.0.1:1'\n{keys}\n");
    for (keys, expected) in [
        (
            format!("listen = {{ address = '127.0.0.1:2', proxy_protocol = true }}\n{route}"),
            "trusted_proxies: is empty, so nobody may connect to 127.0.0.1:2: proxy_protocol takes headers of trusted \
             proxies only; name them, such as [\"10.0.0.0/8\"]\n",
        ),
        (
            format!("trusted_proxies = []\n{}", tcp("to = 'a:1'\nproxy_protocol = true")),
            "all.toml:1:19: trusted_proxies: is empty, so nobody may connect to 127.0.0.1:1:",
        ),
        (
            format!("listen = {{ address = '127.0.0.1:2', proxy_protocol = 'v2' }}\n{route}"),
            "all.toml:1:54: proxy_protocol in listen: ",
        ),
        (
            format!("listen = {{ address = '127.0.0.1:2', proxy_protocoll = true }}\n{route}"),
            "did you mean \"proxy_protocol\"?",
        ),
        (
            format!("http_redirect = {{ address = '127.0.0.1:2', tls = 'a' }}\n{route}"),
            "all.toml:1:44: unknown key \"tls\" in [[http_redirect]]",
        ),
        (tcp("to = 'a:1'\nsend_proxy = 'v3'"), "\"v3\" is not a version of the PROXY protocol"),
        (
            "[[route]]\npath = '/'\nproxy = 'http://a'\nsend_proxy = 'v3'\n".to_owned(),
            "all.toml:4:14: send_proxy in [[route]] \"/\": \"v3\" is not a version of the PROXY protocol",
        ),
        (
            "[[route]]\npath = '/'\nproxy = 'http://a'\nsend_proxy = 'v1'\nidle_connections = 3\n".to_owned(),
            "all.toml:5:20: idle_connections in [[route]] \"/\": does nothing with send_proxy: a connection is for one \
             request; leave it out",
        ),
        (
            format!("{route}send_proxy = 'v1'\n"),
            "send_proxy in [[route]] \"/\": does nothing with files, only with proxy; leave it out",
        ),
        (
            tcp("file = 'f'\nsend_proxy = 'v1'"),
            "send_proxy in [[tcp]] 127.0.0.1:1: does something with to only; leave it out",
        ),
    ] {
        std::fs::write(&file, &keys).unwrap();
        let told = fails(1, &["check", text(&file)]);
        assert!(told.contains(expected), "{keys}\n{told}");
    }
    let keys = format!(
        "trusted_proxies = '10.0.0.0/8'\nlisten = {{ address = '127.0.0.1:2', proxy_protocol = true }}\n{}{route}\
         [[route]]\npath = '/app/'\nproxy = 'https://a'\nsend_proxy = 'v2'\n",
        tcp("to = 'a:1'\nproxy_protocol = true\nsend_proxy = 'v1'")
    );
    std::fs::write(&file, keys).unwrap();
    let shown = prints(&["check", text(&file)]);
    for expected in [
        "  listen       127.0.0.1:2, PROXY header required\n",
        "\ntcp:127.0.0.1:1, PROXY header required\n",
        "relay to a:1, PROXY header v1, connect timeout 5s\n",
        "  source       backend https://a, PROXY header v2, Host upstream, verified by",
    ] {
        assert!(shown.contains(expected), "{expected}{shown}");
    }
}

#[test]
fn the_log_has_announced_clients_and_those_refused_within_a_bound() {
    let site = folder(&[("f", b"x")]);
    let file = site.path().join("all.toml");
    let keys = "listen = { address = '127.0.0.1:0', proxy_protocol = true }\ntrusted_proxies = '127.0.0.2'\n\
                access_log = 'stderr'\n[[route]]\npath = '/'\nfiles = '.'\n";
    std::fs::write(&file, keys).unwrap();
    let program = Program::start_where_told(command(&["run", text(&file)]));
    let mut stream = connect_from([127, 0, 0, 2], program.addr());
    let peer = stream.local_addr().unwrap();
    stream.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.9 5 443\r\nGET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(wire::answer(&mut stream).body, b"x");
    drop(stream);
    let mut plain = connect_from([127, 0, 0, 2], program.addr());
    plain.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(plain.read(&mut [0]).unwrap_or(0), 0);
    for _ in 0..30 {
        let mut stranger = connect(program.addr());
        let _ = stranger.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.9 5 443\r\n");
        assert_eq!(stranger.read(&mut [0]).unwrap_or(0), 0);
    }
    let log = program.end();
    records(&log, "response")[0].assert_says(&[("client", "192.0.2.1:5"), ("peer", &peer.to_string())]);
    let refused = records(&log, "connection closed: no valid PROXY header");
    assert_eq!(refused.len(), 20, "{log}");
    refused[0].assert_says(&[
        ("reason", "missing"),
        (
            "error",
            "something else came first: have the proxy send its header (HAProxy: send-proxy-v2, nginx: proxy_protocol on)",
        ),
    ]);
    refused[1].assert_says(&[("reason", "untrusted"), ("error", "the peer is not one of trusted_proxies")]);
}

/// The bytes of `text` in hexadecimal.
fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| *c != ' ').collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn a_header_that_breaks_off_is_logged_with_its_peer_and_its_listener_and_delays_nobody() {
    let site = folder(&[("f", b"x")]);
    let file = site.path().join("all.toml");
    let keys = "listen = [{ address = '127.0.0.1:0', proxy_protocol = true }, { address = '127.0.0.1:0', proxy_protocol = true }]\n\
                trusted_proxies = '127.0.0.1'\n[[route]]\npath = '/'\nfiles = '.'\n\
                [[tcp]]\nlisten = '127.0.0.1:0'\nproxy_protocol = true\nfile = 'f'\n";
    std::fs::write(&file, keys).unwrap();
    let mut program = Program::start_where_told(command(&["run", text(&file)]));
    let listening = |line: &String| {
        let (_, addr) = line.strip_prefix("listening on ")?.split_once(':')?;
        addr.trim_start_matches("//").split([' ', ',']).next()?.parse().ok()
    };
    let listeners: Vec<SocketAddr> = program.started.iter().filter_map(listening).collect();
    assert_eq!(listeners.len(), 3, "{:?}", program.started);
    // TCP over IPv4, 192.0.2.1:5 to 192.0.2.9:443.
    let v2 = bytes("0d0a0d0a 000d0a51 5549540a 21 11 000c c0000201 c0000209 0005 01bb");
    let v1 = b"PROXY TCP4 192.0.2.1 192.0.2.9 5 443\r\n";
    let whole = |addr, header: &[u8]| {
        let mut stream = connect(addr);
        stream.write_all(&[header, b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n"].concat()).unwrap();
        wire::answer(&mut stream).body
    };
    let cuts = [&v2[..1], &v2[..12], &v2[..16], &v2[..v2.len() - 1], &v1[..5], &v1[..v1.len() - 1]];
    for (addr, cut) in listeners.iter().cycle().zip(cuts.repeat(2)) {
        let mut stream = connect(*addr);
        let peer = stream.local_addr().unwrap();
        stream.write_all(cut).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        let log = log_until(&mut program, "no valid PROXY header");
        records(&log, "connection closed: no valid PROXY header")[0].assert_says(&[
            ("level", "warn"),
            ("reason", "truncated"),
            ("peer", &peer.to_string()),
            ("listener", &addr.to_string()),
            ("error", "the peer closed the connection within the header"),
        ]);
        assert_eq!((whole(listeners[0], &v2), whole(listeners[1], v1)), (b"x".to_vec(), b"x".to_vec()));
    }
    // Twelve of twenty in ten seconds have been logged.
    for _ in 0..30 {
        let mut stream = connect(listeners[0]);
        stream.write_all(&v2[..20]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
    let log = program.end();
    assert_eq!(records(&log, "connection closed: no valid PROXY header").len(), 8, "{log}");
}
