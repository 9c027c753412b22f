//! A few threads that may block on the disk, so that nobody else has to.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use parking_lot::{Condvar, Mutex};
use pubsub_storage::{Executor, Job};

/// Threads that run the store's jobs, first come first served.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    wanted: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    stopping: bool,
}

impl Pool {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    /// The operating system gives no more threads.
    pub fn start(threads: usize) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared::default());
        let start = |nth: usize| {
            let shared = shared.clone();
            Builder::new().name(format!("pubsub-io-{nth}")).spawn(move || shared.work())
        };
        let threads = (0..threads.max(1)).map(start).collect::<io::Result<Vec<_>>>()?;
        Ok(Arc::new(Self { shared, threads: Mutex::new(threads) }))
    }

    /// Runs what was submitted, and ends the threads. What is submitted later is dropped.
    pub fn stop(&self) {
        self.shared.queue.lock().stopping = true;
        self.shared.wanted.notify_all();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("an I/O thread ended with a panic");
            }
        }
    }
}

impl Executor for Pool {
    fn submit(&self, job: Job) {
        let mut queue = self.shared.queue.lock();
        if !queue.stopping {
            queue.jobs.push_back(job);
            self.shared.wanted.notify_one();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let mut queue = self.queue.lock();
            let job = loop {
                if let Some(job) = queue.jobs.pop_front() {
                    break job;
                }
                if queue.stopping {
                    return;
                }
                self.wanted.wait(&mut queue);
            };
            drop(queue);
            if catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                tracing::error!("a storage job panicked; its channel may need a restart");
            }
        }
    }
}
