//! `strongroom`: the operator's command line for both halves of the system.
//!
//! Every command answers with one value, printed as text or, with `--json`, as one JSON object, and
//! says by its exit code how it went ([`failure::Exit`]).

mod failure;
mod files;
mod output;
mod pki;
mod policy;
mod rpc;
mod transaction;

use std::process::ExitCode;

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
    /// A small private certificate authority in a folder.
    Pki(pki::Args),
    /// Check, sign and explain a policy bundle.
    Policy(policy::Args),
    /// Build, show and broadcast transactions.
    Tx(transaction::Args),
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => {
            let format = if cli.json { Format::Json } else { Format::Text };
            output::finish(format, run(cli.command))
        }
        Err(error) => output::finish_usage(&error),
    }
}

fn run(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Pki(args) => pki::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Tx(args) => transaction::run(args),
    }
}
