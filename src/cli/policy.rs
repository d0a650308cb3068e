//! `strongroom policy`: the bundle that a security team writes, checked, signed and asked about
//! offline. `signerd` trusts none of it: it verifies the bundle by itself.

mod cases;
mod check;
mod error;
mod explain;
mod folder;
mod governance;
mod offline;
mod sign;
mod verdict;
mod zones;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use crate::failure::Failure;
use crate::output::Answer;

/// `strongroom policy`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say all that is wrong in a bundle, with file and line.
    Check {
        /// The bundle's folder.
        folder: PathBuf,
    },
    /// Make the manifest and add a signature to it.
    #[command(
        after_help = "Without --key only the manifest is made. A key in an agent or on a FIDO device signs it with\n\
                      `ssh-keygen -Y sign -n strongroom-bundle-v1 -f KEY manifest`; append what it writes to manifest.sig."
    )]
    Sign(sign::Args),
    /// Write the rules of the time zones that the bundle's hours name into zones.toml, as `sign` does.
    Zones(zones::Args),
    /// Say what a signer with this bundle, and no earlier spending, would answer to a request.
    Explain(explain::Args),
    /// Run the cases that say what the bundle shall decide, and name the statements that no case notices.
    #[command(name = "test")]
    Cases(cases::Args),
    /// Show which bundle governs a signer, and which one waits.
    Status(governance::Args),
    /// Keep the bundle that waits from governing: one officer is enough.
    #[command(
        after_help = "Without --officer-key and --signature the statement is printed. Sign it as it is with\n\
                      `ssh-keygen -Y sign -n strongroom-veto-v1 -f KEY FILE` and give what that writes as --signature."
    )]
    Veto(governance::VetoArgs),
    /// Have nothing in a scope signed or released from now on: one officer is enough.
    #[command(
        after_help = "Without --officer-key and --signature the statement is printed, to be signed with\n\
                      `ssh-keygen -Y sign -n strongroom-freeze-v1 -f KEY FILE`."
    )]
    Freeze(governance::FreezeArgs),
    /// Lift the freeze of a scope: as many officers must sign as for a bundle.
    #[command(
        after_help = "Without --officer-key and --signature the statement is printed, to be signed with\n\
                      `ssh-keygen -Y sign -n strongroom-unfreeze-v1 -f KEY FILE`."
    )]
    Unfreeze(governance::FreezeArgs),
}

/// Runs one of the group's commands.
///
/// # Errors
/// See [`error::PolicyError`].
pub fn run(args: Args) -> Result<Answer, Failure> {
    match args.command {
        Command::Check { folder } => check::run(&folder),
        Command::Sign(args) => sign::run(&args),
        Command::Zones(args) => zones::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Cases(args) => cases::run(&args),
        Command::Status(args) => governance::status(&args),
        Command::Veto(args) => governance::veto(&args),
        Command::Freeze(args) => governance::freeze(&args),
        Command::Unfreeze(args) => governance::unfreeze(&args),
    }
}
