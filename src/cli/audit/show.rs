//! Entries in words.

use std::fmt;

use api::journal::JournalBody;
use policy::statement::{Attestation, Fate, Seen};
use policy::{
    Attempt, Attested, BundleQuorum, Entry, Fact, NumberedDigest, PolicyProposed, Reason, Record,
    Refused, Resumed, TransactionRegistered, approval::Says,
};
use serde::Serialize;
use tx::{Effect, EffectKind};

use super::error::AuditError;
use crate::client::plain;

/// An entry, to be shown.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    entry: u64,
    commitment: String,
    /// Absent where a freeze holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Record>,
}

impl Shown {
    /// Reads what an entry says.
    ///
    /// # Errors
    /// [`AuditError::Answer`] when it is no record that is known here.
    pub fn of(body: JournalBody) -> Result<Self, AuditError> {
        let record = body.opening.map(|opening| {
            serde_json::from_str(&opening.body).map_err(|error| AuditError::Answer {
                reason: format!("entry {}: {error}", body.entry),
            })
        });
        Ok(Self {
            entry: body.entry,
            commitment: body.commitment,
            record: record.transpose()?,
        })
    }

    /// In one line.
    pub fn line(&self) -> String {
        match &self.record {
            None => format!("{:>8}  withheld by a freeze", self.entry),
            Some(record) => format!(
                "{:>8}  {:<24}  {}",
                self.entry,
                record.time.lo.to_string(),
                plain(&summary(&record.entry))
            ),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "entry       {}", self.entry)?;
        writeln!(f, "commitment  {}", plain(&self.commitment))?;
        let Some(record) = &self.record else {
            return writeln!(f, "withheld    signatures that a freeze holds do not leave");
        };
        writeln!(f, "time        {} to {}", record.time.lo, record.time.hi)?;
        writeln!(f, "what        {}", plain(&summary(&record.entry)))?;
        for (field, said) in details(&record.entry) {
            writeln!(f, "{field:<11} {}", plain(&said))?;
        }
        Ok(())
    }
}

/// What an entry says, in a line.
pub fn summary(entry: &Entry) -> String {
    match entry {
        Entry::Genesis { fleet } => format!("genesis: the log of fleet {fleet} begins"),
        Entry::Started { version, .. } => format!("started: signerd {version}"),
        Entry::Stopped { reason } => format!("stopped: {reason}"),
        Entry::PolicyActivated { hash, sequence, .. } => {
            format!("policy: bundle {sequence} governs ({hash})")
        }
        Entry::PolicyRefused { reason } => format!("policy refused: {reason}"),
        Entry::KeyRegistered(key) => {
            format!(
                "key: {} ({}, {}) is ours",
                key.name, key.purpose, key.algorithm
            )
        }
        Entry::Attempt(attempt) => format!(
            "authorised: request {} of {}: {}",
            attempt.request,
            attempt.client,
            outward(attempt)
        ),
        Entry::Call { attempt, calls } => {
            format!("calls: {} more for attempt {attempt}", calls.len())
        }
        Entry::Signed(signed) => format!("signed: attempt {}: {}", signed.attempt, signed.txid),
        Entry::Failed { attempt, reason } => format!("not signed: attempt {attempt}: {reason}"),
        Entry::Refused(refused) => format!("{}: {}", verdict(refused), first_reason(refused)),
        Entry::RefusedMany(many) => {
            format!(
                "refused: {} more requests of {}: {}",
                many.count, many.client, many.first
            )
        }
        Entry::Frozen { scope, reason } => format!("frozen: {scope}: {reason}"),
        Entry::Resumed(resumed) => format!(
            "resumed: the signer was sealed, and {} let it go on",
            joined(&resumed.signed_by)
        ),
        Entry::EpochBegan(began) => format!(
            "epoch: the signer was sealed or had lost its journal, and {} began a new epoch",
            joined(&began.signed_by)
        ),
        Entry::Pruned(pruned) => format!(
            "pruned: the bodies of the first {} entries, by {}",
            pruned.before,
            joined(&pruned.by.signed_by)
        ),
        Entry::TimeCredited { by, millis } => format!(
            "clock: the earliest time was moved on by {millis} ms, as {} signed",
            by.as_str()
        ),
        Entry::ClockJump { millis } => format!("clock: the wall clock jumped by {millis} ms"),
        Entry::SelfTest { calls } => format!("self-test: {} calls", calls.len()),
        Entry::Checkpoint(said) => format!("checkpoint: {} entries, root {}", said.size, said.root),
        Entry::StateRoot(said) => {
            format!("state: root {} after {} entries", said.hash, said.covers)
        }
        other => of_officers(other),
    }
}

