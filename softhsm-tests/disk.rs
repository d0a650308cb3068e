//! File systems of their own: one small enough to be filled, one that cannot be written to.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use crate::program::run;

/// A tmpfs over a folder, with what was in the folder; gone when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts a file system of this size, as `1m`.
    ///
    /// # Panics
    /// When it cannot be mounted: that takes root, or sudo without a password.
    pub fn mount(folder: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&folder).expect("a folder");
        let aside = folder.with_extension("aside");
        fs::rename(&folder, &aside).expect("a folder to put aside");
        fs::create_dir(&folder).expect("a place to mount");
        let owner = format!(
            "size={size},mode=0700,uid={}",
            rustix::process::getuid().as_raw()
        );
        run(as_root("mount")
            .args(["-t", "tmpfs", "-o", &owner, "tmpfs"])
            .arg(&folder));
        let disk = Self { folder };
        run(Command::new("cp")
            .arg("-a")
            .arg(aside.join("."))
            .arg(&disk.folder));
        fs::remove_dir_all(aside).expect("what was put aside");
        disk
    }

    /// Writes a file until nothing more fits.
    ///
    /// # Panics
    /// When a terabyte fits.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).expect("a file");
        let mut chunk = 4096;
        while chunk > 0 {
            if file.write(&vec![0xff; chunk]).is_err() {
                chunk /= 2;
            }
        }
    }

    /// Removes what [`Self::fill`] wrote.
    ///
    /// # Panics
    /// When it is not there.
    pub fn empty(&self) {
        fs::remove_file(self.filler()).expect("what filled the disk");
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.folder);
    }
}

/// A folder that cannot be written to, not even by root, until this is dropped.
#[derive(Debug)]
pub struct ReadOnly {
    folder: PathBuf,
}

impl ReadOnly {
    /// Mounts a folder over itself, to be read only.
    ///
    /// # Panics
    /// When it cannot be mounted: that takes root, or sudo without a password.
    pub fn mount(folder: PathBuf) -> Self {
        run(as_root("mount").arg("--bind").arg(&folder).arg(&folder));
        let read_only = Self { folder };
        run(as_root("mount")
            .args(["-o", "remount,bind,ro"])
            .arg(&read_only.folder));
        read_only
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        unmount(&self.folder);
    }
}

/// Lazily: a daemon that still runs is dropped after this.
fn unmount(folder: &Path) {
    let unmounted = as_root("umount").arg("--lazy").arg(folder).status();
    if !unmounted.is_ok_and(|status| status.success()) {
        eprintln!("{} is still mounted", folder.display());
    }
}

fn as_root(program: &str) -> Command {
    if rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg("--non-interactive").arg(program);
    command
}

/// The last segment of a journal.
///
/// # Panics
/// When there is none.
pub fn last_segment(data: &Path) -> PathBuf {
    let files = fs::read_dir(data)
        .expect("the data folder")
        .flatten()
        .map(|file| file.path());
    let segments = files.filter(|path| path.extension().is_some_and(|ending| ending == "seg"));
    segments.max().expect("a segment")
}
