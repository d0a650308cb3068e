//! Checkpoints: what a log says of its tree. Source: C2SP tlog-checkpoint (c2sp.org/tlog-checkpoint).
//!
//! ```text
//! <origin>
//! <size in decimal>
//! <root in base64>
//! [extension lines]
//! ```
//!
//! The text is read strictly: what is read is written again byte for byte, so a [`Checkpoint`] stands
//! for the very text that was signed.

mod signed;

pub use self::signed::{OpenError, SignedCheckpoint};

use std::fmt;
use std::str::FromStr;

use crate::compact::MAX_SIZE;
use crate::text;
use crate::verify::TreeHead;

/// The longest [`Origin`] in bytes: what cosignatures of the ML-DSA type can name
/// (C2SP tlog-cosignature, ML-DSA-44 signed message).
pub const MAX_ORIGIN_BYTES: usize = 255;

/// The most extension lines of a [`Checkpoint`].
pub const MAX_EXTENSIONS: usize = 16;

/// The longest extension line in bytes.
pub const MAX_EXTENSION_BYTES: usize = 1024;

/// Which log a checkpoint is of: one line of 1 to [`MAX_ORIGIN_BYTES`] bytes. A URL without its
/// scheme is recommended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

impl Origin {
    /// The line as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = CheckpointError;

    fn from_str(line: &str) -> Result<Self, CheckpointError> {
        if line.len() > MAX_ORIGIN_BYTES || !text::is_line(line) {
            return Err(CheckpointError::Origin);
        }
        Ok(Self(line.to_owned()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A log's statement of its size and root; by itself nobody's word.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    origin: Origin,
    head: TreeHead,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// States that the log `origin` has the tree `head`.
    ///
    /// # Errors
    /// [`CheckpointError::Size`] above [`MAX_SIZE`].
    pub fn new(origin: Origin, head: TreeHead) -> Result<Self, CheckpointError> {
        if head.size > MAX_SIZE {
            return Err(CheckpointError::Size);
        }
        Ok(Self {
            origin,
            head,
            extensions: Vec::new(),
        })
    }

    /// Which log it is of.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Size and root.
    pub const fn head(&self) -> &TreeHead {
        &self.head
    }

    /// Lines after the root, opaque here. Logs are advised against them: nobody audits them.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Adds an extension line.
    ///
    /// # Errors
    /// [`CheckpointError::Extension`] when it is no line, or one too many.
    pub fn with_extension(mut self, line: &str) -> Result<Self, CheckpointError> {
        let full = self.extensions.len() >= MAX_EXTENSIONS;
        if full || line.len() > MAX_EXTENSION_BYTES || !text::is_line(line) {
            return Err(CheckpointError::Extension);
        }
        self.extensions.push(line.to_owned());
        Ok(self)
    }
}

/// Reads the text of a checkpoint's note.
impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        let mut lines = lines.split('\n');
        let origin = lines.next().unwrap_or_default().parse()?;
        let size = lines.next().ok_or(CheckpointError::Lines)?;
        let root = lines.next().ok_or(CheckpointError::Lines)?;
        let head = TreeHead {
            size: text::size(size).ok_or(CheckpointError::Size)?,
            root: text::hash(root).ok_or(CheckpointError::Root)?,
        };
        let checkpoint = Self::new(origin, head)?;
        lines.try_fold(checkpoint, |checkpoint, line| {
            checkpoint.with_extension(line)
        })
    }
}

/// The text of its note: what the log signs, newlines and all.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TreeHead { size, root } = &self.head;
        let root = text::base64(root.as_ref());
        writeln!(f, "{}\n{size}\n{root}", self.origin)?;
        self.extensions
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Why a text is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Fewer than three lines, or the last one is not ended.
    #[error("a checkpoint has three lines or more, each ended")]
    Lines,
    /// The origin is empty, too long, or has a control character.
    #[error("the checkpoint has no valid origin")]
    Origin,
    /// Not a decimal number without leading zeroes, or above 2^63 - 1.
    #[error("the checkpoint has no valid size")]
    Size,
    /// Not the base64 of 32 bytes.
    #[error("the checkpoint has no valid root")]
    Root,
    /// An extension line is empty, too long, has a control character, or is one too many.
    #[error("the checkpoint has an extension line that is empty, invalid or one too many")]
    Extension,
}
