//! Bounds on what a client may send, how fast, and how slowly.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use api::{problem::ProblemKind, signing::BODY_MAX};
use strongroom_softhsm_tests::{
    evm::Draft,
    http::{self, read_answer},
    program::PATIENCE,
    tls::Connection,
    world::{World, problem},
};

use crate::support::{CUSTOMER, sender, transfer};

#[test]
fn a_body_beyond_its_bound_is_refused_however_it_is_announced() {
    let world = World::new();
    let _daemon = world.start();
    let body = vec![b' '; BODY_MAX + 1];
    let announced = world.walletd().post("/v1/sign", &body);
    assert_eq!(problem(&announced).kind, ProblemKind::TooLarge);

    let mut client = world.walletd();
    let stream = client.connection().stream();
    let head = "POST /v1/sign HTTP/1.1\r\nhost: signer\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream
        .write_all(format!("{:x}\r\n", body.len()).as_bytes())
        .unwrap();
    // The daemon may answer and close before all is sent.
    let _ = stream
        .write_all(&body)
        .and_then(|()| stream.write_all(b"\r\n0\r\n\r\n"));
    assert_eq!(
        problem(&read_answer(stream).unwrap()).kind,
        ProblemKind::TooLarge
    );

    // One gigabyte is refused by its announcement.
    let mut client = world.walletd();
    let stream = client.connection().stream();
    let head = "POST /v1/sign HTTP/1.1\r\nhost: signer\r\ncontent-type: application/json\r\n\
                content-length: 1073741824\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(
        problem(&read_answer(stream).unwrap()).kind,
        ProblemKind::TooLarge
    );

    let whole = vec![b' '; BODY_MAX];
    assert_eq!(
        problem(&world.walletd().post("/v1/sign", &whole)).kind,
        ProblemKind::Malformed
    );
}

#[test]
fn a_head_beyond_its_bound_is_refused() {
    let world = World::new();
    let _daemon = world.start();
    let request = |fields: &str| format!("GET /v1/keys HTTP/1.1\r\nhost: signer\r\n{fields}\r\n");
    let ask = |fields: &str| {
        let mut client = world.walletd();
        client
            .connection()
            .exchange(request(fields).as_bytes())
            .unwrap()
            .status
    };
    assert_eq!(ask(&format!("x-long: {}\r\n", "x".repeat(10_000))), 200);
    assert_eq!(ask(&format!("x-long: {}\r\n", "x".repeat(20_000))), 431);
    assert_eq!(ask(&"x-many: x\r\n".repeat(10_000 / 11)), 431);
}

#[test]
fn two_readings_of_one_request_are_refused() {
    let world = World::new();
    let _daemon = world.start();
    let ask = |fields: &str, body: &str| {
        let head = "POST /v1/sign HTTP/1.1\r\nhost: signer\r\ncontent-type: application/json\r\n";
        let mut client = world.walletd();
        let request = format!("{head}{fields}\r\n{body}");
        client
            .connection()
            .exchange(request.as_bytes())
            .map_or(0, |answer| answer.status)
    };
    let both = "content-length: 4\r\ntransfer-encoding: chunked\r\n";
    let smuggled = "0\r\n\r\nGET /v1/keys HTTP/1.1\r\nhost: signer\r\n\r\n";
    // Refused, or read as chunked with the connection closed after it; never as two requests.
    assert!(
        matches!(ask(both, smuggled), 0 | 400),
        "{}",
        ask(both, smuggled)
    );
    let twice = "content-length: 2\r\ncontent-length: 40\r\n";
    assert_eq!(ask(twice, "{}"), 400);
    assert_eq!(ask("transfer-encoding: gzip\r\n", "{}"), 400);
}

#[test]
fn who_sends_slowly_is_cut_off_and_holds_up_nobody() {
    let world = World::new();
    world.configure("[bounds]\nreceive_secs = 1\nidle_secs = 1");
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let config = world.pki.config("walletd");
    let silent: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(world.api()).unwrap())
        .collect();
    let mut half: Vec<Connection> = (0..20)
        .map(|_| Connection::open(world.api(), &config).unwrap())
        .collect();
    for connection in &mut half {
        connection
            .stream()
            .write_all(b"GET /v1/keys HTTP/1.1\r\nhost: sig")
            .unwrap();
    }
    let mut body = Connection::open(world.api(), &config).unwrap();
    let request = http::request("POST", "/v1/sign", Some(&[b' '; 1000]));
    body.stream()
        .write_all(&request[..request.len() - 500])
        .unwrap();

    let began = Instant::now();
    let signed = client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
    assert_eq!(signed.request_id, "pay");
    assert!(
        began.elapsed() < Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );

    assert_eq!(
        problem(&read_answer(body.stream()).unwrap()).kind,
        ProblemKind::RequestTimeout
    );
    for mut stream in silent {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    }
    for connection in &mut half {
        // An answer that says so, or nothing; but an end.
        let end = read_answer(connection.stream()).map_or(0, |answer| answer.status);
        assert!(matches!(end, 0 | 408), "{end}");
    }
    drop(daemon);
}

#[test]
fn more_requests_a_second_than_the_client_may_make_are_turned_away() {
    let world = World::new();
    world.configure("[bounds]\nrequests_per_second = 1");
    let _daemon = world.start();
    let mut client = world.walletd();
    let answers: Vec<_> = (0..10).map(|_| client.get("/v1/keys")).collect();
    let turned_away = answers.iter().filter(|answer| answer.status == 429);
    let kinds: Vec<_> = turned_away.map(|answer| problem(answer).kind).collect();
    assert!(kinds.len() >= 5, "{kinds:?}");
    assert!(
        kinds
            .iter()
            .all(|kind| *kind == ProblemKind::TooManyRequests)
    );
    // Another client is not held up.
    world.pki.client("auditor");
    assert_eq!(world.client("auditor").get("/v1/keys").status, 200);
}

#[test]
fn connections_beyond_their_bound_are_closed_at_once() {
    let world = World::new();
    world.configure("[bounds]\nconnections = 4");
    let daemon = world.start();
    let config = world.pki.config("walletd");
    let mut open: Vec<Connection> = Vec::new();
    for _ in 0..4 {
        let mut connection = Connection::open(world.api(), &config).unwrap();
        assert_eq!(connection.get("/v1/keys").unwrap().status, 200);
        open.push(connection);
    }
    let mut fifth = Connection::open(world.api(), &config).unwrap();
    assert!(fifth.get("/v1/keys").is_err());
    assert_eq!(open[0].get("/v1/keys").unwrap().status, 200);
    open.pop();
    strongroom_softhsm_tests::program::until("a free place", || {
        let mut connection = Connection::open(world.api(), &config).ok()?;
        connection
            .get("/v1/keys")
            .ok()
            .filter(|answer| answer.status == 200)
    });
    drop(daemon);
}
