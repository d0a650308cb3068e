//! Figures, by hand: `cargo test --release -p strongroom-keys -- --ignored --nocapture measure_all`.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::softhsm::{SoftHsm, digest, profile, selector, sign, spend};
use crate::{
    KeyAlgorithm, PoolConfig,
    protocol::{Pin, SignInput},
    token::{self, Access, Login, Token},
    verify,
};

const DURATION: Duration = Duration::from_secs(4);
const SESSIONS: &str = "MEASURE_SESSIONS";

/// Raw `C_Sign` by as many threads as sessions. Runs in a process of its own: see `roles`.
pub(crate) fn raw() {
    let sessions: usize = std::env::var(SESSIONS).unwrap().parse().unwrap();
    let module = token::load(super::softhsm::MODULE.as_ref()).unwrap();
    let profile = profile().essentials().unwrap();
    let token = Token::select(module, &selector(), profile).unwrap();
    let anchor = token.open(Access::ReadWrite).unwrap();
    let login = Login::new(&Pin::new(super::softhsm::PIN).unwrap());
    login.ensure(&anchor).unwrap();
    let key = token::generate(
        &anchor,
        &spend("raw"),
        KeyAlgorithm::Secp256k1,
        token.profile(),
    )
    .unwrap();
    let start = Instant::now();
    let made: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..sessions)
            .map(|_| {
                let session = token.open(Access::ReadOnly).unwrap();
                let key = &key;
                scope.spawn(move || {
                    let mut made = 0u64;
                    while start.elapsed() < DURATION {
                        let input = SignInput::Digest(digest(made));
                        token::sign(&session, key, &input).unwrap();
                        made += 1;
                    }
                    made
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    let rate = made as f64 / start.elapsed().as_secs_f64();
    let cpu = cpu_us("self") / made as f64;
    println!("raw, {sessions} sessions: {rate:.0}/s, {cpu:.0} us of CPU each");
}

/// CPU time of a process so far, in microseconds (`/proc/PID/stat`, in ticks of 10 ms).
fn cpu_us(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks = |n: usize| -> f64 {
        after_name
            .split_whitespace()
            .nth(n)
            .unwrap()
            .parse()
            .unwrap()
    };
    (ticks(11) + ticks(12)) * 10_000.0
}

async fn pooled(sessions: u16, in_flight: u64) {
    let softhsm = SoftHsm::with_token();
    let key = spend("hot");
    let (pool, _events, child) = softhsm.pool(PoolConfig::default(), sessions, &[&key]).await;
    let processes = ["self", &child.id().to_string()].map(str::to_owned);
    let before = processes.clone().map(|pid| cpu_us(&pid));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..in_flight {
        let (pool, key) = (pool.clone(), key.clone());
        tasks.spawn(async move {
            let mut call = task << 32;
            while start.elapsed() < DURATION {
                let _ = sign(&pool, call, &key).await.unwrap();
                call += 1;
            }
        });
    }
    tasks.join_all().await;
    let made = pool.counters().signatures as f64;
    let rate = made / start.elapsed().as_secs_f64();
    let [server, module] = [0, 1].map(|i| (cpu_us(&processes[i]) - before[i]) / made);
    println!(
        "pool, {sessions} sessions, {in_flight} in flight: {rate:.0}/s, \
         {server:.0} us of CPU each in the server, {module:.0} in the child"
    );
}

fn check() {
    let secret = k256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let point = secret.verifying_key().to_encoded_point(true);
    let key = point.as_bytes().try_into().unwrap();
    let made: Vec<_> = (0..64)
        .map(|call| {
            let (signature, _) = secret.sign_prehash_recoverable(&digest(call)).unwrap();
            (digest(call), signature.to_bytes())
        })
        .collect();
    let start = Instant::now();
    let rounds = 100;
    for _ in 0..rounds {
        for (digest, raw) in &made {
            verify::check_ecdsa(&key, digest, raw).unwrap();
        }
    }
    let each = start.elapsed() / (rounds * 64);
    println!("check of one signature: {each:?}");
}

#[test]
#[ignore = "figures, by hand"]
fn measure_all() {
    check();
    for sessions in [1, 2] {
        for _ in 0..2 {
            let softhsm = SoftHsm::with_token();
            let mut raw = softhsm.role("measure_raw");
            raw.env(SESSIONS, sessions.to_string());
            assert!(raw.status().unwrap().success());
            let runtime = tokio::runtime::Runtime::new().unwrap();
            for in_flight in [2 * u64::from(sessions), 16] {
                runtime.block_on(pooled(sessions, in_flight));
            }
        }
    }
}
