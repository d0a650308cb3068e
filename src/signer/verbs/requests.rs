//! `GET /v1/requests`: what became of requests, with the bytes, for a coordinator that forgot.

use api::{
    problem::{Problem, ProblemKind},
    signing::{RequestAnswer, RequestStatus, RequestsAnswer},
};
use hyper::StatusCode;
use policy::{Attempt, AttemptId, Blob, Entry, RequestId, Signed};
use tx::{Name, SignedTransaction};

use crate::{answer::Answer, service::Service};

/// Most requests in one answer.
pub const PAGE_MAX: usize = 100;

/// One request of the client.
///
/// # Errors
/// A problem when there is none, or the journal cannot be read.
pub fn request(service: &Service, client: &Name, id: &RequestId) -> Result<Answer, Problem> {
    let durable = service.journal.bodies().durable();
    let known = service
        .journal
        .state()
        .request(client, id)
        .filter(|known| known.attempt.0 < durable)
        .map(|known| (known.attempt, as_durable(known.status, durable)));
    let not_found = || {
        Problem::new(
            ProblemKind::NotFound,
            format!("Nothing was authorised for request {id}."),
        )
    };
    let (attempt, status) = known.ok_or_else(not_found)?;
    Ok(Answer::json(
        StatusCode::OK,
        &describe(service, attempt, status)?,
    ))
}

/// The client's requests that were authorised at journal entries after `after`.
///
/// # Errors
/// A problem when the journal cannot be read.
pub fn requests(service: &Service, client: &Name, after: Option<u64>) -> Result<Answer, Problem> {
    let from = after.map_or(0, |after| after.saturating_add(1));
    let durable = service.journal.bodies().durable();
    let page: Vec<_> = service
        .journal
        .state()
        .requests_from(client, AttemptId(from))
        .take_while(|(attempt, _)| attempt.0 < durable)
        .map(|(attempt, status)| (attempt, as_durable(status, durable)))
        .take(PAGE_MAX)
        .collect();
    let next = if page.len() == PAGE_MAX {
        page.last().map(|(attempt, _)| attempt.0)
    } else {
        None
    };
    let requests = page
        .into_iter()
        .map(|(attempt, status)| describe(service, attempt, status))
        .collect::<Result<_, _>>()?;
    Ok(Answer::json(
        StatusCode::OK,
        &RequestsAnswer { requests, next },
    ))
}

/// What is known of an attempt behind that many durable entries: the state is ahead by the group
/// that is being flushed, and what is not durable did not happen.
fn as_durable(status: policy::RequestStatus, durable: u64) -> policy::RequestStatus {
    match status {
        policy::RequestStatus::Signed { index } if index >= durable => {
            policy::RequestStatus::Committed
        }
        other => other,
    }
}

fn describe(
    service: &Service,
    attempt: AttemptId,
    status: policy::RequestStatus,
) -> Result<RequestAnswer, Problem> {
    let entry = attempt_at(service, attempt)?;
    let (status, transaction) = match status {
        policy::RequestStatus::Committed => (RequestStatus::Committed, None),
        policy::RequestStatus::Failed => (RequestStatus::Failed, None),
        policy::RequestStatus::Signed { index } => {
            // What a freeze holds is known to be signed, and does not leave.
            let withheld = service.journal.state().is_frozen(attempt);
            let signed = if withheld {
                None
            } else {
                Some(signed_transaction(service, index)?)
            };
            (RequestStatus::Signed, signed)
        }
    };
    Ok(RequestAnswer {
        request_id: entry.request.to_string(),
        attempt: attempt.0,
        status,
        lane_epoch: entry.lane_epoch,
        conflict_keys: entry.keys.into_iter().collect(),
        transaction,
    })
}

fn attempt_at(service: &Service, attempt: AttemptId) -> Result<Attempt, Problem> {
    match service
        .journal
        .record(attempt.0)
        .map_err(unreadable)?
        .0
        .entry
    {
        Entry::Attempt(attempt) => Ok(*attempt),
        _ => Err(Problem::new(
            ProblemKind::Internal,
            format!("Entry {attempt} is no attempt."),
        )),
    }
}

/// The signed transaction of the entry at `index`.
///
/// # Errors
/// A problem when the journal cannot be read.
pub fn signed_transaction(service: &Service, index: u64) -> Result<SignedTransaction, Problem> {
    let Signed { txid, raw, .. } = service.journal.signed_at(index).map_err(unreadable)?;
    let raw = match raw {
        Blob::Inline(text) => text,
        Blob::Sha256(hash) => {
            let damaged = |what: String| Problem::new(ProblemKind::Internal, what);
            let mut digest = [0; 32];
            hex::decode_to_slice(&hash, &mut digest).map_err(|error| damaged(error.to_string()))?;
            let bytes = service
                .journal
                .bodies()
                .blob(digest)
                .map_err(|error| damaged(error.to_string()))?;
            String::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?
        }
    };
    Ok(SignedTransaction { raw, txid })
}

/// The problem of an entry that cannot be read back.
pub fn unreadable(error: journal::EntryError) -> Problem {
    tracing::error!(error = %error, "the journal cannot be read");
    Problem::new(ProblemKind::Internal, error.to_string())
}
