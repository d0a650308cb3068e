//! Memory that is never written to a disk.

use std::io;

use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Lets this process, and those that it starts, lock all of their memory, where it may allow that.
pub fn allow_locking() {
    let endless = Rlimit {
        current: None,
        maximum: None,
    };
    // Who may not raise the limit has what it is started with.
    let _refused = setrlimit(Resource::Memlock, endless);
}

/// Whether all memory may be locked. Under a limit it is not tried: what is asked for beyond it
/// would not be had at all.
pub fn may_lock() -> bool {
    getrlimit(Resource::Memlock).current.is_none()
}

/// Locks what this process has of memory and what it will have, page by page as it is used, where its limit allows that:
/// `signerd` says at its start where it does not.
///
/// # Errors
/// As the operating system reports them.
pub fn lock() -> io::Result<()> {
    if may_lock() {
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?;
    }
    Ok(())
}
