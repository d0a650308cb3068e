//! What a person says something of: an intent, or a transaction that pays none.

use std::collections::BTreeMap;

use api::intents::{IntentAnswer, IntentNeed};
use api::signing::Statement;
use api::transactions::TransactionAnswer;
use policy::approval::{Approval, Says, TransactionApproval};
use policy::{Policy, ProposedTransaction};
use tx::{IntentId, Name, PublicKey};

use super::error::ApproveError;
use crate::client::{Signer, SignerError};

/// What it is about, as the signer shows it.
pub enum About {
    /// An intent.
    Intent(Box<IntentAnswer>),
    /// A transaction that pays none.
    Transaction(Box<TransactionAnswer>),
}

/// Which of it is asked for.
pub enum Asked {
    /// An intent, by its id.
    Intent(IntentId),
    /// A transaction, by the entry that registered it.
    Transaction(u64),
}

/// What a text says, as far as it has to be known to render it.
pub struct Said {
    says: Says,
    need: String,
    rejected_before: u64,
    rendered: Option<String>,
}

impl Asked {
    /// How it stands, as the signer says.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn ask(&self, signer: &Signer) -> Result<About, SignerError> {
        Ok(match self {
            Self::Intent(id) => About::Intent(Box::new(signer.intent(id)?)),
            Self::Transaction(entry) => About::Transaction(Box::new(signer.transaction(*entry)?)),
        })
    }

    /// Brings what a person said, and asks how it stands then.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn send(&self, signer: &Signer, statement: &Statement) -> Result<About, SignerError> {
        Ok(match self {
            Self::Intent(id) => About::Intent(Box::new(signer.approve(id, statement)?)),
            Self::Transaction(entry) => {
                let stands = signer.approve_transaction(*entry, statement)?;
                About::Transaction(Box::new(stands))
            }
        })
    }

    /// The namespace of the signatures.
    pub fn namespace(&self) -> &'static str {
        match self {
            Self::Intent(_) => Approval::NAMESPACE,
            Self::Transaction(_) => TransactionApproval::NAMESPACE,
        }
    }
}

impl About {
    /// Whether it is what was asked for, by its own content.
    pub fn is(&self, asked: &Asked) -> bool {
        match (self, asked) {
            (Self::Intent(answer), Asked::Intent(id)) => {
                answer.intent.id == *id && answer.intent.payload() == answer.payload
            }
            (Self::Transaction(answer), Asked::Transaction(entry)) => {
                let digest = proposed(answer).map(|proposed| proposed.digest().to_string());
                answer.entry == *entry && digest.as_ref() == Some(&answer.digest)
            }
            _ => false,
        }
    }

    /// The bundle that governs the signer.
    pub fn policy(&self) -> &str {
        match self {
            Self::Intent(answer) => &answer.policy,
            Self::Transaction(answer) => &answer.policy,
        }
    }

    /// The needs that may ask for people.
    pub fn needs(&self) -> &[IntentNeed] {
        match self {
            Self::Intent(answer) => &answer.needs,
            Self::Transaction(answer) => &answer.needs,
        }
    }

    /// As [`About::needs`], by value.
    pub fn into_needs(self) -> Vec<IntentNeed> {
        match self {
            Self::Intent(answer) => answer.needs,
            Self::Transaction(answer) => answer.needs,
        }
    }

    fn rejected(&self) -> u64 {
        match self {
            Self::Intent(answer) => answer.rejected,
            Self::Transaction(answer) => answer.rejected,
        }
    }

    /// What a text says of it, and the text that is rendered here of the same.
    ///
    /// # Errors
    /// [`ApproveError`] for a text that is none, and for a transaction that is not understood here.
    pub fn said(&self, shown: &str, policy: &Policy) -> Result<Said, ApproveError> {
        match self {
            Self::Intent(answer) => {
                let said = Approval::parse(shown).map_err(ApproveError::Text)?;
                Ok(Said {
                    says: said.says,
                    need: said.need.to_string(),
                    rejected_before: said.rejected_before,
                    rendered: said.text(policy, &answer.intent),
                })
            }
            Self::Transaction(answer) => {
                let said = TransactionApproval::parse(shown).map_err(ApproveError::Text)?;
                Ok(Said {
                    says: said.says,
                    need: said.need.to_string(),
                    rejected_before: said.rejected_before,
                    rendered: rendered(answer, &said, policy)?,
                })
            }
        }
    }

    /// Whether a text says so of this for the need, as it stands.
    pub fn is_answered(&self, said: &Said, says: Says, need: &IntentNeed) -> bool {
        let of_need = need.fingerprint == said.need;
        of_need && said.says == says && said.rejected_before == self.rejected()
    }
}

impl Said {
    /// The text that was rendered here, if it is the one that is shown.
    pub fn rendered(self, shown: &str) -> Option<String> {
        self.rendered.filter(|rendered| rendered == shown)
    }
}

/// The transaction is decoded here, by the bundle that was verified here. Which public key a name of the bundle
/// stands for is the journal's word.
fn rendered(
    answer: &TransactionAnswer,
    said: &TransactionApproval,
    policy: &Policy,
) -> Result<Option<String>, ApproveError> {
    let keys = answer.keys.iter();
    let keys = keys.filter_map(|key| Some((key.name.parse().ok()?, key.public)));
    let keys: BTreeMap<Name, PublicKey> = keys.collect();
    let registry = policy.registry(&keys).map_err(ApproveError::Registry)?;
    let rules = policy.chain_rules(answer.transaction.chain());
    let understood = tx::decode(&answer.transaction, &registry, rules)
        .map_err(|refusal| ApproveError::Transaction(Box::new(refusal)))?;
    let proposed = proposed(answer).ok_or(ApproveError::OtherTransaction)?;
    Ok(said.text(policy, (answer.entry, &proposed), &understood))
}

fn proposed(answer: &TransactionAnswer) -> Option<ProposedTransaction> {
    Some(ProposedTransaction {
        client: answer.client.parse().ok()?,
        request: answer.request_id.parse().ok()?,
        transaction: answer.transaction.clone(),
        expires: answer.expires,
    })
}
