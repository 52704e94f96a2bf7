//! A server on smol whose connections share a limit that is changed while they run.
//!
//! ```text
//! cargo run --example smol_server
//! ```
//!
//! It asks itself for some downloads over real sockets, says what they took, and ends. The tasks and sockets are smol's; the
//! library adds its clock's thread.

use std::error::Error;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use futures_lite::{AsyncWriteExt, StreamExt};
use sluicegate::budget::{Each, Node};
use sluicegate::limit::{Budget, Rate};
use sluicegate::throttle::{Incoming, Throttle};
use smol::net::TcpListener;

/// What each connection gets.
const FILE: usize = 200 * 1024;

async fn serve(listener: TcpListener, server: Node, each: Each) {
    let mut incoming = Box::pin(Incoming::new(listener.incoming(), &server, each));
    while let Some(Ok(connection)) = incoming.next().await {
        smol::spawn(send(connection)).detach();
    }
}

async fn send(mut connection: Throttle<smol::net::TcpStream>) {
    // A client that went away is no matter.
    if connection.write_all(&[b'x'; FILE]).await.is_ok() {
        let _ = connection.close().await;
    }
}

/// Downloads in threads, all at once; returns the longest time.
fn downloads(from: SocketAddr, count: usize) -> std::thread::JoinHandle<std::io::Result<Duration>> {
    std::thread::spawn(move || {
        let begin = Instant::now();
        let streams = (0..count).map(|_| TcpStream::connect(from)).collect::<Result<Vec<_>, _>>()?;
        for mut stream in streams {
            // Rather an error than for ever, should nobody be woken.
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            let mut content = Vec::new();
            stream.read_to_end(&mut content)?;
            assert_eq!(content.len(), FILE);
        }
        Ok(begin.elapsed())
    })
}

/// Waits for a thread without blocking smol's.
async fn joined(thread: std::thread::JoinHandle<std::io::Result<Duration>>) -> std::io::Result<Duration> {
    smol::unblock(|| thread.join().expect("no panic")).await
}

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(async {
        // 400 KiB/s for all, 200 KiB/s for each connection, and 100 KiB ahead of it.
        let server = Node::at(Rate::kib_per_second(400));
        let each = Each::new("connection", Budget::of(Rate::kib_per_second(200)).with_burst(100 << 10));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        smol::spawn(serve(listener, server.clone(), each.clone())).detach();

        // No wake-up is ever early, so the least times are sure.
        let alone = joined(downloads(address, 1)).await?;
        println!("one download of 200 KiB: {alone:.2?}");
        assert!(
            alone >= Duration::from_millis(250),
            "80 KiB at once, the rest at 400 KiB/s at most: {alone:?}"
        );
        let four = joined(downloads(address, 4)).await?;
        println!("four at once: {four:.2?}");
        assert!(four >= Duration::from_millis(1_800), "800 KiB, 80 of them at once: {four:?}");

        // 1 KiB/s, and no limit as soon as a download waits.
        server.set(Rate::kib_per_second(1));
        let (waits, waiting) = (server.passed().waits, downloads(address, 1));
        while server.passed().waits == waits {
            smol::future::yield_now().await;
        }
        server.set(Budget::default());
        each.set(Budget::default());
        let freed = joined(waiting).await?;
        println!("one that would have taken three minutes, set free: {freed:.2?}");
        assert!(freed < Duration::from_secs(60), "{freed:?}");
        assert_eq!(server.passed().bytes, 6 * FILE as u64);

        if cfg!(target_os = "linux") {
            for task in std::fs::read_dir("/proc/self/task")? {
                let name = std::fs::read_to_string(task?.path().join("comm"))?;
                assert!(!name.starts_with("async-std"), "a thread of another runtime: {name}");
            }
        }
        Ok(())
    })
}
