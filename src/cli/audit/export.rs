//! A copy of the whole log in a folder, carried on where an earlier one ended.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use api::journal::{BODIES_PER_PAGE_MAX, BundleFile, JournalBody};
use journal::{Bundles as _, segment::Leaf};
use policy::{
    BundleHash,
    bundle::{Trust, byte_limit, load},
};
use serde::Serialize;
use tlog::{
    checkpoint::SignedCheckpoint,
    tile::{BundleId, Resource, TileId, bundles_for, decode_bundle},
};

use super::error::AuditError;
use super::folder::{BODIES, CHECKPOINT, Lines, bundles, leaf, opens};
use super::signed::{LogKeys, not_shorter};
use super::tail;
use super::tiles::{Made, TileMaker};
use super::verify::{known_leaf, leaves};
use crate::bodies::activates;
use crate::client::Signer;
use crate::files::{self, Access, FileError, FolderLock};

/// What is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The tree, what the entries say, and the bundles that governed.
    Bodies,
    /// The tree alone.
    Commitments,
}

/// The answer of `audit export`.
#[derive(Debug, Serialize)]
pub struct Exported {
    folder: PathBuf,
    origin: String,
    /// How many entries were there before.
    from: u64,
    size: u64,
    root: String,
    /// How many of those that came a freeze holds.
    withheld: u64,
}

/// Where what a log says comes from.
pub trait Source {
    /// Entries from this one on, at least one.
    ///
    /// # Errors
    /// [`AuditError`] when there are none.
    fn page(&mut self, from: u64) -> Result<Vec<JournalBody>, AuditError>;

    /// The files of the bundle that an entry lets govern.
    ///
    /// # Errors
    /// [`AuditError`] when it is not to be had.
    fn bundle(&mut self, entry: u64, hash: BundleHash) -> Result<Vec<BundleFile>, AuditError>;
}

impl Source for &Signer {
    fn page(&mut self, from: u64) -> Result<Vec<JournalBody>, AuditError> {
        Ok(tail::page(self, from, BODIES_PER_PAGE_MAX)?.bodies)
    }

    fn bundle(&mut self, _: u64, hash: BundleHash) -> Result<Vec<BundleFile>, AuditError> {
        Ok(Signer::bundle(self, hash.0)?.files)
    }
}

/// Copies the log as far as the newest checkpoint covers it. The checkpoint is written last.
///
/// # Errors
/// [`AuditError`]; what was copied until then is carried on the next time.
pub fn export(
    mut signer: &Signer,
    keys: &LogKeys,
    folder: &Path,
    content: Content,
) -> Result<Exported, AuditError> {
    match content {
        Content::Bodies => copy(&mut signer, keys, folder, |signer| keys.newest(signer)),
        Content::Commitments => {
            let (_lock, kept) = begin(keys, folder)?;
            let newest = keys.newest(signer)?;
            let mut copy = Copy::new(folder, content, kept.as_ref(), &newest)?;
            let from = copy.commitments(signer, kept.as_ref(), newest.head().size)?;
            copy.finish(kept.as_ref(), &newest)?;
            Ok(copy.exported(keys, from, &newest))
        }
    }
}

/// Copies what the entries say from anywhere, as far as a checkpoint of that source covers them.
///
/// # Errors
/// As [`export`].
pub fn copy<S: Source>(
    source: &mut S,
    keys: &LogKeys,
    folder: &Path,
    newest: impl FnOnce(&mut S) -> Result<SignedCheckpoint, AuditError>,
) -> Result<Exported, AuditError> {
    let (_lock, kept) = begin(keys, folder)?;
    let newest = newest(source)?;
    let mut copy = Copy::new(folder, Content::Bodies, kept.as_ref(), &newest)?;
    let from = copy.bodies(source, kept.as_ref(), newest.head().size)?;
    copy.finish(kept.as_ref(), &newest)?;
    Ok(copy.exported(keys, from, &newest))
}

/// The folder, alone, and the checkpoint that it has already.
fn begin(
    keys: &LogKeys,
    folder: &Path,
) -> Result<(FolderLock, Option<SignedCheckpoint>), AuditError> {
    files::private_folder(folder)?;
    let lock = FolderLock::take(folder)?;
    let kept = folder.join(CHECKPOINT);
    let kept = kept.exists().then(|| keys.read(&kept)).transpose()?;
    Ok((lock, kept))
}

/// A copy on its way.
struct Copy<'a> {
    folder: &'a Path,
    maker: TileMaker,
    made: Vec<Made>,
    withheld: u64,
}

impl<'a> Copy<'a> {
    fn new(
        folder: &'a Path,
        content: Content,
        kept: Option<&SignedCheckpoint>,
        newest: &SignedCheckpoint,
    ) -> Result<Self, AuditError> {
        let seen = kept.map_or(0, |kept| kept.head().size);
        not_shorter(seen, newest.head().size)?;
        let copy = Self {
            folder,
            maker: TileMaker::default(),
            made: Vec::new(),
            withheld: 0,
        };
        copy.check_content(content, kept.is_some())?;
        Ok(copy)
    }

