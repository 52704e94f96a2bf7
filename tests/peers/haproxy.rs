//! HAProxy, and other programs that take a free port, with a configuration and a folder of their own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use testkit::wait::soon;

use crate::program::{Running, program};

/// A program that listens on a free port, which `start` is told; tried again if another program took it.
pub fn listening(start: impl Fn(SocketAddr) -> Command) -> (SocketAddr, Running) {
    loop {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut command = start(free);
        let mut process = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        let listens = soon("it to listen", || {
            let ended = process.0.try_wait().unwrap().is_some();
            (TcpStream::connect(free).is_ok() || ended).then_some(!ended)
        });
        if listens {
            return (free, process);
        }
        assert!(TcpListener::bind(free).is_err(), "{command:?} refuses its configuration: see above");
    }
}

/// HAProxy with timeouts, and `configuration` for the address that it listens on. Its files are in `folder`.
pub fn haproxy(folder: &Path, configuration: impl Fn(SocketAddr) -> String) -> (SocketAddr, Running) {
    let file = folder.join("haproxy.cfg");
    listening(|addr| {
        let timeouts = "timeout connect 10s\n timeout client 60s\n timeout server 60s\n";
        fs::write(&file, format!("defaults\n {timeouts}\n{}", configuration(addr))).unwrap();
        let mut command = Command::new(program("haproxy"));
        command.arg("-db").arg("-f").arg(&file);
        command
    })
}

/// The blocks of code in `language` below the heading `section` of a page of the documentation.
pub fn blocks<'a>(page: &'a str, section: &str, language: &str) -> Vec<&'a str> {
    let (_, rest) = page.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("no {section}"));
    let section = rest.split("\n## ").next().unwrap();
    let opening = format!("```{language}\n");
    section.split(opening.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// `text` with each of these in place of the other, all of which must be there.
pub fn with(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "no {old} in {text}");
        text.replace(old, new)
    })
}
