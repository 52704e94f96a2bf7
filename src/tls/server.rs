//! TLS of a server: certificates that can be replaced, and handshakes within bounds.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_rustls::TlsAcceptor;

use super::failure::{Failure, HandshakeCounts};
use super::loaded::{Alpn, Certificate, CertificateInfo, Loaded};
use super::self_signed;
use super::socket::TlsSocket;
use super::stream::Stream;
use super::{Identity, TlsError, TlsSettings};
use crate::clock::{Clock, Sleep};
use crate::rt::{Fresh, Socket, Turns};
use crate::sync::RwLock;

/// Handshakes at a time: each may hold a message of 64 KiB that is not whole, and an answer of a few KiB.
const MAX_HANDSHAKES: usize = 512;

/// How many days before its end a certificate is warned of, and how often.
const ENDS_SOON: i64 = 14;
const WARNED_EACH: Duration = Duration::from_secs(24 * 60 * 60);

/// TLS of listeners. Clones are the same one.
#[derive(Clone)]
pub struct ServerTls {
    shared: Arc<Shared>,
    handshakes: Arc<Turns>,
}

struct Shared {
    /// Its name in metrics and logs.
    name: String,
    source: RwLock<Source>,
    counts: HandshakeCounts,
    /// When its certificates were last looked at for those that end soon, in nanoseconds of the process's clock, plus
    /// one; 0 before.
    warned: AtomicU64,
}

#[derive(Clone)]
struct Source {
    loaded: Arc<Fresh<Loaded>>,
    /// The certificate that was made for this run.
    made: Option<Certificate>,
    asks_clients: bool,
    timeout: Duration,
}

impl Source {
    /// With the certificate `made` before, if `settings` want one that is made.
    fn read(settings: &TlsSettings, made: Option<Certificate>) -> Result<Self, TlsError> {
        let TlsSettings { identities, self_signed, unknown_name, client_ca, handshake_timeout } =
            settings.clone();
        let asks_clients = client_ca.is_some();
        let made = if self_signed { Some(made.map_or_else(self_signed::make, Ok)?) } else { None };
        let loaded = if let Some(made) = made.clone() {
            let paths: Vec<_> = client_ca.iter().cloned().collect();
            let make = move || Loaded::new(vec![made.clone()], client_ca.as_deref(), unknown_name);
            Fresh::new(paths, make)?
        } else {
            let paths: Vec<_> =
                identities.iter().flat_map(Identity::paths).chain(client_ca.clone()).collect();
            Fresh::new(paths, move || Loaded::read(&identities, client_ca.as_deref(), unknown_name))?
        };
        Ok(Self { loaded: Arc::new(loaded), made, asks_clients, timeout: handshake_timeout })
    }
}

impl ServerTls {
    /// Creates TLS with this identity for HTTP/2. With `clients`, a file of certificate authorities, clients must have a
    /// certificate signed by one of them (mutual TLS). Reads files; meant for the start of the program.
    ///
    /// Replaced files are used for new connections within a second; a new certificate once its key is there.
    ///
    /// # Errors
    /// A file cannot be read, or has other content.
    pub fn new(identity: &Identity, clients: Option<&Path>) -> Result<Self, TlsError> {
        Self::from_settings("", &TlsSettings::of(vec![identity.clone()]).client_ca(clients))
    }

    /// Creates the TLS that `settings` describe, under a name for metrics and logs. Reads files; meant for the start of
    /// the program. Replaced files are used for new connections within a second, if they fit together.
    ///
    /// # Errors
    /// A file cannot be read, or has other content; a key is not its certificate's, or everyone can read it.
    pub fn from_settings(name: &str, settings: &TlsSettings) -> Result<Self, TlsError> {
        Ok(Self::of(name, Source::read(settings, None)?))
    }

    /// Creates the TLS that `settings` describe, to be [adopted](Self::adopt) by this one. If both are self-signed it has
    /// this one's certificate: clients have been told of that. Reads files.
    ///
    /// # Errors
    /// As [`from_settings`](Self::from_settings).
    pub fn renewed(&self, settings: &TlsSettings) -> Result<Self, TlsError> {
        Ok(Self::of(self.name(), Source::read(settings, self.source().made)?))
    }

