//! Calls the API of a running server, and explains failures.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::{FutureExt, future};
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body::Body;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sluicegate::address::{HostPort, ListenAddr};
use sluicegate::clock::{Clock, Sleep};
use sluicegate::rt::{self, Connect};
use sluicegate::tls::{ClientTls, Stream};

use super::{CliError, token};

/// The default of `--admin`.
const DEFAULT: &str = "127.0.0.1:9180";

const PATIENCE: Duration = Duration::from_secs(10);

/// The code of the problem with which a server answers from which a new program takes over.
const TAKING_OVER: &str = "taking_over";

/// Between two requests to such a server.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Largest response, in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// Where the listener is.
enum To {
    Plain(ListenAddr),
    Secured(HostPort, ClientTls),
}

/// What is wrong with an address of no listener, as it was typed.
fn no_address(typed: &str) -> String {
    format!(
        "{typed:?} is not the address of an admin listener: write an IP address and a port ({DEFAULT}, [::1]:9180), \
         unix:PATH, or with TLS https://HOST:PORT"
    )
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(addr) => addr.fmt(f),
            Self::Secured(to, _) => write!(f, "https://{to}"),
        }
    }
}

pub(super) struct AdminClient {
    to: To,
    /// The value of `Authorization`.
    token: Option<HeaderValue>,
}

impl AdminClient {
    /// Creates a client of the listener at `admin`, with the token in a file, which trusts the authorities in the file
    /// `tls_ca` or those of the machine.
    pub(super) fn new(
        admin: Option<&str>,
        token_file: Option<&str>,
        tls_ca: Option<&str>,
    ) -> Result<Self, CliError> {
        let typed = admin.unwrap_or(DEFAULT);
        let token = token(token_file)?.map(|token| token.authorization());
        if let Some(secured) = typed.strip_prefix("https://") {
            let to = secured.trim_end_matches('/').parse::<HostPort>();
            let to = to.map_err(|error| CliError::flag("--admin", error))?;
            let tls = ClientTls::for_http1(tls_ca.map(Path::new));
            let tls = tls.map_err(CliError::failed)?;
            return Ok(Self { to: To::Secured(to, tls), token });
        }
        if tls_ca.is_some() {
            let text = "--tls-ca: it is for TLS; write --admin https://HOST:PORT, or leave it out";
            return Err(CliError::Usage(text.to_owned()));
        }
        let plain = typed.strip_prefix("http://").unwrap_or(typed).trim_end_matches('/');
        let plain = if typed.starts_with("unix:") { typed } else { plain };
        let addr = plain.parse::<ListenAddr>().map_err(|_| CliError::flag("--admin", no_address(typed)))?;
        Ok(Self { to: To::Plain(addr), token })
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.read(&self.ask(Method::GET, path, None)?)
    }

    /// Patches the resource at `path`, and returns its new state.
    pub(super) fn patch<T: DeserializeOwned>(&self, path: &str, change: &Value) -> Result<T, CliError> {
        self.read(&self.ask(Method::PATCH, path, Some(change))?)
    }

