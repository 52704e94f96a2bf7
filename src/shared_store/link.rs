//! A connection to a shared store, made when it is needed.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use futures_lite::FutureExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};

use super::source::{At, RedisSource};
use super::stream::Io;
use crate::clock::Sleep;
use crate::named_file;
use crate::rt::{self, Connect};
use crate::tls::{ClientTls, Stream};

/// Bytes of the longest password.
const MAX_PASSWORD: u64 = 4096;

/// A script of the store: it runs as a whole, or not at all.
pub(crate) struct Script(redis::Script);

impl Script {
    pub(crate) fn new(lua: &str) -> Self {
        Self(redis::Script::new(lua))
    }
}

/// Calls of a shared store. Connects for the first one, and again after one has failed.
pub(crate) struct Link {
    source: RedisSource,
    tls: Option<ClientTls>,
    open: tokio::sync::Mutex<Option<MultiplexedConnection>>,
}

/// Why a call failed. Whether the script ran is not known.
#[derive(Debug)]
pub(crate) struct LinkError(String);

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LinkError {
    fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
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
        let is_tls = matches!(source.at, At::Tcp { is_tls: true, .. });
        let tls = is_tls.then(|| ClientTls::for_unnamed(source.authorities.as_deref())).transpose();
        Ok(Self { source, tls: tls.map_err(LinkError::of)?, open: tokio::sync::Mutex::default() })
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
        let running = async {
            let mut connection = self.connection().await?;
            let mut call = script.0.prepare_invoke();
            keys.iter().for_each(|key| _ = call.key(*key));
            args.iter().for_each(|arg| _ = call.arg(*arg));
            call.invoke_async(&mut connection).await.map_err(LinkError::of)
        };
        let late = async {
            Sleep::lasting(rt::clock(), timeout).await;
            Err(LinkError("it does not answer in time".to_owned()))
        };
        let result = running.or(late).await;
        if result.is_err() {
            *self.open.lock().await = None;
        }
        result
    }

    async fn connection(&self) -> Result<MultiplexedConnection, LinkError> {
        let mut open = self.open.lock().await;
        if let Some(connection) = &*open {
            return Ok(connection.clone());
        }
        let connection = self.connect().await?;
        *open = Some(connection.clone());
        Ok(connection)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, LinkError> {
        let stream = match (&self.source.at, &self.tls) {
            (At::Unix(path), _) => Stream::Plain(rt::connect_unix(path).await.map_err(LinkError::of)?),
            (At::Tcp { host, port, .. }, tls) => {
                let to = Connect { host: host.clone(), port: *port, receive_buffer: None };
                let socket = rt::connect(&to).await.map_err(LinkError::of)?;
                match tls {
                    Some(tls) => tls.connect(host, socket).await.map_err(LinkError::of)?,
                    None => Stream::Plain(socket),
                }
            }
        };
        let mut login = RedisConnectionInfo::default().set_db(self.source.database).set_skip_set_lib_name();
        if let Some(user) = &self.source.user {
            login = login.set_username(user);
        }
        if let Some(path) = self.source.password_file.clone() {
            login = login.set_password(rt::blocking(move || password(&path)).await?);
        }
        // Its own timeouts need a runtime of its choice.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let opened = MultiplexedConnection::new_with_config(&login, Io(stream), config).await;
        let (connection, driver) = opened.map_err(LinkError::of)?;
        rt::spawn(driver);
        Ok(connection)
    }
}

/// The password in the file at `path`.
fn password(path: &Path) -> Result<String, LinkError> {
    let failed = |why: &dyn fmt::Display| LinkError(format!("password file {}: {why}", path.display()));
    let file = named_file::open_secret(path).map_err(|error| failed(&error))?;
    let bytes = named_file::read_at_most(file, MAX_PASSWORD).map_err(|error| failed(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8 text"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(failed(&"it is empty")),
        password => Ok(password.to_owned()),
    }
}
