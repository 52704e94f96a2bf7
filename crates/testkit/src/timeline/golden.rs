//! Golden timelines: the text of `fixtures/pacing`, and the comparison of all of them with a runner.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::recording::{self, number};
use super::{Case, Line, MS, Mark, Response, Runner, lines};

/// A case and the timeline it must give.
pub struct Golden {
    /// The name of its file in `fixtures/pacing`.
    pub name: String,
    /// What runs.
    pub case: Case,
    /// What must come out.
    pub lines: Vec<Line>,
}

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(folder)
}

/// All goldens, by name.
///
/// # Panics
/// If there is none, one is not understood, a recording is used by none, or a file is neither.
pub fn all() -> Vec<Golden> {
    let names = names_in("pacing");
    assert!(!names.is_empty(), "no golden timelines in fixtures/pacing");
    let mut unused = names_in("brigades");
    let goldens: Vec<Golden> = names
        .into_iter()
        .map(|name| {
            let text = read("pacing", &name);
            let golden = parse(&name, &text, |recording| {
                unused.retain(|name| name != recording);
                recording::parse(&read("brigades", recording))
                    .map_err(|why| format!("fixtures/brigades/{recording}, {why}"))
            });
            golden.unwrap_or_else(|why| panic!("fixtures/pacing/{name}: {why}"))
        })
        .collect();
    assert!(unused.is_empty(), "recordings that no golden uses: {unused:?}");
    goldens
}

fn names_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(fixtures(folder)).unwrap_or_else(|why| panic!("fixtures/{folder}: {why}"));
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "README.md");
    let strange = names.iter().find(|name| !name.ends_with(".txt"));
    assert_eq!(strange, None, "only .txt and README.md belong in fixtures/{folder}");
    names.sort();
    names
}

fn read(folder: &str, name: &str) -> String {
    fs::read_to_string(fixtures(folder).join(name)).unwrap_or_else(|why| panic!("{folder}/{name}: {why}"))
}

/// Reads a golden; `recording` finds the recordings it names.
///
/// # Errors
/// The line that is not understood, and why.
pub fn parse(
    name: &str,
    text: &str,
    mut recording: impl FnMut(&str) -> Result<Vec<super::Arrival>, String>,
) -> Result<Golden, String> {
    let mut case = Case { rate: None, ..Case::one(1, Vec::new()) };
    case.responses.clear();
    let mut expected: Option<Vec<Line>> = None;
    let mut rate_given = false;
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut understand = || -> Result<(), String> {
            match words[..] {
                [] => {}
                _ if expected.is_some() => expected.get_or_insert_default().push(expected_line(&words)?),
                ["timeline"] => expected = Some(Vec::new()),
                ["rate", rate] => (case.rate, rate_given) = (rate_or_off(rate)?, true),
                ["rate", rate, "for", bytes] => case.first.push((rate_or_off(rate)?, number(bytes)?)),
                ["catch_up", ms] => case.catch_up = number(ms)? * MS,
                ["burst", burst] => case.burst = number(burst)?,
                ["interval", ms] => case.interval = number(ms)? * MS,
                ["end_of_stream", "immediate"] => case.paced_end = false,
                ["end_of_stream", "paced"] => case.paced_end = true,
                ["recording", name] => {
                    case.responses.push(Response { after: 0, arrivals: recording(name)? });
                }
                ["recording", name, "after", ms] => {
                    case.responses.push(Response { after: number(ms)? * MS, arrivals: recording(name)? });
                }
                ["stall", from, to] => case.stalls.push((number(from)? * MS, number(to)? * MS)),
                ["change", ms, rate] => case.changes.push((number(ms)? * MS, rate_or_off(rate)?)),
                _ => return Err("not a setting".into()),
            }
            Ok(())
        };
        understand().map_err(|why| format!("line {}: {why}: {line:?}", at + 1))?;
    }
    let lines = expected.filter(|lines| !lines.is_empty()).ok_or("no timeline")?;
    if !rate_given {
        return Err("no rate".into());
    }
    if case.responses.is_empty() {
        return Err("no recording".into());
    }
    if !text.lines().next().is_some_and(|line| line.starts_with('#')) {
        return Err("a golden begins with the comment that derives its numbers".into());
    }
    consistent(&lines)?;
    Ok(Golden { name: name.into(), case, lines })
}

fn rate_or_off(text: &str) -> Result<Option<u64>, String> {
    if text == "off" { Ok(None) } else { number(text).map(Some) }
}

