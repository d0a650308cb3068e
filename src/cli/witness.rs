//! `strongroom witness`: a small server that cosigns checkpoints of logs, and what brings a signer's
//! checkpoints to it and to others.

mod bodies;
mod config;
mod copies;
mod error;
mod keeper;
mod key;
mod link;
mod relay;
mod server;
mod state;
mod tls;

pub use self::link::{Answered, Link, LinkError, Place};

use std::fmt;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use tlog::note::KeyName;

use self::config::Config;
use self::key::Secret;
use crate::failure::Failure;
use crate::output::Answer;

/// `strongroom witness`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a witness's key. It is a software key: whoever reads the file can cosign anything.
    Keygen(Keygen),
    /// Begin with logs of which this witness has cosigned nothing yet. Never do this for one of which it
    /// has: what it has seen is all that it is good for.
    Init(Configured),
    /// Cosign checkpoints (C2SP tlog-witness) until told to stop.
    Serve(Configured),
    /// Bring a signer's checkpoints to witnesses, and their cosignatures back, until told to stop.
    Relay(relay::Args),
}

#[derive(Debug, ClapArgs)]
struct Keygen {
    /// The witness's name, such as a host's; it is part of the key.
    #[arg(long)]
    name: String,
    /// Where the key is written; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, ClapArgs)]
struct Configured {
    /// The witness's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs one of them.
///
/// # Errors
/// [`error::WitnessError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    match &args.command {
        Command::Keygen(Keygen { name, out }) => {
            let name: KeyName = name.parse().map_err(error::name(name))?;
            let key = Secret::generate(name, out)?;
            Answer::done(&Made {
                key: key.public().to_string(),
            })
        }
        Command::Init(args) => {
            let config = Config::read(&args.config)?;
            let begun = state::Folder::begin(&config)?;
            Answer::done(&Begun { logs: begun })
        }
        Command::Serve(args) => server::run(&Config::read(&args.config)?),
        Command::Relay(args) => relay::run(args),
    }
}

#[derive(Debug, Serialize)]
struct Made {
    key: String,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.key)
    }
}

#[derive(Debug, Serialize)]
struct Begun {
    logs: Vec<String>,
}

impl fmt::Display for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.logs.is_empty() {
            return writeln!(f, "every log was begun before; nothing is changed");
        }
        self.logs
            .iter()
            .try_for_each(|log| writeln!(f, "begun {log}"))
    }
}

#[derive(Debug, Serialize)]
struct Ended {
    ended: &'static str,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.ended)
    }
}

/// Says what happens, a line each, for who reads the log.
fn say(line: &str) {
    use std::io::Write as _;
    // In one write: lines of two threads do not mix.
    let line = format!("{} {line}\n", jiff::Timestamp::now());
    // Who closed the log does not stop the witness.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// An error with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
