//! What the key child and the server may not do, attempted from inside each of them.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Pid, getuid};
use strongroom_softhsm_tests::{
    evm::{Draft, ETHER},
    injected::{self, Function, Stopped},
    program::{binary, is_running, run, until},
    signerd::{Role, Signerd, VIOLATION, log_of, signerd, violations_of},
    world::{Client, MAIN, World},
};

use crate::support::{CUSTOMER, sender, transfer};

/// All that `shim/attempt.rs` knows and that ends who attempts it.
const ATTEMPTS: [&str; 12] = [
    "exec",
    "fork",
    "ptrace",
    "connect",
    "netlink",
    "read-memory",
    "code",
    "dumpable",
    "namespace",
    "filter",
    "keys",
    "user",
];

/// No other daemon of this world is held to it that no process of it made such a call.
fn expect_violations(world: &World) {
    fs::write(violations_of(&world.config()), "").unwrap();
}

#[test]
fn a_module_that_does_what_it_may_not_ends_and_the_next_child_signs() {
    let world = World::new().with_faults();
    expect_violations(&world);
    let mut daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let attempt = world.faults(MAIN).join("attempt");
    let survived = world.faults(MAIN).join("survived");
    for (nonce, name) in (0..).zip(ATTEMPTS) {
        let child = daemon.child(Role::KeyChild).unwrap();
        fs::write(&attempt, name).unwrap();
        let request = transfer(name, &from, &Draft::transfer(nonce, CUSTOMER, ETHER / 1000));
        let answer = client.send(&request);
        until("the end of the key child", || {
            (!is_running(child)).then_some(())
        });
        assert!(!survived.exists(), "{name}");
        assert!(!attempt.exists(), "{name}");
        daemon = daemon.ready();
        // Its authorisation was made, and is used up in another child.
        if answer.status != 200 {
            client.sign(&request);
        }
    }
    let said = daemon.said();
    assert_eq!(said.matches(VIOLATION).count(), ATTEMPTS.len(), "{said}");
    fs::write(&attempt, "nothing").unwrap();
    let last = u64::try_from(ATTEMPTS.len()).unwrap();
    client.sign(&transfer(
        "last",
        &from,
        &Draft::transfer(last, CUSTOMER, ETHER / 1000),
    ));
    assert!(survived.exists());
}

#[test]
fn a_server_that_does_what_it_may_not_ends_and_is_started_again() {
    let world = World::new();
    expect_violations(&world);
    world.bootstrap();
    let [attempt, survived] = ["attempt", "survived"].map(|name| world.data().join(name));
    let config = world.config();
    for name in ["nothing"].into_iter().chain(ATTEMPTS) {
        let _ = fs::remove_file(log_of(&config));
        let mut daemon = with_a_thread_that_attempts(&world);
        write_whole(&attempt, name);
        if name == "nothing" {
            until("an attempt of what is allowed", || {
                survived.exists().then_some(())
            });
            fs::remove_file(&survived).unwrap();
            continue;
        }
        let ended = daemon.wait();
        assert!(!ended.success(), "{name}: {ended}");
        assert!(
            daemon.said().contains(VIOLATION),
            "{name}: {}",
            daemon.said()
        );
        assert!(!survived.exists(), "{name}");
    }
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
}

/// A daemon in whose server a thread waits for attempts that its data folder names.
fn with_a_thread_that_attempts(world: &World) -> Signerd {
    let config = world.config();
    let mut command = Command::new(binary("signerd"));
    command
        .env("LD_PRELOAD", binary("libfault_shim.so"))
        .env("ATTEMPT_FOLDER", world.data())
        .arg("--config")
        .arg(&config);
    Signerd::start_as(&mut command, world.health(), &log_of(&config)).ready()
}

/// Whole at once: a thread of another process looks for it meanwhile.
fn write_whole(path: &Path, text: &str) {
    let written = path.with_extension("written");
    fs::write(&written, text).unwrap();
    fs::rename(&written, path).unwrap();
}

/// What the system answered to each attempt, once all were made.
fn answers(folder: &Path) -> BTreeMap<String, i32> {
    let survived = folder.join("survived");
    let text = until("the end of all attempts", || {
        fs::read_to_string(&survived).ok()
    });
    fs::remove_file(survived).unwrap();
    let lines = text.lines().map(|line| line.rsplit_once(": ").unwrap());
    lines
        .map(|(name, answer)| (name.to_owned(), answer.parse().unwrap()))
        .collect()
}

