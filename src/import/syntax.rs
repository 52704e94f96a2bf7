//! The two forms of configuration files, read into directives.

use std::fmt;
use std::iter::Peekable;
use std::rc::Rc;
use std::str::Chars;

use super::At;

/// Blocks in one another that are read: more are no configuration.
const MAX_DEPTH: usize = 32;

/// A directive, or a block with directives in it.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    /// Of Apache's in lower case.
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) at: At,
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    /// The argument at `nth`, or an empty text.
    pub(super) fn arg(&self, nth: usize) -> &str {
        self.args.get(nth).map_or("", String::as_str)
    }

    pub(super) fn inner(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// The beginning of it, for messages.
impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        let text =
            std::iter::once(&self.name).chain(&self.args).map(|word| word.replace(char::is_control, " "));
        let text = text.collect::<Vec<_>>().join(" ");
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

/// A file as it is read.
struct Source<'a> {
    chars: Peekable<Chars<'a>>,
    at: At,
}

enum Token {
    Word(String),
    End,
    Open,
    Close,
}

impl Source<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.chars.next();
        self.at.line += usize::from(next == Some('\n'));
        next
    }

    fn fault<T>(&self, text: &str) -> Result<T, String> {
        Err(format!("{}: {text}", self.at))
    }

    /// The next token of nginx's form.
    fn token(&mut self) -> Result<Option<Token>, String> {
        while let Some(next) = self.chars.peek().copied() {
            match next {
                '#' => while self.next().is_some_and(|next| next != '\n') {},
                ';' | '{' | '}' => {
                    self.next();
                    return Ok(Some(match next {
                        ';' => Token::End,
                        '{' => Token::Open,
                        _ => Token::Close,
                    }));
                }
                next if next.is_whitespace() => _ = self.next(),
                '"' | '\'' => return self.quoted().map(|word| Some(Token::Word(word))),
                _ => return Ok(Some(Token::Word(self.word()))),
            }
        }
        Ok(None)
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(next) = self.chars.peek().copied() {
            // `${name}` is part of a word.
            let is_name = next == '{' && word.ends_with('$');
            if next.is_whitespace() || next == ';' || next == '{' && !is_name {
                break;
            }
            self.next();
            word.push(next);
            if is_name {
                while let Some(next) = self.chars.peek().copied().filter(|next| *next != '\n') {
                    self.next();
                    word.push(next);
                    if next == '}' {
                        break;
                    }
                }
            } else if next == '\\' {
                word.extend(self.next());
            }
        }
        word
    }

    fn quoted(&mut self) -> Result<String, String> {
        let begin = self.at.clone();
        let quote = self.next();
        let mut word = String::new();
        while let Some(next) = self.next() {
            match next {
                next if Some(next) == quote => return Ok(word),
                '\\' => word.extend(self.next()),
                next => word.push(next),
            }
        }
        Err(format!("{begin}: a quotation mark is not closed"))
    }
}

