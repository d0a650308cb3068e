//! `POST /v1/statements`: what attesters saw, and that people are there. Who brings it counts for nothing; who
//! signed it does.

use std::time::Instant;

use api::{
    problem::{Problem, ProblemKind},
    server::Answer,
    signing::{Statement, StatementAnswer},
};
use hyper::StatusCode;
use journal::EntryError;
use policy::{
    AttemptId, Digest, RequestStatus, Resumed, StateError,
    statement::{Attestation, Header, Heartbeat, Kind, Seen, StatementError, TransactionId},
};

use super::governance::{SIGNATURES_MAX_BYTES, joined};
use crate::{
    log::chain,
    service::{Service, ask},
};

/// The longest signature that an entry holds, in bytes: one, by the longest key that is taken.
const SIGNATURE_MAX_BYTES: usize = 4 * 1024;

/// Takes what an attester said. The very same statement again changes nothing.
///
/// # Errors
/// A problem that says why it counts for nothing.
pub async fn attest(service: &Service, body: &Statement) -> Result<Answer, Problem> {
    let header = Header::parse(&body.statement);
    if header.is_ok_and(|(header, _)| header.kind == Kind::Heartbeat) {
        return heartbeat(service, body).await;
    }
    let signature = body.signatures.concat();
    if signature.len() > SIGNATURE_MAX_BYTES {
        let detail = format!("it has more than {SIGNATURE_MAX_BYTES} bytes");
        return Err(refused(detail).at("signatures"));
    }
    let attesting = {
        let state = service.journal.state();
        state.attesting(&body.statement, &signature)
    };
    let said = attesting.map_err(|error| refused(chain(&error)))?;
    let (attester, key) = (said.attester.clone(), said.key.clone());
    // Behind the signature, so that nobody else uses up what an attester may say.
    if !service.attester_rates.take(&attester, Instant::now()) {
        service.metrics.throttled.increment();
        let detail = format!("Attester {attester} says more a second than is taken.");
        return Err(Problem::new(ProblemKind::TooManyRequests, detail));
    }
    is_of_journal(service, &body.statement)?;
    let taken = ask(|reply| service.journal.attest(said, reply)).await?;
    match &taken {
        Ok(_) => tracing::info!(%attester, key, "attested"),
        Err(StateError::SaidAlready) => {}
        Err(error) => return Err(refused(chain(error))),
    }
    answer(service, taken.ok())
}

/// Takes what people said of being there. The very same statement again changes nothing.
async fn heartbeat(service: &Service, body: &Statement) -> Result<Answer, Problem> {
    let signatures = body.signatures.concat();
    if signatures.len() > SIGNATURES_MAX_BYTES {
        let detail = format!("they have more than {SIGNATURES_MAX_BYTES} bytes");
        return Err(refused(detail).at("signatures"));
    }
    let wrong = |error: StatementError| refused(chain(&error)).at("statement");
    let said = Heartbeat::parse(&body.statement).map_err(wrong)?;
    said.check(service.journal.origin()).map_err(wrong)?;
    let policy = service.policy()?;
    if policy.heartbeat.is_none() {
        return Err(refused(StateError::NoHeartbeat.to_string()));
    }
    let signed_by = said.signed_by(&signatures, &policy);
    let by = Resumed {
        hash: said.hash(),
        statement: body.statement.clone(),
        signatures,
        signed_by: signed_by.map_err(wrong)?,
    };
    let people = joined(&by.signed_by);
    let taken = ask(|reply| service.journal.heartbeat(by, reply)).await?;
    match &taken {
        Ok(_) => tracing::info!(people, at = %said.at, "people are there"),
        Err(StateError::SaidAlready) => {}
        Err(error) => return Err(refused(chain(error))),
    }
    answer(service, taken.ok())
}

/// With the receipt of the entry, where there is one.
fn answer(service: &Service, entry: Option<u64>) -> Result<Answer, Problem> {
    let receipt = entry.map(|entry| super::receipt_of(service, entry));
    let receipt = receipt.transpose()?;
    Ok(Answer::json(StatusCode::OK, &StatementAnswer { receipt }))
}

/// Looks up what the state does not know: the transaction of an attempt, and the root over some entries.
fn is_of_journal(service: &Service, text: &str) -> Result<(), Problem> {
    let statement = Attestation::parse(text).map_err(|error| refused(chain(&error)))?;
    match &statement.seen {
        Seen::Fate {
            attempt,
            transaction,
            ..
        } => is_transaction(service, *attempt, transaction),
        Seen::Reconciled { size, root } => is_root(service, *size, *root),
        _ => Ok(()),
    }
}

/// Whether the journal has this root over so many entries that are durable.
fn is_root(service: &Service, size: u64, root: Digest) -> Result<(), Problem> {
    let entries = service.journal.tree().head().size;
    if size > entries {
        return Err(refused(chain(&StateError::NoEntries { size, entries })));
    }
    match *super::log::root(service, size)?.as_bytes() == root.0 {
        true => Ok(()),
        false => Err(refused(chain(&StateError::OtherRoot { size }))),
    }
}

/// Whether an attempt was signed as this transaction. Where the body that says so was pruned, the fingerprint of
/// the request says enough, which the state knows for ever.
fn is_transaction(
    service: &Service,
    attempt: AttemptId,
    transaction: &TransactionId,
) -> Result<(), Problem> {
    let known = service.journal.rows().attempt(attempt);
    let known = known.map_err(|error| unreadable(&chain(&error)))?;
    let known = known.ok_or_else(|| refused(chain(&StateError::UnknownAttempt { attempt })))?;
    let RequestStatus::Signed { index } = known.status() else {
        return Err(refused(chain(&StateError::NotSigned { attempt })));
    };
    match service.journal.signed_at(index) {
        Ok(signed) if signed.txid == transaction.as_str() => Ok(()),
        Ok(_) => Err(refused(format!(
            "attempt {attempt} was signed as another transaction"
        ))),
        Err(EntryError::Read(read)) if read.is_pruned() => Ok(()),
        Err(error) => Err(unreadable(&chain(&error))),
    }
}

fn refused(why: String) -> Problem {
    Problem::new(ProblemKind::StatementRefused, format!("{why}."))
}

fn unreadable(why: &str) -> Problem {
    Problem::new(ProblemKind::Internal, format!("{why}."))
}
