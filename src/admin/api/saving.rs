//! Changes of limits that are saved: made and written to the overlay, or neither.
//!
//! The file is written first, since that is what can fail. One change waits for another, and for a reload.

use std::path::Path;

use http::StatusCode;

use super::changes::{Changes, What};
use super::limits;
use crate::http::api::Problem;
use crate::http::peer::PeerAddr;
use crate::http::server::Handle;
use crate::live_limits::{LimitBook, LimitChange, Live, Name};
use crate::overlay::{self, MAX_CLIENTS, Overlay};
use crate::saved_file::{SaveError, Saved};

/// Changes a limit and saves it; if `only`, what it leaves out is set by hand no more, and not saved. Blocks.
pub(super) fn change(
    server: &Handle,
    (name, change, only): (&Name, &LimitChange, bool),
    changes: &Changes,
    by: &PeerAddr,
) -> Result<(), Problem> {
    let make = || limits::change(server, (name, change, only), by);
    if change.sets() == [false; 4] {
        // An empty change is none, and asks for no file.
        return if only { reset(server, name, changes, by) } else { server.changing(make) };
    }
    with_overlay(server, |book, saved, path, configuration| {
        Live::find(server, name).ok_or_else(|| limits::none_of(name))?;
        let old = parse(saved.text(), path)?;
        if name.of_each().is_some() && old.get(name).is_none() && old.clients() >= MAX_CLIENTS {
            let detail =
                format!("The limit of {MAX_CLIENTS} clients with saved limits is reached; reset one first.");
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        let text = overlay::with_change(saved.text(), configuration, name, change).map_err(invalid)?;
        let text = if only { overlay::with_only(&text, name, change.sets()).map_err(invalid)? } else { text };
        // What the program cannot read must not be written.
        let overlay = parse(&text, path)?;
        if *text != *saved.text() {
            saved.replace(&text).map_err(|error| unsaved(&error))?;
        }
        if let Err(problem) = changes.made(server, What::Set, (name, true), by, make) {
            // Only for a client too many.
            saved.restore().map_err(|error| unrestored(&error))?;
            return Err(problem);
        }
        renumber(book, &overlay, Some((name, change.sets())));
        log::info!(limit:% = name, file:% = path.display(), by:% = by; "limit saved");
        Ok(())
    })
}

/// Takes back what was set by hand, in the overlay too. Blocks.
pub(super) fn reset(server: &Handle, name: &Name, changes: &Changes, by: &PeerAddr) -> Result<(), Problem> {
    with_overlay(server, |book, saved, path, _| {
        let was_saved = parse(saved.text(), path)?.get(name).is_some();
        if !was_saved && Live::find(server, name).is_none() {
            return Err(limits::none_of(name));
        }
        let text = overlay::without(saved.text(), name).map_err(invalid)?;
        let overlay = replace(saved, &text, path)?;
        if Live::find(server, name).is_some() {
            changes.made(server, What::Reset, (name, true), by, || limits::reset(server, name, by))?;
        }
        renumber(book, &overlay, None);
        Ok(())
    })
}

/// Takes back all that was set by hand, in the overlay too. Returns the addresses of those limits. Blocks.
pub(super) fn reset_all(server: &Handle, changes: &Changes, by: &PeerAddr) -> Result<Vec<String>, Problem> {
    with_overlay(server, |_, saved, path, _| {
        let old = parse(saved.text(), path)?;
        let text = overlay::without_all(saved.text()).map_err(invalid)?;
        replace(saved, &text, path)?;
        let mut reset = changes.made_of_all(server, true, by, || limits::reset_all(server, by))?;
        // Of routes and classes that are not there.
        let saved = old.entries.iter().map(|entry| entry.name.to_string());
        let rest: Vec<String> = saved.filter(|address| !reset.contains(address)).collect();
        reset.extend(rest);
        Ok(reset)
    })
}

/// Runs `save` with the overlay as it is on the disk, its path, and that of the configuration, while nobody else changes it.
fn with_overlay<T>(
    server: &Handle,
    save: impl FnOnce(&LimitBook, &Saved, &Path, &str) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let none = || limits::no_configuration("there is nothing that a saved limit could stand beside");
    let book = LimitBook::of(server).ok_or_else(none)?;
    let saved = book.saving(|path, configuration| {
        let path = path.ok_or_else(none)?;
        let saved = Saved::open(path, &overlay::REMEDIES).map_err(|error| unsaved(&error))?;
        save(&book, &saved, path, configuration)
    });
    saved.unwrap_or_else(|| Err(taking_over()))
}

/// A new program has read the overlay, or is about to.
fn taking_over() -> Problem {
    let detail = "A new program is taking over from this one (SIGUSR2), and has read the saved limits: send the request \
                  again in a second. Nothing was changed.";
    super::request::try_again(detail)
}

fn replace(saved: &Saved, text: &str, path: &Path) -> Result<Overlay, Problem> {
    let overlay = parse(text, path)?;
    if saved.is_there() && *text != *saved.text() {
        saved.replace(text).map_err(|error| unsaved(&error))?;
    }
    Ok(overlay)
}

fn renumber(book: &LimitBook, overlay: &Overlay, now: Option<(&Name, [bool; 4])>) {
    book.renumber(overlay.entries.iter().map(|entry| (&entry.name, &entry.sources)), now);
}

fn parse(text: &str, path: &Path) -> Result<Overlay, Problem> {
    Overlay::parse(text, &path.display().to_string()).map_err(invalid)
}

/// The overlay was changed by hand, and is wrong.
fn invalid(error: impl std::fmt::Display) -> Problem {
    let detail = format!("{error}\nNothing was changed: correct the file first.");
    Problem::new(StatusCode::CONFLICT, detail)
}

/// The change is in the file, and does not hold.
fn unrestored(error: &SaveError) -> Problem {
    let detail = format!("{error}. The change was saved but does not hold: take it out of the file.");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}

fn unsaved(error: &SaveError) -> Problem {
    let status = if error.is_write() { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::CONFLICT };
    Problem::new(status, format!("{error}. Nothing was changed."))
}
