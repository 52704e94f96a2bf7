//! A hyper server on tokio that puts its own bodies through a chain: capitals, a count, and 200 KiB/s in a chunk each
//! 200 ms.
//!
//! ```text
//! cargo run --manifest-path examples/tokio/Cargo.toml --bin hyper_chain
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use sluicegate::body::{BodyError, PacedBody};
use sluicegate::brigade::{Brigade, Bucket};
use sluicegate::clock::SystemClock;
use sluicegate::filter::{Chain, Count, Counts, Filter, FilterError, RateFilter, Verdict};
use sluicegate::generator::BodyGenerator;
use sluicegate::limit::{Limit, Rate};

const PAGE: usize = 300 * 1024;

/// Turns ASCII letters into capitals.
struct Shout;

impl Filter for Shout {
    fn filter(
        &mut self,
        _: sluicegate::clock::Instant,
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

type Body = BoxBody<Bytes, BodyError>;

/// `GET` answers a page, `POST` its request's body as it comes: both leave through a chain.
async fn answer(
    request: Request<Incoming>,
    limit: Limit,
    counts: Counts,
) -> Result<Response<Body>, Infallible> {
    let chain = Chain::new().then(Shout).then(Count::new(counts)).then(RateFilter::new(limit));
    let body = if request.method() == Method::POST {
        PacedBody::new(BodyGenerator::new(request.into_body()), chain, SystemClock::shared()).boxed()
    } else {
        let page = Full::new(Bytes::from(vec![b'x'; PAGE]));
        PacedBody::new(BodyGenerator::new(page), chain, SystemClock::shared()).boxed()
    };
    Ok(Response::new(body))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (limit, counts) = (Limit::new(Rate::kib_per_second(200)), Counts::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let (paced, counted) = (limit.clone(), counts.clone());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (limit, counts) = (paced.clone(), counted.clone());
            let service =
                hyper::service::service_fn(move |request| answer(request, limit.clone(), counts.clone()));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service),
            );
        }
    });

    let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;
    let begin = Instant::now();
    let page = client.get(&url).send().await?.bytes().await?;
    let took = begin.elapsed();
    println!("a page of 300 KiB: {took:.2?}");
    assert!(page.len() == PAGE && page.iter().all(|byte| *byte == b'X'));
    // 40 KiB at once, the other 260 KiB at 200 KiB/s; chunks are never early. The last, short one leaves with the one before.
    assert!(took >= Duration::from_millis(1_200), "{took:?}");

    let echoed = client.post(&url).body("a request's body").send().await?.text().await?;
    assert_eq!(echoed, "A REQUEST'S BODY");
    assert_eq!((counts.bytes(), counts.streams()), (PAGE as u64 + 16, 2));
    paced_tokio::assert_no_other_runtime()
}