/// `EACCES`: not one that a file is not there, nor that the user may not.
const REFUSED: i32 = 13;
/// `EPERM`: what a filter of system calls answers.
const NOT_PERMITTED: i32 = 1;

fn attempts(verb: &str, paths: &[PathBuf]) -> Vec<String> {
    let each = paths
        .iter()
        .map(|path| format!("{verb} {}", path.display()));
    each.collect()
}

/// Whose mode would let root open them, as these tests may be.
fn of_the_machine(daemon: &Signerd) -> Vec<PathBuf> {
    let supervisor = format!("/proc/{}/environ", daemon.pid().as_raw_nonzero());
    [
        "/",
        "/root",
        "/home",
        "/etc/hostname",
        "/etc/shadow",
        "/bin/sh",
        "/dev/mem",
        &supervisor,
    ]
    .map(PathBuf::from)
    .into_iter()
    .filter(|path| path.exists())
    .collect()
}

fn journal_file(world: &World) -> PathBuf {
    let mut entries = fs::read_dir(world.data()).unwrap().map(Result::unwrap);
    let file = entries.find(|entry| entry.file_type().unwrap().is_file());
    file.unwrap().path()
}

#[test]
fn a_module_opens_nothing_beyond_its_places() {
    let world = World::new().with_faults();
    let daemon = world.start();
    let faults = world.faults(MAIN);
    let (certificate, key) = world.pki.files("signerd");
    let theirs = [
        world.folder().to_owned(),
        world.data(),
        journal_file(&world),
        world.config(),
        world.policy().join("manifest"),
        world.token.pin_file(),
        certificate,
        key,
    ];
    let own = [world.token.config(), world.token.tokens(), faults.clone()];
    let mut refused = attempts("open", &theirs);
    refused.extend(attempts("open", &of_the_machine(&daemon)));
    refused.extend(attempts(
        "write",
        &[world.token.config(), journal_file(&world)],
    ));
    refused.extend(attempts(
        "make",
        &[world.folder().join("made"), world.data().join("made")],
    ));
    refused.extend(attempts("remove", &[world.config(), journal_file(&world)]));
    let allowed = attempts("open", &own);
    let both = [refused.clone(), allowed.clone()].concat().join("\n");
    write_whole(&faults.join("attempt"), &both);
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
    let answers = answers(&faults);
    for attempt in &refused {
        assert_eq!(answers[attempt], REFUSED, "{attempt}");
    }
    for attempt in &allowed {
        assert_eq!(answers[attempt], 0, "{attempt}");
    }
    // It signs as before.
    client.sign(&transfer("more", &from, &Draft::transfer(1, CUSTOMER, 1)));
}

/// Everything but what a network asks for.
#[test]
fn a_module_behind_a_network_connects_and_does_nothing_else_that_it_may_not() {
    let world = World::new().with_faults();
    expect_violations(&world);
    let text = fs::read_to_string(world.config()).unwrap();
    let text = text.replace("[device]\n", "[device]\nnetwork = true\n");
    fs::write(world.config(), text).unwrap();
    let mut daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let faults = world.faults(MAIN);
    let connects = format!("connect {}", world.health());
    let refused = attempts("open", &[world.token.pin_file(), world.config()]);
    let mut opens = refused.clone();
    opens.push(connects.clone());
    write_whole(&faults.join("attempt"), &opens.join("\n"));
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
    let answers = answers(&faults);
    assert_eq!(answers[&connects], 0);
    for attempt in &refused {
        assert_eq!(answers[attempt], REFUSED, "{attempt}");
    }
    let networks = ["connect", "netlink"];
    let ending = ATTEMPTS.into_iter().filter(|name| !networks.contains(name));
    for (nonce, name) in (1..).zip(ending.clone()) {
        let child = daemon.child(Role::KeyChild).unwrap();
        write_whole(&faults.join("attempt"), name);
        let request = transfer(name, &from, &Draft::transfer(nonce, CUSTOMER, 1));
        let answer = client.send(&request);
        until("the end of the key child", || {
            (!is_running(child)).then_some(())
        });
        assert!(!faults.join("survived").exists(), "{name}");
        daemon = daemon.ready();
        if answer.status != 200 {
            client.sign(&request);
        }
    }
    let said = daemon.said();
    assert_eq!(said.matches(VIOLATION).count(), ending.count(), "{said}");
}

