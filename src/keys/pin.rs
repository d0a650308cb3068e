//! PINs and passphrases as people give them: as the one line of a file, or typed at a terminal that does not show
//! them. Never by a command line or the environment, which other users and logs can see.

use std::io::{self, IsTerminal, Stdin, stdin};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::protocol::Pin;

/// What Ctrl-C sends to a program that reads it as a character.
const INTERRUPT: u8 = 0x03;

/// Why there is no PIN. It says nothing of what was given.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PinError {
    /// What was given is none.
    #[error("{0}")]
    Unusable(&'static str),
    /// There is nobody to ask.
    #[error("there is no terminal to ask at")]
    NoTerminal,
    /// The terminal does not obey.
    #[error("the terminal cannot be made silent")]
    Terminal(#[source] io::Error),
}

/// The PIN that a line says. The one line feed at its end is the editor's.
///
/// # Errors
/// [`PinError::Unusable`].
pub fn parse(line: &[u8]) -> Result<Pin, PinError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if line.is_empty() {
        return Err(PinError::Unusable("it is empty"));
    }
    let text = str::from_utf8(line).map_err(|_| PinError::Unusable("it is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(PinError::Unusable(
            "it has control characters, such as a second line",
        ));
    }
    Pin::new(text).map_err(|_| PinError::Unusable("it is longer than a PIN can be"))
}

/// Asks for a PIN at the terminal of the standard input.
///
/// # Errors
/// [`PinError`].
pub fn typed(what: &str) -> Result<Pin, PinError> {
    let stdin = stdin();
    if !stdin.is_terminal() {
        return Err(PinError::NoTerminal);
    }
    let terminal = |errno: rustix::io::Errno| PinError::Terminal(errno.into());
    let quiet = Quiet::start(&stdin).map_err(terminal)?;
    eprint!("{what}: ");
    // Not through a buffer of the library, which would keep it.
    let mut line = Zeroizing::new([0; 512]);
    let length = rustix::io::read(&stdin, line.as_mut_slice()).map_err(terminal)?;
    drop(quiet);
    eprintln!();
    let line = line.get(..length).unwrap_or_default();
    if line.contains(&INTERRUPT) {
        return Err(PinError::Unusable("the entry was broken off"));
    }
    parse(line)
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
    fn a_pin_is_one_line() {
        let read = |line: &[u8]| parse(line).map(|pin| pin.expose().to_owned());
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
