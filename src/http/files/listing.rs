//! The page that lists a folder.

use std::collections::BinaryHeap;
use std::fs::{File, Metadata};
use std::io;
use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rustix::fs::{Dir, FileType};

use super::confine::{Root, Shown};
use super::path::Below;

/// The most entries on one page: about 400 KB of HTML. More are left out, and the page says so.
const MAX_ENTRIES: usize = 2_000;

/// The most names read for one page. A folder with more would hold a thread of the pool too long.
const MAX_NAMES: usize = 100_000;

/// What stays as it is in a link: RFC 3986 calls these unreserved.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const STYLE: &str = include_str!("listing.css");

/// One line of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: Vec<u8>,
    folder: bool,
    size: u64,
    modified: Option<SystemTime>,
}

/// What a folder holds, as far as it is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// Folders first, each in the order of their names.
    entries: Vec<Entry>,
    /// Whether some were left out.
    cut: bool,
}

/// Reads the open `folder`, which is `below` the root. May wait for a disk.
///
/// Unless dot files are `shown`, they are left out, and so is all that would not be served anyway: devices, FIFOs,
/// and links to either, or out of the root.
///
/// # Errors
/// If the folder cannot be read. What vanishes meanwhile is no error.
pub(super) fn read(root: &Root, folder: File, below: &Below, shown: Shown) -> io::Result<Listing> {
    let mut first = Smallest::default();
    let mut names = 0;
    for entry in Dir::new(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name.starts_with(b".") && !shown.dot_files {
            continue;
        }
        let Some(child) = below.child(name) else { continue };
        names += 1;
        if names > MAX_NAMES {
            first.cut = true;
            break;
        }
        let folder = match entry.file_type() {
            FileType::Directory => true,
            FileType::RegularFile => false,
            FileType::Symlink | FileType::Unknown => match root.look(&child, shown) {
                Ok(metadata) if metadata.is_dir() => true,
                Ok(metadata) if metadata.is_file() => false,
                _ => continue,
            },
            _ => continue,
        };
        first.add(Key::new(name, folder));
    }
    let mut listing = Listing { entries: Vec::new(), cut: first.cut };
    for Key { file, name, .. } in first.keys.into_sorted_vec() {
        let looked = below.child(&name).map(|child| root.look(&child, shown));
        if let Some(Ok(metadata)) = looked {
            listing.entries.push(Entry::new(name, !file, &metadata));
        }
    }
    Ok(listing)
}

