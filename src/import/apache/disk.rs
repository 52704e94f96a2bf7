//! What lies in a folder that the configuration does not say: rules in `.htaccess`, and programs.

use std::path::Path;

/// Entries of folders that are looked at.
const MAX_ENTRIES: usize = 50_000;

/// Extensions of files that servers run.
const PROGRAMS: &[&str] = &[
    "php", "php3", "php4", "php5", "php7", "php8", "phtml", "phar", "cgi", "pl", "py", "rb", "asp", "aspx",
    "jsp", "shtml",
];

/// Looks through `folder` for rules, in the folders around it too, and for programs.
///
/// # Errors
/// What is there, or why that cannot be said.
pub(super) fn look(folder: &Path, for_rules: bool, for_programs: bool) -> Result<(), String> {
    if for_rules {
        let around = folder.ancestors().skip(1).map(|folder| folder.join(".htaccess"));
        if let Some(file) = around.into_iter().find(|file| file.exists()) {
            return Err(format!("it has rules in {}", file.display()));
        }
    }
    let mut open = vec![folder.to_owned()];
    let mut looked_at = 0;
    while let Some(folder) = open.pop() {
        let unread = |error: std::io::Error| {
            format!("{} cannot be looked through for rules and programs: {error}", folder.display())
        };
        for entry in std::fs::read_dir(&folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            looked_at += 1;
            if looked_at > MAX_ENTRIES {
                return Err("it has too many files to look through for rules and programs".to_owned());
            }
            let (path, name) = (entry.path(), entry.file_name());
            let extension =
                path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
            if for_rules && name == ".htaccess" {
                return Err(format!("it has rules in {}", path.display()));
            }
            if for_programs && extension.is_some_and(|extension| PROGRAMS.contains(&&*extension)) {
                return Err(format!(
                    "it has programs that would be sent as they are, such as {}",
                    path.display()
                ));
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            }
        }
    }
    Ok(())
}
