//! A SoftHSM token of its own for each test, and a key child over it.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{
    child,
    device::{TestDevice, start},
};
use crate::{
    Authorized, Backend, KeyId, KeyPool, KeyPurpose, MemberId, PoolEvent, Profile, PublicKey,
    SignError, TokenSelector, Told,
    authorized::Signing,
    pool::{AttachError, Expected, greeting},
    protocol::{Hello, Pin, SignInput, Text},
    verify::Signature,
};

pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// OpenSC's module that hands every call on to another and writes it down.
pub(crate) const SPY: &str = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";
pub(crate) const LABEL: &str = "strongroom";
pub(crate) const SO_PIN: &str = "12345678";
pub(crate) const PIN: &str = "24681357";
const CONFIG: &str = "SOFTHSM2_CONF";
/// Set where a test plays its part in a process of its own.
const PART: &str = "STRONGROOM_TEST_PART";

/// A folder with SoftHSM's configuration and its tokens.
pub(crate) struct SoftHsm {
    folder: TempDir,
}

/// A key child as a process of its own.
pub(crate) struct ChildProcess(Child);

pub(crate) fn profile() -> Profile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    Profile::read(&folder.join("../../firmware-profiles/softhsm-2.6.toml")).unwrap()
}

pub(crate) fn spend(name: &str) -> KeyId {
    KeyId {
        purpose: KeyPurpose::Spend,
        name: name.parse().unwrap(),
    }
}

pub(crate) fn selector() -> TokenSelector {
    TokenSelector {
        label: Some(Text::new(LABEL).unwrap()),
        serial: None,
    }
}

pub(crate) fn hello(pin: &str, sessions: u16) -> Hello {
    Hello {
        backend: Backend::Module(Text::new(MODULE).unwrap()),
        token: selector(),
        pin: Pin::new(pin).unwrap(),
        sessions,
        profile: profile().essentials().unwrap(),
    }
}

/// Greets a child as its owner does, and lets the pool take it into service.
pub(crate) async fn attach(
    pool: &KeyPool,
    socket: UnixStream,
    hello: Hello,
) -> Result<crate::TokenIdentity, AttachError> {
    attach_to(pool, MemberId::FIRST, socket, hello).await
}

/// [`attach`], as this token of the pool.
pub(crate) async fn attach_to(
    pool: &KeyPool,
    member: MemberId,
    mut socket: UnixStream,
    hello: Hello,
) -> Result<crate::TokenIdentity, AttachError> {
    let expected = Expected {
        token: hello.token.clone(),
        profile: hello.profile.clone(),
    };
    socket
        .write_all(&greeting(hello))
        .map_err(AttachError::Socket)?;
    pool.attach(member, 1, socket, expected).await
}

/// What is told next, of whichever token.
pub(crate) async fn next(events: &mut mpsc::Receiver<Told>) -> Option<PoolEvent> {
    events.recv().await.map(|told| told.event)
}

/// A digest for each number.
pub(crate) fn digest(call: u64) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(call.to_be_bytes()).into()
}

pub(crate) fn authorized(calls: &[(u64, &KeyId)]) -> Authorized {
    let signings = calls.iter().map(|(call, key)| Signing {
        call: *call,
        key: (*key).clone(),
        input: SignInput::Digest(digest(*call)),
    });
    Authorized::of_signings(signings.collect())
}

/// Signs one digest.
pub(crate) async fn sign(pool: &KeyPool, call: u64, key: &KeyId) -> Result<Signature, SignError> {
    let mut signatures = pool.sign(authorized(&[(call, key)])).await?;
    assert_eq!(signatures.len(), 1);
    Ok(signatures.remove(0))
}

/// Fails the test if `future` takes longer than anything here may.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future).await.expect("in time")
}

