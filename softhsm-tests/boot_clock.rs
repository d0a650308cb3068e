//! The boot clock of a running process, which only the kernel moves: by what it runs when it asks for the time.
//!
//! Programs read the clock through code that the kernel maps into them (vdso(7)). The superuser may change that code,
//! as a debugger does, and then one process sees a machine that was asleep.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    time::Duration,
};

use object::{Object, ObjectSymbol};
use rustix::process::{Pid, Signal, kill_process};

use crate::{memory::mappings, program::until};

/// In the place of `clock_gettime`, on x86-64: asks the kernel itself, and adds seconds to the answer of
/// `CLOCK_BOOTTIME` (7). The seconds follow.
const BEGIN: [u8; 15] = [
    0xb8, 0xe4, 0, 0, 0, // mov eax, SYS_clock_gettime
    0x0f, 0x05, // syscall
    0x83, 0xff, 0x07, // cmp edi, CLOCK_BOOTTIME
    0x75, 0x07, // jne the end
    0x48, 0x81, 0x06, // add qword [rsi], the seconds
];
const END: u8 = 0xc3; // ret
const BYTES: u64 = BEGIN.len() as u64 + 5;

/// A process that was put to sleep.
#[derive(Debug)]
pub struct Asleep(Pid);

impl Asleep {
    /// Stops a process.
    ///
    /// # Panics
    /// When there is none.
    pub fn stop(process: Pid) -> Self {
        kill_process(process, Signal::STOP).expect("a running process");
        until("a stopped process", || is_stopped(process).then_some(()));
        Self(process)
    }

    /// Moves its boot clock so far ahead of the kernel's, and lets it go on.
    ///
    /// # Panics
    /// When its code cannot be changed: only the superuser may.
    pub fn wake_after(self, slept: Duration) {
        let Self(process) = self;
        let place = clock_gettime(process);
        let seconds = u32::try_from(slept.as_secs()).expect("less than a century");
        let code = [&BEGIN[..], &seconds.to_le_bytes(), &[END]].concat();
        let path = format!("/proc/{}/mem", process.as_raw_nonzero());
        let memory = File::options().write(true).open(path);
        let memory = memory.expect("the superuser's right to write");
        memory.write_all_at(&code, place).expect("its code");
        kill_process(process, Signal::CONT).expect("a stopped process");
    }
}

/// The letter behind the name: `T` is stopped.
fn is_stopped(process: Pid) -> bool {
    let path = format!("/proc/{}/stat", process.as_raw_nonzero());
    let stat = fs::read_to_string(path).expect("a process");
    let (_, after) = stat.rsplit_once(')').expect("its name");
    let stopped = after.trim_start().starts_with('T');
    // None of its threads is where the code is to be changed.
    let place = clock_gettime(process);
    stopped && threads_at(process).all(|at| at < place || at >= place + BYTES)
}

/// Where the threads are that were not in the kernel.
fn threads_at(process: Pid) -> impl Iterator<Item = u64> {
    let path = format!("/proc/{}/task", process.as_raw_nonzero());
    let threads = fs::read_dir(path).expect("its threads");
    threads.filter_map(|thread| {
        let call = thread.expect("a thread").path().join("syscall");
        let text = fs::read_to_string(call).expect("the superuser's right to look");
        let at = text.split_whitespace().last()?.strip_prefix("0x")?;
        u64::from_str_radix(at, 16).ok()
    })
}

/// Where `clock_gettime` begins in a process.
fn clock_gettime(process: Pid) -> u64 {
    let parts = mappings(process);
    let vdso = parts.iter().find(|mapping| mapping.name == "[vdso]");
    let vdso = vdso.expect("the kernel's own library");
    let path = format!("/proc/{}/mem", process.as_raw_nonzero());
    let memory = File::open(path).expect("the superuser's right to look");
    let mut library = vec![0; usize::try_from(vdso.to - vdso.from).expect("64 bits")];
    memory
        .read_exact_at(&mut library, vdso.from)
        .expect("the kernel's own library");
    let library = object::File::parse(&*library).expect("ELF");
    let mut symbols = library.dynamic_symbols();
    let symbol = symbols.find(|symbol| symbol.name() == Ok("__vdso_clock_gettime"));
    let symbol = symbol.expect("clock_gettime");
    assert!(symbol.size() > BYTES, "{}", symbol.size());
    vdso.from + symbol.address()
}
