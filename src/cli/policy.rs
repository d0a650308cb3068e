//! `strongroom policy`: the bundle that a security team writes, checked, signed and asked about
//! offline. `signerd` trusts none of it: it verifies the bundle by itself.

mod book;
mod cases;
mod changes;
mod check;
mod decided;
mod diff;
mod doc;
pub mod error;
mod explain;
#[cfg(test)]
mod fixture;
pub mod folder;
pub(crate) mod governance;
mod heartbeat;
mod history;
mod new;
pub mod offline;
mod prove;
mod replay;
mod schema;
mod sign;
mod verdict;
mod words;
mod zones;

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
    /// Write a bundle to begin with, and cases that it holds.
    New(new::Args),
    /// Print the JSON Schema of a bundle's files, for editors.
    Schema,
    /// Say all that is wrong in a bundle, with file and line, and the room that each limit starts with.
    Check(check::Args),
    /// Make the manifest and add a signature to it.
    #[command(
        after_help = "Without --key only the manifest is made. Somebody elsewhere signs it with\n\
                      `ssh-keygen -Y sign -n strongroom-bundle-v1 -f KEY manifest`; append what it writes to manifest.sig."
    )]
    Sign(sign::Args),
    /// Write the rules of the time zones that the bundle's hours name into zones.toml, as `sign` does.
    Zones(zones::Args),
    /// Say what a signer with this bundle would answer to a request: one that has signed nothing, or all that
    /// an exported log says.
    Explain(explain::Args),
    /// Write the bundle as one page, for who has to judge it.
    Doc(doc::Args),
    /// Say which requests two bundles decide otherwise, and whether the second is shown to be narrower.
    Diff(diff::Args),
    /// Decide by a candidate on all that was really asked, and say how full its limits would have been.
    Replay(replay::Args),
    /// Run the cases that say what the bundle shall decide, and name the statements that no case notices.
    #[command(name = "test")]
    Cases(cases::Args),
    /// Say the most that can leave, whatever is asked, and whether claims about that hold.
    Prove(prove::Args),
    /// Make, sign and veto the contents of books that are loaded apart from the bundle.
    Book(book::Args),
    /// Show which bundle governs a signer, which one waits, and how the books stand that are loaded apart.
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
    /// Say that you are there, where the bundle has a [heartbeat]: without it everything freezes.
    #[command(
        after_help = "Without --signing-key the statement is printed. Sign it with `ssh-keygen -Y sign -n\n\
                      strongroom-heartbeat-v1 -f KEY FILE`, and bring it with --statement and --signature. The key of\n\
                      the signer's log must be pinned, by --log-key or the profile."
    )]
    Heartbeat(heartbeat::Args),
}

/// Runs one of the group's commands.
///
/// # Errors
/// See [`error::PolicyError`].
pub fn run(args: Args) -> Result<Answer, Failure> {
    match args.command {
        Command::New(args) => new::run(&args),
        Command::Schema => schema::run(),
        Command::Check(args) => check::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Zones(args) => zones::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Doc(args) => doc::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Cases(args) => cases::run(&args),
        Command::Prove(args) => prove::run(&args),
        Command::Book(args) => book::run(&args),
        Command::Status(args) => governance::status(&args),
        Command::Veto(args) => governance::veto(&args),
        Command::Freeze(args) => governance::freeze(&args),
        Command::Unfreeze(args) => governance::unfreeze(&args),
        Command::Heartbeat(args) => heartbeat::run(&args),
    }
}
