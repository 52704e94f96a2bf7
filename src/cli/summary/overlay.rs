//! The limits that were set by hand and saved.

use std::fmt::Write;

use sluicegate::config::{Overlaid, OverlaySource};

/// Lists what the overlay makes of the limits of the configuration, if it makes anything of them.
pub(super) fn describe(text: &mut String, overlay: &OverlaySource) {
    let changes = overlay.changes();
    let Some(file) = overlay.file().filter(|_| !changes.is_empty()) else { return };
    let _ = writeln!(text, "\n{} sets over that, as shown above:", file.display());
    for Overlaid { limit, before, after, line } in changes {
        let _ = writeln!(text, "  {limit}: {before} → {after} (line {line})");
    }
}
