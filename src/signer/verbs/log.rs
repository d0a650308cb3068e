//! `/v1/journal/…`: checkpoints, tiles of commitments, proofs. No body of an entry is told here.

use std::{sync::Arc, time::Duration};

use api::{
    journal::{
        COSIGNATURES_MAX, COVERS_SECS, ConsistencyAnswer, CosignaturesAnswer, CosignaturesRequest,
        EntryProof, PROOFS_PER_ANSWER_MAX, ProofsAnswer, ProofsRequest, SeenCheckpoint,
    },
    problem::{Problem, ProblemKind},
    server::Answer,
    signing::Inclusion,
};
use hyper::StatusCode;
use journal::{ReadError, SealName, Tree};
use tlog::{
    Hash, NodeId, NodeSource, ProveError, TreeHead,
    checkpoint::SignedCheckpoint,
    consistency_proof, inclusion_proof, root_at,
    tile::{BundleId, Resource, Tile, TileId, encode_bundle},
    verify_consistency, verify_inclusion,
};

use crate::{seal::Seal, service::Service, witnesses::CosignaturesError};

/// What a leaf of version 1 begins with.
const LEAF_VERSION: u8 = 0x01;

/// The newest checkpoint that the policy's witnesses have cosigned, or the newest where it names none; or
/// the newest as it is, once that covers an entry.
///
/// # Errors
/// A problem when there is none, or not in time.
pub async fn checkpoint(service: &Service, covers: Option<u64>) -> Result<Answer, Problem> {
    let newest = match covers {
        None => witnessed(service)?,
        Some(entry) => covering(service, entry).await?,
    };
    let newest = newest.ok_or_else(|| no_checkpoint(service, covers))?;
    Ok(Answer::text(StatusCode::OK, newest.to_string()))
}

fn witnessed(service: &Service) -> Result<Option<Arc<SignedCheckpoint>>, Problem> {
    let policy = service.policy()?;
    let Some(quorum) = &policy.witnesses else {
        return Ok(service.checkpoints.newest());
    };
    let newest = service.witnesses.newest(quorum).ok_or_else(|| {
        let why = service.unwitnessed().unwrap_or_default();
        Problem::new(ProblemKind::NoCheckpoint, format!("Ask again: {why}."))
    })?;
    Ok(Some(Arc::new(newest)))
}

async fn covering(service: &Service, entry: u64) -> Result<Option<Arc<SignedCheckpoint>>, Problem> {
    let entries = service.journal.tree().head().size;
    if entry >= entries {
        let detail = format!("There is no entry {entry}: the journal has {entries}.");
        return Err(Problem::new(ProblemKind::NotFound, detail));
    }
    let checkpoints = &service.checkpoints;
    if checkpoints.key().is_none() && checkpoints.covered() <= entry {
        return Ok(None);
    }
    let _place = checkpoints.place().ok_or_else(|| {
        Problem::new(ProblemKind::Busy, "Too many clients wait for a checkpoint.")
    })?;
    Ok(checkpoints
        .covering(entry, Duration::from_secs(COVERS_SECS))
        .await)
}

fn no_checkpoint(service: &Service, covers: Option<u64>) -> Problem {
    let trouble = service.checkpoints.trouble();
    let to_cover = service.journal.state().entries_to_cover();
    let detail = match (trouble, service.checkpoints.key(), covers) {
        (Some(trouble), ..) => format!("The last one was not made: {trouble}."),
        (None, None, _) => "No key of the device is configured to sign checkpoints.".to_owned(),
        // Were one made for it, somebody who waits for what is new would have one made each second.
        (None, Some(_), Some(entry)) if entry >= to_cover => format!(
            "Entry {entry} is a checkpoint's own: what is signed or said next is covered together with it."
        ),
        (None, Some(_), _) => "Ask again in a moment.".to_owned(),
    };
    Problem::new(ProblemKind::NoCheckpoint, detail)
}

