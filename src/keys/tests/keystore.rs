//! A keystore of its own for each test, and what only a keystore does.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{
    child,
    device::{TestDevice, start},
    softhsm::{self, PIN, Part, next, sign, soon, spend},
};
use crate::{
    Backend, KeyAlgorithm, KeyPool, MemberId, PoolConfig, PoolEvent, Profile, SignError,
    TokenSelector,
    admin::{Strength, init_keystore},
    pool::AttachError,
    protocol::{Failure, Hello, Pin, Text},
};

/// A folder that is a keystore.
pub(crate) struct KeystoreFolder(TempDir);

impl TestDevice for KeystoreFolder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let weak = Strength {
            memory_kib: 8 * 1024,
            passes: 1,
            lanes: 1,
            scrypt_n: 1 << 12,
        };
        init_keystore(folder.path(), &Pin::new(PIN).unwrap(), weak).unwrap();
        Self(folder)
    }

    fn command(&self, program: &OsStr) -> Command {
        Command::new(program)
    }

    fn hello(&self, sessions: u16) -> Hello {
        let profile = Path::new(env!("CARGO_MANIFEST_DIR"));
        let profile = Profile::read(&profile.join("../../firmware-profiles/keystore.toml"));
        Hello {
            backend: Backend::Keystore(Text::new(self.0.path().to_str().unwrap()).unwrap()),
            token: TokenSelector {
                label: Some(Text::new(crate::KEYSTORE_LABEL).unwrap()),
                serial: None,
            },
            pin: Pin::new(PIN).unwrap(),
            sessions,
            profile: profile.unwrap().essentials().unwrap(),
        }
    }
}

impl KeystoreFolder {
    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[tokio::test]
async fn a_wrong_passphrase_is_reported_and_ends_the_child() {
    let keystore = KeystoreFolder::new();
    let (pool, mut events) = KeyPool::new(PoolConfig::default());
    let (child, socket) = keystore.start_child();
    let mut hello = keystore.hello(2);
    hello.pin = Pin::new("99999999").unwrap();
    let refused = soon(softhsm::attach(&pool, socket, hello)).await;
    assert!(matches!(
        refused,
        Err(AttachError::Failed(Failure::PinRejected))
    ));
    let rejected = PoolEvent::PinRejected(Failure::PinRejected);
    assert_eq!(next(&mut events).await, Some(rejected));
    assert_eq!(child.ended().code(), Some(77));
}

/// Another key, rightly enciphered, under a name that is registered.
#[tokio::test]
async fn a_file_that_was_swapped_is_refused_at_the_next_start() {
    let (keystore, other) = (KeystoreFolder::new(), KeystoreFolder::new());
    let key = spend("a");
    let (pool, mut events, child) = keystore.pool(PoolConfig::default(), 1, &[&key]).await;
    let name = "spend.a.json";
    let own = fs::read(keystore.file(name)).unwrap();
    // While it runs, whatever becomes of the file changes nothing.
    fs::write(keystore.file(name), b"{}").unwrap();
    let _ = sign(&pool, 1, &key).await.unwrap();
    assert_eq!(
        pool.find(MemberId::FIRST, &key).await.unwrap().public,
        pool.registered(&key).unwrap()
    );
    child.kill();
    assert_eq!(soon(next(&mut events)).await, Some(PoolEvent::Gone));
    let refused = keystore.attach(&pool, 1).await.err().unwrap();
    assert!(matches!(refused, AttachError::Key { .. }), "{refused}");

    // By somebody who knows the passphrase.
    fs::remove_file(keystore.file(name)).unwrap();
    let (anew, _events, child) = keystore.pool(PoolConfig::default(), 1, &[&key]).await;
    assert_ne!(anew.registered(&key), pool.registered(&key));
    drop(anew);
    assert_eq!(child.ended().code(), Some(0));
    let refused = keystore.attach(&pool, 1).await.err().unwrap();
    assert!(
        matches!(refused, AttachError::KeyChanged { .. }),
        "{refused}"
    );
    let none = sign(&pool, 2, &key).await.unwrap_err();
    assert_eq!(none, SignError::NoDevice);

    fs::write(keystore.file(name), own).unwrap();
    let _child = keystore.attach(&pool, 1).await.unwrap();
    let _ = sign(&pool, 3, &key).await.unwrap();
    drop(other);
}

/// A key made beside a running child is found, without a restart.
#[tokio::test]
async fn a_key_that_is_added_meanwhile_is_found() {
    let keystore = KeystoreFolder::new();
    let (first, _events, _child) = keystore.pool(PoolConfig::default(), 1, &[]).await;
    let (second, _events, _child) = keystore.pool(PoolConfig::default(), 1, &[]).await;
    let key = spend("added");
    let made = second
        .generate(&key, KeyAlgorithm::Secp256k1)
        .await
        .unwrap();
    first.register(key.clone(), made.public).unwrap();
    let _ = sign(&first, 1, &key).await.unwrap();
}

/// Each secret lies in locked pages that no core dump has, as the kernel says.
#[tokio::test]
async fn secrets_lie_in_locked_pages() {
    let keystore = KeystoreFolder::new();
    let (a, b) = (spend("a"), spend("b"));
    let (_pool, _events, child) = keystore.pool(PoolConfig::default(), 1, &[&a, &b]).await;
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let locked = status
        .lines()
        .find(|line| line.starts_with("VmLck:"))
        .unwrap();
    let kilobytes: u64 = locked.split_whitespace().nth(1).unwrap().parse().unwrap();
    // Two derived keys and two keys.
    assert!(kilobytes >= 16, "{locked}");
    let maps = fs::read_to_string(format!("/proc/{}/smaps", child.id())).unwrap();
    let guarded = maps.lines().filter(|line| {
        let flags: Vec<_> = line.split_whitespace().collect();
        flags.first() == Some(&"VmFlags:") && flags.contains(&"lo") && flags.contains(&"dd")
    });
    assert!(guarded.count() >= 1, "{maps}");
}

/// A child that may not lock memory reads no secret.
#[tokio::test]
async fn without_locked_memory_nothing_is_opened() {
    let keystore = KeystoreFolder::new();
    let part: Part = child::part();
    let mut command = Command::new("prlimit");
    command.arg("--memlock=0:0");
    if rustix::process::geteuid().is_root() {
        // The superuser is not bound by the limit; without the capability it is.
        command.args([
            "setpriv",
            "--bounding-set=-ipc_lock",
            "--inh-caps=-ipc_lock",
        ]);
    }
    command.arg(std::env::current_exe().unwrap());
    part.of_command(&mut command);
    let (child, socket) = start(command);
    let (pool, _events) = KeyPool::new(PoolConfig::default());
    let refused = soon(softhsm::attach(&pool, socket, keystore.hello(1))).await;
    assert!(
        matches!(refused, Err(AttachError::Failed(Failure::MemoryUnlocked))),
        "{refused:?}"
    );
    assert_eq!(child.ended().code(), Some(69));
}
