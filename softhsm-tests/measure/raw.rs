//! The baseline: `C_Sign` in a loop, in a process of its own, with as many sessions as the daemon.

use std::{
    io::{BufRead, BufReader, Lines, Write, stdin},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use bitcoin::secp256k1::{All, Message, PublicKey, Secp256k1, ecdsa::Signature};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::Mechanism,
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
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
/// What it says once it is logged in.
const READY: &str = "ready";

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

/// What is measured in a part.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Order {
    duration: Duration,
    what: What,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum What {
    Sign,
    SignAndVerify,
}

/// A process that signs when it is told to: PKCS#11 is one library instance a process. It is kept from part to
/// part, logged in, so that parts can be short.
pub struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts it and waits until it is logged in. The key is `spend:NAME` or the like.
    ///
    /// # Panics
    /// When the token cannot be used.
    pub fn start(softhsm_config: &Path, key: &str, sessions: u16) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args([ROLE, key, &sessions.to_string()])
            .env("SOFTHSM2_CONF", softhsm_config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the process that measures");
        let orders = child.stdin.take().expect("its input");
        let answers = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut started = Self {
            child,
            orders,
            answers,
        };
        assert_eq!(started.answer(), READY, "the process that measures");
        started
    }

    /// Signs for so long with all sessions.
    ///
    /// # Panics
    /// When the token does not sign.
    pub fn measure(&mut self, duration: Duration) -> Raw {
        self.order(duration, What::Sign)
    }

    /// Signs for so long with all sessions, and verifies every signature where it was made: with no pool, no
    /// process and nobody to wait for, this is what a pool that verifies could reach at best.
    ///
    /// # Panics
    /// When the token does not sign, or signs wrongly.
    pub fn measure_verified(&mut self, duration: Duration) -> Raw {
        self.order(duration, What::SignAndVerify)
    }

    fn order(&mut self, duration: Duration, what: What) -> Raw {
        let order = serde_json::to_string(&Order { duration, what }).expect("JSON");
        writeln!(self.orders, "{order}").expect("the process that measures");
        serde_json::from_str(&self.answer()).expect("its figures")
    }

    fn answer(&mut self) -> String {
        let line = self.answers.next();
        line.expect("the process that measures").expect("a line")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killed between two calls it leaves nothing half written: a login alone writes to the token.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process that measures: key with its purpose, and sessions; it is told what to do in each part, a line
/// each.
pub fn run(arguments: &[String]) {
    let [key, sessions] = arguments else {
        panic!("key, sessions")
    };
    let sessions: u16 = sessions.parse().expect("a number of sessions");
    let module = Pkcs11::new(Module::SoftHsm.path()).expect("the module");
    module
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .expect("C_Initialize");
    let slot = slot(&module);
    let anchor = module.open_ro_session(slot).expect("a session");
    anchor
        .login(UserType::User, Some(&AuthPin::new(PIN.into())))
        .expect("the PIN");
    let label = format!("strongroom:{key}");
    let mut opened: Vec<Keyed> = (0..sessions)
        .map(|_| Keyed::open(&module, slot, &label))
        .collect();
    println!("{READY}");
    for line in stdin().lines() {
        let line = line.expect("an order");
        let order = serde_json::from_str(&line).expect("an order");
        let raw = sign_with_all(&mut opened, order);
        println!("{}", serde_json::to_string(&raw).expect("JSON"));
    }
}

/// A session that has found its key.
struct Keyed {
    session: Session,
    key: ObjectHandle,
    /// What verifies under it; nothing for keys of other curves.
    verifier: Option<Verifier>,
}

struct Verifier {
    secp: Secp256k1<All>,
    public: PublicKey,
}

impl Keyed {
    fn open(module: &Pkcs11, slot: Slot, label: &str) -> Self {
        let session = module.open_ro_session(slot).expect("a session");
        let key = object(&session, ObjectClass::PRIVATE_KEY, label);
        let public = object(&session, ObjectClass::PUBLIC_KEY, label);
        let point = session.get_attributes(public, &[AttributeType::EcPoint]);
        let Some(Attribute::EcPoint(point)) = point.expect("its attributes").pop() else {
            panic!("a public key without a point");
        };
        // Behind tag and length of an octet string.
        let public = point.get(2..).map(PublicKey::from_slice);
        let secp = Secp256k1::new();
        let verifier = public
            .and_then(Result::ok)
            .map(|public| Verifier { secp, public });
        Self {
            session,
            key,
            verifier,
        }
    }

    fn work(&self, Order { duration, what }: Order) -> Vec<f64> {
        let mut micros = Vec::new();
        let mut digest = [0u8; 32];
        let began = Instant::now();
        while began.elapsed() < duration {
            digest[..8].copy_from_slice(&(micros.len() as u64).to_be_bytes());
            let call = Instant::now();
            let signature = self.session.sign(&Mechanism::Ecdsa, self.key, &digest);
            let signature = signature.expect("C_Sign");
            match what {
                What::Sign => {}
                What::SignAndVerify => self.verify(digest, &signature),
            }
            micros.push(call.elapsed().as_secs_f64() * 1e6);
        }
        micros
    }

    fn verify(&self, digest: [u8; 32], signature: &[u8]) {
        let Verifier { secp, public } = self.verifier.as_ref().expect("a key of secp256k1");
        let mut signature = Signature::from_compact(signature).expect("a signature");
        signature.normalize_s();
        let verified = secp.verify_ecdsa(&Message::from_digest(digest), &signature, public);
        verified.expect("a signature that verifies");
    }
}

fn object(session: &Session, class: ObjectClass, label: &str) -> ObjectHandle {
    let wanted = [
        Attribute::Class(class),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    let found = session.find_objects(&wanted).expect("a search");
    *found.first().expect("the key")
}

fn sign_with_all(opened: &mut [Keyed], order: Order) -> Raw {
    let began = Instant::now();
    let mut micros: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = opened
            .iter_mut()
            .map(|keyed| scope.spawn(move || keyed.work(order)))
            .collect();
        let each = threads.into_iter();
        each.flat_map(|thread| thread.join().expect("a thread"))
            .collect()
    });
    let elapsed = began.elapsed().as_secs_f64();
    micros.sort_by(f64::total_cmp);
    Raw {
        per_second: micros.len() as f64 / elapsed,
        p50_us: percentile(&micros, 50),
        p99_us: percentile(&micros, 99),
    }
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
