<<<<<<< HEAD
//! Work that may block, on threads that may.

/// Runs `work` on the blocking pool and waits for its result without blocking the executor.
///
/// Dropping the future does not stop work that has begun; its result is dropped.
=======
//! Work that may wait for a disk, away from the executor's threads.

/// Runs `work` on the blocking pool and gives its result.
///
/// Cancel safe: dropping the future lets `work` run to its end and drops the result.
///
/// # Panics
/// If `work` panics.
>>>>>>> wt-files
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    async_std::task::spawn_blocking(work).await
}
