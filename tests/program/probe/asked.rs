//! What is asked, and what is made of answers of all kinds.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::channel;

use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::pki_types::pem::PemObject;
use futures_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::{self, ServerConfig, ServerConnection};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::server::{Scripted, document, ends, pour, read_head};
use testkit::certificates::Certificates;
use testkit::program::command;

/// Answers with this and closes; the probe must end with `code`. Gives the first connection's figures.
fn answered(code: i32, answer: &'static str) -> (Value, String) {
    let server = Scripted::new(1, move |stream, _| stream.write_all(answer.as_bytes()).unwrap());
    let document = document(code, &[&server.url(), "--seconds", "20"]);
    let failures = document["failures"].to_string();
    (document["urls"][0]["connections"][0].clone(), failures)
}

#[test]
fn bodies_are_counted_however_they_are_framed() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nhello",
    ] {
        let (seen, failures) = answered(0, answer);
        assert_eq!(
            (&seen["bytes"], &seen["responses"], &seen["whole"]),
            (&json!(5), &json!(1), &json!(true))
        );
        assert_eq!((failures.as_str(), &seen["failure"]), ("[]", &json!(null)), "{answer}");
        assert_eq!(seen["series"].as_array().unwrap().last().unwrap()[1], 5);
    }
}

#[test]
fn a_bad_answer_fails_with_its_reason() {
    for (answer, why) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "it answers 404 Not Found"),
        (
            "HTTP/1.1 302 Found\r\nLocation: /y\r\n\r\n",
            "it answers 302 Found, to \\\\\\\"/y\\\\\\\"; redirects",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "after 5 bytes"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhello", "bytes came after the end"),
        ("", "the connection ended before the response did"),
        ("SSH-2.0-x\r\n", "not HTTP/1"),
    ] {
        let (_, failures) = answered(1, answer);
        assert!(failures.contains(&why.replace("\\\\\\\"", "\\\"")), "{why} in {failures}");
    }
    let no_content =
        Scripted::new(1, |stream, _| stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap());
    let (out, error) = ends(1, &[&no_content.url()]);
    assert_eq!((out.as_str(), error.as_str()), ("", "sluicegate: the response has no content\n"));
}

#[test]
fn nobody_there_and_nobody_that_answers_end_the_run() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (out, error) = ends(1, &[&format!("http://{nobody}/"), "--connections", "3"]);
    let expected = format!(
        "sluicegate: http://{nobody}/: cannot connect to 127.0.0.1 port {}: Connection refused (os error 111) (on 3 connections)\n",
        nobody.port()
    );
    assert_eq!((out.as_str(), error), ("", expected));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let (_, error) = ends(1, &[&url, "--seconds", "0.3"]);
    assert!(error.contains("no byte came within 0.3 s"), "{error}");
}

#[test]
fn a_reset_ends_its_connection_and_the_bytes_so_far_are_reported() {
    let server = Scripted::new(1, |stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello").unwrap();
        socket2::SockRef::from(&*stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        // A byte of a second request that will not be read turns the close into a reset on its own, too.
    });
    let document = document(1, &[&server.url()]);
    // The reset may overtake the bytes.
    assert!(document["failures"][0]["failure"].as_str().unwrap().contains("reset"), "{document}");
}

#[test]
fn the_request_is_plain_and_has_the_fields_that_were_typed() {
    let (sender, heads) = channel();
    let server = Scripted::new(1, move |stream, head| {
        sender.send(head).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").unwrap();
    });
    ends(0, &[&server.url(), "--header", "X-Key: a: b", "--header=Accept: text/css"]);
    let expected = format!(
        "GET /x HTTP/1.1\r\nHost: {}\r\nUser-Agent: sluicegate-probe/{}\r\nAccept-Encoding: identity\r\n\
         X-Key: a: b\r\nAccept: text/css\r\n\r\n",
        server.addr,
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(heads.recv().unwrap(), expected);
}

#[test]
fn responses_are_asked_again_on_the_connection_that_is_kept_and_on_others_if_not() {
    let kept = Scripted::new(1, |stream, _| {
        for _ in 0..3 {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab").unwrap();
            read_head(stream);
        }
        // The fourth is never answered: the run ends by its time.
        read_head(stream);
    });
    let document_kept = document(0, &[&kept.url(), "--repeat", "--seconds", "1"]);
    let seen = &document_kept["urls"][0]["connections"][0];
    assert_eq!((&seen["responses"], &seen["dials"], &seen["bytes"]), (&json!(3), &json!(1), &json!(6)));

    let closed = Scripted::new(4, |stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab").unwrap();
    });
    let document = document(1, &[&closed.url(), "--repeat", "--seconds", "5"]);
    let seen = &document["urls"][0]["connections"][0];
    assert_eq!((&seen["responses"], &seen["dials"]), (&json!(4), &json!(4)), "then nobody listens any more");
}

#[test]
fn a_slow_reader_reads_no_faster_than_it_should() {
    let server = Scripted::new(1, |stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        pour(stream);
    });
    let document = document(0, &[&server.url(), "--slow", "20", "--seconds", "1.5"]);
    let seen = &document["urls"][0]["connections"][0];
    let bytes = seen["bytes"].as_u64().unwrap();
    // Whatever the threads do: never more than the rate gives, and what it gives in a fifth of a second.
    assert!(bytes <= 20_480 * 17 / 10, "{bytes}");
    assert!(bytes >= 20_480 / 2, "{bytes}");
}

#[test]
fn a_signal_ends_the_run_and_the_bytes_so_far_are_reported() {
    let (sender, asked) = channel();
    let server = Scripted::new(1, move |stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello").unwrap();
        sender.send(()).unwrap();
        read_head(stream);
    });
    let mut command = command(&["probe", &server.url(), "--seconds", "600", "--json"]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    asked.recv().unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["interrupted"], &document["asked_ms"]), (&json!(true), &json!(600_000)));
    assert!(document["lasted_ms"].as_u64().unwrap() < 300_000);
}

#[test]
fn https_needs_a_certificate_of_the_authority() {
    let certificates = Certificates::make();
    let chain = CertificateDer::pem_file_iter(certificates.path("server.pem")).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(certificates.path("server.key")).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        // The first is cut without TLS's farewell, the second says it, the third does not believe us.
        for farewell in [false, true, true] {
            let (mut socket, _) = listener.accept().unwrap();
            let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::Stream::new(&mut tls, &mut socket);
            let mut head = [0; 4096];
            if stream.read(&mut head).is_err() {
                continue;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").unwrap();
            if farewell {
                stream.conn.send_close_notify();
            }
            stream.flush().unwrap();
        }
    });
    let authority = certificates.path("ca.pem");
    let (_, error) = ends(1, &[&url, "--ca", &authority]);
    assert!(error.contains("after 5 bytes") && error.contains("close_notify"), "{error}");
    let document = document(0, &[&url, "--ca", &authority]);
    let seen = &document["urls"][0]["connections"][0];
    assert_eq!((&seen["bytes"], &seen["whole"]), (&json!(5), &json!(true)));
    let (_, error) = ends(1, &[&url, "--ca", &certificates.path("client.pem")]);
    assert!(error.contains("TLS: invalid peer certificate"), "{error}");
    serving.join().unwrap();
    let (_, error) = ends(1, &[&url, "--ca", "none.pem"]);
    assert!(error.contains("none.pem"), "{error}");
}