/// The same of what officers decided.
fn of_officers(entry: &Entry) -> String {
    match entry {
        Entry::PolicyProposed(proposed) => waits(proposed),
        Entry::PolicyVetoed(vetoed) => format!(
            "policy vetoed: {} kept bundle {} from governing",
            joined(&vetoed.by.signed_by),
            vetoed.bundle
        ),
        Entry::BookLoaded(loaded) => format!(
            "book: {} has content {} of {} addresses, signed by {}, cooling until {}",
            loaded.book,
            loaded.sequence,
            loaded.addresses,
            joined(&loaded.by.signed_by),
            loaded.not_before
        ),
        Entry::BookCooled { book, sequence } => {
            format!("book: content {sequence} of {book} has cooled")
        }
        Entry::BookVetoed(vetoed) => format!(
            "book vetoed: {} kept content {} of {} from cooling",
            joined(&vetoed.by.signed_by),
            vetoed.sequence,
            vetoed.book
        ),
        Entry::FrozenBy(frozen) => format!(
            "frozen: {}: {} said so",
            frozen.scope,
            joined(&frozen.by.signed_by)
        ),
        Entry::Unfrozen(unfrozen) => format!(
            "un-frozen: {} from {}: {} said so",
            unfrozen.scope,
            unfrozen.from,
            joined(&unfrozen.by.signed_by)
        ),
        Entry::IntentRegistered(registered) => format!(
            "intent: {} of {} is registered for people to approve",
            registered.signed.intent.id, registered.client
        ),
        Entry::IntentDecided(decided) => format!(
            "{}: intent {}: {} said so{}",
            match decided.says {
                Says::Approve => "approved",
                Says::Reject => "rejected",
            },
            decided.intent,
            joined(decided.signed_by.keys()),
            if decided.closes { ", for ever" } else { "" }
        ),
        Entry::TransactionRegistered(registered) => format!(
            "transaction: request {} of {} is registered for people to approve",
            registered.proposed.request, registered.proposed.client
        ),
        Entry::TransactionDecided(decided) => format!(
            "{}: the transaction of entry {}: {} said so{}",
            match decided.says {
                Says::Approve => "approved",
                Says::Reject => "rejected",
            },
            decided.transaction,
            joined(decided.signed_by.keys()),
            if decided.closes { ", for good" } else { "" }
        ),
        Entry::Attested(said) => attested(said),
        Entry::Heartbeat(by) => format!("heartbeat: {} said so", joined(&by.signed_by)),
        other => named(other),
    }
}

fn waits(proposed: &PolicyProposed) -> String {
    format!(
        "policy proposed: bundle {} waits until {} ({}){}",
        proposed.sequence,
        proposed.not_before,
        proposed.hash,
        match proposed.quorum {
            BundleQuorum::Officers => "",
            BundleQuorum::Recovery => ", by the recovery set",
        }
    )
}

/// What an attester said, as far as it is read.
fn attested(said: &Attested) -> String {
    let seen = match Attestation::parse(&said.statement).map(|one| one.seen) {
        Ok(Seen::Price {
            asset,
            currency,
            price,
        }) => format!("{asset} is worth {price} {currency}: "),
        Ok(Seen::Final { account, next }) => format!("what {account} sent below {next} is final: "),
        Ok(Seen::Fate {
            attempt,
            transaction,
            fate,
            ..
        }) => {
            let became = match fate {
                Fate::Final => "is final",
                Fate::Dead => "can never be included",
            };
            format!("attempt {attempt}, transaction {transaction}, {became}: ")
        }
        Ok(Seen::Head { chain, height }) => format!("{chain} has height {height}: "),
        Ok(Seen::Reconciled { size, root }) => {
            format!("the first {size} entries, root {root}, agree with the chains: ")
        }
        Ok(Seen::Time) => "it is at least so late: ".to_owned(),
        _ => String::new(),
    };
    format!("attested: {seen}{} said so", said.attester)
}

