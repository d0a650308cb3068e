//! The API's routes: from a request to its verb.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use api::{
    journal::BODIES_PER_PAGE_MAX,
    problem::{Problem, ProblemKind},
    server::{self, Answer, Bounds, Happened, Host, Length, Peer, Tls},
    signing::BODY_MAX,
};
use hyper::{Method, Request, body::Incoming};
use policy::{Client, Verb};
use serde::de::DeserializeOwned;
use tokio::sync::SemaphorePermit;
use tx::{IntentId, Name};

use crate::{
    identity::{client, grants},
    page::File,
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
        Answer::from(route(self, &peer, request, Door::Api).await)
    }
}

/// The daemon behind the officers' listener, which the coordinator cannot keep them from.
pub struct Officers(pub Arc<Service>);

impl Host for Officers {
    fn tls(&self) -> Arc<Tls> {
        self.0.tls()
    }

    fn bounds(&self) -> &Bounds {
        &self.0.bounds
    }

    fn count(&self, happened: Happened) {
        self.0.count(happened);
    }

    async fn answer(self: Arc<Self>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer {
        self.0.metrics.requests.increment();
        let service = Arc::clone(&self.0);
        Answer::from(route(service, &peer, request, Door::Officers).await)
    }
}

/// The listener that a request came by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    /// For clients of every kind.
    Api,
    /// For what people say, and for nothing that signs.
    Officers,
}

/// Whether anything is answered at all.
fn is_open(service: &Service) -> Result<(), Problem> {
    if let Some(seal) = service.sealed() {
        return Err(Problem::new(ProblemKind::Sealed, seal.to_string()));
    }
    if service.is_stopping() {
        return Err(Problem::new(
            ProblemKind::Stopping,
            "Ask again once the daemon is back.",
        ));
    }
    Ok(())
}

async fn route(
    service: Arc<Service>,
    peer: &Peer,
    request: Request<Incoming>,
    door: Door,
) -> Result<Answer, Problem> {
    is_open(&service)?;
    let unknown = |detail: &str| Problem::new(ProblemKind::UnknownClient, detail);
    if !peer.is_accepted(&service.tls()) {
        return Err(unknown("The certificate was revoked or has expired."));
    }
    let policy = service.policy()?;
    let (name, client) = client(peer.credentials(), &policy)
        .ok_or_else(|| unknown("No client of the policy has this certificate."))?;
    let verb = verb(request.method(), request.uri().path(), door);
    let relays = verb.as_ref().is_ok_and(|verb| verb.relays(client));
    let (rates, in_flight) = match door {
        Door::Officers => (&service.officer_rates, &service.officer_in_flight),
        Door::Api if relays => (&service.relay_rates, &service.relay_in_flight),
        Door::Api => (&service.rates, &service.in_flight),
    };
    if !rates.take(name, Instant::now()) {
        service.metrics.throttled.increment();
        let detail = "The client makes more requests a second than it may.";
        return Err(Problem::new(ProblemKind::TooManyRequests, detail));
    }
    let place = in_flight
        .try_acquire()
        .map_err(|_| Problem::new(ProblemKind::Busy, "Too many requests are in flight."))?;
    let verb = verb?;
    if !verb.needs().iter().any(|verb| grants(client, *verb)) {
        let detail = format!("The policy does not grant this to client {name}.");
        return Err(Problem::new(ProblemKind::NotGranted, detail));
    }
    let asked = Asked {
        client: name,
        grants: client,
        place,
    };
    carry_out(&service, verb, asked, request).await
}

/// Who asks, and the place among the requests at the same time.
struct Asked<'a> {
    client: &'a Name,
    grants: &'a Client,
    place: SemaphorePermit<'a>,
}

