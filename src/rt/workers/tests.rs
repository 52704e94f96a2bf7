use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::clock::{Clock, Sleep};
use crate::rt;

/// Longer than anything here takes; what is waited for comes, or the test fails.
const LONG: Duration = Duration::from_secs(60);

/// Runs `future` on a worker. Its result comes with the worker's address.
fn on<T: Send + 'static>(
    worker: &'static Worker,
    future: impl Future<Output = T> + Send + 'static,
) -> Receiver<(T, usize)> {
    let (result, received) = channel();
    worker.spawn(async move {
        let value = future.await;
        let _ = result.send((value, address(here())));
    });
    received
}

fn address(worker: Option<&'static Worker>) -> usize {
    worker.map_or(0, |worker| std::ptr::from_ref(worker).addr())
}

#[test]
fn a_task_stays_on_its_worker_and_so_do_those_that_it_spawns() {
    assert!(here().is_none(), "a test's thread is no worker");
    for worker in workers() {
        let received = on(worker, async move {
            let (told, child) = channel();
            rt::spawn(async move {
                future_yield().await;
                let _ = told.send(address(here()));
            });
            let slept = Sleep::lasting(rt::clock(), Duration::from_millis(11));
            slept.await;
            rt::blocking(|| ()).await;
            child.recv_timeout(LONG).unwrap()
        });
        assert_eq!(received.recv_timeout(LONG).unwrap(), (address(Some(worker)), address(Some(worker))));
    }
}

/// Is polled twice.
async fn future_yield() {
    futures_lite::future::yield_now().await;
}

