//! The text of brigade recordings; the README in `fixtures/brigades` describes it.

use super::{Arrival, Item, MS, Mark};

/// Reads a recording.
///
/// # Errors
/// The line that is not understood, and why.
pub fn parse(text: &str) -> Result<Vec<Arrival>, String> {
    let mut arrivals: Vec<Arrival> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let one = parse_line(line).map_err(|why| format!("line {}: {why}: {line:?}", number + 1))?;
        for arrival in one {
            if arrivals.last().is_some_and(|last| last.at > arrival.at) {
                return Err(format!("line {}: earlier than the one before: {line:?}", number + 1));
            }
            if arrivals.iter().flat_map(|a| &a.items).any(|i| matches!(i, Item::Mark(m) if m.closes())) {
                return Err(format!("line {}: something follows the end: {line:?}", number + 1));
            }
            arrivals.push(arrival);
        }
    }
    if arrivals.is_empty() { Err("nothing is recorded".into()) } else { Ok(arrivals) }
}

fn parse_line(line: &str) -> Result<Vec<Arrival>, String> {
    let (when, what) = line.split_once(char::is_whitespace).ok_or("no bucket after the instant")?;
    let mut items = Vec::new();
    for bucket in what.split(',') {
        parse_bucket(bucket, &mut items)?;
    }
    let arrival = |ms: u64| Arrival { at: ms * MS, items: items.clone() };
    let Some((from, rest)) = when.split_once("..") else { return Ok(vec![arrival(number(when)?)]) };
    let (to, step) = rest.split_once('/').ok_or("a range is FROM..TO/STEP")?;
    let step = usize::try_from(number(step)?).ok().filter(|step| *step > 0).ok_or("a step of nothing")?;
    Ok((number(from)?..=number(to)?).step_by(step).map(arrival).collect())
}

fn parse_bucket(bucket: &str, items: &mut Vec<Item>) -> Result<(), String> {
    let words: Vec<&str> = bucket.split_whitespace().collect();
    let (words, times) = match words[..] {
        [ref words @ .., "x", times] => (words, number(times)?),
        ref words => (words, 1),
    };
    let item = match *words {
        ["data", bytes] => Item::Data(number(bytes)?),
        ["file", bytes] => Item::File(number(bytes)?),
        [word] => Item::Mark(Mark::from_word(word).ok_or_else(|| format!("no bucket is called {word:?}"))?),
        _ => return Err(format!("not a bucket: {bucket:?}")),
    };
    (0..times).for_each(|_| items.push(item));
    Ok(())
}

/// A whole number; `_` may group its digits.
pub fn number(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| format!("not a whole number: {text:?}"))
}

#[test]
fn recordings_are_read_and_mistakes_are_named() {
    let read = parse("# what it is\n0 data 1_000 x 2, flush\n\n10..30/10 file 5 # thrice\n30 trailers, eos")
        .unwrap();
    let at: Vec<u64> = read.iter().map(|arrival| arrival.at / MS).collect();
    assert_eq!(at, [0, 10, 20, 30, 30]);
    assert_eq!(read[0].items, [Item::Data(1000), Item::Data(1000), Item::Mark(Mark::Flush)]);
    assert_eq!(read[2].items, [Item::File(5)]);
    assert_eq!(read[4].items, [Item::Mark(Mark::Trailers), Item::Mark(Mark::Eos)]);
    for (bad, why) in [
        ("", "nothing is recorded"),
        ("0", "no bucket"),
        ("0 date 5", "not a bucket"),
        ("0 eof", "no bucket is called"),
        ("x data 5", "whole number"),
        ("0 data -5", "whole number"),
        ("0..9 data 5", "FROM..TO/STEP"),
        ("0..9/0 data 5", "step of nothing"),
        ("5 data 5\n4 eos", "earlier"),
        ("0 eos\n1 data 5", "follows the end"),
    ] {
        let error = parse(bad).unwrap_err();
        assert!(error.contains(why), "{bad:?} gave {error:?}");
    }
}