    /// Deletes the resource at `path`, and returns what the response says.
    pub(super) fn take_back<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.read(&self.ask(Method::DELETE, path, None)?)
    }

    pub(super) fn delete(&self, path: &str) -> Result<(), CliError> {
        self.ask(Method::DELETE, path, None).map(drop)
    }

    /// The body of the page at `path`.
    ///
    /// # Errors
    /// There is no answer, or another than 200: then the error says what its body says.
    pub(super) fn page(&self, path: &str) -> Result<String, CliError> {
        let (status, body) = self.asked(Method::GET, path, None)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        if status == StatusCode::OK { Ok(body) } else { Err(self.failed(body.trim_end())) }
    }

    fn read<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, CliError> {
        serde_json::from_slice(answer).map_err(|error| {
            self.failed(&format!(
                "the response is not from this program's admin API ({error}); check the address"
            ))
        })
    }

    fn failed(&self, why: &str) -> CliError {
        CliError::Failed(format!("the admin listener at {}: {why}", self.to))
    }

    fn asked(
        &self,
        method: Method,
        path: &str,
        content: Option<&Value>,
    ) -> Result<(StatusCode, Vec<u8>), CliError> {
        let late = async {
            let clock: Arc<dyn Clock> = rt::clock();
            Sleep::lasting(clock, PATIENCE).await;
            Err(self.failed(&format!("no response within {} s", PATIENCE.as_secs())))
        };
        let asking = async {
            if let Some(answer) = self.exchange(method.clone(), path, content).await? {
                return Ok(answer);
            }
            // A program that ends closes connections. To ask twice does what asking once does (RFC 9110 section 9.2.2; a PATCH here
            // sets values), and another may listen now.
            Sleep::lasting(rt::clock() as Arc<dyn Clock>, AGAIN_AFTER).await;
            let answer = self.exchange(method, path, content).await?;
            answer.ok_or_else(|| self.failed("the connection ended without a response"))
        };
        rt::block_on(asking.or(late))
    }

    fn ask(&self, method: Method, path: &str, content: Option<&Value>) -> Result<Vec<u8>, CliError> {
        let began = rt::clock().now();
        let (status, problem) = loop {
            let (status, answer) = self.asked(method.clone(), path, content)?;
            if status.is_success() {
                return Ok(answer);
            }
            // An error without a problem is not from this API.
            let problem: Option<Value> = serde_json::from_slice(&answer).ok();
            // The new program answers in a moment, on a new connection.
            let is_passing = problem.as_ref().is_some_and(|problem| problem["code"] == TAKING_OVER);
            if !is_passing || rt::clock().now() - began > PATIENCE {
                break (status, problem);
            }
            rt::block_on(Sleep::lasting(rt::clock() as Arc<dyn Clock>, AGAIN_AFTER));
        };
        Err(self.refusal(status, problem.as_ref()))
    }

    /// What an answer says that is no success.
    fn refusal(&self, status: StatusCode, problem: Option<&Value>) -> CliError {
        let detail = problem.and_then(|problem| problem.get("detail")?.as_str());
        match (status, detail) {
            (StatusCode::UNAUTHORIZED, _) if self.token.is_none() => {
                self.failed("it requires a token: give --token-file FILE")
            }
            (StatusCode::UNAUTHORIZED, _) => self.failed("it refuses the token in --token-file"),
            (_, Some(detail)) => CliError::Failed(detail.to_owned()),
            (_, None) => self.failed(&format!("the response {status} is not from this program's admin API")),
        }
    }

    /// The listener, as it was typed.
    pub(super) fn place(&self) -> String {
        self.to.to_string()
    }

    /// Follows the stream of events at `path`, after the event with the id `last`: passes what comes to `take`. Returns why
    /// that ended; a stream that is silent for twice `silence` has.
    pub(super) async fn follow(
        &self,
        path: &str,
        last: Option<&str>,
        silence: Duration,
        mut take: impl FnMut(&[u8]) -> Result<(), CliError>,
    ) -> CliError {
        let mut problem = Vec::new();
        let heard = AtomicBool::new(true);
        let came = self.pieces((Method::GET, path, last), None, |status, piece| {
            heard.store(true, Ordering::Relaxed);
            match status {
                StatusCode::OK => return take(&piece),
                _ if problem.len() < MAX_ANSWER => problem.extend_from_slice(&piece),
                _ => return Err(self.failed("it answers without end")),
            }
            Ok(())
        });
        let silent = async {
            while heard.swap(false, Ordering::Relaxed) {
                let clock: Arc<dyn Clock> = rt::clock();
                Sleep::lasting(clock, silence).await;
            }
            Err(self.failed("it is silent"))
        };
        match came.or(silent).await {
            Ok(Some(StatusCode::OK) | None) => self.failed("the stream ended"),
            Ok(Some(status)) => self.refusal(status, serde_json::from_slice(&problem).ok().as_ref()),
            Err(error) => error,
        }
    }

    /// Asks once; `None` if the connection ended before a response began.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        content: Option<&Value>,
    ) -> Result<Option<(StatusCode, Vec<u8>)>, CliError> {
        let mut answer = Vec::new();
        let status = self.pieces((method, path, None), content, |_, piece| {
            answer.extend_from_slice(&piece);
            if answer.len() > MAX_ANSWER { Err(self.failed("it answers without end")) } else { Ok(()) }
        });
        let status = status.await?;
        Ok(status.map(|status| (status, answer)))
    }

    /// Sends a request, with an event to go on after, and passes each piece of the answer to `take`, with the answer's status.
    /// Returns that; `None` if the connection ended before a response began.
    async fn pieces(
        &self,
        (method, path, last): (Method, &str, Option<&str>),
        content: Option<&Value>,
        mut take: impl FnMut(StatusCode, Bytes) -> Result<(), CliError>,
    ) -> Result<Option<StatusCode>, CliError> {
        let socket = self.connect().await.map_err(|error| {
            self.failed(&format!(
                "{error}; start the server with --admin ADDR (`admin` in its file), and name that address here with --admin"
            ))
        })?;
        let mut request = Request::builder().method(method).uri(path);
        request = match &self.to {
            To::Plain(ListenAddr::Tcp(addr)) => request.header(HOST, addr.to_string()),
            To::Plain(ListenAddr::Unix { .. }) => request.header(HOST, "localhost"),
            To::Secured(to, _) => request.header(HOST, to.to_string()),
        };
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        if content.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let content = content.map_or_else(String::new, Value::to_string);
        let odd = |error: http::Error| CliError::Usage(format!("cannot request {path:?}: {error}"));
        let request = request.body(content).map_err(odd)?;

        let broke_off = |error: hyper::Error| self.failed(&format!("the response ended early: {error}"));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(socket).await.map_err(broke_off)?;
        // Drives the connection while the response is awaited.
        let driving = async {
            let _ = connection.await;
            future::pending().await
        };
        let asking = async {
            let (head, mut body) = match sender.send_request(request).await {
                Ok(response) => response.into_parts(),
                Err(error) if error.is_parse() => return Err(broke_off(error)),
                Err(_) => return Ok(None),
            };
            while let Some(frame) = future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                let piece = frame.map_err(broke_off)?.into_data().unwrap_or_else(|_| Bytes::new());
                take(head.status, piece)?;
            }
            Ok(Some(head.status))
        };
        asking.or(driving).await
    }

    async fn connect(&self) -> std::io::Result<Stream> {
        let connected = |host: &str, port| {
            let to = Connect { host: host.to_owned(), port, receive_buffer: None };
            async move { rt::connect(&to).await }
        };
        match &self.to {
            To::Plain(ListenAddr::Tcp(addr)) => {
                connected(&addr.ip().to_string(), addr.port()).await.map(Stream::Plain)
            }
            To::Plain(ListenAddr::Unix { path, .. }) => rt::connect_unix(path).await.map(Stream::Plain),
            To::Secured(to, tls) => {
                let host = to.host.as_str();
                tls.connect(host, connected(host, to.port).await?).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_the_server_prints_it() {
        for (typed, expected) in [
            (None, "127.0.0.1:9180"),
            (Some("127.0.0.1:1"), "127.0.0.1:1"),
            (Some("http://[::1]:9180/"), "[::1]:9180"),
            (Some("unix:/run/admin/"), "unix:/run/admin/"),
        ] {
            assert_eq!(AdminClient::new(typed, None, None).ok().unwrap().to.to_string(), expected);
        }
        let Err(CliError::Usage(text)) = AdminClient::new(Some("here"), None, None) else {
            panic!("it is an address")
        };
        assert!(text.starts_with("--admin: "), "{text}");
    }
}
