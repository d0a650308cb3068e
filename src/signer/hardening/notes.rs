//! What of the hardening this machine or this configuration leaves out, in words.

use std::path::Path;

use rustix::process::getuid;

use super::{memory, places::Places};
use crate::config::{Config, Place};

/// What a server has no business with, and reads where a file that it does read lies in a folder of the system's.
const OF_THE_SYSTEM: [&str; 4] = ["/etc/shadow", "/etc/ssl/private", "/home", "/root"];

/// What is weaker than it could be, and what to do about it. `docs/hardening.md` has the whole.
pub fn of(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    let server = Places::of_server(config);
    for place in OF_THE_SYSTEM
        .into_iter()
        .filter(|place| server.include(Path::new(place)))
    {
        notes.push(format!(
            "the server may read {place}: keep its certificate, its key, bundle, books and profiles in folders of \
             their own"
        ));
    }
    for (_, device) in config.device.members() {
        if let Some(pin_file) = device.pin.path().filter(|path| server.include(path)) {
            notes.push(format!(
                "the PIN file {} lies in a folder that the server reads: keep it in one of its own",
                pin_file.display()
            ));
        }
        if let Place::Keystore(folder) = &device.place
            && server.include(folder)
        {
            notes.push(format!(
                "the keystore {} lies in a folder that the server reads: keep it in one of its own",
                folder.display()
            ));
        }
        if !getuid().is_root() || device.user == config.user {
            notes.push(format!(
                "the server and the key child of {} are of one user: start as root with `user` and \
                 `device.user`, two of the system's",
                device.name
            ));
        }
    }
    if !memory::may_lock() {
        notes.push(
            "memory may be written to swap: start with an unlimited RLIMIT_MEMLOCK (LimitMEMLOCK=infinity)"
                .into(),
        );
    }
    notes
}