/// A kind of entry that has no words here yet.
fn named(entry: &Entry) -> String {
    serde_json::to_string(entry).unwrap_or_default()
}

/// The payments, or what else it does.
fn outward(attempt: &Attempt) -> String {
    let effects = attempt.facts.iter().map(|fact| &fact.effect);
    let outward = effects.clone().filter(|effect| effect.kind.is_outward());
    let mut told: Vec<String> = outward.map(effect).collect();
    if told.is_empty() {
        told = effects.map(effect).collect();
    }
    told.join("; ")
}

/// An effect in words, in base units.
fn effect(effect: &Effect) -> String {
    let mut text = format!("{} {} {}", kind(effect.kind), effect.amount, effect.asset);
    if let Some(to) = &effect.to {
        text.push_str(&format!(" to {}", to.address));
    }
    if let Some(tag) = &effect.tag {
        text.push_str(&format!(" tag {tag:?}"));
    }
    if let Some(call) = &effect.call {
        text.push_str(&format!(": {call}"));
    }
    text
}

/// The one spelling of a kind of effect, its serde form.
pub fn kind(kind: EffectKind) -> String {
    let value = serde_json::to_value(kind).ok();
    let word = value.as_ref().and_then(serde_json::Value::as_str);
    word.unwrap_or_default().to_owned()
}

fn verdict(refused: &Refused) -> String {
    let word = if refused.reasons.is_empty() {
        "waits for people"
    } else {
        "refused"
    };
    format!("{word}: request {} of {}", refused.request, refused.client)
}

