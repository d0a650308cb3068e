//! The approval page, in a browser with a client certificate and a device that holds passkeys.

use std::net::SocketAddr;

use api::{
    intents::{ApprovalRequest, IntentAnswer},
    signing::SignRequest,
};
use rustix::process::Signal;
use strongroom_softhsm_tests::{
    address,
    bundle::Bundle,
    chromium::{Chromium, Site, Verified},
    evm::{Draft, ETHER},
    pki::HOST,
    program::until,
    signerd::Signerd,
    world::{Client, World},
};

use crate::{
    calls,
    intents::{bring, edit, is_pending, only_need, register, standing},
    support::{CUSTOMER, sender, transfer},
    transactions,
};

/// A signer whose bundle names the page on its officers' listener, and a person's browser.
struct Desk {
    browser: Chromium,
    daemon: Signerd,
    officer: Client,
    page: String,
    world: World,
}

const NEED: &str = "people = [\"ann\", \"ben\", \"cem\"]";

impl Desk {
    /// The page is at an origin that is made of the listener's address.
    fn new(origin: impl FnOnce(SocketAddr) -> String) -> Self {
        Self::with(|_| {}, origin)
    }

    /// With more in the bundle.
    fn with(more: impl FnOnce(&mut Bundle), origin: impl FnOnce(SocketAddr) -> String) -> Self {
        let own = address::free();
        let named = origin(own);
        let world = World::with(|bundle| {
            edit(bundle);
            more(bundle);
            bundle.replace(
                "statements.toml",
                NEED,
                &format!("{NEED}, passkeys = \"count\""),
            );
            bundle.replace(
                "statements.toml",
                "need = { threshold = 2",
                "need = { threshold = 1",
            );
            bundle.append(
                "accounts.toml",
                &format!("\n[approval_page]\norigin = {named:?}\n"),
            );
        });
        world.configure(&format!("[officers]\nlisten = \"{own}\"\n"));
        let daemon = world.start();
        world.pki.client("auditor");
        let site = Site {
            host: HOST,
            address: own,
        };
        let home = world.folder().join("browser");
        let browser = Chromium::start(&home, &world.pki, "auditor", &site);
        let officer = Client::new(own, world.pki.config("auditor"));
        Self {
            browser,
            daemon,
            officer,
            page: format!("{}/approve/", origin_of(own)),
            world,
        }
    }

    /// Makes a passkey on the page; the line that it shows.
    fn enrol(&mut self, person: &str) -> String {
        self.browser.visit(&format!("{}#enrol", self.page));
        self.browser.wait("document.querySelector('#person')");
        let fill = format!("document.querySelector('#person').value = {person:?}");
        self.browser.evaluate(&fill).unwrap();
        self.browser.click("#make");
        let lines = self.browser.text("#lines");
        assert!(lines.contains(&format!("name = {person:?}\n")), "{lines}");
        let (_, line) = lines.split_once("passkeys = [\"").unwrap();
        line.split_once('"').unwrap().0.to_owned()
    }

    /// Officers sign a bundle in which eva has this passkey.
    fn govern(&mut self, line: &str) {
        let mut bundle: Bundle = self.world.bundle.clone();
        bundle.append(
            "people.toml",
            &format!("\n[[person]]\nname = \"eva\"\npasskeys = [{line:?}]\n"),
        );
        bundle.replace("statements.toml", NEED, "people = [\"ann\", \"eva\"]");
        bundle.write(&self.world.policy(), 2, &["ann", "ben"]);
        let taken = |daemon: &Signerd| daemon.metric("signerd_reloads_total").unwrap();
        let before = taken(&self.daemon);
        self.daemon.signal(Signal::HUP);
        until("a reload", || (taken(&self.daemon) > before).then_some(()));
    }

    fn show(&mut self, request: &SignRequest) {
        let id = &request.intents[0].intent.id;
        self.browser
            .visit(&format!("{}#{}/{}", self.page, id.source, id.id));
    }

    /// An assertion for a text, by the page's own code.
    fn asserts(&mut self, text: &str, signed: &str) -> Result<ApprovalRequest, String> {
        let expression =
            format!("import('./passkey.mjs').then((passkey) => passkey.assertion({signed:?}))");
        let passkey = self.browser.evaluate(&expression)?;
        Ok(ApprovalRequest {
            statement: text.to_owned(),
            signatures: vec![],
            passkey: Some(serde_json::from_value(passkey).unwrap()),
        })
    }
}

