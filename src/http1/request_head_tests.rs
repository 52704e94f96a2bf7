use super::*;

fn head_of(text: &[u8]) -> Result<request::Parts, Refused> {
    let input = Bytes::copy_from_slice(text);
    assert_eq!(Progress::default().end_of_head(&input), Some(input.len()), "{text:?}");
    read_request(&input)
}

fn target_of(method: &str, target: &[u8]) -> Result<String, u16> {
    let head = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n\r\n"].concat();
    head_of(&head).map(|head| head.uri.to_string()).map_err(|refused| refused.status.as_u16())
}

#[test]
fn the_end_of_a_head_is_found_however_it_comes() {
    for text in ["GET / HTTP/1.1\r\nA: b\r\n\r\n", "GET / HTTP/1.1\nA: b\n\n", "GET / HTTP/1.1\r\n\n", "\r\n"]
    {
        for step in 1..=text.len() {
            let mut progress = Progress::default();
            for end in (0..text.len()).step_by(step) {
                assert_eq!(progress.end_of_head(&text.as_bytes()[..end]), None, "{text:?} to {end}");
            }
            let behind = format!("{text}GET /next");
            assert_eq!(progress.end_of_head(behind.as_bytes()), Some(text.len()), "{text:?} by {step}");
        }
    }
    assert_eq!(empty_lines(b"\r\n\n\r\nGET"), 5);
    assert_eq!((empty_lines(b"GET"), empty_lines(b"\rGET"), empty_lines(b"")), (0, 0, 0));
}

#[test]
fn a_head_is_its_line_and_its_fields() {
    let head = head_of(b"PUT /a?b HTTP/1.0\r\nHost: t\r\nX: 1\r\nx:  \xff \r\n\r\n").unwrap();
    assert_eq!(
        (head.method, head.uri, head.version),
        (Method::PUT, "/a?b".parse().unwrap(), Version::HTTP_10)
    );
    assert_eq!(head.headers["host"], "t");
    let all: Vec<_> = head.headers.get_all("x").iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(all, [b"1", b"\xff"]);
}

#[test]
fn a_target_has_one_of_four_forms() {
    for (method, target, expected) in [
        ("GET", "/", Ok("/")),
        ("GET", "//a", Ok("//a")),
        ("GET", "/a//b/../c?d=/?e", Ok("/a//b/../c?d=/?e")),
        ("GET", "http://h:80/a?b", Ok("http://h:80/a?b")),
        ("GET", "HTTP://h", Ok("http://h/")),
        ("GET", "https://h/", Ok("https://h/")),
        ("OPTIONS", "*", Ok("*")),
        ("OPTIONS", "/x", Ok("/x")),
        ("CONNECT", "h:443", Ok("h:443")),
        ("CONNECT", "[::1]:443", Ok("[::1]:443")),
        ("CONNECT", "h", Err(400)),
        ("CONNECT", "u@h:1", Err(400)),
        ("CONNECT", "/x", Err(400)),
        ("CONNECT", "http://h/", Err(400)),
        ("GET", "*", Err(400)),
        ("GET", "index.html", Err(400)),
        ("GET", "h:443", Err(400)),
        ("GET", "?a", Err(400)),
        ("GET", "", Err(400)),
        ("GET", "ftp://h/", Err(400)),
        ("GET", "http:/a", Err(400)),
        ("GET", "/a b", Err(400)),
        ("GET", "/a\tb", Err(400)),
        ("GET", "/a\u{7f}", Err(400)),
    ] {
        assert_eq!(target_of(method, target.as_bytes()), expected.map(str::to_owned), "{method} {target}");
    }
}

#[test]
fn what_no_uri_has_is_percent_encoded() {
    for (target, expected) in [
        (&b"/a?q=\"x\"<y>`z`"[..], "/a?q=%22x%22%3Cy%3E%60z%60"),
        (b"/caf\xc3\xa9?\xff", "/caf%C3%A9?%FF"),
        (b"/\"<>`", "/%22%3C%3E%60"),
        (b"/%22{}|^[]\\'", "/%22{}|^[]\\'"),
        (b"http://h/\"", "http://h/%22"),
    ] {
        assert_eq!(target_of("GET", target), Ok(expected.to_owned()));
    }
    let long = format!("/{}", "\"".repeat(22_000));
    assert_eq!(target_of("GET", long.as_bytes()), Err(414));
}

