//! The manifest: the one text that names every file of a bundle by its hash.

use std::{collections::BTreeMap, fmt};

use sha2::{Digest as _, Sha256};
use ssh_key::PrivateKey;
use thiserror::Error;
use tx::Name;

use super::{MANIFEST, SIGNATURES, byte_limit};
use crate::{
    BundleHash, Digest,
    statement::{self, Answers, Header, HeaderError, Kind, SignError, canonical},
};

/// The version of the policy language that files are written in.
const LANGUAGE: u32 = 1;

/// A manifest.
///
/// ```text
/// strongroom-bundle-v1
/// fleet main
/// answers sequence 4
/// language 1
/// sequence 5
/// file <sha-256 in hexadecimal> accounts.toml
/// file <sha-256 in hexadecimal> books/customers.txt
/// ```
///
/// Files are sorted by path. The form is injective: a manifest has one text and no other text is
/// that manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The fleet that the bundle is for.
    pub fleet: Name,
    /// The sequence of the bundle that it replaces; 0 for the first.
    pub answers: u64,
    /// Its own sequence, above the one it replaces.
    pub sequence: u64,
    /// SHA-256 of every other file, by path.
    pub files: BTreeMap<String, Digest>,
}

/// Why a manifest cannot be read, or is not that of the files.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The bytes are not ASCII.
    #[error("the manifest is not ASCII")]
    Ascii,
    /// Its first three lines are not those of a statement.
    #[error("the manifest has no statement's header")]
    Header(#[source] HeaderError),
    /// It is a statement of another kind or version, or answers something else than a sequence.
    #[error("the statement is not of the form strongroom-bundle-v1, answering a sequence")]
    Kind,
    /// A line that does not stand there.
    #[error("line {line} of the manifest is not {expected}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        expected: &'static str,
    },
    /// The paths are not sorted, or one of them stands there twice.
    #[error("line {line} of the manifest is not above the path before it")]
    Order {
        /// The line, from 1.
        line: usize,
    },
    /// The sequence is not above the one that is replaced.
    #[error("sequence {sequence} is not above {answers}, which it replaces")]
    Sequence {
        /// The sequence.
        sequence: u64,
        /// The one that is replaced.
        answers: u64,
    },
    /// A file is listed and not there.
    #[error("the manifest lists {path}, which is not there")]
    Missing {
        /// Its path.
        path: String,
    },
    /// A file is there and not listed.
    #[error("the manifest does not list {path}")]
    Extra {
        /// Its path.
        path: String,
    },
    /// A file has other content than the one that was listed.
    #[error("{path} is not the file that the manifest lists")]
    Changed {
        /// Its path.
        path: String,
    },
}

impl Manifest {
    /// The manifest of these files; `manifest` and `manifest.sig` are not among what it lists.
    pub fn of(files: &BTreeMap<String, Vec<u8>>, fleet: Name, sequence: u64, answers: u64) -> Self {
        Self {
            fleet,
            answers,
            sequence,
            files: listed(files)
                .map(|(path, bytes)| (path.clone(), Digest(Sha256::digest(bytes).into())))
                .collect(),
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] for every text that `Display` would not have written.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = str::from_utf8(bytes).ok().filter(|text| text.is_ascii());
        let text = text.ok_or(ManifestError::Ascii)?;
        let (header, body) = Header::parse(text).map_err(ManifestError::Header)?;
        let Header {
            kind: Kind::Bundle,
            version: 1,
            fleet,
            answers: Answers::Sequence(answers),
        } = header
        else {
            return Err(ManifestError::Kind);
        };
        let mut lines = Lines { body, number: 3 };
        let language: u32 = lines.field("language ", "`language 1`")?;
        if language != LANGUAGE {
            return Err(lines.error("`language 1`"));
        }
        let sequence = lines.field("sequence ", "`sequence <n>`")?;
        if sequence <= answers {
            return Err(ManifestError::Sequence { sequence, answers });
        }
        let files = lines.files()?;
        Ok(Self {
            fleet,
            answers,
            sequence,
            files,
        })
    }