/// Takes note of a checkpoint that a client has seen. One that the journal does not contain seals the
/// daemon: two logs, or an older copy of this one, were in use.
///
/// # Errors
/// A problem when it is not this log's, or now sealed.
pub async fn seen(service: &Service, body: &SeenCheckpoint) -> Result<Answer, Problem> {
    let (origin, keys) = (service.journal.origin(), service.journal.log_keys());
    let seen = SignedCheckpoint::open(body.checkpoint.as_bytes(), origin, &keys);
    let seen = seen.map_err(|error| {
        let detail = format!("{}.", crate::log::chain(&error));
        Problem::new(ProblemKind::Malformed, detail).at("checkpoint")
    })?;
    let newest = service.checkpoints.newest();
    let size = seen.head().size;
    if newest.is_some_and(|newest| newest.head() == seen.head()) {
        service.checkpoints.is_outside(size);
        return Ok(Answer::empty());
    }
    let known = service.journal.tree().head();
    if size <= known.size && root(service, size)? == seen.head().root {
        service.checkpoints.is_outside(size);
        return Ok(Answer::empty());
    }
    // Officers accepted that what led there is lost.
    let lost = policy::statement::Head {
        size,
        root: policy::Digest(*seen.head().root.as_bytes()),
    };
    if service.journal.state().is_lost(&lost) {
        return Ok(Answer::empty());
    }
    let seal = if size > known.size {
        let why = format!(
            "a signed checkpoint of {size} entries is known and the journal has {}: it is an older copy",
            known.size
        );
        Seal::new(SealName::ShorterThanCheckpoint, &why)
    } else {
        let why = format!("the journal forks from a signed checkpoint of {size} entries");
        Seal::new(SealName::ForkedFromCheckpoint, &why)
    };
    service.checkpoints.keep_evidence(&seen);
    service.seal(seal.clone()).await;
    Err(Problem::new(ProblemKind::Sealed, seal.to_string()))
}

/// Counts cosignatures of a checkpoint. What does not verify changes nothing.
///
/// # Errors
/// A problem that names the line.
pub fn cosignatures(service: &Service, body: &CosignaturesRequest) -> Result<Answer, Problem> {
    if !body.is_bounded() {
        let detail = format!("1 to {COSIGNATURES_MAX} cosignatures are taken at once.");
        return Err(Problem::new(ProblemKind::Malformed, detail).at("cosignatures"));
    }
    let policy = service.policy()?;
    let quorum = policy
        .witnesses
        .as_ref()
        .ok_or_else(|| Problem::new(ProblemKind::NotFound, "The policy names no witnesses."))?;
    let counted = service
        .witnesses
        .count(quorum, body.size, &body.cosignatures)
        .map_err(|error| {
            service.metrics.cosignatures_refused.increment();
            uncounted(&error)
        })?;
    service.metrics.cosignatures.increment();
    service.journal.cosigned(&counted.times);
    if counted.cosigned >= quorum.needed() {
        service.journal.covered(&counted.signed);
    }
    service.checkpoints.cosigned(counted.signed);
    let witnessed = service.witnesses.witnessed(quorum);
    service.checkpoints.is_outside(witnessed);
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let answer = CosignaturesAnswer {
        cosigned: count(counted.cosigned),
        needed: count(quorum.needed()),
        witnessed,
    };
    Ok(Answer::json(StatusCode::OK, &answer))
}

fn uncounted(error: &CosignaturesError) -> Problem {
    let detail = format!("{}.", crate::log::chain(error));
    match error.place() {
        Some(place) => {
            Problem::new(ProblemKind::Malformed, detail).at(format!("cosignatures[{place}]"))
        }
        None => Problem::new(ProblemKind::NotFound, detail),
    }
}

/// A tile of hashes, or a bundle of commitments.
///
/// # Errors
/// A problem when the log does not have it yet, or never will.
pub fn resource(service: &Service, path: &str) -> Result<Answer, Problem> {
    let size = service.checkpoints.covered();
    let absent = || Problem::new(ProblemKind::NotFound, format!("There is no {path}."));
    let bytes = match path.parse().map_err(|_| absent())? {
        Resource::Tile(id) if is_in(id, size) => {
            let tile = Tile::read(id, &Nodes(service.journal.tree()));
            tile.map_err(|error| damaged(&error))?.encode()
        }
        Resource::Entries(id) if is_in(id.tile(), size) => bundle(service, id)?,
        _ => return Err(absent()),
    };
    Ok(Answer::immutable(bytes))
}

/// Whether a tree of that size has all of the tile's hashes.
fn is_in(id: TileId, size: u64) -> bool {
    TileId::in_tree(id.level(), id.index(), size).is_some_and(|there| there.width() >= id.width())
}

fn bundle(service: &Service, id: BundleId) -> Result<Vec<u8>, Problem> {
    let width = u64::from(id.tile().width());
    let start = id
        .tile()
        .index()
        .saturating_mul(u64::from(tlog::tile::TILE_WIDTH));
    let commitments = service
        .journal
        .tree()
        .commitments(start..start.saturating_add(width))
        .map_err(|error| damaged(&error))?;
    let leaves: Vec<Vec<u8>> = commitments
        .iter()
        .map(|commitment| [&[LEAF_VERSION], commitment.as_bytes().as_slice()].concat())
        .collect();
    encode_bundle(&leaves).map_err(|error| damaged(&error))
}

