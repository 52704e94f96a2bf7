//! A connection to a shared store, made when it is needed.

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures_lite::FutureExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};

use super::source::{At, RedisSource};
use super::stream::Io;
use crate::clock::{Clock, Instant, Sleep};
use crate::named_file;
use crate::rt::{self, Connect};
use crate::sync::Mutex;
use crate::tls::{ClientTls, Stream};

/// Bytes of the longest password.
const MAX_PASSWORD: u64 = 4096;

/// A script of the store: it runs as a whole, or not at all.
pub(crate) struct Script(redis::Script);

impl Script {
    pub(crate) fn new(lua: &str) -> Self {
        Self(redis::Script::new(lua))
    }

    pub(super) async fn invoke(
        &self,
        connection: &mut MultiplexedConnection,
        keys: &[&str],
        args: &[&str],
    ) -> Result<Vec<String>, LinkError> {
        let mut call = self.0.prepare_invoke();
        keys.iter().for_each(|key| _ = call.key(*key));
        args.iter().for_each(|arg| _ = call.arg(*arg));
        call.invoke_async(connection).await.map_err(LinkError::of_store)
    }
}

/// Calls of a shared store. Connects for the first one, and again after one has failed.
pub(crate) struct Link {
    source: RedisSource,
    tls: Option<ClientTls>,
    open: Mutex<Open>,
    /// Which of the sentinels answered last.
    pub(super) sentinel: AtomicUsize,
}

#[derive(Default)]
struct Open {
    connection: Option<MultiplexedConnection>,
    /// Which one that is.
    nth: u64,
}

/// Why a call failed. Whether the script ran is not known, unless the store refused it.
#[derive(Debug)]
pub(crate) struct LinkError {
    text: String,
    is_refusal: bool,
    /// Nobody has logged in.
    pub(super) needs_login: bool,
    /// Another one takes writes now: maybe at the same address.
    is_of_copy: bool,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl LinkError {
    fn of(error: impl fmt::Display) -> Self {
        Self { text: error.to_string(), is_refusal: false, needs_login: false, is_of_copy: false }
    }

    pub(super) fn of_store(error: redis::RedisError) -> Self {
        let is_refusal = matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension);
        let is_of_copy = matches!(error.kind(), redis::ErrorKind::Server(redis::ServerErrorKind::ReadOnly));
        let needs_login = error.code() == Some("NOAUTH");
        Self { text: error.to_string(), is_refusal, needs_login, is_of_copy }
    }

    /// The store answered what it should not.
    pub(crate) fn odd(text: &str) -> Self {
        Self::of(text)
    }

    /// Whether the store said that it did not do what it was asked: it is full, for instance, or another one's copy.
    pub(crate) fn is_refusal(&self) -> bool {
        self.is_refusal
    }
}

impl Link {
    /// A link that is not open yet. Reads the files of the source, and blocks meanwhile.
    ///
    /// # Errors
    /// The password or the authorities cannot be read.
    pub(crate) fn new(source: RedisSource) -> Result<Self, LinkError> {
        if let Some(path) = &source.password_file {
            password(path)?;
        }
        let tls =
            source.at.is_tls().then(|| ClientTls::for_unnamed(source.authorities.as_deref())).transpose();
        let tls = tls.map_err(LinkError::of)?;
        Ok(Self { source, tls, open: Mutex::default(), sentinel: AtomicUsize::new(0) })
    }

    /// The store.
    pub(crate) fn source(&self) -> &RedisSource {
        &self.source
    }

