//! The files of a tree in a folder, held against the tree that they should be of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use api::journal::JournalBody;
use journal::segment::Leaf;
use tlog::{
    CompactTree, Hash, TreeHead,
    tile::{Resource, Tile, TileId, bundles_for, decode_bundle},
};

use super::super::error::AuditError;
use super::super::folder::{BODIES, BUNDLES, CHECKPOINT, LOCK, Lines, TILES, leaf};
use super::super::tiles::Made;
use super::{FINDINGS_MAX, Finding};
use crate::files::{self, FileError};

/// What an exported folder has.
pub const BELONGS: [&str; 5] = [CHECKPOINT, TILES, BODIES, BUNDLES, LOCK];
/// The largest file of a tree: 256 leaves of 33 bytes, each with its length.
const FILE_MAX_BYTES: u64 = 16 << 10;

/// The files there are, each until it was checked.
#[derive(Debug, Default)]
pub struct TreeFiles {
    folder: std::path::PathBuf,
    /// By what a file is of, and the place: every width of it that there is.
    files: BTreeMap<(Kind, u64), Vec<Resource>>,
    findings: Vec<Finding>,
}

/// What a file of a tree has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Level(u8),
    Entries,
}

impl TreeFiles {
    /// Those of a folder.
    ///
    /// # Errors
    /// Those of files.
    pub fn list(folder: &Path) -> Result<Self, AuditError> {
        let mut found = Self {
            folder: folder.to_owned(),
            ..Self::default()
        };
        found.walk(TILES)?;
        Ok(found)
    }

    fn walk(&mut self, below: &str) -> Result<(), AuditError> {
        for name in names(&self.folder.join(below))? {
            let path = format!("{below}/{name}");
            if self.folder.join(&path).is_dir() {
                self.walk(&path)?;
                continue;
            }
            match path
                .parse::<Resource>()
                .ok()
                .and_then(|it| Some((place(it)?, it)))
            {
                Some((place, resource)) => self.files.entry(place).or_default().push(resource),
                None => self.find(None, format!("{path}: no tree has such a file")),
            }
        }
        Ok(())
    }

    fn find(&mut self, entry: Option<u64>, what: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { entry, what });
        }
    }

    /// Holds the files of these places against what they should be. A narrower one is the beginning of it.
    pub fn check(&mut self, made: &mut Vec<Made>) {
        for made in made.drain(..) {
            let Some(place) = place(made.resource) else {
                continue;
            };
            let there = self.files.remove(&place).unwrap_or_default();
            if !there.contains(&made.resource) {
                let entry = first_entry(place, 0);
                self.find(Some(entry), format!("{}: it is missing", made.resource));
            }
            for resource in there {
                self.compare(resource, place, &made);
            }
        }
    }

    fn compare(&mut self, resource: Resource, place: (Kind, u64), made: &Made) {
        let (width, whole) = (width(resource), width(made.resource));
        let unit = made.bytes.len().checked_div(whole).unwrap_or(0);
        let wanted = made.bytes.get(..unit.saturating_mul(width));
        let path = self.folder.join(resource.to_string());
        let found = files::read(&path, FILE_MAX_BYTES).unwrap_or_default();
        let Some(wanted) = wanted else {
            let what = format!("{resource}: it is wider than the signed tree");
            return self.find(Some(first_entry(place, whole)), what);
        };
        if found == wanted {
            return;
        }
        let same = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
        let at = same.checked_div(unit).unwrap_or(0);
        let what = format!("{resource}: it is not of the signed tree from its place {at} on");
        self.find(Some(first_entry(place, at)), what);
    }

    /// What is wrong, files that belong to nothing included.
    pub fn findings(self) -> Vec<Finding> {
        let mut findings = self.findings;
        let beyond = self.files.into_values().flatten().map(|resource| Finding {
            entry: None,
            what: format!("{resource}: it is not of the signed tree"),
        });
        findings.extend(beyond.take(FINDINGS_MAX));
        findings
    }
}

fn place(resource: Resource) -> Option<(Kind, u64)> {
    match resource {
        Resource::Tile(id) => Some((Kind::Level(id.level()), id.index())),
        Resource::Entries(id) => Some((Kind::Entries, id.index())),
        Resource::Checkpoint => None,
    }
}

fn width(resource: Resource) -> usize {
    match resource {
        Resource::Tile(id) => usize::from(id.width()),
        Resource::Entries(id) => usize::from(id.width()),
        Resource::Checkpoint => 0,
    }
}

/// The first entry below a hash of a file.
fn first_entry((kind, index): (Kind, u64), at: usize) -> u64 {
    let level = match kind {
        Kind::Level(level) => u32::from(level),
        Kind::Entries => 0,
    };
    let node = index.saturating_mul(256).saturating_add(at as u64);
    node.checked_shl(8 * level).unwrap_or(u64::MAX)
}

