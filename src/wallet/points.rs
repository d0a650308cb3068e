//! Numbered points around every durable write and every external effect, at which a test can end the
//! process. They exist in builds for tests only.

/// What a point stands before or behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deed {
    /// A database transaction.
    Commit,
    /// A call to the signer.
    Sign,
    /// Bytes given to a node.
    Send,
}

/// Where a point stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Nothing of it was begun.
    Before,
    /// It is done, and nobody was told.
    After,
}

/// Passes a point. With the environment variable `WALLETD_DIES_AT=N` a build with debug assertions
/// ends at its Nth point as `kill -9` ends it; with `WALLETD_POINTS=FILE` it writes each point that it
/// passes there.
#[cfg(debug_assertions)]
pub fn pass(deed: Deed, side: Side) {
    imp::pass(deed, side);
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
pub fn pass(_: Deed, _: Side) {}

#[cfg(debug_assertions)]
mod imp {
    use std::{
        io::Write,
        sync::{
            LazyLock, Mutex, PoisonError,
            atomic::{AtomicU64, Ordering},
        },
    };

    use super::{Deed, Side};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    static DIES_AT: LazyLock<Option<u64>> = LazyLock::new(|| {
        let text = std::env::var("WALLETD_DIES_AT").ok()?;
        text.parse().ok()
    });
    static LOG: LazyLock<Option<Mutex<std::fs::File>>> = LazyLock::new(|| {
        let path = std::env::var_os("WALLETD_POINTS")?;
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        file.ok().map(Mutex::new)
    });

    pub fn pass(deed: Deed, side: Side) {
        let number = PASSED.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        if let Some(log) = LOG.as_ref() {
            let mut file = log.lock().unwrap_or_else(PoisonError::into_inner);
            // A test reads it; a line that is missing fails the test.
            let _ = writeln!(file, "{number} {deed:?} {side:?}");
        }
        if *DIES_AT == Some(number) {
            // As by the kernel: no destructor runs, nothing is flushed.
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
            std::process::abort();
        }
    }
}
