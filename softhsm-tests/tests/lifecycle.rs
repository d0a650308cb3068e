//! Starting, stopping and dying, idle and under load.

use std::{
    collections::BTreeSet,
    os::unix::net::UnixDatagram,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use api::signing::{RequestStatus, RequestsAnswer, SignAnswer};
use policy::Entry;
use rustix::process::Signal;
use strongroom_softhsm_tests::{
    ask::units,
    coins::{self, Previous, foreign_script},
    evm::Draft,
    program::{PATIENCE, binary, is_running, until},
    records,
    signerd::{Role, Signerd, log_of, signerd},
    tls::Connection,
    world::{World, json},
};

use crate::support::{BITCOIN, CUSTOMER, coin_scripts, payment, raw, sender, transfer};

#[test]
fn a_good_configuration_passes_the_check_and_is_not_changed_by_it() {
    let world = World::new();
    let checked = signerd(&world.config(), &["--check"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    assert!(!world.data().exists());
    world.configure("permissive = true");
    let checked = signerd(&world.config(), &["--check"]);
    assert!(!checked.status.success());
    assert!(String::from_utf8_lossy(&checked.stderr).contains("permissive"));
}

#[test]
fn systemd_is_told_of_the_start_and_the_stop() {
    let world = World::new();
    world.bootstrap();
    let path = world.folder().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Command::new(binary("signerd"));
    command
        .env("NOTIFY_SOCKET", &path)
        .arg("--config")
        .arg(world.config());
    let daemon = Signerd::start_as(&mut command, world.health(), &log_of(&world.config())).ready();
    let told = |expected: &str| {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(text.lines().any(|line| line == expected), "{text}");
    };
    told("READY=1");
    assert!(daemon.stop().success());
    told("STOPPING=1");
}

#[test]
fn server_and_key_child_end_with_their_supervisor() {
    let world = World::new();
    let mut daemon = world.start();
    let children = [Role::Server, Role::KeyChild].map(|role| daemon.child(role).unwrap());
    daemon.signal(Signal::KILL);
    daemon.wait();
    for child in children {
        until("the end of a child", || (!is_running(child)).then_some(()));
    }
    let _daemon = world.start();
}

/// As an image starts it: with process id 1, so that every orphan is its child.
#[test]
fn it_runs_as_the_first_process_of_a_container() {
    let world = World::new();
    world.bootstrap();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]);
    if !rustix::process::getuid().is_root() {
        command.args(["--user", "--map-current-user"]);
    }
    command
        .arg(binary("signerd"))
        .arg("--config")
        .arg(world.config());
    let config = world.config();
    let _daemon = Signerd::start_as(&mut command, world.health(), &log_of(&config)).ready();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
}

#[test]
fn a_coordinator_that_forgot_learns_what_was_signed() {
    let world = World::new();
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let signed: Vec<SignAnswer> = (0..105)
        .map(|nonce| {
            client.sign(&transfer(
                &format!("pay-{nonce}"),
                &from,
                &Draft::transfer(nonce, CUSTOMER, 1),
            ))
        })
        .collect();
    assert!(daemon.stop().success());
    let _daemon = world.start();
    client.reconnect();
    let mut found = Vec::new();
    let mut path = "/v1/requests".to_owned();
    loop {
        let page: RequestsAnswer = client.get(&path).json();
        found.extend(page.requests);
        let Some(next) = page.next else { break };
        path = format!("/v1/requests?after={next}");
    }
    assert_eq!(found.len(), signed.len());
    for (found, signed) in found.iter().zip(&signed) {
        assert_eq!(found.request_id, signed.request_id);
        assert_eq!(found.attempt, signed.attempt);
        assert_eq!(found.status, RequestStatus::Signed);
        assert_eq!(found.transaction.as_ref(), Some(&signed.transaction));
    }
    let last = format!("/v1/requests?after={}", signed[103].attempt);
    let page: RequestsAnswer = client.get(&last).json();
    assert_eq!(page.requests.len(), 1);
}

/// What load leaves behind: the requests, and the answers of those that had one.
type Sent = Vec<(bitcoin::Psbt, api::signing::SignRequest, Option<Vec<u8>>)>;

/// Sends payments from several clients until the connection ends or `most` were sent.
fn load(world: &World, next: &Arc<AtomicU64>, most: u64) -> Vec<thread::JoinHandle<Sent>> {
    let scripts = coin_scripts(&mut world.walletd());
    let client = |script: bitcoin::ScriptBuf| {
        let (next, config, address) = (Arc::clone(next), world.pki.config("walletd"), world.api());
        thread::spawn(move || {
            let mut sent = Sent::new();
            let Ok(mut connection) = Connection::open(address, &config) else {
                return sent;
            };
            while next.load(Ordering::Relaxed) < most {
                let salt = next.fetch_add(1, Ordering::Relaxed);
                let coin = Previous::invented(salt, 101_000, &script);
                let outputs = [(100_000, foreign_script(1))];
                let (psbt, request) = payment(&format!("pay-{salt}"), BITCOIN, &[coin], &outputs);
                let answer = connection.post("/v1/sign", &json(&request));
                let ended = answer.is_err();
                let answer = answer.ok().filter(|answer| answer.status == 200);
                sent.push((psbt, request, answer.map(|answer| answer.body)));
                if ended {
                    break;
                }
            }
            sent
        })
    };
    scripts.into_iter().cycle().take(6).map(client).collect()
}

fn join(threads: Vec<thread::JoinHandle<Sent>>) -> Sent {
    threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect()
}

/// Sends everything again: what was answered gets the same bytes, everything one valid signature.
fn settle(world: &World, sent: &Sent) {
    let mut client = world.walletd();
    for (psbt, request, answer) in sent {
        let again = client.send(request);
        assert_eq!(again.status, 200, "{}", again.text());
        if let Some(answer) = answer {
            assert!(
                again.body == *answer,
                "another answer to {}",
                request.request_id
            );
        }
        coins::verify(psbt, &raw(&again.json())).unwrap();
    }
    assert_eq!(client.used("btc-day"), units(100_000 * sent.len() as u128));
}

#[test]
fn killed_under_load_again_and_again_it_loses_no_charge_and_signs_nothing_twice() {
    let world = World::new();
    world.configure("[bounds]\nrequests_per_second = 100000");
    let next = Arc::new(AtomicU64::new(0));
    let mut sent = Sent::new();
    for round in 1..=5u64 {
        let daemon = world.start();
        let threads = load(&world, &next, u64::MAX);
        let enough = round * 60;
        daemon.metric_is("signerd_signed_total", |signed| signed >= 40);
        until("some load", || {
            (next.load(Ordering::Relaxed) >= enough).then_some(())
        });
        daemon.kill();
        sent.extend(join(threads));
    }
    let daemon = world.start();
    settle(&world, &sent);
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let attempts = records::attempts(&records);
    let requests: BTreeSet<_> = attempts
        .iter()
        .map(|(_, attempt)| &attempt.request)
        .collect();
    assert_eq!(requests.len(), sent.len());
    let signed = records
        .iter()
        .filter(|record| matches!(record.entry, Entry::Signed(_)));
    assert_eq!(signed.count(), sent.len());
}

#[test]
fn told_to_stop_under_load_it_ends_what_it_has_begun() {
    let world = World::new();
    world.configure("[bounds]\nrequests_per_second = 100000");
    let daemon = world.start();
    let next = Arc::new(AtomicU64::new(0));
    let threads = load(&world, &next, 100_000);
    daemon.metric_is("signerd_signed_total", |signed| signed >= 100);
    let status = daemon.stop();
    assert!(status.success(), "{status}");
    let sent = join(threads);
    // Nothing is left half done: what is charged is signed.
    let records = records::read(&world.data());
    let signed = records
        .iter()
        .filter(|record| matches!(record.entry, Entry::Signed(_)))
        .count();
    assert_eq!(records::attempts(&records).len(), signed);
    assert!(matches!(
        records.last().unwrap().entry,
        Entry::Stopped { .. }
    ));
    let _daemon = world.start();
    settle(&world, &sent);
}
