//! Content in chunks comes out as it went in, however it was framed and wherever the bytes were cut.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A chunk: its content, and how its line is written.
#[derive(Clone, Debug)]
struct Chunk {
    content: Vec<u8>,
    zeros: usize,
    upper: bool,
    extension: String,
}

fn chunk() -> impl Strategy<Value = Chunk> {
    // Any byte, and often those that look like framing.
    let byte = prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n0;1a"[..])];
    let content = prop_oneof![4 => vec(byte, 1..40), 1 => vec(any::<u8>(), 1..3000)];
    let extension = prop_oneof![Just(String::new()), "[ \t]{0,3}(;[a-z]{1,9}(=[a-z0-9\" ]{0,20})?){0,3}"];
    (content, 0..5usize, any::<bool>(), extension).prop_map(|(content, zeros, upper, extension)| Chunk {
        content,
        zeros,
        upper,
        extension,
    })
}

fn line(chunk: &Chunk, len: usize) -> String {
    let size = if chunk.upper { format!("{len:X}") } else { format!("{len:x}") };
    format!("{}{size}{}\r\n", "0".repeat(chunk.zeros), chunk.extension)
}

fn message(chunks: &[Chunk], last: &Chunk, trailers: &[(String, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in chunks {
        bytes.extend_from_slice(line(chunk, chunk.content.len()).as_bytes());
        bytes.extend_from_slice(&chunk.content);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(line(last, 0).as_bytes());
    for (name, value) in trailers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Takes one piece; appends what is content of it, and says how many bytes were taken.
fn take(framing: &mut Framing, piece: &[u8], content: &mut Vec<u8>) -> Result<usize, Malformed> {
    let mut rest = piece;
    while !rest.is_empty() && !framing.is_whole() {
        let taken = framing.take(rest)?;
        let (found, behind) = rest[taken.framing..].split_at(taken.content);
        assert!(behind.len() < rest.len(), "it gets on");
        content.extend_from_slice(found);
        rest = behind;
    }
    Ok(piece.len() - rest.len())
}

/// The pieces of `bytes` between these places.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

proptest! {
    #[test]
    fn content_in_chunks_comes_out_whole(
        chunks in vec(chunk(), 0..12),
        last in chunk(),
        trailers in vec(("x-[a-z]{1,12}", "[a-z0-9]{0,20}"), 0..5),
        behind in vec(any::<u8>(), 0..20),
        cuts in vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let message = message(&chunks, &last, &trailers);
        let all = [&message[..], &behind].concat();
        let (mut framing, mut content, mut taken) = (Framing::chunked(), Vec::new(), 0);
        for piece in pieces(&all, &cuts) {
            prop_assert_eq!(framing.is_whole(), taken == message.len());
            taken += take(&mut framing, piece, &mut content)?;
        }
        prop_assert!(framing.is_whole());
        prop_assert_eq!(taken, message.len());
        let expected: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.content.clone()).collect();
        prop_assert_eq!(content, expected);
        let fields = framing.trailers()?.unwrap_or_default();
        let mut found: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let mut expected: Vec<_> =
            trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        // A map has equal names beside each other.
        found.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_message_that_is_cut_off_is_never_whole(
        chunks in vec(chunk(), 0..12),
        last in chunk(),
        end in any::<prop::sample::Index>(),
        cuts in vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let message = message(&chunks, &last, &[]);
        let (mut framing, mut content) = (Framing::chunked(), Vec::new());
        for piece in pieces(&message[..end.index(message.len())], &cuts) {
            take(&mut framing, piece, &mut content)?;
        }
        prop_assert!(!framing.is_whole() && !framing.end());
    }

    #[test]
    fn what_is_no_framing_is_refused_alike_wherever_it_is_cut(
        bytes in vec(prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n0;1a "[..])], 0..60),
        cuts in vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let read = |cuts: &[prop::sample::Index]| {
            let (mut framing, mut content, mut taken) = (Framing::chunked(), Vec::new(), 0);
            for piece in pieces(&bytes, cuts) {
                taken += take(&mut framing, piece, &mut content).ok()?;
            }
            Some((content, taken, framing.is_whole()))
        };
        prop_assert_eq!(read(&cuts), read(&[]));
    }
}
