//! Which system calls a process may make once it has started. Any other ends it (seccomp(2), `SIGSYS`). A module may
//! do more while it is loaded and logged in to, but nothing of what is never allowed: that is refused to it.
//!
//! None of the lists has a way to run a program, to make a process, to look into another, to change who one is, or
//! to make memory executable that was not loaded as such. The server makes no socket either: it has those that it
//! listens on. A key child makes local ones, as modules write to the system's log or speak to a daemon of their own,
//! and others only where its device is behind a network.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use thiserror::Error;

/// Whose calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// Journal, policy and API, once it listens.
    Server,
    /// A PKCS#11 module, once it is logged in to.
    KeyChild {
        /// Whether its device is behind a network.
        network: bool,
    },
}

/// The calls cannot be restricted.
#[derive(Debug, Error)]
#[error("the kernel does not restrict system calls")]
pub struct SystemCallsError(#[source] seccompiler::Error);

/// Threads, memory, time and signals; files and what is open already.
const EVERY: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_faccessat,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_futex,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpeername,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mincore,
    libc::SYS_mkdirat,
    libc::SYS_mlock,
    libc::SYS_mremap,
    libc::SYS_munlock,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_prlimit64,
    libc::SYS_pselect6,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_setpriority,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_sigaltstack,
    libc::SYS_socketpair,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_sysinfo,
    libc::SYS_tgkill,
    libc::SYS_umask,
    libc::SYS_uname,
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
];

/// The same by older names, which other machines have not.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// What the server alone does: it takes connections.
const SERVER: &[c_long] = &[libc::SYS_accept4];

/// What a module may do besides: shared memory and semaphores, its own locks and its own end.
const KEY_CHILD: &[c_long] = &[
    libc::SYS_connect,
    libc::SYS_fchown,
    libc::SYS_getrusage,
    libc::SYS_ioctl,
    libc::SYS_kill,
    libc::SYS_semctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_shmdt,
    libc::SYS_shmget,
    libc::SYS_times,
];

/// What not even the constructor or the login of a module may do: programs, other processes, other namespaces, another
/// user, the kernel's own programs and keys. `io_uring` would make sockets that no filter sees. A further filter only
/// takes more away, and [`restrict`] adds one.
const NEVER: &[c_long] = &[
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_capset,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_request_key,
    libc::SYS_setgid,
    libc::SYS_setns,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_setuid,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// Processes by older names.
#[cfg(target_arch = "x86_64")]
const PROCESSES: &[c_long] = &[libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const PROCESSES: &[c_long] = &[];

/// What a tracer from outside makes of a call that it prevents (ptrace(2)); the kernel answers that there is none.
const NO_CALL: c_long = 0xffff_ffff;

/// Restricts every thread of this process, and those that it will have.
///
/// # Errors
/// [`SystemCallsError`].
pub fn restrict(process: Process) -> Result<(), SystemCallsError> {
    apply(filters(process))
}

/// Restricts a key child before its module is loaded: what is never allowed is refused, as a module may try it and
/// go on without. It has one thread, and [`restrict`] follows.
///
/// # Errors
/// [`SystemCallsError`].
pub fn restrict_loading(network: bool) -> Result<(), SystemCallsError> {
    let filters = || {
        let refused = SeccompFilter::new(
            refused(network)?,
            SeccompAction::Allow,
            SeccompAction::Errno(libc::EPERM.unsigned_abs()),
            architecture()?,
        )?;
        Ok([no_clone3()?, refused.try_into()?])
    };
    apply(filters())
}

fn apply(
    filters: Result<[BpfProgram; 2], seccompiler::BackendError>,
) -> Result<(), SystemCallsError> {
    for filter in filters.map_err(|error| SystemCallsError(error.into()))? {
        seccompiler::apply_filter_all_threads(&filter).map_err(SystemCallsError)?;
    }
    Ok(())
}

/// The calls, with what their arguments are where they are refused.
fn refused(network: bool) -> Result<BTreeMap<c_long, Vec<SeccompRule>>, seccompiler::BackendError> {
    let calls = [NEVER, PROCESSES].concat().into_iter();
    let mut refused: BTreeMap<c_long, Vec<SeccompRule>> =
        calls.map(|call| (call, Vec::new())).collect();
    let thread = bits(libc::CLONE_THREAD);
    refused.insert(libc::SYS_clone, vec![masked(0, thread, 0)?]);
    let dumpable = each(0, [bits(libc::PR_SET_DUMPABLE)])?;
    refused.insert(libc::SYS_prctl, dumpable);
    if !network {
        let elsewhere = SeccompCondition::new(
            0,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Ne,
            bits(libc::AF_UNIX),
        )?;
        refused.insert(libc::SYS_socket, vec![SeccompRule::new(vec![elsewhere])?]);
    }
    Ok(refused)
}

/// The kernel obeys the sterner of the two. The first says that there is no `clone3`, whose flags no filter can
/// see: a C library makes threads with `clone` then.
fn filters(process: Process) -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let only = SeccompFilter::new(
        allowed(process)?,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        architecture()?,
    )?;
    Ok([no_clone3()?, only.try_into()?])
}

fn no_clone3() -> Result<BpfProgram, seccompiler::BackendError> {
    let filter = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
        architecture()?,
    )?;
    filter.try_into()
}

