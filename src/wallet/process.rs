//! What the process gives up at its start, and how it logs.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tracing_subscriber::EnvFilter;

/// No core dump, no debugger of the same user, and no program that would give more privileges.
///
/// # Errors
/// As the operating system reports them.
pub fn harden() -> std::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`): one JSON object a line on standard
/// error, without secrets and without request bodies.
///
/// # Errors
/// When something logs already.
pub fn log(level: &str) -> Result<(), String> {
    // Libraries log what peers sent at their lower levels; only our own crates go below warn.
    let own = ["wallet", "walletd", "strongroom_api", "api", "rpc", "tx"];
    let directives: Vec<String> = own
        .iter()
        .map(|target| format!("{target}={level}"))
        .collect();
    let filter = EnvFilter::new(format!("warn,{}", directives.join(",")));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|error| error.to_string())
}
