//! The pool and its key child beside `C_Sign` alone, in one run; and what a crash of the child costs.

use std::{
    io::Write,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ::journal::{Journal, Registered, Reply, SelfTest, SelfTestOutcome};
use keys::{
    Authorized, Backend, Expected, KeyAlgorithm, KeyId, KeyPool, KeyPurpose, MemberId, PoolConfig,
    Profile, PublicKey, TokenSelector,
    pool::greeting,
    protocol::{Hello, Pin, Text},
};
use policy::KeyRegistration;
use rustix::process::{Pid, Signal, getpid, kill_process};
use serde_json::json;
use strongroom_softhsm_tests::{
    ask,
    evm::Draft,
    module::Module,
    program::{binary, until},
    signerd::Role,
    token::{LABEL, PIN, Token},
    world::World,
};
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    figure::{Figure, rounded},
    journal::{begun, runtime},
    machine,
    path::{CHAIN, CUSTOMER},
    raw::{self, Raw, percentile},
    wake,
};

/// The figures that there are.
pub const FIGURES: [&str; 3] = ["pool_ratio", "child_added_us", "crash_restart_ms"];

/// With how many sessions.
const SESSIONS: [u16; 3] = [1, 2, 8];
/// Requests under way for each session.
const IN_FLIGHT: u16 = 2;
/// Both sides are measured in turns, so often: the machine is not the same from second to second.
const ROUNDS: usize = 80;
/// How long each part of a round is.
const DURATION: Duration = Duration::from_millis(100);
/// The rounds that nothing else disturbed, on a machine that others share: below this percentile, each side for
/// itself.
const QUIET_PERCENT: usize = 10;
/// Rounds with one request at a time, and how long `C_Sign` is measured beside another process.
const IDLE_ROUNDS: usize = 20;
const BESIDE: Duration = Duration::from_millis(400);
/// How many times what `C_Sign` alone would use up is authorised.
const ORDERS_TIMES: f64 = 2.0;
/// This process is at rest when it computes no more than this in so long.
const REST_US: f64 = 2_000.0;
const REST: Duration = Duration::from_millis(50);
/// Orders that are asked for at once.
const AT_ONCE: usize = 500;
/// The key, which is one of self-tests: what they authorise needs no policy.
const KEY: &str = "bench";
/// Crashes of the key child.
const CRASHES: usize = 10;

/// Measures all figures.
pub fn measure() -> Vec<Figure> {
    let bench = Bench::new();
    let runtime = runtime();
    let parts = SESSIONS.map(|sessions| runtime.block_on(bench.with_sessions(sessions)));
    let idle = runtime.block_on(bench.idle());
    vec![
        ratio(&parts),
        added(&parts[0], idle, bench.raw_beside_another(), wake::measure()),
        restart(),
    ]
}

/// What was measured with so many sessions.
struct Part {
    sessions: u16,
    raw: Raw,
    /// `C_Sign` with nothing but the verification of what it made.
    verified: Raw,
    per_second: f64,
    /// Median between two answers, in microseconds, round by round, sorted.
    between_us: Vec<f64>,
    /// The medians of `C_Sign`, round by round, sorted.
    raw_us: Vec<f64>,
    /// How much longer that is than the median of `C_Sign` in the same round, sorted.
    added_us: Vec<f64>,
    /// CPU of the pool and of the key child for a signature, in microseconds.
    cpu_us: (f64, f64),
}

fn ratio(parts: &[Part]) -> Figure {
    let of = |part: &Part| part.per_second / part.raw.per_second;
    let least = parts.iter().map(of).fold(f64::INFINITY, f64::min);
    let each = parts.iter().map(|part| {
        json!({
            "sessions": part.sessions, "ratio": rounded(of(part)),
            "pool_per_second": rounded(part.per_second),
            "raw_per_second": rounded(part.raw.per_second),
            "raw_verified_ratio": rounded(part.verified.per_second / part.raw.per_second),
            "pool_cpu_us": rounded(part.cpu_us.0), "key_child_cpu_us": rounded(part.cpu_us.1),
        })
    });
    Figure {
        figure: "pool_ratio",
        value: rounded(least),
        unit: "ratio",
        baseline: rounded(parts[0].raw.per_second),
        detail: json!({
            "machine": machine::description(), "in_flight_a_session": IN_FLIGHT,
            "each": each.collect::<Vec<_>>(),
        }),
    }
}

