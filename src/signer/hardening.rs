//! What every process of the daemon gives up at its start.

use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getppid, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};

/// No core dump, no debugger of the same user.
///
/// # Errors
/// As the operating system reports them.
pub fn not_dumpable() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    Ok(())
}

/// No set-user-id program and no file capability gives this process or its children more.
///
/// # Errors
/// As the operating system reports them.
pub fn no_new_privileges() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// A child ends with its supervisor, so that no server or key child is left behind without one.
///
/// # Errors
/// When the parent is gone already, and as the operating system reports them.
pub fn end_with_parent() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    match getppid() {
        // Adopted by init: it was gone before the signal was asked for.
        Some(parent) if parent.is_init() => Err(io::Error::other("the supervisor is gone")),
        _ => Ok(()),
    }
}
