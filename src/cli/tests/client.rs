//! The client of the signing API: what each failure means, and how connections are kept.

use std::sync::Arc;
use std::time::Duration;

use api::client::{Client, ClientError, Lost, Obstacle, Oddity, Protocol, Settings};
use api::signing::{RequestsAnswer, SignRequest};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Barrier;

use crate::program::Place;
use crate::signer::{JSON, PROBLEM, Reply, Signer, founded};

const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];
/// Longer than anything here takes that is meant to end.
const PATIENCE: Duration = Duration::from_secs(30);

fn client(place: &Place, signer: &Signer, protocol: Protocol, timeout: Duration) -> Client {
    Client::new(&Settings {
        server: &signer.address.to_string(),
        server_name: None,
        roots: &place.read("pki/ca.pem"),
        certificate: &place.read("client/operator.pem"),
        key: &place.read("client/operator.key"),
        protocol,
        timeout,
    })
    .unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    Runtime::new().unwrap().block_on(future)
}

fn request() -> SignRequest {
    serde_json::from_value(json!({
        "request_id": "one", "lane_epoch": 0,
        "transaction": { "format": "psbt", "chain": "litecoin:regtest", "psbt": "cHNidP8=" },
    }))
    .unwrap()
}

fn page() -> Value {
    json!({ "requests": [] })
}

#[test]
fn http1_keeps_its_connection_and_makes_a_new_one() {
    let place = founded();
    let signer = Signer::start(&place, |seen| match seen.path.as_str() {
        "/v1/requests" => Reply::ok(&page()),
        _ => Reply::Last(page().to_string()),
    });
    let client = client(&place, &signer, Protocol::Http1, PATIENCE);
    run(async {
        let empty = RequestsAnswer {
            requests: Vec::new(),
            next: None,
        };
        assert_eq!(client.requests(None).await.unwrap(), empty);
        assert_eq!(client.requests(None).await.unwrap(), empty);
        assert_eq!(signer.connections(), 1);
        assert_eq!(client.requests(Some(7)).await.unwrap(), empty);
        assert_eq!(signer.connections(), 1);
        // The signer has closed it.
        assert_eq!(client.requests(None).await.unwrap(), empty);
        assert_eq!(signer.connections(), 2);
    });
    let paths: Vec<_> = signer.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(
        paths,
        [
            "/v1/requests",
            "/v1/requests",
            "/v1/requests?after=7",
            "/v1/requests"
        ]
    );
}

#[test]
fn http2_calls_share_one_connection_at_the_same_time() {
    const CALLS: usize = 20;
    let place = founded();
    // Answered only once all of them wait: one after the other they would wait for ever.
    let barrier = Arc::new(Barrier::new(CALLS));
    let together = Arc::clone(&barrier);
    let signer = Signer::start(&place, move |_| {
        Reply::Together(Arc::clone(&together), page().to_string())
    });
    let client = Arc::new(client(&place, &signer, Protocol::Http2, PATIENCE));
    run(async {
        let calls = (0..CALLS).map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.requests(None).await })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap().unwrap();
        }
    });
    assert_eq!(signer.connections(), 1);
}

#[test]
fn silence_after_sending_is_unknown() {
    let place = founded();
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let signer = Signer::start(&place, move |_| {
        arrived.send(()).unwrap();
        Reply::Silence
    });
    for protocol in BOTH {
        let client = client(&place, &signer, protocol, PATIENCE);
        // On a runtime of one thread the clock can be moved.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let outcome = runtime.block_on(async {
            let call = tokio::spawn(async move { client.sign(&request()).await });
            arrivals.recv().await.unwrap();
            tokio::time::pause();
            tokio::time::advance(PATIENCE).await;
            call.await.unwrap()
        });
        assert!(
            matches!(
                outcome,
                Err(ClientError::Unknown {
                    source: Lost::TimedOut,
                    ..
                })
            ),
            "{protocol:?}: {outcome:?}"
        );
    }
}

