//! Run the server inside a program: files, and content of your own.
//!
//! ```toml
//! sluicegate = { version = "0.1", default-features = false } # without the program's own commands
//! ```
//!
//! A server has listeners and routes. A [`Route`](crate::http::route::Route) has a source (a folder, a backend, a
//! [`Handler`](crate::http::route::Handler)) and a pace; the route with the longest path that fits answers.
//!
//! ```no_run
//! use http::{Request, Response}; // the crate `http`, or `sluicegate::foreign::http`
//! use sluicegate::http::body::RequestBody;
//! use sluicegate::http::content::Content;
//! use sluicegate::http::route::{Answer, Client, Handler, Route};
//! use sluicegate::http::server::{Server, Settings};
//! use sluicegate::limit::Rate;
//! use sluicegate::rt::{self, Listener};
//!
//! struct Hello {
//!     name: String,
//! }
//!
//! impl Handler for Hello {
//!     fn respond<'a>(&'a self, request: Request<RequestBody>, client: &'a Client) -> Answer<'a> {
//!         Box::pin(async move {
//!             let text = format!("{} greets {} at {}\n", self.name, client.peer, request.uri().path());
//!             let response = Response::builder().header("content-type", "text/plain; charset=utf-8");
//!             response.body(Content::text(text)).expect("a valid field")
//!         })
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut settings = Settings::default();
//!     settings.limits.server = Rate::mib_per_second(10).into(); // all responses together
//!     let files = Route::files("/", "site")?.rate(Rate::kib_per_second(256)); // each response
//!     let pace = files.limit().clone();
//!     let hello = Route::handler("/hello", Hello { name: "a program".to_owned() });
//!
//!     let listener = Listener::bind_tcp("127.0.0.1:8080".parse()?)?;
//!     let server = Server::new(settings, vec![listener], vec![files, hello]);
//!     let handle = server.handle();
//!     let running = std::thread::spawn(move || rt::block_on(server.run()));
//!
//!     // Any thread, any runtime: limits change under the transfers that run.
//!     pace.set(Rate::mib_per_second(1));
//!     handle.budgets().server().set(Rate::mib_per_second(5));
//!     handle.drain(); // no new connections; those there are have `Settings::drain`, 30 s
//!     running.join().map_err(|_| "the server panicked")?;
//!     Ok(())
//! }
//! ```
//!
//! [`Server::run`](crate::http::server::Server::run) is a future for this crate's runtime, [`rt::block_on`](crate::rt::block_on): in a program on
//! tokio give it a thread, as here. Paces of the tower services of such a program need no server: see [`tokio`](super::tokio).
//!
//! # Content
//!
//! [`Content`](crate::http::content::Content) is text or bytes at hand, a stream that any asynchronous reader
//! ([`ReadGenerator`](crate::generator::ReadGenerator)) or body ([`BodyGenerator`](crate::generator::BodyGenerator)) makes, or nothing. What is at hand gets a
//! `Content-Length`. A stream is asked for as much as the pace lets out, so it may be endless. A handler must not block: pass what
//! does to [`rt::blocking`](crate::rt::blocking).
//!
//! The request's body is a [`http_body::Body`], paced by [`Route::upload`](crate::http::route::Route::upload); `http_body_util::BodyExt::collect` reads it
//! whole, within [`max_body`](crate::http::route::Route::max_body).
//!
//! # From a configuration
//!
//! The same server from a file, with all that the program can do (TLS, classes, backends, reload):
//!
//! ```no_run
//! use sluicegate::config::FilterKinds;
//! use sluicegate::http::server::Server;
//!
//! let kinds = FilterKinds::default();
//! let config = kinds.loader().load("sluicegate.toml")?;
//! sluicegate::rt::block_on(Server::from_config(&config, &kinds)?.run());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Logs
//!
//! It logs through the crate `log`, so that any logger shows it; without one it is silent.
