//! `POST /v1/sign`: understand, evaluate, commit, sign, record; what waits for witnesses on the way, and what is to
//! be answered, does so in [`crate::release`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use api::{
    problem::{Problem, ProblemKind},
    server::Answer,
    signing::{SignAnswer, SignRequest},
};
use hyper::StatusCode;
use journal::{Committed, Release, SignOrder, SignOutcome, StoredEntry};
use keys::{Authorized, SignError, Signature};
use policy::{AttemptId, Blob, Digest, RequestStatus, SignatureRecord, Signed};
use tx::{Decoded, KeySignature, Name, SignedTransaction};

use super::{
    Record,
    evaluate::{pending, refuse},
    receipt,
    requests::{signed_transaction, unreadable},
    understand,
};
use crate::{
    release::{Unreleased, cleared},
    service::{Service, ask},
};

/// How often the calls of one attempt are made within one request.
const TRIES: u32 = 3;
/// How long a request whose charge stands waits for a device to come back.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a request is decoded again because the policy changed under it.
const DECODES: u32 = 4;

/// Signs a request. What was begun is ended even when the client goes away.
///
/// # Errors
/// A problem: the refusal, or why nothing is signed now.
pub async fn sign(
    service: Arc<Service>,
    client: Name,
    request: SignRequest,
) -> Result<Unreleased, Problem> {
    let task = tokio::spawn(async move { carry_out(&service, &client, &request).await });
    task.await.unwrap_or_else(|_| {
        Err(Problem::new(
            ProblemKind::Internal,
            "The request was not carried to its end.",
        ))
    })
}

async fn carry_out(
    service: &Service,
    client: &Name,
    request: &SignRequest,
) -> Result<Unreleased, Problem> {
    let began = Instant::now();
    let mut tries = 0u32;
    loop {
        tries = tries.saturating_add(1);
        match decide(service, client, request).await? {
            Decided::Answered(answer) => return Ok(answer),
            Decided::Order {
                order,
                decoded,
                decision,
            } => {
                let attempt = order.value().attempt();
                match make(service, order, decoded).await? {
                    Made::Signed(transaction) => {
                        service.metrics.signed.increment();
                        service.metrics.sign_seconds.observe(began.elapsed());
                        return answer(service, request, attempt, transaction, decision);
                    }
                    // The charge stands: the same attempt is finished, or its end is not known yet.
                    Made::Failed { again: true } if tries < TRIES => {
                        service.device_back(PATIENCE).await;
                    }
                    Made::Failed { .. } => return Err(outcome_unknown(attempt)),
                }
            }
        }
    }
}

fn outcome_unknown(attempt: AttemptId) -> Problem {
    Problem::new(
        ProblemKind::OutcomeUnknown,
        format!(
            "Attempt {attempt} is charged and the device gave no usable answer. Ask again with the \
             same request id; within 60 seconds that charges nothing further."
        ),
    )
}

/// What came of evaluating and committing.
enum Decided {
    Answered(Unreleased),
    Order {
        order: Committed<SignOrder>,
        decoded: Box<Decoded>,
        decision: Option<StoredEntry>,
    },
}

async fn decide(
    service: &Service,
    client: &Name,
    request: &SignRequest,
) -> Result<Decided, Problem> {
    for _ in 0..DECODES {
        require_device(service, client, request)?;
        let command = understand(service, client, request, Record::Journal).await?;
        match ask(|reply| service.journal.sign(command, reply)).await? {
            SignOutcome::Moved => {}
            outcome => return decided(service, request, outcome),
        }
    }
    Err(Problem::new(
        ProblemKind::Busy,
        "The policy changes faster than requests are decided.",
    ))
}

/// Without a device a new request is refused before it is charged. One that is signed already
/// needs none, and of one that is charged it is said that its charge stands.
fn require_device(service: &Service, client: &Name, request: &SignRequest) -> Result<(), Problem> {
    if service.device_ready() {
        return Ok(());
    }
    let known = request.request_id.parse().ok().and_then(|id| {
        // What cannot be read is not known to be signed.
        service.journal.rows().request(client, &id).ok().flatten()
    });
    match known {
        Some(known) if matches!(known.status, RequestStatus::Signed { .. }) => return Ok(()),
        Some(known) => return Err(outcome_unknown(known.attempt)),
        None => {}
    }
    service.metrics.no_device.increment();
    let problem = Problem::new(
        ProblemKind::NoDevice,
        format!(
            "{} Nothing was charged for this request.",
            service.why_no_device()
        ),
    );
    Err(problem.again_in(service.device_again_secs()))
}

