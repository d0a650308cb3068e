//! What every process of the daemon gives up at its start, and server and key child once they have started.

pub mod files;
pub mod memory;
pub mod notes;
pub mod places;
pub mod system_calls;
pub mod user;

use std::io;

use rustix::process::{Signal, set_parent_process_death_signal};

/// No set-user-id program and no file capability gives this process or its children more.
///
/// # Errors
/// As the operating system reports them.
pub fn no_new_privileges() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// A child ends with its supervisor, so that no server or key child is left behind without one. A
/// supervisor that is gone already is seen at the end of the socket.
///
/// # Errors
/// As the operating system reports them.
pub fn end_with_parent() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}