#[test]
fn what_is_no_head_is_refused_with_what_is_known_of_it() {
    for (text, status) in [
        ("what is this\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\n\r\n", 400),
        ("G@T / HTTP/1.1\r\n\r\n", 400),
        ("GET / http/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1x\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\n\r\n", 505),
        ("GET / HTTP/0.9\r\n\r\n", 505),
    ] {
        let refused = head_of(text.as_bytes()).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.line), (status, None), "{text:?}");
    }
    for line in ["no colon", "na me: x", ": x", "a : x", "a: \0", " folded: x"] {
        let refused = head_of(format!("GET /x HTTP/1.1\r\n{line}\r\n\r\n").as_bytes()).unwrap_err();
        let asked = Box::new((Method::GET, Uri::from_static("/x"), Version::HTTP_11));
        assert_eq!((refused.status.as_u16(), refused.line), (400, Some(asked)), "{line:?}");
    }
    let many =
        |count: usize| head_of(format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count)).as_bytes());
    for count in [0, 1, USUAL_FIELDS, USUAL_FIELDS + 1, MAX_FIELDS] {
        assert_eq!(many(count).unwrap().headers.len(), count);
    }
    assert_eq!(many(MAX_FIELDS + 1).unwrap_err().status.as_u16(), 431);
    assert_eq!(head_of(b"GET / HTTP/1.7\r\n\r\n").unwrap().version, Version::HTTP_11);
}

#[test]
fn another_protocol_is_refused_at_once() {
    let checked = |text: &[u8]| {
        let mut progress = Progress::default();
        assert_eq!(progress.end_of_head(text), None);
        check_beginning(text, &progress).is_ok()
    };
    assert!(checked(b"") && checked(b"G") && checked(b"\r") && checked(b"GET / HTTP/1.1\r\nHost"));
    assert!(!checked(b"\x16\x03\x01") && !checked(b"SSH-2.0-OpenSSH_9\r\n") && !checked(b" GET"));
}

#[test]
fn content_is_framed_as_the_head_says_and_the_connection_kept_as_it_says() {
    for (start, fields, expected) in [
        ("1.1", "a: b", "Whole true"),
        ("1.1", "content-length: 0", "Whole true"),
        ("1.1", "content-length: 5", "Length(5) true"),
        ("1.1", "content-length: 5, 5\r\ncontent-length: 5", "Length(5) true"),
        ("1.1", "content-length: 5\r\nconnection: x, Close", "Length(5) false"),
        ("1.0", "content-length: 5", "Length(5) false"),
        ("1.0", "connection: Keep-Alive", "Whole true"),
        ("1.0", "connection: keep-alive, close", "Whole false"),
        ("1.1", "transfer-encoding: Chunked", "Chunked true"),
        ("1.1", "transfer-encoding: chunked\r\ncontent-length: 5", "Chunked false"),
        ("1.1", "transfer-encoding: gzip, chunked", "501"),
        ("1.1", "transfer-encoding: gzip\r\ntransfer-encoding: chunked", "501"),
        ("1.1", "transfer-encoding: chunked, gzip", "400"),
        ("1.1", "transfer-encoding: chunked, chunked", "400"),
        ("1.1", "transfer-encoding: gzip", "400"),
        ("1.1", "transfer-encoding: ", "400"),
        ("1.1", "transfer-encoding: gzip\u{ff}, chunked", "400"),
        ("1.1", "transfer-encoding: gzip\u{ff}\r\ntransfer-encoding: chunked", "400"),
        ("1.0", "transfer-encoding: chunked", "400"),
        ("1.1", "content-length: 5, 6", "400"),
        ("1.1", "content-length: 5\r\ncontent-length: 6", "400"),
        ("1.1", "content-length: +5", "400"),
        ("1.1", "content-length: ", "400"),
        ("1.1", "content-length: 5\u{ff}", "400"),
        ("1.1", "content-length: 99999999999999999999", "400"),
    ] {
        let head = head_of(format!("POST / HTTP/{start}\r\n{fields}\r\n\r\n").as_bytes()).unwrap();
        let told = match request_framing(&head, FramingFields::of(&head.headers)) {
            Err(refused) => {
                assert!(refused.line.is_some());
                refused.status.as_str().to_owned()
            }
            Ok(framing) => {
                let framing = format!("{framing:?}");
                let kind = framing.split_once("(Chunked").map_or(framing.as_str(), |(kind, _)| kind);
                format!(
                    "{kind} {}",
                    client_keeps_connection(&head, FramingFields::of(&head.headers)).unwrap()
                )
            }
        };
        assert_eq!(told, expected, "{start} {fields}");
    }
    let head = head_of("GET / HTTP/1.1\r\nconnection: x-hop, \u{ff}\r\n\r\n".as_bytes()).unwrap();
    assert!(client_keeps_connection(&head, FramingFields::of(&head.headers)).is_err());
}
