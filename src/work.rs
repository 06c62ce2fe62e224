//! Bounded work off the async threads: so many at once, so many waiting, and the rest is told to come back.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::fault::Fault;

/// A limit on one kind of blocking work.
pub struct Bounded {
    name: &'static str,
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
}

impl Bounded {
    /// `at_once` run together, `queue` more may wait.
    pub fn new(name: &'static str, at_once: usize, queue: usize) -> Self {
        Self { name, slots: Arc::new(Semaphore::new(at_once)), waiting: AtomicUsize::new(0), queue }
    }

    /// Runs `work` on a blocking thread. [`Fault::Busy`] when the queue is full, or when the work panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        match self.slots.clone().try_acquire_owned() {
            Ok(slot) => self.work(slot, work).await,
            Err(_) => self.wait(work).await,
        }
    }

    async fn wait<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Fault::Busy(self.name));
        }
        let place = Place(&self.waiting);
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| Fault::Busy(self.name))?;
        drop(place);
        self.work(slot, work).await
    }

    /// The slot goes to the thread: whoever asked may go away, and the work is still one of so many at once.
    async fn work<T: Send + 'static>(
        &self,
        slot: OwnedSemaphorePermit,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let done = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        });
        done.await.map_err(|_| Fault::Busy(self.name))
    }
}

/// A place in the queue, given back even when the request that held it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn work_whose_asker_went_away_still_takes_its_slot() {
        let bounded = Arc::new(Bounded::new("test", 1, 0));
        let (release, held) = mpsc::channel::<()>();
        let (started, running) = tokio::sync::oneshot::channel();
        let asker = tokio::spawn({
            let bounded = bounded.clone();
            async move {
                bounded
                    .run(move || {
                        started.send(()).expect("the test waits for it");
                        held.recv().expect("the test releases it");
                    })
                    .await
            }
        });
        running.await.expect("it runs");
        asker.abort();
        assert!(asker.await.is_err_and(|gone| gone.is_cancelled()));
        assert!(matches!(bounded.run(|| ()).await, Err(Fault::Busy("test"))));
        release.send(()).expect("the work waits for it");
        while bounded.run(|| ()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_does_not_fit_the_queue_is_told_to_come_back() {
        let bounded = Arc::new(Bounded::new("test", 1, 0));
        let (release, held) = mpsc::channel::<()>();
        let (started, running) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let bounded = bounded.clone();
            async move {
                bounded
                    .run(move || {
                        started.send(()).expect("the test waits for it");
                        held.recv().expect("the test releases it");
                    })
                    .await
            }
        });
        running.await.expect("the first runs");
        assert!(matches!(bounded.run(|| ()).await, Err(Fault::Busy("test"))));
        release.send(()).expect("the first waits for it");
        assert!(first.await.expect("joined").is_ok());
        assert!(bounded.run(|| ()).await.is_ok());
    }
}
