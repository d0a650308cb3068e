//! `strongroom credit`: books a deposit by hand.

use std::fmt;

use api::client::wallet::Once;
use api::wallet::{CreditAnswer, NewCredit};
use clap::Args as ClapArgs;
use serde::Serialize;
use tx::{Asset, IntentKey, Name};

use crate::client::{PeerArgs, WalletError};
use crate::failure::Failure;
use crate::output::Answer;
use crate::withdraw;

/// `strongroom credit`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Booking again with the same --id and the same content changes nothing.")]
pub struct Args {
    #[command(flatten)]
    peer: PeerArgs,
    /// Your own id of the deposit, unique for ever.
    #[arg(long, value_name = "ID")]
    id: IntentKey,
    /// The customer who gets it.
    #[arg(long, value_name = "NAME")]
    account: Name,
    /// What, as eip155:1/native.
    #[arg(long)]
    asset: Asset,
    /// How much, in base units or as 0.5ether, 0.1ltc.
    #[arg(long)]
    amount: String,
    /// Why, for people.
    #[arg(long)]
    memo: String,
}

/// What is booked.
#[derive(Debug, Serialize)]
struct Credited {
    /// Whether it was booked now.
    new: bool,
    #[serde(flatten)]
    credit: CreditAnswer,
}

/// Books a deposit.
///
/// # Errors
/// [`WalletError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let wallet = args.peer.wallet().map_err(WalletError::Peer)?;
    let booked = wallet.credit(&NewCredit {
        id: args.id.clone(),
        account: args.account.clone(),
        asset: args.asset.clone(),
        amount: withdraw::amount(&args.amount, &args.asset, "amount")?,
        memo: args.memo.clone(),
    })?;
    let new = matches!(booked, Once::New(_));
    Answer::done(&Credited {
        new,
        credit: booked.into_inner(),
    })
}

impl fmt::Display for Credited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CreditAnswer {
            id,
            account,
            asset,
            amount,
        } = &self.credit;
        let before = if self.new { "" } else { " before" };
        writeln!(f, "booked{before} {id}: {amount} of {asset} to {account}")
    }
}
