//! The requests of other tests that break rules, or look as if they did: faults, smuggling, confinement.

/// Each is all that comes over one connection.
pub(super) fn all() -> Vec<Vec<u8>> {
    let lines = LINES.iter().map(|line| [line, &b"\r\nHost: t\r\n\r\n"[..]].concat());
    let fields = FIELDS.iter().map(|fields| [b"POST /x HTTP/1.1\r\n", *fields, b"\r\n\r\n"].concat());
    let old = FIELDS.iter().map(|fields| [b"POST /x HTTP/1.0\r\n", *fields, b"\r\n\r\n"].concat());
    let targets = TARGETS.split_ascii_whitespace().map(|target| {
        format!("GET /{target} HTTP/1.1\r\nHost: t\r\n\r\nGET /next HTTP/1.1\r\nHost: t\r\n\r\n").into_bytes()
    });
    let contents = CONTENTS.iter().map(|content| {
        let head = b"POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
        [head, *content, b"GET /next HTTP/1.1\r\nHost: t\r\n\r\n"].concat()
    });
    let many =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", "a: b\r\n".repeat(count)).into_bytes();
    lines
        .chain(fields)
        .chain(old)
        .chain(targets)
        .chain(contents)
        .chain(WHOLE.iter().map(|bytes| bytes.to_vec()))
        .chain([many(99), many(127), many(128), b"GET / HTTP/1.1\r\nHost: t\r\n\r\n".repeat(40)])
        .collect()
}

const LINES: &[&[u8]] = &[
    b"GET / HTTP/1.1",
    b"HEAD / HTTP/1.1",
    b"BREW /pot HTTP/1.1",
    b"what is this",
    b"GET /",
    b"GET / HTTP/1.1 ",
    b"GET  / HTTP/1.1",
    b" GET / HTTP/1.1",
    b"G@T / HTTP/1.1",
    b"GET / http/1.1",
    b"GET / HTTP/1.1x",
    b"GET / HTTP/1.10",
    b"GET / HTTP/01.1",
    b"GET / HTTP/1",
    b"GET / HTTP/2.0",
    b"GET / HTTP/3.0",
    b"GET / HTTP/0.9",
    b"GET / HTTP/1.7",
    b"GET / HTTP/1.1\r",
    b"GET /\rX: y HTTP/1.1",
    b"GET /\tx HTTP/1.1",
    b"GET /a b HTTP/1.1",
    b"GET /a\x7f HTTP/1.1",
    b"GET /a?`&=a HTTP/1.1",
    b"GET /a?\"<`> HTTP/1.1",
    b"GET /a\0 HTTP/1.1",
    b"GET\t/ HTTP/1.1",
    b"GET /\x0bx HTTP/1.1",
    b"GET * HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"OPTIONS /x HTTP/1.1",
    b"GET index.html HTTP/1.1",
    b"GET h:443 HTTP/1.1",
    b"POST a.example HTTP/1.1",
    b"GET ?a HTTP/1.1",
    b"GET  HTTP/1.1",
    b"GET http://h:80/a?b HTTP/1.1",
    b"GET HTTP://h HTTP/1.1",
    b"GET https://h/ HTTP/1.1",
    b"GET ftp://h/ HTTP/1.1",
    b"GET http:/a HTTP/1.1",
    b"GET http:///a HTTP/1.1",
    b"GET http://u@h/ HTTP/1.1",
    b"GET http://:80/ HTTP/1.1",
    b"GET http://[::1]:80/ HTTP/1.1",
    b"CONNECT h:443 HTTP/1.1",
    b"CONNECT h HTTP/1.1",
    b"CONNECT /x HTTP/1.1",
    b"\x16\x03\x01",
    b"SSH-2.0-OpenSSH_9",
    b"\xef\xbb\xbfGET / HTTP/1.1",
];

