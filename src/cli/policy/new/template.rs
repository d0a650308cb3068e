//! The templates: texts in which what differs from site to site stands in braces.

use std::collections::BTreeMap;

use clap::ValueEnum;
use policy::bundle::{self, Severity};
use tx::{Address, Chain, Name};

use super::super::check::count;
use super::super::error::PolicyError;
use super::super::offline::made_up_address;

/// What a bundle is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// Pays customers anywhere, keeps the rest in cold.
    ExchangeHotWallet,
    /// Pays those who stand in a book.
    PayoutsOnly,
    /// Collects deposits into cold.
    SweepOnly,
    /// Pays nothing without people.
    Cold,
}

/// What stands in the place of braces.
pub struct Site {
    pub chain: Chain,
    pub officers: Vec<(Name, String)>,
    pub threshold: usize,
    pub cold: Option<Address>,
    pub payees: Vec<Address>,
    /// Officers' passkeys, with their names, and the page where they are used.
    pub passkeys: Option<Passkeys>,
    /// The certificate of the authority that certifies clients.
    pub root: String,
}

/// Passkeys, and where they are used.
pub struct Passkeys {
    /// The page's origin, such as `https://approve.example.org`: its host is the passkeys' rpId.
    pub origin: String,
    /// Lines as the page shows them, by whose they are.
    pub of: Vec<(Name, String)>,
}

/// Without passkeys, one of the approvers.
const LARGE: &str = r#"need = { threshold = 1, people = "group:approvers" }"#;
/// With them, up to a tier; above it keys alone.
const LARGE_BY_PASSKEYS: &str = r#"amount_max = "{{8u}}"
need = { threshold = 1, people = "group:approvers", passkeys = "count" }

# A passkey signs what a page shows, an SSH or FIDO key what one's own program rendered: above this only they count.
[[require]]
name = "very-large"
effect = "payment"
asset = "{{unit}}"
amount_over = "{{8u}}"
need = { threshold = 1, people = "group:approvers" }"#;
const VERY_LARGE_CASE: &str = r#"
[[case]]
name = "what-no-passkey-is-enough-for"
client = "walletd"
account = "hot"
pay = [{ to = "{{large-to}}", amount = "{{9u}}", source = "payouts" }]
expect = "pending"
needs = ["very-large"]
"#;

/// How much is usual on a chain: where a bundle begins, and no advice.
struct Usual {
    unit: &'static str,
    decimals: u8,
    /// A payment, in tenths of the unit.
    tenths: u64,
    rate: &'static str,
    rate_over: &'static str,
    fee: &'static str,
}

impl Template {
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::ExchangeHotWallet => (
                include_str!("exchange-hot-wallet.toml"),
                include_str!("exchange-hot-wallet.test.toml"),
            ),
            Self::PayoutsOnly => (
                include_str!("payouts-only.toml"),
                include_str!("payouts-only.test.toml"),
            ),
            Self::SweepOnly => (
                include_str!("sweep-only.toml"),
                include_str!("sweep-only.test.toml"),
            ),
            Self::Cold => (include_str!("cold.toml"), include_str!("cold.test.toml")),
        }
    }

    /// The account whose keys sign, its class, and the source of its intents.
    const fn account(self) -> (&'static str, &'static str, Option<&'static str>) {
        match self {
            Self::ExchangeHotWallet | Self::PayoutsOnly => ("hot", "hot", Some("payouts")),
            Self::SweepOnly => ("deposits", "deposit", None),
            Self::Cold => ("vault", "cold", Some("treasury")),
        }
    }

    /// Whether there is an account that is signed for elsewhere.
    pub const fn has_cold(self) -> bool {
        matches!(self, Self::ExchangeHotWallet | Self::SweepOnly)
    }

    /// Whether people agree to some payments by passkeys, where they have any.
    pub const fn has_passkeys(self) -> bool {
        matches!(self, Self::ExchangeHotWallet | Self::PayoutsOnly)
    }

    /// Whether it pays to a book.
    pub const fn has_payees(self) -> bool {
        matches!(self, Self::PayoutsOnly)
    }
}

impl Usual {
    const fn of(chain: Chain) -> Self {
        match chain {
            Chain::Bitcoin(_) => Self {
                unit: "btc",
                decimals: 8,
                tenths: 1,
                rate: "500 sat/vb",
                rate_over: "501 sat/vb",
                fee: "0.01 btc",
            },
            Chain::Litecoin(_) => Self {
                unit: "ltc",
                decimals: 8,
                tenths: 50,
                rate: "500 sat/vb",
                rate_over: "501 sat/vb",
                fee: "0.01 ltc",
            },
            _ => Self {
                unit: "eth",
                decimals: 18,
                tenths: 10,
                rate: "100 gwei",
                rate_over: "101 gwei",
                fee: "0.02 eth",
            },
        }
    }

    /// So many payments, as an amount.
    fn times(&self, number: u64) -> String {
        let tenths = number * self.tenths;
        let (whole, tenth, unit) = (tenths / 10, tenths % 10, self.unit);
        match tenth {
            0 => format!("{whole} {unit}"),
            _ => format!("{whole}.{tenth} {unit}"),
        }
    }
}

impl Site {
    /// The bundle's files.
    pub fn files(&self, template: Template) -> Vec<(String, String)> {
        let mut files = vec![
            ("roots/clients.pem".to_owned(), self.root.clone()),
            ("people.toml".to_owned(), self.people()),
            ("site.toml".to_owned(), self.ours(template)),
            (
                "statements.toml".to_owned(),
                self.filled(template.texts().0),
            ),
        ];
        if template.has_payees() {
            let lines = self.payees.iter().map(|payee| format!("{payee}\n"));
            files.push(("books/payees.txt".to_owned(), lines.collect()));
        }
        files
    }

