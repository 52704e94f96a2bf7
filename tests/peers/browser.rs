//! Chromium without a window: a page with its style and its picture, at a pace.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::backend;
use crate::program::{PATIENCE, loud, program, site, succeeded};
use crate::sluicegate::Sluicegate;

/// The document at `url` as the browser has it when all of the page is loaded.
pub fn dump(url: &str) -> String {
    dump_with(&[], url)
}

/// The same of a browser with further flags.
pub fn dump_with(flags: &[&str], url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let dom = succeeded(
        Command::new(program("chromium"))
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--no-proxy-server", "--timeout=40000"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(flags)
            .args(["--dump-dom", url]),
    );
    String::from_utf8(dom).unwrap()
}

/// Looks at the site in a frame, and says in its own document what is there when all is loaded.
const PROBE: &str = r#"<!doctype html>
<title>loading</title>
<iframe src="/index.html" width="960" height="2000"></iframe>
<p>loading</p>
<script>
onload = () => {
    const page = document.querySelector("iframe").contentDocument;
    const image = page.images[0];
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    // Rows that did not come stay transparent.
    const last = context.getImageData(0, canvas.height - 1, canvas.width, 1).data;
    const whole = image.complete && last.every((value, index) => index % 4 != 3 || value == 255);
    const width = page.defaultView.getComputedStyle(page.querySelector("main")).maxWidth;
    document.querySelector("p").textContent =
        `picture ${canvas.width}x${canvas.height} ${whole ? "whole" : "cut"}, style ${width}`;
};
</script>
"#;

#[test]
fn a_page_and_its_picture_come_whole_at_a_pace() {
    let _machine = loud();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gate.toml");
    std::fs::create_dir(folder.path().join("probe")).unwrap();
    std::fs::write(folder.path().join("probe/index.html"), PROBE).unwrap();
    std::fs::write(&config, configuration(&site())).unwrap();
    let server = Sluicegate::run(&config);
    let begin = Instant::now();
    let dom = dump(&server.url("/probe/"));
    assert!(dom.contains("picture 960x540 whole, style 672px"), "{dom}");
    // Eighteen chunks and a remainder on a connection of its own: 3.4 s at least.
    assert!(begin.elapsed() > Duration::from_millis(3_400), "{:?}", begin.elapsed());
    server.logged(&[("target", "/images/staircase.png"), ("bytes", "231315"), ("outcome", "complete")]);
}

fn configuration(site: &Path) -> String {
    format!(
        "access_log = \"stderr\"\n[[route]]\npath = \"/\"\nfiles = \"{}\"\nrate = 60\n\
         [[route]]\npath = \"/probe/\"\nfiles = \"probe\"\n",
        site.display()
    )
}

#[test]
fn a_listing_leads_to_its_files() {
    let _machine = loud();
    let server = Sluicegate::serve(&site(), &["--rate", "60", "--list", "--index", "none.html"]);
    let dom = dump(&server.url("/guide/"));
    for link in
        ["href=\"bursts.html\"", "href=\"%C3%A9cluses.html\"", "href=\"../\"", ">écluses.html<", "4 entries"]
    {
        assert!(dom.contains(link), "{link} in {dom}");
    }
}

/// An answer that says nothing.
const EMPTY: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// Counts events with the browser's own reader of such streams. The page counts as loading until the
/// picture has its answer, and that waits until the page says that it has all events.
const LISTENER: &str = r#"<!doctype html>
<p>waiting</p>
<script>
const events = new EventSource("/events/");
let seen = 0;
events.onmessage = (event) => {
    seen += 1;
    document.querySelector("p").textContent = `${seen} events, last ${event.lastEventId}: ${event.data}`;
    if (event.lastEventId == "59") {
        events.close();
        fetch("/done");
    }
};
</script>
<img src="/wait">
"#;

#[test]
fn an_event_source_gets_all_events() {
    let _machine = loud();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gate.toml");
    let (upstream, _sent) = backend::events();
    let (done, all_seen) = mpsc::channel();
    let done = backend::backend(move |stream| {
        // Nobody waits any more when the test has failed already.
        let _ = done.send(());
        stream.write_all(EMPTY)
    });
    let all_seen = Arc::new(Mutex::new(all_seen));
    let wait = backend::backend(move |stream| {
        let _ = all_seen.lock().unwrap().recv_timeout(PATIENCE);
        stream.write_all(EMPTY)
    });
    std::fs::create_dir(folder.path().join("page")).unwrap();
    std::fs::write(folder.path().join("page/index.html"), LISTENER).unwrap();
    std::fs::write(
        &config,
        format!(
            "[[route]]\npath = \"/page/\"\nfiles = \"page\"\n\
             [[route]]\npath = \"/wait\"\nproxy = \"http://{wait}\"\n\
             [[route]]\npath = \"/done\"\nproxy = \"http://{done}\"\n\
             [[route]]\npath = \"/events/\"\nproxy = \"http://{upstream}\"\nrate = 1\n"
        ),
    )
    .unwrap();
    let server = Sluicegate::run(&config);
    let dom = dump(&server.url("/page/"));
    assert!(dom.contains("60 events, last 59: the level is 013"), "{dom}");
}
