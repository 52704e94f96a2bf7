//! A waker that counts, for unit tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

#[derive(Clone, Default)]
pub(crate) struct WakeCount(Arc<Count>);

#[derive(Default)]
struct Count(AtomicUsize);

impl WakeCount {
    pub(crate) fn get(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    pub(crate) fn waker(&self) -> Waker {
        Arc::clone(&self.0).into()
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