fn origin_of(own: SocketAddr) -> String {
    format!("https://{HOST}:{}", own.port())
}

/// A text without its last line, which is about the moment when it was asked for.
fn but_for_its_expiry(text: &str) -> &str {
    text.rsplit_once("\nexpires ").unwrap().0
}

fn large(id: &str, client: &mut Client) -> (SignRequest, IntentAnswer) {
    let from = sender(client);
    let large = transfer(id, &from, &Draft::transfer(0, CUSTOMER, 6 * ETHER));
    let registered = register(client, &large);
    (large, registered)
}

#[test]
fn a_person_makes_a_passkey_approves_and_rejects() {
    let mut desk = Desk::new(origin_of);
    let line = desk.enrol("eva");
    assert_eq!(desk.browser.passkeys(), 1);
    let mut client = desk.world.walletd();
    let (first, registered) = large("large", &mut client);
    // The signer knows nothing of the passkey before officers have signed a bundle with it.
    let text = only_need(&registered).approve.clone();
    desk.show(&first);
    let body = desk.asserts(&text, &text).unwrap();
    assert_eq!(bring(&mut desk.officer, &first, &body), 422);
    desk.govern(&line);
    desk.browser.visit(&desk.page.clone());
    let listed = desk.browser.text("tbody");
    assert!(
        listed.starts_with("payouts/large6000000000000000000 base units of "),
        "{listed}"
    );
    desk.browser.click("tbody a");
    let shown = desk.browser.text("section.need pre");
    let now = standing(&mut desk.officer, &first);
    let signers = &only_need(&now).approve;
    assert_eq!(but_for_its_expiry(&shown), but_for_its_expiry(signers));
    assert!(shown.contains("\nunits 6 eth\n") && shown.contains("\nin-book customers\n"));
    assert!(is_pending(&mut client, &first));
    desk.browser.click("button.approve");
    desk.browser.wait("document.querySelector('#taken')");
    client.sign(&first);
    // What is paid waits no longer; the next is rejected, for ever.
    let (second, _) = large("other", &mut client);
    desk.browser.visit(&desk.page.clone());
    let listed = desk.browser.text("tbody");
    assert!(listed.starts_with("payouts/other") && !listed.contains("payouts/large"));
    desk.show(&second);
    desk.browser.click("button.reject");
    desk.browser.wait("document.querySelector('#taken')");
    assert_eq!(client.refused(&second).reasons[0].code, "intent-closed");
    desk.browser.visit(&desk.page.clone());
    desk.browser.wait("document.querySelector('#nothing')");
}

#[test]
fn what_is_not_a_persons_word_about_the_text_is_refused() {
    let mut desk = Desk::new(origin_of);
    let line = desk.enrol("eva");
    desk.govern(&line);
    let mut client = desk.world.walletd();
    let (first, registered) = large("large", &mut client);
    let (second, _) = large("other", &mut client);
    let text = only_need(&registered).approve.clone();
    desk.show(&first);
    desk.browser.wait("document.querySelector('section.need')");
    // Another challenge, another text, another intent.
    let changed = text.replace("units 6 eth", "units 5 eth");
    for (statement, signed) in [(&text, &changed), (&changed, &changed), (&changed, &text)] {
        let body = desk.asserts(statement, signed).unwrap();
        assert_eq!(bring(&mut desk.officer, &first, &body), 422);
    }
    let good = desk.asserts(&text, &text).unwrap();
    assert_eq!(bring(&mut desk.officer, &second, &good), 422);
    // Somebody whom the device does not know: the page gets nothing, and what another page would get of the
    // same device does not count.
    desk.browser.verify_user(Verified::No);
    assert!(desk.asserts(&text, &text).is_err());
    let unverified = desk.browser.evaluate(&format!(
        "import('./passkey.mjs').then(async ({{ base64url }}) => {{
            const challenge = await crypto.subtle.digest('SHA-256', new TextEncoder().encode({text:?}));
            const publicKey = {{ challenge, rpId: location.hostname, userVerification: 'discouraged' }};
            const {{ response }} = await navigator.credentials.get({{ publicKey }});
            return {{
                authenticator_data: base64url(response.authenticatorData),
                client_data: base64url(response.clientDataJSON),
                signature: base64url(response.signature),
            }};
        }})"
    ));
    let mut body = good.clone();
    body.passkey = Some(serde_json::from_value(unverified.unwrap()).unwrap());
    assert_eq!(bring(&mut desk.officer, &first, &body), 422);
    desk.browser.verify_user(Verified::Yes);
    // Somebody else's passkey.
    desk.browser.forget();
    desk.enrol("fay");
    let others = desk.asserts(&text, &text).unwrap();
    assert_eq!(bring(&mut desk.officer, &first, &others), 422);
    assert!(is_pending(&mut client, &first));
    // And the one of the text, which all of them were changed from, counts.
    assert_eq!(bring(&mut desk.officer, &first, &good), 200);
    client.sign(&first);
}

