//! A client of the fleet quota on tokio: its tasks and sockets are tokio's, and the library starts no executor.
//!
//! ```text
//! cargo run --manifest-path examples/tokio/Cargo.toml --bin quota_client [URL]
//! ```
//!
//! URL is that of a quota server, such as `sluicegate quota serve --limit api=100/s --learning 0s` prints. Without one the program
//! runs one in a process of its own.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sluicegate::quota::client::{
    Connecting, Io, QuotaClient, QuotaClientSettings, ResourceUse, Runtime, ShareState, Task,
};
use sluicegate::quota::server::{QuotaServer, QuotaServerSettings};
use sluicegate::rt::{self, Listener};

/// All that a client needs of tokio.
#[derive(Debug)]
struct Tokio;

impl Runtime for Tokio {
    fn spawn(&self, task: Task) {
        tokio::spawn(task);
    }

    fn connect(&self, host: String, port: u16) -> Connecting {
        Box::pin(async move { Ok(Io::tokio(tokio::net::TcpStream::connect((host, port)).await?)) })
    }
}

/// A server that gives out 100 requests a second; it says where on its standard output.
fn serve() -> Result<(), Box<dyn Error>> {
    let mut settings =
        QuotaServerSettings { limits: vec!["api=100/s".parse()?], ..QuotaServerSettings::default() };
    settings.book.learning = Duration::ZERO;
    let server = QuotaServer::new(settings, vec![Listener::bind_tcp(([127, 0, 0, 1], 0).into())?])?;
    println!("http://{}", server.local_addrs()[0]);
    rt::block_on(server.run());
    Ok(())
}

/// A process that is killed when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts this program as a server; returns where it listens.
fn start_server() -> Result<(Killed, String), Box<dyn Error>> {
    let mut program = Command::new(std::env::current_exe()?);
    let mut server = Killed(program.arg("serve").stdout(Stdio::piped()).spawn()?);
    let mut url = String::new();
    BufReader::new(server.0.stdout.take().ok_or("no output")?).read_line(&mut url)?;
    Ok((server, url.trim().to_owned()))
}

#[tokio::main]
async fn spend(url: &str) -> Result<(), Box<dyn Error>> {
    let settings = QuotaClientSettings::new(url.parse()?, "web-1".parse()?)
        .using(ResourceUse::new("api".parse()?))
        .run_in(Tokio);
    let client = QuotaClient::start(settings)?;
    let api = client.allocation("api").ok_or("it was asked for")?;
    // A token comes with the share, and with it a second's worth.
    tokio::time::timeout(Duration::from_secs(60), api.acquire(1)).await??;
    let share = api.share();
    println!("{} requests a second, {:?}", share.per_second(), share.state);
    assert_eq!((share.per_second(), share.state), (100, ShareState::Leased));

    let begin = Instant::now();
    for _ in 0..150 {
        api.acquire(1).await?;
    }
    println!("150 requests: {:.2?}", begin.elapsed());
    // 99 of them and those of the time since were there.
    assert!(begin.elapsed() > Duration::from_millis(250), "{:?}", begin.elapsed());
    client.close().await;
    assert_eq!(
        api.acquire(1).await.map_err(|closed| closed.to_string()),
        Err("the quota client was closed".into())
    );
    paced_tokio::assert_no_other_runtime()
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve(),
        Some(url) => spend(url),
        None => {
            let (_server, url) = start_server()?;
            spend(&url)
        }
    }
}
