//! `GET /v1/requests`: what became of requests, with the bytes, for a coordinator that forgot.

use api::{
    problem::{Problem, ProblemKind},
    server::Answer,
    signing::{PAGE_BYTES, PAGE_MAX, Receipt, RequestAnswer, RequestStatus, RequestsAnswer},
};
use hyper::StatusCode;
use journal::StoredEntry;
use policy::{Attempt, AttemptId, Blob, Entry, RequestId, Signed};
use tx::{Name, SignedTransaction, Transaction};

use super::{log::inclusion, receipt};
use crate::{release::Unreleased, service::Service};

/// One request of the client.
///
/// # Errors
/// A problem when there is none, or the journal cannot be read.
pub fn request(service: &Service, client: &Name, id: &RequestId) -> Result<Unreleased, Problem> {
    let durable = service.journal.bodies().durable();
    let known = service
        .journal
        .rows()
        .request(client, id)
        .map_err(|error| forgotten(&error))?
        .filter(|known| known.attempt.0 < durable)
        .map(|known| (known.attempt, as_durable(known.status, durable)));
    let not_found = || {
        Problem::new(
            ProblemKind::NotFound,
            format!("Nothing was authorised for request {id}."),
        )
    };
    let (attempt, status) = known.ok_or_else(not_found)?;
    let described = describe(service, attempt, status)?;
    let answer = Answer::json(StatusCode::OK, &described);
    Ok(unreleased(answer, std::slice::from_ref(&described)))
}

/// What an answer tells of these requests waits for witnesses.
fn unreleased(answer: Answer, requests: &[RequestAnswer]) -> Unreleased {
    let newest = requests
        .iter()
        .map(|request| AttemptId(request.attempt))
        .max();
    let signed = requests
        .iter()
        .filter(|request| request.transaction.is_some());
    let shown = signed.map(|request| AttemptId(request.attempt)).collect();
    Unreleased::telling(answer, newest, shown)
}

/// The client's requests that were authorised at journal entries after `after`.
///
/// # Errors
/// A problem when the journal cannot be read.
pub fn requests(
    service: &Service,
    client: &Name,
    after: Option<u64>,
) -> Result<Unreleased, Problem> {
    let from = after.map_or(0, |after| after.saturating_add(1));
    let durable = service.journal.bodies().durable();
    let found = service
        .journal
        .rows()
        .requests_from(client, AttemptId(from), PAGE_MAX);
    let page: Vec<_> = found
        .map_err(|error| forgotten(&error))?
        .into_iter()
        .take_while(|(attempt, _)| attempt.0 < durable)
        .map(|(attempt, status)| (attempt, as_durable(status, durable)))
        .collect();
    let mut requests = Vec::with_capacity(page.len());
    let (mut bytes, listed) = (0usize, page.len());
    for (attempt, status) in page {
        let answer = describe(service, attempt, status)?;
        bytes = bytes.saturating_add(length(&answer));
        requests.push(answer);
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    let whole = listed < PAGE_MAX && requests.len() == listed;
    let last = requests.last().map(|last| last.attempt);
    let next = last.filter(|_| !whole);
    let answer = RequestsAnswer { requests, next };
    let json = Answer::json(StatusCode::OK, &answer);
    Ok(unreleased(json, &answer.requests))
}

/// The most bytes that an answer has in JSON, in which a body's quotes are escaped.
fn length(answer: &RequestAnswer) -> usize {
    /// Ids, hashes, names and punctuation.
    const FRAME: usize = 2048;
    /// A checkpoint, and a path of 63 nodes at the most.
    const INCLUSION: usize = 8192;
    /// One conflict key.
    const KEY: usize = 128;
    let body = answer
        .receipt
        .as_ref()
        .map_or(0, |receipt| receipt.body.len());
    let raw = answer
        .transaction
        .as_ref()
        .map_or(0, |transaction| transaction.raw.len());
    let unsigned = match &answer.unsigned {
        Some(Transaction::Psbt { psbt, .. }) => psbt.len(),
        Some(Transaction::Eip2718 { payload, .. }) => payload.len(),
        _ => 0,
    };
    body.saturating_mul(2)
        .saturating_add(raw)
        .saturating_add(unsigned)
        .saturating_add(answer.conflict_keys.len().saturating_mul(KEY))
        .saturating_add(FRAME)
        .saturating_add(INCLUSION)
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
    let (entry, stored) = attempt_at(service, attempt)?;
    let unsigned = match &entry.transaction {
        Blob::Inline(_) => None,
        Blob::Sha256(hash) => Some(kept_apart(service, hash)?),
    };
    let (status, transaction) = match status {
        policy::RequestStatus::Committed => (RequestStatus::Committed, None),
        policy::RequestStatus::Failed => (RequestStatus::Failed, None),
        policy::RequestStatus::Signed { index } => {
            // What a freeze holds is known to be signed, and does not leave.
            let frozen = service.journal.is_held(attempt);
            let withheld = frozen.map_err(|error| forgotten(&error))?;
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
        receipt: Some(proved(service, attempt, stored)?),
        unsigned,
    })
}

/// A receipt, with the proof that the log contains it where a checkpoint covers it.
fn proved(service: &Service, attempt: AttemptId, stored: StoredEntry) -> Result<Receipt, Problem> {
    Ok(Receipt {
        inclusion: inclusion(service, attempt.0)?,
        ..receipt(service, attempt.0, stored)?
    })
}

/// The transaction of a request that its entry names by hash.
fn kept_apart(service: &Service, hash: &str) -> Result<Transaction, Problem> {
    serde_json::from_str(&blob(service, hash)?).map_err(damaged)
}

fn attempt_at(service: &Service, attempt: AttemptId) -> Result<(Attempt, StoredEntry), Problem> {
    let (record, stored) = service.journal.record(attempt.0).map_err(unreadable)?;
    match record.entry {
        Entry::Attempt(attempt) => Ok((*attempt, stored)),
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
        Blob::Sha256(hash) => blob(service, &hash)?,
    };
    Ok(SignedTransaction { raw, txid })
}

/// A text that the journal keeps beside its entries.
fn blob(service: &Service, hash: &str) -> Result<String, Problem> {
    let mut digest = [0; 32];
    hex::decode_to_slice(hash, &mut digest).map_err(damaged)?;
    let bytes = service.journal.bodies().blob(digest).map_err(damaged)?;
    String::from_utf8(bytes).map_err(damaged)
}

fn damaged(error: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemKind::Internal, error.to_string())
}

/// The problem of what is remembered and cannot be read.
pub fn forgotten(error: &journal::RecallError) -> Problem {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(error = %error, cause, "what is remembered cannot be read");
    Problem::new(ProblemKind::Internal, error.to_string())
}

/// The problem of an entry that cannot be read back.
pub fn unreadable(error: journal::EntryError) -> Problem {
    if let journal::EntryError::Read(read) = &error
        && read.is_pruned()
    {
        let detail = "Its body was removed after it was exported: ask whoever keeps the export.";
        return Problem::new(ProblemKind::Pruned, detail);
    }
    tracing::error!(error = %error, "the journal cannot be read");
    Problem::new(ProblemKind::Internal, error.to_string())
}