    fn exported(&self, keys: &LogKeys, from: u64, newest: &SignedCheckpoint) -> Exported {
        Exported {
            folder: self.folder.to_owned(),
            origin: keys.origin().to_string(),
            from,
            size: newest.head().size,
            root: newest.head().root.to_string(),
            withheld: self.withheld,
        }
    }

    fn changed(&self, reason: impl Into<String>) -> AuditError {
        AuditError::Changed {
            folder: self.folder.to_owned(),
            reason: reason.into(),
        }
    }

    /// A folder is of one content for ever.
    fn check_content(&self, content: Content, was_begun: bool) -> Result<(), AuditError> {
        let has_bodies = self.folder.join(BODIES).exists();
        match content {
            Content::Bodies if was_begun && !has_bodies => {
                Err(self.changed(format!("it has no {BODIES}; go on with --commitments")))
            }
            Content::Commitments if has_bodies => {
                Err(self.changed(format!("it has {BODIES}; go on without --commitments")))
            }
            _ => Ok(()),
        }
    }

    fn append(&mut self, leaf: &Leaf) -> Result<(), AuditError> {
        self.maker.append(leaf, &mut self.made);
        self.write_made()
    }

    /// Writes what is not there as it should be: a crash may have left half a file.
    fn write_made(&mut self) -> Result<(), AuditError> {
        for made in self.made.drain(..) {
            let path = self.folder.join(made.resource.to_string());
            if fs::read(&path).is_ok_and(|there| there == made.bytes) {
                continue;
            }
            let parent = path.parent().unwrap_or(self.folder);
            files::private_folder(parent)?;
            fs::write(&path, &made.bytes).map_err(failed("write", &path))?;
        }
        Ok(())
    }

    /// Goes on behind the entries that are there; gives how many those are.
    fn bodies(
        &mut self,
        source: &mut impl Source,
        kept: Option<&SignedCheckpoint>,
        size: u64,
    ) -> Result<u64, AuditError> {
        let path = self.folder.join(BODIES);
        let mut options = OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.create(true).truncate(false).write(true).open(&path);
        let mut file = file.map_err(failed("write", &path))?;
        let end = self.read_bodies(source, kept, size)?;
        // What was cut off within a line.
        file.set_len(end).map_err(failed("write", &path))?;
        file.seek(SeekFrom::End(0))
            .map_err(failed("write", &path))?;
        let mut file = BufWriter::new(file);
        let from = self.maker.tree().size();
        while self.maker.tree().size() < size {
            self.page(source, &mut file, size)?;
        }
        file.flush().map_err(failed("write", &path))?;
        file.get_ref().sync_all().map_err(failed("write", &path))?;
        Ok(from)
    }

    /// Reads the entries that are there, as far as they are whole; gives where they end.
    fn read_bodies(
        &mut self,
        source: &mut impl Source,
        kept: Option<&SignedCheckpoint>,
        size: u64,
    ) -> Result<u64, AuditError> {
        let mut lines = Lines::open(self.folder)?;
        let mut end = 0;
        self.check_kept(kept)?;
        while self.maker.tree().size() < size {
            let Some(Ok(body)) = lines.entry()? else {
                break;
            };
            let next = self.maker.tree().size();
            let leaf = leaf(&body).filter(|_| body.entry == next && opens(&body));
            let leaf = leaf.ok_or_else(|| self.changed(format!("entry {next} in {BODIES}")))?;
            // The copy may have ended between an entry and its bundle.
            self.bundle_of(source, &body)?;
            self.append(&leaf)?;
            end = lines.end();
            self.check_kept(kept)?;
        }
        let (has, signed) = (
            self.maker.tree().size(),
            kept.map_or(0, |kept| kept.head().size),
        );
        if has < signed {
            return Err(self.changed(format!("{BODIES} ends before entry {has}")));
        }
        Ok(end)
    }

    /// What is there must have the root that was signed when it was copied.
    fn check_kept(&self, kept: Option<&SignedCheckpoint>) -> Result<(), AuditError> {
        let found = self.maker.tree();
        match kept {
            Some(kept) if kept.head().size == found.size() && *kept.head() != found.head() => {
                Err(self.changed("its entries do not have the root of its checkpoint"))
            }
            _ => Ok(()),
        }
    }

