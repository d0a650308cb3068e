//! `sign --register`: what a request pays, or the transaction itself, is put before people.

use std::fmt;

use api::intents::{IntentAnswer, IntentNeed};
use api::signing::{SignRequest, SignedIntent};
use api::transactions::{TransactionAnswer, TransactionRequest};
use serde::Serialize;
use tx::{IntentId, Time};

use crate::client::{Signer, SignerError, plain};
use crate::failure::Failure;
use crate::now::now;
use crate::output::Answer;

/// How long approvals of a transaction may hold, where nothing else is said.
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// The answer of `sign --register`.
#[derive(Debug, Serialize)]
struct Registered {
    registered: Vec<Waits>,
}

/// What waits for people.
#[derive(Debug, Serialize)]
struct Waits {
    /// What `strongroom approve` is given to name it: an intent, or an entry.
    #[serde(flatten)]
    what: What,
    expires: Time,
    needs: Vec<IntentNeed>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Intent(IntentId),
    Transaction(u64),
}

/// Registers the intents of the request, or its transaction where it pays none.
///
/// # Errors
/// [`SignerError`]: the problem `intent-refused` or `transaction-refused` where nobody is asked about it, too.
pub fn run(signer: &Signer, request: &SignRequest, until: Option<Time>) -> Result<Answer, Failure> {
    let registered = if request.intents.is_empty() {
        let asked = TransactionRequest {
            request_id: request.request_id.clone(),
            transaction: request.transaction.clone(),
            expires: until.unwrap_or_else(|| now().after_millis(DAY_MILLIS)),
        };
        vec![Waits::of_transaction(signer.register_transaction(&asked)?)]
    } else {
        let register = |intent: &SignedIntent| signer.register(intent).map(Waits::of_intent);
        let registered = request.intents.iter().map(register);
        registered.collect::<Result<_, SignerError>>()?
    };
    Answer::done(&Registered { registered })
}

impl Waits {
    fn of_intent(answer: IntentAnswer) -> Self {
        Self {
            expires: answer.intent.expires,
            what: What::Intent(answer.intent.id),
            needs: answer.needs,
        }
    }

    fn of_transaction(answer: TransactionAnswer) -> Self {
        Self {
            expires: answer.expires,
            what: What::Transaction(answer.entry),
            needs: answer.needs,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intent(id) => write!(f, "{id}"),
            Self::Transaction(entry) => write!(f, "--transaction {entry}"),
        }
    }
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Waits {
            what,
            expires,
            needs,
        } in &self.registered
        {
            writeln!(f, "waits for people, until {expires}")?;
            for need in needs {
                let by = plain(&need.asked_by.join(", "));
                let (threshold, people) = (need.threshold, plain(&need.people.join(", ")));
                writeln!(f, "  asked by    {by}: {threshold} of {people}")?;
            }
            writeln!(f, "  approve     strongroom approve {what}")?;
        }
        Ok(())
    }
}