/// Something that is done in a process of its own, as PKCS#11 state and `SOFTHSM2_CONF` belong to
/// the process: by this test binary once more, in which one test runs alone and finds its own name in
/// the environment. (An example would be a program of its own, but `cargo test NAME` builds none.)
pub(crate) struct Part(&'static str);

impl Part {
    /// The part of this test.
    pub(crate) fn of<T>(test: &T) -> Self {
        let (_crate, name) = std::any::type_name_of_val(test).split_once("::").unwrap();
        Self(name)
    }

    /// Lets this test binary, which `command` runs, play the part alone.
    pub(crate) fn of_command(&self, command: &mut Command) {
        command.args(["--exact", "--nocapture", self.0]);
        command.env(PART, self.0);
    }

    pub(crate) fn is_played_here(&self) -> bool {
        env::var(PART).is_ok_and(|part| part == self.0)
    }
}

/// Plays `part` of `test` in a process with a token of its own; gives the token back once that has
/// passed, and nothing in that process itself.
pub(crate) fn in_own_process<T>(
    test: T,
    token: impl FnOnce() -> SoftHsm,
    part: impl FnOnce(),
) -> Option<SoftHsm> {
    let own = Part::of(&test);
    if own.is_played_here() {
        part();
        return None;
    }
    let softhsm = token();
    let output = softhsm.part(&own).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    // A name that is no test's would succeed too, with none.
    let played = output.status.success() && stdout.contains(" 1 passed;");
    assert!(played, "{}: {}: {stdout}{stderr}", own.0, output.status);
    Some(softhsm)
}

impl SoftHsm {
    /// No token yet.
    pub(crate) fn empty() -> Self {
        assert!(Path::new(MODULE).exists(), "SoftHSM is not installed");
        let folder = tempfile::tempdir().unwrap();
        let tokens = folder.path().join("tokens");
        fs::create_dir(&tokens).unwrap();
        let config = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nobjectstore.umask = 0077\n\
             log.level = ERROR\nslots.removable = false\n",
            tokens.display()
        );
        fs::write(folder.path().join("softhsm2.conf"), config).unwrap();
        Self { folder }
    }

    /// With one token, made by SoftHSM's own tool.
    pub(crate) fn with_token() -> Self {
        let softhsm = Self::empty();
        let arguments = [
            "--init-token",
            "--free",
            "--label",
            LABEL,
            "--so-pin",
            SO_PIN,
            "--pin",
            PIN,
        ];
        softhsm.tool("softhsm2-util", &arguments);
        softhsm
    }

    pub(crate) fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// Runs one of SoftHSM's or OpenSC's tools, which must succeed.
    pub(crate) fn tool(&self, program: &str, arguments: &[&str]) -> Output {
        let output = self
            .command(OsStr::new(program))
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {text}");
        output
    }

    /// Runs `pkcs11-tool`, logged in as the user.
    pub(crate) fn pkcs11_tool(&self, arguments: &[&str]) -> Output {
        let login = ["--module", MODULE, "--token-label", LABEL, "--pin", PIN];
        self.tool("pkcs11-tool", &[&login, arguments].concat())
    }

    /// Starts a key child whose hello names [`SPY`], which writes every call into [`Self::spied`].
    pub(crate) fn start_spied_child(&self) -> (ChildProcess, UnixStream) {
        let mut command = self.part(&child::part());
        command
            .env("PKCS11SPY", MODULE)
            .env("PKCS11SPY_OUTPUT", self.folder.path().join("spy"));
        start(command)
    }

    /// How often a PKCS#11 function was called.
    pub(crate) fn spied(&self, function: &str) -> usize {
        let log = fs::read_to_string(self.folder.path().join("spy")).unwrap();
        let named = |line: &&str| line.trim_end().ends_with(&format!(": {function}"));
        log.lines().filter(named).count()
    }
}

impl TestDevice for SoftHsm {
    fn new() -> Self {
        Self::with_token()
    }

    fn command(&self, program: &OsStr) -> Command {
        let mut command = Command::new(program);
        command.env(CONFIG, self.folder.path().join("softhsm2.conf"));
        command
    }

    fn hello(&self, sessions: u16) -> Hello {
        hello(PIN, sessions)
    }
}

impl ChildProcess {
    pub(crate) fn new(child: Child) -> Self {
        Self(child)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the process to end by itself.
    pub(crate) fn ended(mut self) -> ExitStatus {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < patience, "the key child does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the process at once.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The same check by k256: a second opinion.
pub(crate) fn verify_by_k256(public: &PublicKey, call: u64, signature: &Signature) {
    use k256::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
    let value = signature.ecdsa().unwrap();
    let key = VerifyingKey::from_sec1_bytes(public.as_bytes()).unwrap();
    let raw = Signature::from_scalars(value.r, value.s).unwrap();
    // k256 refuses a high s by itself.
    key.verify_prehash(&digest(call), &raw).unwrap();
}