/// A daemon on a keystore whose key child is taken over from outside, as by a defect of its own: no module brings
/// code into it.
struct TakenOver {
    daemon: Signerd,
    client: Client,
    from: String,
    nonce: u64,
    /// How much of the log was read.
    read: usize,
}

impl TakenOver {
    fn start(world: &World) -> Self {
        expect_violations(world);
        let daemon = world.start();
        let mut client = world.walletd();
        let from = sender(&mut client);
        let read = daemon.said().len();
        Self {
            daemon,
            client,
            from,
            nonce: 0,
            read,
        }
    }

    /// Lets the child run this, and gives what the log says until another one has signed.
    fn runs(&mut self, code: &[u8]) -> String {
        let Self {
            daemon,
            client,
            from,
            nonce,
            ..
        } = self;
        let child = daemon.child(Role::KeyChild).unwrap();
        Stopped::outside(Function::Send, child).go_on_with(code);
        let id = format!("pay-{nonce}");
        let request = transfer(&id, from, &Draft::transfer(*nonce, CUSTOMER, 1));
        *nonce += 1;
        // Signed at once where the next child is there soon enough.
        let answer = client.send(&request);
        until("the end of the key child", || {
            (!is_running(child)).then_some(())
        });
        until("a signature", || {
            (answer.status == 200 || client.send(&request).status == 200).then_some(())
        });
        let said = daemon.said();
        let new = said[self.read..].to_owned();
        self.read = said.len();
        new
    }
}

