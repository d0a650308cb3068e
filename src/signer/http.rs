//! The API's routes: from a request to its verb.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use api::{
    problem::{Problem, ProblemKind},
    server::{self, Answer, Bounds, Happened, Host, Length, Peer, Tls},
    signing::{BODY_MAX, SignRequest},
};
use hyper::{Method, Request, body::Incoming};
use policy::Verb;

use crate::{
    identity::{client, grants},
    service::Service,
    verbs,
};

impl Host for Service {
    fn tls(&self) -> Arc<Tls> {
        Self::tls(self)
    }

    fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn count(&self, happened: Happened) {
        let metrics = &self.metrics;
        let counter = match happened {
            Happened::Connection => &metrics.connections,
            Happened::HandshakeFailed => &metrics.handshakes_failed,
            Happened::ConnectionRefused => &metrics.connections_refused,
        };
        counter.increment();
    }

    async fn answer(self: Arc<Self>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer {
        self.metrics.requests.increment();
        Answer::from(route(self, &peer, request).await)
    }
}

async fn route(
    service: Arc<Service>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    if service.is_stopping() {
        return Err(Problem::new(
            ProblemKind::Stopping,
            "Ask again once the daemon is back.",
        ));
    }
    let unknown = |detail: &str| Problem::new(ProblemKind::UnknownClient, detail);
    if !peer.is_accepted(&service.tls()) {
        return Err(unknown("The certificate was revoked or has expired."));
    }
    let policy = service.policy()?;
    let (name, client) = client(peer.credentials(), &policy)
        .ok_or_else(|| unknown("No client of the policy has this certificate."))?;
    if !service.rates.take(name, Instant::now()) {
        service.metrics.throttled.increment();
        let detail = "The client makes more requests a second than it may.";
        return Err(Problem::new(ProblemKind::TooManyRequests, detail));
    }
    let _place = service
        .in_flight
        .try_acquire()
        .map_err(|_| Problem::new(ProblemKind::Busy, "Too many requests are in flight."))?;
    let path = request.uri().path().to_owned();
    let verb = verb(request.method(), &path)?;
    if !grants(client, verb.needs()) {
        let detail = format!("The policy does not grant this to client {name}.");
        return Err(Problem::new(ProblemKind::NotGranted, detail));
    }
    match verb {
        Route::Sign => {
            let body = body(&service, request).await?;
            verbs::sign::sign(Arc::clone(&service), name.clone(), body).await
        }
        Route::Evaluate => {
            let body = body(&service, request).await?;
            verbs::evaluate::evaluate_request(&service, name, &body).await
        }
        Route::Keys => verbs::keys::keys(&service, client, None),
        Route::Key(key) => verbs::keys::keys(&service, client, Some(&key)),
        Route::Requests => verbs::requests::requests(&service, name, after(request.uri().query())?),
        Route::Request(id) => verbs::requests::request(&service, name, &id),
    }
}

/// The API's routes. The OpenAPI document lists the same ones; a test compares.
pub const ROUTES: [(&str, &str); 6] = [
    ("POST", "/v1/sign"),
    ("POST", "/v1/evaluate"),
    ("GET", "/v1/keys"),
    ("GET", "/v1/keys/{key}"),
    ("GET", "/v1/requests"),
    ("GET", "/v1/requests/{id}"),
];

enum Route {
    Sign,
    Evaluate,
    Keys,
    Key(tx::Name),
    Requests,
    Request(policy::RequestId),
}

impl Route {
    fn needs(&self) -> Verb {
        match self {
            Self::Sign => Verb::Sign,
            Self::Evaluate => Verb::Evaluate,
            Self::Keys | Self::Key(_) => Verb::Keys,
            Self::Requests | Self::Request(_) => Verb::Requests,
        }
    }
}

fn verb(method: &Method, path: &str) -> Result<Route, Problem> {
    let absent = || Problem::new(ProblemKind::NotFound, format!("There is no {path}."));
    let (wanted, route) = match path {
        "/v1/sign" => (Method::POST, Route::Sign),
        "/v1/evaluate" => (Method::POST, Route::Evaluate),
        "/v1/keys" => (Method::GET, Route::Keys),
        "/v1/requests" => (Method::GET, Route::Requests),
        _ => {
            let key = path
                .strip_prefix("/v1/keys/")
                .and_then(|name| name.parse().ok());
            let id = path
                .strip_prefix("/v1/requests/")
                .and_then(|id| id.parse().ok());
            let route = key
                .map(Route::Key)
                .or(id.map(Route::Request))
                .ok_or_else(absent)?;
            (Method::GET, route)
        }
    };
    if *method == wanted {
        return Ok(route);
    }
    let detail = format!("{path} is asked for with {wanted}.");
    Err(Problem::new(ProblemKind::MethodNotAllowed, detail))
}

/// The value of `after`, the one parameter there is.
fn after(query: Option<&str>) -> Result<Option<u64>, Problem> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(None);
    };
    let value = query
        .strip_prefix("after=")
        .and_then(|digits| digits.parse().ok());
    let detail = "The one parameter is after=<journal index>.";
    value
        .map(Some)
        .ok_or_else(|| Problem::new(ProblemKind::Malformed, detail))
}

/// A body's length: of one that is too large, what is little is read, so that the answer arrives.
const LENGTH: Length = Length {
    max: BODY_MAX,
    read: 4 * BODY_MAX,
};

/// Reads a body within its bounds of size and time.
async fn body(service: &Service, request: Request<Incoming>) -> Result<SignRequest, Problem> {
    let patience = Duration::from_secs(service.bounds.receive_secs);
    let bytes = server::body(request, LENGTH, patience).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(ProblemKind::Malformed, format!("The body: {error}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_route_is_served_and_by_its_method_alone() {
        for (method, path) in ROUTES {
            let path = path.replace("{key}", "eth-hot-1").replace("{id}", "w-1");
            let method: Method = method.parse().unwrap();
            assert!(verb(&method, &path).is_ok(), "{method} {path}");
            let problem = verb(&Method::DELETE, &path).err().unwrap();
            assert_eq!(problem.kind, ProblemKind::MethodNotAllowed);
        }
    }

    #[test]
    fn other_paths_are_not_there() {
        for path in [
            "/",
            "/v1",
            "/v1/sign/",
            "/v1/keys/",
            "/v1/keys/A",
            "/v1/keys/a/b",
            "/v2/sign",
        ] {
            let problem = verb(&Method::GET, path).err().unwrap();
            assert_eq!(problem.kind, ProblemKind::NotFound, "{path}");
        }
    }

    #[test]
    fn after_is_the_one_parameter() {
        assert_eq!(after(None).unwrap(), None);
        assert_eq!(after(Some("after=7")).unwrap(), Some(7));
        for query in [
            "after=",
            "after=-1",
            "before=7",
            "after=1&after=2",
            "after=18446744073709551616",
        ] {
            assert_eq!(
                after(Some(query)).unwrap_err().kind,
                ProblemKind::Malformed,
                "{query}"
            );
        }
    }
}
