//! What neither a module nor the server may do, attempted.
//!
//! The folder's file `attempt` names them, one a line; it is removed first. Who survives leaves the file `survived`, with
//! what the system answered to each: 0, or the number of its error. Those of `attempt-at-login` are made
//! before a module is logged in, when its system calls are not restricted yet.

use std::{
    fs::{self, File, OpenOptions},
    io,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Once,
    thread,
    time::Duration,
};

/// Makes the attempts that the module's folder names.
pub(crate) fn make() {
    if let Some(folder) = super::folder() {
        make_in(&folder, "attempt");
    }
}

/// Those that it names for a login.
pub(crate) fn make_at_login() {
    if let Some(folder) = super::folder() {
        make_in(&folder, "attempt-at-login");
    }
}

fn make_in(folder: &Path, name: &str) {
    let path = folder.join(name);
    let Ok(names) = fs::read_to_string(&path) else {
        return;
    };
    if fs::remove_file(&path).is_ok() {
        let outcomes = names
            .lines()
            .map(|name| format!("{name}: {}\n", outcome(name.trim())));
        let outcomes: String = outcomes.collect();
        // Nobody waits for it whose process has gone on unharmed. Whole at once: who waits reads it.
        let written = folder.join("survived-written");
        let _ = fs::write(&written, outcomes)
            .and_then(|()| fs::rename(written, folder.join("survived")));
    }
}

/// What the system answers.
fn outcome(name: &str) -> i32 {
    let tried = match name.split_once(' ') {
        Some(("open", path)) => File::open(path).map(drop),
        Some(("write", path)) => OpenOptions::new().append(true).open(path).map(drop),
        Some(("make", path)) => File::create_new(path).map(drop),
        Some(("remove", path)) => fs::remove_file(path),
        Some(("connect", address)) => TcpStream::connect(address).map(drop),
        Some(("listen", address)) => TcpListener::bind(address).map(drop),
        None if name == "is-dumpable" => {
            // SAFETY: it takes numbers alone.
            return unsafe { libc::prctl(libc::PR_GET_DUMPABLE) };
        }
        _ => {
            attempt(name);
            Err(io::Error::last_os_error())
        }
    };
    tried.map_or_else(|error| error.raw_os_error().unwrap_or(-1), |()| 0)
}

fn attempt(name: &str) {
    // SAFETY: each call is given null or zero where it takes more than numbers, but for the path and the arguments
    // of a program, which live until it returns; what it answers is not used.
    unsafe {
        match name {
            "exec" => {
                let arguments = [c"/bin/true".as_ptr(), std::ptr::null()];
                libc::execv(c"/bin/true".as_ptr(), arguments.as_ptr());
            }
            "fork" => {
                libc::fork();
            }
            "ptrace" => {
                libc::ptrace(libc::PTRACE_ATTACH, libc::getppid(), 0, 0);
            }
            "connect" => {
                libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
            }
            "netlink" => {
                libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, 0);
            }
            "read-memory" => {
                libc::process_vm_readv(
                    libc::getppid(),
                    std::ptr::null(),
                    0,
                    std::ptr::null(),
                    0,
                    0,
                );
            }
            "code" => {
                let [protection, flags] = [
                    libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                ];
                libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0);
            }
            "dumpable" => {
                libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
            }
            "namespace" => {
                libc::unshare(libc::CLONE_NEWUSER);
            }
            "filter" => {
                libc::syscall(libc::SYS_seccomp, 0, 0, 0);
            }
            "keys" => {
                libc::syscall(libc::SYS_keyctl, 0, 0, 0, 0, 0);
            }
            "user" => {
                libc::setuid(0);
            }
            // One that is on the list.
            "nothing" => {
                libc::getpid();
            }
            _ => {}
        }
    }
}

/// In the place of the C library's, where this library is loaded before a server that is told where attempts are named:
/// its first connection starts a thread that waits for one. A thread from before would not be held to files,
/// as landlock(7) holds the thread that asks for it and those that it starts.
///
/// # Safety
/// As accept(2) says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept4(
    socket: libc::c_int,
    address: *mut libc::sockaddr,
    length: *mut libc::socklen_t,
    flags: libc::c_int,
) -> libc::c_int {
    static STARTED: Once = Once::new();
    if let Some(folder) = std::env::var_os("ATTEMPT_FOLDER").map(PathBuf::from) {
        STARTED.call_once(|| wait_for_attempts(folder));
    }
    // SAFETY: the caller's arguments, as they are.
    let accepted = unsafe { libc::syscall(libc::SYS_accept4, socket, address, length, flags) };
    accepted as libc::c_int
}

fn wait_for_attempts(folder: PathBuf) {
    thread::spawn(move || {
        loop {
            make_in(&folder, "attempt");
            thread::sleep(Duration::from_millis(5));
        }
    });
}