/// All that [`ATTEMPTS`] are, as system calls.
fn system_calls() -> [(&'static str, i64, [i64; 3]); ATTEMPTS.len()] {
    let code = i64::from(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC);
    let [internet, netlink] = [libc::AF_INET, libc::AF_NETLINK].map(i64::from);
    let [dumpable, of_users] = [libc::PR_SET_DUMPABLE, libc::CLONE_NEWUSER].map(i64::from);
    let [stream, raw] = [libc::SOCK_STREAM, libc::SOCK_RAW].map(i64::from);
    [
        ("exec", libc::SYS_execve, [0; 3]),
        ("fork", libc::SYS_fork, [0; 3]),
        (
            "ptrace",
            libc::SYS_ptrace,
            [libc::PTRACE_ATTACH.into(), 1, 0],
        ),
        ("connect", libc::SYS_socket, [internet, stream, 0]),
        ("netlink", libc::SYS_socket, [netlink, raw, 0]),
        ("read-memory", libc::SYS_process_vm_readv, [1, 0, 0]),
        ("code", libc::SYS_mmap, [0, 4096, code]),
        ("dumpable", libc::SYS_prctl, [dumpable, 1, 0]),
        ("namespace", libc::SYS_unshare, [of_users, 0, 0]),
        ("filter", libc::SYS_seccomp, [0; 3]),
        ("keys", libc::SYS_keyctl, [0; 3]),
        ("user", libc::SYS_setuid, [0; 3]),
    ]
}

#[test]
fn a_child_with_a_keystore_that_is_taken_over_makes_no_call_that_it_may_not() {
    let world = World::on_keystore(&["eth-1"]);
    let mut taken_over = TakenOver::start(&world);
    let calls = system_calls();
    assert_eq!(calls.map(|(name, ..)| name), ATTEMPTS);
    for (name, number, arguments) in calls {
        let said = taken_over.runs(&injected::call(number, arguments));
        assert_eq!(said.matches(VIOLATION).count(), 1, "{name}: {said}");
    }
}

#[test]
fn a_child_with_a_keystore_that_is_taken_over_opens_nothing_else() {
    let world = World::on_keystore(&["eth-1"]);
    let mut taken_over = TakenOver::start(&world);
    let (certificate, key) = world.pki.files("signerd");
    let passphrase = world.keystore().pin_file();
    let theirs = [
        world.config(),
        journal_file(&world),
        certificate,
        key,
        passphrase,
    ];
    for path in theirs {
        let said = taken_over.runs(&injected::open(&path));
        assert!(said.contains(&ended_with(REFUSED)), "{path:?}: {said}");
    }
    // Its own keystore it opens, and ends with what follows from the number of the file.
    let said = taken_over.runs(&injected::open(&world.keystore().keys()));
    assert!(said.contains("\"status\":\"exit status: 2"), "{said}");
    assert!(!said.contains(VIOLATION), "{said}");
}

/// What the log has of a key child that ended with this code.
fn ended_with(code: i32) -> String {
    format!("\"status\":\"exit status: {code}\"")
}

/// Until then it may make more system calls, and none of these; its files are from its start.
#[test]
fn a_module_does_nothing_that_is_never_allowed_before_it_is_logged_in_either() {
    let world = World::new().with_faults();
    let opens = attempts("open", &[world.token.pin_file(), world.config()]);
    // New code is what loading a module is, and a further filter takes more away.
    let loading = ["code", "filter"];
    let never = ATTEMPTS.into_iter().filter(|name| !loading.contains(name));
    let never: Vec<_> = never
        .map(str::to_owned)
        .chain(["connect", "listen"].map(|verb| format!("{verb} {}", world.health())))
        .collect();
    write_whole(
        &world.faults(MAIN).join("attempt-at-login"),
        &[&never[..], &opens, &["is-dumpable".to_owned()]]
            .concat()
            .join("\n"),
    );
    let _daemon = world.start();
    let answers = answers(&world.faults(MAIN));
    assert_eq!(answers.len(), never.len() + opens.len() + 1);
    assert_eq!(answers["is-dumpable"], 0);
    for attempt in &never {
        assert_eq!(answers[attempt], NOT_PERMITTED, "{attempt}");
    }
    for attempt in &opens {
        assert_eq!(answers[attempt], REFUSED, "{attempt}");
    }
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
}

#[test]
fn a_server_opens_nothing_beyond_its_places() {
    let world = World::new();
    world.bootstrap();
    let daemon = with_a_thread_that_attempts(&world);
    let (certificate, key) = world.pki.files("signerd");
    let theirs = [
        world.folder().to_owned(),
        world.config(),
        world.token.pin_file(),
        world.token.config(),
        world.token.tokens(),
        PathBuf::from("/usr/lib"),
        PathBuf::from("/etc/passwd"),
    ];
    let manifest = world.policy().join("manifest");
    let own = [
        world.data(),
        journal_file(&world),
        manifest.clone(),
        certificate,
        key.clone(),
    ];
    let mut refused = attempts("open", &theirs);
    refused.extend(attempts("open", &of_the_machine(&daemon)));
    refused.extend(attempts("write", &[manifest.clone(), key]));
    refused.extend(attempts(
        "make",
        &[world.folder().join("made"), world.policy().join("made")],
    ));
    refused.extend(attempts("remove", &[manifest, world.config()]));
    let mut allowed = attempts("open", &own);
    allowed.extend(attempts("make", &[world.data().join("made")]));
    let both = [refused.clone(), allowed.clone()].concat().join("\n");
    write_whole(&world.data().join("attempt"), &both);
    let answers = answers(&world.data());
    for attempt in &refused {
        assert_eq!(answers[attempt], REFUSED, "{attempt}");
    }
    for attempt in &allowed {
        assert_eq!(answers[attempt], 0, "{attempt}");
    }
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
}

/// What the kernel says of a process.
fn status(process: Pid) -> BTreeMap<String, String> {
    let path = format!("/proc/{}/status", process.as_raw_nonzero());
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

#[test]
fn neither_process_has_a_capability_and_memory_is_locked_or_said_not_to_be() {
    let world = World::new();
    let daemon = world.start();
    for role in [Role::Server, Role::KeyChild] {
        let process = daemon.child(role).unwrap();
        let status = status(process);
        let none = "0000000000000000";
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status[set], none, "{role:?}: {set}");
        }
        assert_eq!(
            (&*status["NoNewPrivs"], &*status["Seccomp"]),
            ("1", "2"),
            "{role:?}"
        );
        if getuid().is_root() {
            assert_eq!(status["CapBnd"], none, "{role:?}");
        }
        // Root raises the limit where its machine lets it; who may not says so.
        let limits = fs::read_to_string(format!("/proc/{}/limits", process.as_raw_nonzero()));
        let limits = limits.unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file"));
        let core: Vec<_> = core.unwrap().split_whitespace().skip(4).collect();
        assert_eq!(core, ["0", "0", "bytes"], "{role:?}");
        let mut of_memory = limits
            .lines()
            .filter(|line| line.starts_with("Max locked memory"));
        match of_memory.next().unwrap().contains("unlimited") {
            true => assert_ne!(status["VmLck"], "0 kB", "{role:?}"),
            false => drop(daemon.logged("memory may be written to swap")),
        }
    }
}