fn decided(
    service: &Service,
    request: &SignRequest,
    outcome: SignOutcome,
) -> Result<Decided, Problem> {
    let problem = |kind, detail: &str| Err(Problem::new(kind, detail));
    match outcome {
        SignOutcome::Order {
            order,
            decoded,
            decision,
        } => Ok(Decided::Order {
            order,
            decoded,
            decision,
        }),
        SignOutcome::Replay { attempt, signed } => {
            service.metrics.replayed.increment();
            let transaction = signed_transaction(service, signed)?;
            answer(service, request, attempt, transaction, None).map(Decided::Answered)
        }
        SignOutcome::Pending(needs) => {
            service.metrics.pending.increment();
            let answer = pending(request, &needs);
            Ok(Decided::Answered(Unreleased::free(answer)))
        }
        SignOutcome::Refused(refusal) => {
            service.metrics.refused.increment();
            Err(refuse(&refusal))
        }
        SignOutcome::Reused { first } => {
            let id = &request.request_id;
            let detail = format!("Request {id} was made before with another content, {first}.");
            Err(Problem::new(ProblemKind::RequestReused, detail))
        }
        SignOutcome::InProgress => problem(
            ProblemKind::InProgress,
            "The same request is being carried out by an earlier call; ask again in a moment.",
        ),
        SignOutcome::Withheld => problem(
            ProblemKind::Withheld,
            "The transaction is signed and withheld by a freeze.",
        ),
        SignOutcome::Moved => problem(ProblemKind::Busy, "The policy has just changed; try again."),
    }
}

/// What came of the calls.
enum Made {
    Signed(SignedTransaction),
    Failed { again: bool },
}

/// Makes the calls of an order, assembles, and records.
async fn make(
    service: &Service,
    order: Committed<SignOrder>,
    decoded: Box<Decoded>,
) -> Result<Made, Problem> {
    let attempt = order.value().attempt();
    let order = match cleared(service, order).await {
        Ok(order) => order,
        Err(problem) => {
            let reason = format!("no device was asked: {}", problem.detail);
            ask_failed(service, attempt, reason).await?;
            return Err(problem);
        }
    };
    // Of the bundle by which it was decided, or of a later one.
    service.name_devices();
    let signatures = match service.pool.sign(Authorized::from_order(order)).await {
        Ok(signatures) => signatures,
        Err(error) => return failed(service, attempt, &error).await,
    };
    let values: Vec<_> = signatures
        .iter()
        .filter_map(Signature::of_transaction)
        .collect();
    let transaction = match tx::assemble(*decoded, &values[..]) {
        Ok(transaction) => transaction,
        Err(refusal) => {
            let reason = format!("the transaction could not be assembled: {refusal}");
            ask_failed(service, attempt, reason).await?;
            return Ok(Made::Failed { again: false });
        }
    };
    let signed = Signed {
        attempt,
        signatures: signatures.iter().filter_map(signature_record).collect(),
        txid: transaction.txid.clone(),
        raw: Blob::Inline(transaction.raw.clone()),
    };
    let recorded = ask(|reply| {
        service.journal.signed(signed, reply);
        Ok(())
    });
    match recorded.await? {
        Release::Released => Ok(Made::Signed(transaction)),
        Release::Withheld => Err(Problem::new(
            ProblemKind::Withheld,
            "A freeze withholds what was just signed.",
        )),
        // Evaluated and charged anew, in the same set.
        Release::TooLate => Ok(Made::Failed { again: true }),
        Release::Repeated => {
            tracing::error!(%attempt, "a signature has the r of another one: its key is frozen");
            service.metrics.calls_failed.increment();
            Ok(Made::Failed { again: false })
        }
    }
}

fn signature_record(signature: &Signature) -> Option<SignatureRecord> {
    let value = signature.of_transaction()?;
    Some(SignatureRecord {
        call: signature.call(),
        r: Digest(*value.r()),
        s: Digest(*value.s()),
        recovery_id: match value {
            KeySignature::Ecdsa(value) => Some(value.recovery_id),
            KeySignature::Bip340(_) => None,
        },
    })
}

async fn failed(service: &Service, attempt: AttemptId, error: &SignError) -> Result<Made, Problem> {
    service.metrics.calls_failed.increment();
    let reason = crate::log::chain(error);
    tracing::warn!(%attempt, error = %reason, "the calls of an attempt failed");
    ask_failed(service, attempt, reason).await?;
    Ok(Made::Failed {
        again: !matches!(error, SignError::BadSignature { .. }),
    })
}

async fn ask_failed(service: &Service, attempt: AttemptId, reason: String) -> Result<(), Problem> {
    ask(|reply| {
        service.journal.failed(attempt, reason, reply);
        Ok(())
    })
    .await
}

/// The answer is made of what is durable alone, so that it is the same each time.
fn answer(
    service: &Service,
    request: &SignRequest,
    attempt: AttemptId,
    transaction: SignedTransaction,
    decision: Option<StoredEntry>,
) -> Result<Unreleased, Problem> {
    let decision = match decision {
        Some(decision) => decision,
        None => service.journal.record(attempt.0).map_err(unreadable)?.1,
    };
    let receipt = receipt(service, attempt.0, decision)?;
    let answer = SignAnswer {
        request_id: request.request_id.clone(),
        attempt: attempt.0,
        transaction,
        receipt,
    };
    let answer = Answer::json(StatusCode::OK, &answer);
    Ok(Unreleased::signed(answer, attempt))
}
