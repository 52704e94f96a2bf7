//! Where a client goes that is told that another server leads.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::server::conn::http2;
use hyper::service::service_fn;
use sluicegate::quota::client::{QuotaClient, QuotaClientSettings};
use sluicegate::quota::wire::{DOMAIN, LEADER, NOT_LEADER};
use sluicegate::rt::{self, Executor, Listener};
use sluicegate::tls::{ClientTls, Identity, ServerTls};
use sluicegate::token::Token;
use testkit::certificates::Certificates;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Answers each call on `listener`, inside TLS, with the leader's address, and counts the calls.
async fn direct(listener: Listener, tls: ServerTls, leader: String, calls: Arc<AtomicUsize>) {
    while let Ok(socket) = listener.accept().await {
        let Ok(stream) = tls.accept(socket).await else { continue };
        let (leader, calls) = (leader.clone(), Arc::clone(&calls));
        let service = service_fn(move |_| {
            calls.fetch_add(1, Ordering::SeqCst);
            let leader = [(LEADER.to_owned(), leader.clone())];
            let details = ErrorDetails::with_error_info(NOT_LEADER, DOMAIN, leader);
            let status = Status::with_error_details(Code::Unavailable, "another leads", details);
            async { Ok::<_, Infallible>(status.into_http::<Body>()) }
        });
        rt::spawn(async move {
            // The client hangs up.
            let _ = http2::Builder::new(Executor).serve_connection(stream, service).await;
        });
    }
}

#[test]
fn a_server_of_https_that_names_a_leader_of_http_has_no_token_sent_there() {
    let files = Certificates::make();
    let plain = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    plain.set_nonblocking(true).unwrap();
    let leader = format!("http://{}", plain.local_addr().unwrap());
    let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    let identity = Identity { certificate: files.at("server.pem"), key: files.at("server.key") };
    let calls = Arc::new(AtomicUsize::new(0));
    rt::spawn(direct(listener, ServerTls::new(&identity, None).unwrap(), leader, Arc::clone(&calls)));

    let mut settings = QuotaClientSettings::new(endpoint, "a".parse().unwrap());
    settings.connector.tls = Some(ClientTls::new(&files.at("ca.pem"), None).unwrap());
    settings.connector.token = Some(Token::new("c2VjcmV0LXNlY3JldC1zZWNyZXQ=").unwrap());
    let client = QuotaClient::start(settings).unwrap();
    let told = rt::block_on(client.fleet(&"api".parse().unwrap()));
    assert_eq!(told.unwrap_err().to_string(), "Unavailable: another leads");
    assert!(calls.load(Ordering::SeqCst) >= 1);
    // A connection stands here before its client knows that it does.
    assert_eq!(plain.accept().map(drop).unwrap_err().kind(), ErrorKind::WouldBlock);
    rt::block_on(client.close());
}
