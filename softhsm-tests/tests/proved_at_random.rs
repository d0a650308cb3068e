//! Small bundles at random: what `strongroom policy prove` shows for each bound is signed by a real signer, request by
//! request, as it is shown. `STRONGROOM_PROVED_BUNDLES` says how many; each twenty have a signer of their own.

use std::{collections::BTreeMap, env, fs, ops::Range, path::PathBuf, process::Command};

use api::signing::{SignRequest, Statement};
use serde::Deserialize;
use serde_json::Value;
use strongroom_softhsm_tests::{
    ask::{intent, request},
    bundle::Bundle,
    evm::Draft,
    program::{binary, run, until},
    random::Random,
    signerd::Signerd,
    world::{Client, World},
};
use tx::{Asset, Chain, Intent, Time, Transaction};

use crate::{
    clock::MovedClock,
    intents::{bring, path, register, signed},
    proposals::reload,
    time_credit::{attesters, says, taken},
};

/// As many bundles, of which something leaves.
const BUNDLES: u64 = 20;
/// The most bundles of one signer: each has two chains there.
const OF_ONE_SIGNER: u64 = 20;
const KEYS: [&str; 2] = ["k0", "k1"];
const CLIENTS: [&str; 2] = ["walletd", "teller"];
const SECOND_MILLIS: u64 = 1_000;
const MINUTE_SECS: u64 = 60;
/// In the book of each chain; the first two are in it, the third is named by itself.
const NAMED: [&str; 3] = [
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
    "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
];
const TOKEN: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
/// Nothing names it.
const NOBODY: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

/// A bundle, and what is asked about it.
struct Drawn {
    number: u64,
    random: Random,
    is_token: bool,
    statements: String,
    within_minutes: u64,
    is_outside: bool,
    agrees: bool,
}

/// A request as it is shown.
#[derive(Clone, Debug, Deserialize)]
struct Shown {
    at: Time,
    client: String,
    intents: Vec<Intent>,
    transaction: Transaction,
}

/// What was proved of a bundle, and how many requests of it were signed.
struct Proved {
    drawn: Drawn,
    steps: Vec<Shown>,
    began: Time,
    done: usize,
}

/// Every chain is one bundle's alone, so that what was signed under another one counts in none of its limits.
fn chain(number: u64) -> Chain {
    Chain::Evm(50_000 + number)
}

impl Drawn {
    fn new(number: u64) -> Self {
        let mut drawn = Self {
            number,
            random: Random(number),
            is_token: false,
            statements: String::new(),
            within_minutes: 0,
            is_outside: false,
            agrees: false,
        };
        drawn.is_token = drawn.in_100(40);
        drawn.add_statements();
        drawn.within_minutes = 1 + drawn.random.below(4);
        drawn.is_outside = drawn.in_100(35);
        drawn.agrees = drawn.in_100(30);
        drawn
    }

