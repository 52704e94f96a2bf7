//! Classes of clients on real sockets: what each gets, and what a reload changes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use sluicegate::budget::Clients;
use sluicegate::config::{Config, FilterKinds, Loader};
use sluicegate::http::server::Server;
use sluicegate::proxy_protocol::{ProxyVersion, header};
use sluicegate::rt;
use testkit::backend::Backend;
use testkit::certificates::Certificates;
use testkit::h2;
use testkit::served::{Served, connect, connect_from};
use testkit::tls::TlsClient;
use testkit::wait::until;
use testkit::wire::answer_to;

const KIB: u64 = 1024;

const V13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Serves a folder of one large file, `large`, with `text` in front of its route.
struct Site {
    folder: tempfile::TempDir,
    served: Served,
}

impl Site {
    fn new(text: &str) -> Self {
        let folder = testkit::folder::sparse("large", 1 << 30);
        let served =
            Served::running(Server::from_config(&config(&folder, text), &FilterKinds::default()).unwrap());
        Self { folder, served }
    }

    fn reload(&self, text: &str) -> Vec<String> {
        self.served.handle.reload(&config(&self.folder, text), &FilterKinds::default()).unwrap().changes
    }

    fn get(&self, from: [u8; 4], fields: &str) -> TcpStream {
        let mut stream = connect_from(from, self.served.addr);
        write!(stream, "GET /large HTTP/1.1\r\nHost: t\r\n{fields}\r\n").unwrap();
        stream
    }

    fn class(&self, name: &str) -> std::sync::Arc<sluicegate::http::Class> {
        self.served.handle.budgets().class(name).unwrap()
    }
}

fn config(folder: &tempfile::TempDir, text: &str) -> Config {
    let text = format!("listen = '127.0.0.1:0'\n{text}\n[[route]]\npath = '/'\nfiles = '.'\n");
    Loader::new().parse(&text, "test.toml", folder.path()).unwrap()
}

/// Reads for so long, and returns how much came.
fn read_for(mut stream: TcpStream, time: Duration) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let (began, mut sum, mut buf) = (Instant::now(), 0, vec![0; 65_536]);
        while began.elapsed() < time {
            sum += stream.read(&mut buf).unwrap() as u64;
        }
        sum
    })
}

fn shown(clients: &Clients) -> Vec<String> {
    let mut known: Vec<String> = clients.known(100).into_iter().map(|(key, _)| key.to_string()).collect();
    known.sort();
    known
}

const CLASSES: &str = "
    [limits.client]
    rate = '50k'
    key = 'header:x-api-key'
    [[class]]
    name = 'vip'
    match = { header = { x-api-key = ['one', 'two'] } }
    required = true
    limits = { client = { rate = '400k' }, total = { rate = '600k' } }
    [[class]]
    name = 'range'
    match = { network = '127.0.0.2' }
    limits.client = { rate = '100k' }
";

#[test]
fn addresses_and_keys_get_what_their_classes_have_and_invented_keys_what_others_have() {
    let site = Site::new(CLASSES);
    let began = Instant::now();
    let time = Duration::from_secs(4);
    let read = |from, fields: &str| read_for(site.get(from, fields), time);
    let readers = [
        read([127, 0, 0, 1], "X-Api-Key: one\r\n"),
        read([127, 0, 0, 3], "X-Api-Key: one\r\n"),
        read([127, 0, 0, 2], "x-api-key: two\r\n"),
        read([127, 0, 0, 2], ""),
        read([127, 0, 0, 2], "X-Api-Key: mine\r\n"),
        read([127, 0, 0, 1], "X-Api-Key: invented\r\n"),
        read([127, 0, 0, 1], "X-Api-Key: another\r\n"),
        read([127, 0, 0, 1], "X-Api-Key: one\r\nX-Api-Key: two\r\n"),
    ];
    let came = readers.map(|reader| reader.join().unwrap());
    let lasted = began.elapsed().as_secs_f64();
    let sum = |of: &[usize]| of.iter().map(|at| came[*at]).sum::<u64>() as f64;
    for (what, of, rate) in [
        ("key one, at two addresses", &[0, 1][..], 300 * KIB),
        ("key two", &[2], 300 * KIB),
        ("the range, with and without a key that nobody knows", &[3, 4], 100 * KIB),
        ("those without a class", &[5, 6, 7], 50 * KIB),
    ] {
        // An interval at once, heads, and a share that others left while they began.
        let (came, rate) = (sum(of), rate as f64);
        assert!(came <= rate * (lasted + 0.4) + 2_000.0, "{what}: {came} in {lasted} s");
        assert!(came >= rate * 2.4, "{what}: {came} in {lasted} s");
    }
    let budgets = site.served.handle.budgets();
    assert_eq!(site.class("vip").clients().len(), 2);
    assert_eq!(shown(site.class("range").clients()), ["127.0.0.2"]);
    assert_eq!(shown(budgets.clients()), ["127.0.0.1"], "no node for an invented key");
}