    fn page(
        &mut self,
        source: &mut impl Source,
        file: &mut impl Write,
        size: u64,
    ) -> Result<(), AuditError> {
        for body in source.page(self.maker.tree().size())? {
            let next = self.maker.tree().size();
            if next == size {
                break;
            }
            let leaf = leaf(&body).filter(|_| body.entry == next && opens(&body));
            let leaf = leaf.ok_or(AuditError::Opening { entry: next })?;
            self.bundle_of(source, &body)?;
            self.withheld += u64::from(body.opening.is_none());
            let line = serde_json::to_string(&body).map_err(|error| AuditError::Answer {
                reason: error.to_string(),
            })?;
            writeln!(file, "{line}").map_err(failed("write", &self.folder.join(BODIES)))?;
            self.append(&leaf)?;
        }
        Ok(())
    }

    /// Copies the bundle that an entry lets govern.
    fn bundle_of(&self, source: &mut impl Source, body: &JournalBody) -> Result<(), AuditError> {
        match activates(body) {
            Some(hash) if bundles(self.folder).load(hash).is_err() => {
                self.keep(hash, source.bundle(body.entry, hash)?)
            }
            _ => Ok(()),
        }
    }

    fn keep(&self, hash: BundleHash, files: Vec<BundleFile>) -> Result<(), AuditError> {
        let files = files
            .into_iter()
            .map(|file| (file.path, file.text.into_bytes()));
        let files: BTreeMap<String, Vec<u8>> = files.collect();
        // Nothing is written but under the names that a bundle has.
        if files.keys().any(|path| byte_limit(path).is_none()) {
            let reason = format!("bundle {hash} has a file that no bundle has");
            return Err(AuditError::Answer { reason });
        }
        let _bundle = load(&files, Trust::Activated(hash)).map_err(|error| AuditError::Answer {
            reason: format!("bundle {hash}: {error}"),
        })?;
        let kept = bundles(self.folder).keep(hash, &files);
        kept.map_err(|error| self.changed(error.to_string()))
    }

    /// Copies the leaves alone; gives how many were there.
    fn commitments(
        &mut self,
        signer: &Signer,
        kept: Option<&SignedCheckpoint>,
        size: u64,
    ) -> Result<u64, AuditError> {
        let from = kept.map_or(0, |kept| kept.head().size);
        for leaf in leaves(self.folder, from) {
            let leaf = leaf.map_err(|finding| self.changed(finding.to_string()))?;
            self.append(&leaf)?;
        }
        self.check_kept(kept)?;
        for id in bundles_for(from, size) {
            let start = id.index().saturating_mul(256);
            let bytes = signer.resource(Resource::Entries(id))?;
            let leaves = decode_bundle(id, &bytes).map_err(|error| AuditError::Answer {
                reason: error.to_string(),
            })?;
            for (entry, leaf) in (start..).zip(leaves) {
                if entry >= self.maker.tree().size() {
                    let leaf = known_leaf(leaf).ok_or(AuditError::Opening { entry })?;
                    self.append(&leaf)?;
                }
            }
        }
        Ok(from)
    }

    /// Writes the right edge and, once all of it has the signed root, the checkpoint.
    fn finish(
        &mut self,
        kept: Option<&SignedCheckpoint>,
        newest: &SignedCheckpoint,
    ) -> Result<(), AuditError> {
        let head = newest.head();
        if self.maker.tree().head() != *head {
            return Err(AuditError::Root { size: head.size });
        }
        self.made = self.maker.edge();
        self.write_made()?;
        let path = self.folder.join(CHECKPOINT);
        files::replace(&path, newest.to_string().as_bytes(), Access::Public)?;
        if let Some(kept) = kept {
            self.forget_edge(kept.head().size, head.size);
        }
        Ok(())
    }

    /// Removes the files of an earlier right edge: wider ones stand for them now. One that stays does no
    /// harm.
    fn forget_edge(&self, old: u64, new: u64) {
        for level in 0..=tlog::tile::MAX_TILE_LEVEL {
            let count = old.checked_shr(8 * u32::from(level)).unwrap_or(0);
            let edge = |size| TileId::in_tree(level, count / 256, size);
            let Some(was) = edge(old).filter(|was| edge(new) != Some(*was)) else {
                continue;
            };
            let bundle = BundleId::of(was).map(Resource::Entries);
            for resource in bundle.into_iter().chain([Resource::Tile(was)]) {
                let path = self.folder.join(resource.to_string());
                let _removed = fs::remove_file(&path);
                // Only where it is empty.
                let _removed = path.parent().map(fs::remove_dir);
            }
        }
    }
}

impl Exported {
    /// How many entries the copy has.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> AuditError {
    let path = path.to_owned();
    move |source| {
        AuditError::File(FileError::Io {
            action,
            path,
            source,
        })
    }
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "log       {}", self.origin)?;
        writeln!(
            f,
            "entries   {} of which {} are new",
            self.size,
            self.size - self.from
        )?;
        writeln!(f, "root      {}", self.root)?;
        if self.withheld > 0 {
            writeln!(f, "withheld  {} that a freeze holds", self.withheld)?;
        }
        writeln!(
            f,
            "verify it with: strongroom audit verify {}",
            self.folder.display()
        )
    }
}
