//! Work that may block, on threads that may.

/// Runs `work` on the blocking pool and waits for its result without blocking the executor.
///
/// Dropping the future does not stop work that has begun; its result is dropped.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    async_std::task::spawn_blocking(work).await
}
