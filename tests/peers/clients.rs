//! wget, and Python's own HTTP clients.

use std::path::Path;
use std::process::Command;

use crate::backend::backend;
use crate::program::{fixture, program, site, succeeded};
use crate::sluicegate::Sluicegate;

fn wget(folder: &Path) -> Command {
    let mut command = Command::new(program("wget"));
    command.current_dir(folder).args(["--no-config", "-nv", "--tries=1"]);
    command
}

#[test]
fn a_site_is_copied_by_its_links() {
    let folder = tempfile::tempdir().unwrap();
    let server = Sluicegate::serve(&site(), &["--rate", "8m"]);
    succeeded(wget(folder.path()).args(["-r", "-nH", "-np", &server.url("/")]));
    let mut seen = 0;
    for path in files(&site()) {
        let copy = folder.path().join(&path);
        assert!(std::fs::read(&copy).unwrap() == std::fs::read(site().join(&path)).unwrap(), "{path}");
        seen += 1;
    }
    assert!(seen >= 8);
}

#[test]
fn a_started_file_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(fixture("site/logs/app.log")).unwrap();
    std::fs::write(folder.path().join("app.log"), &whole[..1_000_001]).unwrap();
    let server = Sluicegate::serve(&site(), &["--rate", "8m"]);
    succeeded(wget(folder.path()).args(["-c", &server.url("/logs/app.log")]));
    assert!(std::fs::read(folder.path().join("app.log")).unwrap() == whole);
    server.logged(&[("status", "206"), ("bytes", "1468418")]);
}

/// The files below a folder, as paths from there.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found
}

/// Runs a script with arguments; it fails by its assertions.
fn python(script: &str, args: &[&str]) {
    succeeded(Command::new(program("python3")).args(["-I", "-c", script]).args(args));
}

#[test]
fn http_client_reads_chunks_and_trailers_and_goes_on() {
    let upstream = backend(|stream| {
        use std::io::Write;
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n")?;
        for piece in ["one ", "two ", "three"] {
            write!(stream, "{:x}\r\n{piece}\r\n", piece.len())?;
        }
        stream.write_all(b"0\r\nX-End: well\r\n\r\n")
    });
    let front = Sluicegate::proxy(upstream, &["--rate", "60"]);
    // It reads trailers over; whether they were well formed shows in the next answer.
    python(
        r#"
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=20)
for fields in [{}, {"TE": "trailers", "Connection": "TE"}, {"Accept": "*/*"}]:
    connection.request("GET", "/", headers=fields)
    response = connection.getresponse()
    assert response.status == 200, response.status
    assert response.chunked
    body = response.read()
    assert body == b"one two three", body
    assert not response.will_close
"#,
        &[&front.addr.to_string()],
    );
}

#[test]
fn urllib_reads_a_paced_file_and_errors() {
    let server = Sluicegate::serve(&site(), &["--rate", "1m", "--filter", "gzip"]);
    python(
        r#"
import gzip, sys, urllib.error, urllib.request
url, path = sys.argv[1:]
whole = open(path, "rb").read()
with urllib.request.urlopen(url + "/logs/app.log", timeout=20) as response:
    assert response.headers.get_content_charset() == "utf-8", response.headers
    assert response.read() == whole
request = urllib.request.Request(url + "/logs/app.log", headers={"Accept-Encoding": "gzip"})
with urllib.request.urlopen(request, timeout=20) as response:
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.read()) == whole
with urllib.request.urlopen(url + "/guide", timeout=20) as response:
    assert response.url == url + "/guide/", response.url
    assert response.headers.get_content_type() == "text/html"
try:
    urllib.request.urlopen(url + "/none", timeout=20)
    raise AssertionError("there is no such file")
except urllib.error.HTTPError as error:
    assert error.code == 404 and error.read()
"#,
        &[&server.url(""), site().join("logs/app.log").to_str().unwrap()],
    );
}
