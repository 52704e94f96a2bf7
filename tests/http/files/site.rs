//! A root to ask for files, and what came back, read to the end.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use futures_lite::future::{block_on, poll_fn};
use http::{Method, Request, Response};
use sluicegate::body::ReadFile;
use sluicegate::brigade::Bucket;
use sluicegate::http::content::Content;
use sluicegate::http::files::Files;
use sluicegate::rt::FileReader;

/// Sun, 06 Nov 1994 08:49:37 GMT
pub const MODIFIED: u64 = 784_111_777;

/// A root with a few files, long unmodified, and a folder next to it that is none of our business.
pub struct Site {
    pub dir: tempfile::TempDir,
    pub files: Files,
}

impl Site {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/sub/deep")).unwrap();
        fs::create_dir_all(dir.path().join("root/bare/inner")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        let files = Files::new(&dir.path().join("root")).unwrap();
        let site = Self { dir, files };
        for (name, content) in [
            ("root/index.html", "<h1>root</h1>"),
            ("root/sub/index.html", "<h1>sub</h1>"),
            ("root/digits.txt", "0123456789"),
            ("root/empty", ""),
            ("root/café.txt", "coffee"),
            ("root/.secret", "hidden"),
            ("root/bare/a & b.txt", "bare"),
            ("outside/secret.txt", "secret"),
        ] {
            site.write(name, content);
        }
        site
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        age(&path);
    }

    /// The answer with a file that nobody asked for before.
    pub fn answer_of(path: &Path, fields: &[(&str, &str)]) -> Answer {
        let (folder, name) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
        ask(&Files::new(folder).unwrap(), Method::GET, name, fields)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[])
    }

    pub fn ask(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Answer {
        ask(&self.files, method, path, fields)
    }
}

pub fn age(path: &Path) {
    let time = UNIX_EPOCH + Duration::from_secs(MODIFIED);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// A response with its body read to the end.
pub struct Answer {
    pub head: http::response::Parts,
    pub body: Result<Vec<u8>, String>,
    pub empty: bool,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_ref().unwrap()).unwrap()
    }

    pub fn field(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }
}

pub fn ask(files: &Files, method: Method, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("/{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (request, ()) = request.body(()).unwrap().into_parts();
    let path = path.split('?').next().unwrap();
    read(sendable(files.respond(&request, path)))
}

/// The server spawns what answers.
pub fn sendable<F: Future + Send>(future: F) -> F {
    future
}

pub fn read(response: impl Future<Output = Response<Content>>) -> Answer {
    let (head, content) = block_on(response).into_parts();
    let empty = matches!(content, Content::Empty);
    Answer { head, body: collect(content), empty }
}

pub fn collect(content: Content) -> Result<Vec<u8>, String> {
    let mut buckets = match content {
        Content::Empty => return Ok(Vec::new()),
        Content::Buckets(buckets) => buckets,
        Content::Stream(_) => panic!("files do not stream"),
    };
    let mut body = Vec::new();
    let mut reader = FileReader::new();
    while let Some(bucket) = buckets.pop() {
        match bucket {
            Bucket::Data(bytes) => body.extend_from_slice(&bytes),
            Bucket::File(mut slice) => {
                while !slice.is_empty() {
                    let read = block_on(poll_fn(|cx| reader.poll_read(cx, &slice)));
                    let bytes = read.map_err(|error| error.to_string())?;
                    let _read = slice.split_to(bytes.len() as u64);
                    body.extend_from_slice(&bytes);
                }
            }
            Bucket::Eos => assert!(buckets.is_empty()),
            other => panic!("{other:?}"),
        }
    }
    Ok(body)
}
