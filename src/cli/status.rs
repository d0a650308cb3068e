//! `strongroom status`: a signer's keys, addresses, room left, and whether a request would be signed
//! now; a coordinator's lanes, chains and withdrawals.

mod coordinator;
mod devices;
mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use policy::bundle;
use serde_json::json;

use self::coordinator::Coordinator;
use self::devices::Devices;
pub use self::report::Unit;
use self::report::{Readiness, Status};
use crate::client::{self, PeerArgs, is_absent};
use crate::failure::{Exit, Explained, Failure};
use crate::health;
use crate::output::Answer;

/// `strongroom status`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    peer: PeerArgs,
    /// Where the daemon tells its health; a profile can say it too.
    #[arg(long, value_name = "HOST:PORT")]
    health: Option<String>,
    /// The folder of the bundle that governs, to show limits in its units instead of base units.
    #[arg(long, value_name = "FOLDER")]
    policy: Option<PathBuf>,
}

/// The bundle cannot tell units.
#[derive(Debug, thiserror::Error)]
enum StatusError {
    #[error("{} cannot be read as a bundle", folder.display())]
    Bundle {
        folder: PathBuf,
        reasons: Vec<String>,
    },
}

impl Explained for StatusError {
    fn kind(&self) -> &'static str {
        "status-policy"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn next(&self) -> String {
        "Run `strongroom policy check` on the folder, or leave --policy out.".into()
    }

    fn why(&self) -> Vec<String> {
        let Self::Bundle { reasons, .. } = self;
        reasons.clone()
    }
}

/// Asks and shows. The answer is a no when the daemon is not ready. Which of the two it
/// is, its answers say.
///
/// # Errors
/// See [`crate::client::SignerError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let units = args
        .policy
        .as_deref()
        .map(units)
        .transpose()?
        .unwrap_or_default();
    let (signer, wallet) = args.peer.either()?;
    let health = args.health.as_deref().or(signer.health());
    let readiness = health.map(readiness).transpose()?;
    let keys = match signer.keys() {
        Err(error) if is_absent(&error) => {
            let status = Coordinator::new(wallet.status()?, readiness);
            return match status.is_well() {
                true => Answer::done(&status),
                false => Answer::refused(&status),
            };
        }
        answer => answer,
    };
    let keys = keys.map_err(|error| {
        let mut failure = Failure::from(error);
        // A signer that is sealed serves no API, but its health says why.
        if let Some(readiness) = &readiness {
            failure.why.push(format!("readyz: {}", readiness.text));
            if let Some(name) = &readiness.sealed {
                failure.next = format!("Do what docs/sealed.md says of {name}.");
                failure.details = Some(Box::new(json!({ "sealed": name })));
            }
        }
        failure
    })?;
    let ready = readiness.as_ref().is_none_or(|readiness| readiness.ready);
    let devices = health.map(devices).transpose()?;
    let status = Status::new(keys, readiness, devices, &units);
    if ready {
        Answer::done(&status)
    } else {
        Answer::refused(&status)
    }
}

fn readiness(address: &str) -> Result<Readiness, Failure> {
    let runtime = client::runtime()?;
    Ok(match health::ask(&runtime, address, "/readyz") {
        Ok(said) => Readiness {
            ready: said.ok,
            sealed: said.sealed(),
            text: said.text,
        },
        Err(error) => Readiness {
            ready: false,
            sealed: None,
            text: error.to_string(),
        },
    })
}

/// Nothing, where the listener says nothing.
fn devices(address: &str) -> Result<Devices, Failure> {
    let runtime = client::runtime()?;
    let said = health::ask(&runtime, address, "/metrics");
    Ok(said.map_or_else(
        |_silent| Devices::default(),
        |said| Devices::of_metrics(&said.text),
    ))
}

/// The units of the limits that measure an amount, by the limits' names.
fn units(folder: &Path) -> Result<BTreeMap<String, Unit>, StatusError> {
    let refused = |reasons| StatusError::Bundle {
        folder: folder.to_owned(),
        reasons,
    };
    let files = journal::read_folder(folder).map_err(|error| refused(vec![error.to_string()]))?;
    let bundle = bundle::parse(&files)
        .map_err(|found| refused(found.iter().map(ToString::to_string).collect()))?;
    let no_name = |_| refused(vec!["no manifest".to_owned()]);
    let fleet = "unsigned".parse().map_err(no_name)?;
    let policy = bundle.under(&bundle::Manifest::of(&files, fleet, 1, 0));
    let mut units = BTreeMap::new();
    for limit in &policy.limits {
        let assets = limit.selector.assets.iter().flatten();
        let mut known = assets.filter_map(|asset| {
            let (name, unit) = policy
                .assets
                .iter()
                .find(|(_, unit)| unit.asset == *asset)?;
            Some(Unit {
                name: name.to_string(),
                decimals: unit.decimals,
            })
        });
        let currency = policy.attestations.currency.as_ref();
        if limit.says.measure == policy::Measure::Reference
            && let Some(currency) = currency
        {
            let unit = Unit {
                name: currency.to_string(),
                decimals: policy::REFERENCE_DECIMALS,
            };
            units.insert(limit.name.to_string(), unit);
        }
        if limit.says.measure == policy::Measure::Amount
            && let (Some(unit), None) = (known.next(), known.next())
        {
            units.insert(limit.name.to_string(), unit);
        }
    }
    Ok(units)
}
