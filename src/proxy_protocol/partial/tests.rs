//! Headers, and what is none, whole and cut anywhere.

use proptest::prelude::*;

use super::*;

const SOURCE: &str = "192.0.2.1:56324";
const DESTINATION: &str = "198.51.100.7:443";

fn announced(source: &str, destination: &str) -> Option<Announced> {
    Some(Announced { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
}

/// A header of version 2 with this command, family, length and rest.
fn v2_of(command: u8, family: u8, len: usize, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(len).unwrap().to_be_bytes();
    [V2, &[command, family], &len, rest].concat()
}

const BLOCK_V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 220, 4, 1, 187];

/// What comes of `stream` if at most `most` bytes come at a time: the result, and how many bytes were taken. An end of the
/// stream before that is `None`.
fn read(stream: &[u8], most: usize) -> (Option<Result<Option<Announced>, HeaderReason>>, usize) {
    let (mut partial, mut at) = (Partial::default(), 0);
    loop {
        match partial.progress() {
            Err(failure) => return (Some(Err(failure.reason)), at),
            Ok(Progress::Whole(announced)) => return (Some(Ok(announced)), at),
            Ok(Progress::Needs(needed)) => {
                assert!(needed > 0);
                let read = needed.min(most).min(stream.len() - at);
                partial.space(needed)[..read].copy_from_slice(&stream[at..at + read]);
                partial.keep(needed, read);
                at += read;
                if read == 0 {
                    return (None, at);
                }
            }
        }
    }
}

#[test]
fn headers_name_the_client_and_nothing_behind_them_is_read() {
    let block_v6 =
        [&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].repeat(2)[..], &[0, 5, 1, 187]].concat();
    let with_extensions = [&BLOCK_V4[..], &[0x04, 0, 5, 1, 2, 3, 4, 5]].concat();
    let longest = [&BLOCK_V4[..], &vec![7; MAX_V2 - V2_HEAD - 12]].concat();
    let v6 = announced("[2001:db8::1]:5", "[2001:db8::1]:443");
    let v4 = announced(SOURCE, DESTINATION);
    let line = |text: &str| format!("{text}\r\n").into_bytes();
    for (header, expected) in [
        (line("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443"), v4),
        (line("PROXY TCP4 0.0.0.0 0.0.0.0 0 0"), announced("0.0.0.0:0", "0.0.0.0:0")),
        (line("PROXY TCP6 2001:db8::1 2001:db8::1 5 443"), v6),
        (line("PROXY TCP6 :: :: 1 2"), announced("[::]:1", "[::]:2")),
        (line(&format!("PROXY TCP6 {0} {0} 65535 65535", ["ffff"; 8].join(":"))), {
            let longest = format!("[{}]:65535", ["ffff"; 8].join(":"));
            announced(&longest, &longest)
        }),
        (line("PROXY UNKNOWN"), None),
        (line("PROXY UNKNOWN ffff:f...f:ffff what ever 65535"), None),
        (line(&format!("PROXY UNKNOWN {}", "x".repeat(MAX_V1 - 16))), None),
        (v2_of(PROXY, 0x11, 12, &BLOCK_V4), v4),
        (v2_of(PROXY, 0x21, 36, &block_v6), v6),
        (v2_of(PROXY, 0x11, 20, &with_extensions), v4),
        (v2_of(PROXY, 0x11, MAX_V2 - V2_HEAD, &longest), v4),
        // A client that came to the proxy by QUIC.
        (v2_of(PROXY, 0x12, 12, &BLOCK_V4), v4),
        // A client on a Unix socket, and one without an address.
        (v2_of(PROXY, 0x31, 216, &[b'a'; 216]), None),
        (v2_of(PROXY, 0x00, 0, &[]), None),
        (v2_of(PROXY, 0x00, 5, b"what?"), None),
        // The proxy itself, whatever stands behind that.
        (v2_of(LOCAL, 0x00, 0, &[]), None),
        (v2_of(LOCAL, 0x11, 12, &BLOCK_V4), None),
        (v2_of(LOCAL, 0xff, 3, b"abc"), None),
    ] {
        let stream = [&header[..], b"GET / HTTP/1.1\r\n\r\n\r\n\r\n\0\r\nQUIT\n"].concat();
        for most in [1, 2, 7, usize::MAX] {
            assert_eq!(
                read(&stream, most),
                (Some(Ok(expected)), header.len()),
                "{:?}",
                header.escape_ascii()
            );
        }
        for cut in 0..header.len() {
            assert_eq!(read(&stream[..cut], usize::MAX), (None, cut), "{:?} at {cut}", header.escape_ascii());
        }
    }
}

