//! The tables of a bundle and their keys.

/// One kind of table.
pub struct Kind {
    pub name: &'static str,
    pub once: Once,
    pub about: &'static str,
    /// Its keys, in parts that tables share.
    pub keys: &'static [&'static [Key]],
    /// Keys of which there is exactly one.
    pub either: &'static [&'static str],
}

/// Whether a bundle has such a table once at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once {
    Yes,
    No,
}

/// A key of a table.
pub struct Key {
    pub name: &'static str,
    pub required: bool,
    pub form: Form,
    pub about: &'static str,
}

/// What a key's value is.
pub enum Form {
    Text,
    /// A text that this expression finds something in.
    Pattern(&'static str),
    Words(&'static [&'static str]),
    /// A whole number between two.
    Number(u64, u64),
    /// One, or a list of them without repetition.
    Each(&'static Form),
    Need,
    /// People who agree, or what attesters said lately.
    Required,
    /// `true` or `false`.
    Truth,
    /// People, and how many of them.
    Quorum,
    /// Conditions on arguments, by their names.
    Arguments,
}

const NAME: Form = Form::Pattern("^[a-z0-9._-]{1,64}$");
const NAMES: Form = Form::Each(&NAME);
const CHAIN: Form = Form::Pattern("^[a-z0-9]+:[a-z0-9]+$");
const CHAINS: Form = Form::Each(&CHAIN);
const TEXTS: Form = Form::Each(&Form::Text);
pub const PEOPLE: Form = Form::Each(&Form::Pattern("^(group:)?[a-z0-9._-]{1,64}$"));
const AMOUNT: Form = Form::Pattern("^(0|[1-9][0-9]*)(\\.[0-9]+)? [a-z0-9._-]{1,64}$");
const RATE: Form = Form::Pattern("^(0|[1-9][0-9]*)(\\.[0-9]+)? (gwei|wei|sat/vb)$");
const CAP: Form = Form::Pattern("^(0|[1-9][0-9]*)(\\.[0-9]+)?( [a-z0-9._-]{1,64})?$");
const WINDOW: Form = Form::Pattern("^[1-9][0-9]*[mhd]$");
const DELAY: Form = Form::Pattern("^(0|[1-9][0-9]*)[smhd]$");
const TIME: Form =
    Form::Pattern("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?Z$");
const OFFSET: Form = Form::Pattern("^[+-][0-9]{2}:[0-9]{2}$");
const DESTINATION: Form = Form::Pattern("^(book|address|own-class|own-account):.+$");
const CLASS: Form = Form::Words(&CLASSES);
pub const U32_MAX: u64 = 0xffff_ffff;
const U63_MAX: u64 = 0x7fff_ffff_ffff_ffff;

/// What an account is for.
pub const CLASSES: [&str; 4] = ["hot", "deposit", "cold", "retired"];
/// What a client may ask.
pub const VERBS: [&str; 11] = [
    "sign", "evaluate", "keys", "requests", "journal", "bodies", "witness", "govern", "intents",
    "approve", "attest",
];
/// What a rejection does.
pub const REJECTIONS: [&str; 2] = ["blocks", "final"];
/// Whether passkeys count.
pub const PASSKEYS: [&str; 2] = ["refused", "count"];
/// The kinds of effect.
pub const EFFECTS: [&str; 11] = [
    "payment",
    "own-transfer",
    "change",
    "fee",
    "cancellation",
    "call",
    "approval",
    "authority",
    "data",
    "rent",
    "reissue",
];
/// What a limit measures.
pub const MEASURES: [&str; 3] = ["amount", "count", "reference"];
/// What attesters attest.
pub const ATTESTATIONS: [&str; 6] = ["price", "final", "dead", "head", "reconciled", "time"];
/// What a requirement can ask attesters for.
pub const WITHIN: [&str; 3] = ["head", "reconciled", "time"];
/// What a limit counts apart.
pub const GROUPS: [&str; 4] = ["destination", "client", "source", "account"];

const fn required(name: &'static str, form: Form, about: &'static str) -> Key {
    Key {
        name,
        required: true,
        form,
        about,
    }
}

const fn optional(name: &'static str, form: Form, about: &'static str) -> Key {
    Key {
        name,
        required: false,
        form,
        about,
    }
}

const fn many(name: &'static str, about: &'static str, keys: &'static [&'static [Key]]) -> Kind {
    Kind {
        name,
        once: Once::No,
        about,
        keys,
        either: &[],
    }
}