async fn carry_out(
    service: &Arc<Service>,
    verb: Route,
    asked: Asked<'_>,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    let Asked {
        client,
        grants,
        place,
    } = asked;
    match verb {
        Route::Sign => {
            let body = body(service, request).await?;
            let signed = verbs::sign::sign(Arc::clone(service), client.clone(), body).await?;
            // Who waits for witnesses keeps nobody from signing.
            drop(place);
            signed.release(service).await
        }
        Route::Evaluate => {
            let body = body(service, request).await?;
            verbs::evaluate::evaluate_request(service, client, &body).await
        }
        Route::Keys => verbs::keys::keys(service, grants, None),
        Route::Key(key) => verbs::keys::keys(service, grants, Some(&key)),
        Route::Requests => {
            let after = number(request.uri().query(), "after")?;
            let told = verbs::requests::requests(service, client, after)?;
            drop(place);
            told.release(service).await
        }
        Route::Request(id) => {
            let told = verbs::requests::request(service, client, &id)?;
            drop(place);
            told.release(service).await
        }
        Route::Checkpoint => {
            let covers = number(request.uri().query(), "covers")?;
            // Who waits for a checkpoint keeps nobody from signing.
            drop(place);
            verbs::log::checkpoint(service, covers).await
        }
        Route::Seen => {
            let body = body(service, request).await?;
            verbs::log::seen(service, &body).await
        }
        Route::Cosignatures => verbs::log::cosignatures(service, &body(service, request).await?),
        Route::Resource(path) => verbs::log::resource(service, &path),
        Route::Proofs => verbs::log::proofs(service, &body(service, request).await?),
        Route::Bodies => {
            let (from, count) = page(request.uri().query())?;
            verbs::bodies::bodies(service, from, count).await
        }
        Route::Bundle(hash) => verbs::bodies::bundle(service, hash),
        Route::Governance => verbs::governance::governance(service),
        Route::State => {
            let body = body(service, request).await?;
            verbs::governance::state(service, &body).await
        }
        Route::Attest => {
            let body = body(service, request).await?;
            verbs::statements::attest(service, &body).await
        }
        Route::Page(file) => Ok(file.answer()),
        Route::Intents(verb) => about_intents(service, client, verb, request).await,
        Route::Transactions(verb) => about_transactions(service, client, verb, request).await,
        Route::Consistency => {
            let (from, to) = sizes(request.uri().query())?;
            verbs::log::consistency(service, from, to)
        }
    }
}

async fn about_intents(
    service: &Service,
    client: &Name,
    verb: Intents,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    match verb {
        Intents::Register => {
            let body = body(service, request).await?;
            verbs::intents::register(service, client, body).await
        }
        Intents::List => verbs::intents::waiting(service),
        Intents::Show(id) => verbs::intents::intent(service, client, &id),
        Intents::Decide(id) => {
            let body = body(service, request).await?;
            verbs::intents::decide(service, client, &id, body).await
        }
    }
}

async fn about_transactions(
    service: &Service,
    client: &Name,
    verb: Transactions,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    match verb {
        Transactions::Register => {
            let body = body(service, request).await?;
            verbs::transactions::register(service, client, body).await
        }
        Transactions::List => verbs::transactions::waiting(service),
        Transactions::Show(entry) => verbs::transactions::transaction(service, client, entry),
        Transactions::Decide(entry) => {
            let body = body(service, request).await?;
            verbs::transactions::decide(service, client, entry, body).await
        }
    }
}

/// The API's routes. The OpenAPI document lists the same ones; a test compares.
pub const ROUTES: [(&str, &str); 25] = [
    ("POST", "/v1/sign"),
    ("POST", "/v1/evaluate"),
    ("GET", "/v1/keys"),
    ("GET", "/v1/keys/{key}"),
    ("GET", "/v1/requests"),
    ("GET", "/v1/requests/{id}"),
    ("GET", "/v1/journal/checkpoint"),
    ("POST", "/v1/journal/checkpoint"),
    ("POST", "/v1/journal/cosignatures"),
    ("GET", "/v1/journal/tile/{tile}"),
    ("POST", "/v1/journal/proofs"),
    ("GET", "/v1/journal/consistency"),
    ("GET", "/v1/journal/bodies"),
    ("GET", "/v1/journal/bundles/{hash}"),
    ("GET", "/v1/governance"),
    ("POST", "/v1/governance/statements"),
    ("POST", "/v1/statements"),
    ("GET", "/v1/intents"),
    ("POST", "/v1/intents"),
    ("GET", "/v1/intents/{source}/{id}"),
    ("POST", "/v1/intents/{source}/{id}/approvals"),
    ("GET", "/v1/transactions"),
    ("POST", "/v1/transactions"),
    ("GET", "/v1/transactions/{entry}"),
    ("POST", "/v1/transactions/{entry}/approvals"),
];