/// Behind a line of each version.
const FIELDS: &[&[u8]] = &[
    b"Host: t",
    b"A: b",
    b"Host: t:80",
    b"Host: t\r\nHost: t",
    b"Host: a b/\"",
    b"Host: u@t",
    b"Host: ",
    b"no colon",
    b"na me: x",
    b": x",
    b"a : x",
    b"a: \0",
    b" folded: x",
    b"Host: t\r\n folded",
    b"Host: t\r\nA: b\r\n\tfolded",
    b"Host: t\r\nA: b\rc",
    b"Host: t\r\nA: b\nContent-Length: 0",
    b"Host: t\r\nX: \xc3\xa9",
    b"Host: t\r\nTransfer-Encoding: gzip\xff\r\nTransfer-Encoding: chunked",
    b"Host: t\r\nTransfer-Encoding: gzip\xff, chunked",
    b"Host: t\r\nTransfer-Encoding: xchunked",
    b"Host: t\r\nTransfer-Encoding: chunked;a=b",
    b"Host: t\r\nTransfer-Encoding: \"chunked\"",
    b"Host: t\r\nTransfer-Encoding: ,chunked",
    b"Host: t\r\nTransfer-Encoding: chunked,",
    b"Host: t\r\nTransfer-Encoding:\x0bchunked",
    b"Host: t\r\nTransfer-Encoding : chunked",
    b"Host: t\r\nTransfer_Encoding: chunked",
    b"Host: t\r\nTransfer-Encoding: gzip, chunked",
    b"Host: t\r\nTransfer-Encoding: chunked, gzip",
    b"Host: t\r\nTransfer-Encoding: chunked, chunked",
    b"Host: t\r\nTransfer-Encoding: gzip",
    b"Host: t\r\nTransfer-Encoding: identity",
    b"Host: t\r\nTransfer-Encoding: ",
    b"Host: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
    b"Host: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
    b"Host: t\r\nContent-Length: x\r\nTransfer-Encoding: chunked",
    b"Host: t\r\nConnection: x-hop, \xff\r\nX-Hop: 1",
    b"Host: t\r\nConnection: close",
    b"Host: t\r\nConnection: keep-alive",
    b"Host: t\r\nConnection: keep-alive, close",
    b"Host: t\r\nConnection: close\r\nConnection: keep-alive",
    b"Host: t\r\nConnection: closed",
    b"Host: t\r\nConnection: content-length\r\nContent-Length: 0",
    b"Host: t\r\nContent-Length: 0",
    b"Host: t\r\nContent-Length: 0\xff",
    b"Host: t\r\nContent-Length: +0",
    b"Host: t\r\nContent-Length: -0",
    b"Host: t\r\nContent-Length: 0x0",
    b"Host: t\r\nContent-Length: 0 0",
    b"Host: t\r\nContent-Length: ",
    b"Host: t\r\nContent-Length: 00",
    b"Host: t\r\nContent-Length: 5, 6",
    b"Host: t\r\nContent-Length: 5\r\nContent-Length: 6",
    b"Host: t\r\nContent-Length: 99999999999999999999",
    b"Host: t\r\nContent-Length: 18446744073709551615",
    b"Host: t\r\nKeep-Alive: \xff",
    b"Host: t\r\nUpgrade: \xff",
    b"Host: t\r\nConnection: Upgrade\r\nUpgrade: websocket",
    b"Host: t\r\nExpect: 100-continue",
    b"Host: t\r\nExpect: 100-continue\r\nContent-Length: 5",
    b"Host: t\r\nExpect: 100-continue\r\nExpect: 100-continue",
    b"Host: t\r\nExpect: 100-continue\r\nExpect: x",
    b"Host: t\r\nExpect: x, 100-continue",
];

/// Behind the root.
const TARGETS: &str = "nothing .secret %2esecret ../outside/secret.txt .. sub/../digits.txt sub/../../outside/x \
    %2e%2e/outside/secret.txt %2E%2E%2Foutside%2Fsecret.txt sub/%2e%2e/%2e%2e/outside/secret.txt ..%5coutside \
    sub%5c..%5cdigits.txt /etc/passwd //etc/passwd %2fetc%2fpasswd digits.txt%00 %00 sub//index.html ./digits.txt \
    %73low/x slo%77/%78 /slow//x ./slow/%2e/x y/%2E%2e/slow/x %%37%33low/x a%2Fb //evil.example/..//a .//evil.example/ \
    p/y%5c..%5cx p/a%2Fb//c;d%3B%7e a\"<>`?q={x=\"y\"}&z=\u{ff} ?/../x a?b?c#d #x %zz % %2 a\\b";

/// Behind a head that announces chunks, with a request behind each.
const CONTENTS: &[&[u8]] = &[
    b"5\r\nhello\r\n0\r\n\r\n",
    b"A;x=y\r\n0123456789\r\n0001 \r\n!\r\n000\r\n\r\n",
    b"1\r\na\r\n0\r\nExpires: never\r\nA: b\r\n\r\n",
    b"0\r\nContent-Length: 5\r\nHost: u\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"0\r\nA: \r\n\r\n",
    b"x",
    b"\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"-1\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"1\na\r\n0\r\n\r\n",
    b"1;\na\r\n0\r\n\r\n",
    b"1;a\rb\r\na\r\n0\r\n\r\n",
    b"1\rx",
    b"1\r\nab\r\n",
    b"1\r\na\n0\r\n\r\n",
    b"1\r\na\rx",
    b"1\r\na0\r\n\r\n",
    b"10000000000000000\r\n",
    b"ffffffffffffffff\r\nabc",
    b"0\r\nno field\r\n\r\n",
    b"0\r\n: x\r\n\r\n",
    b"0\r\n\n",
    b"0\n\r\n",
    b"0\n\n",
    b"0\r\nA: b\n\r\n",
    b"0\r\nA: b\n\n",
    b"0\r\nA: b\r\n\n",
    b"0\r\nA: b\r\n folded\r\n\r\n",
    b"5\t\r\nhello\r\n0\r\n\r\n",
    b"5 ;x\r\nhello\r\n0\r\n\r\n",
    b"5;x=\"\r\nhello\r\n0\r\n\r\n",
    b"5 5\r\nhello\r\n0\r\n\r\n",
    b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
];

const WHOLE: &[&[u8]] = &[
    b"",
    b"\r",
    b"\r\n\r\n",
    b"G",
    b"GET /",
    b"GET / HTTP/1.1\r\nHost:",
    b"GET / HTTP/1.1\nHost: t\n\nGET /next HTTP/1.1\nHost: t\n\n",
    b"GET / HTTP/1.1\r\nHost: t\r\n\nGET /next HTTP/1.1\nHost: t\r\n\r\n",
    b"\r\n\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n\r\nGET /next HTTP/1.1\r\nHost: t\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\nGET /next HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /next HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\nGET /next HTTP/1.1\r\nHost: t\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 36\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhelloGET /next HTTP/1.1\r\nHost: t\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhel",
    b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello\r\nGET /next HTTP/1.1\r\nHost: t\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: f\r\nConnection: content-length\r\nContent-Length: 31\r\n\r\nGET /admin HTTP/1.1\r\nHost: f\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nokGET /next HTTP/1.1\r\nHost: t\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: t\r\n\r\nGET /next HTTP/1.1\r\nHost: t\r\n\r\n",
];
