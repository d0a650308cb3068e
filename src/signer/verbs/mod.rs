//! The verbs of the API.

pub mod bodies;
pub mod evaluate;
pub mod governance;
pub mod intents;
pub mod keys;
pub mod log;
pub mod requests;
pub mod sign;
pub mod standing;
pub mod statements;
pub mod transactions;

use std::sync::Arc;

use api::{
    problem::{Problem, ProblemKind},
    signing::{Receipt, SignRequest},
};
use journal::{SignCommand, StoredEntry};
use policy::{Reason, ReasonCode, Refused};
use tx::Name;

use crate::{
    service::{Service, ask},
    wire,
};

/// A request whose transaction was understood, under the registry of the moment.
///
/// # Errors
/// A problem; a transaction that was not understood is journalled as a refusal, where `verb`
/// changes state.
async fn understand(
    service: &Service,
    client: &Name,
    wire: &SignRequest,
    record: Record,
) -> Result<SignCommand, Problem> {
    let (request, transaction) = wire::request(client, wire)?;
    let (policy, registry) = {
        let state = service.journal.state();
        let policy = Arc::clone(state.policy().ok_or_else(no_policy)?);
        (policy, state.registry())
    };
    let (basis, rules) = (policy.hash, policy.chain_rules(wire.transaction.chain()));
    match tx::decode(&wire.transaction, &registry, rules) {
        Ok(decoded) => Ok(SignCommand {
            decoded,
            basis,
            request,
            transaction,
        }),
        Err(refusal) => {
            let reason = not_understood(&refusal);
            service.metrics.refused.increment();
            if record == Record::Journal {
                let refused =
                    Refused::new(&request, basis, vec![reason.clone()], Default::default());
                ask(|reply| service.journal.refuse(refused, reply)).await?;
            }
            Err(Problem::new(ProblemKind::Refused, reason.detail.clone())
                .with(vec![wire::reason(&reason)], Vec::new()))
        }
    }
}

/// Whether a refusal is journalled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Record {
    Journal,
    Nothing,
}

/// The proof of what the entry at `index` says.
fn receipt_of(service: &Service, index: u64) -> Result<Receipt, Problem> {
    let entry = service.journal.bodies().entry(index);
    let entry = entry.map_err(|error| {
        Problem::new(
            ProblemKind::Internal,
            format!("{}.", crate::log::chain(&error)),
        )
    })?;
    receipt(service, index, entry)
}

/// The proof of a decision, made of what is durable alone.
fn receipt(service: &Service, entry: u64, decision: StoredEntry) -> Result<Receipt, Problem> {
    let body = String::from_utf8(decision.body)
        .map_err(|_| Problem::new(ProblemKind::Internal, "A journal entry is not UTF-8."))?;
    Ok(Receipt {
        version: 1,
        log: hex::encode(service.journal.bodies().log_id()),
        entry,
        salt: hex::encode(decision.salt),
        body,
        inclusion: None,
    })
}

fn no_policy() -> Problem {
    Problem::new(ProblemKind::Sealed, "No policy governs yet.")
}

fn not_understood(refusal: &tx::Refusal) -> Reason {
    let cause = std::error::Error::source(refusal)
        .map(ToString::to_string)
        .unwrap_or_default();
    Reason {
        code: ReasonCode::Transaction,
        statement: None,
        at: None,
        detail: format!("{}: {cause}", refusal.code()),
        remedy: "Send a transaction of a form that the signer understands to the last byte; \
                 SECURITY.md lists the codes."
            .into(),
    }
}