    /// What the bundle shall decide.
    pub fn cases(&self, template: Template) -> String {
        self.filled(template.texts().1)
    }

    /// Whether what the flags say makes a bundle.
    pub fn check(&self, template: Template) -> Result<(), PolicyError> {
        let files = self.files(template).into_iter();
        let files: BTreeMap<String, Vec<u8>> = files
            .map(|(path, text)| (path, text.into_bytes()))
            .collect();
        bundle::parse(&files)
            .map(drop)
            .map_err(|found| PolicyError::Wrong {
                errors: count(&found, Severity::Error),
                first: found.first().map(ToString::to_string).unwrap_or_default(),
            })
    }

    fn people(&self) -> String {
        let names: Vec<&str> = self
            .officers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let threshold = self.threshold;
        let mut text = format!(
            "# Who may change this bundle, and who agrees to what waits for people.\n\n\
             [governance]\nofficers = {names:?}\nthreshold = {threshold}\n\
             delay = \"24h\"            # how long a bundle waits that allows more: any officer can veto it meanwhile\n\n\
             [[group]]\nname = \"approvers\"\nmembers = {names:?}\n"
        );
        for (name, line) in &self.officers {
            let of = self.passkeys.iter().flat_map(|passkeys| &passkeys.of);
            let of = of.filter(|(whose, _)| whose == name);
            let passkeys: Vec<&str> = of.map(|(_, line)| line.as_str()).collect();
            let name = name.as_str();
            text.push_str(&format!(
                "\n[[person]]\nname = {name:?}\nkeys = [{line:?}]\n"
            ));
            if !passkeys.is_empty() {
                text.push_str(&format!("passkeys = {passkeys:?}\n"));
            }
        }
        if let Some(Passkeys { origin, .. }) = &self.passkeys {
            text.push_str(&format!(
                "\n# The one page where passkeys are used: under no domain of the coordinator's.\n\
                 [approval_page]\norigin = {origin:?}\n"
            ));
        }
        text
    }

    fn ours(&self, template: Template) -> String {
        let (account, class, source) = template.account();
        let (chain, usual) = (self.chain, Usual::of(self.chain));
        let mut text = format!(
            "# What is ours, and who asks for it to be used.\n\n[[chain]]\nchain = \"{chain}\"\n"
        );
        if matches!(chain, Chain::Evm(_)) {
            text.push_str(
                "max_ahead = 1000       # nonces beyond the last that is known to be final\n",
            );
        }
        let Usual { unit, decimals, .. } = usual;
        text.push_str(&format!(
            "\n[[asset]]\nname = \"{unit}\"\nasset = \"{chain}/native\"\ndecimals = {decimals}\n\n\
             # Keys of the device, by the names under which they are generated.\n\
             [[account]]\nname = \"{account}\"\nclass = \"{class}\"\nchains = [\"{chain}\"]\nkeys = [\"{account}-1\"]\n"
        ));
        if let Some(cold) = &self.cold {
            text.push_str(&format!(
                "\n# Signed for elsewhere.\n[[account]]\nname = \"cold\"\nclass = \"cold\"\nchains = [\"{chain}\"]\naddresses = [\"{chain}:{cold}\"]\n"
            ));
        }
        if matches!(chain, Chain::Evm(_)) {
            text.push_str(&format!(
                "\n# A key that was used before starts at its next nonce.\n[[sequence]]\nkey = \"{account}-1\"\nchain = \"{chain}\"\nnext = 0\nfinalized = 0\n"
            ));
        }
        text.push_str(&format!(
            "\n[[client]]\nname = \"walletd\"\nuri = \"urn:strongroom:client:walletd\"\n\
             verbs = [\"sign\", \"evaluate\", \"keys\", \"requests\", \"journal\", \"intents\"]\naccounts = [\"{account}\"]\n\n\
             # Officers' statements, such as a veto or a freeze, and approvals come through this one.\n\
             [[client]]\nname = \"officers\"\nuri = \"urn:strongroom:client:officers\"\nverbs = [\"govern\", \"approve\"]\n"
        ));
        if let Some(source) = source {
            text.push_str(&format!(
                "\n# Without `signers` an intent is worth as much as the client that brings it.\n[[source]]\nname = \"{source}\"\nclients = [\"walletd\"]\n"
            ));
        }
        text
    }

    fn filled(&self, text: &str) -> String {
        let usual = Usual::of(self.chain);
        let mut filled = text.to_owned();
        let mut fill = |place: &str, with: &str| {
            filled = filled.replace(&format!("{{{{{place}}}}}"), with);
        };
        let large = match self.passkeys {
            Some(_) => (LARGE_BY_PASSKEYS, VERY_LARGE_CASE),
            None => (LARGE, ""),
        };
        fill("large", large.0);
        fill("large-case", large.1);
        fill(
            "large-to",
            match self.payees.is_empty() {
                true => "{{a}}",
                false => "{{payee}}",
            },
        );
        fill("chain", &self.chain.to_string());
        fill("unit", usual.unit);
        fill("rate", usual.rate);
        fill("rate-over", usual.rate_over);
        fill("fee", usual.fee);
        fill("threshold", &self.threshold.to_string());
        for number in [1, 3, 4, 5, 6, 8, 9, 10, 20, 100, 101] {
            fill(&format!("{number}u"), &usual.times(number));
        }
        for stranger in ["a", "b", "c"] {
            let address = made_up_address(stranger, self.chain);
            fill(
                stranger,
                &address.map_or_else(String::new, |address| address.to_string()),
            );
        }
        if let Some(payee) = self.payees.first() {
            fill("payee", &payee.to_string());
        }
        filled
    }
}
