//! `strongroom withdrawals`: what became of withdrawals, and what people decide about them.

pub mod view;

use std::fmt;

use api::client::wallet::{Deed, Which};
use api::wallet::{Explanation, Outcome, SettleRequest, Stage, Withdrawal, WithdrawalsAnswer};
use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use tx::{IntentKey, Name};

use crate::client::{PeerArgs, WalletError, plain};
use crate::failure::Failure;
use crate::output::Answer;

/// `strongroom withdrawals`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List withdrawals, in the order in which they were accepted.
    List(List),
    /// Show a withdrawal.
    Show(One),
    /// Show everything about a withdrawal: why it waits, its transactions, every recorded step.
    Explain(One),
    /// Take a withdrawal back, before a transaction for it was made.
    Cancel(One),
    /// Let a withdrawal go on beyond a limit.
    Approve(One),
    /// End a withdrawal, before a transaction for it was made.
    Reject(One),
    /// Say what came of a transaction that is in the chain for good and whose token did not log the
    /// payment, once you have looked at it. The withdrawal is halted until then, and the lane until
    /// you open it.
    Settle(Settle),
}

#[derive(Debug, ClapArgs)]
struct List {
    #[command(flatten)]
    peer: PeerArgs,
    /// Of this source, where it is not your own.
    #[arg(long, value_name = "NAME")]
    source: Option<Name>,
    /// In this stage, as manual or final.
    #[arg(long, value_parser = stage)]
    stage: Option<Stage>,
    /// Of this customer.
    #[arg(long, value_name = "NAME")]
    account: Option<Name>,
    /// At most this many.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: Option<u32>,
    /// Where an earlier page ended.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

#[derive(Debug, ClapArgs)]
struct One {
    #[command(flatten)]
    peer: PeerArgs,
    /// The withdrawal's id.
    id: IntentKey,
    /// Its source, where it is not your own.
    #[arg(long, value_name = "NAME")]
    source: Option<Name>,
}

#[derive(Debug, ClapArgs)]
struct Settle {
    #[command(flatten)]
    one: One,
    /// The transaction that you looked at, by its id in the chain.
    #[arg(long, value_name = "TXID")]
    transaction: String,
    /// What came of it: paid (the token moved), pay-anew or release (it did not).
    #[arg(long, value_parser = outcome)]
    outcome: Outcome,
    /// How you know, for others.
    #[arg(long, value_name = "TEXT")]
    why: String,
}

/// Lists, shows and decides.
///
/// # Errors
/// [`WalletError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    match &args.command {
        Command::List(list) => listed(list),
        Command::Show(one) => {
            let wallet = one.peer.wallet().map_err(WalletError::Peer)?;
            let withdrawal = wallet.withdrawal(one.source.as_ref(), &one.id)?;
            Answer::done(&Shown(withdrawal))
        }
        Command::Explain(one) => {
            let wallet = one.peer.wallet().map_err(WalletError::Peer)?;
            let explanation = wallet.explain(one.source.as_ref(), &one.id)?;
            Answer::done(&Explained(explanation))
        }
        Command::Cancel(one) => decide(Deed::Cancel, one),
        Command::Approve(one) => decide(Deed::Approve, one),
        Command::Reject(one) => decide(Deed::Reject, one),
        Command::Settle(settle) => settled(settle),
    }
}

fn listed(list: &List) -> Result<Answer, Failure> {
    let wallet = list.peer.wallet().map_err(WalletError::Peer)?;
    let page = wallet.withdrawals(&Which {
        source: list.source.clone(),
        stage: list.stage,
        account: list.account.clone(),
        after: list.after.clone(),
        limit: list.limit,
    })?;
    Answer::done(&Page(page))
}

fn decide(deed: Deed, one: &One) -> Result<Answer, Failure> {
    let wallet = one.peer.wallet().map_err(WalletError::Peer)?;
    let withdrawal = wallet.decide(deed, one.source.as_ref(), &one.id)?;
    Answer::done(&Shown(withdrawal))
}

fn settled(settle: &Settle) -> Result<Answer, Failure> {
    let One { peer, id, source } = &settle.one;
    let wallet = peer.wallet().map_err(WalletError::Peer)?;
    let request = SettleRequest {
        txid: settle.transaction.clone(),
        outcome: settle.outcome,
        why: settle.why.clone(),
    };
    Answer::done(&Shown(wallet.settle(source.as_ref(), id, &request)?))
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let named = |outcome: &Outcome| outcome.name() == text;
    let names = Outcome::ALL.map(Outcome::name);
    let unknown = || format!("an outcome is one of {}", names.join(", "));
    Outcome::ALL.into_iter().find(named).ok_or_else(unknown)
}

fn stage(text: &str) -> Result<Stage, String> {
    Stage::of_name(text).ok_or_else(|| {
        let names: Vec<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        format!("a stage is one of {}", names.join(", "))
    })
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(Withdrawal);

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Explained(Explanation);

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Page(WithdrawalsAnswer);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        view::withdrawal(f, &self.0, "")
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        view::withdrawal(f, &self.0.withdrawal, "")?;
        for attempt in &self.0.attempts {
            view::attempt(f, attempt)?;
        }
        writeln!(f, "recorded")?;
        for event in &self.0.events {
            let body = serde_json::to_string(&event.body).unwrap_or_default();
            let body = if event.body.is_empty() { "" } else { &body };
            writeln!(f, "  {} {} {}", event.at, plain(&event.topic), plain(body))?;
        }
        Ok(())
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.withdrawals.is_empty() {
            return writeln!(f, "there are none");
        }
        for withdrawal in &self.0.withdrawals {
            writeln!(f, "{}", view::line(withdrawal))?;
        }
        if let Some(next) = &self.0.next {
            writeln!(f, "more with --after {}", plain(next))?;
        }
        Ok(())
    }
}