enum Route {
    Sign,
    Evaluate,
    Keys,
    Key(Name),
    Requests,
    Request(policy::RequestId),
    Checkpoint,
    Seen,
    Cosignatures,
    /// A path of C2SP tlog-tiles.
    Resource(String),
    Proofs,
    Consistency,
    Bodies,
    Bundle(policy::BundleHash),
    Governance,
    State,
    Attest,
    Intents(Intents),
    Transactions(Transactions),
    /// A file of the approval page, which is no part of the API.
    Page(&'static File),
}

/// What is asked about intents that people approve.
enum Intents {
    List,
    Register,
    Show(IntentId),
    Decide(IntentId),
}

/// What is asked about transactions that people approve, each by the entry that registered it.
enum Transactions {
    List,
    Register,
    Show(u64),
    Decide(u64),
}

impl Route {
    /// The grants of which one is enough.
    fn needs(&self) -> &'static [Verb] {
        match self {
            Self::Sign => &[Verb::Sign],
            Self::Evaluate => &[Verb::Evaluate],
            Self::Keys | Self::Key(_) => &[Verb::Keys],
            Self::Requests | Self::Request(_) => &[Verb::Requests],
            Self::Checkpoint
            | Self::Seen
            | Self::Resource(_)
            | Self::Proofs
            | Self::Consistency => &[Verb::Journal],
            Self::Bodies | Self::Bundle(_) => &[Verb::Bodies],
            Self::Cosignatures => &[Verb::Witness],
            Self::Governance | Self::State => &[Verb::Govern],
            // Whoever asks may: it is the attesters' signatures that count.
            Self::Attest => &Verb::ALL,
            Self::Intents(Intents::Register) | Self::Transactions(Transactions::Register) => {
                &[Verb::Intents]
            }
            Self::Intents(Intents::Show(_)) | Self::Transactions(Transactions::Show(_)) => {
                &[Verb::Intents, Verb::Approve]
            }
            Self::Intents(Intents::List | Intents::Decide(_))
            | Self::Transactions(Transactions::List | Transactions::Decide(_))
            | Self::Page(_) => &[Verb::Approve],
        }
    }

    /// Whether the listener has it.
    fn is_behind(&self, door: Door) -> bool {
        match door {
            Door::Api => !matches!(self, Self::Page(_)),
            Door::Officers => matches!(
                self,
                Self::Intents(_)
                    | Self::Transactions(_)
                    | Self::Governance
                    | Self::State
                    | Self::Attest
                    | Self::Page(_)
            ),
        }
    }

    /// Whether it is a step of bringing checkpoints to witnesses, by a client that does that.
    fn relays(&self, client: &Client) -> bool {
        let needs = self.needs();
        grants(client, Verb::Witness) && matches!(needs, [Verb::Journal | Verb::Witness])
    }
}

fn verb(method: &Method, path: &str, door: Door) -> Result<Route, Problem> {
    let absent = || Problem::new(ProblemKind::NotFound, format!("There is no {path}."));
    let (wanted, route) = match path {
        "/v1/sign" => (Method::POST, Route::Sign),
        "/v1/evaluate" => (Method::POST, Route::Evaluate),
        "/v1/keys" => (Method::GET, Route::Keys),
        "/v1/requests" => (Method::GET, Route::Requests),
        "/v1/journal/checkpoint" if *method == Method::POST => (Method::POST, Route::Seen),
        "/v1/journal/cosignatures" => (Method::POST, Route::Cosignatures),
        "/v1/journal/checkpoint" => (Method::GET, Route::Checkpoint),
        "/v1/journal/proofs" => (Method::POST, Route::Proofs),
        "/v1/journal/consistency" => (Method::GET, Route::Consistency),
        "/v1/journal/bodies" => (Method::GET, Route::Bodies),
        "/v1/governance" => (Method::GET, Route::Governance),
        "/v1/governance/statements" => (Method::POST, Route::State),
        "/v1/statements" => (Method::POST, Route::Attest),
        "/v1/intents" if *method == Method::GET => (Method::GET, Route::Intents(Intents::List)),
        "/v1/intents" => (Method::POST, Route::Intents(Intents::Register)),
        "/v1/transactions" if *method == Method::GET => {
            (Method::GET, Route::Transactions(Transactions::List))
        }
        "/v1/transactions" => (Method::POST, Route::Transactions(Transactions::Register)),
        _ => named(path).ok_or_else(absent)?,
    };
    if !route.is_behind(door) {
        return Err(absent());
    }
    if *method == wanted {
        return Ok(route);
    }
    let detail = format!("{path} is asked for with {wanted}.");
    Err(Problem::new(ProblemKind::MethodNotAllowed, detail))
}

