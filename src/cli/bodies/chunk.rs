//! What is in a chunk before it is encrypted: lines of JSON, so that who has decrypted one by other means
//! can read it.
//!
//! ```text
//! {"chunk":"strongroom-bodies-v1","origin":…,"from":…,"to":…,"checkpoint":…}
//! {"entry":…,"commitment":…,"opening":…}       an entry each, as in the copy of a log
//! {"bundle":…,"files":[{"path":…,"text":…},…]} the bundles that these entries let govern
//! ```

use api::journal::{BundleFile, JournalBody};
use policy::{BundleHash, Entry, Record};
use serde::{Deserialize, Serialize};

use super::place::Range;

const FORM: &str = "strongroom-bodies-v1";

/// Entries in a row, with all that is needed to decide them again.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The log's name.
    pub origin: String,
    /// Which entries.
    pub range: Range,
    /// A signed checkpoint that covers them, with the cosignatures that the signer had.
    pub checkpoint: String,
    /// The entries.
    pub bodies: Vec<JournalBody>,
    /// The bundles that they let govern.
    pub bundles: Vec<BundleOf>,
}

/// A bundle.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleOf {
    /// SHA-256 of its manifest, in hexadecimal.
    pub bundle: String,
    /// Its files.
    pub files: Vec<BundleFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    chunk: String,
    origin: String,
    from: u64,
    to: u64,
    checkpoint: String,
}

/// The text is no chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of it is wrong: {reason}")]
pub struct ChunkFormError {
    line: u64,
    reason: String,
}

impl Chunk {
    /// The lines.
    ///
    /// # Errors
    /// None in practice: all of it has a JSON form.
    pub fn to_text(&self) -> serde_json::Result<String> {
        let head = Head {
            chunk: FORM.to_owned(),
            origin: self.origin.clone(),
            from: self.range.from(),
            to: self.range.to(),
            checkpoint: self.checkpoint.clone(),
        };
        let mut text = serde_json::to_string(&head)?;
        for body in &self.bodies {
            text.push('\n');
            text.push_str(&serde_json::to_string(body)?);
        }
        for bundle in &self.bundles {
            text.push('\n');
            text.push_str(&serde_json::to_string(bundle)?);
        }
        text.push('\n');
        Ok(text)
    }

    /// Reads the lines. That they say the truth is not checked here.
    ///
    /// # Errors
    /// [`ChunkFormError`].
    pub fn parse(text: &[u8]) -> Result<Self, ChunkFormError> {
        let mut lines = Lines { text, line: 0 };
        let head: Head = lines.read()?;
        if head.chunk != FORM {
            return Err(lines.wrong("it is of another form"));
        }
        let range = Range::new(head.from, head.to).map_err(|error| lines.wrong(error))?;
        let mut bodies = Vec::new();
        for entry in range.from()..range.to() {
            let body: JournalBody = lines.read()?;
            if body.entry != entry {
                return Err(lines.wrong("it is another entry"));
            }
            bodies.push(body);
        }
        let mut bundles = Vec::new();
        while !lines.text.is_empty() {
            bundles.push(lines.read()?);
        }
        Ok(Self {
            origin: head.origin,
            range,
            checkpoint: head.checkpoint,
            bodies,
            bundles,
        })
    }
}

struct Lines<'a> {
    text: &'a [u8],
    line: u64,
}

impl Lines<'_> {
    fn read<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T, ChunkFormError> {
        self.line += 1;
        let end = self.text.iter().position(|byte| *byte == b'\n');
        let line = end.and_then(|end| self.text.split_at_checked(end));
        let (line, rest) = line.ok_or_else(|| self.wrong("there is none"))?;
        let value = serde_json::from_slice(line).map_err(|error| self.wrong(error))?;
        self.text = rest.get(1..).unwrap_or_default();
        Ok(value)
    }

    fn wrong(&self, reason: impl ToString) -> ChunkFormError {
        ChunkFormError {
            line: self.line,
            reason: reason.to_string(),
        }
    }
}

/// The bundle that an entry lets govern, if it does.
pub fn activates(body: &JournalBody) -> Option<BundleHash> {
    let opening = body.opening.as_ref()?;
    let record: Record = serde_json::from_str(&opening.body).ok()?;
    match record.entry {
        Entry::PolicyActivated { hash, .. } => Some(hash),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk() -> Chunk {
        let body = |entry| JournalBody {
            entry,
            commitment: "04".repeat(32),
            opening: None,
        };
        let file = BundleFile {
            path: "manifest".to_owned(),
            text: "two\nlines".to_owned(),
        };
        Chunk {
            origin: "log.example/a".to_owned(),
            range: Range::new(7, 9).unwrap(),
            checkpoint: "a note\n".to_owned(),
            bodies: vec![body(7), body(8)],
            bundles: vec![BundleOf {
                bundle: "05".repeat(32),
                files: vec![file],
            }],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = chunk().to_text().unwrap();
        let read = Chunk::parse(text.as_bytes()).unwrap();
        assert_eq!(read.to_text().unwrap(), text);
        assert_eq!((read.bodies.len(), read.bundles.len()), (2, 1));
    }

    #[test]
    fn what_is_no_chunk_is_named_by_its_line() {
        let text = chunk().to_text().unwrap();
        for (from, to, line) in [
            ("bodies-v1", "bodies-v2", 1),
            ("\"to\":9", "\"to\":7", 1),
            ("\"to\":9", "\"to\":10", 4),
            ("\"entry\":8", "\"entry\":9", 3),
            ("\"entry\":7", "\"entry\":7,\"x\":1", 2),
            ("\"files\"", "\"file\"", 4),
        ] {
            let error = Chunk::parse(text.replace(from, to).as_bytes()).unwrap_err();
            assert_eq!(error.line, line, "{from} {to}: {error}");
        }
        let cut = text.trim_end();
        assert_eq!(Chunk::parse(cut.as_bytes()).unwrap_err().line, 4);
        assert_eq!(Chunk::parse(b"").unwrap_err().line, 1);
    }
}
