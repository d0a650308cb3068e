//! The data folder: there, private, with room, and owned by at most one daemon.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock, statvfs};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::check::Check;
use super::config::Config;

/// Below this the journal stops soon.
const FREE_LEAST_BYTES: u64 = 128 << 20;
/// Below this it is time to make room: an attempt takes a few kilobytes.
const FREE_GOOD_BYTES: u64 = 2 << 30;

pub(super) fn checks(config: &Config, path: &Path) -> Vec<Check> {
    let name = "data-folder";
    let folder = &config.data;
    let bootstrap = format!(
        "Run `signerd --config {} --bootstrap` once, as the user that signerd runs as. If there was a journal, restore it instead; if it is gone for good, begin a new epoch (docs/sealed.md).",
        path.display()
    );
    let metadata = match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            let detail = format!("{} is no folder", folder.display());
            return vec![Check::fail(name, detail, bootstrap)];
        }
        Err(error) => {
            let detail = format!("{}: {error}", folder.display());
            return vec![Check::fail(name, detail, bootstrap)];
        }
    };
    vec![
        owner(folder, &metadata),
        log(folder, bootstrap),
        lock(folder),
        room(folder),
    ]
}

fn owner(folder: &Path, metadata: &fs::Metadata) -> Check {
    let name = "data-folder";
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    let shown = folder.display();
    if mode & 0o077 != 0 {
        let next = format!("Run `chmod go= {shown}`, and find out who could change it.");
        return Check::fail(
            name,
            format!("{shown} is open to others (mode {mode:o})"),
            next,
        );
    }
    let me = geteuid().as_raw();
    if me != owner && me != 0 {
        let detail = format!("{shown} belongs to user {owner}, this is user {me}");
        return Check::warn(name, detail, "Run this as the user that signerd runs as.");
    }
    Check::ok(name, format!("{shown} is private to user {owner}"))
}

fn log(folder: &Path, bootstrap: String) -> Check {
    let name = "journal";
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let next = "Run this as the user that signerd runs as.";
            return Check::warn(name, format!("{}: {error}", folder.display()), next);
        }
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    match names.filter(|name| name.ends_with(".seg")).count() {
        0 => Check::fail(
            name,
            format!("{} holds no journal", folder.display()),
            bootstrap,
        ),
        segments => Check::ok(
            name,
            format!("{segments} segments; signerd verifies them when it starts"),
        ),
    }
}

/// A shared lock, given back at once: a daemon that starts in just this moment finds its folder in
/// use and is started again. The lock file itself is never made here.
fn lock(folder: &Path) -> Check {
    let name = "journal-lock";
    let path = folder.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Check::ok(name, "no daemon has used the folder yet");
        }
        Err(error) => {
            let next = "Run this as the user that signerd runs as.";
            return Check::warn(name, format!("{}: {error}", path.display()), next);
        }
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Check::ok(name, "free: no daemon runs on it"),
        Err(Errno::WOULDBLOCK) => Check::ok(name, "held by a running daemon"),
        Err(errno) => Check::warn(
            name,
            format!("{}: {errno}", path.display()),
            "The file system must know flock(2), or two daemons can share the folder.",
        ),
    }
}

fn room(folder: &Path) -> Check {
    let name = "disk";
    let next = "Make room, or move the data folder to a larger disk while signerd is stopped.";
    let known = match statvfs(folder) {
        Ok(known) => known,
        Err(errno) => return Check::warn(name, format!("cannot be told: {errno}"), next),
    };
    let free = known.f_bavail.saturating_mul(known.f_frsize);
    let detail = format!("{} MiB free for the journal", free >> 20);
    if known.f_files > 0 && known.f_favail < 16 {
        return Check::fail(name, "no more files can be made", next);
    }
    match free {
        free if free < FREE_LEAST_BYTES => Check::fail(name, detail, next),
        free if free < FREE_GOOD_BYTES => Check::warn(name, detail, next),
        _ => Check::ok(name, detail),
    }
}