    /// Reads a manifest and holds the files against it: each listed once, none missing, none more.
    ///
    /// # Errors
    /// [`ManifestError`] by the first path at which they differ.
    pub fn verify(bytes: &[u8], files: &BTreeMap<String, Vec<u8>>) -> Result<Self, ManifestError> {
        let manifest = Self::parse(bytes)?;
        for (path, hash) in &manifest.files {
            let path = || path.clone();
            match files.get(&path()) {
                None => return Err(ManifestError::Missing { path: path() }),
                Some(bytes) if *hash != Digest(Sha256::digest(bytes).into()) => {
                    return Err(ManifestError::Changed { path: path() });
                }
                Some(_) => {}
            }
        }
        match listed(files).find(|(path, _)| !manifest.files.contains_key(*path)) {
            Some((path, _)) => Err(ManifestError::Extra { path: path.clone() }),
            None => Ok(manifest),
        }
    }

    /// The bundle's hash: SHA-256 of the manifest's text.
    pub fn hash(&self) -> BundleHash {
        BundleHash(Sha256::digest(self.to_string()).into())
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        Header {
            kind: Kind::Bundle,
            version: 1,
            fleet: self.fleet.clone(),
            answers: Answers::Sequence(self.answers),
        }
    }
}

/// The files that a manifest lists.
fn listed(files: &BTreeMap<String, Vec<u8>>) -> impl Iterator<Item = (&String, &Vec<u8>)> {
    let own = |path: &str| path == MANIFEST || path == SIGNATURES;
    files.iter().filter(move |(path, _)| !own(path))
}

/// What is left of the body, and the number of the line before it.
struct Lines<'t> {
    body: &'t str,
    number: usize,
}

impl<'t> Lines<'t> {
    fn next(&mut self, expected: &'static str) -> Result<&'t str, ManifestError> {
        self.number = self.number.saturating_add(1);
        let (line, rest) = self
            .body
            .split_once('\n')
            .ok_or_else(|| self.error(expected))?;
        self.body = rest;
        Ok(line)
    }

    fn error(&self, expected: &'static str) -> ManifestError {
        let line = self.number;
        ManifestError::Line { line, expected }
    }

    fn field<T: std::str::FromStr + fmt::Display>(
        &mut self,
        key: &str,
        expected: &'static str,
    ) -> Result<T, ManifestError> {
        let line = self.next(expected)?;
        let value = line.strip_prefix(key).and_then(canonical);
        value.ok_or_else(|| self.error(expected))
    }

    fn files(mut self) -> Result<BTreeMap<String, Digest>, ManifestError> {
        const EXPECTED: &str = "`file <sha-256> <path>` with the path of a bundle's file";
        let mut files = BTreeMap::new();
        while !self.body.is_empty() {
            let line = self.next(EXPECTED)?;
            let parts = line
                .strip_prefix("file ")
                .and_then(|line| line.split_once(' '));
            let (hash, path) = parts.ok_or_else(|| self.error(EXPECTED))?;
            let hash: Digest = canonical(hash).ok_or_else(|| self.error(EXPECTED))?;
            if byte_limit(path).is_none() || path == MANIFEST || path == SIGNATURES {
                return Err(self.error(EXPECTED));
            }
            let last: Option<(&String, _)> = files.last_key_value();
            if last.is_some_and(|(last, _)| last.as_str() >= path) {
                let line = self.number;
                return Err(ManifestError::Order { line });
            }
            files.insert(path.to_owned(), hash);
        }
        Ok(files)
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header())?;
        writeln!(f, "language {LANGUAGE}")?;
        writeln!(f, "sequence {}", self.sequence)?;
        for (path, hash) in &self.files {
            writeln!(f, "file {hash} {path}")?;
        }
        Ok(())
    }
}

/// An armoured signature over the manifest, to stand in `manifest.sig`.
///
/// # Errors
/// [`SignError`] as [`statement::sign`].
pub fn sign(manifest: &Manifest, key: &PrivateKey) -> Result<String, SignError> {
    statement::sign(&manifest.to_string(), &manifest.header().namespace(), key)
}