/// Everything in a folder, and the folder, become a user's.
fn give(folder: &Path, user: &str) {
    run(Command::new("chown").arg("-R").arg(user).arg(folder));
}

/// Root alone starts processes as other users; who is not is told so.
#[test]
fn server_and_key_child_are_users_of_their_own() {
    let (server, key_child) = ("daemon", "nobody");
    let world = World::new();
    let text = fs::read_to_string(world.config()).unwrap();
    let text = format!("user = \"{server}\"\n{text}")
        .replace("[device]\n", &format!("[device]\nuser = \"{key_child}\"\n"));
    // Where the repository is, other users may not come.
    let profile = world.folder().join("profile.toml");
    fs::copy(world.token.module().profile(), &profile).unwrap();
    fs::set_permissions(&profile, fs::Permissions::from_mode(0o644)).unwrap();
    let [there, here] = [world.token.module().profile(), profile].map(|path| format!("{path:?}"));
    assert!(text.contains(&there), "{text}");
    fs::write(world.config(), text.replace(&there, &here)).unwrap();
    if !getuid().is_root() {
        let checked = signerd(&world.config(), &["--check"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(!checked.status.success());
        assert!(said.contains("it must be started as root"), "{said}");
        return;
    }
    fs::set_permissions(world.folder(), fs::Permissions::from_mode(0o711)).unwrap();
    fs::create_dir(world.data()).unwrap();
    for folder in [world.data(), world.policy(), world.folder().join("pki")] {
        give(&folder, server);
    }
    give(&world.token.tokens(), key_child);
    chown(world.token.pin_file(), Some(0), Some(0)).unwrap();
    let daemon = world.start();
    let uid = |role| {
        let status = status(daemon.child(role).unwrap());
        assert_eq!(status["CapBnd"], "0000000000000000", "{role:?}");
        // Real, effective, saved, of the file system.
        let mut uids = status["Uid"].split_whitespace();
        let uid: u32 = uids.next().unwrap().parse().unwrap();
        assert!(uids.all(|other| other.parse() == Ok(uid)), "{role:?}");
        uid
    };
    let (server, key_child) = (uid(Role::Server), uid(Role::KeyChild));
    assert!(server != 0 && key_child != 0 && server != key_child);
    assert!(
        !daemon.said().contains("are of one user"),
        "{}",
        daemon.said()
    );
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
    // A child that ends is started again as the same.
    let child = daemon.child(Role::KeyChild).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    until("the end of the key child", || {
        (!is_running(child)).then_some(())
    });
    let more = transfer("more", &from, &Draft::transfer(1, CUSTOMER, 1));
    until("a signature", || {
        (client.send(&more).status == 200).then_some(())
    });
    assert_ne!(uid(Role::KeyChild), 0);
    assert!(daemon.stop().success());
}

#[test]
fn a_pin_file_that_others_may_open_is_refused_by_name() {
    let world = World::new();
    let pin_file = world.token.pin_file();
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&pin_file, fs::Permissions::from_mode(mode)).unwrap();
        let checked = signerd(&world.config(), &["--check"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(!checked.status.success());
        assert!(said.contains(&*pin_file.to_string_lossy()), "{said}");
        assert!(said.contains(&format!("its mode is {mode:04o}")), "{said}");
    }
    let daemon = world.launch();
    daemon.logged("its mode is 0620");
    assert_eq!(daemon.child(Role::KeyChild), None);
    fs::set_permissions(&pin_file, fs::Permissions::from_mode(0o400)).unwrap();
    let _daemon = daemon.ready();
}
