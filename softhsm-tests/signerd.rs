//! The daemon, as an operator runs it.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{ChildStdin, Command, ExitStatus, Output},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    http,
    program::{self, Running, binary, is_running, output, pause, until},
};

/// A daemon: supervisor, server and key child. All three are killed when it is dropped.
#[derive(Debug)]
pub struct Signerd {
    supervisor: Running,
    health: SocketAddr,
    violations: PathBuf,
}

/// One of the daemon's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Journal, policy and API.
    Server,
    /// The PKCS#11 module.
    KeyChild,
}

impl Role {
    fn argument(self) -> &'static [u8] {
        match self {
            Self::Server => b"server",
            Self::KeyChild => b"key-child",
        }
    }
}

/// Runs `signerd` with these arguments to its end.
pub fn signerd(config: &Path, arguments: &[&str]) -> Output {
    output(
        Command::new(binary("signerd"))
            .arg("--config")
            .arg(config)
            .args(arguments),
    )
}

impl Signerd {
    /// Starts it, and waits for nothing.
    pub fn start(config: &Path, health: SocketAddr) -> Self {
        let mut command = Command::new(binary("signerd"));
        Self::start_as(command.arg("--config").arg(config), health, &log_of(config))
    }

    /// Starts it by another command, such as one that changes the clock.
    pub fn start_as(command: &mut Command, health: SocketAddr, log: &Path) -> Self {
        Self {
            supervisor: Running::start(command, log),
            health,
            violations: log.with_extension(VIOLATIONS),
        }
    }

    /// Starts it at a terminal, and waits for nothing; what is typed there.
    pub fn at_terminal(config: &Path, health: SocketAddr) -> (Self, ChildStdin) {
        let mut command = Command::new(binary("signerd"));
        let mut command = program::at_terminal(command.arg("--config").arg(config));
        let (supervisor, input) = Running::start_with_input(&mut command, &log_of(config));
        let daemon = Self {
            supervisor,
            health,
            violations: violations_of(config),
        };
        (daemon, input)
    }

    /// Waits until it would sign.
    pub fn ready(mut self) -> Self {
        let health = self.health;
        until("a daemon that is ready", || {
            if let Some(status) = self.supervisor.ended() {
                panic!("signerd ended with {status}: {}", self.supervisor.said());
            }
            matches!(ask_health(health, "/readyz"), Some((200, _))).then_some(())
        });
        self
    }

    /// What `/readyz` says, once it says that and not that the daemon is ready.
    pub fn not_ready(&mut self, why: &str) -> String {
        until(&format!("{why:?} on /readyz"), || {
            let (status, text) = ask_health(self.health, "/readyz")?;
            (status == 503 && text.contains(why)).then_some(text)
        })
    }

    /// Waits until a metric has the value.
    pub fn metric_is(&self, name: &str, is: impl Fn(u64) -> bool) -> u64 {
        until(&format!("the metric {name}"), || {
            self.metric(name).filter(|value| is(*value))
        })
    }

    /// The value of a metric.
    pub fn metric(&self, name: &str) -> Option<u64> {
        let (_, text) = ask_health(self.health, "/metrics")?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")))?;
        line.parse().ok()
    }

    /// The supervisor's process id.
    pub fn pid(&self) -> Pid {
        self.supervisor.pid()
    }

    /// The process id of one of its children, while there is one.
    pub fn child(&self, role: Role) -> Option<Pid> {
        descendants(self.pid())
            .into_iter()
            .find(|pid| has_argument(*pid, role.argument()))
    }

    /// The key child with this in its environment, while there is one.
    pub fn key_child_with(&self, text: &str) -> Option<Pid> {
        let children = descendants(self.pid()).into_iter();
        let mut key_children = children.filter(|pid| has_argument(*pid, Role::KeyChild.argument()));
        key_children.find(|pid| {
            let file = format!("/proc/{}/environ", pid.as_raw_nonzero());
            let environment = fs::read(file).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(text)
        })
    }

    /// Waits until each of these devices is asked.
    pub fn usable(&self, devices: &[&str]) {
        for device in devices {
            self.metric_is(&usable(device), |usable| usable == 1);
        }
    }

    /// What it has logged since the data folder was made.
    pub fn said(&self) -> String {
        self.supervisor.said()
    }

    /// Waits until it has logged this, and returns the line.
    pub fn logged(&self, part: &str) -> String {
        until(&format!("{part:?} in the log"), || {
            self.said()
                .lines()
                .find(|line| line.contains(part))
                .map(str::to_owned)
        })
    }

    /// Sends the supervisor a signal.
    pub fn signal(&self, signal: Signal) {
        self.supervisor.signal(signal);
    }

    /// How it ended, once it has.
    pub fn wait(&mut self) -> ExitStatus {
        self.supervisor.wait()
    }

    /// Stops it as systemd does.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Kills the supervisor and the server at once. The key child ends with them, unless it is in
    /// the middle of logging in: then at the end of that.
    pub fn kill(mut self) {
        self.kill_all();
    }

    fn kill_all(&mut self) {
        if self.supervisor.ended().is_none() {
            // Stopped, it starts no further child while its children are looked for.
            pause(self.pid());
        }
        let children = children(self.pid());
        if let Some(server) = self.child(Role::Server) {
            // It may have ended by itself.
            let _ = kill_process(server, Signal::KILL);
        }
        self.supervisor.kill();
        for child in children {
            until("the end of a killed process", || {
                (!is_running(child)).then_some(())
            });
        }
    }
}

/// How the supervisor's log says that a process made a system call that it may not make.
pub const VIOLATION: &str = "ended at a system call that it may not make";

const VIOLATIONS: &str = "violations";

/// A file that is there where tests let processes of a daemon with this configuration make such calls.
pub fn violations_of(config: &Path) -> PathBuf {
    config.with_extension(VIOLATIONS)
}

impl Drop for Signerd {
    /// # Panics
    /// When a process of it made a system call that is not on its list.
    fn drop(&mut self) {
        self.kill_all();
        if !thread::panicking() && !self.violations.exists() {
            let said = self.said();
            let violation = said.lines().find(|line| line.contains(VIOLATION));
            assert_eq!(violation, None);
        }
    }
}

/// The metric that is 1 while this device is asked.
pub fn usable(device: &str) -> String {
    format!("signerd_device_usable{{device=\"{device}\"}}")
}

/// Where a daemon with this configuration logs to.
pub fn log_of(config: &Path) -> PathBuf {
    config.with_extension("log")
}

/// Asks the health listener; `None` when nobody answers.
pub fn ask_health(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let answer = http::exchange(&mut stream, &http::request("GET", path, None)).ok()?;
    Some((answer.status, answer.text()))
}

fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    let tasks = tasks.into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Its children, their children, and so on: it may have been started by a script.
fn descendants(pid: Pid) -> Vec<Pid> {
    let below = |child: Pid| std::iter::once(child).chain(descendants(child));
    children(pid).into_iter().flat_map(below).collect()
}

fn has_argument(pid: Pid, argument: &[u8]) -> bool {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|one| one == argument)
}