const fn once(name: &'static str, about: &'static str, keys: &'static [&'static [Key]]) -> Kind {
    Kind {
        once: Once::Yes,
        ..many(name, about, keys)
    }
}

const fn either(kind: Kind, either: &'static [&'static str]) -> Kind {
    Kind { either, ..kind }
}

/// The name that every statement has.
const NAMED: &[Key] = &[required(
    "name",
    NAME,
    "By which it is named in verdicts; no other statement's.",
)];

/// The conditions of a statement.
pub const CONDITIONS: &[Key] = &[
    optional("client", NAMES, "Who asks."),
    optional(
        "source",
        NAMES,
        "Whose intent it is; \"none\" for nobody's.",
    ),
    optional("account", NAMES, "The account that pays."),
    optional(
        "class",
        Form::Each(&CLASS),
        "The class of the account that pays.",
    ),
    optional("chain", CHAINS, "On which chain."),
    optional("asset", NAMES, "Of which asset."),
    optional(
        "effect",
        Form::Each(&Form::Words(&EFFECTS)),
        "Which kind of effect.",
    ),
    optional(
        "to",
        Form::Each(&DESTINATION),
        "Where to: book:<name>, address:<chain>:<address>, own-class:<class>, own-account:<name>.",
    ),
    optional("to_except", Form::Each(&DESTINATION), "Where to not."),
    optional(
        "function",
        NAMES,
        "Which functions are called; of calls alone.",
    ),
    optional(
        "args",
        Form::Arguments,
        "What their arguments must be, by the names of the arguments.",
    ),
    optional("tag", TEXTS, "The destination tag."),
    optional(
        "age_min",
        WINDOW,
        "The destination was first paid at least this long ago.",
    ),
    optional(
        "age_below",
        WINDOW,
        "The destination was first paid less than this ago, or never.",
    ),
    optional(
        "signed_by",
        TEXTS,
        "Who signed the intent: people, group:<name>, public key lines.",
    ),
    optional(
        "hours",
        NAMES,
        "Hours of the week in which it speaks; of a limit, in which what it counts was charged.",
    ),
    optional(
        "hours_except",
        NAMES,
        "Hours of the week in which it does not speak.",
    ),
    optional(
        "dead",
        Form::Truth,
        "Whether all earlier attempts of a re-issued intent can never be included; no limit has it.",
    ),
    optional(
        "amount_max",
        AMOUNT,
        "Up to and including, in the one asset that is selected.",
    ),
    optional(
        "amount_over",
        AMOUNT,
        "Above, in the one asset that is selected.",
    ),
    optional("fee_rate_max", RATE, "Up to and including; of fees alone."),
    optional("fee_rate_over", RATE, "Above; of fees alone."),
];

const NEEDED: &[Key] = &[required(
    "need",
    Form::Need,
    "The people who have to agree.",
)];

const REQUIRED: &[Key] = &[required(
    "need",
    Form::Required,
    "The people who have to agree, or what attesters must have said lately.",
)];

/// What attesters must have said lately.
pub const ATTESTED_NEED: Kind = many(
    "attested_need",
    "What attesters must have said lately; nobody stands in for them.",
    &[&[
        required("attested", Form::Words(&WITHIN), "What."),
        required("within", WINDOW, "How long what was said holds: 1m to 90d."),
    ]],
);

