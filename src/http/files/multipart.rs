//! Several ranges of a file as one `multipart/byteranges` body (RFC 9110 §14.6, RFC 2046 §5.1).

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::sync::Arc;

use crate::brigade::{Brigade, Bucket, FileSlice};

/// A delimiter that cannot be predicted, and so cannot be in a file on purpose.
pub(super) fn boundary() -> String {
    // Two keys of 128 random bits each yield two numbers that look random.
    let [one, two] = [(); 2].map(|()| RandomState::new().build_hasher().finish());
    format!("sluicegate-{one:016x}{two:016x}")
}

/// The body: each range with its place and the file's `media_type`, the bytes as file slices.
pub(super) fn body(
    file: &Arc<File>,
    size: u64,
    parts: &[Range<u64>],
    media_type: &str,
    boundary: &str,
) -> Brigade {
    let mut body = Brigade::new();
    for (at, part) in parts.iter().enumerate() {
        let before = if at == 0 { "" } else { "\r\n" };
        let head = format!(
            "{before}--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: bytes {}-{}/{size}\r\n\r\n",
            part.start,
            part.end - 1,
        );
        body.push(Bucket::Data(head.into()));
        body.push(FileSlice::new(Arc::clone(file), part.start, part.end - part.start));
    }
    body.push(Bucket::Data(format!("\r\n--{boundary}--\r\n").into()));
    body.push(Bucket::Eos);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_in_order_between_their_delimiters() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let body = body(&file, 5000, &[0..1, 4000..5000], "text/css", "B");
        let text: String = body
            .iter()
            .map(|bucket| match bucket {
                Bucket::Data(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                Bucket::File(slice) => format!("<{}+{}>", slice.offset(), slice.len()),
                _ => String::new(),
            })
            .collect();
        assert_eq!(
            text,
            "--B\r\nContent-Type: text/css\r\nContent-Range: bytes 0-0/5000\r\n\r\n<0+1>\r\n\
             --B\r\nContent-Type: text/css\r\nContent-Range: bytes 4000-4999/5000\r\n\r\n<4000+1000>\r\n--B--\r\n"
        );
        assert!(body.ends());
    }

    #[test]
    fn boundaries_are_valid_and_differ() {
        let boundary = boundary();
        assert!(
            boundary.len() <= 70 && boundary.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        );
        assert_ne!(boundary, super::boundary());
    }
}