    fn in_100(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    fn asset(&self) -> Asset {
        let chain = chain(self.number);
        match self.is_token {
            true => format!("{chain}/erc20:{TOKEN}").parse().unwrap(),
            false => Asset::native(chain),
        }
    }

    /// So many base units.
    fn units(&self, amount: u64) -> String {
        match self.is_token {
            true => format!("\"{amount} t{}\"", self.number),
            false => format!("\"0.{amount:018} e{}\"", self.number),
        }
    }

    fn unit(&self) -> String {
        let letter = if self.is_token { 't' } else { 'e' };
        format!("{letter}{}", self.number)
    }

    fn push(&mut self, kind: &str, name: &str, says: &str) {
        let table = format!("\n[[{kind}]]\nname = {name:?}\n{says}");
        self.statements.push_str(&table);
    }

    /// One limit on everything, and others.
    fn add_statements(&mut self) {
        let number = self.number;
        let chain = chain(number);
        let book = NAMED[..2].join("\", \"");
        let book = format!("chain = \"{chain}\"\naddresses = [\"{book}\"]\n");
        self.push("book", "known", &book);
        let all = format!("effect = \"payment\"\nasset = \"{}\"\n", self.unit());
        let (cap, window) = (2 + self.random.below(6), 1 + self.random.below(3));
        let cap = self.units(cap);
        let total = format!("{all}measure = \"amount\"\nwindow = \"{window}m\"\ncap = {cap}\n");
        self.push("limit", "total", &total);
        let fees = format!("effect = \"fee\"\nasset = \"e{number}\"\n");
        for one in 0..self.random.below(4) {
            let limit = self.limit();
            self.push("limit", &format!("limit{one}"), &limit);
        }
        for one in 0..1 + self.random.below(2) {
            let selector = match one == 0 && self.in_100(60) {
                true => all.clone(),
                false => self.selector(),
            };
            self.push("allow", &format!("allow{one}"), &selector);
        }
        let fees = format!("{fees}{}", self.fee_conditions());
        self.push("allow", "fees", &fees);
        if self.in_100(30) {
            let deny = self.selector();
            self.push("deny", "deny", &deny);
        }
        if self.in_100(30) {
            let require = format!("{}need = {NEED}\n", self.selector());
            self.push("require", "require", &require);
        }
    }

    fn fee_conditions(&mut self) -> String {
        let mut text = String::new();
        if self.in_100(15) {
            text.push_str(&format!("source = \"s{}\"\n", self.random.below(2)));
        }
        if self.in_100(15) {
            text.push_str(&format!("account = \"a{}\"\n", self.random.below(2)));
        }
        text
    }

    /// What a statement about payments selects.
    fn selector(&mut self) -> String {
        let mut text = format!("effect = \"payment\"\nasset = \"{}\"\n", self.unit());
        if self.in_100(20) {
            text.push_str(&format!("account = \"a{}\"\n", self.random.below(2)));
        }
        if self.in_100(15) {
            let class = ["hot", "deposit"][self.random.below(2) as usize];
            text.push_str(&format!("class = {class:?}\n"));
        }
        if self.in_100(15) {
            let client = CLIENTS[self.random.below(2) as usize];
            text.push_str(&format!("client = {client:?}\n"));
        }
        if self.in_100(20) {
            text.push_str(&format!("source = \"s{}\"\n", self.random.below(2)));
        }
        let third = format!("address:{}:{}", chain(self.number), NAMED[2]);
        match self.random.below(7) {
            0 => text.push_str("to = \"book:known\"\n"),
            1 => text.push_str("to_except = \"book:known\"\n"),
            2 => text.push_str(&format!("to = {third:?}\n")),
            _ => {}
        }
        if self.in_100(20) {
            let over = self.random.below(3);
            text.push_str(&format!("amount_over = {}\n", self.units(over)));
        }
        if self.in_100(20) {
            let most = 3 + self.random.below(3);
            text.push_str(&format!("amount_max = {}\n", self.units(most)));
        }
        text
    }

    fn limit(&mut self) -> String {
        let (window, cap) = (1 + self.random.below(3), 1 + self.random.below(6));
        let mut text = match self.random.below(10) {
            0 | 1 => format!(
                "effect = \"fee\"\nasset = \"e{}\"\nmeasure = \"count\"\ncap = \"{cap}\"\n",
                self.number
            ),
            2..=4 => format!("{}measure = \"count\"\ncap = \"{cap}\"\n", self.selector()),
            _ => {
                let selector = self.selector();
                format!(
                    "{selector}measure = \"amount\"\ncap = {}\n",
                    self.units(cap)
                )
            }
        };
        text.push_str(&format!("window = \"{window}m\"\n"));
        let mut groups = Vec::new();
        for group in ["destination", "client", "source", "account"] {
            if self.in_100(25) {
                groups.push(group);
            }
        }
        if !groups.is_empty() {
            text.push_str(&format!("group = {groups:?}\n"));
        }
        if self.in_100(20) {
            text.push_str(&format!("over = {NEED}\n"));
        }
        text
    }

    fn bundle(&self, world: &World) -> Bundle {
        let mut bundle = world.bundle.clone();
        bundle.set("statements.toml", &self.statements);
        bundle
    }
}

const NEED: &str = "{ threshold = 1, people = [\"ann\"] }";

/// What all bundles of these numbers have in common, and each one's chain.
fn accounts(numbers: Range<u64>) -> String {
    let names: Vec<String> = (numbers.clone())
        .map(|number| chain(number).to_string())
        .collect();
    let mut text = String::new();
    for (number, chain) in numbers.zip(&names) {
        text.push_str(&format!(
            "[[chain]]\nchain = {chain:?}\nmax_ahead = 1000\n\
             [[asset]]\nname = \"e{number}\"\nasset = \"{chain}/native\"\ndecimals = 18\n\
             [[asset]]\nname = \"t{number}\"\nasset = \"{chain}/erc20:{TOKEN}\"\ndecimals = 0\n"
        ));
        for key in KEYS {
            text.push_str(&format!(
                "[[sequence]]\nkey = {key:?}\nchain = {chain:?}\nnext = 0\nfinalized = 0\n"
            ));
        }
    }
    for (number, class) in ["hot", "deposit"].iter().enumerate() {
        text.push_str(&format!(
            "[[account]]\nname = \"a{number}\"\nclass = {class:?}\nchains = {names:?}\nkeys = [\"k{number}\"]\n"
        ));
    }
    for client in CLIENTS {
        text.push_str(&format!(
            "[[client]]\nname = {client:?}\nuri = \"urn:strongroom:client:{client}\"\n\
             verbs = [\"sign\", \"keys\", \"intents\"]\naccounts = [\"a0\", \"a1\"]\n"
        ));
    }
    text.push_str(
        "[[client]]\nname = \"auditor\"\nuri = \"urn:strongroom:client:auditor\"\n\
         verbs = [\"keys\", \"approve\", \"govern\", \"attest\"]\naccounts = [\"a0\"]\n",
    );
    for source in ["s0", "s1"] {
        text.push_str(&format!(
            "[[source]]\nname = {source:?}\nclients = {CLIENTS:?}\n"
        ));
    }
    text
}

/// What bounds the fees on each chain, whatever it is that pays them.
fn fees(numbers: Range<u64>) -> String {
    let limit = |number: u64| {
        format!(
            "[[limit]]\nname = \"fees-{number}\"\neffect = \"fee\"\nasset = \"e{number}\"\n\
             measure = \"amount\"\nwindow = \"1m\"\ncap = \"1 e{number}\"\n"
        )
    };
    numbers.map(limit).collect()
}

fn world(numbers: &Range<u64>) -> World {
    World::with_keys(&KEYS, |authority| {
        let mut bundle = Bundle::of_tests(authority);
        bundle.remove("books/customers.txt");
        bundle.set("accounts.toml", &accounts(numbers.clone()));
        bundle.set("fees.toml", &fees(numbers.clone()));
        bundle.set("watching.toml", &attesters());
        bundle.set("statements.toml", &Drawn::new(numbers.start).statements);
        bundle
    })
}

/// The daemon, and whoever asks it.
struct Desk<'a> {
    world: &'a World,
    clock: MovedClock<'a>,
    daemon: Option<Signerd>,
    clients: BTreeMap<String, Client>,
    officer: Client,
    sequence: u64,
}

