//! A file with two copies of one text, which are overwritten one after the other.
//!
//! A new text counts once the first copy is durable: one write and one flush of data, while neither the file's length
//! nor its folder changes, for which a journaling file system would flush once more. The second copy follows. It is
//! what a first one goes back to that a crash tore, and it is never overwritten before the first one is durable.
//!
//! ```text
//! strongroom-copy-v1
//! <how many texts came before, decimal>
//! <the text's length in bytes, decimal>
//! <SHA-256 of the text behind these lines without this one, in hexadecimal>
//!
//! <the text, and behind it whatever was there>
//! ```
//!
//! Of the two copies one at most is ever being written, so that one is always whole. What is damaged besides is found,
//! and made good from the other copy; what is damaged in both is not opened. In the moment between the two writes the
//! first copy stands alone: only what damages it and kills the process then would go unnoticed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::files::{self, Access, FileError};

const HEADER: &str = "strongroom-copy-v1";
/// More than all lines before the text take.
const LINES_BYTES: usize = 4096;

/// Such a file, open.
#[derive(Debug)]
pub struct Copies {
    file: File,
    path: PathBuf,
    copy_bytes: usize,
    current: Numbered,
    /// Whether the second copy is of the current text.
    settled: bool,
    /// Whether what is on the disk is known.
    whole: bool,
}

/// Why a file was not opened.
#[derive(Debug)]
pub enum Unopened {
    /// It cannot be read or written.
    File(FileError),
    /// It is not as it was left.
    Damaged(&'static str),
}

/// A text and how many came before it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbered {
    number: u64,
    text: String,
}

/// Which of the two.
#[derive(Clone, Copy)]
enum Copy {
    First,
    Second,
}

impl Copies {
    /// Makes a file for texts of at most `text_bytes` bytes, with its first text.
    ///
    /// # Errors
    /// [`FileError::Exists`], [`FileError::Io`].
    pub fn create(path: &Path, text_bytes: usize, text: &str) -> Result<(), FileError> {
        let text = text.to_owned();
        let first = Numbered { number: 0, text };
        let mut copy = first.encode();
        // Written, not only reserved: no block is to be found when it is overwritten.
        copy.resize(copy_bytes(text_bytes), 0);
        files::create(path, &copy.repeat(2), Access::Secret)
    }

    /// Opens a file that was made for texts of at most `text_bytes` bytes, and makes the copy good that a crash
    /// tore, or kept from being made.
    ///
    /// # Errors
    /// [`Unopened`].
    pub fn open(path: &Path, text_bytes: usize) -> Result<Self, Unopened> {
        let copy_bytes = copy_bytes(text_bytes);
        let limit = 2 * copy_bytes as u64;
        let bytes = files::read(path, limit).map_err(Unopened::File)?;
        let halves = bytes.split_at_checked(copy_bytes);
        let Some((first, second)) = halves.filter(|(_, second)| second.len() == copy_bytes) else {
            return Err(Unopened::Damaged("it has not the length of a state"));
        };
        let (first, second) = (Numbered::decode(first), Numbered::decode(second));
        let settled = first == second;
        let (current, torn) = match (first, second) {
            (Some(first), Some(second)) if !settled && !first.follows(&second) => {
                return Err(Unopened::Damaged("its two copies contradict each other"));
            }
            (Some(first), _) => (first, false),
            (None, Some(second)) => (second, true),
            (None, None) => {
                let why =
                    "no checksum of it holds: it is torn, was changed, or is of another version";
                return Err(Unopened::Damaged(why));
            }
        };
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(|source| Unopened::File(failed("open", path, source)))?;
        let mut copies = Self {
            file,
            path: path.to_owned(),
            copy_bytes,
            current,
            settled: settled || torn,
            whole: true,
        };
        if torn {
            copies.write(Copy::First).map_err(Unopened::File)?;
        }
        copies.settle().map_err(Unopened::File)?;
        Ok(copies)
    }

    /// The current text.
    pub fn text(&self) -> &str {
        &self.current.text
    }

    /// Whether what is on the disk is known. After a failed write it is not, until the file is opened again.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Goes on to another text. When this returns, no crash forgets it.
    ///
    /// # Errors
    /// [`FileError`]: what the file holds is not known.
    pub fn put(&mut self, text: String) -> Result<(), FileError> {
        self.settle()?;
        let number = self.current.number.saturating_add(1);
        self.current = Numbered { number, text };
        self.settled = false;
        self.write(Copy::First)
    }