/// Between two answers of one session that is kept busy, beside one `C_Sign` in the same round, in the round in the
/// middle; idle, a whole call beside it.
fn added(one: &Part, idle: (f64, Raw), beside: Raw, wake_us: f64) -> Figure {
    let (idle_us, idle_raw) = idle;
    let quiet = |rounds: &[f64]| percentile(rounds, QUIET_PERCENT);
    Figure {
        figure: "child_added_us",
        value: rounded(percentile(&one.added_us, 50)),
        unit: "us",
        baseline: rounded(one.raw.p50_us),
        detail: json!({
            "machine": machine::description(),
            "between_answers_p50_us": rounded(percentile(&one.between_us, 50)),
            "rounds": ROUNDS, "added_p25_us": rounded(percentile(&one.added_us, 25)),
            "added_p75_us": rounded(percentile(&one.added_us, 75)),
            "quiet_added_us": rounded(quiet(&one.between_us) - quiet(&one.raw_us)),
            "quiet_raw_us": rounded(quiet(&one.raw_us)),
            "idle_added_p50_us": rounded(idle_us - idle_raw.p50_us),
            "idle_p50_us": rounded(idle_us), "idle_raw_p50_us": rounded(idle_raw.p50_us),
            "raw_beside_another_process_p50_us": rounded(beside.p50_us),
            "write_that_wakes_another_process_p50_us": rounded(wake_us),
        }),
    }
}

/// A token, and a journal that authorises.
struct Bench {
    _folder: tempfile::TempDir,
    token: Token,
    journal: Arc<Journal>,
    _writer: ::journal::WriterThread,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let token = Token::init(folder.path().join("token"), &[]);
        token.generate_test_key(KEY, "secp256k1");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a folder");
        let (journal, writer) = begun(&data);
        Self {
            _folder: folder,
            token,
            journal,
            _writer: writer,
        }
    }

    fn alone(&self, sessions: u16) -> raw::Process {
        let key = format!("test:{KEY}");
        raw::Process::start(&self.token.config(), &key, sessions)
    }

    /// As it is on one processor while another has work of its own.
    fn raw_beside_another(&self) -> Raw {
        let (mut one, mut other) = (self.alone(1), self.alone(1));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| other.measure(BESIDE));
            let raw = one.measure(BESIDE);
            other.join().expect("another");
            raw
        })
    }

    async fn with_sessions(&self, sessions: u16) -> Part {
        let mut alone = self.alone(sessions);
        let device = Device::start(self, sessions).await;
        let tasks = usize::from(sessions * IN_FLIGHT);
        let (mut raws, mut verified) = (Vec::new(), Vec::new());
        let orders = self.orders(alone.measure(DURATION), ROUNDS).await;
        let (mut made, mut seconds, mut between) = (0, 0.0, Vec::new());
        let (mut pool_us, mut child_us) = (0.0, 0.0);
        for _ in 0..ROUNDS {
            raws.push(alone.measure(DURATION));
            verified.push(alone.measure_verified(DURATION));
            let before = device.cpu_us();
            let run = device.sign(&orders, tasks).await;
            let after = device.cpu_us();
            pool_us += after.0 - before.0;
            child_us += after.1 - before.1;
            made += run.answers.len();
            seconds += run.seconds;
            between.push(run.between_p50_us());
        }
        let pairs = between.iter().zip(&raws);
        let mut added: Vec<f64> = pairs.map(|(between, raw)| between - raw.p50_us).collect();
        added.sort_by(f64::total_cmp);
        between.sort_by(f64::total_cmp);
        let mut raw_us: Vec<f64> = raws.iter().map(|raw| raw.p50_us).collect();
        raw_us.sort_by(f64::total_cmp);
        Part {
            raw_us,
            sessions,
            raw: raw::mean(&raws),
            verified: raw::mean(&verified),
            per_second: made as f64 / seconds,
            between_us: between,
            added_us: added,
            cpu_us: (pool_us / made as f64, child_us / made as f64),
        }
    }

    /// The median of one call with nothing beside it, and that of `C_Sign`.
    async fn idle(&self) -> (f64, Raw) {
        let device = Device::start(self, 1).await;
        let mut alone = self.alone(1);
        let orders = self.orders(alone.measure(DURATION), IDLE_ROUNDS).await;
        let (mut between, mut raws) = (Vec::new(), Vec::new());
        for _ in 0..IDLE_ROUNDS {
            raws.push(alone.measure(DURATION));
            let run = device.sign(&orders, 1).await;
            between.push(run.between_p50_us());
        }
        between.sort_by(f64::total_cmp);
        (percentile(&between, 50), raw::mean(&raws))
    }

    /// Authorisations of one signature each: more than can be made in so many rounds, where `C_Sign` alone
    /// does as it did just now. All ahead, and nothing is left to be done for them: the journal computes roots
    /// of what it took, on the processors that are measured here.
    async fn orders(&self, raw: Raw, rounds: usize) -> Orders {
        let number = raw.per_second * DURATION.as_secs_f64() * rounds as f64 * ORDERS_TIMES;
        let stamp = self.journal.bodies().durable();
        let mut orders = Vec::new();
        while (orders.len() as f64) < number {
            // As many at once as the journal lets wait.
            let from = orders.len();
            let asked: Vec<_> = (from..from + AT_ONCE)
                .map(|number| self.ask(format!("{stamp} {number}")))
                .collect();
            for answer in asked {
                match answer.await.expect("an answer").expect("a durable order") {
                    SelfTestOutcome::Order(order) => {
                        orders.push(Authorized::from_self_test(order).expect("a short message"));
                    }
                    SelfTestOutcome::Refused(error) => panic!("{error}"),
                }
            }
        }
        until_at_rest().await;
        Arc::new(Mutex::new(orders))
    }

    fn ask(&self, label: String) -> oneshot::Receiver<Result<SelfTestOutcome, ::journal::Stopped>> {
        let (sender, answer) = oneshot::channel();
        let reply = Reply::new(move |answer| drop(sender.send(answer)));
        let test = SelfTest {
            key: KEY.parse().expect("a name"),
            algorithm: KeyAlgorithm::Secp256k1,
            label,
        };
        let asked = self.journal.self_test(vec![test], reply);
        asked.expect("a journal that is not busy");
        answer
    }
}