#[test]
fn a_passkey_of_a_page_that_the_bundle_does_not_name_says_nothing() {
    // The same host, and another port: what it makes is of the same relying party.
    let other = |own: SocketAddr| format!("https://{HOST}:{}", own.port() + 1);
    let mut desk = Desk::new(other);
    let line = desk.enrol("eva");
    desk.govern(&line);
    let mut client = desk.world.walletd();
    let (first, registered) = large("large", &mut client);
    desk.show(&first);
    let said = desk.browser.text("#mismatch");
    assert!(
        said.contains("names another approval page than this one"),
        "{said}"
    );
    let text = only_need(&registered).approve.clone();
    let body = desk.asserts(&text, &text).unwrap();
    assert_eq!(bring(&mut desk.officer, &first, &body), 422);
    assert!(is_pending(&mut client, &first));
}

#[test]
fn the_page_shows_no_text_that_it_does_not_render_itself() {
    let mut desk = Desk::new(origin_of);
    let mut client = desk.world.walletd();
    large("large", &mut client);
    let visit = desk.page.clone();
    // What the signer would answer, if it or somebody between were to change one thing.
    for (part, by) in [
        ("units 6 eth", "units 5 eth"),
        ("\\\"amount\\\":\\\"6", "\\\"amount\\\":\\\"5"),
        ("\\\"decimals\\\":18", "\\\"decimals\\\":19"),
        ("\\\"customers\\\"", "\\\"friends\\\""),
        ("\\\"threshold\\\":1", "\\\"threshold\\\":2"),
        ("decision reject", "decision approve"),
        ("rejected-before 0", "rejected-before 1"),
        ("max-fee", "max_fee"),
        ("people 1 of ann ben cem", "people 1 of ann ben"),
    ] {
        desk.browser.visit(&visit);
        let changed = format!(
            "{{
                const real = globalThis.fetch;
                globalThis.fetch = async (...request) => {{
                    const text = await (await real(...request)).text();
                    const part = \"{part}\";
                    if (!text.includes(part)) throw new Error('it is not there');
                    return new Response(text.replaceAll(part, \"{by}\"));
                }};
            }}"
        );
        desk.browser.evaluate(&changed).unwrap();
        desk.browser
            .evaluate("location.hash = 'payouts/large'")
            .unwrap();
        let said = desk.browser.text("#mismatch");
        assert!(said.contains("Do not approve this"), "{part}: {said}");
        let buttons = desk
            .browser
            .evaluate("document.querySelectorAll('button.approve').length");
        assert_eq!(buttons, Ok(0.into()), "{part}");
    }
}

/// Nobody reads one thing where they went to another.
#[test]
fn an_answer_that_comes_late_is_shown_to_nobody_who_has_gone_on() {
    let mut desk = Desk::new(origin_of);
    let mut client = desk.world.walletd();
    large("large", &mut client);
    // The next list waits until it is let go.
    let held = "{
        const real = globalThis.fetch;
        globalThis.fetch = async (path, request) => {
            if (path === '/v1/transactions') await new Promise((go) => { globalThis.go = go; });
            return real(path, request);
        };
    }";
    for fails in [false, true] {
        desk.browser.visit(&desk.page.clone());
        desk.browser.wait("document.querySelector('tbody')");
        desk.browser.evaluate(held).unwrap();
        desk.browser.evaluate("location.hash = '#enrol'").unwrap();
        desk.browser.wait("document.querySelector('#make')");
        desk.browser.evaluate("location.hash = ''").unwrap();
        desk.browser.wait("globalThis.go");
        desk.browser
            .evaluate("location.hash = 'payouts/large'")
            .unwrap();
        desk.browser.wait("document.querySelector('section.need')");
        let answer = if fails {
            "Promise.reject(Error('late'))"
        } else {
            "null"
        };
        desk.browser.evaluate(&format!("go({answer})")).unwrap();
        // What was asked for later is answered later.
        desk.browser
            .evaluate("fetch('/v1/intents').then((answer) => answer.text()).then(() => new Promise((go) => setTimeout(go)))")
            .unwrap();
        let shown = desk.browser.text("main");
        assert!(shown.starts_with("payouts/large"), "{shown}");
    }
}