    fn of(name: &str, source: Source) -> Self {
        let shared = Shared {
            name: name.to_owned(),
            source: RwLock::new(source),
            counts: HandshakeCounts::default(),
            warned: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), handshakes: Arc::new(Turns::new(MAX_HANDSHAKES)) }
    }

    /// The same certificates, settings and counts for one more listener. Its handshakes have a bound of their own: a
    /// crowd before one listener does not keep clients of another out.
    #[must_use]
    pub fn for_listener(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), handshakes: Arc::new(Turns::new(MAX_HANDSHAKES)) }
    }

    /// Uses the certificates and settings of `other` for new handshakes. Sessions from before do not resume.
    pub fn adopt(&self, other: &Self) {
        let source = other.source();
        *self.shared.source.write() = source;
        self.shared.warned.store(0, Ordering::Relaxed);
    }

    /// Its name in metrics and logs.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Whether clients must have a certificate.
    pub fn asks_clients(&self) -> bool {
        self.source().asks_clients
    }

    /// Whether clients of `other` see other certificates.
    pub fn differs(&self, other: &Self) -> bool {
        self.certificates() != other.certificates()
    }

    /// Handshakes so far.
    pub fn counts(&self) -> &HandshakeCounts {
        &self.shared.counts
    }

    /// Its certificates, the default first, as the files are by now. Blocks while it looks.
    pub fn renewed_certificates(&self) -> Vec<CertificateInfo> {
        self.source().loaded.get_blocking().certificates().cloned().collect()
    }

    /// Its certificates as they were last used, the default first.
    pub fn certificates(&self) -> Vec<CertificateInfo> {
        self.source().loaded.last().certificates().cloned().collect()
    }

    fn source(&self) -> Source {
        self.shared.source.read().clone()
    }

    /// Does the handshake with a client over hyper's traits. Has no timeout of its own; dropping the future closes the
    /// socket.
    ///
    /// # Errors
    /// The client closed the connection, does not speak TLS, or has no valid certificate.
    pub async fn accept(&self, socket: Socket) -> io::Result<Stream> {
        let loaded = self.source().loaded.get().await;
        let acceptor = TlsAcceptor::from(Arc::clone(loaded.config(Alpn::Http2)));
        acceptor.accept(socket).await.map(|tls| Stream::tls(tls.into()))
    }

    /// Does the handshake with a client that takes part in the protocols of `alpn`, within the time and the number of
    /// handshakes that there may be. Turns are shared fairly among clients: `client` is the address, or the network, that
    /// counts as one; `None` is all clients of Unix sockets.
    ///
    /// *Cancel safety*: none; drop the socket.
    ///
    /// # Errors
    /// It failed, was too slow, or others had its turn. It is counted.
    pub async fn handshake(
        &self,
        socket: &mut TlsSocket,
        alpn: Alpn,
        client: Option<IpAddr>,
        clock: &Arc<dyn Clock>,
    ) -> Result<(), Failure> {
        let source = self.source();
        self.warn_of_ends(clock);
        let shaking = async {
            let config = Arc::clone(source.loaded.get().await.config(alpn));
            socket.handshake(config).await
        };
        let run = self.handshakes.run(client, clock, source.timeout, shaking);
        let done = run.await.unwrap_or_else(|lost| Err(lost.into()));
        self.shared.counts.note(done.as_ref().err().map(|failure| failure.reason));
        done
    }

    /// Warns of certificates that have ended or end within 14 days, at most once a day.
    pub fn warn_of_ends(&self, clock: &Arc<dyn Clock>) {
        let (now, warned) = (clock.now().as_nanos(), self.shared.warned.load(Ordering::Relaxed));
        let is_due = warned == 0 || now.saturating_sub(warned - 1) >= WARNED_EACH.as_nanos() as u64;
        let next = now.saturating_add(1);
        let won = || self.shared.warned.compare_exchange(warned, next, Ordering::Relaxed, Ordering::Relaxed);
        if is_due && won().is_ok() {
            self.warn_at(clock.calendar());
        }
    }

    /// Looks each day whether files were replaced and certificates end soon, though no client comes. Never ends.
    pub async fn watch(&self, clock: &Arc<dyn Clock>) {
        loop {
            self.source().loaded.get().await;
            self.warn_of_ends(clock);
            Sleep::lasting(Arc::clone(clock), WARNED_EACH).await;
        }
    }

    fn warn_at(&self, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        for CertificateInfo { source, ends, .. } in self.certificates() {
            let tls = self.name();
            match days_left(ends.saturating_sub(now)) {
                Some(0) => {
                    log::warn!(tls, file = source.as_str(); "certificate has ended: clients refuse it")
                }
                Some(days) => {
                    log::warn!(tls, file = source.as_str(), days; "certificate ends within 14 days");
                }
                None => {}
            }
        }
    }

    #[cfg(test)]
    pub(super) fn run_on(&self, clock: Arc<dyn Clock>) {
        self.source().loaded.run_on(clock);
    }
}