impl<'a> Desk<'a> {
    fn of(world: &'a World) -> Self {
        for client in ["teller", "auditor"] {
            world.pki.client(client);
        }
        world.configure("[bounds]\nrequests_per_second = 100000");
        world.bootstrap();
        let clock = MovedClock::of(world);
        let daemon = clock.start();
        let client = |name: &str| (name.to_owned(), world.client(name));
        Self {
            world,
            clock,
            daemon: Some(daemon),
            clients: CLIENTS.map(client).into(),
            officer: world.client("auditor"),
            sequence: 1,
        }
    }

    fn client(&mut self, name: &str) -> &mut Client {
        self.clients.get_mut(name).unwrap()
    }

    fn reconnect(&mut self) {
        self.clients.values_mut().for_each(Client::reconnect);
        self.officer.reconnect();
    }

    fn written(&mut self, drawn: &Drawn) -> policy::BundleHash {
        self.sequence += 1;
        let bundle = drawn.bundle(self.world);
        bundle.write(&self.world.policy(), self.sequence, &["ann", "ben"])
    }

    fn govern(&mut self, drawn: &Drawn) {
        let hash = self.written(drawn);
        reload(self.daemon.as_ref().unwrap());
        self.reconnect();
        let policy = self.client("walletd").keys().policy;
        assert_eq!(policy, hash.to_string(), "bundle {}", drawn.number);
    }