fn architecture() -> Result<TargetArch, seccompiler::BackendError> {
    std::env::consts::ARCH.try_into()
}

/// The calls, with what their arguments must be; nothing where they may be anything.
fn allowed(
    process: Process,
) -> Result<BTreeMap<c_long, Vec<SeccompRule>>, seccompiler::BackendError> {
    let more = match process {
        Process::Server => SERVER,
        Process::KeyChild { .. } => KEY_CHILD,
    };
    let free = [EVERY, OLDER, more].concat().into_iter();
    let mut allowed: BTreeMap<c_long, Vec<SeccompRule>> =
        free.map(|call| (call, Vec::new())).collect();
    for call in [NO_CALL, libc::SYS_clone3] {
        allowed.insert(call, Vec::new());
    }
    // A thread, never a process.
    let thread = bits(libc::CLONE_THREAD);
    allowed.insert(libc::SYS_clone, vec![masked(0, thread, thread)?]);
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        allowed.insert(call, vec![masked(2, bits(libc::PROT_EXEC), 0)?]);
    }
    // Names of threads and of memory: nothing that makes it dumpable again.
    let names = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA];
    allowed.insert(libc::SYS_prctl, each(0, names.map(bits))?);
    match process {
        Process::Server => {
            let [does_not_block, terminal] = [libc::FIONBIO, libc::TCGETS];
            allowed.insert(libc::SYS_ioctl, each(1, [does_not_block, terminal])?);
        }
        Process::KeyChild { network: true } => {
            for call in [libc::SYS_socket, libc::SYS_bind, libc::SYS_listen] {
                allowed.insert(call, Vec::new());
            }
        }
        Process::KeyChild { network: false } => {
            allowed.insert(libc::SYS_socket, each(0, [bits(libc::AF_UNIX)])?);
        }
    }
    Ok(allowed)
}

/// The bits of a constant of the C library.
const fn bits(constant: libc::c_int) -> u64 {
    constant.unsigned_abs() as u64
}

/// An argument that is one of these.
fn each<const N: usize>(
    argument: u8,
    values: [u64; N],
) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let all = u64::from(u32::MAX);
    let rules = values.into_iter().map(|value| masked(argument, all, value));
    rules.collect()
}

/// An argument that has this value where the mask has ones.
fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(mask),
        value,
    )?;
    SeccompRule::new(vec![condition])
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: [Process; 3] = [
        Process::Server,
        Process::KeyChild { network: false },
        Process::KeyChild { network: true },
    ];

    #[test]
    fn none_may_run_programs_or_reach_into_others() {
        let never = [
            NEVER,
            PROCESSES,
            &[libc::SYS_memfd_create, libc::SYS_seccomp],
        ]
        .concat();
        for process in EACH {
            let allowed = allowed(process).unwrap();
            for call in &never {
                assert!(!allowed.contains_key(call), "{process:?}: {call}");
            }
            assert_eq!(filters(process).unwrap().len(), 2);
        }
    }

    #[test]
    fn only_a_key_child_makes_sockets() {
        let has = |process| allowed(process).unwrap().remove(&libc::SYS_socket);
        let [server, local, network] = EACH.map(has);
        assert_eq!(server, None);
        assert_eq!(local.map(|rules| rules.len()), Some(1));
        assert_eq!(network.map(|rules| rules.len()), Some(0));
    }
}