/// Reads nginx's form: words, `;` and `{ }`.
///
/// # Errors
/// A quotation mark or a block is not closed, or closed twice, a directive has no end, or blocks are too deep.
pub(super) fn nginx(text: &str, order: usize, name: &Rc<str>) -> Result<Vec<Directive>, String> {
    let at = At { order, line: 1, file: name.clone() };
    let mut source = Source { chars: text.chars().peekable(), at };
    // The blocks that are open, each with its directive.
    let mut open: Vec<(Directive, Vec<Directive>)> = Vec::new();
    let (mut all, mut current): (Vec<Directive>, Option<Directive>) = (Vec::new(), None);
    while let Some(token) = source.token()? {
        match (token, current.take()) {
            (Token::Word(word), Some(mut directive)) => {
                directive.args.push(word);
                current = Some(directive);
            }
            (Token::Word(word), None) => {
                let line = source.at.line - word.matches('\n').count();
                let at = At { line, ..source.at.clone() };
                current = Some(Directive { name: word, args: Vec::new(), at, block: None });
            }
            (Token::End, Some(directive)) => all.push(directive),
            (Token::Open, Some(_)) if open.len() == MAX_DEPTH => {
                return source.fault("there are too many blocks in one another");
            }
            (Token::Open, Some(directive)) => open.push((directive, std::mem::take(&mut all))),
            (Token::Close, None) => {
                let Some((directive, before)) = open.pop() else {
                    return source.fault("\"}\" closes no block");
                };
                let block = Some(std::mem::replace(&mut all, before));
                all.push(Directive { block, ..directive });
            }
            (Token::End, None) => {}
            (Token::Open, None) => return source.fault("\"{\" opens a block without a name"),
            (Token::Close, Some(directive)) => return no_end(&directive),
        }
    }
    match (current, open.pop()) {
        (Some(directive), _) => no_end(&directive),
        (None, Some((directive, _))) => {
            Err(format!("{}: {directive}: its block is not closed", directive.at))
        }
        (None, None) => Ok(all),
    }
}

fn no_end<T>(directive: &Directive) -> Result<T, String> {
    Err(format!("{}: {directive}: there is no \";\" behind it", directive.at))
}

/// Reads Apache's form: lines, and `<Section>` with `</Section>`.
///
/// # Errors
/// A section is not closed, or closed twice, or sections are too deep.
pub(super) fn apache(text: &str, order: usize, name: &Rc<str>) -> Result<Vec<Directive>, String> {
    let mut open: Vec<(Directive, Vec<Directive>)> = Vec::new();
    let mut all: Vec<Directive> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let at = At { order, line: number + 1, file: name.clone() };
        let mut line = line.trim().to_owned();
        while line.ends_with('\\') && !line.starts_with('#') {
            line.pop();
            let Some((_, next)) = lines.next() else { break };
            line.push(' ');
            line.push_str(next.trim());
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(section) = line.strip_prefix("</") {
            let section = section.trim_end_matches('>').trim().to_lowercase();
            match open.pop() {
                Some((directive, before)) if directive.name == section => {
                    let block = Some(std::mem::replace(&mut all, before));
                    all.push(Directive { block, ..directive });
                }
                _ => return Err(format!("{at}: </{section}> closes no section that is open")),
            }
        } else if let Some(section) = line.strip_prefix('<') {
            if open.len() == MAX_DEPTH {
                return Err(format!("{at}: there are too many sections in one another"));
            }
            let section = section.strip_suffix('>').unwrap_or(section);
            open.push((directive(section, at), std::mem::take(&mut all)));
        } else {
            all.push(directive(&line, at));
        }
    }
    match open.pop() {
        Some((directive, _)) => Err(format!("{}: <{directive}> is not closed", directive.at)),
        None => Ok(all),
    }
}

/// A line's words; quotation marks hold several together.
fn directive(line: &str, at: At) -> Directive {
    let mut words: Vec<String> = Vec::new();
    let mut source = Source { chars: line.chars().peekable(), at };
    while let Some(next) = source.chars.peek().copied() {
        match next {
            next if next.is_whitespace() => _ = source.next(),
            '"' | '\'' => {
                source.next();
                let mut word = String::new();
                while let Some(inner) = source.next().filter(|inner| *inner != next) {
                    let is_escape = inner == '\\' && source.chars.peek() == Some(&next);
                    word.extend(if is_escape { source.next() } else { Some(inner) });
                }
                words.push(word);
            }
            _ => {
                let mut word = String::new();
                while let Some(inner) = source.chars.peek().copied().filter(|inner| !inner.is_whitespace()) {
                    source.next();
                    word.push(inner);
                }
                words.push(word);
            }
        }
    }
    let mut words = words.into_iter();
    let name = words.next().unwrap_or_default().to_lowercase();
    Directive { name, args: words.collect(), at: source.at, block: None }
}