    /// Public keys as the signer says them, for `prove`.
    fn keys(&mut self) -> PathBuf {
        let file = self.world.folder().join("keys.json");
        let answer = self.client("walletd").get("/v1/keys");
        fs::write(&file, answer.text()).unwrap();
        file
    }

    /// So many seconds after the beginning; by a restart, for which attesters vouch.
    fn wait_until(&mut self, secs: u64) {
        let before = self.client("walletd").keys().time.lo;
        assert!(self.daemon.take().unwrap().stop().success());
        self.clock.step_to(i64::try_from(secs).unwrap());
        self.daemon = Some(self.clock.start());
        self.reconnect();
        let at = now().after_millis(secs * SECOND_MILLIS);
        for who in [1, 2] {
            let said: Statement = says(who, at);
            assert!(taken(self.client("walletd"), &said));
        }
        let minute = before.after_millis(MINUTE_SECS * SECOND_MILLIS);
        until("the attested time", || {
            (self.client("walletd").keys().time.lo >= minute).then_some(())
        });
    }

    fn sign(&mut self, id: &str, step: &Shown, agrees: bool) {
        // Each bundle's first intent has the same name.
        let intents = step.intents.iter().cloned().zip(0..);
        let intents = intents.map(|(mut intent, place)| {
            intent.id.id = format!("{id}.{place}").parse().unwrap();
            intent
        });
        let asked = request(id, step.transaction.clone(), intents.collect());
        let answer = self.client(&step.client).send(&asked);
        if answer.status == 202 && agrees {
            self.approve(&step.client, &asked);
            self.client(&step.client).sign(&asked);
        } else {
            assert_eq!(answer.status, 200, "{id}: {} {step:?}", answer.text());
        }
    }

    /// Ann agrees to whatever it needs.
    fn approve(&mut self, client: &str, asked: &SignRequest) {
        let registered = register(self.client(client), asked);
        for need in &registered.needs {
            let ann = signed(&need.approve, "ann");
            assert_eq!(
                bring(&mut self.officer, asked, &ann),
                200,
                "{}",
                path(asked)
            );
        }
    }

    /// Nobody gets one unit more, wherever it would go.
    fn nothing_more_leaves(&mut self, proved: &Proved) {
        let (drawn, chain) = (&proved.drawn, chain(proved.drawn.number));
        let mut outside = vec![NOBODY, NAMED[2]];
        if !drawn.is_outside {
            outside.push(NAMED[0]);
        }
        for client in CLIENTS {
            for key in KEYS {
                let key = self.client(client).key(key);
                let own = key.addresses.iter().find(|own| own.chain == chain).unwrap();
                let (from, nonce) = (own.address.clone(), own.next_sequence.unwrap());
                for to in &outside {
                    let mut draft = match drawn.is_token {
                        true => Draft::token_transfer(nonce, TOKEN, to, 1),
                        false => Draft::transfer(nonce, to, 1),
                    };
                    (draft.price, draft.tip) = (0, 0);
                    draft.chain_id = 50_000 + drawn.number;
                    for source in ["s0", "s1"] {
                        let id = format!("more-{}-{client}-{nonce}-{to}-{source}", drawn.number);
                        let mut paid = intent(&id, &drawn.asset(), 1, to);
                        paid.id.source = source.parse().unwrap();
                        let asked = request(&id, draft.from(&from), vec![paid]);
                        let status = self.client(client).send(&asked).status;
                        // What waits for people whom nobody asked leaves nothing.
                        let waits = status == 202 && !drawn.agrees;
                        assert!(
                            status == 422 || waits,
                            "{id}: {status}\n{}",
                            drawn.statements
                        );
                    }
                }
            }
        }
    }
}

fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time::from_millis(u64::try_from(since.unwrap().as_millis()).unwrap())
}

/// What `strongroom policy prove` shows of the bundle that was written.
fn proved(desk: &mut Desk<'_>, drawn: Drawn) -> Proved {
    let (began, keys) = (now(), desk.keys());
    let mut command = Command::new(binary("strongroom"));
    command.args(["--json", "policy", "prove", "--witness", "--steps"]);
    command.arg(desk.world.policy()).arg("--keys").arg(keys);
    command.args(["--asset", &drawn.unit(), "--from", &began.to_string()]);
    command.args(["--within", &format!("{}m", drawn.within_minutes)]);
    if drawn.is_outside {
        command.args(["--outside", "book:known"]);
    }
    if drawn.agrees {
        command.args(["--person", "ann"]);
    }
    let mut said: Value = serde_json::from_slice(&run(&mut command).stdout).expect("JSON");
    let mut answer = said["answers"][0].take();
    assert_eq!(answer["is_exact"], true, "{answer}\n{}", drawn.statements);
    assert_eq!(answer["witness"]["left"], answer["most"], "{answer}");
    Proved {
        steps: serde_json::from_value(answer["witness"]["steps"].take()).unwrap(),
        drawn,
        began,
        done: 0,
    }
}

#[test]
fn what_reaches_the_bounds_of_random_bundles_is_signed() {
    let bundles = env::var("STRONGROOM_PROVED_BUNDLES");
    let bundles = bundles.map_or(BUNDLES, |text| text.parse().expect("a number"));
    let (mut next, mut left, mut steps) = (0, bundles, 0);
    while left > 0 {
        let of_one = left.min(OF_ONE_SIGNER);
        let proved = by_one_signer(next, of_one);
        next = 1 + proved.last().expect("one").drawn.number;
        left -= of_one;
        steps += proved.iter().map(|proved| proved.done).sum::<usize>();
    }
    println!("{bundles} bundles, {steps} requests signed");
}

/// So many bundles of which something leaves, from this one on.
fn by_one_signer(first: u64, bundles: u64) -> Vec<Proved> {
    let numbers = first..first + 2 * bundles;
    let world = world(&numbers);
    let mut desk = Desk::of(&world);
    let mut all = Vec::new();
    for number in numbers {
        let drawn = Drawn::new(number);
        desk.govern(&drawn);
        let mut proved = proved(&mut desk, drawn);
        if proved.steps.is_empty() {
            continue;
        }
        proceed(&mut desk, &mut proved, 0);
        if proved.done == proved.steps.len() {
            desk.nothing_more_leaves(&proved);
        }
        all.push(proved);
        if all.len() as u64 == bundles {
            break;
        }
    }
    assert_eq!(all.len() as u64, bundles, "of too few something leaves");
    for secs in [60, 120, 180] {
        desk.wait_until(secs);
        for proved in all.iter_mut().filter(|one| one.done < one.steps.len()) {
            desk.govern(&proved.drawn);
            proceed(&mut desk, proved, secs);
        }
    }
    assert!(all.iter().all(|proved| proved.done == proved.steps.len()));
    all
}

/// Signs the steps that are due so many seconds after the first.
fn proceed(desk: &mut Desk<'_>, proved: &mut Proved, secs: u64) {
    let due = proved.began.after_millis(secs * SECOND_MILLIS);
    while let Some(step) = proved.steps.get(proved.done).filter(|step| step.at <= due) {
        let id = format!("bundle-{}-{}", proved.drawn.number, proved.done);
        desk.sign(&id, step, proved.drawn.agrees);
        proved.done += 1;
    }
}