#[test]
fn the_page_signs_nothing_about_a_transaction_and_says_with_what_people_do() {
    let mut desk = Desk::with(
        |bundle| {
            bundle.append("statements.toml", &calls::bundle());
            bundle.append(
                "statements.toml",
                "\n[[require]]\nname = \"calls\"\neffect = \"call\"\nneed = { threshold = 1, \
                 people = [\"ann\"], passkeys = \"count\" }\n",
            );
        },
        origin_of,
    );
    let mut client = desk.world.walletd();
    let from = sender(&mut client);
    let data = calls::stake(CUSTOMER, ETHER);
    let one = calls::calls("stake-1", &from, (0, ETHER, data));
    let registered = transactions::register(&mut client, &one);
    desk.browser.visit(&desk.page.clone());
    let shown = desk.browser.text("#transactions");
    let command = format!("strongroom approve --transaction {}", registered.entry);
    assert!(shown.contains(&command), "{shown}");
    assert!(shown.contains("stake-1 of walletd"), "{shown}");
    let ways = desk
        .browser
        .evaluate("document.querySelectorAll('main a, main button').length");
    assert_eq!(ways, Ok(0.into()), "{shown}");
    // Nor does the signer take a passkey's word about it, whoever asks a device for one.
    let body = serde_json::json!({
        "statement": registered.needs[0].approve,
        "passkey": { "authenticator_data": "AA", "client_data": "e30", "signature": "AA" },
    });
    let path = format!("/v1/transactions/{}/approvals", registered.entry);
    let answer = desk.officer.post(&path, body.to_string().as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[test]
fn the_page_is_for_people_alone_and_runs_nothing_but_its_own_files() {
    let mut desk = Desk::new(origin_of);
    for file in ["", "page.css", "page.mjs", "passkey.mjs", "text.mjs"] {
        let path = format!("/approve/{file}");
        let answer = desk.officer.get(&path);
        assert_eq!(answer.status, 200, "{path}");
        let header = |name: &str| answer.header(name).unwrap_or_default().to_owned();
        assert!(
            header("content-security-policy")
                .starts_with("default-src 'none'; script-src 'self'; ")
        );
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-frame-options"), "DENY");
        for policy in ["opener-policy", "resource-policy"] {
            assert_eq!(header(&format!("cross-origin-{policy}")), "same-origin");
        }
        // Not where the coordinator is, nor for who is not granted to bring what people say.
        let mut elsewhere = desk.world.client("auditor");
        assert_eq!(elsewhere.get(&path).status, 404);
        let own = desk.page.split(':').nth(2).unwrap();
        let own = own.split('/').next().unwrap().parse().unwrap();
        let own = SocketAddr::new(desk.world.api().ip(), own);
        let mut coordinator = Client::new(own, desk.world.pki.config("walletd"));
        assert_eq!(coordinator.get(&path).status, 403);
    }
    desk.browser.visit(&desk.page.clone());
    desk.browser.wait("document.querySelector('#nothing')");
    let ran = desk.browser.evaluate(
        "{
            globalThis.ran = 'nothing';
            const script = document.createElement('script');
            try { script.textContent = 'globalThis.ran = \"inline\"'; } catch { }
            document.body.append(script);
            const button = document.createElement('button');
            try { button.setAttribute('onclick', 'globalThis.ran = \"handler\"'); } catch { }
            document.body.append(button);
            button.click();
            globalThis.ran;
        }",
    );
    assert_eq!(ran, Ok("nothing".into()));
}
