//! A filter that inserts a banner behind `<body>`, on a server's route.
//!
//! ```text
//! cargo run --example banner
//! ```
//!
//! Content that changes has another length, other ranges, validators and digests: the head must not promise those of the
//! source. `filter::rewrite` sees to that. The program asks itself over a real socket and ends.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{request, response};
use sluicegate::brigade::{Brigade, Bucket};
use sluicegate::clock::Instant;
use sluicegate::filter::rewrite::{forget_content, forget_digests, want_whole_content};
use sluicegate::filter::{Filter, FilterError, FilterFactory, Verdict};
use sluicegate::http::route::Route;
use sluicegate::http::server::{Server, Settings};
use sluicegate::limit::Rate;
use sluicegate::rt::{self, Listener};

const TAG: &[u8] = b"<body>";

/// Puts `banner` behind the first `<body>`, wherever the cuts of the content are.
struct InsertBanner {
    banner: Bytes,
    /// How much of the tag the content ends with so far; once found, all of it.
    matched: usize,
}

impl InsertBanner {
    /// The bytes up to the end of the tag, if it ends here.
    fn tag_end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            // `<` is only at the beginning of the tag: where a match breaks off, none but a new one can have begun.
            let expected = byte.eq_ignore_ascii_case(&TAG[self.matched]);
            self.matched = if expected { self.matched + 1 } else { usize::from(*byte == TAG[0]) };
            if self.matched == TAG.len() {
                return Some(at + 1);
            }
        }
        None
    }
}

impl Filter for InsertBanner {
    fn filter(
        &mut self,
        _: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        while let Some(bucket) = input.pop_within(output.room()) {
            match bucket {
                Bucket::Data(mut bytes) if self.matched < TAG.len() => match self.tag_end(&bytes) {
                    // What follows goes back, behind the banner, and leaves as there is room.
                    Some(end) => {
                        output.push(bytes.split_to(end));
                        input.push_front(bytes);
                        input.push_front(self.banner.clone());
                    }
                    None => output.push(bytes),
                },
                Bucket::Trailers(mut fields) => {
                    forget_digests(&mut fields);
                    output.push(Bucket::Trailers(fields));
                }
                bucket => output.push(bucket),
            }
        }
        Ok(Verdict::after(output))
    }
}

/// Inserts the banner into pages.
struct Banner(Bytes);

impl FilterFactory for Banner {
    fn prepare(&self, request: &mut request::Parts) {
        want_whole_content(request);
    }

    fn attach(&self, request: &request::Parts, response: &mut response::Parts) -> Option<Box<dyn Filter>> {
        let is_page = response
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
        // In this order: the head of what stays as it is must stay so too.
        (is_page && forget_content(request, response))
            .then(|| Box::new(InsertBanner { banner: self.0.clone(), matched: 0 }) as Box<dyn Filter>)
    }
}

/// Asks a server, and returns the head in lower case, and the body.
fn ask(server: std::net::SocketAddr, path: &str, field: &str) -> Result<(String, String), Box<dyn Error>> {
    let mut stream = TcpStream::connect(server)?;
    write!(stream, "GET {path} HTTP/1.0\r\n{field}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the head has no end")?;
    Ok((head.to_lowercase(), body.to_owned()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let site = tempfile::tempdir()?;
    std::fs::write(site.path().join("page.html"), "<html><body><p>Hello.</p></body></html>")?;
    std::fs::write(site.path().join("style.css"), "body { margin: 0 }")?;

    let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into())?;
    let route =
        Route::files("/", site.path())?.rate(Rate::kib_per_second(60)).filter(Banner("<h1>Sale</h1>".into()));
    let server = Server::new(Settings::default(), vec![listener], vec![route]);
    let (address, handle) = (server.local_addrs()[0], server.handle());
    let running = std::thread::spawn(move || rt::block_on(server.run()));

    let (head, body) = ask(address, "/page.html", "range: bytes=0-9")?;
    println!("{head}\n\n{body}");
    assert!(body.contains("<html><body><h1>Sale</h1><p>Hello.</p></body></html>"), "{body}");
    assert!(head.starts_with("http/1.0 200"), "a range of the page on disk is none of this one: {head}");
    for field in ["content-length:", "etag:", "last-modified:", "accept-ranges:"] {
        assert!(!head.contains(field), "{field} is of the page on disk");
    }

    let (head, body) = ask(address, "/style.css", "accept: text/css")?;
    assert_eq!(body, "body { margin: 0 }");
    assert!(
        head.contains("content-length: 18") && head.contains("etag:"),
        "what is left alone keeps its head: {head}"
    );

    handle.drain();
    running.join().map_err(|_| "the server panicked")?;
    Ok(())
}