    /// Makes the second copy, if it is still of the text before.
    ///
    /// # Errors
    /// [`FileError`]: what the file holds is not known.
    pub fn settle(&mut self) -> Result<(), FileError> {
        if !self.settled {
            self.write(Copy::Second)?;
            self.settled = true;
        }
        Ok(())
    }

    fn write(&mut self, copy: Copy) -> Result<(), FileError> {
        let at = match copy {
            Copy::First => 0,
            Copy::Second => self.copy_bytes as u64,
        };
        self.whole = false;
        let bytes = self.current.encode();
        let written = match bytes.len() <= self.copy_bytes {
            true => self.file.write_all_at(&bytes, at),
            false => Err(io::Error::from(io::ErrorKind::FileTooLarge)),
        };
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|source| failed("write", &self.path, source))?;
        self.whole = true;
        Ok(())
    }
}

impl Numbered {
    /// Whether it is the text behind another one.
    fn follows(&self, other: &Self) -> bool {
        other.number.checked_add(1) == Some(self.number)
    }

    fn encode(&self) -> Vec<u8> {
        let Self { number, text } = self;
        let (length, sum) = (text.len(), sum(*number, text));
        format!("{HEADER}\n{number}\n{length}\n{sum}\n\n{text}").into_bytes()
    }

    /// The text of a copy; nothing if it is not whole.
    fn decode(copy: &[u8]) -> Option<Self> {
        let mut lines = copy.splitn(6, |byte| *byte == b'\n');
        let mut line = || std::str::from_utf8(lines.next()?).ok();
        if line()? != HEADER {
            return None;
        }
        let (number, length) = (line()?.parse().ok()?, line()?.parse().ok()?);
        let found = line()?;
        if !line()?.is_empty() {
            return None;
        }
        let text = lines.next()?.get(..length)?.to_vec();
        let text = String::from_utf8(text).ok()?;
        (sum(number, &text) == found).then_some(Self { number, text })
    }
}

fn sum(number: u64, text: &str) -> String {
    let length = text.len();
    hex::encode(Sha256::digest(format!(
        "{HEADER}\n{number}\n{length}\n\n{text}"
    )))
}