fn expected_line(words: &[&str]) -> Result<Line, String> {
    let [at, bytes, cumulative, ref marks @ ..] = *words else {
        return Err("a line is: t_ns bytes cumulative marks".into());
    };
    let mark = |word: &&str| {
        let (name, position) = word.split_once('@').ok_or("a mark is NAME@POSITION")?;
        let mark = Mark::from_word(name).ok_or_else(|| format!("no mark is called {name:?}"))?;
        Ok::<_, String>((mark, number(position)?))
    };
    Ok(Line {
        at: number(at)?,
        bytes: number(bytes)?,
        cumulative: number(cumulative)?,
        marks: marks.iter().map(mark).collect::<Result<_, _>>()?,
    })
}

/// Whether a person who wrote these lines can add.
fn consistent(lines: &[Line]) -> Result<(), String> {
    let (mut at, mut cumulative) = (None, 0);
    for line in lines {
        cumulative += line.bytes;
        if cumulative != line.cumulative {
            return Err(format!("adds up to {cumulative}: {line}"));
        }
        if at.is_some_and(|at| at >= line.at) {
            return Err(format!("not after the one before: {line}"));
        }
        at = Some(line.at);
    }
    Ok(())
}

/// Runs every golden that `runner` can run, and shows all that differ.
///
/// # Panics
/// If one differs, or `runner` can run none.
pub fn check_all(runner: &dyn Runner) {
    let mut ran = 0;
    let mut report = String::new();
    for golden in all().iter().filter(|golden| runner.can_run(&golden.case)) {
        ran += 1;
        let is = lines(runner, &runner.run(&golden.case));
        let expected = seen_by(runner, &golden.lines);
        if is != expected {
            let _infallible = writeln!(report, "fixtures/pacing/{}:\n{}", golden.name, diff(&expected, &is));
        }
    }
    assert!(ran > 0, "not one golden was run");
    assert!(report.is_empty(), "timelines differ (- expected, + is)\n{report}");
}

/// The lines as `runner` can see them.
fn seen_by(runner: &dyn Runner, golden: &[Line]) -> Vec<Line> {
    let mut seen = golden.to_vec();
    for line in &mut seen {
        line.marks.retain(|(mark, _)| runner.sees(*mark));
    }
    let bare = |line: &Line| line.bytes == 0 && line.marks.is_empty();
    seen.retain(|line| !bare(line));
    seen
}

/// Both timelines in order of time, lines that are in one only marked `-` and `+`.
pub fn diff(expected: &[Line], is: &[Line]) -> String {
    let mut text = String::new();
    let (mut expected, mut is) = (expected.iter().peekable(), is.iter().peekable());
    loop {
        let (sign, line) = match (expected.peek(), is.peek()) {
            (None, None) => return text,
            (Some(a), Some(b)) if a == b => {
                is.next();
                (' ', expected.next())
            }
            (Some(a), b) if b.is_none_or(|b| a.at <= b.at) => ('-', expected.next()),
            _ => ('+', is.next()),
        };
        let _infallible = writeln!(text, "  {sign} {}", line.map(Line::to_string).unwrap_or_default());
    }
}

#[test]
fn goldens_are_read_and_mistakes_are_named() {
    let none = |_: &str| recording::parse("0 data 5, eos");
    let good = "# why\nrate 10\nrecording a.txt\ntimeline\n0 5 5 flush@3 eos@5\n";
    assert_eq!(
        parse("good", good, none).map(|golden| golden.lines[0].to_string()),
        Ok("0 5 5 flush@3 eos@5".into())
    );
    for (bad, why) in [
        ("rate 10\nrecording a\ntimeline\n0 5 5", "begins with the comment"),
        ("# why\nrecording a\ntimeline\n0 5 5", "no rate"),
        ("# why\nrate 10\ntimeline\n0 5 5", "no recording"),
        ("# why\nrate 10\nrecording a\n", "no timeline"),
        ("# why\nrate 10\nrecording a\ntimeline\n", "no timeline"),
        ("# why\nrate 10\nrecording a\ntimeline\n0 5 6", "adds up to 5"),
        ("# why\nrate 10\nrecording a\ntimeline\n0 5 5\n0 1 6", "not after"),
        ("# why\nrate 10\nrecording a\ntimeline\n0 5", "t_ns bytes cumulative"),
        ("# why\nrate 10\nrecording a\ntimeline\n0 5 5 end@5", "no mark is called"),
        ("# why\nrates 10\nrecording a\ntimeline\n0 5 5", "not a setting"),
        ("# why\nrate ten\nrecording a\ntimeline\n0 5 5", "not a whole number"),
    ] {
        let error = parse("bad", bad, none).err().unwrap_or_default();
        assert!(error.contains(why), "{bad:?} gave {error:?}");
    }
}

#[test]
fn a_difference_is_shown_line_by_line() {
    let line = |at| Line { at, bytes: 1, cumulative: 1, marks: vec![(Mark::Eos, 1)] };
    let text = diff(&[line(0), line(5)], &[line(0), line(6)]);
    assert_eq!(text, "    0 1 1 eos@1\n  - 5 1 1 eos@1\n  + 6 1 1 eos@1\n");
}
