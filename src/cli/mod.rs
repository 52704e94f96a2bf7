//! The command line: argument structs and commands.
//!
//! Messages and logs go to standard error, results to standard output. Exit codes: 0 success, 1 the command ran and failed, 2
//! usage error. Only this module and `main.rs` know argh.

mod admin_args;
mod admin_client;
mod args;
mod connections;
mod health;
mod help;
mod import;
mod limits;
mod probe;
mod quota;
mod reference;
mod reload;
mod resolve;
mod server;
mod simulate;
mod summary;
mod table;
mod top;
mod upgrade;
mod usage;

use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::path::Path;

use argh::FromArgs;
use sluicegate::admin::AdminSource;
use sluicegate::clock::Clock;
use sluicegate::config::{Absent, AssemblyError, ClassSettings, Config};
use sluicegate::logging::{self, ProgramLog};
use sluicegate::rt::{self, Predecessor, Signals};
use sluicegate::token::Token;

use args::{Command, Run, Sluicegate};

const NAME: &str = "sluicegate";

/// What `--version` prints.
const VERSION: &str = concat!("sluicegate ", env!("CARGO_PKG_VERSION"), "\n");

#[derive(Clone, Debug, PartialEq, Eq)]
enum CliError {
    /// A usage error: exit code 2.
    Usage(String),
    /// It ran and failed: exit code 1.
    Failed(String),
}

impl CliError {
    /// A value of a flag that cannot be taken.
    fn flag(flag: &str, error: impl fmt::Display) -> Self {
        Self::Usage(format!("{flag}: {error}"))
    }

    /// What `error` says.
    fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}

impl From<AssemblyError> for CliError {
    fn from(error: AssemblyError) -> Self {
        Self::failed(error)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Failed(text) => write!(f, "{NAME}: {text}"),
        }
    }
}

/// Starts the log at a level. The logger is in `main.rs`.
pub type StartLog = fn(log::LevelFilter);

/// Runs the program with its arguments, without its name. Returns the exit code.
pub fn main(typed: impl Iterator<Item = OsString>, start_log: StartLog) -> u8 {
    // If it fails, so will the handlers of a server, which says so.
    let _ = Signals::survive_user1();
    let (typed, result) = match args::split_equals(typed) {
        Ok(typed) => {
            let typed = usage::help_first(typed);
            let result = run(&typed, start_log);
            (typed, result)
        }
        Err(odd) => {
            let text = format!("{odd:?} is not UTF-8 text; rename what it names");
            (Vec::new(), Err(CliError::Usage(text)))
        }
    };
    let Err(error) = result else { return 0 };
    let hint = match error {
        CliError::Usage(_) => format!("\n{}", usage::hint(&typed)),
        CliError::Failed(_) => String::new(),
    };
    if let Some(predecessor) = Predecessor::from_env() {
        let (CliError::Usage(why) | CliError::Failed(why)) = &error;
        predecessor.failed(why);
    }
    logging::announce_end(&format!("{error}{hint}"));
    error.exit_code()
}