/// The route of a path that has names in it.
fn named(path: &str) -> Option<(Method, Route)> {
    if let Some(file) = File::at(path) {
        return Some((Method::GET, Route::Page(file)));
    }
    if let Some(intent) = path.strip_prefix("/v1/intents/") {
        return match intent.strip_suffix("/approvals") {
            Some(id) => Some((
                Method::POST,
                Route::Intents(Intents::Decide(intent_id(id)?)),
            )),
            None => Some((
                Method::GET,
                Route::Intents(Intents::Show(intent_id(intent)?)),
            )),
        };
    }
    if let Some(entry) = path.strip_prefix("/v1/transactions/") {
        let (method, verb): (_, fn(u64) -> Transactions) = match entry.strip_suffix("/approvals") {
            Some(_) => (Method::POST, Transactions::Decide),
            None => (Method::GET, Transactions::Show),
        };
        let entry = entry.strip_suffix("/approvals").unwrap_or(entry);
        return Some((method, Route::Transactions(verb(digits(entry)?))));
    }
    read(path).map(|route| (Method::GET, route))
}

fn intent_id(text: &str) -> Option<IntentId> {
    let (source, id) = text.split_once('/')?;
    Some(IntentId {
        source: source.parse().ok()?,
        id: id.parse().ok()?,
    })
}

/// The route of a path that ends with a name and is read.
fn read(path: &str) -> Option<Route> {
    if let Some(name) = path.strip_prefix("/v1/keys/") {
        return name.parse().ok().map(Route::Key);
    }
    if let Some(id) = path.strip_prefix("/v1/requests/") {
        return id.parse().ok().map(Route::Request);
    }
    if let Some(hash) = path.strip_prefix("/v1/journal/bundles/") {
        let canonical = !hash.bytes().any(|byte| byte.is_ascii_uppercase());
        let hash = hash.parse().ok().filter(|_| canonical);
        return hash.map(Route::Bundle);
    }
    // What of it there is, the verb says.
    let resource = path.strip_prefix("/v1/journal/")?;
    let tile = resource.strip_prefix("tile/")?;
    (!tile.is_empty()).then(|| Route::Resource(resource.to_owned()))
}

/// The value of the one parameter there is.
fn number(query: Option<&str>, parameter: &str) -> Result<Option<u64>, Problem> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(None);
    };
    let value = value(query, parameter);
    let detail = format!("The one parameter is {parameter}=<journal index>.");
    value
        .map(Some)
        .ok_or_else(|| Problem::new(ProblemKind::Malformed, detail))
}

/// The values of `from` and `to`.
fn sizes(query: Option<&str>) -> Result<(u64, u64), Problem> {
    let sizes = query
        .and_then(|query| query.split_once('&'))
        .and_then(|(from, to)| Some((value(from, "from")?, value(to, "to")?)));
    let detail = "The parameters are from=<size>&to=<size>.";
    sizes.ok_or_else(|| Problem::new(ProblemKind::Malformed, detail))
}

/// The value of `from`, and that of `count` where there is one.
fn page(query: Option<&str>) -> Result<(u64, usize), Problem> {
    let whole = BODIES_PER_PAGE_MAX;
    let page = query.and_then(|query| match query.split_once('&') {
        None => Some((value(query, "from")?, whole)),
        Some((from, count)) => {
            let count = usize::try_from(value(count, "count")?).ok()?;
            let bounded = (1..=whole).contains(&count);
            bounded.then_some((value(from, "from")?, count))
        }
    });
    let detail = format!("The parameters are from=<journal index>, and &count=<1 to {whole}>.");
    page.ok_or_else(|| Problem::new(ProblemKind::Malformed, detail))
}

/// The number in `parameter=number`, in decimal digits and nothing else.
fn value(assigned: &str, parameter: &str) -> Option<u64> {
    digits(assigned.strip_prefix(parameter)?.strip_prefix('=')?)
}

fn digits(text: &str) -> Option<u64> {
    let decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    decimal.then(|| text.parse().ok()).flatten()
}

/// A body's length: of one that is too large, what is little is read, so that the answer arrives.
const LENGTH: Length = Length {
    max: BODY_MAX,
    read: 4 * BODY_MAX,
};

