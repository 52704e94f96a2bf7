//! What the programs of this package assert of themselves.

use std::error::Error;

/// Fails if the process has other threads than `main`, tokio's and the clock's: the library starts no executor beside tokio.
pub fn assert_no_other_runtime() -> Result<(), Box<dyn Error>> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let (main, mut names) = (std::process::id().to_string(), Vec::new());
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?;
        let name = std::fs::read_to_string(task.path().join("comm"))?.trim().to_owned();
        if task.file_name().to_string_lossy() != main && !name.starts_with("tokio-") {
            names.push(name);
        }
    }
    if names != ["clock"] {
        return Err(
            format!("besides tokio's threads there are {names:?}, instead of the clock's alone").into()
        );
    }
    Ok(())
}
