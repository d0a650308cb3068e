//! Cuts the log into chunks for witnesses to keep, encrypted to the auditors that the policy names.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use api::journal::{BodiesAnswer, JournalBody};
use bytes::Bytes;
use policy::BundleHash;
use policy::bundle::{Trust, load};
use tlog::checkpoint::Origin;
use tokio::sync::Mutex;

use super::super::chain;
use super::signer::Signer;
use crate::bodies::{BundleOf, CHUNK_ENTRIES, Chunk, Range, Recipients, activates};

/// How many chunks are remembered: witnesses mostly need the same ones.
const CHUNKS: usize = 4;

/// What makes chunks of a signer's log.
pub struct Cutter {
    signer: Arc<Signer>,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    chunks: VecDeque<Arc<Sealed>>,
    /// The auditors, by the bundle that names them.
    auditors: Option<(String, Arc<Recipients>)>,
}

/// A chunk as witnesses keep it.
pub struct Sealed {
    /// Its entries.
    pub range: Range,
    /// It, encrypted.
    pub bytes: Bytes,
}

/// How much there has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enough {
    /// All entries up to the end of a tile.
    Whole,
    /// What there is.
    Some,
}

/// The end of the tile that an entry is in: where a chunk that begins with it ends.
pub fn tile_end(entry: u64) -> u64 {
    let tiles = entry / CHUNK_ENTRIES;
    tiles.saturating_add(1).saturating_mul(CHUNK_ENTRIES)
}

impl Cutter {
    /// For this signer.
    pub fn new(signer: Arc<Signer>) -> Self {
        Self {
            signer,
            made: Mutex::default(),
        }
    }

    /// What the log is called.
    pub fn origin(&self) -> &Origin {
        self.signer.origin()
    }

    /// The chunk that begins with an entry, once there is enough of it that witnesses have cosigned.
    ///
    /// # Errors
    /// Why there can be none.
    pub async fn cut(&self, from: u64, enough: Enough) -> Result<Option<Arc<Sealed>>, String> {
        let mut made = self.made.lock().await;
        let mut chunks = made.chunks.iter();
        if let Some(sealed) = chunks.find(|one| one.range.from() == from) {
            return Ok(Some(Arc::clone(sealed)));
        }
        let Some(checkpoint) = self.signer.cosigned().await? else {
            return Ok(None);
        };
        let (size, end) = (checkpoint.head().size, tile_end(from));
        if size <= from || (size < end && enough == Enough::Whole) {
            return Ok(None);
        }
        let page = self.signer.page(from, size.min(end) - from).await?;
        let Some(range) = in_order(from, &page.bodies)? else {
            return Ok(None);
        };
        let auditors = self.auditors(&mut made, &page).await?;
        let chunk = Chunk {
            origin: self.signer.origin().to_string(),
            range,
            checkpoint: checkpoint.to_string(),
            bundles: self.bundles(&page.bodies).await?,
            bodies: page.bodies,
        };
        let sealed = tokio::task::spawn_blocking(move || seal(&chunk, &auditors)).await;
        let sealed = sealed.map_err(io::Error::other).and_then(|sealed| sealed);
        let sealed = Arc::new(Sealed {
            range,
            bytes: sealed.map_err(|error| chain(&error))?.into(),
        });
        if made.chunks.len() >= CHUNKS {
            made.chunks.pop_front();
        }
        made.chunks.push_back(Arc::clone(&sealed));
        Ok(Some(sealed))
    }

    /// Those whom the policy names that governs now: who is no auditor any more gets nothing more.
    async fn auditors(
        &self,
        made: &mut Made,
        page: &BodiesAnswer,
    ) -> Result<Arc<Recipients>, String> {
        let hash = page
            .policy
            .clone()
            .ok_or("the signer does not say which policy governs")?;
        match &made.auditors {
            Some((known, auditors)) if *known == hash => return Ok(Arc::clone(auditors)),
            _ => {}
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(&hash, &mut bytes).map_err(|_| "the signer names no policy")?;
        let files = self.signer.bundle(bytes).await?;
        let files = files.into_iter().map(|one| (one.path, one.text.into()));
        let files: BTreeMap<String, Vec<u8>> = files.collect();
        let bundle = load(&files, Trust::Activated(BundleHash(bytes)));
        let bundle = bundle.map_err(|error| format!("bundle {hash}: {}", chain(&error)))?;
        let recipients = Recipients::new(bundle.policy().auditors.iter())
            .map_err(|key| format!("nothing can be encrypted to {key}"))?
            .ok_or("the policy names no auditors")?;
        let recipients = Arc::new(recipients);
        made.auditors = Some((hash, Arc::clone(&recipients)));
        Ok(recipients)
    }

    /// The bundles that entries let govern: without them nobody can decide anything again.
    async fn bundles(&self, bodies: &[JournalBody]) -> Result<Vec<BundleOf>, String> {
        let mut bundles = Vec::new();
        for hash in bodies.iter().filter_map(activates) {
            bundles.push(BundleOf {
                bundle: hash.to_string(),
                files: self.signer.bundle(hash.0).await?,
            });
        }
        Ok(bundles)
    }
}

/// Which entries came; `None` when the signer tells of none yet.
fn in_order(from: u64, bodies: &[JournalBody]) -> Result<Option<Range>, String> {
    for (expected, body) in (from..).zip(bodies) {
        if body.entry != expected {
            let found = body.entry;
            return Err(format!("the signer tells entry {found} for {expected}"));
        }
    }
    let to = from.saturating_add(bodies.len() as u64);
    Ok(Range::new(from, to).ok())
}

fn seal(chunk: &Chunk, auditors: &Recipients) -> io::Result<Vec<u8>> {
    let text = chunk.to_text().map_err(io::Error::other)?;
    auditors.seal(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_ends_with_its_tile() {
        assert_eq!((tile_end(0), tile_end(255), tile_end(256)), (256, 256, 512));
    }

    #[test]
    fn no_entry_is_left_out() {
        let body = |entry| JournalBody {
            entry,
            commitment: String::new(),
            opening: None,
        };
        assert_eq!(in_order(7, &[]), Ok(None));
        let range = in_order(7, &[body(7), body(8)]);
        assert_eq!(range, Ok(Range::new(7, 9).ok()));
        assert!(in_order(7, &[body(7), body(9)]).is_err());
        assert!(in_order(7, &[body(8)]).is_err());
    }
}
