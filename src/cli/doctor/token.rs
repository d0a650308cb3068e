//! The token: reached by a process of its own, with the environment of the key child.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ::keys::Profile;
use ::policy::Policy;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tx::Name;

use super::check::{Check, chain};
use super::config::{Config, Device};
use crate::files;

/// The file that signerd leaves when the device rejected the PIN.
const PIN_REJECTED: &str = "pin-rejected";
/// A module that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn checks(config: &Config, policy: Option<&Policy>, login: bool) -> Vec<Check> {
    let device = &config.device;
    let (profile, pin_file, rejected) = (profile(device), pin_file(device), rejected(config));
    let may_log_in = login && rejected.is_none();
    let mut checks = vec![profile, pin_file];
    checks.push(checkpoints(device, policy));
    checks.push(rejected.unwrap_or_else(|| Check::ok("pin", "not known to be rejected")));
    match ask(device, "token", &[]) {
        Ok(token) => {
            let said = |field: &str| {
                token
                    .get(field)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let (serial, model) = (said("serial"), said("model"));
            let detail = format!("{:?}, {model}, serial {serial}", said("label"));
            checks.push(Check::ok("token", detail));
            checks.extend(policy.and_then(|policy| named(policy, &serial)));
            if may_log_in {
                checks.push(keys(device, policy));
            }
        }
        Err(trouble) => checks.push(Check::fail("token", trouble.what, trouble.next)),
    }
    checks
}

/// Whether the bundle names the device, where it names any.
fn named(policy: &Policy, serial: &str) -> Option<Check> {
    let (name, named) = ("device", policy.devices.as_ref()?);
    Some(match named.contains(serial) {
        true => Check::ok(name, "the policy names it"),
        false => Check::fail(
            name,
            format!(
                "the policy names no device with the serial number {serial}: no key on it is used"
            ),
            "Use one that it names; or add the number to [devices] in a bundle that officers sign, which waits for its delay.",
        ),
    })
}

fn checkpoints(device: &Device, policy: Option<&Policy>) -> Check {
    let name = "checkpoints";
    let next = "Run `strongroom keys generate --purpose checkpoint --algorithm ed25519`, and name the key in [device]: checkpoint_key.";
    let witnesses = policy.is_some_and(|policy| policy.witnesses.is_some());
    match &device.checkpoint_key {
        Some(key) => Check::ok(name, format!("key {key} signs them")),
        None if witnesses => Check::fail(
            name,
            "the policy names witnesses and no key signs the checkpoints that they would cosign: nothing that is signed is released",
            next,
        ),
        None => Check::warn(
            name,
            "no key signs checkpoints: nobody can prove what was decided, or see an older copy of the journal",
            next,
        ),
    }
}

fn profile(device: &Device) -> Check {
    match Profile::read(&device.profile) {
        Ok(profile) if profile.knows_safe_firmware() => Check::ok("firmware-profile", profile.name),
        Ok(profile) => Check::warn(
            "firmware-profile",
            format!("{} does not know which firmware is safe", profile.name),
            "Ask the vendor, and write the answer into a copy of the profile, with its source.",
        ),
        Err(error) => {
            let next = "firmware-profiles/ has one for each model; its README explains them.";
            Check::fail("firmware-profile", chain(&error), next)
        }
    }
}

fn pin_file(device: &Device) -> Check {
    let (name, path) = ("pin-file", &device.pin_file);
    let shown = path.display();
    let next =
        format!("Write the PIN into {shown}, with mode 0600 and the user of signerd as its owner.");
    if let Err(error) = files::check_private(path) {
        return Check::fail(name, chain(&error), next);
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && (1..=256).contains(&metadata.len()) => {
            Check::ok(name, format!("{shown} is private"))
        }
        _ => Check::fail(name, format!("{shown} holds no PIN"), next),
    }
}

fn rejected(config: &Config) -> Option<Check> {
    let path = config.data.join(PIN_REJECTED);
    let shown = path.display();
    let next = format!(
        "Correct the PIN file, then remove {shown}; each wrong try brings the token nearer to being locked."
    );
    path.exists()
        .then(|| Check::fail("pin", "the device rejected the PIN", next))
}