/// The days, begun ones included, that a certificate with `seconds` left has; 0 if it has ended. `None` if that is not
/// soon.
fn days_left(seconds: i64) -> Option<i64> {
    const DAY: i64 = 24 * 60 * 60;
    (seconds <= ENDS_SOON * DAY).then(|| (seconds.max(0) + DAY - 1) / DAY)
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::rt::{self, Connect, Listener};
    use crate::tls::ClientTls;
    use rcgen::{CertificateParams, KeyPair};
    use std::os::unix::fs::PermissionsExt;

    /// A certificate for this address that is its own authority, and its key.
    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    /// Writes a file that only its owner can read.
    fn write_private(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn a_certificate_ends_soon_for_14_days_to_the_second() {
        let day = 86_400;
        for (seconds, expected) in [
            (i64::MIN, Some(0)),
            (0, Some(0)),
            (1, Some(1)),
            (day, Some(1)),
            (day + 1, Some(2)),
            (14 * day, Some(14)),
            (14 * day + 1, None),
            (i64::MAX, None),
        ] {
            assert_eq!(days_left(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn a_certificate_is_warned_of_once_a_day_from_14_days_before_its_end() {
        const DAY: u64 = 24 * 60 * 60;
        testkit::recorder::begin(log::LevelFilter::Warn);
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key] = ["server.pem", "server.key"].map(|name| folder.path().join(name));
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        // The manual clock begins with 1970.
        params.not_before = rcgen::date_time_ymd(1970, 1, 1);
        params.not_after = rcgen::date_time_ymd(1970, 2, 1);
        write_private(&certificate, &params.self_signed(&pair).unwrap().pem());
        write_private(&key, &pair.serialize_pem());
        let identity = Identity { certificate: certificate.clone(), key };
        let warned = |server: &ServerTls, at: u64| {
            let clock = ManualClock::new();
            clock.advance(Duration::from_secs(at));
            server.warn_of_ends(&(Arc::new(clock) as _));
            let records = testkit::recorder::taken();
            for record in &records {
                assert_eq!(record.field("file"), certificate.to_str().unwrap());
            }
            let days = |record: testkit::recorder::Record| record.fields.get("days").cloned();
            records.into_iter().map(|record| (record.text.clone(), days(record))).collect::<Vec<_>>()
        };
        let soon = |days: &str| [("certificate ends within 14 days".to_owned(), Some(days.to_owned()))];
        let fresh = || ServerTls::new(&identity, None).unwrap();
        let end = 31 * DAY;
        assert_eq!(warned(&fresh(), end - 14 * DAY - 1), []);
        assert_eq!(warned(&fresh(), end - 14 * DAY), soon("14"));
        let server = fresh();
        assert_eq!(warned(&server, end - 14 * DAY + 60 * 60), soon("14"));
        assert_eq!(warned(&server, end - 13 * DAY + 60 * 60 - 1), []);
        assert_eq!(warned(&server, end - 13 * DAY + 60 * 60), soon("13"));
        server.adopt(&fresh());
        assert_eq!(warned(&server, end - 1), soon("1"));
        let ended = [("certificate has ended: clients refuse it".to_owned(), None)];
        assert_eq!(warned(&server, end + DAY), ended);
    }

    #[test]
    fn a_certificate_that_is_replaced_with_its_key_needs_no_restart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| write_private(&at(name), text);
        let [(first, first_key), (second, second_key)] = [made(), made()];
        write("server.pem", &first);
        write("server.key", &first_key);
        write("first.pem", &first);
        write("second.pem", &second);
        write("believed.pem", &first);
        let identity = Identity { certificate: at("server.pem"), key: at("server.key") };
        let server = ServerTls::new(&identity, None).unwrap();
        let [first, second, renewed] =
            ["first.pem", "second.pem", "believed.pem"].map(|name| ClientTls::new(&at(name), None).unwrap());
        let clock = Arc::new(ManualClock::new());
        server.run_on(Arc::clone(&clock) as _);
        renewed.0.run_on(Arc::clone(&clock) as _);

        let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let to = Connect {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
            receive_buffer: None,
        };
        let shakes = |client: &ClientTls| {
            rt::block_on(async {
                let socket = rt::connect(&to).await.unwrap();
                let accepted = listener.accept().await.unwrap();
                let accepting = server.accept(accepted);
                futures_lite::future::zip(client.connect("127.0.0.1", socket), accepting).await.0.is_ok()
            })
        };
        let all = || [shakes(&first), shakes(&second), shakes(&renewed)];
        assert_eq!(all(), [true, false, true]);
        // The new certificate's key is not there yet.
        write("server.pem", &std::fs::read_to_string(at("second.pem")).unwrap());
        clock.advance(Duration::from_secs(1));
        assert_eq!(all(), [true, false, true]);
        write("server.key", &second_key);
        clock.advance(Duration::from_secs(1));
        assert_eq!(all(), [false, true, false]);
        write("believed.pem", &std::fs::read_to_string(at("second.pem")).unwrap());
        clock.advance(Duration::from_secs(1));
        assert_eq!(all(), [false, true, true]);
        // And on a day without clients.
        let (before, dyn_clock) = (server.certificates(), Arc::clone(&clock) as Arc<dyn Clock>);
        let mut watching = Box::pin(server.watch(&dyn_clock));
        let mut look = || rt::block_on(futures_lite::future::poll_once(&mut watching));
        assert!(look().is_none());
        write("server.key", &first_key);
        write("server.pem", &std::fs::read_to_string(at("first.pem")).unwrap());
        clock.advance(WARNED_EACH);
        testkit::wait::until("it is read", || look().is_none() && server.certificates() != before);
    }
}
