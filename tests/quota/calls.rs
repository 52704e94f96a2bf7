//! The calls over real sockets: what is answered, and with which status it is refused.

use std::time::Duration;

use sluicegate::quota::client::{Connector, QuotaClient, QuotaClientSettings};
use sluicegate::quota::server::QuotaServer;
use sluicegate::quota::wire::{self, Unit};
use sluicegate::rt::{self, Listener};
use sluicegate::token::Token;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::fixture::{Served, beat, refusal, register, settings};

fn limit(per_second: u64, unit: Unit) -> Option<wire::RateLimit> {
    Some(wire::RateLimit { per_second, unit: unit.into() })
}

#[test]
fn a_client_registers_beats_reads_and_leaves() {
    let served = Served::new(settings());
    rt::block_on(async {
        let mut calls = served.calls().await;
        let known = register(&mut calls, "web-1").await.unwrap();
        assert_eq!(known.heartbeat_timeout.unwrap().seconds, 30);
        assert_eq!(known.heartbeat_interval.unwrap().seconds, 10);
        let answer = beat(&mut calls, "web-1", &["api", "nothing"]).await.unwrap();
        assert_eq!((answer.epoch, answer.lease.unwrap().seconds), (known.epoch, 30));
        assert_eq!(answer.unlimited_resource_ids, ["nothing"]);
        let [share] = answer.allocations.as_slice() else { panic!("{answer:?}") };
        assert_eq!((share.rate_micros, share.limit_per_second, share.clients), (100_000_000, 100, 1));
        assert_eq!((share.unit(), share.retry_after, share.learning), (Unit::Requests, None, false));

        let ask = wire::GetAllocationRequest {
            client_id: "web-1".into(),
            resource_id: "api".into(),
            instance: String::new(),
        };
        assert_eq!(&calls.get_allocation(ask).await.unwrap().into_inner(), share);

        let clients = calls.list_clients(wire::ListClientsRequest::default()).await.unwrap().into_inner();
        assert_eq!(clients.clients.len(), 1);
        assert_eq!(clients.clients[0].shares[0].rate_micros, 100_000_000);
        let resources =
            calls.list_resources(wire::ListResourcesRequest::default()).await.unwrap().into_inner();
        let api = &resources.resources[0];
        assert_eq!(
            (api.rate_limit, api.clients, api.granted_micros),
            (limit(100, Unit::Requests), 1, 100_000_000)
        );

        let leave = wire::UnregisterClientRequest { client_id: "web-1".into(), instance: String::new() };
        calls.unregister_client(leave.clone()).await.unwrap();
        calls.unregister_client(leave).await.unwrap();
        assert_eq!(refusal(beat(&mut calls, "web-1", &[]).await), (Code::NotFound, "CLIENT_UNKNOWN".into()));
    });
}

