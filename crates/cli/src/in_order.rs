//! Work on several threads whose results come in order.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

/// Works on every item, on as many threads as there are CPUs, and hands each result to `sink` in
/// the items' order, as soon as those before it are done. Stops at the sink's first error.
pub fn in_order<T: Sync, R: Send, E>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut sink: impl FnMut(&T, R) -> Result<(), E>,
) -> Result<(), E> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    if items.len() <= 1 || threads == 1 {
        return items.iter().try_for_each(|item| sink(item, work(item)));
    }
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (done, results) = mpsc::channel();
        for _ in 0..threads.min(items.len()) {
            let (done, next, work) = (done.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    // Nobody listens any more after an error.
                    if done.send((index, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut early = BTreeMap::new();
        let mut wanted = 0;
        for (index, result) in results {
            early.insert(index, result);
            while let Some(result) = early.remove(&wanted) {
                if let Err(error) = sink(&items[wanted], result) {
                    next.store(items.len(), Ordering::Relaxed);
                    return Err(error);
                }
                wanted += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_items_order() {
        let items: Vec<u64> = (0..200).collect();
        let mut seen = Vec::new();
        let slow_first = |n: &u64| {
            thread::sleep(std::time::Duration::from_micros(400 - 2 * n));
            n * n
        };
        let done: Result<(), ()> = in_order(&items, slow_first, |item, result| {
            seen.push((*item, result));
            Ok(())
        });
        assert_eq!(done, Ok(()));
        assert_eq!(seen, items.iter().map(|n| (*n, n * n)).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_ends_the_work() {
        let items: Vec<usize> = (0..100_000).collect();
        let tried = AtomicUsize::new(0);
        let work = |n: &usize| {
            tried.fetch_add(1, Ordering::Relaxed);
            if *n > 3 {
                // All of them would take a minute.
                thread::sleep(std::time::Duration::from_millis(1));
            }
            *n
        };
        let done = in_order(&items, work, |_, n| if n == 3 { Err(n) } else { Ok(()) });
        assert_eq!(done, Err(3));
        assert!(tried.load(Ordering::Relaxed) < items.len());
    }
}