/// Proofs that a tree contains entries.
///
/// # Errors
/// A problem that names what is beyond the newest checkpoint.
pub fn proofs(service: &Service, request: &ProofsRequest) -> Result<Answer, Problem> {
    let malformed = |detail: String| Problem::new(ProblemKind::Malformed, detail);
    if !request.is_bounded() {
        let detail = format!("1 to {PROOFS_PER_ANSWER_MAX} entries are proved at once.");
        return Err(malformed(detail).at("entries"));
    }
    let head = TreeHead {
        size: request.size,
        root: covered_root(service, "size", request.size)?,
    };
    let beyond = request.entries.iter().position(|entry| *entry >= head.size);
    if let Some(place) = beyond {
        let detail = format!("Such an entry is not in a tree of {}.", head.size);
        return Err(malformed(detail).at(format!("entries[{place}]")));
    }
    let proofs = request.entries.iter().map(|entry| {
        let path = proof(service, *entry, &head)?;
        Ok(EntryProof {
            entry: *entry,
            path: path.iter().map(ToString::to_string).collect(),
        })
    });
    let proofs = proofs.collect::<Result<_, Problem>>()?;
    Ok(Answer::json(StatusCode::OK, &ProofsAnswer { proofs }))
}

/// A proof that one tree begins with another.
///
/// # Errors
/// A problem that names what is beyond the newest checkpoint.
pub fn consistency(service: &Service, from: u64, to: u64) -> Result<Answer, Problem> {
    if from > to {
        let detail = "A tree does not begin with a larger one.";
        return Err(Problem::new(ProblemKind::Malformed, detail).at("from"));
    }
    let [old, new] = [("from", from), ("to", to)].map(|(field, size)| {
        covered_root(service, field, size).map(|root| TreeHead { size, root })
    });
    let (old, new) = (old?, new?);
    let nodes = Nodes(service.journal.tree());
    let path = consistency_proof(&nodes, from, to).map_err(|error| damaged(&error))?;
    verify_consistency(&old, &new, &path).map_err(|error| damaged(&error))?;
    let path = path.iter().map(ToString::to_string).collect();
    Ok(Answer::json(StatusCode::OK, &ConsistencyAnswer { path }))
}

/// The proof for a receipt, where the newest checkpoint covers its entry.
pub(super) fn inclusion(service: &Service, entry: u64) -> Result<Option<Inclusion>, Problem> {
    let newest = service.checkpoints.newest();
    let Some(newest) = newest.filter(|newest| newest.head().size > entry) else {
        return Ok(None);
    };
    let path = proof(service, entry, newest.head())?;
    Ok(Some(Inclusion {
        checkpoint: newest.to_string(),
        path: path.iter().map(ToString::to_string).collect(),
    }))
}

/// A proof that was checked: a tree that is damaged on the disk proves nothing to anybody.
fn proof(service: &Service, entry: u64, head: &TreeHead) -> Result<Vec<Hash>, Problem> {
    let nodes = Nodes(service.journal.tree());
    let path = inclusion_proof(&nodes, entry, head.size).map_err(|error| damaged(&error))?;
    let leaf = nodes.read_nodes(&[NodeId {
        level: 0,
        index: entry,
    }]);
    let leaf = leaf.map_err(|error| damaged(&error))?;
    let leaf = leaf.first().ok_or_else(|| damaged(&"a leaf is missing"))?;
    verify_inclusion(*leaf, entry, head, &path).map_err(|error| damaged(&error))?;
    Ok(path)
}

/// The root at a size that the newest checkpoint covers.
fn covered_root(service: &Service, field: &'static str, size: u64) -> Result<Hash, Problem> {
    let newest = service.checkpoints.newest();
    let newest = newest.ok_or_else(|| no_checkpoint(service, None))?;
    if newest.head().size == size {
        return Ok(newest.head().root);
    }
    if size > newest.head().size {
        let covered = newest.head().size;
        let detail = format!("The newest checkpoint covers {covered} entries, not {size}.");
        return Err(Problem::new(ProblemKind::Malformed, detail).at(field));
    }
    root(service, size)
}

/// The root over the first entries, of which there are as many.
pub(super) fn root(service: &Service, size: u64) -> Result<Hash, Problem> {
    let nodes = Nodes(service.journal.tree());
    root_at(&nodes, size).map_err(|error: ProveError<ReadError>| damaged(&error))
}

fn damaged(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(error = %error, "the journal's tree cannot be read");
    Problem::new(ProblemKind::Internal, error.to_string())
}

/// The journal's tree, for functions that want to know its size in memory.
struct Nodes<'t>(&'t dyn Tree);

impl NodeSource for Nodes<'_> {
    type Error = ReadError;

    fn read_nodes(&self, ids: &[NodeId]) -> Result<Vec<Hash>, ReadError> {
        self.0.read_nodes(ids)
    }
}
