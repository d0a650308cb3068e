//! The bundle: whether it can be loaded, and by what it would be taken to be ours.

use std::collections::BTreeMap;
use std::fs;

use ::journal::{BundleStore, Bundles, read_folder};
use ::policy::bundle::{LoadError, MANIFEST, Manifest, Trust, load, parse};
use ::policy::{BundleHash, Policy};

use super::check::{Check, chain};
use super::config::Config;

/// How many of a bundle's errors are shown.
const SHOWN: usize = 5;

type Files = BTreeMap<String, Vec<u8>>;

/// The checks, and the policy where it could be read.
pub(super) fn checks(config: &Config) -> (Option<Policy>, Vec<Check>) {
    let name = "policy";
    let folder = config.policy.display();
    let next = format!("Run `strongroom policy check {folder}`.");
    let files = match read_folder(&config.policy) {
        Ok(files) => files,
        Err(error) => return (None, vec![Check::fail(name, chain(&error), next)]),
    };
    let bundle = match parse(&files) {
        Ok(bundle) => bundle,
        Err(found) => {
            let lines: Vec<_> = found.iter().take(SHOWN).map(ToString::to_string).collect();
            return (None, vec![Check::fail(name, lines.join("\n"), next)]);
        }
    };
    let lines: Vec<_> = bundle
        .warnings()
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect();
    let clean = if lines.is_empty() {
        Check::ok(name, format!("{folder} is clean"))
    } else {
        Check::warn(name, lines.join("\n"), next)
    };
    let manifest = match files
        .get(MANIFEST)
        .map(|text| Manifest::verify(text, &files))
    {
        Some(Ok(manifest)) => manifest,
        Some(Err(error)) => return (None, vec![clean, unsigned(&chain(&error))]),
        None => return (None, vec![clean, unsigned("the folder has no manifest")]),
    };
    let signed = signatures(config, &files, manifest.hash());
    (Some(bundle.under(&manifest)), vec![clean, signed])
}

fn unsigned(reason: &str) -> Check {
    let next = "Run `strongroom policy sign` with the officers' keys.";
    Check::fail("policy-signatures", reason, next)
}

fn signatures(config: &Config, files: &Files, hash: BundleHash) -> Check {
    let name = "policy-signatures";
    let Some(genesis) = config.genesis() else {
        let next = "`strongroom policy check` shows the fingerprint; compare it with the officers.";
        return Check::fail(
            name,
            "genesis is not sha256: and 64 hexadecimal digits",
            next,
        );
    };
    match load(files, Trust::Pinned(genesis)) {
        Ok(_) => Check::ok(
            name,
            format!("the first bundle, {hash}, signed by its officers"),
        ),
        Err(LoadError::Hash { .. }) => later(config, files, hash),
        Err(error) => unsigned(&chain(&error)),
    }
}

/// A bundle after the first is signed by officers of the one that it replaces, which the data
/// folder keeps.
fn later(config: &Config, files: &Files, hash: BundleHash) -> Check {
    let name = "policy-signatures";
    let kept = match kept(config) {
        Ok(kept) => kept,
        Err(error) => {
            let detail = format!(
                "bundle {hash} is not the first one, and the earlier ones cannot be read: {error}"
            );
            return Check::warn(name, detail, "Run this as the user that signerd runs as.");
        }
    };
    if kept.contains(&hash) {
        return Check::ok(name, format!("bundle {hash}, which governed already"));
    }
    let store = BundleStore::of(&config.data);
    for running in kept.iter().filter_map(|hash| store.load(*hash).ok()) {
        if load(files, Trust::Running(&running)).is_ok() {
            let detail = format!(
                "bundle {hash}, signed by officers of bundle {}",
                running.hash
            );
            return Check::ok(name, detail);
        }
    }
    let detail = format!(
        "bundle {hash} is not the one in genesis, and no earlier bundle's officers have signed it"
    );
    let next = "Compare the fingerprint with the officers. To replace the bundle that governs, let its officers sign the new one.";
    Check::fail(name, detail, next)
}

fn kept(config: &Config) -> Result<Vec<BundleHash>, std::io::Error> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(config.data.join("bundles"))? {
        // What has another name is a draft that a crash left.
        kept.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<BundleHash>().ok()),
        );
    }
    Ok(kept)
}
