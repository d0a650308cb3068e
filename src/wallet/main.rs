//! `walletd`: the coordinator's daemon.

use std::{path::PathBuf, process::ExitCode};

use wallet::{config::Config, daemon, process, text::chain};

const USAGE: &str = "\
usage: walletd --config FILE          serve
       walletd --config FILE --check  whether it would start, without starting it
       walletd --version";

/// `EX_CONFIG` of `sysexits.h`: a restart does not help.
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { message, code }) => {
            eprintln!("walletd: {message}");
            code
        }
    }
}

/// Why the process ends, and with which code.
struct Failure {
    message: String,
    code: ExitCode,
}

impl Failure {
    fn passing(message: String) -> Self {
        Self {
            message,
            code: ExitCode::FAILURE,
        }
    }

    fn lasting(message: String) -> Self {
        Self {
            message,
            code: ExitCode::from(EXIT_CONFIG),
        }
    }
}

/// What the process is to do.
struct Arguments {
    config: Option<PathBuf>,
    task: Task,
}

enum Task {
    Serve,
    Check,
    Version,
}

fn arguments() -> Option<Arguments> {
    let mut parsed = Arguments {
        config: None,
        task: Task::Serve,
    };
    let mut rest = std::env::args_os().skip(1);
    while let Some(argument) = rest.next() {
        match argument.to_str()? {
            "--config" => parsed.config = Some(PathBuf::from(rest.next()?)),
            "--check" => parsed.task = Task::Check,
            "--version" => parsed.task = Task::Version,
            _ => return None,
        }
    }
    Some(parsed)
}

fn run() -> Result<(), Failure> {
    let usage = || Failure::lasting(USAGE.into());
    let Arguments { config, task } = arguments().ok_or_else(usage)?;
    if matches!(task, Task::Version) {
        println!("walletd {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    process::harden()
        .map_err(|error| Failure::passing(format!("the process cannot be hardened: {error}")))?;
    let path = config.ok_or_else(usage)?;
    let config = Config::read(&path).map_err(|error| Failure::lasting(causes(&error)))?;
    let failure = |error: daemon::DaemonError| {
        if error.is_lasting() {
            Failure::lasting(causes(&error))
        } else {
            Failure::passing(causes(&error))
        }
    };
    if matches!(task, Task::Check) {
        daemon::check(&config).map_err(failure)?;
        println!("ok");
        return Ok(());
    }
    process::log(&config.log.level).map_err(Failure::passing)?;
    // One thread: a payout is mostly waiting for others, and of several threads one that sleeps is
    // woken for each answer. The database has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::passing(error.to_string()))?;
    runtime.block_on(daemon::run(config)).map_err(|error| {
        tracing::error!(error = %chain(&error), "not started");
        failure(error)
    })
}

/// An error with its causes, on as many lines as they have.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
