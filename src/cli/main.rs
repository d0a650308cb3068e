//! `strongroom`: the operator's command line for both halves of the system.
//!
//! Every command answers with one value, printed as text or, with `--json`, as one JSON object, and
//! says by its exit code how it went ([`failure::Exit`]).

mod approve;
mod attest;
mod audit;
mod bodies;
mod client;
mod credit;
mod doctor;
mod failure;
mod files;
mod health;
mod keys;
mod lanes;
mod now;
mod output;
mod pki;
mod policy;
mod rpc;
mod sign;
mod ssh;
mod status;
mod transaction;
mod unseal;
mod withdraw;
mod withdrawals;
mod witness;

use std::process::ExitCode;

use ::policy::approval::Says;
use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::output::{Answer, Format};

#[derive(Debug, Parser)]
#[command(name = "strongroom", version, about = "Operate signerd and walletd", long_about = None)]
#[command(
    after_help = "Exit codes: 0 done, 1 refused or a negative answer, 2 usage, files or \
                        configuration, 3 a peer cannot be reached, 4 sent but the outcome is unknown."
)]
struct Cli {
    /// Print one JSON object: the answer on stdout, an error on stderr.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Approve an intent that a signer waits for people about: shows what you sign, signs and sends.
    Approve(Box<approve::Args>),
    /// Say what an attester saw, such as a price: signs it and brings it to a signer.
    Attest(attest::Args),
    /// Copy, verify and read a signer's journal.
    Audit(Box<audit::Args>),
    /// Book a customer's deposit at a coordinator, by hand.
    Credit(credit::Args),
    /// Check a signer's machine: clock, token, journal, certificates, policy.
    Doctor(doctor::Args),
    /// Initialise tokens, generate keys in them, and list them.
    Keys(keys::Args),
    /// List a coordinator's lanes, and have a halted one compared anew.
    Lanes(lanes::Args),
    /// A small private certificate authority in a folder.
    Pki(pki::Args),
    /// Check, sign and explain a policy bundle.
    Policy(policy::Args),
    /// Reject an intent that a signer waits for people about.
    Reject(Box<approve::Args>),
    /// Have a signer sign a transaction, or only ask what it would say.
    Sign(Box<sign::Args>),
    /// Show a signer's keys, the room left in its limits, and whether it is ready; or a coordinator's
    /// lanes, chains and withdrawals.
    Status(status::Args),
    /// Build, show and broadcast transactions.
    Tx(transaction::Args),
    /// Compose the statement by which officers let a sealed signer go on.
    Unseal(unseal::Args),
    /// Ask a coordinator for a withdrawal, and follow it.
    Withdraw(Box<withdraw::Args>),
    /// List, show and explain withdrawals, and decide about them.
    Withdrawals(withdrawals::Args),
    /// Witness logs: cosign their checkpoints, or bring a signer's to those who do.
    Witness(witness::Args),
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => {
            let format = if cli.json { Format::Json } else { Format::Text };
            output::finish(format, run(cli.command, format))
        }
        Err(error) => output::finish_usage(&error),
    }
}

fn run(command: Command, format: Format) -> Result<Answer, Failure> {
    match command {
        Command::Approve(args) => approve::run(&args, Says::Approve, format),
        Command::Attest(args) => attest::run(&args),
        Command::Audit(args) => audit::run(&args, format),
        Command::Credit(args) => credit::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Lanes(args) => lanes::run(&args),
        Command::Pki(args) => pki::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Reject(args) => approve::run(&args, Says::Reject, format),
        Command::Sign(args) => sign::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Tx(args) => transaction::run(args),
        Command::Unseal(args) => unseal::run(args),
        Command::Withdraw(args) => withdraw::run(&args, format),
        Command::Withdrawals(args) => withdrawals::run(&args),
        Command::Witness(args) => witness::run(&args),
    }
}