/// What was authorised and is not used yet.
type Orders = Arc<Mutex<Vec<Authorized>>>;

/// Waits until this process has nothing more to do.
async fn until_at_rest() {
    let mut before = machine::cpu_us(getpid());
    loop {
        tokio::time::sleep(REST).await;
        let now = machine::cpu_us(getpid());
        if now - before <= REST_US {
            return;
        }
        before = now;
    }
}

/// A pool with a key child.
struct Device {
    pool: KeyPool,
    child: Child,
}

/// What a run of signatures did.
struct Run {
    /// When each answer came, in order.
    answers: Vec<Instant>,
    seconds: f64,
}

impl Run {
    /// The median between two answers, in microseconds.
    fn between_p50_us(&self) -> f64 {
        let pairs = self.answers.windows(2);
        let between = pairs.map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e6);
        let mut between: Vec<f64> = between.collect();
        between.sort_by(f64::total_cmp);
        percentile(&between, 50)
    }
}

impl Device {
    /// Starts the key child that ships, and registers the key.
    async fn start(bench: &Bench, sessions: u16) -> Self {
        let profile = Profile::read(&Module::SoftHsm.profile()).expect("the profile");
        let profile = profile.essentials().expect("the profile");
        let token = TokenSelector {
            label: Some(Text::new(LABEL).expect("a label")),
            serial: None,
        };
        let hello = Hello {
            backend: Backend::Module(Text::new(Module::SoftHsm.path()).expect("a path")),
            token: token.clone(),
            pin: Pin::new(PIN).expect("a PIN"),
            sessions,
            profile: profile.clone(),
        };
        let (mut near, far) = UnixStream::pair().expect("a socket");
        let child = Command::new(binary("signerd"))
            .args(["--role", "key-child", "--read", "/usr/lib", "--read"])
            .arg(bench.token.config())
            .arg("--write")
            .arg(bench.token.tokens())
            .env_clear()
            .env("SOFTHSM2_CONF", bench.token.config())
            .stdin(Stdio::from(OwnedFd::from(far)))
            .spawn()
            .expect("a key child");
        near.write_all(&greeting(hello)).expect("a greeting");
        let (pool, _events) = KeyPool::new(PoolConfig::default());
        let expected = Expected { token, profile };
        let attached = pool.attach(MemberId::FIRST, 1, near, expected).await;
        attached.expect("a device");
        let key = KeyId {
            purpose: KeyPurpose::Test,
            name: KEY.parse().expect("a name"),
        };
        let public = pool.public(&key).await.expect("the key");
        bench.register(&public).await;
        pool.register(key, public).expect("a new key");
        Self { pool, child }
    }

