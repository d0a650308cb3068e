//! What `sign` answers.

use std::fmt;
use std::path::PathBuf;

use api::receipt::Decision;
use api::signing::{EvaluateAnswer, LimitRoom, Receipt, SignAnswer};
use serde::Serialize;
use tx::{Chain, Effect, Interval, Name, SignedTransaction};

use crate::client::plain;

/// The answer of `sign`. `tx broadcast` reads its JSON.
#[derive(Debug, Serialize)]
pub struct Signed {
    request_id: String,
    attempt: u64,
    transaction: SignedTransaction,
    decision: Decided,
    receipt: Receipt,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

/// What the receipt says, checked against the request.
#[derive(Debug, Serialize)]
struct Decided {
    client: Name,
    account: Name,
    chain: Chain,
    time: Interval,
    effects: Vec<Effect>,
    allowed_by: Vec<Name>,
    policy: String,
    digests: Vec<String>,
    leaf: String,
}

impl Signed {
    /// A checked answer, and where it was written.
    pub fn new(answer: SignAnswer, decision: Decision, file: Option<PathBuf>) -> Self {
        Self {
            request_id: answer.request_id,
            attempt: answer.attempt,
            transaction: answer.transaction,
            decision: Decided {
                client: decision.client,
                account: decision.account,
                chain: decision.chain,
                time: decision.time,
                effects: decision.effects,
                allowed_by: decision.allowed_by,
                policy: decision.policy,
                digests: decision.digests,
                leaf: hex::encode(decision.leaf),
            },
            receipt: answer.receipt,
            file,
        }
    }
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "signed {}", plain(&self.transaction.txid))?;
        writeln!(f, "  chain       {}", self.decision.chain)?;
        writeln!(f, "  attempt     {}", self.attempt)?;
        writeln!(f, "  client      {}", self.decision.client)?;
        for effect in &self.decision.effects {
            writeln!(f, "  does        {}", effect_text(effect))?;
        }
        let allowed: Vec<_> = self.decision.allowed_by.iter().map(Name::as_str).collect();
        writeln!(f, "  allowed by  {}", allowed.join(", "))?;
        writeln!(f, "  policy      {}", plain(&self.decision.policy))?;
        writeln!(f, "  decided     {}", self.decision.time.hi)?;
        writeln!(
            f,
            "  receipt     of this request, leaf {}",
            self.decision.leaf
        )?;
        let inclusion = match &self.receipt.inclusion {
            Some(_) => "a proof is there and was not checked",
            None => "not proved yet",
        };
        writeln!(f, "  in the log  {inclusion}")?;
        match &self.file {
            Some(file) => writeln!(f, "  file        {}", file.display()),
            None => writeln!(f, "{}", plain(&self.transaction.raw)),
        }
    }
}

/// The answer of `sign --evaluate`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Evaluated(EvaluateAnswer);

impl Evaluated {
    /// What the signer would do.
    pub fn new(answer: EvaluateAnswer) -> Self {
        Self(answer)
    }
}

impl fmt::Display for Evaluated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "would be signed now")?;
        for covered in &self.0.effects {
            writeln!(f, "  does        {}", effect_text(&covered.effect))?;
            let by = plain(&covered.allowed_by.join(", "));
            writeln!(
                f,
                "  allowed by  {}",
                if by.is_empty() {
                    "what is built in"
                } else {
                    &by
                }
            )?;
        }
        for LimitRoom {
            limit,
            group,
            cap,
            left,
            ..
        } in &self.0.limits
        {
            let group = plain(&group.join(", "));
            let open = if group.is_empty() { "" } else { " for " };
            writeln!(
                f,
                "  left after  {left} of {cap} in {}{open}{group}",
                plain(limit)
            )?;
        }
        Ok(())
    }
}

/// An effect in a line.
pub fn effect_text(effect: &Effect) -> String {
    let kind = serde_json::to_value(effect.kind).ok();
    let kind = kind
        .as_ref()
        .and_then(|kind| kind.as_str())
        .unwrap_or_default();
    let Effect {
        account,
        asset,
        amount,
        to,
        call,
        ..
    } = effect;
    let call = call
        .as_ref()
        .map_or(String::new(), |call| format!(": {call}"));
    match to {
        Some(to) => format!(
            "{kind} {amount} {asset} from {account} to {}{call}",
            to.address
        ),
        None => format!("{kind} {amount} {asset} from {account}"),
    }
}
