//! `signerd`: the signing daemon.

use std::{
    os::{fd::AsFd, unix::net::UnixStream},
    path::PathBuf,
    process::ExitCode,
};

use journal::SystemClock;
use signerd::{
    ceremony, check,
    config::{Config, PinFrom},
    governance, hardening,
    hardening::{
        files, memory, notes,
        places::{Places, Tcp},
        system_calls::{self, Process},
        user,
    },
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
    KeyChild(Cage),
}

/// What a key child is held to, which has no configuration.
#[derive(Default)]
struct Cage {
    places: Places,
    user: Option<String>,
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
            Some("--network") => parsed.cage()?.places.tcp = Tcp::Connects,
            Some("--read") => {
                let place = rest.next().ok_or(USAGE)?.into();
                parsed.cage()?.places.reads.push(place);
            }
            Some("--write") => {
                let place = rest.next().ok_or(USAGE)?.into();
                parsed.cage()?.places.writes.push(place);
            }
            Some("--user") => {
                let user = rest.next().and_then(|user| user.into_string().ok());
                parsed.cage()?.user = Some(user.ok_or(USAGE)?);
            }
            Some("--role") => {
                parsed.task = match rest.next().as_deref().and_then(|role| role.to_str()) {
                    Some("server") => Task::Server,
                    Some("key-child") => Task::KeyChild(Cage::default()),
                    _ => return Err(USAGE.into()),
                }
            }
            _ => return Err(USAGE.into()),
        }
    }
    Ok(parsed)
}

impl Arguments {
    /// Of a key child, whose role is said before.
    fn cage(&mut self) -> Result<&mut Cage, String> {
        match &mut self.task {
            Task::KeyChild(cage) => Ok(cage),
            _ => Err(USAGE.into()),
        }
    }
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
    not_dumpable()?;
    hardening::no_new_privileges()
        .map_err(|error| format!("new privileges cannot be ruled out: {error}"))?;
    if let Task::KeyChild(cage) = task {
        return key_child(&cage);
    }
    let path = config.ok_or(USAGE)?;
    let config = Config::read(&path).map_err(|error| log::chain(&error))?;
    match task {
        Task::Bootstrap | Task::SealReport | Task::Unseal(_) | Task::Prune(_) => {
            // What they make is the server's.
            if let Some(user) = &config.user {
                user::become_user(Some(user)).map_err(|error| log::chain(&error))?;
            }
        }
        _ => memory::allow_locking(),
    }
    match task {
        Task::Check => match check::check(&config) {
            Ok(()) => {
                for note in notes::of(&config) {
                    println!("note: {note}");
                }
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

fn key_child(cage: &Cage) -> Result<ExitCode, String> {
    hold(cage.user.as_deref(), &cage.places)?;
    let network = cage.places.tcp == Tcp::Connects;
    system_calls::restrict_loading(network).map_err(|error| log::chain(&error))?;
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

fn not_dumpable() -> Result<(), String> {
    keys::not_dumpable().map_err(|error| format!("core dumps cannot be ruled out: {error}"))
}

/// What server and key child give up before they have a second thread.
fn hold(user: Option<&str>, places: &Places) -> Result<(), String> {
    user::become_user(user).map_err(|error| log::chain(&error))?;
    // Another user is another word on that, which the machine's administrator has.
    not_dumpable()?;
    memory::lock().map_err(|error| format!("memory cannot be locked: {error}"))?;
    files::restrict(places).map_err(|error| log::chain(&error))
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
    log::start(&config.log.level)?;
    hold(config.user.as_deref(), &Places::of_server(&config))?;
    // Behind it: who becomes another user forgets this.
    hardening::end_with_parent().map_err(|error| error.to_string())?;
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
    let users = user::check(config).and_then(|()| user::keep_for_others(config));
    users.map_err(|error| log::chain(&error))?;
    for note in notes::of(config) {
        tracing::warn!(note, "it is not as hard as it could be");
    }
    if config
        .device
        .members()
        .any(|(_, device)| device.pin == PinFrom::Prompt)
    {
        // What is typed is kept.
        memory::lock().map_err(|error| format!("memory cannot be locked: {error}"))?;
    }
    let keepers = supervisor::keepers(config).map_err(|error| log::chain(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime
        .block_on(supervisor::run(path, keepers))
        .map_err(|error| error.to_string())
}