/// Reads a body within its bounds of size and time.
async fn body<T: DeserializeOwned>(
    service: &Service,
    request: Request<Incoming>,
) -> Result<T, Problem> {
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
            let named = [
                ("{key}", "eth-hot-1"),
                ("{id}", "w-1"),
                ("{tile}", "0/x001/234.p/7"),
                ("{hash}", &"0a".repeat(32)),
                ("{entry}", "1207"),
            ];
            let path = named.iter().fold(path.to_owned(), |path, (name, value)| {
                path.replace(name, value)
            });
            let method: Method = method.parse().unwrap();
            let path = path.replace("{source}", "payouts");
            assert!(verb(&method, &path, Door::Api).is_ok(), "{method} {path}");
            let problem = verb(&Method::DELETE, &path, Door::Api).err().unwrap();
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
            "/v1/journal",
            "/v1/journal/",
            "/v1/journal/tile",
            "/v1/journal/tile/",
            "/v1/journal/proofs/",
            "/v1/journal/entries/0",
            "/v1/journal/bodies/",
            "/v1/journal/bundles/",
            "/v1/journal/bundles/0a",
            "/v1/journal/bundles/../../signerd.toml",
            "/v1/intents/",
            "/v1/intents/payouts",
            "/v1/intents/payouts/",
            "/v1/intents/Payouts/w-1",
            "/v1/intents/payouts/w-1/texts",
            "/v1/intents/payouts//approvals",
            "/v1/transactions/",
            "/v1/transactions/+1",
            "/v1/transactions/w-1",
            "/v1/transactions//approvals",
        ] {
            let problem = verb(&Method::GET, path, Door::Api).err().unwrap();
            assert_eq!(problem.kind, ProblemKind::NotFound, "{path}");
        }
    }

    #[test]
    fn officers_reach_what_people_say_and_nothing_that_signs() {
        let open = [
            (Method::GET, "/v1/intents"),
            (Method::POST, "/v1/intents"),
            (Method::GET, "/v1/intents/payouts/w-1"),
            (Method::POST, "/v1/intents/payouts/w-1/approvals"),
            (Method::GET, "/v1/transactions"),
            (Method::POST, "/v1/transactions"),
            (Method::GET, "/v1/transactions/1207"),
            (Method::POST, "/v1/transactions/1207/approvals"),
            (Method::GET, "/v1/governance"),
            (Method::POST, "/v1/governance/statements"),
            (Method::POST, "/v1/statements"),
        ];
        for (method, path) in &open {
            assert!(verb(method, path, Door::Officers).is_ok(), "{path}");
        }
        // The page is there for people alone.
        for path in ["/approve/", "/approve/page.mjs"] {
            assert!(verb(&Method::GET, path, Door::Officers).is_ok(), "{path}");
            let problem = verb(&Method::GET, path, Door::Api).err().unwrap();
            assert_eq!(problem.kind, ProblemKind::NotFound, "{path}");
            let problem = verb(&Method::POST, path, Door::Officers).err().unwrap();
            assert_eq!(problem.kind, ProblemKind::MethodNotAllowed, "{path}");
        }
        let is_open = |path: &str| {
            let path = path.replace("{source}", "payouts").replace("{id}", "w-1");
            let path = path.replace("{entry}", "1207");
            open.iter().any(|(_, open)| *open == path)
        };
        for (method, path) in ROUTES.iter().filter(|(_, path)| !is_open(path)) {
            let method: Method = method.parse().unwrap();
            let problem = verb(&method, path, Door::Officers).err().unwrap();
            assert_eq!(problem.kind, ProblemKind::NotFound, "{path}");
        }
    }

    #[test]
    fn a_number_is_the_one_parameter() {
        assert_eq!(number(None, "after").unwrap(), None);
        assert_eq!(number(Some(""), "covers").unwrap(), None);
        assert_eq!(number(Some("after=7"), "after").unwrap(), Some(7));
        for query in [
            "after=",
            "after=-1",
            "after=+1",
            "before=7",
            "after=1&after=2",
            "after=18446744073709551616",
        ] {
            assert_eq!(
                number(Some(query), "after").unwrap_err().kind,
                ProblemKind::Malformed,
                "{query}"
            );
        }
    }

    #[test]
    fn a_page_has_a_first_entry_and_a_bound() {
        assert_eq!(page(Some("from=7")).unwrap(), (7, BODIES_PER_PAGE_MAX));
        assert_eq!(page(Some("from=7&count=1")).unwrap(), (7, 1));
        for query in [
            None,
            Some(""),
            Some("count=1"),
            Some("from=1&count=0"),
            Some("from=1&count=257"),
            Some("from=1&count=18446744073709551616"),
            Some("count=1&from=1"),
            Some("from=1&count=1&count=1"),
        ] {
            assert_eq!(
                page(query).unwrap_err().kind,
                ProblemKind::Malformed,
                "{query:?}"
            );
        }
    }

    #[test]
    fn two_sizes_are_from_and_to_in_that_order() {
        assert_eq!(sizes(Some("from=0&to=7")).unwrap(), (0, 7));
        for query in [
            None,
            Some(""),
            Some("from=1"),
            Some("to=7&from=1"),
            Some("from=1&to=2&to=3"),
            Some("from=1&to=0x2"),
            Some("from=1&to=18446744073709551616"),
        ] {
            assert_eq!(
                sizes(query).unwrap_err().kind,
                ProblemKind::Malformed,
                "{query:?}"
            );
        }
    }
}
