//! PINs: from a file only its owner can read, or from a terminal that does not show them. Never
//! from the command line or the environment, which other users and logs can see.

use std::io::{IsTerminal, Stdin, stdin};
use std::path::Path;

use ::keys::protocol::Pin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::error::KeysError;
use crate::files;

/// Longer than any PIN.
const FILE_MAX_BYTES: u64 = 1024;
/// What Ctrl-C sends to a program that reads it as a character.
const INTERRUPT: u8 = 0x03;

/// What a PIN that is typed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// One that is set already.
    Known,
    /// One that is set now, asked for twice.
    Chosen,
}

/// Reads a PIN from a file, or asks for it.
///
/// # Errors
/// [`KeysError::File`], [`KeysError::Pin`], [`KeysError::NoTerminal`].
pub fn read(file: Option<&Path>, what: &'static str, entry: Entry) -> Result<Pin, KeysError> {
    match file {
        Some(path) => {
            files::check_private(path).map_err(KeysError::File)?;
            let bytes = files::read(path, FILE_MAX_BYTES).map_err(KeysError::File)?;
            pin(&Zeroizing::new(bytes), what)
        }
        None => {
            let first = typed(what)?;
            if entry == Entry::Chosen && typed("the same again")? != first {
                return Err(KeysError::Pin {
                    what,
                    reason: "the two are not the same",
                });
            }
            Ok(first)
        }
    }
}

/// The one line feed at the end is the editor's.
fn pin(bytes: &[u8], what: &'static str) -> Result<Pin, KeysError> {
    let refused = |reason| KeysError::Pin { what, reason };
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Err(refused("it is empty"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| refused("it is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refused("it has control characters, such as a second line"));
    }
    Pin::new(text).map_err(|_| refused("it is longer than a PIN can be"))
}

fn typed(what: &'static str) -> Result<Pin, KeysError> {
    let stdin = stdin();
    if !stdin.is_terminal() {
        return Err(KeysError::NoTerminal { what });
    }
    let terminal = |errno: rustix::io::Errno| KeysError::Terminal(errno.into());
    let quiet = Quiet::start(&stdin).map_err(terminal)?;
    eprint!("{what}: ");
    // Not through a buffer of the library, which would keep it.
    let mut line = Zeroizing::new([0; 512]);
    let length = rustix::io::read(&stdin, line.as_mut_slice()).map_err(terminal)?;
    drop(quiet);
    eprintln!();
    let bytes = line.get(..length).unwrap_or_default();
    if bytes.contains(&INTERRUPT) {
        return Err(KeysError::Pin {
            what,
            reason: "the entry was broken off",
        });
    }
    pin(bytes, what)
}

/// A terminal that shows nothing that is typed, until this is dropped.
struct Quiet<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn start(terminal: &'a Stdin) -> Result<Self, rustix::io::Errno> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        // Without signals too: one would end the process and leave the terminal silent.
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_line() {
        let read = |bytes: &[u8]| pin(bytes, "PIN").map(|pin| pin.expose().to_owned());
        assert_eq!(read(b"1234\n").unwrap(), "1234");
        assert_eq!(read(b"12 34").unwrap(), "12 34");
        for wrong in [
            b"".as_slice(),
            b"\n",
            b"1234\n\n",
            b"1234\r\n",
            b"12\x0034",
            b"\xff",
            &[b'1'; 256],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
