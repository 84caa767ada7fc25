//! A pool of a bounded number of workers for a list of numbered items.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::failure::Failure;

/// Does `work` for items 0 to `items` - 1, at most `workers` at once, taken in order.
///
/// # Errors
/// The first failure; it ends the other workers where they are.
pub async fn for_each<F, Fut>(workers: usize, items: usize, work: F) -> Result<(), Failure>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut running: JoinSet<Result<(), Failure>> = JoinSet::new();
    for _ in 0..workers.min(items) {
        let (next, work) = (next.clone(), work.clone());
        running.spawn(async move {
            loop {
                let item = next.fetch_add(1, Ordering::Relaxed);
                if item >= items {
                    return Ok(());
                }
                work(item).await?;
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok(result) => result?,
            Err(error) => return Err(Failure::failed("WORKER", error.to_string(), "")),
        }
    }
    Ok(())
}
