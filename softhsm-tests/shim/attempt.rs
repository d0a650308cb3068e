//! What neither a module nor the server may do, attempted.
//!
//! The folder's file `attempt` names one; it is removed first. Who survives leaves the file `survived`.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// Makes the attempt that the module's folder names.
pub(crate) fn make() {
    if let Some(folder) = super::folder() {
        make_in(&folder);
    }
}

fn make_in(folder: &Path) {
    let path = folder.join("attempt");
    let Ok(name) = fs::read_to_string(&path) else {
        return;
    };
    if fs::remove_file(&path).is_ok() {
        attempt(name.trim());
        // Nobody waits for it whose process has gone on unharmed.
        let _ = fs::write(folder.join("survived"), name);
    }
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

/// Run when the library is loaded: into a server that is told where attempts are named, a thread that waits for one.
#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = loaded;

extern "C" fn loaded() {
    let Some(folder) = std::env::var_os("ATTEMPT_FOLDER").map(PathBuf::from) else {
        return;
    };
    let line = fs::read("/proc/self/cmdline").unwrap_or_default();
    if line.split(|byte| *byte == 0).any(|word| word == b"server") {
        thread::spawn(move || {
            loop {
                make_in(&folder);
                thread::sleep(Duration::from_millis(5));
            }
        });
    }
}