/// The people who have to agree.
pub const NEED: Kind = many(
    "need",
    "People, and how many of them have to agree.",
    &[&[
        required("threshold", Form::Number(1, U32_MAX), "How many."),
        required("people", PEOPLE, "Who: people, and group:<name>."),
        optional(
            "delay",
            DELAY,
            "How long an approval waits before it counts; none unless given.",
        ),
        optional(
            "valid",
            DELAY,
            "How long an approval holds at the most: 1m to 7d, which it is unless given.",
        ),
        optional(
            "rejection",
            Form::Words(&REJECTIONS),
            "What a rejection does; blocks unless given.",
        ),
        optional(
            "passkeys",
            Form::Words(&PASSKEYS),
            "Whether what is said by a passkey counts; refused unless given.",
        ),
    ]],
);

/// The tables, in the order of the alphabet.
pub const KINDS: &[Kind] = &[
    many(
        "account",
        "An own account.",
        &[&[
            required("name", NAME, "By which the bundle and its clients name it."),
            required("class", CLASS, "What it is for."),
            required("chains", CHAINS, "Where it is used."),
            optional("keys", NAMES, "Keys of the device that sign for it."),
            optional(
                "addresses",
                TEXTS,
                "Own addresses that are signed for elsewhere: <chain>:<address>.",
            ),
        ]],
    ),
    many("allow", "An effect may happen.", &[NAMED, CONDITIONS]),
    once(
        "approval_page",
        "The one page where passkeys are used.",
        &[&[required(
            "origin",
            Form::Pattern("^https://[a-z0-9.-]+(:[1-9][0-9]*)?$"),
            "Its origin as a browser writes it.",
        )]],
    ),
    many(
        "asset",
        "An asset, and how its amounts are written.",
        &[&[
            required("name", NAME, "The unit of amounts."),
            required(
                "asset",
                Form::Pattern("^[a-z0-9]+:[a-z0-9]+/(native|erc20:0x[0-9a-fA-F]{40})$"),
                "<chain>/native or <chain>/erc20:<contract>.",
            ),
            required(
                "decimals",
                Form::Number(0, 77),
                "How many decimal places one unit has.",
            ),
        ]],
    ),
    once(
        "attested",
        "What is asked of attesters.",
        &[&[
            optional("currency", NAME, "The currency in which assets are valued."),
            optional(
                "price",
                Form::Number(1, U32_MAX),
                "How many attesters must say what an asset is worth; more than half unless given.",
            ),
            optional(
                "final",
                Form::Number(1, U32_MAX),
                "How many attesters must say what is final; more than half unless given.",
            ),
            optional(
                "dead",
                Form::Number(1, U32_MAX),
                "How many attesters must say that an attempt is dead; more than half unless given.",
            ),
            optional(
                "head",
                Form::Number(1, U32_MAX),
                "How many attesters must have seen a chain's head; more than half unless given.",
            ),
            optional(
                "reconciled",
                Form::Number(1, U32_MAX),
                "How many attesters must have reconciled the journal; more than half unless given.",
            ),
            optional(
                "time",
                Form::Number(1, U32_MAX),
                "How many attesters must say what time it is at least; more than half unless given.",
            ),
        ]],
    ),
    many(
        "attester",
        "An independent watcher, whose statements the signer takes.",
        &[&[
            required("name", NAME, "By which its statements name it."),
            required("keys", TEXTS, "Public keys, as in id_ed25519.pub."),
            required(
                "says",
                Form::Each(&Form::Words(&ATTESTATIONS)),
                "What is taken from it.",
            ),
        ]],
    ),
    either(
        many(
            "book",
            "Destinations.",
            &[&[
                required("name", NAME, "What stands behind book:."),
                required("chain", CHAIN, "Whose addresses they are."),
                optional(
                    "file",
                    Form::Pattern("^books/[a-z0-9._-]+\\.txt$"),
                    "The file of the bundle that holds them, one a line.",
                ),
                optional("addresses", TEXTS, "The addresses, where there is no file."),
                optional(
                    "signers",
                    Form::Quorum,
                    "Who signs what is in it, where it is loaded apart from the bundle.",
                ),
                optional(
                    "cooling",
                    DELAY,
                    "How long what was added or taken out is cooling, of a book that is loaded apart.",
                ),
            ]],
        ),
        &["file", "addresses", "signers"],
    ),
    many(
        "chain",
        "A chain that keys are used on.",
        &[&[
            required(
                "chain",
                CHAIN,
                "Which, such as eip155:1 or litecoin:mainnet.",
            ),
            optional(
                "max_ahead",
                Form::Number(1, U63_MAX),
                "On EVM chains: how many nonces may be signed beyond the final one.",
            ),
            optional(
                "locktime_height_max",
                Form::Number(0, U32_MAX),
                "On Bitcoin-like chains: the highest lock time.",
            ),
        ]],
    ),
    either(
        many(
            "client",
            "Who asks.",
            &[&[
                required("name", NAME, "By which the bundle names it."),
                optional(
                    "uri",
                    Form::Pattern("^[!-~]+:[!-~]+$"),
                    "The URI in its certificate.",
                ),
                optional(
                    "spki",
                    Form::Pattern("^sha256:[0-9a-f]{64}$"),
                    "The SHA-256 of its certificate's public key.",
                ),
                required(
                    "verbs",
                    Form::Each(&Form::Words(&VERBS)),
                    "What it may ask.",
                ),
                optional("accounts", NAMES, "The accounts that it may ask about."),
                optional(
                    "people",
                    PEOPLE,
                    "Who runs it, and approves nothing that it asks for.",
                ),
            ]],
        ),
        &["uri", "spki"],
    ),
    many("deny", "An effect is refused.", &[NAMED, CONDITIONS]),
    once(
        "devices",
        "The devices whose keys are used.",
        &[&[required(
            "serials",
            TEXTS,
            "Their serial numbers; a key on any other is not used.",
        )]],
    ),
    many(
        "edge",
        "Classes between which own value may move.",
        &[&[
            required("from", CLASS, "From accounts of this class,"),
            required(
                "to",
                Form::Each(&CLASS),
                "to accounts of these; never to retired ones.",
            ),
        ]],
    ),
    many(
        "evacuate",
        "What may happen under a freeze once its people agree.",
        &[NAMED, CONDITIONS, NEEDED],
    ),
    many(
        "function",
        "A function of a contract that may be called where an allow says so.",
        &[&[
            required("name", NAME, "By which statements name it."),
            required(
                "contract",
                Form::Each(&Form::Pattern("^eip155:[1-9][0-9]*:0x[0-9a-fA-F]{40}$")),
                "The contract, as <chain>:<address>; several that have the same function.",
            ),
            required(
                "signature",
                Form::Pattern("^[A-Za-z_$][A-Za-z0-9_$]*\\(.*\\)$"),
                "Name, and the type and name of each argument: deposit(bytes key, uint256 amount).",
            ),
        ]],
    ),
    once(
        "governance",
        "Who may change the bundle.",
        &[&[
            required("officers", PEOPLE, "Whose signatures count."),
            required(
                "threshold",
                Form::Number(1, U32_MAX),
                "How many of them a bundle needs.",
            ),
            optional("delay", DELAY, "How long a bundle waits that allows more."),
            optional(
                "unfreeze_delay",
                DELAY,
                "How long a freeze stands that enough officers lift.",
            ),
        ]],
    ),
    many(
        "group",
        "A name for several people.",
        &[&[
            required("name", NAME, "What stands behind group:."),
            required("members", PEOPLE, "People and other groups."),
        ]],
    ),
    once(
        "heartbeat",
        "How often people must say that they are there; everything freezes without it.",
        &[&[
            required(
                "within",
                WINDOW,
                "Within how long of the last time: 1h to 90d.",
            ),
            optional(
                "people",
                PEOPLE,
                "Whose word counts; the officers' unless given.",
            ),
            optional(
                "threshold",
                Form::Number(1, U32_MAX),
                "How many of them must say so together; 1 unless given.",
            ),
        ]],
    ),
    many(
        "hours",
        "Hours of the week.",
        &[&[
            required("name", NAME, "By which statements name them."),
            required(
                "zone",
                Form::Text,
                "UTC or a time zone, such as Europe/Zurich.",
            ),
            required(
                "open",
                TEXTS,
                "Parts of the week, such as mon-fri 08:00-18:00.",
            ),
        ]],
    ),
    many(
        "limit",
        "A measure is bounded over a rolling window.",
        &[
            NAMED,
            CONDITIONS,
            &[
                required("measure", Form::Words(&MEASURES), "What is measured."),
                required("window", WINDOW, "How long it counts: 1m to 90d."),
                required("cap", CAP, "The most that the window holds."),
                optional(
                    "group",
                    Form::Each(&Form::Words(&GROUPS)),
                    "What is counted apart.",
                ),
                optional(
                    "over",
                    Form::Need,
                    "Who can carry a payment over it; without them the limit is hard.",
                ),
                optional(
                    "outstanding",
                    Form::Truth,
                    "true: what attesters say is final or dead counts no longer.",
                ),
            ],
        ],
    ),
    many(
        "person",
        "A person.",
        &[&[
            required("name", NAME, "By which the bundle names them."),
            optional("keys", TEXTS, "Public keys, as in id_ed25519.pub."),
            optional(
                "passkeys",
                Form::Each(&Form::Pattern("^(es256|eddsa) [A-Za-z0-9_-]{43,44}( .*)?$")),
                "Public keys of passkeys, as the approval page writes them; these, keys, or both.",
            ),
        ]],
    ),
    many(
        "price",
        "How amounts of an asset are valued in the reference currency.",
        &[&[
            required("asset", NAME, "The asset."),
            required(
                "floor",
                AMOUNT,
                "What one unit is worth at the least, whatever is attested: 1500 usd.",
            ),
            required(
                "haircut",
                Form::Pattern("^(0|[1-9][0-9]*)(\\.[0-9]{1,2})?%$"),
                "By how much an attested price is raised: 10%.",
            ),
            required("max_age", WINDOW, "How long an attested price holds."),
        ]],
    ),
    once(
        "recovery",
        "Who may replace people under a freeze, where the officers cannot.",
        &[&[
            required(
                "people",
                PEOPLE,
                "Whose signatures count: people, and group:<name>.",
            ),
            required(
                "threshold",
                Form::Number(2, U32_MAX),
                "How many of them must sign; more than half.",
            ),
            required("delay", WINDOW, "How long such a bundle waits: 7d to 90d."),
        ]],
    ),
    many(
        "require",
        "An effect waits for people.",
        &[NAMED, CONDITIONS, REQUIRED],
    ),
    many(
        "sequence",
        "Where the nonces of a key start.",
        &[&[
            required("key", NAME, "The key."),
            required("chain", CHAIN, "The chain."),
            required("next", Form::Number(0, U63_MAX), "Its next nonce."),
            required(
                "finalized",
                Form::Number(0, U63_MAX),
                "How many of its transactions are final.",
            ),
        ]],
    ),
    many(
        "source",
        "Who issues intents.",
        &[&[
            required("name", NAME, "By which the bundle and intents name it."),
            required("clients", NAMES, "Who may bring its intents."),
            optional(
                "signers",
                TEXTS,
                "Public keys one of which must have signed each intent.",
            ),
        ]],
    ),
    once(
        "witnesses",
        "Whose cosignatures a checkpoint needs.",
        &[&[
            required("keys", TEXTS, "Their C2SP verifier keys."),
            optional(
                "needed",
                Form::Number(1, 16),
                "How many must have cosigned; more than half unless given.",
            ),
            optional(
                "auditors",
                TEXTS,
                "age recipients to whom what witnesses keep is encrypted.",
            ),
        ]],
    ),
    many(
        "zone",
        "What the clocks of a time zone show; `policy zones` writes it.",
        &[&[
            required("name", Form::Text, "The zone."),
            required("from", TIME, "From when on it is known."),
            required("until", TIME, "Until when."),
            required(
                "offset",
                OFFSET,
                "By how much the clocks are ahead of UTC at first.",
            ),
            optional(
                "changes",
                Form::Each(&Form::Text),
                "When they are set, and to what.",
            ),
        ]],
    ),
];
