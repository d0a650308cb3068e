//! The baseline: `C_Sign` in a loop, in a process of its own, with as many sessions as the daemon.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::Mechanism,
    object::{Attribute, ObjectClass},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use serde::{Deserialize, Serialize};
use strongroom_softhsm_tests::{
    module::Module,
    token::{LABEL, PIN},
};

/// The first argument of the process that measures.
pub const ROLE: &str = "raw-sign";

/// What `C_Sign` alone does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Raw {
    /// Signatures a second over all sessions.
    pub per_second: f64,
    /// Median of one call, in microseconds.
    pub p50_us: f64,
    /// The 99th percentile of one call, in microseconds.
    pub p99_us: f64,
}

/// Measures in a process of its own: PKCS#11 is one library instance a process. The key is `spend:NAME` or the
/// like.
///
/// # Panics
/// When the token does not sign.
pub fn measure(
    softhsm_config: &std::path::Path,
    key: &str,
    sessions: u16,
    duration: Duration,
) -> Raw {
    let millis = duration.as_millis();
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([ROLE, key, &sessions.to_string(), &millis.to_string()])
        .env("SOFTHSM2_CONF", softhsm_config)
        .stderr(Stdio::inherit())
        .output()
        .expect("the process that measures");
    assert!(output.status.success(), "the process that measures failed");
    serde_json::from_slice(&output.stdout).expect("its figures")
}

/// The process that measures: key with its purpose, sessions, milliseconds.
pub fn run(arguments: &[String]) {
    let [key, sessions, millis] = arguments else {
        panic!("key, sessions, milliseconds")
    };
    let sessions: u16 = sessions.parse().expect("a number of sessions");
    let duration = Duration::from_millis(millis.parse().expect("milliseconds"));
    let module = Pkcs11::new(Module::SoftHsm.path()).expect("the module");
    module
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .expect("C_Initialize");
    let slot = slot(&module);
    let anchor = module.open_ro_session(slot).expect("a session");
    anchor
        .login(UserType::User, Some(&AuthPin::new(PIN.into())))
        .expect("the PIN");
    let opened: Vec<Session> = (0..sessions)
        .map(|_| module.open_ro_session(slot).expect("a session"))
        .collect();
    let began = Instant::now();
    let threads: Vec<_> = opened
        .into_iter()
        .map(|session| {
            let label = format!("strongroom:{key}");
            std::thread::spawn(move || sign(&session, &label, duration))
        })
        .collect();
    let mut micros: Vec<f64> = threads
        .into_iter()
        .flat_map(|thread| thread.join().expect("a thread"))
        .collect();
    let elapsed = began.elapsed().as_secs_f64();
    micros.sort_by(f64::total_cmp);
    let raw = Raw {
        per_second: micros.len() as f64 / elapsed,
        p50_us: percentile(&micros, 50),
        p99_us: percentile(&micros, 99),
    };
    println!("{}", serde_json::to_string(&raw).expect("JSON"));
}

fn slot(module: &Pkcs11) -> Slot {
    let slots = module.get_slots_with_token().expect("slots");
    let labelled = |slot: &Slot| {
        module
            .get_token_info(*slot)
            .is_ok_and(|token| token.label() == LABEL)
    };
    slots.into_iter().find(labelled).expect("the token")
}

fn sign(session: &Session, label: &str, duration: Duration) -> Vec<f64> {
    let wanted = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    let key = *session
        .find_objects(&wanted)
        .expect("a search")
        .first()
        .expect("the key");
    let mut micros = Vec::new();
    let mut digest = [0u8; 32];
    let began = Instant::now();
    while began.elapsed() < duration {
        digest[..8].copy_from_slice(&(micros.len() as u64).to_be_bytes());
        let call = Instant::now();
        session
            .sign(&Mechanism::Ecdsa, key, &digest)
            .expect("C_Sign");
        micros.push(call.elapsed().as_secs_f64() * 1e6);
    }
    micros
}

/// The means of what was measured several times.
pub fn mean(raws: &[Raw]) -> Raw {
    let of = |f: fn(&Raw) -> f64| raws.iter().map(f).sum::<f64>() / raws.len() as f64;
    Raw {
        per_second: of(|raw| raw.per_second),
        p50_us: of(|raw| raw.p50_us),
        p99_us: of(|raw| raw.p99_us),
    }
}

/// The value below which `percent` of the sorted values lie.
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(last * percent / 100)
        .copied()
        .unwrap_or(f64::NAN)
}