#[test]
fn a_panic_ends_its_task_and_no_other() {
    for worker in workers() {
        let held = Arc::new(());
        let kept = Arc::clone(&held);
        let (told, hears) = channel::<()>();
        worker.spawn(async move {
            let (_kept, _told) = (kept, told);
            future_yield().await;
            panic!("a panic that the test wants");
        });
        assert!(hears.recv_timeout(LONG).is_err(), "what the task held is dropped");
        assert_eq!(on(worker, async { 7 }).recv_timeout(LONG).unwrap(), (7, address(Some(worker))));
        while Arc::strong_count(&held) > 1 {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_task_that_yields_again_and_again_lets_what_another_thread_woke_run_next() {
    for worker in workers() {
        let yields = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&yields);
        let (told, hears) = channel();
        let left = move || {
            let sees = on(worker, async move { seen.load(Ordering::SeqCst) });
            let _ = told.send(sees);
        };
        worker.spawn(async move {
            // Left by another thread, before the first of the yields.
            std::thread::spawn(left).join().unwrap();
            for _ in 0..1000 {
                future_yield().await;
                yields.fetch_add(1, Ordering::SeqCst);
            }
        });
        let (seen, _) = hears.recv_timeout(LONG).unwrap().recv_timeout(LONG).unwrap();
        assert!(seen <= 1, "it ran after {seen} yields");
    }
}

#[test]
fn to_block_on_a_worker_is_a_panic_and_not_a_wait_without_end() {
    let blocked = on(&workers()[0], async {
        let caught = std::panic::catch_unwind(|| rt::block_on(async {}));
        caught.unwrap_err().downcast_ref::<&str>().map(|text| (*text).to_owned())
    });
    let (text, _) = blocked.recv_timeout(LONG).unwrap();
    assert_eq!(text.unwrap(), "block_on in a task of the server: it would wait for itself; await the future");
}

#[test]
fn the_least_loaded_worker_is_found_and_a_load_ends_with_its_task() {
    // Other tests spread tasks too, so what is counted is only that the loads change as they should.
    let worker = &workers()[0];
    let load = || worker.load.load(Ordering::Relaxed);
    let loads: Vec<Load> = (0..1000).map(|_| worker.count()).collect();
    assert!(load() >= 1000);
    if workers().len() > 1 {
        assert!(!std::ptr::eq(idlest(), worker));
    }
    drop(loads);
    assert!(load() < 1000);
}

/// Starts tasks on `from` that may move and work until told to stop, for `work` before each sleep. Returns how to stop them,
/// and what tells on which workers they are.
fn busy_tasks(from: &'static Worker, tasks: usize, work: Duration) -> (Arc<AtomicBool>, Receiver<usize>) {
    let (stop, (told, seen)) = (Arc::new(AtomicBool::new(false)), channel());
    for _ in 0..tasks {
        let (stop, told, load) = (Arc::clone(&stop), told.clone(), from.count());
        from.spawn_moving(async move {
            let _load = load;
            while !stop.load(Ordering::Relaxed) {
                let began = rt::clock().now();
                while rt::clock().now() < began + work {}
                let _ = told.send(here().map_or(usize::MAX, |worker| worker.number));
                Sleep::lasting(rt::clock(), Duration::from_millis(1)).await;
            }
        });
    }
    (stop, seen)
}

#[test]
fn a_worker_that_is_hectic_gives_tasks_to_one_that_is_calm() {
    if workers().len() < 2 {
        println!("skipped: there is one worker");
        return;
    }
    let (stop, seen) = busy_tasks(&workers()[0], 16, Duration::from_millis(2));
    while seen.recv_timeout(LONG).unwrap() == 0 {}
    stop.store(true, Ordering::Relaxed);
    // All end, wherever they are.
    while seen.recv_timeout(LONG).is_ok() {}
}

#[test]
fn a_worker_with_little_to_do_gives_all_to_the_first() {
    if workers().len() < 2 {
        println!("skipped: there is one worker");
        return;
    }
    let (stop, seen) = busy_tasks(&workers()[1], 4, Duration::ZERO);
    while seen.recv_timeout(LONG).unwrap() == 1 {}
    stop.store(true, Ordering::Relaxed);
    while seen.recv_timeout(LONG).is_ok() {}
}

#[test]
fn a_task_that_is_given_away_is_counted_where_it_is_and_its_wake_ups_follow() {
    let [first, .., last] = workers() else {
        println!("skipped: there is one worker");
        return;
    };
    let surplus = || Some(Surplus { from: first, to: last, left: 1, until: Instant::MAX });
    let (made, runnable) = channel();
    let (told, came) = channel();
    let home = |moves| Home { worker: AtomicUsize::new(first.number), moves };
    let schedule = move |runnable: Runnable| made.send(runnable).unwrap();
    let task = |moves| {
        let (told, schedule) = (told.clone(), schedule.clone());
        let (runnable, task) = Builder::new().metadata(home(moves)).spawn(
            move |_| async move {
                let _ = told.send(address(here()));
            },
            schedule,
        );
        task.detach();
        runnable
    };
    assert!(first.keep(task(false), &mut surplus()).is_some(), "it stays where it is");
    // Other tests load the workers too, and one that got it may give it on.
    let goes_there = |give: &mut dyn FnMut()| {
        (0..100).any(|_| {
            give();
            came.recv_timeout(LONG).unwrap() == address(Some(last))
        })
    };
    assert!(goes_there(&mut || {
        let mut surplus = surplus();
        assert!(first.keep(task(true), &mut surplus).is_none());
        assert!(first.keep(task(true), &mut surplus).is_some(), "no more is given away");
    }));
    assert!(goes_there(&mut || {
        let moved = task(true);
        moved.metadata().worker.store(last.number, Ordering::Relaxed);
        assert!(first.keep(moved, &mut None).is_none(), "it is another's");
    }));
    assert!(runnable.try_recv().is_err());
}

/// A counter that one side raises, and a task that waits for it to be raised.
#[derive(Default)]
struct Raised {
    value: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Raised {
    fn raise(&self) {
        self.value.fetch_add(1, Ordering::SeqCst);
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn beyond(&self, seen: u64) -> u64 {
        poll_fn(|cx| {
            *self.waker.lock() = Some(cx.waker().clone());
            let value = self.value.load(Ordering::SeqCst);
            if value > seen { Poll::Ready(value) } else { Poll::Pending }
        })
        .await
    }
}

// A wake-up that is lost stops a pair for good: nothing else would wake it.
#[test]
fn tasks_of_different_threads_that_wake_each_other_lose_no_wake_up() {
    const ROUNDS: u64 = 20_000;
    let workers = workers();
    let pairs: Vec<_> = (0..8)
        .map(|n| {
            let (ping, pong) = (Arc::<Raised>::default(), Arc::<Raised>::default());
            let (one, other) = (&workers[n % workers.len()], &workers[(n / 2) % workers.len()]);
            let (here, there) = (Arc::clone(&ping), Arc::clone(&pong));
            let first = on(one, async move {
                for round in 0..ROUNDS {
                    here.raise();
                    there.beyond(round).await;
                }
            });
            let second = on(other, async move {
                for round in 0..ROUNDS {
                    ping.beyond(round).await;
                    pong.raise();
                }
            });
            (first, second)
        })
        .collect();
    for (first, second) in pairs {
        first.recv_timeout(LONG).unwrap();
        second.recv_timeout(LONG).unwrap();
    }
}

#[test]
fn a_task_woken_from_threads_that_are_no_workers_loses_no_wake_up() {
    const ROUNDS: u64 = 20_000;
    for worker in workers() {
        let (ping, pong) = (Arc::<Raised>::default(), Arc::<Raised>::default());
        let (here, there) = (Arc::clone(&ping), Arc::clone(&pong));
        let task = on(worker, async move {
            for round in 0..ROUNDS {
                here.beyond(round).await;
                there.raise();
            }
        });
        for round in 0..ROUNDS {
            ping.raise();
            rt::block_on(pong.beyond(round));
        }
        task.recv_timeout(LONG).unwrap();
    }
}

#[test]
fn a_task_that_never_waits_leaves_the_thread_to_sockets_timers_and_other_tasks() {
    use crate::rt::{Connect, Listener, connect};
    use futures_lite::{AsyncReadExt, AsyncWriteExt};

    for worker in workers() {
        let ended = Arc::new(AtomicBool::new(false));
        let spinning = Arc::clone(&ended);
        let spinner = on(worker, async move {
            while !spinning.load(Ordering::SeqCst) {
                future_yield().await;
            }
        });
        let served = on(worker, async {
            let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
            let port = listener.local_addr().unwrap().port();
            let to = Connect { host: "127.0.0.1".to_owned(), port, receive_buffer: None };
            let (client, server) = futures_lite::future::zip(connect(&to), listener.accept()).await;
            let (mut client, mut server) = (client.unwrap(), server.unwrap());
            Sleep::lasting(rt::clock(), Duration::from_millis(1)).await;
            let mut byte = [0];
            let read = server.read_exact(&mut byte);
            let write = async {
                future_yield().await;
                client.write_all(b"x").await.unwrap();
            };
            futures_lite::future::zip(read, write).await.0.unwrap();
            byte
        });
        assert_eq!(served.recv_timeout(LONG).unwrap().0, *b"x");
        ended.store(true, Ordering::SeqCst);
        spinner.recv_timeout(LONG).unwrap();
    }
}

#[test]
fn timers_of_all_workers_fire_never_early() {
    let clock = rt::clock();
    let received: Vec<_> = (0..400_u64)
        .map(|n| {
            let clock = Arc::clone(&clock);
            let worker = &workers()[n as usize % workers().len()];
            on(worker, async move {
                for wait in [n % 37, n % 11, 0] {
                    let deadline = clock.now() + Duration::from_millis(wait);
                    Sleep::until(Arc::clone(&clock) as _, deadline).await;
                    assert!(clock.now() >= deadline);
                }
            })
        })
        .collect();
    for received in received {
        received.recv_timeout(LONG).unwrap();
    }
}

#[test]
fn a_sleep_that_goes_to_another_worker_fires_there() {
    struct Half(Option<Sleep>);
    impl Future for Half {
        type Output = Sleep;
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sleep> {
            let mut sleep = self.0.take().unwrap();
            assert!(Pin::new(&mut sleep).poll(cx).is_pending());
            Poll::Ready(sleep)
        }
    }
    let clock = rt::clock();
    for (from, to) in workers().iter().zip(workers().iter().rev()) {
        // Long enough that it is not over before the first worker polls it, on a busy machine too.
        let sleep = Sleep::lasting(Arc::clone(&clock) as _, Duration::from_secs(3));
        let (armed, _) = on(from, Half(Some(sleep))).recv_timeout(LONG).unwrap();
        assert!(armed.is_armed());
        on(to, armed).recv_timeout(LONG).unwrap();
    }
}

#[test]
fn the_workers_start_once_from_many_threads() {
    let together = Barrier::new(8);
    let found: Vec<usize> = std::thread::scope(|scope| {
        let found: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    together.wait();
                    workers().as_ptr().addr()
                })
            })
            .collect();
        found.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(found.iter().all(|address| *address == found[0]));
}
