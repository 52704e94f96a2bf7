//! The `Date` field of answers.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

thread_local! {
    /// The last value and its second: most answers fall in the second of another.
    static LAST: RefCell<(u64, [u8; 29])> = const { RefCell::new((u64::MAX, [b' '; 29])) };
}

/// Calls `take` with the present time as a field value.
#[allow(clippy::disallowed_methods, reason = "the calendar's time, which no test needs to set")]
pub(super) fn with_date<T>(take: impl FnOnce(&[u8; 29]) -> T) -> T {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|(last, text)| {
        if *last != seconds {
            // Always 29 bytes (RFC 9110, section 5.6.7).
            let now = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            text.copy_from_slice(now.as_bytes());
            *last = seconds;
        }
        take(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_date_of_now() {
        let text = with_date(|date| String::from_utf8(date.to_vec()).unwrap());
        let told = httpdate::parse_http_date(&text).unwrap();
        assert!(SystemTime::now().duration_since(told).unwrap() < Duration::from_secs(60), "{text}");
    }
}