#[test]
fn what_is_no_header_is_refused_within_its_bound() {
    use HeaderReason::{Malformed, Missing, TooLong};
    let line = |text: &str| format!("{text}\r\n").into_bytes();
    for (stream, expected, most) in [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Missing, SHORTEST),
        (vec![0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3, 0, 0, 0, 0, 0, 0], Missing, SHORTEST),
        (line("PROXX TCP4 192.0.2.1 198.51.100.7 56324 443"), Missing, SHORTEST),
        (line("proxy TCP4 192.0.2.1 198.51.100.7 56324 443"), Missing, SHORTEST),
        (line("PROXY_TCP4 192.0.2.1 198.51.100.7 56324 443"), Missing, SHORTEST),
        (b"\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c".to_vec(), Missing, SHORTEST),
        (line("PROXY TCP5 192.0.2.1 198.51.100.7 56324 443"), Malformed, MAX_V1),
        (line("PROXY TCP4 192.0.2.256 198.51.100.7 56324 443"), Malformed, MAX_V1),
        (line("PROXY TCP4 192.0.2.1 198.51.100.7 56324 65536"), Malformed, MAX_V1),
        (line("PROXY TCP4 2001:db8::1 2001:db8::1 1 2"), Malformed, MAX_V1),
        (line("PROXY TCP4  192.0.2.1 198.51.100.7 56324 443"), Malformed, MAX_V1),
        (line("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 1"), Malformed, MAX_V1),
        (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n".to_vec(), Malformed, MAX_V1),
        (b"PROXY UNKNOWN\nGET / HTTP/1.1\r\n\r\n".to_vec(), Malformed, MAX_V1),
        ([b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat(), TooLong, MAX_V1),
        (line(&format!("PROXY UNKNOWN {}", "x".repeat(MAX_V1 - 15))), TooLong, MAX_V1),
        ([b"PROXY TCP4 ".to_vec(), vec![b' '; 200]].concat(), TooLong, MAX_V1),
        // A version, a command, a family and a transport that there are not.
        (v2_of(0x11, 0x11, 12, &BLOCK_V4), Malformed, V2_HEAD),
        (v2_of(0x22, 0x11, 12, &BLOCK_V4), Malformed, V2_HEAD),
        (v2_of(PROXY, 0x41, 12, &BLOCK_V4), Malformed, V2_HEAD + 12),
        (v2_of(PROXY, 0x13, 12, &BLOCK_V4), Malformed, V2_HEAD + 12),
        // Lengths that are too short for their addresses, and too long.
        (v2_of(PROXY, 0x11, 11, &BLOCK_V4), Malformed, V2_HEAD + 11),
        (v2_of(PROXY, 0x21, 12, &BLOCK_V4), Malformed, V2_HEAD + 12),
        (v2_of(PROXY, 0x31, 215, &[b'a'; 216]), Malformed, V2_HEAD + 215),
        (v2_of(PROXY, 0x11, MAX_V2 - V2_HEAD + 1, &BLOCK_V4), TooLong, V2_HEAD),
        (v2_of(LOCAL, 0x00, 65_535, &[]), TooLong, V2_HEAD),
    ] {
        for piece in [1, 3, usize::MAX] {
            let (result, taken) = read(&stream, piece);
            assert_eq!(result, Some(Err(expected)), "{:?}", stream.escape_ascii());
            assert!(taken <= most, "{taken} of {:?}", stream.escape_ascii());
        }
    }
}

/// Bytes that often begin like a header.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
    let v1 = "PROXY (TCP4|TCP6|UNKNOWN|TCP)?[ 0-9a-f:.+\r\n]{0,120}(\r\n)?".prop_map(String::into_bytes);
    let v2 = (any::<[u8; 2]>(), 0..5000_u16, bytes()).prop_map(|([command, family], len, rest)| {
        let command = if command < 200 { 0x20 | (command % 2) } else { command };
        v2_of(
            command,
            if family < 200 { ((family % 4) << 4) | (family / 4 % 3) } else { family },
            len.into(),
            &rest,
        )
    });
    prop_oneof![bytes(), v1, v2]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_and_however_it_is_cut_the_result_is_the_same(
        stream in hostile(),
        piece in 1..40_usize,
    ) {
        let (whole, taken) = read(&stream, usize::MAX);
        prop_assert!(taken <= stream.len().min(MAX_V2));
        let (cut, taken_cut) = read(&stream, piece);
        prop_assert_eq!(whole, cut);
        if matches!(whole, Some(Ok(_))) {
            prop_assert_eq!(taken, taken_cut);
            // What follows it changes nothing.
            let longer = [&stream[..taken], &b"\r\n127.0.0.1 PROXY"[..]].concat();
            prop_assert_eq!(read(&longer, piece), (whole, taken));
        }
    }

    #[test]
    fn what_is_sent_is_read(source: std::net::SocketAddr, destination: std::net::SocketAddr) {
        use super::super::send::{ProxyVersion, header};
        let plain = |addr: std::net::SocketAddr| (addr.ip().to_canonical(), addr.port());
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            let sent = header(version, Some(source), Some(destination));
            let (result, taken) = read(&sent, usize::MAX);
            prop_assert_eq!(taken, sent.len());
            let announced = result.unwrap().unwrap().unwrap();
            prop_assert_eq!(plain(announced.source), plain(source));
            prop_assert_eq!(plain(announced.destination), plain(destination));
        }
    }
}
