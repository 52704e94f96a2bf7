//! `smooth`: what the kernel was asked for, as `ss` shows it, follows limits that are changed while a response is under way.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;

use testkit::certificates::Certificates;
use testkit::process::listener;
use testkit::program::{self, Program};
use testkit::served::connect;
use testkit::tls::TlsClient;
use testkit::versions::Version;
use testkit::wait::until;

use crate::typed::prints;

/// The bits per second above which the kernel sends nothing on the server's end of `client`; `None` if it has no such bound.
fn kernel_rate(client: &TcpStream) -> Option<u64> {
    let [here, there] =
        [client.local_addr().unwrap(), client.peer_addr().unwrap()].map(|addr| addr.to_string());
    let mut ss = Command::new(listener::program("ss").unwrap());
    let output = ss.args(["-tniH", "src", &there, "dst", &here]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let (_, rates) = shown.split_once(" pacing_rate ").unwrap_or_else(|| panic!("{shown:?}"));
    // The rate of now, and behind it the bound.
    let (_, most) = rates.split(' ').next().unwrap().split_once('/')?;
    Some(most.strip_suffix("bps").unwrap().parse().unwrap())
}

fn said(program: &Program, words: &str) -> SocketAddr {
    let line = program.started.iter().find_map(|line| line.strip_prefix(words));
    line.unwrap_or_else(|| panic!("no {words}")).parse().unwrap()
}

/// Ends the connection in the end, whatever happens.
struct Closing<'a>(&'a TcpStream);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        // The server may have ended it.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Reads on while limits change.
fn follows(program: &Program, client: &TcpStream, mut reading: impl Read + Send) {
    let admin = program.admin().to_string();
    let set = |typed: &[&str]| prints(&[&["limits", "set", "--admin", &admin], typed].concat());
    let becomes = |rate: Option<u64>| {
        until(&format!("{rate:?}"), || kernel_rate(client) == rate);
    };
    std::thread::scope(|scope| {
        // Ends with the connection, also if the test fails.
        let _closing = Closing(client);
        scope.spawn(move || while reading.read(&mut [0; 65_536]).is_ok_and(|n| n > 0) {});
        // Five quarters of 400 KiB/s, in bits.
        becomes(Some(4_096_000));
        set(&["response", "/", "--rate", "800k"]);
        becomes(Some(8_192_000));
        // The lowest of all that hold it counts.
        set(&["server", "--rate", "200k"]);
        becomes(Some(2_048_000));
        set(&["server", "--rate", "off"]);
        becomes(Some(8_192_000));
        set(&["response", "/", "--report-only", "true"]);
        becomes(None);
        set(&["response", "/", "--rate", "400k", "--report-only", "false"]);
        becomes(Some(4_096_000));
    });
}

#[test]
fn the_kernels_rate_follows_limits_that_are_set_while_a_response_is_under_way() {
    if listener::program("ss").is_none() {
        testkit::skip::skipped("no ss here (Debian has it in iproute2)");
        return;
    }
    let made = Certificates::make();
    // It has no end at no rate.
    std::fs::File::create(made.at("f")).unwrap().set_len(1 << 36).unwrap();
    let keys = "listen = ['127.0.0.1:0', { address = '127.0.0.1:0', tls = 'main' }]
        admin = '127.0.0.1:0'
        [tls.main]
        cert = 'server.pem'
        key = 'server.key'
        [[route]]
        path = '/'
        files = '.'
        rate = '400k'
        smooth = true\n";
    made.write("all.toml", keys);
    let program = Program::start_where_told(program::command(&["run", &made.path("all.toml")]));
    let [plain, secured] =
        ["http://", "https://"].map(|scheme| said(&program, &format!("listening on {scheme}")));
    for version in [Version::Http1, Version::Http2] {
        let mut stream = connect(plain);
        stream.write_all(&version.get("/f")).unwrap();
        follows(&program, &stream, stream.try_clone().unwrap());
        let name = if version == Version::Http1 { "http/1.1" } else { "h2" };
        let mut stream = TlsClient::new(&made).alpn(&[name]).connect(secured, "127.0.0.1").unwrap();
        stream.write_all(&version.get("/f")).unwrap();
        let client = stream.sock.try_clone().unwrap();
        follows(&program, &client, stream);
    }
    program.end();
}
