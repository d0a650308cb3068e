//! From a certificate to a named client of the policy.

use api::server::Credentials;
use policy::{Client, ClientIdentity, Policy, Verb};
use tx::Name;

/// The one client with these credentials. A certificate that fits two is nobody's.
pub fn client<'p>(credentials: &Credentials, policy: &'p Policy) -> Option<(&'p Name, &'p Client)> {
    let is = |identity: &ClientIdentity| match identity {
        ClientIdentity::Uri(uri) => credentials.holds_uri(uri),
        ClientIdentity::Spki(spki) => credentials.spki() == *spki,
    };
    let mut fitting = policy
        .clients
        .iter()
        .filter(|(_, client)| is(&client.identity));
    let first = fitting.next()?;
    fitting.next().is_none().then_some(first)
}

/// Whether the client may use the verb. What is not granted is denied.
pub fn grants(client: &Client, verb: Verb) -> bool {
    client.verbs.contains(&verb)
}
