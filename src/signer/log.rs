//! Logs: one JSON object a line on standard error, without secrets and without request bodies.

use std::error::Error;

use tracing_subscriber::EnvFilter;

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`).
///
/// # Errors
/// When the level is not one of these.
pub fn start(level: &str) -> Result<(), String> {
    if !matches!(level, "error" | "warn" | "info" | "debug") {
        return Err(format!(
            "log.level is {level:?}, not error, warn, info or debug"
        ));
    }
    // Libraries log what peers sent at their lower levels; only our own crates go below warn.
    let own = ["signerd", "journal", "keys", "policy", "tx"];
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

/// An error with all its causes, in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
