//! Blocking work, off the executor's threads.

/// Runs `work` on the blocking pool and returns its result.
///
/// Cancel safe: if the future is dropped, `work` still runs to its end and its result is dropped.
///
/// # Panics
/// If `work` panics.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    async_std::task::spawn_blocking(work).await
}
