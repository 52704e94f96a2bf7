//! A collector that keeps what it gets, and can be as bad as collectors get.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use testkit::wait::PATIENCE;

/// Listens until the test ends. The threads end with the process.
pub struct Collector {
    pub addr: SocketAddr,
    requests: Receiver<Request>,
}

/// What came in one request.
pub struct Request {
    pub head: String,
    pub body: ExportTraceServiceRequest,
}

impl Collector {
    /// Answers the n-th request with what `status` gives for n; without a status never.
    pub fn new(status: impl Fn(usize) -> Option<&'static str> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::channel();
        std::thread::spawn(move || {
            let mut unanswered = Vec::new();
            for (at, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let request = read(&mut stream);
                match status(at) {
                    Some(status) => {
                        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                    None => unanswered.push(stream),
                }
                if sender.send(request).is_err() {
                    return;
                }
            }
        });
        Self { addr, requests }
    }

    /// One that takes everything.
    pub fn good() -> Self {
        Self::new(|_| Some("200 OK"))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The next request, which must come.
    pub fn request(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }

    /// So many spans, from as many requests as they come in; by name and then start.
    pub fn spans(&self, count: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        while spans.len() < count {
            spans.extend(self.request().spans());
        }
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans.sort_by(|a, b| (&a.name, a.start_time_unix_nano).cmp(&(&b.name, b.start_time_unix_nano)));
        spans
    }
}

impl Request {
    pub fn spans(&self) -> Vec<Span> {
        let of_scopes = self.body.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        of_scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// An attribute of the service that the spans are of.
    pub fn resource(&self, key: &str) -> Option<String> {
        let resource = self.body.resource_spans[0].resource.as_ref().unwrap();
        attributes(&resource.attributes)
            .into_iter()
            .find_map(|(found, value)| (found == key).then_some(value))
    }
}

pub fn attributes(pairs: &[KeyValue]) -> Vec<(&str, String)> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.as_str(), text(&pair.value))).collect()
}

fn read(stream: &mut TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let length = head.to_lowercase().lines().find_map(|line| {
        line.strip_prefix("content-length: ").map(|length| length.parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
    Request { head, body: ExportTraceServiceRequest::decode(&body[..]).unwrap() }
}
