//! `strongroom withdraw`: asks a coordinator for a withdrawal, and follows it.

mod expiry;
mod follow;

use std::fmt;
use std::time::Duration;

use api::client::wallet::Once;
use api::problem::ProblemKind;
use api::wallet::{Attempt, NewWithdrawal, QuoteRequest, Withdrawal};
use clap::Args as ClapArgs;
use serde::Serialize;
use tx::{Amount, Asset, AssetKind, IntentKey, Name};

use self::expiry::Expiry;
use self::follow::Ended;
use crate::client::{PeerArgs, Wallet, WalletError};
use crate::failure::Failure;
use crate::output::{Answer, Format};
use crate::transaction::base_units;
use crate::withdrawals::view;

/// `strongroom withdraw`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Asking again with the same --id and the same content is safe: it is paid once. Another content \
                  under the same id is refused.\n\nWith --wait the command ends when the withdrawal is final, or with \
                  exit code 1 when it is released or halted or when a person must act first: beyond a limit, refused \
                  by the signer's policy, expired or not to be built."
)]
pub struct Args {
    #[command(flatten)]
    peer: PeerArgs,
    /// Your own id of the withdrawal, unique for ever.
    #[arg(long, value_name = "ID")]
    id: IntentKey,
    /// The customer whose money it is.
    #[arg(long, value_name = "NAME")]
    account: Name,
    /// What is paid, as eip155:1/native or eip155:1/erc20:0x….
    #[arg(long)]
    asset: Asset,
    /// To whom: an address of the asset's chain.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// How much, in base units or as 0.5ether, 0.1ltc.
    #[arg(long)]
    amount: String,
    /// The highest fee of one attempt, in the same way [default: what the coordinator quotes].
    #[arg(long, value_name = "AMOUNT")]
    max_fee: Option<String>,
    /// When it is not begun any more: 30m, 24h, 7d, or a time as 2026-11-20T12:00:00Z [default: 24h].
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Follow it until it is final, and show each step.
    #[arg(long)]
    wait: bool,
    /// How long to follow it.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 3600,
        requires = "wait"
    )]
    wait_secs: u64,
}

/// What became of it.
#[derive(Debug, Serialize)]
struct Withdrawn {
    /// Whether it was asked for now, for the first time.
    new: bool,
    withdrawal: Withdrawal,
    /// The transactions for it, where it was followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<Attempt>>,
}

/// Asks for a withdrawal.
///
/// # Errors
/// [`WalletError`].
pub fn run(args: &Args, format: Format) -> Result<Answer, Failure> {
    let wallet = args.peer.wallet().map_err(WalletError::Peer)?;
    let new = request(args, &wallet)?;
    let (is_new, withdrawal) = match ask(args, &wallet, &new)? {
        Once::New(withdrawal) => (true, withdrawal),
        Once::Same(withdrawal) => (false, withdrawal),
    };
    if !args.wait {
        return Answer::done(&Withdrawn {
            new: is_new,
            withdrawal,
            attempts: None,
        });
    }
    let patience = Duration::from_secs(args.wait_secs);
    let (explanation, ended) = follow::follow(&wallet, &args.id, patience, format)?;
    let followed = Withdrawn {
        new: is_new,
        withdrawal: explanation.withdrawal,
        attempts: Some(explanation.attempts),
    };
    match ended {
        Ended::Paid => Answer::done(&followed),
        Ended::NotPaid => Answer::refused(&followed),
    }
}

/// Reads an amount in base units or in a unit of the chain's native coin.
///
/// # Errors
/// [`WalletError::Amount`]; a token's amount is in base units.
pub fn amount(text: &str, asset: &Asset, option: &'static str) -> Result<Amount, WalletError> {
    let units = match asset.kind {
        AssetKind::Native => base_units::native_units(asset.chain),
        _ => &[],
    };
    base_units::parse(text, units).map_err(|source| WalletError::Amount { option, source })
}

fn request(args: &Args, wallet: &Wallet) -> Result<NewWithdrawal, WalletError> {
    let paid = amount(&args.amount, &args.asset, "amount")?;
    let expiry: Expiry = args.expires.as_deref().unwrap_or("24h").parse()?;
    let native = Asset::native(args.asset.chain);
    let max_fee = match &args.max_fee {
        Some(text) => amount(text, &native, "max-fee")?,
        None => quoted(args, wallet, paid)?,
    };
    Ok(NewWithdrawal {
        id: args.id.clone(),
        account: args.account.clone(),
        asset: args.asset.clone(),
        amount: paid,
        destination: args.to.clone(),
        tag: None,
        max_fee,
        expires: expiry.time(),
    })
}

fn quoted(args: &Args, wallet: &Wallet, amount: Amount) -> Result<Amount, WalletError> {
    let quote = wallet.quote(&QuoteRequest {
        account: args.account.clone(),
        asset: args.asset.clone(),
        amount,
        destination: args.to.clone(),
    })?;
    let detail = quote.detail;
    quote.max_fee.ok_or(WalletError::NoFee { detail })
}

/// What was left to the command (the fee, the expiry) is another at each run: where only that differs
/// from what is stored, the stored one is the one that is meant.
fn ask(args: &Args, wallet: &Wallet, new: &NewWithdrawal) -> Result<Once<Withdrawal>, WalletError> {
    let error = match wallet.withdraw(new) {
        Err(error) => error,
        answer => return answer,
    };
    let stored = error
        .problem()
        .filter(|problem| problem.kind == ProblemKind::WithdrawalReused)
        .and_then(|problem| problem.withdrawal.as_deref());
    match stored {
        Some(stored) if is_meant(args, new, stored) => Ok(Once::Same(stored.clone())),
        _ => Err(error),
    }
}

fn is_meant(args: &Args, new: &NewWithdrawal, stored: &Withdrawal) -> bool {
    let same_place = stored.destination.eq_ignore_ascii_case(&new.destination);
    stored.account.as_ref() == Some(&new.account)
        && (&stored.asset, stored.amount) == (&new.asset, new.amount)
        && same_place
        && (args.max_fee.is_none() || stored.max_fee == new.max_fee)
        && (args.expires.as_deref().is_none_or(expiry::is_span) || stored.expires == new.expires)
}

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = if self.new { "" } else { " (asked for before)" };
        view::withdrawal(f, &self.withdrawal, before)
    }
}
