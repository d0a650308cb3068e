//! `strongroom doctor`: everything on a signer's machine that can be looked at without changing it.
//!
//! A check that cannot be made says so instead of passing.

mod certificates;
mod check;
mod clock;
mod config;
mod daemon;
mod journal;
mod policy;
mod token;

use std::path::PathBuf;

use clap::Args as ClapArgs;
use jiff::Timestamp;

use self::check::Report;
use self::config::Config;
use crate::client;
use crate::failure::Failure;
use crate::output::Answer;

/// `strongroom doctor`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Run it as the user that signerd runs as. `signerd --config FILE --check` judges every key of the \
                        configuration; this looks at what the configuration names."
)]
pub struct Args {
    /// signerd's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Log in to the token as well and look for the policy's keys. A wrong PIN counts as a try.
    #[arg(long)]
    login: bool,
}

/// Makes every check. The answer is a no when one failed.
///
/// # Errors
/// [`config::ConfigError`] when the configuration cannot be read.
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let config = Config::read(&args.config)?;
    let runtime = client::runtime()?;
    let now = Timestamp::now();
    let mut report = Report::default();
    report.add(clock::checks(&config, now));
    let (policy, found) = policy::checks(&config);
    report.add(found);
    report.add(certificates::checks(&config, policy.as_ref(), now));
    report.add(journal::checks(&config, &args.config));
    report.add(token::checks(&config, policy.as_ref(), args.login));
    report.add(daemon::checks(&config, &runtime, now));
    if report.has_failed() {
        Answer::refused(&report)
    } else {
        Answer::done(&report)
    }
}