#[test]
fn a_reload_names_classes_and_counts_keys_and_moves_what_is_under_way() {
    let site = Site::new("");
    let keys = site.folder.path().join("keys");
    let write = |text: &str| {
        std::fs::write(&keys, text).unwrap();
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let class = |rate: &str| {
        format!(
            "[[class]]\nname = 'vip'\nmatch = {{ header = {{ x-api-key = {{ file = 'keys' }} }} }}\n\
             limits.client = {{ rate = '{rate}' }}"
        )
    };
    write("one\n");
    assert_eq!(site.reload(&class("100k")), ["class vip added"]);
    let mut under_way = site.get([127, 0, 0, 1], "X-Api-Key: one\r\n");
    under_way.read_exact(&mut [0; 4096]).unwrap();
    let [(_, node)] = &site.class("vip").clients().known(2)[..] else { panic!("one client") };
    write("# new ones\none\ntwo\nthree\n");
    assert_eq!(
        site.reload(&class("200k")),
        ["limit of each client of class vip: 100k → 200k", "keys of class vip: 2 added, 0 removed"]
    );
    assert_eq!(node.budget().rate.unwrap().bytes_per_second(), 200 * KIB, "under way");
    site.get([127, 0, 0, 1], "X-Api-Key: three\r\n").read_exact(&mut [0; 4096]).unwrap();
    until("the new key is one", || site.class("vip").clients().len() == 2);
    // Nothing changes if the file cannot be used.
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = site.served.handle.reload(&config(&site.folder, &class("300k")), &FilterKinds::default());
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("class vip: keys in ") && error.contains("its mode 644 lets everyone"),
        "{error}"
    );
    assert_eq!(node.budget().rate.unwrap().bytes_per_second(), 200 * KIB);
    assert_eq!(site.reload(""), ["class vip removed"]);
    assert_eq!(node.budget().rate.unwrap().bytes_per_second(), 200 * KIB, "it ends as it began");
    under_way.read_exact(&mut [0; 4096]).unwrap();
}

#[test]
fn the_client_of_a_proxy_header_is_the_one_whose_class_counts() {
    let folder = testkit::folder::sparse("large", 1 << 20);
    let text = "listen = { address = '127.0.0.1:0', proxy_protocol = true }
        trusted_proxies = '127.0.0.1'
        [limits.server]
        rate = '1g'
        [[class]]
        name = 'range'
        match = { network = '192.0.2.0/24' }
        [[route]]
        path = '/'
        files = '.'";
    let config = Loader::new().parse(text, "test.toml", folder.path()).unwrap();
    let served = Served::running(Server::from_config(&config, &FilterKinds::default()).unwrap());
    for client in ["192.0.2.7:5", "198.51.100.7:5"] {
        let mut stream = connect(served.addr);
        let [client, server]: [SocketAddr; 2] = [client, "192.0.2.99:80"].map(|addr| addr.parse().unwrap());
        stream.write_all(&header(ProxyVersion::V2, Some(client), Some(server))).unwrap();
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 100_000]).unwrap();
    }
    let budgets = served.handle.budgets();
    assert_eq!(shown(budgets.class("range").unwrap().clients()), ["192.0.2.7"]);
    assert_eq!(shown(budgets.clients()), ["198.51.100.7"]);
}