#[test]
fn bad_input_gets_its_status_and_disturbs_nobody() {
    let mut settings = settings();
    (settings.book.most_clients, settings.book.most_resources) = (2, 2);
    let served = Served::new(settings);
    rt::block_on(async {
        let mut calls = served.calls().await;
        register(&mut calls, "good").await.unwrap();
        let before = beat(&mut calls, "good", &["api"]).await.unwrap();

        let long = "x".repeat(129);
        let huge = "x".repeat(300_000);
        for id in ["", long.as_str(), "two words", "a=b"] {
            assert_eq!(
                refusal(register(&mut calls, id).await),
                (Code::InvalidArgument, "BAD_ID".into()),
                "{id}"
            );
            let beat = beat(&mut calls, "good", &[id]).await;
            assert_eq!(refusal(beat), (Code::InvalidArgument, "BAD_ID".into()), "{id}");
        }
        let (code, _) = refusal(register(&mut calls, &huge).await);
        assert!(
            matches!(code, Code::OutOfRange | Code::ResourceExhausted),
            "{code:?}: larger than any message"
        );
        let many: Vec<String> = (0..257).map(|n| format!("r{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let too_many = refusal(beat(&mut calls, "good", &many).await);
        assert_eq!(too_many, (Code::InvalidArgument, "TOO_MANY_INTERESTS".into()));
        let twice = refusal(beat(&mut calls, "good", &["api", "api"]).await);
        assert_eq!(twice, (Code::InvalidArgument, "NAMED_TWICE".into()));

        let set = |resource: &str, rate_limit| wire::SetResourceLimitRequest {
            resource_id: resource.into(),
            rate_limit,
        };
        for (resource, rate_limit, expected) in [
            ("api", None, (Code::InvalidArgument, "BAD_LIMIT")),
            ("api", limit(0, Unit::Requests), (Code::InvalidArgument, "BAD_LIMIT")),
            ("api", limit(u64::MAX, Unit::Requests), (Code::InvalidArgument, "BAD_LIMIT")),
            ("api", limit(5, Unit::Unspecified), (Code::InvalidArgument, "BAD_LIMIT")),
            ("api", limit(5, Unit::Bytes), (Code::FailedPrecondition, "OTHER_UNIT")),
            ("", limit(5, Unit::Bytes), (Code::InvalidArgument, "BAD_ID")),
        ] {
            let (code, reason) = refusal(calls.set_resource_limit(set(resource, rate_limit)).await);
            assert_eq!((code, reason.as_str()), expected, "{resource} {rate_limit:?}");
        }
        calls.set_resource_limit(set("second", limit(5, Unit::Bytes))).await.unwrap();
        let third = refusal(calls.set_resource_limit(set("third", limit(5, Unit::Bytes))).await);
        assert_eq!(third, (Code::ResourceExhausted, "TOO_MANY_RESOURCES".into()));

        let ask = |client: &str, resource: &str| wire::GetAllocationRequest {
            client_id: client.into(),
            resource_id: resource.into(),
            instance: String::new(),
        };
        let without = refusal(calls.get_allocation(ask("good", "second")).await);
        assert_eq!(without, (Code::FailedPrecondition, "NO_INTEREST".into()));
        let nobody = refusal(calls.get_allocation(ask("nobody", "api")).await);
        assert_eq!(nobody, (Code::NotFound, "CLIENT_UNKNOWN".into()));

        let second = register(&mut calls, "good").await.unwrap_err();
        assert_eq!(second.code(), Code::AlreadyExists);
        let again = second.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert!(again > Duration::from_secs(20) && again <= Duration::from_secs(30), "{again:?}");
        register(&mut calls, "other").await.unwrap();
        assert_eq!(
            refusal(register(&mut calls, "more").await),
            (Code::ResourceExhausted, "TOO_MANY_CLIENTS".into())
        );

        let after = beat(&mut calls, "good", &["api"]).await.unwrap();
        assert_eq!(after.allocations, before.allocations);
    });
}

#[test]
fn a_watcher_hears_of_its_shares_as_they_change_and_of_its_end() {
    let mut settings = settings();
    settings.book.heartbeat_timeout = Duration::from_millis(600);
    let served = Served::new(settings);
    rt::block_on(async {
        let mut calls = served.calls().await;
        register(&mut calls, "a").await.unwrap();
        beat(&mut calls, "a", &["api"]).await.unwrap();
        let watch = wire::WatchAllocationsRequest { client_id: "a".into(), ..Default::default() };
        let mut changes = calls.watch_allocations(watch).await.unwrap().into_inner();
        let first = changes.message().await.unwrap().unwrap();
        assert_eq!(first.allocations[0].rate_micros, 100_000_000);
        register(&mut calls, "b").await.unwrap();
        beat(&mut calls, "b", &["api"]).await.unwrap();
        let lower = changes.message().await.unwrap().unwrap();
        assert_eq!((lower.allocations[0].rate_micros, lower.allocations[0].clients), (50_000_000, 2));
        // Nobody beats any more: the stream ends when a's lease does.
        let end = changes.message().await.unwrap_err();
        assert_eq!(end.code(), Code::NotFound, "{end:?}");
    });
}

#[test]
fn observers_see_shares_come_change_and_go() {
    let served = Served::new(settings());
    rt::block_on(async {
        let mut calls = served.calls().await;
        let watch = wire::WatchAllocationsRequest { resource_id: "api".into(), ..Default::default() };
        let mut changes = calls.watch_allocations(watch).await.unwrap().into_inner();
        assert!(changes.message().await.unwrap().unwrap().shares.is_empty());
        register(&mut calls, "a").await.unwrap();
        beat(&mut calls, "a", &["api"]).await.unwrap();
        let shares = changes.message().await.unwrap().unwrap().shares;
        assert_eq!((shares[0].client_id.as_str(), shares[0].gone), ("a", false));
        assert_eq!(shares[0].share.as_ref().unwrap().rate_micros, 100_000_000);
        let leave = wire::UnregisterClientRequest { client_id: "a".into(), instance: String::new() };
        calls.unregister_client(leave).await.unwrap();
        let shares = changes.message().await.unwrap().unwrap().shares;
        assert_eq!((shares[0].client_id.as_str(), shares[0].gone), ("a", true));

        // They are few.
        let mut open = Vec::new();
        let refused = loop {
            match calls.watch_allocations(wire::WatchAllocationsRequest::default()).await {
                Ok(stream) => open.push(stream),
                Err(status) => break status,
            }
        };
        assert_eq!((open.len(), refused.code()), (31, Code::ResourceExhausted));
    });
}

#[test]
fn a_deadline_is_kept_by_the_server() {
    let served = Served::new(settings());
    rt::block_on(async {
        let mut calls = served.calls().await;
        // tonic's own client cannot be asked not to look at the time itself; this one does not.
        let mut watch = Request::new(wire::WatchAllocationsRequest::default());
        watch.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
        let mut changes = calls.watch_allocations(watch).await.unwrap().into_inner();
        assert!(changes.message().await.unwrap().is_some());
        assert_eq!(changes.message().await.unwrap_err().code(), Code::DeadlineExceeded);

        let mut late = Request::new(wire::ListClientsRequest::default());
        late.metadata_mut().insert("grpc-timeout", "0n".parse().unwrap());
        // Done at once or late: one of the two, and no other end.
        match calls.list_clients(late).await {
            Ok(_) => {}
            Err(status) => assert_eq!(status.code(), Code::DeadlineExceeded),
        }
    });
}

#[test]
fn a_draining_server_ends_its_streams_and_then_itself() {
    let served = Served::new(settings());
    rt::block_on(async {
        let mut calls = served.calls().await;
        let mut changes =
            calls.watch_allocations(wire::WatchAllocationsRequest::default()).await.unwrap().into_inner();
        changes.message().await.unwrap();
        served.handle.drain();
        assert_eq!(changes.message().await.unwrap_err().code(), Code::Unavailable);
    });
    let addr = served.addr;
    served.join();
    assert!(std::net::TcpStream::connect(addr).is_err());
}

#[test]
fn a_token_is_asked_for_and_off_loopback_there_must_be_one() {
    let token = Token::new("0123456789abcdef0123456789abcdef").unwrap();
    let any = || Listener::bind_tcp(([0, 0, 0, 0], 0).into()).unwrap();
    let refused = QuotaServer::new(settings(), vec![any()]).map(drop);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("does not go to 0.0.0.0:") && refused.contains("without a token"), "{refused}");
    let guarded = || {
        let mut settings = settings();
        settings.token = Some(token.clone());
        settings
    };
    assert!(QuotaServer::new(guarded(), vec![any()]).is_ok());

    let served = Served::new(guarded());
    rt::block_on(async {
        let mut calls = served.calls().await;
        assert_eq!(refusal(register(&mut calls, "a").await), (Code::Unauthenticated, "NO_TOKEN".into()));
        let mut connector = Connector::new(served.endpoint());
        connector.token = Some(Token::new("0123456789abcdef0123456789abcdeg").unwrap());
        let mut wrong = connector.connect().await.unwrap();
        assert_eq!(refusal(register(&mut wrong, "a").await), (Code::Unauthenticated, "NO_TOKEN".into()));
        connector.token = Some(token.clone());
        register(&mut connector.connect().await.unwrap(), "a").await.unwrap();

        // One asks for the shares of all before it has registered.
        let mut client = QuotaClientSettings::new(served.endpoint(), "b".parse().unwrap());
        let stranger = QuotaClient::start(client.clone()).unwrap();
        assert!(stranger.fleet(&"api".parse().unwrap()).await.unwrap_err().is_refused());
        stranger.close().await;
        client.connector.token = Some(token.clone());
        let known = QuotaClient::start(client).unwrap();
        assert!(known.fleet(&"api".parse().unwrap()).await.is_ok());
        known.close().await;
    });
}

#[test]
fn a_connection_that_speaks_something_else_hurts_nobody() {
    use std::io::{Read, Write};
    let served = Served::new(settings());
    for nonsense in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01", &[0xff; 5000]] {
        let mut stream = std::net::TcpStream::connect(served.addr).unwrap();
        // It may be closed under our hands.
        let _ = stream.write_all(nonsense);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    rt::block_on(async {
        register(&mut served.calls().await, "a").await.unwrap();
    });
}

#[test]
fn silent_connections_and_callers_without_the_token_keep_nobody_out() {
    let token = Token::new("0123456789abcdef0123456789abcdef").unwrap();
    let mut settings = settings();
    settings.token = Some(token.clone());
    settings.max_connections = 3;
    let served = Served::new(settings);
    let mut connector = Connector::new(served.endpoint());
    connector.token = Some(token);
    rt::block_on(async {
        let mut client = connector.connect().await.unwrap();
        register(&mut client, "a").await.unwrap();
        let watch = wire::WatchAllocationsRequest::default();
        let mut changes = client.watch_allocations(watch.clone()).await.unwrap().into_inner();
        changes.message().await.unwrap();
        let mut held = Vec::new();
        for round in 0..6 {
            held.push(std::net::TcpStream::connect(served.addr).unwrap());
            let mut stranger = served.calls().await;
            // It may have lost its place to the next one already.
            if let Err(refused) = register(&mut stranger, "b").await {
                assert_ne!(refused.code(), Code::Ok);
            }
            register(&mut connector.connect().await.unwrap(), &format!("c{round}")).await.unwrap();
        }
        beat(&mut client, "a", &["api"]).await.unwrap();
        assert!(changes.message().await.unwrap().is_some(), "the stream goes on");
        // Who is being served with the token is never given up: a fourth is closed unheard.
        let mut more = Vec::new();
        for _ in 0..2 {
            let mut calls = connector.connect().await.unwrap();
            let stream = calls.watch_allocations(watch.clone()).await.unwrap().into_inner();
            more.push((calls, stream));
        }
        let mut fourth = std::net::TcpStream::connect(served.addr).unwrap();
        fourth.set_read_timeout(Some(testkit::wait::PATIENCE)).unwrap();
        assert_eq!(std::io::Read::read(&mut fourth, &mut [0; 1]).unwrap(), 0);
        for (_, stream) in &mut more {
            assert!(stream.message().await.unwrap().is_some());
        }
    });
}

#[test]
fn only_calls_of_grpc_are_taken() {
    let served = Served::new(settings());
    let path = "/sluicegate.quota.v1.Quota/ListClients";
    rt::block_on(async {
        let mut sender = testkit::h2::connect(served.addr, 65_535).await;
        for (method, fields, status) in [
            ("POST", &[("content-type", "application/grpc"), ("te", "trailers")][..], 200),
            ("POST", &[("content-type", "text/plain"), ("te", "trailers")], 415),
            ("POST", &[("te", "trailers")], 415),
            ("POST", &[("content-type", "application/grpc")], 400),
            ("GET", &[("content-type", "application/grpc"), ("te", "trailers")], 405),
        ] {
            for path in [path, "/grpc.health.v1.Health/Check"] {
                let mut request = http::Request::builder().method(method).uri(format!("http://t{path}"));
                for (name, value) in fields {
                    request = request.header(*name, *value);
                }
                let request = request.body(http_body_util::Empty::new()).unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), status, "{method} {path} {fields:?}");
                // Who does not speak gRPC is told in the words of HTTP.
                assert!(status == 200 || !response.headers().contains_key("grpc-status"), "{method} {path}");
            }
        }
    });
}
