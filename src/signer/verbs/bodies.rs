//! `/v1/journal/bodies` and `/v1/journal/bundles`: all that an auditor needs to decide everything again.

use api::{
    journal::{
        BODIES_PAGE_BYTES, BodiesAnswer, BodyOpening, BundleAnswer, BundleFile, JournalBody,
    },
    problem::{Problem, ProblemKind},
    server::Answer,
};
use hyper::StatusCode;
use journal::segment::{Leaf, Salt};
use policy::{Blob, BundleHash, Entry};

use super::requests::{forgotten, unreadable};
use crate::service::Service;

/// After how many entries others are served.
const ENTRIES_AT_ONCE: u64 = 16;

/// A page of entries. No more than the newest checkpoint covers, so that what is told can be proved, and
/// no more than the witnesses have cosigned, where there are any: signatures are among it.
///
/// # Errors
/// A problem when the journal cannot be read.
pub async fn bodies(service: &Service, from: u64, count: usize) -> Result<Answer, Problem> {
    let covered = service.releasable();
    let policy = service.policy()?.hash.to_string();
    let mut bodies = Vec::new();
    let mut bytes = 0usize;
    for index in (from..covered).take(count) {
        // Who copies the journal keeps nobody waiting who wants a signature.
        if index.is_multiple_of(ENTRIES_AT_ONCE) {
            tokio::task::yield_now().await;
        }
        let body = body(service, index)?;
        bytes = bytes.saturating_add(length(&body));
        bodies.push(body);
        if bytes >= BODIES_PAGE_BYTES {
            break;
        }
    }
    Ok(Answer::json(
        StatusCode::OK,
        &BodiesAnswer {
            bodies,
            covered,
            policy: Some(policy),
        },
    ))
}

fn body(service: &Service, index: u64) -> Result<JournalBody, Problem> {
    let (record, stored) = service.journal.record(index).map_err(unreadable)?;
    let leaf = Leaf::commit(&Salt::new(stored.salt), &stored.body);
    // What is frozen is released to nobody.
    let held = match &record.entry {
        Entry::Signed(signed) => {
            let frozen = service.journal.is_held(signed.attempt);
            frozen.map_err(|error| forgotten(&error))?
        }
        _ => false,
    };
    let open = || {
        Ok::<_, Problem>(BodyOpening {
            salt: hex::encode(stored.salt),
            body: String::from_utf8(stored.body).map_err(|error| damaged(&error))?,
            apart: apart(service, &record.entry),
        })
    };
    Ok(JournalBody {
        entry: index,
        commitment: leaf.commitment().to_string(),
        opening: if held { None } else { Some(open()?) },
    })
}

/// The text that an entry names by its hash. That of a refusal was not always kept.
fn apart(service: &Service, entry: &Entry) -> Option<String> {
    let named = match entry {
        Entry::Attempt(attempt) => &attempt.transaction,
        Entry::Refused(refused) => &refused.transaction,
        Entry::Signed(signed) => &signed.raw,
        _ => return None,
    };
    let Blob::Sha256(hash) = named else {
        return None;
    };
    let mut digest = [0; 32];
    hex::decode_to_slice(hash, &mut digest).ok()?;
    let bytes = service.journal.bodies().blob(digest).ok()?;
    String::from_utf8(bytes).ok()
}

fn length(body: &JournalBody) -> usize {
    /// Digits, names and punctuation.
    const FRAME: usize = 256;
    let opening = body.opening.as_ref().map_or(0, |opening| {
        let apart = opening.apart.as_ref().map_or(0, String::len);
        opening.body.len().saturating_add(apart)
    });
    opening.saturating_add(FRAME)
}

/// The files of a bundle that governed.
///
/// # Errors
/// A problem when there is no such bundle.
pub fn bundle(service: &Service, hash: BundleHash) -> Result<Answer, Problem> {
    let files = service.bundles.files(hash).map_err(|_| {
        let detail = format!("No bundle {hash} is kept.");
        Problem::new(ProblemKind::NotFound, detail)
    })?;
    let files = files.into_iter().map(|(path, bytes)| {
        let text = String::from_utf8(bytes).map_err(|error| damaged(&error))?;
        Ok(BundleFile { path, text })
    });
    let files = files.collect::<Result<_, Problem>>()?;
    Ok(Answer::json(StatusCode::OK, &BundleAnswer { files }))
}

fn damaged(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(error = %error, "the journal cannot be read");
    Problem::new(ProblemKind::Internal, error.to_string())
}
