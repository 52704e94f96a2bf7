//! Put a pace on anything that reads or writes.
//!
//! One line is one limit, on the process's own clock. Nothing is to be started, and blocking code gets no runtime's threads:
//!
//! ```
//! use std::{fs::File, io};
//! use sluicegate::{limit::{Budget, Rate}, throttle::pace};
//!
//! fn copy(from: &str, to: &str) -> io::Result<u64> {
//!     io::copy(&mut pace(File::open(from)?, Rate::mib_per_second(10)), &mut File::create(to)?)
//! }
//!
//! /// 4 MiB at once, the rest at 1 MiB/s.
//! fn with_a_burst(file: File) -> impl io::Read + io::Seek {
//!     pace(file, Budget::of(Rate::mib_per_second(1)).with_burst(4 << 20))
//! }
//!
//! fn from_a_setting(file: File, rate: &str) -> Result<impl io::Read, Box<dyn std::error::Error>> {
//!     Ok(pace(file, rate.parse::<Rate>()?)) // "500k", "8mbit", "1m"
//! }
//! ```
//!
//! [`pace`](crate::throttle::pace) takes readers, writers and seekers of `std::io`, of `futures-io` and, with the feature `tokio`, of tokio;
//! [`pace_stream`](crate::throttle::pace_stream) a `Stream` or `Sink` of `Bytes`; [`pace_body`](crate::throttle::pace_body) an HTTP body in either direction.
//!
//! # One limit for several streams
//!
//! A limit that is shared, set while bytes run, or below another is a [`Node`](crate::budget::Node), and the wrapper is [`Throttle`](crate::throttle::Throttle).
//!
//! ```
//! use std::io;
//! use std::pin::pin;
//!
//! use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};
//! use sluicegate::{budget::{Each, Node}, limit::{Budget, Rate}, rt, throttle::{Incoming, Throttle}};
//!
//! /// A server of 10 MiB/s, with 1 MiB/s for each connection and 4 MiB ahead of it.
//! async fn serve(listener: rt::Listener) -> io::Result<()> {
//!     let server = Node::at(Rate::mib_per_second(10));
//!     let each = Each::new("connection", Budget::of(Rate::mib_per_second(1)).with_burst(4 << 20));
//!     let mut incoming = pin!(Incoming::new(listener.incoming(), &server, each.clone()));
//!     while let Some(connection) = incoming.next().await {
//!         rt::spawn(async { drop(echo(connection).await) });
//!         if each.len() > 100 {
//!             each.set(Rate::kib_per_second(256)); // for all connections, at once
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
//! - What 200 ms of the rate give passes at once, then bytes leave as they become due: 1.5 MB at 300 kB/s take 4.8 s. A burst takes the
//!   place of these 200 ms if it is more.
//! - Reading is limited too: what is not read stays in the socket, and TCP holds the sender back. At most 64 KiB are read ahead of the pace.
//! - A reader that has nothing and a writer that would block hold no turn. The end of a stream needs none.
//! - [`BufRead`](std::io::BufRead) shows as much of the inner buffer as may pass; a seek forgets what was read ahead.
//! - Where `&IO` reads or writes, so does `&Throttle<IO>`: in an `Arc`, one thread or task reads while another writes.
//! - Dropping a wrapper in mid-wait returns what was reserved.
//! - [`Throttle::directional`](crate::throttle::Throttle::directional) has one node for reading and another for writing.
//! - [`Incoming::by_client`](crate::throttle::Incoming::by_client) shares by client address.
//! - Tests use a [`ManualClock`](crate::clock::ManualClock) and need no runtime; see [`throttle`](crate::throttle).
