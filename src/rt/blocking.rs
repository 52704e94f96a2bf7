//! Work that may wait for a disk, away from the executor's threads.

/// Runs `work` on the blocking pool and gives its result.
///
/// Cancel safe: dropping the future lets `work` run to its end and drops the result.
///
/// # Panics
/// If `work` panics.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    async_std::task::spawn_blocking(work).await
}
