//! `strongroom sign`: a transaction goes to the signer, and what comes back is checked before it is
//! believed; or it goes before people first.

mod error;
mod intents;
mod outcome;
mod register;
mod report;

use std::path::PathBuf;

use api::signing::{SignRequest, SignedIntent};
use clap::Args as ClapArgs;
use tx::{Chain, IntentKey, Name, Time, Transaction};

use self::error::SignError;
use self::intents::Derivation;
pub use self::report::effect_text;
use self::report::{Evaluated, Signed};
use crate::client::{PeerArgs, Signer};
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::output::Answer;
use crate::transaction::Declared;
use crate::transaction::parcel::Parcel;

/// `strongroom sign`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Asking again with the same --request-id and the same content is safe: it is charged once and \
                        gets the same answer. Another content under the same id is refused."
)]
pub struct Args {
    #[command(flatten)]
    signer: PeerArgs,
    /// The unsigned transaction, or - for stdin: what `tx build --out` writes, or a PSBT in base64.
    #[arg(long, value_name = "FILE")]
    transaction: PathBuf,
    /// The chain of a PSBT in base64, as litecoin:mainnet.
    #[arg(long)]
    chain: Option<Chain>,
    #[command(flatten)]
    declared: Declared,
    /// Intents that the transaction pays, as JSON: one, or a list, each with or without signatures.
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    intent: Vec<PathBuf>,
    /// The source of an unsigned intent that is made of the transaction's payment.
    #[arg(long, value_name = "NAME", requires = "id", requires = "expires")]
    source: Option<Name>,
    /// The intent's id in its source; one for each payment, in the transaction's order.
    #[arg(long, value_name = "ID", requires = "source")]
    id: Vec<IntentKey>,
    /// The highest fee that the intent allows, as 1500 or 0.001ether [default: this transaction's].
    #[arg(long, value_name = "AMOUNT", requires = "source")]
    max_fee: Option<String>,
    /// When the intent ends, as 2026-11-20T12:00:00Z. It is part of the intent: repeat it exactly.
    #[arg(long, value_name = "TIME", requires = "source")]
    expires: Option<Time>,
    /// The signer's epoch that the intent is issued in [default: the present one, as the signer says].
    #[arg(long, value_name = "NUMBER", requires = "source")]
    epoch: Option<u64>,
    /// The number of an earlier attempt with which this transaction conflicts.
    #[arg(long, value_name = "ATTEMPT")]
    replaces: Vec<u64>,
    /// The epoch of the lane's owner; `strongroom status` shows the present one.
    #[arg(long, value_name = "NUMBER")]
    lane_epoch: u64,
    /// Your name for the request.
    #[arg(long, value_name = "ID")]
    request_id: String,
    /// Only ask what would be answered. Nothing is signed, charged or recorded.
    #[arg(long, conflicts_with = "out")]
    evaluate: bool,
    /// Put it before people, and sign nothing: the intents, or the transaction itself where it pays none. Ask again
    /// without this once they have approved.
    #[arg(long, conflicts_with_all = ["evaluate", "out"])]
    register: bool,
    /// Until when approvals of a transaction that pays no intent may hold: 7 days ahead at most [default: a day
    /// ahead].
    #[arg(long, value_name = "TIME", requires = "register")]
    until: Option<Time>,
    /// A new file for the answer as JSON, which `tx broadcast` reads.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Signs, or evaluates.
///
/// # Errors
/// See [`SignError`] and [`crate::client::SignerError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let functions = args.declared.functions()?;
    let (transaction, parcel) = Parcel::read_unsigned(&args.transaction, args.chain, &functions)?;
    // Before anything is charged, so that there is a place for what is signed.
    if let Some(path) = args.out.as_ref().filter(|path| path.exists()) {
        return Err(files::FileError::Exists { path: path.clone() }.into());
    }
    let signer = args.signer.signer()?;
    let request = SignRequest {
        request_id: args.request_id.clone(),
        lane_epoch: args.lane_epoch,
        intents: intents(args, &signer, &transaction, &parcel)?,
        replaces: args.replaces.clone(),
        transaction,
        proofs: Vec::new(),
    };
    if args.register {
        return register::run(&signer, &request, args.until);
    }
    if args.evaluate {
        return Answer::done(&Evaluated::new(signer.evaluate(&request)?));
    }
    let answer = signer.sign(&request)?;
    let decision = outcome::check(&answer, &request, (&parcel, &functions))?;
    if let Some(path) = &args.out {
        let json = serde_json::json!(answer).to_string();
        files::create(path, json.as_bytes(), Access::Public).map_err(|source| {
            SignError::Unwritten {
                attempt: answer.attempt,
                source,
            }
        })?;
    }
    Answer::done(&Signed::new(answer, decision, args.out.clone()))
}

fn intents(
    args: &Args,
    signer: &Signer,
    transaction: &Transaction,
    parcel: &Parcel,
) -> Result<Vec<SignedIntent>, Failure> {
    if let (Some(source), Some(expires)) = (&args.source, args.expires) {
        let max_fee = args.max_fee.as_deref();
        let told = intents::Told::of(signer)?;
        let own = told.own_addresses(transaction, parcel);
        let derivation = Derivation {
            source,
            ids: &args.id,
            epoch: args.epoch.or(told.epoch()).ok_or(SignError::Epoch)?,
            max_fee,
            expires,
        };
        return Ok(derivation.intents(transaction, parcel, &own)?);
    }
    let mut intents = Vec::new();
    for path in &args.intent {
        intents.extend(intents::read(path)?);
    }
    Ok(intents)
}