fn first_reason(refused: &Refused) -> String {
    match refused.reasons.first() {
        Some(reason) => reason.detail.clone(),
        None => joined(refused.needs.iter()),
    }
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

fn of_statement(by: &Resumed) -> Vec<(&'static str, String)> {
    lines(&by.statement)
}

fn registered_transaction(registered: &TransactionRegistered) -> Vec<(&'static str, String)> {
    let effects = registered.effects.iter().map(|effect| {
        let (kind, amount, asset) = (effect.kind.as_str(), effect.amount, &effect.asset);
        let to = effect.to.as_ref().map(|to| format!(" to {}", to.address));
        let call = effect.call.as_ref().map(|call| format!(": {call}"));
        let (to, call) = (to.unwrap_or_default(), call.unwrap_or_default());
        ("effect", format!("{kind} of {amount} {asset}{to}{call}"))
    });
    let transaction = [
        ("digest", registered.digest.to_string()),
        ("expires", registered.proposed.expires.to_string()),
    ];
    transaction.into_iter().chain(effects).collect()
}

fn lines(statement: &str) -> Vec<(&'static str, String)> {
    let lines = statement.lines();
    lines.map(|line| ("statement", line.to_owned())).collect()
}

/// What else there is to know, each with its name.
fn details(entry: &Entry) -> Vec<(&'static str, String)> {
    match entry {
        Entry::Started {
            cut_bytes, boot_id, ..
        } => {
            vec![
                ("cut bytes", cut_bytes.to_string()),
                ("boot", boot_id.clone()),
            ]
        }
        Entry::PolicyActivated { signed_by, .. } => vec![("signed by", joined(signed_by))],
        Entry::PolicyProposed(proposed) => vec![("signed by", joined(&proposed.signed_by))],
        Entry::PolicyVetoed(vetoed) => of_statement(&vetoed.by),
        Entry::BookLoaded(loaded) => of_statement(&loaded.by),
        Entry::BookVetoed(vetoed) => of_statement(&vetoed.by),
        Entry::FrozenBy(frozen) => of_statement(&frozen.by),
        Entry::Unfrozen(unfrozen) => of_statement(&unfrozen.by),
        Entry::IntentDecided(decided) => lines(&decided.statement),
        Entry::TransactionRegistered(registered) => registered_transaction(registered),
        Entry::TransactionDecided(decided) => lines(&decided.statement),
        Entry::Attested(said) => lines(&said.statement),
        Entry::Heartbeat(by) => of_statement(by),
        Entry::KeyRegistered(key) => vec![
            ("public", key.public.clone()),
            ("device", format!("{} ({})", key.device, key.assurance)),
        ],
        Entry::Attempt(attempt) => of_attempt(attempt),
        Entry::Call { calls, .. } | Entry::SelfTest { calls } => of_calls(calls),
        Entry::Signed(signed) => signed
            .signatures
            .iter()
            .map(|made| ("call", format!("{}: r {} s {}", made.call, made.r, made.s)))
            .collect(),
        Entry::Refused(refused) => of_refused(refused),
        Entry::Resumed(resumed) | Entry::EpochBegan(resumed) => of_statement(resumed),
        Entry::Pruned(pruned) => of_statement(&pruned.by),
        Entry::RefusedMany(many) => vec![("root", many.root.to_string())],
        Entry::Checkpoint(said) => vec![("call", format!("{} by {}", said.call, said.key))],
        _ => Vec::new(),
    }
}

fn of_attempt(attempt: &Attempt) -> Vec<(&'static str, String)> {
    let mut told = vec![
        (
            "account",
            format!("{} on {}", attempt.account, attempt.chain),
        ),
        (
            "lane",
            format!("{} epoch {}", attempt.lane, attempt.lane_epoch),
        ),
        ("policy", attempt.policy.to_string()),
        ("allowed by", joined(&attempt.allowed_by)),
    ];
    told.extend(attempt.facts.iter().map(|fact| ("effect", of_fact(fact))));
    let met = attempt
        .met
        .values()
        .map(|people| ("met by", joined(people)));
    told.extend(met);
    let set = attempt
        .set
        .map(|set| ("set", format!("excludes attempt {set} on chain")));
    told.extend(set);
    let resumes = attempt
        .resumes
        .map(|old| ("resumes", format!("attempt {old}")));
    told.extend(resumes);
    let consumed = attempt.keys.iter();
    told.extend(consumed.map(|key| ("consumes", key.to_string())));
    told.extend(of_calls(&attempt.calls));
    told
}

fn of_fact(fact: &Fact) -> String {
    let mut text = effect(&fact.effect);
    if let Some(intent) = &fact.intent {
        text.push_str(&format!(", intent {intent}"));
    }
    if !fact.classes.books.is_empty() {
        text.push_str(&format!(", in {}", joined(&fact.classes.books)));
    }
    if !fact.classes.books_cooling.is_empty() {
        let cooling = joined(&fact.classes.books_cooling);
        text.push_str(&format!(", cooling in {cooling}"));
    }
    if !fact.signed_by.people.is_empty() {
        text.push_str(&format!(", signed by {}", joined(&fact.signed_by.people)));
    }
    let stranger = fact.effect.to.as_ref().filter(|to| to.own.is_none());
    match fact.classes.first_paid {
        Some(first) => text.push_str(&format!(", first paid {first}")),
        None if stranger.is_some() => text.push_str(", never paid before"),
        None => {}
    }
    text
}

fn of_calls(calls: &[NumberedDigest]) -> Vec<(&'static str, String)> {
    let one = |call: &NumberedDigest| format!("{}: {} signs {}", call.call, call.key, call.digest);
    calls.iter().map(|call| ("call", one(call))).collect()
}

fn of_refused(refused: &Refused) -> Vec<(&'static str, String)> {
    let reason = |reason: &Reason| {
        let statement = reason.statement.as_ref();
        let statement = statement
            .map(|name| format!(" ({name})"))
            .unwrap_or_default();
        let text = format!(
            "{}{statement}; would be permitted by: {}",
            reason.detail, reason.remedy
        );
        ("because", text)
    };
    let mut told: Vec<_> = refused.reasons.iter().map(reason).collect();
    told.extend(refused.needs.iter().map(|need| ("needs", need.to_string())));
    told.push(("policy", refused.policy.to_string()));
    told
}
