//! `signerd`: the signing daemon.

use std::{
    os::{fd::AsFd, unix::net::UnixStream},
    path::PathBuf,
    process::ExitCode,
};

use journal::SystemClock;
use signerd::{
    ceremony, check,
    config::Config,
    governance, hardening,
    hardening::system_calls::{self, Process},
    log, prune, server, supervisor, unseal,
};

/// How a key child ends that cannot give up what it must.
const UNRESTRICTED: i32 = 71;

const USAGE: &str = "\
usage: signerd --config FILE              serve
       signerd --config FILE --check      whether it would start, without starting it
       signerd --config FILE --bootstrap  make the journal of a new appliance
       signerd --config FILE --seal-report
                                          say what a sealed daemon found, for officers to decide
       signerd --config FILE --unseal STATEMENT --signature FILE...
                                          let it go on, or begin a new epoch, by a statement that enough
                                          of them signed
       signerd --config FILE --prune STATEMENT --signature FILE...
                                          remove old bodies, by a statement that enough of them signed
       signerd --version";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(message) => {
            eprintln!("signerd: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What the process is to do.
struct Arguments {
    config: Option<PathBuf>,
    task: Task,
    signatures: Vec<PathBuf>,
}

enum Task {
    Serve,
    Check,
    Bootstrap,
    SealReport,
    Unseal(PathBuf),
    Prune(PathBuf),
    Version,
    /// Started by the supervisor.
    Server,
    /// Started by the supervisor.
    KeyChild {
        network: bool,
    },
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments {
        config: None,
        task: Task::Serve,
        signatures: Vec::new(),
    };
    let mut rest = std::env::args_os().skip(1);
    while let Some(argument) = rest.next() {
        match argument.to_str() {
            Some("--config") => parsed.config = rest.next().map(PathBuf::from),
            Some("--check") => parsed.task = Task::Check,
            Some("--bootstrap") => parsed.task = Task::Bootstrap,
            Some("--seal-report") => parsed.task = Task::SealReport,
            Some("--unseal") => parsed.task = Task::Unseal(rest.next().ok_or(USAGE)?.into()),
            Some("--prune") => parsed.task = Task::Prune(rest.next().ok_or(USAGE)?.into()),
            Some("--signature") => parsed.signatures.push(rest.next().ok_or(USAGE)?.into()),
            Some("--version") => parsed.task = Task::Version,
            Some("--network") => match &mut parsed.task {
                Task::KeyChild { network } => *network = true,
                _ => return Err(USAGE.into()),
            },
            Some("--role") => {
                parsed.task = match rest.next().as_deref().and_then(|role| role.to_str()) {
                    Some("server") => Task::Server,
                    Some("key-child") => Task::KeyChild { network: false },
                    _ => return Err(USAGE.into()),
                }
            }
            _ => return Err(USAGE.into()),
        }
    }
    Ok(parsed)
}

fn run() -> Result<ExitCode, String> {
    let Arguments {
        config,
        task,
        signatures,
    } = arguments()?;
    if matches!(task, Task::Version) {
        println!("signerd {}", env!("CARGO_PKG_VERSION"));
        return Ok(ExitCode::SUCCESS);
    }
    hardening::not_dumpable()
        .map_err(|error| format!("core dumps cannot be ruled out: {error}"))?;
    hardening::no_new_privileges()
        .map_err(|error| format!("new privileges cannot be ruled out: {error}"))?;
    if let Task::KeyChild { network } = task {
        return key_child(network);
    }
    let path = config.ok_or(USAGE)?;
    let config = Config::read(&path).map_err(|error| log::chain(&error))?;
    match task {
        Task::Check => match check::check(&config) {
            Ok(()) => {
                println!("ok");
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => Err(error.explain()),
        },
        Task::Bootstrap => bootstrap(&config),
        Task::SealReport => seal_report(&config),
        Task::Unseal(statement) => carry_out(&config, &statement, &signatures),
        Task::Prune(statement) => prune(&config, &statement, &signatures),
        Task::Server => serve(config),
        _ => supervise(&path, &config),
    }
}

fn key_child(network: bool) -> Result<ExitCode, String> {
    let socket = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| error.to_string())?;
    Ok(keys::child::run(UnixStream::from(socket), || {
        // Refused, it still ends with the server, at the end of the socket.
        let _ = hardening::end_with_parent();
        if let Err(error) = system_calls::restrict(Process::KeyChild { network }) {
            eprintln!("signerd: {}", log::chain(&error));
            std::process::exit(UNRESTRICTED);
        }
    }))
}

/// The ceremony of the first start: a journal for the fleet of a bundle whose fingerprint a person
/// compared. What it would begin is shown before anything is made (`docs/ceremony.md`).
fn bootstrap(config: &Config) -> Result<ExitCode, String> {
    let (bundle, _) = governance::first(config).map_err(|error| log::chain(&error))?;
    print!("{}", ceremony::shown(&bundle, &config.policy));
    let policy = bundle.into_policy();
    let clock = SystemClock::new().map_err(|error| error.to_string())?;
    unseal::check_unused(&config.data).map_err(|error| log::chain(&error))?;
    unseal::make_folder(&config.data)
        .map_err(|error| format!("{}: {error}", config.data.display()))?;
    journal::create(&config.data, policy.fleet.clone(), &clock)
        .map_err(|error| log::chain(&error))?;
    println!("journal      {}", config.data.display());
    println!("every limit begins unused: its keys must never have signed");
    Ok(ExitCode::SUCCESS)
}

fn seal_report(config: &Config) -> Result<ExitCode, String> {
    let report = unseal::report(config).map_err(|error| log::chain(&error))?;
    let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

fn carry_out(
    config: &Config,
    statement: &std::path::Path,
    signatures: &[PathBuf],
) -> Result<ExitCode, String> {
    let done = unseal::carry_out(config, statement, signatures);
    let done = done.map_err(|error| log::chain(&error))?;
    println!("statement    sha256:{}", done.statement);
    println!("entries      {}", done.entries);
    Ok(ExitCode::SUCCESS)
}

fn prune(
    config: &Config,
    statement: &std::path::Path,
    signatures: &[PathBuf],
) -> Result<ExitCode, String> {
    let done = prune::carry_out(config, statement, signatures);
    let done = done.map_err(|error| log::chain(&error))?;
    println!("statement    sha256:{}", done.statement);
    println!("pruned       {}", done.before);
    Ok(ExitCode::SUCCESS)
}

fn serve(config: Config) -> Result<ExitCode, String> {
    hardening::end_with_parent().map_err(|error| error.to_string())?;
    log::start(&config.log.level)?;
    // One core is left to the journal's writer and the device, which every request waits for.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.saturating_sub(1).max(1))
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let outcome = runtime.block_on(server::run(config));
    outcome.map_err(|error| {
        let message = log::chain(&error);
        tracing::error!(error = message, "not started");
        message
    })
}

fn supervise(path: &std::path::Path, config: &Config) -> Result<ExitCode, String> {
    log::start(&config.log.level)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime
        .block_on(supervisor::run(path, config))
        .map_err(|error| error.to_string())
}