#[test]
fn a_certificate_is_a_class_over_tls_and_for_raw_tcp_inside_it() {
    let made = Certificates::make();
    made.issue("other", &["other.test"]);
    let folder = testkit::folder::sparse("large", 1 << 20);
    let text = format!(
        "listen = {{ address = '127.0.0.1:0', tls = 'main' }}
        [tls.main]
        cert = {cert:?}
        key = {key:?}
        client_ca = {ca:?}
        [limits.server]
        rate = '1g'
        [[class]]
        name = 'known'
        match = {{ certificate = 'client' }}
        [[class]]
        name = 'near'
        match = {{ network = '127.0.0.0/8' }}
        [[tcp]]
        listen = '127.0.0.1:0'
        tls = 'main'
        file = 'large'
        [[route]]
        path = '/'
        files = '.'",
        cert = made.path("server.pem"),
        key = made.path("server.key"),
        ca = made.path("ca.pem"),
    );
    let config = Loader::new().parse(&text, "test.toml", folder.path()).unwrap();
    let served = Served::running(Server::from_config(&config, &FilterKinds::default()).unwrap());
    let port = served.handle.ports()[0].addr();
    for (certificate, class, key) in
        [("client", "known", "cert-948fe603f61dc036"), ("other", "near", "127.0.0.1")]
    {
        let client = TlsClient::of(&made, V13, Some(certificate));
        let mut stream = client.connect(served.addr, "127.0.0.1").unwrap();
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 100_000]).unwrap();
        client.connect(port, "127.0.0.1").unwrap().read_exact(&mut [0; 100_000]).unwrap();
        let class = served.handle.budgets().class(class).unwrap();
        let known = shown(class.clients());
        assert!(known.len() == 1 && known[0].starts_with(key), "{known:?}");
        let passed = class.clients().parent().passed().bytes;
        assert!(passed >= 200_000, "both are charged to it: {passed}");
    }
    assert!(served.handle.budgets().clients().is_empty());
}

#[test]
fn uploads_of_a_class_have_its_limit() {
    let backend = testkit::backend::Backend::new(|stream, _| {
        let mut sink = vec![0; 65_536];
        while stream.read(&mut sink).unwrap_or(0) > 0 {}
    });
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "listen = '127.0.0.1:0'
        [[class]]
        name = 'slow'
        match = {{ header = {{ x-slow = 'yes' }} }}
        limits.upload.client = {{ rate = '100k' }}
        [[route]]
        path = '/'
        proxy = 'http://{}'",
        backend.addr
    );
    let config = Loader::new().parse(&text, "test.toml", folder.path()).unwrap();
    let served = Served::running(Server::from_config(&config, &FilterKinds::default()).unwrap());
    let mut stream = connect(served.addr);
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: t\r\nX-Slow: yes\r\nContent-Length: 1000000\r\n\r\n")
        .unwrap();
    let began = Instant::now();
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || drop(writer.write_all(&[0; 1_000_000])));
    let uploads = || served.handle.budgets().class("slow").unwrap().uploads().parent().passed().bytes;
    until("some of it was read", || uploads() >= 150_000);
    let most = 100.0 * 1024.0 * (began.elapsed().as_secs_f64() + 0.2);
    assert!(uploads() as f64 <= most, "{} of {most}", uploads());
    assert_eq!(served.handle.budgets().uploads().len(), 0);
    drop(stream.shutdown(std::net::Shutdown::Both));
    writing.join().unwrap();
}

#[test]
fn a_backend_is_not_asked_where_it_could_read_a_path_with_other_limits() {
    let backend = Backend::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let folder = testkit::folder::sparse("large", 1 << 20);
    let text = format!(
        "listen = '127.0.0.1:0'
        [[class]]
        name = 'slow'
        match = {{ path = '/big/*' }}
        limits.client = {{ rate = '100k' }}
        [[route]]
        path = '/'
        proxy = 'http://{}'
        [[route.pace]]
        when = {{ extension = 'iso' }}
        rate = '100k'
        [[route]]
        path = '/files/'
        files = '.'
        [[route.pace]]
        when = {{ extension = 'iso' }}
        rate = '100k'",
        backend.addr
    );
    let config = Loader::new().parse(&text, "test.toml", folder.path()).unwrap();
    let served = Served::running(Server::from_config(&config, &FilterKinds::default()).unwrap());
    for (target, expected) in [
        ("/big/a", 200),
        ("/big/a%2Fb;c", 200),
        ("/x%2Fy", 200),
        ("/a.iso", 200),
        // nginx and most programs decode `%2F`, IIS takes a backslash for a slash, servlet containers drop parameters.
        ("/big%2Fa", 400),
        ("/big%5Ca", 400),
        ("/big;v=1/a", 400),
        ("/x/..;/big/a", 400),
        ("/a.iso;v=1", 400),
        // Files read none of them.
        ("/files/a.iso;v=1", 404),
        ("/files/large;v=1", 404),
        ("/files/large", 200),
    ] {
        let head = format!("HEAD {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        assert_eq!(answer_to(served.send(head), "HEAD").status(), expected, "{target}");
        let status = rt::block_on(async {
            let mut sender = h2::connect(served.addr, h2::WIDE).await;
            let uri = format!("http://t{target}");
            let request = Request::builder().method("HEAD").uri(uri).body(Empty::<Bytes>::new()).unwrap();
            sender.send_request(request).await.unwrap().status().as_u16()
        });
        assert_eq!(status, expected, "{target} over HTTP/2");
    }
}
