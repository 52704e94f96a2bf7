//! Clients that connect over TLS, ask once and leave, again and again.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind, Stream};

use super::trusting;
use crate::process::Outcome;

/// At a time, each with tickets of its own.
const CLIENTS: usize = 4;

/// Every client has a ticket by then, and the processor's clock its speed.
const WARM_UP: Duration = Duration::from_millis(200);

/// A server that gives nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prints `begin` after a warm-up, then `end CONNECTIONS SECONDS`.
///
/// # Errors
/// A connection failed, or its handshake was of the other kind. There is no `end` then.
pub fn run(port: u16, path: &str, resumed: bool, window: Duration) -> Outcome<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let (done, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let client = || -> Result<(), String> {
            let mut config = trusting::config().map_err(|error| error.to_string())?;
            config.resumption =
                if resumed { Resumption::in_memory_sessions(4) } else { Resumption::disabled() };
            let config = Arc::new(config);
            let mut is_first = true;
            while !is_over.load(Ordering::Relaxed) {
                let kind = ask(&config, port, request.as_bytes()).map_err(|error| error.to_string())?;
                let is_expected = is_first || (kind == Some(HandshakeKind::Resumed)) == resumed;
                if !is_expected {
                    return Err(format!("a handshake was {kind:?}"));
                }
                is_first = false;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        std::thread::sleep(WARM_UP);
        println!("begin");
        let (before, began) = (done.load(Ordering::Relaxed), Instant::now());
        std::thread::sleep(window);
        let (count, seconds) = (done.load(Ordering::Relaxed) - before, began.elapsed().as_secs_f64());
        // If one has failed, the figure is that of fewer clients.
        if !clients.iter().any(|client| client.is_finished()) {
            println!("end {count} {seconds}");
        }
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        Ok(())
    })
}

/// One connection with one answer. Reads to its end, behind which the tickets have come.
fn ask(config: &Arc<ClientConfig>, port: u16, request: &[u8]) -> Outcome<Option<HandshakeKind>> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let mut session = trusting::handshake(config, &mut socket)?;
    let mut stream = Stream::new(&mut session, &mut socket);
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        return Err("an answer other than 200".into());
    }
    Ok(session.handshake_kind())
}