fn run(typed: &[String], start_log: StartLog) -> Result<(), CliError> {
    let words: Vec<&str> = typed.iter().map(String::as_str).collect();
    if let ["version" | "-v"] = words[..] {
        return print(VERSION);
    }
    let parsed = match Sluicegate::from_args(&[NAME], &words) {
        Ok(parsed) => parsed,
        Err(early) if early.status.is_ok() => return print(&help::text(&usage::command(typed)[1..])),
        Err(early) => return Err(CliError::Usage(usage::explain(typed, &early.output))),
    };
    if parsed.version {
        return print(VERSION);
    }
    match parsed.command {
        Some(Command::Serve(serve)) => serve_with(&resolve::flags(&serve)?, None, start_log),
        Some(Command::Proxy(proxy)) => serve_with(&resolve::flags(&proxy)?, None, start_log),
        Some(Command::Tcp(tcp)) => serve_with(&resolve::flags(&tcp)?, None, start_log),
        Some(Command::Events(typed)) => serve_with(&resolve::flags(&typed)?, None, start_log),
        Some(Command::Run(run)) => serve_with(&resolve::run(&run)?, Some(run), start_log),
        Some(Command::Check(check)) => {
            let absent = if check.offline { Absent::Unchecked } else { Absent::Warning };
            let mut config = resolve::load(&check.file, absent)?;
            let name = resolve::named(&check.file);
            warn(&config);
            if !check.offline {
                summary::normalise_paths(&mut config);
                let checked = config.classes.iter().try_for_each(ClassSettings::check_keys);
                checked.map_err(|error| CliError::Failed(format!("{name}: {error}")))?;
                let checked = config.admin.as_ref().map_or(Ok(()), AdminSource::check_tokens);
                checked.map_err(|error| CliError::Failed(format!("{name}: {error}")))?;
            }
            let now = rt::clock().calendar();
            let moment = summary::Moment::new(&config, check.at.as_deref(), now);
            let moment = moment.map_err(|text| CliError::flag("--at", text))?;
            print(&summary::of(&config, name, &moment))
        }
        Some(Command::Config(typed)) => print(&reference::text(&typed)?),
        Some(Command::Import(typed)) => import::run(&typed),
        Some(Command::Probe(typed)) => probe::run(&typed),
        Some(Command::Simulate(typed)) => simulate::run(&typed),
        Some(Command::Quota(quota)) => quota::run(&quota, start_log),
        Some(Command::Limits(limits)) => print(&limits::run(limits)?),
        Some(Command::Connections(connections)) => print(&connections::run(connections)?),
        Some(Command::Top(typed)) => top::run(typed),
        Some(Command::Health(health)) => print(&health::run(&health)?),
        Some(Command::Completions(typed)) => match help::completions(&typed.shell) {
            Some(script) => print(&String::from_utf8_lossy(&script)),
            None => Err(CliError::Usage(format!("SHELL: {:?} is none of bash, zsh and fish", typed.shell))),
        },
        Some(Command::Man(typed)) => {
            let pages = help::man_pages(Path::new(&typed.dir));
            let pages = pages.map_err(|error| {
                CliError::Failed(format!("cannot write to {}: {error}; name another folder", typed.dir))
            })?;
            print(&pages.iter().map(|page| format!("{}\n", page.display())).collect::<String>())
        }
        None => Err(CliError::Usage(usage::missing_command(&[NAME]))),
    }
}

/// Serves `config`. `typed` is the command whose file can be reloaded, if there is one.
fn serve_with(config: &Config, typed: Option<Run>, start_log: StartLog) -> Result<(), CliError> {
    logging::set_format(config.log_format);
    let warnings: String = config.warnings.iter().map(|warning| format!("{warning}\n")).collect();
    if !warnings.is_empty() {
        logging::announce(log::Level::Warn, &warnings);
    }
    server::run(config, typed, start_log)
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        let _ = writeln!(std::io::stderr(), "{NAME}: warning: {warning}");
    }
}

/// The value of `flag`, if it was typed.
fn value<T, E: fmt::Display>(
    flag: &str,
    typed: &Option<String>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, CliError> {
    typed.as_deref().map(parse).transpose().map_err(|error| CliError::flag(flag, error))
}

/// The token in `file`, if one is named.
fn token(file: Option<&str>) -> Result<Option<Token>, CliError> {
    file.map(|file| Token::from_file(Path::new(file))).transpose().map_err(CliError::failed)
}

/// Takes over the signals. To be called before anything is announced: whoever reads that we listen may send one.
fn listen_for_signals() -> Result<Signals, CliError> {
    Signals::listen().map_err(|error| CliError::Failed(format!("cannot listen for signals: {error}")))
}

/// Starts the log at `level`. It never blocks the program.
fn begin_log(start_log: StartLog, level: log::LevelFilter) -> Result<ProgramLog, CliError> {
    let log = ProgramLog::start();
    let log = log.map_err(|error| CliError::Failed(format!("cannot set up the log: {error}")))?;
    start_log(level);
    logging::record_panics();
    Ok(log)
}

/// Prints to standard output. A reader that has gone (`| head`) is not an error.
fn print(text: &str) -> Result<(), CliError> {
    written(text).map(drop)
}

/// Prints to standard output; returns whether its reader is still there.
fn written(text: &str) -> Result<bool, CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::Failed(format!("cannot write to standard output: {error}"))),
    }
}
