//! Put a pace on anything that reads or writes.
//!
//! [`Throttle`](crate::throttle::Throttle) wraps a reader or a writer, blocking (`std::io`) or not (`futures-io`, of any reactor). Its limit is a
//! [`Node`](crate::budget::Node): clone it, set it while bytes run, read it.
//!
//! ```
//! use std::io;
//! use std::pin::pin;
//!
//! use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};
//! use sluicegate::{budget::{Each, Node}, limit::{Budget, Rate}, rt, throttle::{Incoming, Throttle}};
//!
//! /// Blocking code: a wait parks the thread.
//! fn copy(from: &str, to: &str) -> io::Result<u64> {
//!     let limit = Node::root("copy", Budget::of(Rate::new(10 << 20)?), rt::clock());
//!     let mut reader = Throttle::new(std::fs::File::open(from)?, &limit);
//!     io::copy(&mut reader, &mut std::fs::File::create(to)?)
//! }
//!
//! /// A server of 10 MiB/s, with 1 MiB/s for each connection and 4 MiB ahead of it.
//! async fn serve(listener: rt::Listener) -> io::Result<()> {
//!     let server = Node::root("server", Budget::of(Rate::new(10 << 20)?), rt::clock());
//!     let each = Each::new("connection", Budget::of(Rate::new(1 << 20)?).with_burst(4 << 20));
//!     let mut incoming = pin!(Incoming::new(listener.incoming(), &server, each.clone()));
//!     while let Some(connection) = incoming.next().await {
//!         rt::spawn(async { drop(echo(connection).await) });
//!         if each.len() > 100 {
//!             each.set(Budget::of(Rate::new(256 << 10)?)); // for all connections, at once
//!         }
//!     }
//!     Ok(())
//! }
//!
//! async fn echo(connection: io::Result<Throttle<rt::Socket>>) -> io::Result<()> {
//!     let (mut connection, mut bytes) = (connection?, vec![0; 8192]);
//!     loop {
//!         let read = connection.read(&mut bytes).await?;
//!         if read == 0 {
//!             return connection.close().await;
//!         }
//!         connection.write_all(&bytes[..read]).await?;
//!         let report = connection.writes().report();
//!         println!("{} bytes, {} in the last second, waited {:?} in all", report.bytes, report.rate, report.waited);
//!     }
//! }
//! ```
//!
//! # What to know
//!
//! - Reading is limited too: what is not read stays in the socket, and TCP holds the sender back. At most 64 KiB are read ahead of the pace.
//! - A reader that has nothing and a writer that would block hold no turn. The end of a stream needs none.
//! - Dropping a wrapper in mid-wait returns what was reserved.
//! - [`Throttle::directional`](crate::throttle::Throttle::directional) has one node for reading and another for writing.
//! - [`Incoming::by_client`](crate::throttle::Incoming::by_client) shares by client address.
//! - Tests use a [`ManualClock`](crate::clock::ManualClock) and need no runtime; see [`throttle`](crate::throttle).
