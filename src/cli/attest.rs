//! `strongroom attest`: what an attester saw, signed with its key and brought to a signer.

mod error;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use api::signing::Statement;
use clap::Subcommand;
use policy::statement::{Attestation, Fate, Seen, Signatures, TransactionId};
use policy::{AttemptId, BundleHash, Digest, Policy, RequestHash};
use serde::Serialize;
use tx::{Address, Chain, Name, Time};

use self::error::AttestError;
use crate::approve;
use crate::client::{PeerArgs, Signer};
use crate::failure::Failure;
use crate::files;
use crate::now::now;
use crate::output::Answer;
use crate::policy::governance::as_entry;
use crate::ssh;

/// The largest file with a statement or a signature.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// `strongroom attest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what one unit of an asset is worth.
    Price(Box<PriceArgs>),
    /// Say that all nonces of an own address below one are used by transactions in final blocks, or that an
    /// attempt is in one.
    Final(Box<FinalArgs>),
    /// Say that an attempt can never be included.
    Dead(Box<DeadArgs>),
    /// Say which height a chain has.
    Head(Box<HeadArgs>),
    /// Say that the journal, up to an entry, agrees with the chains.
    Reconciled(Box<ReconciledArgs>),
    /// Say what time it is at least, so that a signer knows how long it was off.
    Time(Box<TimeArgs>),
    /// Bring a statement that was signed elsewhere.
    Bring(Box<BringArgs>),
}

/// `strongroom attest price`.
#[derive(Debug, clap::Args)]
struct PriceArgs {
    /// The asset, by its name in the bundle.
    asset: Name,
    /// What one unit is worth, such as "3050.25 usd".
    price: String,
    #[command(flatten)]
    says: Says,
}

/// `strongroom attest final`.
#[derive(Debug, clap::Args)]
struct FinalArgs {
    /// The address with its chain: eip155:1:0x….
    #[arg(value_parser = Address::parse_qualified, required_unless_present = "attempt", requires = "next")]
    address: Option<Address>,
    /// The first nonce that need not be final.
    next: Option<u64>,
    /// The index of the attempt's entry, of what has no nonce.
    #[arg(long, value_name = "ENTRY", conflicts_with = "address", requires_all = ["request", "transaction"])]
    attempt: Option<u64>,
    /// The fingerprint of the attempt's request.
    #[arg(long, value_name = "HASH", requires = "attempt", value_parser = digits::<RequestHash>)]
    request: Option<RequestHash>,
    /// The id of the attempt's transaction.
    #[arg(long, value_name = "ID", requires = "attempt")]
    transaction: Option<TransactionId>,
    #[command(flatten)]
    says: Says,
}

/// `strongroom attest dead`.
#[derive(Debug, clap::Args)]
struct DeadArgs {
    /// The index of the attempt's entry.
    attempt: u64,
    /// The fingerprint of the attempt's request, `request_hash` in its entry.
    #[arg(long, value_name = "HASH", value_parser = digits::<RequestHash>)]
    request: RequestHash,
    /// The id of the attempt's transaction.
    #[arg(long, value_name = "ID")]
    transaction: TransactionId,
    #[command(flatten)]
    says: Says,
}

/// `strongroom attest head`.
#[derive(Debug, clap::Args)]
struct HeadArgs {
    /// The chain, such as eip155:1.
    chain: Chain,
    /// The number of its last block.
    height: u64,
    #[command(flatten)]
    says: Says,
}

/// `strongroom attest reconciled`.
#[derive(Debug, clap::Args)]
struct ReconciledArgs {
    /// How many entries.
    size: u64,
    /// The journal's root over them, in hexadecimal.
    #[arg(value_parser = digits::<Digest>)]
    root: Digest,
    #[command(flatten)]
    says: Says,
}

/// `strongroom attest time`.
#[derive(Debug, clap::Args)]
struct TimeArgs {
    #[command(flatten)]
    says: Says,
}

/// 32 bytes in hexadecimal digits.
fn digits<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse()
        .map_err(|_| "64 hexadecimal digits are expected")
}

/// Who says it, when, and with which key.
#[derive(Debug, clap::Args)]
struct Says {
    #[command(flatten)]
    peer: PeerArgs,
    /// Who says it, by the name in the bundle.
    #[arg(long, value_name = "NAME")]
    attester: Name,
    /// The folder of the bundle that governs the signer.
    #[arg(long, value_name = "FOLDER")]
    policy: PathBuf,
    /// The bundle's fingerprint, where you know it: sha256:… . Left out, the bundle must be signed by enough
    /// officers that it names itself.
    #[arg(long, value_name = "HASH", value_parser = approve::hash)]
    bundle: Option<BundleHash>,
    /// When it was seen [default: now].
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
    /// The statement's number, above that of each one before and no more than the milliseconds of its time
    /// [default: these].
    #[arg(long, value_name = "NUMBER")]
    number: Option<u64>,
    /// What to sign with: an OpenSSH private key, or the public key of one that an agent or a security key
    /// has. Left out, the text is printed, to be signed elsewhere.
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
}

/// `strongroom attest bring`.
#[derive(Debug, clap::Args)]
struct BringArgs {
    #[command(flatten)]
    peer: PeerArgs,
    /// The file with the text.
    statement: PathBuf,
    /// The file with its signature, as `ssh-keygen -Y sign -n strongroom-price-v1` writes it.
    signature: PathBuf,
}