impl Entry {
    fn new(name: Vec<u8>, folder: bool, metadata: &Metadata) -> Self {
        Self { name, folder, size: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// How entries are ordered: folders before files, then without regard to case.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    file: bool,
    folded: String,
    name: Vec<u8>,
}

impl Key {
    fn new(name: &[u8], folder: bool) -> Self {
        Self { file: !folder, folded: String::from_utf8_lossy(name).to_lowercase(), name: name.to_vec() }
    }
}

/// The first entries of a folder in order, however many it has, in bounded memory.
#[derive(Default)]
struct Smallest {
    keys: BinaryHeap<Key>,
    cut: bool,
}

impl Smallest {
    fn add(&mut self, key: Key) {
        self.keys.push(key);
        if self.keys.len() > MAX_ENTRIES {
            let _largest = self.keys.pop();
            self.cut = true;
        }
    }
}

/// The page as HTML for the folder `below` the root.
///
/// All links are relative to the folder's own address, which ends in a slash.
pub(super) fn page(listing: &Listing, below: &Below) -> String {
    let name = below.as_path().to_string_lossy();
    let segments: Vec<&str> = if below.is_root() { Vec::new() } else { name.split('/').collect() };
    let title = segments.last().map_or("Files".to_owned(), |last| escape(last));
    let mut crumbs = String::new();
    for (up, segment) in
        std::iter::once(&"Files").chain(&segments).rev().enumerate().collect::<Vec<_>>().iter().rev()
    {
        let segment = escape(segment);
        crumbs += &match up {
            0 => format!("<strong>{segment}</strong>"),
            _ => format!("<a href=\"{}\">{segment}</a><i>/</i>", "../".repeat(*up)),
        };
    }
    let mut rows = String::new();
    if !below.is_root() {
        rows += "<tr class=\"up\"><td><a href=\"../\">Up one folder</a></td><td></td><td></td></tr>\n";
    }
    for entry in &listing.entries {
        rows += &row(entry);
    }
    let note = match (listing.cut, listing.entries.len()) {
        (true, shown) => {
            format!("This folder holds more than is shown: only {shown} entries are listed here.")
        }
        (false, 0) => "This folder is empty.".to_owned(),
        (false, 1) => "1 entry".to_owned(),
        (false, shown) => format!("{shown} entries"),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>{crumbs}</h1>\n<table>\n\
         <thead><tr><th>Name</th><th>Size</th><th>Modified (UTC)</th></tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table>\n<p>{note}</p>\n</main>\n</body>\n</html>\n"
    )
}

fn row(entry: &Entry) -> String {
    let slash = if entry.folder { "/" } else { "" };
    let link = percent_encode(&entry.name, UNRESERVED);
    let name = escape(&String::from_utf8_lossy(&entry.name));
    let size = if entry.folder {
        "<td></td>".to_owned()
    } else {
        format!("<td title=\"{} bytes\">{}</td>", entry.size, readable(entry.size))
    };
    let class = if entry.folder { " class=\"folder\"" } else { "" };
    let date = entry.modified.and_then(date).unwrap_or_default();
    format!("<tr{class}><td><a href=\"{link}{slash}\">{name}{slash}</a></td>{size}<td>{date}</td></tr>\n")
}

/// Text as it may stand in an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // A control character could hide what follows, or turn it round.
            character if character.is_control() || is_bidi_control(character) => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

/// Whether the character changes the direction of what comes after it: `txt.exe` as `exe.txt`.
fn is_bidi_control(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A size as people read it, in powers of 1024, with three digits.
fn readable(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be rounded to 1024 is one of the next unit.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Day, month, year, hour and minute, as they stand in an HTTP date.
fn date(time: SystemTime) -> Option<String> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    if since >= super::validators::YEAR_10000 {
        return None;
    }
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    httpdate::fmt_http_date(time).get(5..22).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::{Duration, UNIX_EPOCH};

    fn entry(name: &str, folder: bool) -> Entry {
        let modified = Some(UNIX_EPOCH + Duration::from_secs(784_111_777));
        Entry { name: name.into(), folder, size: 1536, modified }
    }

    #[test]
    fn names_are_escaped_in_text_and_encoded_in_links() {
        for (name, link, text) in [
            ("plain.txt", "plain.txt", "plain.txt"),
            ("a b&c", "a%20b%26c", "a b&amp;c"),
            ("<script>\"'", "%3Cscript%3E%22%27", "&lt;script&gt;&quot;&#39;"),
            ("javascript:alert(1)", "javascript%3Aalert%281%29", "javascript:alert(1)"),
            ("?x#y%z", "%3Fx%23y%25z", "?x#y%z"),
            ("Grüße", "Gr%C3%BC%C3%9Fe", "Grüße"),
            ("a\u{202e}txt.exe", "a%E2%80%AEtxt.exe", "a\u{fffd}txt.exe"),
            ("line\nbreak", "line%0Abreak", "line\u{fffd}break"),
        ] {
            let row = row(&entry(name, false));
            assert!(row.contains(&format!("<a href=\"{link}\">{text}</a>")), "{row}");
        }
        let folder = row(&entry("logs", true));
        assert_eq!(
            folder,
            "<tr class=\"folder\"><td><a href=\"logs/\">logs/</a></td><td></td><td>06 Nov 1994 08:49</td></tr>\n"
        );
        assert!(row(&entry("f", false)).contains("<td title=\"1536 bytes\">1.50 KiB</td>"));
    }

    #[test]
    fn a_page_says_where_it_is_and_how_much_it_shows() {
        let mut listing = Listing { entries: vec![entry("f", false)], cut: false };
        let deep = page(&listing, &Below::parse("a%3Cb/c/", false).unwrap());
        assert!(deep.contains(
            "<h1><a href=\"../../\">Files</a><i>/</i><a href=\"../\">a&lt;b</a><i>/</i><strong>c</strong></h1>"
        ));
        assert!(deep.contains("<a href=\"../\">Up one folder</a>") && deep.contains("<p>1 entry</p>"));

        let root = Below::parse("", false).unwrap();
        assert!(!page(&listing, &root).contains("Up one folder"));
        listing.cut = true;
        assert!(page(&listing, &root).contains("only 1 entries are listed"));
        assert!(page(&Listing::default(), &root).contains("This folder is empty."));
    }

    #[test]
    fn sizes_are_readable() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10_234, "9.99 KiB"),
            (10_239, "10.0 KiB"),
            (102_400, "100 KiB"),
            (1_048_063, "1023 KiB"),
            (1_048_064, "1.00 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(readable(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn a_folder_is_read_in_order_without_what_is_not_served() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.txt", "A.txt", ".hidden", ".well-known", "back\\slash", "ä.txt"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        fs::create_dir(dir.path().join("zoo")).unwrap();
        std::os::unix::fs::symlink("zoo", dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("leaves")).unwrap();
        std::os::unix::fs::symlink(".hidden", dir.path().join("shows")).unwrap();
        std::os::unix::fs::symlink("gone", dir.path().join("dangling")).unwrap();
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("fifo"), FileType::Fifo, mode, 0).unwrap();

        let names = |root: Root| {
            let listing = read(
                &root,
                File::open(dir.path()).unwrap(),
                &Below::parse("", false).unwrap(),
                Shown::default(),
            )
            .unwrap();
            assert!(!listing.cut);
            let names: Vec<_> = listing
                .entries
                .iter()
                .map(|entry| (String::from_utf8_lossy(&entry.name).into_owned(), entry.folder))
                .collect();
            names
        };
        let [link, zoo] = ["link", "zoo"].map(|name| (name.to_owned(), true));
        let files = ["A.txt", "b.txt", "ä.txt"].map(|name| (name.to_owned(), false));
        let walked = names(Root::walking(dir.path()).unwrap());
        assert_eq!(walked, [std::slice::from_ref(&zoo), &files[..]].concat());
        let all = names(Root::new(dir.path()).unwrap());
        assert!(all == walked || all == [&[link, zoo], &files[..]].concat(), "{all:?}");
    }

    #[test]
    fn a_large_folder_is_cut_behind_its_first_names() {
        let mut first = Smallest::default();
        for at in (0..MAX_ENTRIES * 2).rev() {
            first.add(Key::new(format!("{at:05}").as_bytes(), false));
        }
        let keys = first.keys.into_sorted_vec();
        assert!(first.cut && keys.len() == MAX_ENTRIES);
        assert_eq!((&keys[0].name[..], &keys[MAX_ENTRIES - 1].name[..]), (&b"00000"[..], &b"01999"[..]));
    }
}
