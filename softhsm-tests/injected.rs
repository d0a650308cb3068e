//! Code in a running process that it did not bring: what somebody does who has taken it over.
//!
//! The superuser may change the code of a process, as a debugger does: here that of one function, and the process runs
//! what stands there when it calls it next.

use std::{
    fs::{self, File},
    ops::Range,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::Path,
};

use object::{Object, ObjectSymbol};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    memory::mappings,
    program::{pause, until},
};

/// A function that a process calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `clock_gettime`, in the code that the kernel maps into every process (vdso(7)).
    ClockGettime,
    /// `send`, in the C library.
    Send,
}

/// A process that was stopped.
#[derive(Debug)]
pub struct Stopped {
    process: Pid,
    code: Code,
}

/// Where a function is in a process.
#[derive(Clone, Copy, Debug)]
struct Code {
    place: u64,
    bytes: u64,
}

impl Stopped {
    /// Stops a process, outside a function.
    ///
    /// # Panics
    /// When there is none.
    pub fn outside(function: Function, process: Pid) -> Self {
        let code = Code::of(function, process);
        until("a process outside the function", || {
            pause(process);
            let outside = is_outside(process, code);
            if !outside {
                kill_process(process, Signal::CONT).expect("a stopped process");
            }
            outside.then_some(())
        });
        Self { process, code }
    }

    /// Lets it go on, with this in the function's place.
    ///
    /// # Panics
    /// When its code cannot be changed: only the superuser may.
    pub fn go_on_with(self, code: &[u8]) {
        let Self {
            process,
            code: Code { place, bytes },
        } = self;
        assert!(code.len() as u64 <= bytes, "{bytes}");
        let path = format!("/proc/{}/mem", process.as_raw_nonzero());
        let memory = File::options().write(true).open(path);
        let memory = memory.expect("the superuser's right to write");
        memory.write_all_at(code, place).expect("its code");
        kill_process(process, Signal::CONT).expect("a stopped process");
    }
}

/// Makes a system call with up to three numbers, and ends the process with the number of its error.
pub fn call(number: i64, arguments: [i64; 3]) -> Vec<u8> {
    let mut code = Vec::new();
    let registers = [0xc7, 0xc6, 0xc2]; // rdi, rsi, rdx
    for (register, argument) in registers.into_iter().zip(arguments) {
        code.extend(set(register, argument));
    }
    code.extend(call_and_end(number));
    code
}

/// Opens a file to be read, and ends the process with the number of its error.
pub fn open(path: &Path) -> Vec<u8> {
    let mut code = set(0xc7, i64::from(libc::AT_FDCWD)).to_vec();
    let rest = [&set(0xc2, 0)[..], &call_and_end(libc::SYS_openat)].concat();
    let distance = u32::try_from(rest.len()).expect("some bytes");
    code.extend([0x48, 0x8d, 0x35]); // lea rsi, [behind the code]
    code.extend(distance.to_le_bytes());
    code.extend(rest);
    code.extend(path.as_os_str().as_bytes());
    code.push(0);
    code
}

/// `mov register, number`
fn set(register: u8, number: i64) -> [u8; 7] {
    let number = i32::try_from(number).expect("a small number");
    let [a, b, c, d] = number.to_le_bytes();
    [0x48, 0xc7, register, a, b, c, d]
}

fn call_and_end(number: i64) -> Vec<u8> {
    const RAX: u8 = 0xc0;
    const CALL: [u8; 2] = [0x0f, 0x05]; // syscall
    let exit_code = [0xf7, 0xd8, 0x89, 0xc7]; // neg eax; mov edi, eax
    let parts = [
        &set(RAX, number)[..],
        &CALL,
        &exit_code,
        &set(RAX, libc::SYS_exit_group),
        &CALL,
    ];
    parts.concat()
}

/// Whether none of its threads is where the code is to be changed.
fn is_outside(process: Pid, Code { place, bytes }: Code) -> bool {
    threads_at(process).all(|at| at < place || at >= place + bytes)
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

impl Code {
    fn of(function: Function, process: Pid) -> Self {
        let (library, name) = match function {
            Function::ClockGettime => ("[vdso]", "__vdso_clock_gettime"),
            Function::Send => ("libc.so.6", "send"),
        };
        let mut parts = mappings(process).into_iter();
        let first = parts.find(|mapping| mapping.name.ends_with(library));
        let first = first.expect("the library");
        let file = match function {
            Function::ClockGettime => read(process, first.from..first.to),
            Function::Send => fs::read(first.name).expect("the library"),
        };
        let file = object::File::parse(&*file).expect("ELF");
        let mut symbols = file.dynamic_symbols();
        let symbol = symbols.find(|symbol| symbol.name() == Ok(name));
        let symbol = symbol.expect("the function");
        Self {
            place: first.from + symbol.address(),
            bytes: symbol.size(),
        }
    }
}

fn read(process: Pid, range: Range<u64>) -> Vec<u8> {
    let path = format!("/proc/{}/mem", process.as_raw_nonzero());
    let memory = File::open(path).expect("the superuser's right to look");
    let mut bytes = vec![0; usize::try_from(range.end - range.start).expect("64 bits")];
    memory
        .read_exact_at(&mut bytes, range.start)
        .expect("its memory");
    bytes
}
