//! `strongroom tx`: unsigned transactions from a node's facts, in readable form, and broadcast.
//!
//! Nothing here is trusted by anyone: the signer understands the bytes by itself.

pub mod base_units;
mod broadcast;
mod build_evm;
mod build_utxo;
mod coins;
pub mod error;
pub mod parcel;
pub mod signed;
mod view;

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use tx::evm::Functions;
use tx::{Chain, Transaction};

use self::error::TransactionError;
use self::parcel::Parcel;
use self::view::View;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::output::Answer;
use crate::policy::offline;
use crate::rpc::NodeArgs;

/// `strongroom tx`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build an unsigned transaction from what a node says.
    Build {
        #[command(subcommand)]
        family: Family,
    },
    /// Show what a transaction does.
    Show {
        #[command(flatten)]
        input: Input,
    },
    /// Send a signed transaction to a node.
    Broadcast {
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        input: Input,
    },
}

#[derive(Debug, Subcommand)]
enum Family {
    /// An EIP-1559 transfer of the native coin or of an ERC-20 token.
    Evm(Box<build_evm::Build>),
    /// A PSBT of a Bitcoin-like chain that spends P2WPKH and P2TR coins.
    Bitcoin(Box<build_utxo::Build>),
}

#[derive(Debug, ClapArgs)]
struct Input {
    /// A file with the transaction, or - for stdin: a PSBT in base64, hexadecimal bytes, or JSON as
    /// `tx build --out` and `sign` write it.
    file: PathBuf,
    /// The chain, where the transaction does not say it, as bitcoin:mainnet.
    #[arg(long)]
    chain: Option<Chain>,
    #[command(flatten)]
    declared: Declared,
}

impl Input {
    fn read(&self) -> Result<Parcel, Failure> {
        let functions = self.declared.functions()?;
        Ok(Parcel::read(&self.file, self.chain, &functions)?)
    }
}

/// Where functions are declared.
#[derive(Debug, ClapArgs)]
pub struct Declared {
    /// The folder of the bundle, where it declares the function that a transaction calls.
    #[arg(long, value_name = "FOLDER")]
    policy: Option<PathBuf>,
}

impl Declared {
    /// What may be called: nothing, without a bundle.
    ///
    /// # Errors
    /// [`crate::policy::error::PolicyError`].
    pub fn functions(&self) -> Result<Functions, Failure> {
        match &self.policy {
            Some(folder) => Ok(offline::functions(folder)?),
            None => Ok(Functions::default()),
        }
    }
}

/// Where `tx build` writes what `sign` reads.
#[derive(Debug, ClapArgs)]
struct Out {
    /// A new file for the transaction as JSON, for `tx show` and `sign`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The answer of `tx build`.
#[derive(Debug, Serialize)]
struct Built {
    transaction: Transaction,
    #[serde(flatten)]
    view: View,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

impl std::fmt::Display for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.view)?;
        if let Some(file) = &self.file {
            return writeln!(f, "  file        {}", file.display());
        }
        match &self.transaction {
            Transaction::Eip2718 { payload, .. } => writeln!(f, "{payload}"),
            Transaction::Psbt { psbt, .. } => writeln!(f, "{psbt}"),
            _ => Ok(()),
        }
    }
}

/// Runs one of the group's commands.
///
/// # Errors
/// See [`TransactionError`].
pub fn run(args: Args) -> Result<Answer, Failure> {
    match args.command {
        Command::Build { family } => Answer::done(&match family {
            Family::Evm(build) => built(build.transaction()?, build.out())?,
            Family::Bitcoin(build) => built(build.transaction()?, build.out())?,
        }),
        Command::Show { input } => Answer::done(&View::of(input.read()?)),
        Command::Broadcast { node, input } => {
            let parcel = input.read()?;
            let Parcel::Signed(signed) = parcel else {
                return Err(TransactionError::Unsigned.into());
            };
            let node = node.node().map_err(TransactionError::Rpc)?;
            Answer::done(&broadcast::broadcast(&node, &signed)?)
        }
    }
}

fn built(transaction: Transaction, out: Option<&Path>) -> Result<Built, TransactionError> {
    // What is shown was read from the bytes that are handed out, not from what went into them.
    let view = View::of(Parcel::unsigned(&transaction, Functions::NONE)?);
    if let Some(path) = out {
        let json = serde_json::json!(transaction).to_string();
        files::create(path, json.as_bytes(), Access::Public).map_err(TransactionError::File)?;
    }
    Ok(Built {
        transaction,
        view,
        file: out.map(Path::to_owned),
    })
}