    /// Runs `script`, and returns its flat answer.
    ///
    /// # Errors
    /// The store cannot be reached within `timeout`, or refuses.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[&str],
        timeout: Duration,
    ) -> Result<Vec<String>, LinkError> {
        let end = rt::clock().now() + timeout;
        let (mut connection, nth) = in_time(end, self.connection()).await?;
        let result = in_time(end, script.invoke(&mut connection, keys, args)).await;
        if result.as_ref().is_err_and(|error| !error.is_refusal || error.is_of_copy) {
            let mut open = self.open.lock();
            // Not one that was made since.
            if open.nth == nth {
                open.connection = None;
            }
        }
        result
    }

    /// Has the next call connect anew.
    pub(crate) fn reset(&self) {
        self.open.lock().connection = None;
    }

    /// The connection, and which one it is. Two calls that find none make one each: neither waits for the other.
    pub(super) async fn connection(&self) -> Result<(MultiplexedConnection, u64), LinkError> {
        let opened = {
            let open = self.open.lock();
            open.connection.clone().map(|connection| (connection, open.nth))
        };
        if let Some(opened) = opened {
            return Ok(opened);
        }
        let connection = self.connect().await?;
        let mut open = self.open.lock();
        open.nth += 1;
        open.connection = Some(connection.clone());
        Ok((connection, open.nth))
    }

    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, LinkError> {
        let stream = match &self.source.at {
            At::Unix(path) => Stream::Plain(rt::connect_unix(path).await.map_err(LinkError::of)?),
            At::Tcp { host, port, .. } => self.reach(host, *port).await?,
            At::Sentinels { sentinels, name, .. } => {
                let primary = self.primary(sentinels, name).await?;
                self.reach(&primary.host, primary.port).await?
            }
        };
        begin(stream, &self.login().await?.set_db(self.source.database)).await
    }

    /// Connects by TCP, with TLS if the source says so.
    pub(super) async fn reach(&self, host: &str, port: u16) -> Result<Stream, LinkError> {
        let to = Connect { host: host.to_owned(), port, receive_buffer: None };
        let socket = rt::connect(&to).await.map_err(LinkError::of)?;
        match &self.tls {
            Some(tls) => tls.connect(host, socket).await.map_err(LinkError::of),
            None => Ok(Stream::Plain(socket)),
        }
    }

    /// User and password of the source.
    pub(super) async fn login(&self) -> Result<RedisConnectionInfo, LinkError> {
        let mut login = RedisConnectionInfo::default();
        if let Some(user) = &self.source.user {
            login = login.set_username(user);
        }
        if let Some(path) = self.source.password_file.clone() {
            login = login.set_password(rt::blocking(move || password(&path)).await?);
        }
        Ok(login)
    }
}

/// Logs in.
pub(super) async fn begin(
    stream: Stream,
    login: &RedisConnectionInfo,
) -> Result<MultiplexedConnection, LinkError> {
    // Its own timeouts need a runtime of its choice.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let login = login.clone().set_skip_set_lib_name();
    let opened = MultiplexedConnection::new_with_config(&login, Io(stream), config).await;
    let (connection, driver) = opened.map_err(LinkError::of_store)?;
    rt::spawn(driver);
    Ok(connection)
}

/// What `call` results in, if it does so before `end`.
pub(super) async fn in_time<T>(
    end: Instant,
    call: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    let late = async {
        Sleep::until(rt::clock(), end).await;
        Err(LinkError::of("it does not answer in time"))
    };
    call.or(late).await
}

/// The password in the file at `path`.
fn password(path: &Path) -> Result<String, LinkError> {
    let failed = |why: &dyn fmt::Display| LinkError::of(format!("password file {}: {why}", path.display()));
    let file = named_file::open_secret(path).map_err(|error| failed(&named_file::told(&error)))?;
    let bytes = named_file::read_at_most(file, MAX_PASSWORD).map_err(|error| failed(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8 text"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(failed(&"it is empty")),
        password => Ok(password.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::Listener;

    #[test]
    fn a_call_fails_after_its_own_timeout_also_while_another_one_connects() {
        rt::block_on(async {
            // Accepts, and says nothing.
            let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
            let port = listener.local_addr().unwrap().port();
            let link = Link::new(format!("redis://127.0.0.1:{port}/1").parse().unwrap()).unwrap();
            let script = Script::new("return {}");
            let run = |timeout| link.run(&script, &[], &[], timeout);
            let first = async {
                let _ = run(Duration::from_secs(20)).await;
                None
            };
            let second = async { run(Duration::from_millis(20)).await.err() };
            let error = first.or(second).await.expect("the first one has its time still");
            assert_eq!(error.to_string(), "it does not answer in time");
        });
    }
}
