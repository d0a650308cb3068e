//! Other programs: where they are, running them to their end, and holding those that do not end.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything here may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// A binary of this workspace, as it was built last; for the daemons those that the variables
/// `SIGNERD` and `WALLETD` name, if any.
///
/// # Panics
/// When it has not been built.
pub fn binary(name: &str) -> PathBuf {
    let variable = match name {
        "signerd" => Some("SIGNERD"),
        "walletd" => Some("WALLETD"),
        _ => None,
    };
    if let Some(path) = variable.and_then(std::env::var_os) {
        return path.into();
    }
    let test = std::env::current_exe().expect("the path of this test");
    // target/<profile>/deps/<test>, or target/<profile>/<program>
    let folder = test.parent().expect("a folder");
    let profile = if folder.ends_with("deps") {
        folder.parent()
    } else {
        Some(folder)
    };
    let profile = profile.expect("a target folder");
    let binary = profile.join(name);
    let build = "build it first: cargo build --workspace";
    assert!(binary.exists(), "{} is missing; {build}", binary.display());
    binary
}

/// A file of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Runs a command that must succeed.
///
/// # Panics
/// When it cannot be run or fails, with what it said.
pub fn run(command: &mut Command) -> Output {
    let output = output(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}: {said}",
        output.status
    );
    output
}

/// Runs a command that may fail.
///
/// # Panics
/// When it cannot be run: softhsm-tests/run installs what is needed.
pub fn output(command: &mut Command) -> Output {
    match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}; softhsm-tests/run installs what is missing"),
    }
}

/// Looks until there is something.
///
/// # Panics
/// When there is nothing for [`PATIENCE`].
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look)
}

/// Looks until there is something.
///
/// # Panics
/// When there is nothing for this long.
pub fn until_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {patience:?}");
        std::thread::sleep(LOOK);
    }
}

/// The command at a terminal, on which is what comes in by the input of this one. It ends with the terminal.
pub fn at_terminal(command: &Command) -> Command {
    let quoted = |argument: &OsStr| format!("'{}'", argument.to_str().expect("UTF-8"));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(quoted).collect::<Vec<_>>().join(" ");
    // Both from util-linux.
    let line = format!("exec setpriv --pdeathsig KILL {line}");
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--echo", "never", "--command"]);
    terminal.args([&line, "/dev/null"]);
    terminal
}

/// A program that runs until it is told to stop; killed when dropped. What it says is in a file.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a program; its output goes to the end of `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        Self::start_with(command.stdin(Stdio::null()), log)
    }

    /// Starts a program that has this command's input.
    fn start_with(command: &mut Command, log: &Path) -> Self {
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(log)
                .expect("the log")
        };
        command.stdout(open()).stderr(open());
        match command.spawn() {
            Ok(child) => Self {
                child,
                log: log.to_owned(),
            },
            Err(error) => {
                panic!("{command:?}: {error}; softhsm-tests/run installs what is missing")
            }
        }
    }

    /// As [`Self::start`], with an input that is written to.
    pub fn start_with_input(command: &mut Command, log: &Path) -> (Self, ChildStdin) {
        let mut running = Self::start_with(command.stdin(Stdio::piped()), log);
        let input = running.child.stdin.take().expect("its input");
        (running, input)
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a running process");
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let pid = self.child.id();
        until(&format!("the end of process {pid}"), || self.ended())
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.said());
        }
    }
}

/// Stops a process. When a signal was sent, threads that do not run just then, or that did not get it,
/// still go on for as long as the machine is busy: this waits until none does.
///
/// # Panics
/// When there is no such process, or it does not stop.
pub fn pause(process: Pid) {
    kill_process(process, Signal::STOP).expect("a running process");
    until("a stopped process", || is_stopped(process).then_some(()));
}

/// Whether none of its threads goes on.
///
/// # Panics
/// When there is no such process.
pub fn is_stopped(process: Pid) -> bool {
    let threads = format!("/proc/{}/task", process.as_raw_nonzero());
    let mut threads = fs::read_dir(threads).expect("a process");
    threads.all(|thread| {
        let state = state_at(&thread.expect("a thread").path());
        // One that has ended does not go on either.
        matches!(state, None | Some('T' | 'Z' | 'X'))
    })
}

/// Whether any thread of it still holds files: its first thread may have ended before the others.
pub fn is_running(process: Pid) -> bool {
    let process = PathBuf::from(format!("/proc/{}", process.as_raw_nonzero()));
    match state_at(&process) {
        None | Some('X') => false,
        Some('Z') => fs::read_dir(process.join("task")).is_ok_and(|tasks| tasks.count() > 1),
        Some(_) => true,
    }
}

/// The state of a process or of a thread (proc_pid_stat(5)), if there is one.
fn state_at(folder: &Path) -> Option<char> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    let (_, after) = stat.rsplit_once(") ")?;
    after.chars().next()
}