/// Says it.
///
/// # Errors
/// [`AttestError`]; [`crate::client::SignerError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    match &args.command {
        Command::Price(args) => {
            let policy = args.says.verified()?;
            args.says.say(&policy, price(args, &policy)?)
        }
        Command::Final(args) => {
            let policy = args.says.verified()?;
            args.says.say(&policy, finality(args)?)
        }
        Command::Dead(args) => {
            let policy = args.says.verified()?;
            let seen = Seen::Fate {
                attempt: AttemptId(args.attempt),
                request: args.request,
                transaction: args.transaction.clone(),
                fate: Fate::Dead,
            };
            args.says.say(&policy, seen)
        }
        Command::Head(args) => {
            let policy = args.says.verified()?;
            let (chain, height) = (args.chain, args.height);
            args.says.say(&policy, Seen::Head { chain, height })
        }
        Command::Reconciled(args) => {
            let policy = args.says.verified()?;
            let (size, root) = (args.size, args.root);
            args.says.say(&policy, Seen::Reconciled { size, root })
        }
        Command::Time(args) => {
            let policy = args.says.verified()?;
            args.says.say(&policy, Seen::Time)
        }
        Command::Bring(args) => bring(args),
    }
}

impl Says {
    fn verified(&self) -> Result<Policy, Failure> {
        approve::verified(&self.policy, self.bundle)
    }

    /// Signs what was seen and brings it, or prints it.
    fn say(&self, policy: &Policy, seen: Seen) -> Result<Answer, Failure> {
        let at = self.at.unwrap_or_else(now);
        let statement = Attestation {
            fleet: policy.fleet.clone(),
            number: self.number.unwrap_or_else(|| at.millis()),
            attester: self.attester.clone(),
            at,
            seen,
        };
        let attester = policy.attestations.attesters.get(&self.attester);
        if !attester.is_some_and(|one| one.says.contains(&statement.kind())) {
            let (attester, kind) = (self.attester.clone(), statement.kind());
            return Err(AttestError::NoAttester { attester, kind }.into());
        }
        let (text, namespace) = (statement.to_string(), statement.header().namespace());
        let Some(path) = &self.signing_key else {
            return Answer::done(&Unsigned {
                namespace,
                statement: text,
            });
        };
        let signature = ssh::sign(path, &text, &namespace)?;
        is_by_attester(policy, &statement, &signature)?;
        send(&self.peer.signer()?, text, signature)
    }
}

/// A price, as the bundle names what it is of.
fn price(args: &PriceArgs, policy: &Policy) -> Result<Seen, AttestError> {
    let not_priced = || AttestError::NotPriced {
        asset: args.asset.clone(),
    };
    let attestations = &policy.attestations;
    let unit = policy.assets.get(&args.asset);
    let unit = unit.filter(|unit| attestations.prices.contains_key(&unit.asset));
    Ok(Seen::Price {
        asset: unit.ok_or_else(not_priced)?.asset.clone(),
        currency: attestations.currency.clone().ok_or_else(not_priced)?,
        price: policy.price(&args.price).map_err(AttestError::Price)?,
    })
}

/// Which nonces are final, or which attempt.
fn finality(args: &FinalArgs) -> Result<Seen, AttestError> {
    match (&args.address, args.next) {
        (Some(account), Some(next)) => Ok(Seen::Final {
            account: account.clone(),
            next,
        }),
        _ => Ok(Seen::Fate {
            attempt: AttemptId(args.attempt.ok_or(AttestError::Nothing)?),
            request: args.request.ok_or(AttestError::Nothing)?,
            transaction: args.transaction.clone().ok_or(AttestError::Nothing)?,
            fate: Fate::Final,
        }),
    }
}

fn bring(args: &BringArgs) -> Result<Answer, Failure> {
    let read = |path| {
        let bytes = files::read(path, FILE_MAX_BYTES).map_err(AttestError::File)?;
        Ok::<_, AttestError>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (text, signature) = (read(&args.statement)?, read(&args.signature)?);
    Attestation::parse(&text).map_err(AttestError::Text)?;
    send(&args.peer.signer()?, text, signature)
}

fn is_by_attester(
    policy: &Policy,
    statement: &Attestation,
    signature: &str,
) -> Result<(), AttestError> {
    let signatures = Signatures::parse(signature).map_err(AttestError::Signature)?;
    let attester = policy.attestations.attesters.get(&statement.attester);
    let mut keys = attester.into_iter().flat_map(|attester| &attester.keys);
    match keys.any(|key| statement.is_signed_by(key, &signatures)) {
        true => Ok(()),
        false => Err(AttestError::OtherKey {
            attester: statement.attester.clone(),
        }),
    }
}

fn send(signer: &Signer, statement: String, signature: String) -> Result<Answer, Failure> {
    let entry = signer.attest(&Statement {
        statement: statement.clone(),
        signatures: vec![signature],
    })?;
    Answer::done(&Brought { entry, statement })
}

/// The text, to be signed elsewhere.
#[derive(Debug, Serialize)]
struct Unsigned {
    namespace: String,
    statement: String,
}

#[derive(Debug, Serialize)]
struct Brought {
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
    statement: String,
}

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.statement)
    }
}

impl fmt::Display for Brought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the signer has taken it{}:", as_entry(self.entry))?;
        f.write_str(&self.statement)
    }
}
