//! `strongroom lanes`: a coordinator's lanes, and what a person does about one that is halted.

pub mod view;

use std::fmt;

use api::wallet::{GateState, LaneReport};
use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

use crate::client::{PeerArgs, WalletError};
use crate::failure::Failure;
use crate::output::Answer;

/// `strongroom lanes`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the lanes: whether each may begin payouts, and why not.
    List(Peer),
    /// Have a halted lane compared anew, once its reason was looked into. It opens by itself when
    /// database, signer and chain agree, and halts again if they do not.
    Open(One),
}

#[derive(Debug, ClapArgs)]
struct Peer {
    #[command(flatten)]
    peer: PeerArgs,
}

#[derive(Debug, ClapArgs)]
struct One {
    #[command(flatten)]
    peer: PeerArgs,
    /// The lane's name, as `lanes list` has it.
    lane: String,
}

/// Lists and opens.
///
/// # Errors
/// [`WalletError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    match &args.command {
        Command::List(Peer { peer }) => {
            let status = peer.wallet().map_err(WalletError::Peer)?.status()?;
            Answer::done(&Lanes {
                lanes: status.lanes,
            })
        }
        Command::Open(One { peer, lane }) => {
            let wallet = peer.wallet().map_err(WalletError::Peer)?;
            let lane = Opened(wallet.open_lane(lane)?);
            // It halted again since, or another release knows another gate.
            match lane.0.gate {
                GateState::Halted => Answer::refused(&lane),
                _ => Answer::done(&lane),
            }
        }
    }
}

#[derive(Debug, Serialize)]
struct Lanes {
    lanes: Vec<LaneReport>,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Opened(LaneReport);

impl fmt::Display for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lanes.is_empty() {
            return writeln!(f, "there are none");
        }
        self.lanes.iter().try_for_each(|lane| view::lane(f, lane))
    }
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        view::lane(f, &self.0)
    }
}
