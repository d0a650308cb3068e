//! Who owns leases: a random name, kept in the data folder under a lock of the kernel's.
//!
//! A process that was killed has lost its lock, and its successor in the same folder takes its name
//! with the lock: it has what its predecessor had at once, without waiting for leases to end. A
//! predecessor that only hangs still has the lock, and the successor another name.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

/// The file in the data folder.
const FILE: &str = "owner";
/// The bytes of a name, in hexadecimal twice as many.
const BYTES: usize = 16;

/// A name, held as long as this lives.
#[derive(Debug)]
pub struct Owner {
    name: String,
    _lock: Option<File>,
}

impl Owner {
    /// The folder's name, or one for this process alone where another process holds it.
    ///
    /// # Errors
    /// As the operating system reports them.
    pub fn of(data: &Path) -> std::io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(data.join(FILE))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(Self {
                name: random()?,
                _lock: None,
            });
        }
        let mut name = String::new();
        let read = Read::by_ref(&mut file).take(1024).read_to_string(&mut name);
        let is_name = name.len() == BYTES * 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if read.is_err() || !is_name {
            name = random()?;
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(name.as_bytes())?;
            file.sync_all()?;
        }
        Ok(Self {
            name,
            _lock: Some(file),
        })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn random() -> std::io::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_outlives_its_process_and_is_not_shared() {
        let folder = tempfile::tempdir().unwrap();
        let first = Owner::of(folder.path()).unwrap();
        let beside = Owner::of(folder.path()).unwrap();
        assert_ne!(first.name(), beside.name());
        let name = first.name().to_owned();
        drop(first);
        assert_eq!(Owner::of(folder.path()).unwrap().name(), name);
    }

    #[test]
    fn a_torn_name_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "abc").unwrap();
        let name = Owner::of(folder.path()).unwrap().name().to_owned();
        assert_eq!(name.len(), 32);
        assert_eq!(Owner::of(folder.path()).unwrap().name(), name);
    }
}