#[test]
fn a_connection_that_breaks_after_sending_is_unknown() {
    let place = founded();
    let signer = Signer::start(&place, |_| Reply::Hangup);
    for protocol in BOTH {
        let client = client(&place, &signer, protocol, PATIENCE);
        let error = run(client.sign(&request())).unwrap_err();
        assert!(
            matches!(
                error,
                ClientError::Unknown {
                    source: Lost::Broken(_),
                    ..
                }
            ),
            "{protocol:?}: {error:?}"
        );
    }
}

#[test]
fn a_refused_certificate_means_that_nothing_happened() {
    let place = founded();
    place.answer("pki revoke --name operator --reason key-compromise");
    let signer = Signer::start(&place, |_| Reply::ok(&page()));
    for protocol in BOTH {
        let client = client(&place, &signer, protocol, PATIENCE);
        match run(client.sign(&request())).unwrap_err() {
            ClientError::Unreachable {
                source: Obstacle::Certificate { alert },
                ..
            } => {
                assert_eq!(alert, "CertificateRevoked", "{protocol:?}");
            }
            other => panic!("{protocol:?}: {other:?}"),
        }
    }
    assert!(signer.seen().is_empty());
}

#[test]
fn an_absent_or_foreign_server_is_unreachable() {
    let (place, other) = (founded(), founded());
    let signer = Signer::answering(&other, page());
    let error =
        run(client(&place, &signer, Protocol::Http1, PATIENCE).sign(&request())).unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Unreachable {
                source: Obstacle::Handshake(_),
                ..
            }
        ),
        "{error:?}"
    );

    let closed = client(&place, &signer, Protocol::Http1, PATIENCE);
    drop(signer);
    let error = run(closed.sign(&request())).unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Unreachable {
                source: Obstacle::Connection(_),
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn an_answer_that_is_none_is_told_apart() {
    let place = founded();
    let oddity = |status: u16, media_type: &'static str, body: String| {
        let signer = Signer::start(&place, move |_| {
            Reply::Answer(status, media_type, body.clone())
        });
        match run(client(&place, &signer, Protocol::Http1, PATIENCE).sign(&request())) {
            Err(ClientError::Malformed {
                status: told,
                source,
                ..
            }) => {
                assert_eq!(told, status);
                source
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(oddity(200, JSON, "{".into()), Oddity::Json(_)));
    assert!(matches!(
        oddity(200, JSON, r#"{"request_id":"one"}"#.into()),
        Oddity::Json(_)
    ));
    assert!(matches!(
        oddity(502, "text/html", "<p>".into()),
        Oddity::MediaType
    ));
    assert!(matches!(
        oddity(204, JSON, String::new()),
        Oddity::MediaType
    ));
    let large = "x".repeat(9 << 20);
    assert!(matches!(oddity(200, JSON, large), Oddity::TooLarge { .. }));
    let kind = "urn:strongroom:problem:refused";
    let contradicts = json!({"type": kind, "title": "", "status": 422, "detail": ""});
    assert!(matches!(
        oddity(500, PROBLEM, contradicts.to_string()),
        Oddity::Status
    ));
    let other = json!({
        "request_id": "two", "attempt": 1, "transaction": {"raw": "00", "txid": "00"},
        "receipt": {"version": 1, "log": "", "entry": 1, "salt": "", "body": ""},
    });
    assert!(matches!(
        oddity(200, JSON, other.to_string()),
        Oddity::OtherRequest
    ));
}

#[test]
fn what_is_no_id_never_becomes_a_path() {
    let place = founded();
    let signer = Signer::answering(&place, page());
    let client = client(&place, &signer, Protocol::Http1, PATIENCE);
    for id in ["", "../keys", "a b", "a?b", "a%2e", "ä"] {
        assert!(
            matches!(run(client.request(id)), Err(ClientError::RequestId)),
            "{id:?}"
        );
    }
    assert!(signer.seen().is_empty());
}
