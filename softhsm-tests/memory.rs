//! What lies in the memory of a running process, as the kernel and the superuser see it.

use std::{fs, os::unix::fs::FileExt};

use rustix::process::Pid;

/// A part of a process's address space.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Its first address.
    pub from: u64,
    /// The address behind it.
    pub to: u64,
    /// `rw-p` and the like.
    pub access: String,
    /// The file that it is of, or the kernel's name for it.
    pub name: String,
    /// Two letters each, of `VmFlags` in `/proc/PID/smaps`.
    pub flags: Vec<String>,
}

/// The parts of a process's address space.
///
/// # Panics
/// When there is no such process, or it may not be looked at.
pub fn mappings(pid: Pid) -> Vec<Mapping> {
    let path = format!("/proc/{}/smaps", pid.as_raw_nonzero());
    let text = fs::read_to_string(path).expect("the superuser's right to look");
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in text.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            if let Some(last) = mappings.last_mut() {
                last.flags = flags.split_whitespace().map(str::to_owned).collect();
            }
        } else if let Some(mapping) = mapping(line) {
            mappings.push(mapping);
        }
    }
    mappings
}

/// `7f12…-7f13… rw-p …`
fn mapping(line: &str) -> Option<Mapping> {
    let mut words = line.split_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some(Mapping {
        from: number(from)?,
        to: number(to)?,
        access: words.next()?.to_owned(),
        name: words.nth(3).unwrap_or_default().to_owned(),
        flags: Vec::new(),
    })
}

/// Where these bytes are in a process's memory that can be written to, and how many bytes were
/// looked at.
///
/// # Panics
/// When the memory cannot be read: only the superuser may.
pub fn search(pid: Pid, wanted: &[u8]) -> (Vec<(Mapping, u64)>, u64) {
    let path = format!("/proc/{}/mem", pid.as_raw_nonzero());
    let memory = fs::File::open(path).expect("the superuser's right to look");
    let (mut found, mut looked_at) = (Vec::new(), 0);
    for mapping in mappings(pid) {
        if !mapping.access.starts_with("rw") {
            continue;
        }
        let length = usize::try_from(mapping.to - mapping.from).expect("64 bits");
        let mut bytes = vec![0; length];
        // Some parts, such as the kernel's own, cannot be read.
        let Ok(read) = memory.read_at(&mut bytes, mapping.from) else {
            continue;
        };
        looked_at += read as u64;
        let places = bytes[..read].windows(wanted.len()).enumerate();
        for (place, window) in places {
            if window == wanted {
                found.push((mapping.clone(), mapping.from + place as u64));
            }
        }
    }
    (found, looked_at)
}