    /// CPU time of this process and of the key child so far.
    fn cpu_us(&self) -> (f64, f64) {
        let child = Pid::from_child(&self.child);
        (machine::cpu_us(getpid()), machine::cpu_us(child))
    }

    /// Signs for a while with so many requests under way.
    async fn sign(&self, orders: &Orders, in_flight: usize) -> Run {
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..in_flight {
            let (pool, orders) = (self.pool.clone(), Arc::clone(orders));
            tasks.spawn(async move {
                let mut answers = Vec::new();
                while began.elapsed() < DURATION {
                    let next = orders.lock().expect("orders").pop();
                    let next = next.expect("an order: there are too few");
                    let _signed = pool.sign(next).await.expect("a signature");
                    answers.push(Instant::now());
                }
                answers
            });
        }
        let mut answers = tasks.join_all().await.concat();
        answers.sort_unstable();
        Run {
            answers,
            seconds: began.elapsed().as_secs_f64(),
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.pool.detach(MemberId::FIRST);
        let ended = self.child.wait();
        assert!(
            ended.is_ok_and(|status| status.success()),
            "a child that ends"
        );
    }
}

impl Bench {
    async fn register(&self, public: &PublicKey) {
        let (sender, answer) = oneshot::channel();
        let reply = Reply::new(move |answer| drop(sender.send(answer)));
        let registration = KeyRegistration {
            name: KEY.parse().expect("a name"),
            purpose: KeyPurpose::Test,
            algorithm: KeyAlgorithm::Secp256k1,
            public: public.to_string(),
            device: "bench".into(),
            assurance: "hsm".into(),
        };
        self.journal.register(registration, reply);
        let registered = answer.await.expect("an answer").expect("a journal");
        assert!(matches!(registered, Registered::Known), "{registered:?}");
    }
}

/// The key child of a real daemon killed again and again: how long until the next signature, with what was
/// refused before.
fn restart() -> Figure {
    let world = World::new();
    world.configure("[bounds]\nrequests_per_second = 1000000");
    let daemon = world.start();
    let mut client = world.walletd();
    let sender = client.address("eth-1", CHAIN);
    let (mut millis, mut refusals) = (Vec::new(), 0);
    for (nonce, crash) in (0u64..).zip(0..=CRASHES) {
        let began = Instant::now();
        if crash > 0 {
            let child = until("a key child", || daemon.child(Role::KeyChild));
            kill_process(child, Signal::KILL).expect("a key child to kill");
        }
        let draft = Draft::transfer(nonce, CUSTOMER, 1);
        let id = format!("pay-{nonce}");
        let intent = ask::intent(&id, &tx::Asset::native(CHAIN), 1, CUSTOMER);
        let request = ask::request(&id, draft.from(&sender), vec![intent]);
        while client.send(&request).status != 200 {
            refusals += 1;
        }
        millis.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let undisturbed = millis.remove(0);
    daemon.stop();
    millis.sort_by(f64::total_cmp);
    Figure {
        figure: "crash_restart_ms",
        value: rounded(millis.last().copied().unwrap_or(f64::NAN)),
        unit: "ms",
        baseline: rounded(undisturbed),
        detail: json!({
            "machine": machine::description(), "crashes": CRASHES,
            "median_ms": rounded(percentile(&millis, 50)), "refusals": refusals,
        }),
    }
}
