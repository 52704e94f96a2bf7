//! `sluicegate import`: the configuration of another server, as far as it has what this one has.

use std::io::Write;
use std::path::Path;

use argh::{ArgsInfo, FromArgs};
use sluicegate::config::{Absent, Loader};

use super::{CliError, NAME, print};
use crate::import::{Files, Origin, import, read_file, read_text};

/// Print what nginx's or Apache's configuration comes to here: listeners, hosts, folders, backends and paces.
#[derive(ArgsInfo, FromArgs, Debug, PartialEq)]
#[argh(
    subcommand,
    name = "import",
    usage = "SERVER FILE",
    example = "{command_name} nginx /etc/nginx/nginx.conf > sluicegate.toml\n\
        {command_name} apache /etc/apache2/sites-enabled/site.conf",
    note = "Standard error has a line for each directive that was left out or differs.",
    help_triggers("-h", "--help", "help")
)]
pub(super) struct Import {
    /// whose configuration it is: nginx or apache
    #[argh(positional, arg_name = "SERVER")]
    server: String,

    /// the file, which may include others; - is standard input
    #[argh(positional, arg_name = "FILE")]
    file: String,
}

/// Prints the configuration, and on standard error what was left out.
pub(super) fn run(typed: &Import) -> Result<(), CliError> {
    let origin = match typed.server.as_str() {
        "nginx" => Origin::Nginx,
        "apache" => Origin::Apache,
        other => return Err(CliError::Usage(format!("SERVER: {other:?} is neither nginx nor apache"))),
    };
    let name = super::resolve::named(&typed.file);
    let (text, files) = read(&typed.file).map_err(|error| {
        CliError::Failed(format!("{name}: cannot be read: {error}; name the server's file"))
    })?;
    let imported = import(origin, name, &text, &files).map_err(CliError::Failed)?;
    print(&imported.toml)?;
    for note in &imported.notes {
        let _ = writeln!(std::io::stderr(), "{NAME}: {note}");
    }
    let checked = Loader::new().absent(Absent::Unchecked).parse(&imported.toml, "what was printed", "");
    checked.map(drop).map_err(|error| CliError::Failed(format!("{error}\nCorrect that before you run it.")))
}

/// The text of a file, and where those that it includes are.
fn read(file: &str) -> std::io::Result<(String, Files)> {
    match file {
        "-" => Ok((read_text(std::io::stdin().lock())?, Files { base: None })),
        file => {
            let path = Path::new(file);
            Ok((read_file(path)?, Files { base: Some(path.parent().unwrap_or(Path::new("")).to_owned()) }))
        }
    }
}