/// Whole blocks of a disk, so that no block has parts of both.
fn copy_bytes(text_bytes: usize) -> usize {
    text_bytes
        .saturating_add(LINES_BYTES)
        .next_multiple_of(4096)
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> FileError {
    let path = path.to_owned();
    FileError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TEXT_BYTES: usize = 6_000;
    const SECTOR: usize = 512;

    /// A text over many sectors.
    fn text(word: &str) -> String {
        word.repeat(4_000 / word.len())
    }

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        Copies::create(&path, TEXT_BYTES, &text("zero")).unwrap();
        (folder, path)
    }

    fn opened(path: &Path) -> Result<String, &'static str> {
        match Copies::open(path, TEXT_BYTES) {
            Ok(copies) => Ok(copies.text().to_owned()),
            Err(Unopened::Damaged(why)) => Err(why),
            Err(Unopened::File(error)) => panic!("{error}"),
        }
    }

    /// What a file is while it is changed from one content to the other: any of the sectors are written.
    fn torn(from: &[u8], to: &[u8]) -> Vec<Vec<u8>> {
        let sectors: Vec<usize> = (0..from.len())
            .step_by(SECTOR)
            .filter(|at| from[*at..*at + SECTOR] != to[*at..*at + SECTOR])
            .collect();
        assert!(sectors.len() > 4, "one copy is over many sectors");
        let subsets = 1_usize << sectors.len();
        // All of them, or a thousand spread over them.
        let subsets = (0..subsets).step_by((subsets / 1_000).max(1));
        let mut made: Vec<Vec<u8>> = subsets
            .map(|subset| {
                let mut file = from.to_vec();
                for (bit, at) in sectors.iter().enumerate() {
                    if subset >> bit & 1 == 1 {
                        file[*at..*at + SECTOR].copy_from_slice(&to[*at..*at + SECTOR]);
                    }
                }
                file
            })
            .collect();
        made.push(to.to_vec());
        made
    }

    #[test]
    fn a_crash_leaves_the_text_before_or_the_new_one_and_never_forgets_one_that_counts() {
        let (_folder, path) = path();
        let mut copies = Copies::open(&path, TEXT_BYTES).unwrap();
        for (old, new) in [("zero", "one"), ("one", "two"), ("two", "three")] {
            let (old, new) = (text(old), text(new));
            let before = fs::read(&path).unwrap();
            copies.put(new.clone()).unwrap();
            let counts = fs::read(&path).unwrap();
            copies.settle().unwrap();
            let settled = fs::read(&path).unwrap();
            let at_hand = tempfile::tempdir().unwrap();
            let at_hand = at_hand.path().join("state");
            for (from, to, allowed) in [
                (&before, &counts, [&old, &new]),
                (&counts, &settled, [&new, &new]),
            ] {
                for file in torn(from, to) {
                    fs::write(&at_hand, file).unwrap();
                    let found = opened(&at_hand).unwrap();
                    assert!(allowed.contains(&&found), "{}", &found[..8]);
                    // It is good again, in both copies.
                    let good = fs::read(&at_hand).unwrap();
                    let (first, second) = good.split_at(copy_bytes(TEXT_BYTES));
                    assert_eq!(Numbered::decode(first), Numbered::decode(second));
                    assert_eq!(opened(&at_hand).unwrap(), found);
                }
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_one_copy_is_made_good_and_in_both_it_is_not_opened() {
        let (_folder, path) = path();
        let mut copies = Copies::open(&path, TEXT_BYTES).unwrap();
        copies.put(text("one")).unwrap();
        copies.settle().unwrap();
        drop(copies);
        let good = fs::read(&path).unwrap();
        let second = copy_bytes(TEXT_BYTES);
        let used = Numbered::decode(&good).unwrap().encode().len();
        for place in (0..used).step_by(3) {
            for (places, expected) in [
                (vec![place], true),
                (vec![second + place], true),
                (vec![place, second + used - 1 - place], false),
            ] {
                let mut flipped = good.clone();
                for place in places {
                    flipped[place] ^= 1;
                }
                fs::write(&path, &flipped).unwrap();
                match opened(&path) {
                    Ok(found) => {
                        assert!(expected, "{place}");
                        assert_eq!(found, text("one"));
                        assert!(fs::read(&path).unwrap() == good, "{place}");
                    }
                    Err(why) => assert!(!expected, "{place}: {why}"),
                }
            }
        }
    }

    #[test]
    fn copies_that_contradict_each_other_and_other_lengths_are_not_opened() {
        let (_folder, path) = path();
        let zero = fs::read(&path).unwrap();
        let mut copies = Copies::open(&path, TEXT_BYTES).unwrap();
        let mut files = vec![zero.clone()];
        for word in ["one", "two"] {
            copies.put(text(word)).unwrap();
            copies.settle().unwrap();
            files.push(fs::read(&path).unwrap());
        }
        drop(copies);
        let half = copy_bytes(TEXT_BYTES);
        let of =
            |first: usize, second: usize| [&files[first][..half], &files[second][half..]].concat();
        // A second copy that is newer, and a first one that is two texts on.
        for (first, second) in [(0, 1), (2, 0), (0, 2), (1, 2)] {
            fs::write(&path, of(first, second)).unwrap();
            assert_eq!(opened(&path), Err("its two copies contradict each other"));
        }
        let mut other = Numbered::decode(&zero).unwrap();
        other.text = text("other");
        let mut same_number = zero.clone();
        same_number[..other.encode().len()].copy_from_slice(&other.encode());
        fs::write(&path, same_number).unwrap();
        assert_eq!(opened(&path), Err("its two copies contradict each other"));
        for file in [&zero[..half], &zero[..zero.len() - 1], &[]] {
            fs::write(&path, file).unwrap();
            assert_eq!(opened(&path), Err("it has not the length of a state"));
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_not_written_and_nothing_is_known_then() {
        let (_folder, path) = path();
        let mut copies = Copies::open(&path, TEXT_BYTES).unwrap();
        copies
            .put("x".repeat(2 * TEXT_BYTES + LINES_BYTES))
            .unwrap_err();
        assert!(!copies.is_whole());
        drop(copies);
        assert_eq!(opened(&path), Ok(text("zero")));
    }
}