/// What is in a folder; nothing where there is none.
///
/// # Errors
/// Those of files.
pub fn names(folder: &Path) -> Result<BTreeSet<String>, AuditError> {
    let failed = |source: io::Error| {
        AuditError::File(FileError::Io {
            action: "read",
            path: folder.to_owned(),
            source,
        })
    };
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        listed => listed.map_err(failed)?,
    };
    let name =
        |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    listed.map(name).collect::<io::Result<_>>().map_err(failed)
}

/// The leaves of a tree of that size, from the bundles of commitments; the first that is not there ends it.
pub fn leaves(folder: &Path, size: u64) -> impl Iterator<Item = Result<Leaf, Finding>> + '_ {
    bundles_for(0, size).flat_map(move |id| {
        let first = id.index().saturating_mul(256);
        let resource = Resource::Entries(id);
        let read = files::read(&folder.join(resource.to_string()), FILE_MAX_BYTES);
        let decoded = read.ok().and_then(|bytes| {
            let leaves = decode_bundle(id, &bytes).ok()?;
            leaves
                .into_iter()
                .map(known_leaf)
                .collect::<Option<Vec<_>>>()
        });
        match decoded {
            Some(leaves) => leaves.into_iter().map(Ok).collect(),
            None => vec![Err(Finding {
                entry: Some(first),
                what: format!("{resource}: it is missing, or no bundle of leaves"),
            })],
        }
    })
}

/// A leaf of the one version there is.
pub fn known_leaf(bytes: &[u8]) -> Option<Leaf> {
    let leaf = Leaf::of(Hash::new(*bytes.last_chunk()?));
    (leaf.as_bytes().as_slice() == bytes).then_some(leaf)
}

/// One of the places where the leaves of a log are kept, gone through from its beginning.
struct Source<'a> {
    name: &'static str,
    leaves: Box<dyn Iterator<Item = Hash> + 'a>,
    tree: CompactTree,
    last: Option<Hash>,
}

impl<'a> Source<'a> {
    fn new(name: &'static str, leaves: impl Iterator<Item = Hash> + 'a) -> Self {
        Self {
            name,
            leaves: Box::new(leaves),
            tree: CompactTree::new(),
            last: None,
        }
    }

    fn step(&mut self) {
        self.last = self.leaves.next();
        if let Some(leaf) = self.last {
            // It has no more leaves than the signed tree.
            let _appended = self.tree.append(leaf);
        }
    }
}

/// Where what the folder has of a tree first departs from what was signed. The leaves stand in it three
/// times: whichever has the signed root is right, and tells of the others.
pub fn compare(folder: &Path, head: &TreeHead) -> Vec<Finding> {
    let mut sources = vec![
        Source::new("tile/entries", leaves(folder, head.size).map_while(hash_of)),
        Source::new("tile/0", tile_hashes(folder, head.size)),
    ];
    if let Ok(lines) = Lines::open(folder) {
        sources.push(Source::new(BODIES, line_hashes(lines)));
    }
    let count = sources.len();
    let mut apart = vec![vec![None; count]; count];
    for entry in 0..head.size {
        sources.iter_mut().for_each(Source::step);
        for (one, row) in sources.iter().zip(&mut apart) {
            for (other, first) in sources.iter().zip(row.iter_mut()) {
                if first.is_none() && one.last != other.last {
                    *first = Some(entry);
                }
            }
        }
    }
    let right = sources
        .iter()
        .position(|source| source.tree.head() == *head);
    let row = right.and_then(|right| apart.get(right));
    match row {
        Some(row) => sources
            .iter()
            .zip(row)
            .filter_map(|(source, first)| {
                let what = format!("{} has another one than the log's key signed", source.name);
                first.map(|entry| Finding {
                    entry: Some(entry),
                    what,
                })
            })
            .collect(),
        None => {
            let first = apart.iter().flatten().flatten().min();
            let what = "the files do not agree on it, and none of them has the signed root";
            let finding = |entry: &u64| Finding {
                entry: Some(*entry),
                what: what.to_owned(),
            };
            first.map(finding).into_iter().collect()
        }
    }
}

fn hash_of(leaf: Result<Leaf, Finding>) -> Option<Hash> {
    leaf.ok().map(|leaf| leaf.hash())
}

fn tile_hashes(folder: &Path, size: u64) -> impl Iterator<Item = Hash> + '_ {
    let tiles = (0..).map_while(move |index| TileId::in_tree(0, index, size));
    let decoded = tiles.map_while(move |id| {
        let path = folder.join(Resource::Tile(id).to_string());
        let bytes = files::read(&path, FILE_MAX_BYTES).ok()?;
        Tile::decode(id, &bytes).ok()
    });
    decoded.flat_map(|tile| tile.hashes().to_vec())
}

fn line_hashes(mut lines: Lines) -> impl Iterator<Item = Hash> {
    let next = move || -> Option<JournalBody> { lines.entry().ok()??.ok() };
    (0..)
        .zip(std::iter::from_fn(next))
        .map_while(|(entry, body)| {
            let body = Some(body).filter(|body| body.entry == entry);
            leaf(&body?).map(|leaf| leaf.hash())
        })
}
