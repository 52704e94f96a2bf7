//! A server with a filter of one's own on a route: put there by code, and by name in a configuration.
//!
//! ```text
//! cargo run --example custom_server
//! ```
//!
//! It asks itself for one page over a real socket and ends.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use sluicegate::brigade::{Brigade, Bucket};
use sluicegate::clock::Instant;
use sluicegate::config::FilterKinds;
use sluicegate::filter::{Filter, FilterError, Verdict, factory_fn};
use sluicegate::http::route::Route;
use sluicegate::http::server::{Server, Settings};
use sluicegate::limit::Rate;
use sluicegate::rt::{self, Listener};

/// Turns ASCII letters into capitals.
struct Shout;

impl Filter for Shout {
    fn filter(
        &mut self,
        _: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        while let Some(bucket) = input.pop_within(output.room()) {
            output.push(match bucket {
                Bucket::Data(bytes) => Bucket::Data(bytes.to_ascii_uppercase().into()),
                mark => mark,
            });
        }
        Ok(Verdict::after(output))
    }
}

/// The filter put on a route by code.
pub fn by_code(root: &str) -> Result<Server, Box<dyn Error>> {
    let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into())?;
    let route = Route::files("/", root)?.rate(Rate::new(60 * 1024)?).filter(factory_fn(|| Shout));
    Ok(Server::new(Settings::default(), vec![listener], vec![route]))
}

/// The same from a configuration that calls the filter by its name.
pub fn by_name(root: &str) -> Result<Server, Box<dyn Error>> {
    let kinds = FilterKinds::default().with("shout", |_options| Ok(Arc::new(factory_fn(|| Shout))));
    let text = format!(
        "listen = '127.0.0.1:0'\n\n[[route]]\npath = '/'\nfiles = '{root}'\nrate = 60\nfilters = ['shout']"
    );
    let config = kinds.loader().parse(&text, "custom_server.toml", ".")?;
    Ok(Server::from_config(&config, &kinds)?)
}

/// Runs `server` for one request and gives the answer.
pub fn ask(server: Server, path: &str) -> Result<String, Box<dyn Error>> {
    let addr: SocketAddr = server.local_addrs()[0];
    let handle = server.handle();
    let running = std::thread::spawn(move || rt::block_on(server.run()));
    let mut stream = TcpStream::connect(addr)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    handle.drain();
    running.join().map_err(|_| "the server panicked")?;
    Ok(answer)
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/site");
    for server in [by_code(root)?, by_name(root)?] {
        let answer = ask(server, "/style.css")?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        println!("{}", body.lines().take(3).collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}
