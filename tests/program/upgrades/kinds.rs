//! SIGUSR2: every kind of listener is handed on, and is answered on before, meanwhile and after.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::scope;

use rustix::process::Signal;
use testkit::certificates::Certificates;
use testkit::process::procfs::accepted;
use testkit::program::site;
use testkit::served::connect;
use testkit::tls::TlsClient;
use testkit::wait::until;
use testkit::wire::Client;

use super::clients::body;
use super::{Done, free, replaced, run, slow, text};

/// What a client says on a connection, and hears.
#[derive(Clone, Copy, Debug)]
enum Talk {
    /// This path has this status.
    Http(&'static str, u16),
    /// Raw TCP whose file is sent.
    File,
    /// Raw TCP that is relayed to the file's port.
    Relay,
}

use Talk::{File, Http, Relay};

#[derive(Debug)]
struct Kind {
    addr: SocketAddr,
    is_announced: bool,
    is_secured: bool,
    talk: Talk,
}

impl Kind {
    /// Has an answer on a connection of its own, which both ends keep open.
    fn ask(&self, tls: &TlsClient) -> TcpStream {
        let mut socket = connect(self.addr);
        if self.is_announced {
            socket.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.9 5 443\r\n").unwrap();
        }
        if self.is_secured {
            let mut stream = tls.over(socket, "127.0.0.1").unwrap();
            self.hear(&mut stream);
            stream.sock
        } else {
            self.hear(&mut socket);
            socket
        }
    }

    fn hear(&self, stream: &mut (impl Read + Write)) {
        match self.talk {
            Http(target, status) => {
                // The admin listener has no other name.
                write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
                assert_eq!(Client::new(stream).answer().status(), status, "{self:?}");
            }
            File | Relay => {
                let mut sent = vec![0; body().len()];
                stream.read_exact(&mut sent).unwrap_or_else(|error| panic!("{self:?}: {error}"));
                assert_eq!(sent, body(), "{self:?}");
            }
        }
    }

    /// Whether this process answers.
    fn is_answered_by(&self, tls: &TlsClient, pid: u32) -> bool {
        let socket = self.ask(tls);
        accepted(pid, socket.local_addr().unwrap(), self.addr).unwrap()
    }
}

#[test]
fn every_kind_of_listener_is_answered_on_before_meanwhile_and_after_by_the_new_program_alone() {
    let (made, site, addrs) = (Certificates::make(), site(1 << 20), free::<11>());
    let [plain, secured, announced, both, redirect, redirect_announced, admin, file, file_tls, relay, all] =
        addrs;
    let keys = format!(
        "listen = ['{plain}', {{ address = '{secured}', tls = 'main' }},
            {{ address = '{announced}', proxy_protocol = true }},
            {{ address = '{both}', tls = 'main', proxy_protocol = true }}]
        http_redirect = ['{redirect}', {{ address = '{redirect_announced}', proxy_protocol = true }}]
        admin = '{admin}'
        admin_tls = 'main'
        trusted_proxies = '127.0.0.1'
        drain = '1h'
        [tls.main]
        cert = 'server.pem'
        key = 'server.key'
        [[route]]
        path = '/'
        files = '{site}'
        [[route]]
        path = '/slow/'
        files = '{site}'
        rate = '1000B'
        [[tcp]]
        listen = '{file}'
        file = '{site}/a.txt'
        follow = true
        [[tcp]]
        listen = '{file_tls}'
        tls = 'main'
        file = '{site}/a.txt'
        follow = true
        [[tcp]]
        listen = '{relay}'
        tls = 'main'
        to = '{file}'
        [[tcp]]
        listen = '{all}'
        tls = 'main'
        proxy_protocol = true
        to = '{file}'\n",
        site = text(site.path())
    );
    made.write("site.toml", &keys);
    let kind = |addr, is_announced, is_secured, talk| Kind { addr, is_announced, is_secured, talk };
    let kinds = [
        kind(plain, false, false, Http("/a.txt", 200)),
        kind(secured, false, true, Http("/a.txt", 200)),
        kind(announced, true, false, Http("/a.txt", 200)),
        kind(both, true, true, Http("/a.txt", 200)),
        kind(redirect, false, false, Http("/a.txt", 308)),
        kind(redirect_announced, true, false, Http("/a.txt", 308)),
        kind(admin, false, true, Http("/readyz", 200)),
        kind(file, false, false, File),
        kind(file_tls, false, true, File),
        kind(relay, false, true, Relay),
        kind(all, true, true, Relay),
    ];
    let tls = TlsClient::new(&made);
    let mut old = run(&made.at("site.toml"));
    for kind in &kinds {
        assert!(kind.is_answered_by(&tls, old.id()), "{kind:?}");
    }

    // What the old one has to go on for.
    let download = slow(connect(plain));
    let mut kept = Client::new(tls.connect(admin, "127.0.0.1").unwrap());
    let mut ready = || {
        kept.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = kept.answer();
        (answer.status(), answer.field("connection") == Some("close"), answer.text().to_owned())
    };
    assert_eq!(ready(), (200, false, "ready\n".to_owned()));

    let (done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let new = scope(|scope| {
        let ending = Done(&done);
        let asking = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                kinds.iter().for_each(|kind| drop(kind.ask(&tls)));
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        let more = || {
            let before = rounds.load(Ordering::Relaxed);
            until("each has been asked again", || {
                rounds.load(Ordering::Relaxed) > before + 1 || asking.is_finished()
            });
        };
        more();
        old.signal(Signal::USR2);
        let new = replaced(&mut old).0;
        more();
        drop(ending);
        asking.join().unwrap();
        new
    });

    // A monitor comes to the new one with its next request.
    assert_eq!(ready(), (200, true, "ready\n".to_owned()));
    assert!(kept.is_closed());
    let pid = new.0.as_raw_nonzero().get() as u32;
    for kind in &kinds {
        assert!(kind.is_answered_by(&tls, pid), "{kind:?}");
    }
    drop(download);
    until("the old one ends", || !old.runs());
    for kind in &kinds {
        assert!(kind.is_answered_by(&tls, pid), "{kind:?}");
    }
    new.signal(Signal::TERM);
    let (status, log, error) = old.wait();
    assert_eq!((status.code(), error.as_str()), (Some(0), ""), "{log}");
    assert!(!log.contains("transfers under way are cut"), "{log}");
}