/// Whether the keys of the policy's accounts are on the token and can be used.
fn keys(device: &Device, policy: Option<&Policy>) -> Check {
    let name = "keys";
    let pin_file = device.pin_file.display().to_string();
    let listed = match ask(device, "list", &["--pin-file", &pin_file]) {
        Ok(listed) => listed,
        Err(trouble) => return Check::fail(name, trouble.what, trouble.next),
    };
    let keys = listed
        .get("keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let spend = keys.filter(|key| key.get("purpose").and_then(Value::as_str) == Some("spend"));
    let usable: BTreeSet<Name> = spend
        .filter_map(|key| key.get("name")?.as_str()?.parse().ok())
        .collect();
    let Some(policy) = policy else {
        let next = "Mend the policy first.";
        return Check::warn(
            name,
            format!(
                "{} can be used; which are needed is not known",
                usable.len()
            ),
            next,
        );
    };
    let needed = policy.accounts.values().flat_map(|account| &account.keys);
    let missing: Vec<_> = needed
        .filter(|key| !usable.contains(*key))
        .map(Name::as_str)
        .collect();
    if missing.is_empty() {
        return Check::ok(
            name,
            format!(
                "{} can be used, all that the policy names among them",
                usable.len()
            ),
        );
    }
    let detail = format!(
        "the policy names keys that are not on the token or not usable: {}",
        missing.join(", ")
    );
    Check::fail(
        name,
        detail,
        "See `strongroom keys list`; make what is missing with `strongroom keys generate`.",
    )
}

/// Why the token gave no answer.
struct Trouble {
    what: String,
    next: String,
}

/// Asks the token in a process of its own: the module reads that process's environment, and what
/// it breaks is not this process.
fn ask(device: &Device, verb: &str, arguments: &[&str]) -> Result<Value, Trouble> {
    let next = "Check [device] of the configuration.";
    let trouble = |what: String| Trouble {
        what,
        next: next.to_owned(),
    };
    let mut command = Command::new("/proc/self/exe");
    command
        .env_clear()
        .envs(&device.environment)
        .args(["--json", "keys", verb])
        .args(device.token.iter().flat_map(|label| ["--token", label]))
        .args(option("--module", device.module.as_ref()))
        .args(option("--keystore", device.keystore.as_ref()))
        .arg("--profile")
        .arg(&device.profile)
        .args(arguments);
    if let Some(serial) = &device.serial {
        command.args(["--serial", serial]);
    }
    let output = output_in_time(&mut command).map_err(trouble)?;
    if output.status.success() {
        return serde_json::from_slice(&output.stdout).map_err(|error| trouble(error.to_string()));
    }
    let said: Option<Value> = serde_json::from_slice(&output.stderr).ok();
    let Some(error) = said.as_ref().and_then(|said| said.get("error")) else {
        return Err(trouble(format!(
            "the module ended its process: {}",
            output.status
        )));
    };
    let text = |field: &str| {
        error
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let why = error
        .get("why")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let why: Vec<_> = why.filter_map(Value::as_str).collect();
    Err(Trouble {
        what: format!("{}: {}", text("message"), why.join(": ")),
        next: text("next"),
    })
}

/// An option and its value, where it has one.
fn option<'a>(name: &'a str, value: Option<&'a PathBuf>) -> impl Iterator<Item = &'a OsStr> {
    value
        .into_iter()
        .flat_map(move |value| [OsStr::new(name), value.as_os_str()])
}

fn output_in_time(command: &mut Command) -> Result<Output, String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| error.to_string())?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody waits any more when the time is up.
        let _ = sender.send(child.wait_with_output());
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(output) => output.map_err(|error| error.to_string()),
        Err(_) => {
            if let Some(pid) = pid {
                // If it has ended by now, there is nothing left to end.
                let _ = kill_process(pid, Signal::KILL);
            }
            Err(format!(
                "the module gave no answer in {} s",
                PATIENCE.as_secs()
            ))
        }
    }
}
