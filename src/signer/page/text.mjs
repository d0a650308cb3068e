// The text that a person approves, rendered a second time: from what the signer says of the intent, by rules that
// stand here and not there. A page that shows the signer's text would show whatever it is told.
//
// Nothing here touches the page or the network, so that tests run it elsewhere.

/** What the signer says does not hold together: nothing may be approved. */
export class Mismatch extends Error {}

const bytes = new TextEncoder();

/** SHA-256, in lower-case hexadecimal. */
async function sha256(parts) {
    const whole = new Blob(parts);
    const digest = await crypto.subtle.digest("SHA-256", await whole.arrayBuffer());
    return hex(new Uint8Array(digest));
}

function hex(of) {
    return Array.from(of, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A whole number in so many bytes, the most significant first. */
function bigEndian(number, length) {
    const value = BigInt(number);
    if (value < 0n || value >= 1n << BigInt(8 * length)) {
        throw new Mismatch(`${number} does not fit`);
    }
    const digits = value.toString(16).padStart(2 * length, "0");
    return Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16));
}

/** A number of JSON that is exactly what was sent. */
function whole(number, what) {
    if (!Number.isSafeInteger(number) || number < 0) {
        throw new Mismatch(`${what} is no whole number that this page can read`);
    }
    return number;
}

/** Base units in decimal digits, and nothing else. */
function digits(text, what) {
    if (typeof text !== "string" || !/^(0|[1-9][0-9]{0,77})$/.test(text)) {
        throw new Mismatch(`${what} is no amount`);
    }
    return text;
}

/** What stands on one line, in printable ASCII. */
function line(text, what) {
    if (typeof text !== "string" || !/^[\x20-\x7e]+$/.test(text)) {
        throw new Mismatch(`${what} is not one line of printable characters`);
    }
    return text;
}

/** A name of the bundle. */
function name(text, what) {
    if (typeof text !== "string" || !/^[a-z0-9._-]{1,64}$/.test(text)) {
        throw new Mismatch(`${what} is no name`);
    }
    return text;
}

function names(list, what) {
    const all = list ?? [];
    if (!Array.isArray(all)) {
        throw new Mismatch(`${what} is no list`);
    }
    return all.map((one) => name(one, what));
}

/** Milliseconds since 1970 of a time, such as 2026-11-21T20:00:00.5Z. */
function millis(time, what) {
    const form = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,3}))?Z$/;
    const parts = form.exec(time);
    const value = parts ? Date.parse(`${parts[1]}.${(parts[2] ?? "").padEnd(3, "0")}Z`) : NaN;
    if (Number.isNaN(value) || value < 0) {
        throw new Mismatch(`${what} is no time`);
    }
    return value;
}

/** The fingerprint of the whole intent. */
export async function payload(intent) {
    const parts = [bytes.encode("strongroom-intent-v1\n")];
    const field = (of) => {
        const content = typeof of === "string" ? bytes.encode(of) : of;
        parts.push(bigEndian(content.length, 8), content);
    };
    field(name(intent.source, "the source"));
    field(line(intent.id, "the id"));
    field(bigEndian(whole(intent.epoch, "the epoch"), 8));
    field(line(intent.asset, "the asset"));
    field(bigEndian(digits(intent.amount, "the amount"), 32));
    field(`${chain(intent.asset)}:${line(intent.destination, "the destination")}`);
    if (intent.tag === undefined) {
        field("none");
    } else {
        field("some");
        field(line(intent.tag, "the tag"));
    }
    field(bigEndian(digits(intent.max_fee, "the highest fee"), 32));
    field(bigEndian(millis(intent.expires, "the intent's expiry"), 8));
    return sha256(parts);
}

function chain(asset) {
    const [of, kind, ...more] = asset.split("/");
    if (!kind || more.length > 0) {
        throw new Mismatch("the asset is none of a chain");
    }
    return of;
}

/** The fingerprint of all that a need says. */
export async function fingerprint(need) {
    const milliseconds = (seconds, what) => bigEndian(BigInt(whole(seconds, what)) * 1000n, 8);
    const parts = [
        bytes.encode("strongroom-need-v2\n"),
        bigEndian(whole(need.threshold, "how many people"), 4),
        milliseconds(need.delay_secs, "the delay"),
        milliseconds(need.valid_secs, "the length"),
        bytes.encode(`${rejection(need)}\n`),
    ];
    if (counts(need)) {
        parts.push(bytes.encode("passkeys count\n"));
    }
    for (const person of names(need.people, "a person")) {
        parts.push(bytes.encode(`${person}\n`));
    }
    return sha256(parts);
}

function rejection(need) {
    if (need.rejection !== "blocks" && need.rejection !== "final") {
        throw new Mismatch("what a rejection does is not known");
    }
    return need.rejection;
}

/** Whether passkeys count for a need. */
export function counts(need) {
    if (need.passkeys !== "count" && need.passkeys !== "refused") {
        throw new Mismatch("whether passkeys count is not known");
    }
    return need.passkeys === "count";
}

/** Base units as a decimal number, exactly. */
function decimal(amount, decimals) {
    const padded = amount.padStart(decimals + 1, "0");
    const split = padded.length - decimals;
    const fraction = padded.slice(split).replace(/0+$/, "");
    return fraction === "" ? padded.slice(0, split) : `${padded.slice(0, split)}.${fraction}`;
}

/** An address as people compare it. */
export function inFours(address) {
    return address.match(/.{1,4}/g).join(" ");
}

/** What the bundle calls the amount and the destination. */
function known(answer) {
    const units = (answer.units ?? []).map((unit) => {
        const decimals = whole(unit.decimals, "the decimal places");
        return ["units", `${decimal(answer.intent.amount, decimals)} ${name(unit.name, "a unit")}`];
    });
    const books = names(answer.in_books, "a book").map((book) => ["in-book", book]);
    const accounts = names(answer.own_accounts, "an account").map((one) => ["own-account", one]);
    const called = [...books, ...accounts];
    return {
        units: units.length > 0 ? units : [["units", "unknown"]],
        called: called.length > 0 ? called : [["known-as", "nobody"]],
    };
}

/**
 * The text by which somebody says `approve` or `reject` of an intent for a need until `expires`.
 *
 * It throws a Mismatch where the hashes that the signer names are not those of the intent and the need.
 */
export async function rendered(answer, need, says, expires) {
    const { intent } = answer;
    if ((await payload(intent)) !== answer.payload) {
        throw new Mismatch("the signer's hash of the intent is of another one");
    }
    if ((await fingerprint(need)) !== need.fingerprint) {
        throw new Mismatch("the signer's fingerprint of the need is of another one");
    }
    millis(expires, "the expiry");
    const { units, called } = known(answer);
    const lines = [
        ["fleet", name(answer.fleet, "the fleet")],
        ["answers", `intent ${answer.payload}`],
        ["decision", says],
        ["source", intent.source],
        ["id", intent.id],
        ["epoch", intent.epoch],
        ["asset", intent.asset],
        ["amount", intent.amount],
        ...units,
        ["destination", inFours(intent.destination)],
        ...called,
        intent.tag === undefined ? ["no", "tag"] : ["tag", intent.tag],
        ["max-fee", intent.max_fee],
        ["intent-expires", intent.expires],
        ["need", need.fingerprint],
        ["people", `${need.threshold} of ${need.people.join(" ")}`],
        ["delay-secs", need.delay_secs],
        ["valid-secs", need.valid_secs],
        ["rejection", need.rejection],
        ...(counts(need) ? [["passkeys", "count"]] : []),
        ["rejected-before", whole(answer.rejected, "the last rejection")],
        ["expires", expires],
    ];
    return `strongroom-approval-v1\n${lines.map((pair) => `${pair.join(" ")}\n`).join("")}`;
}

/**
 * The signer's text, if it is to the byte the one that is rendered here. Only its expiry is taken from it, which
 * stands on its last line for people to read.
 */
export async function agreed(answer, need, says) {
    const signers = says === "approve" ? need.approve : need.reject;
    const last = /\nexpires ([^\n ]+)\n$/.exec(signers);
    if (!last) {
        throw new Mismatch("the signer's text has no expiry");
    }
    const here = await rendered(answer, need, says, last[1]);
    if (here !== signers) {
        throw new Mismatch("the signer's text is not the one that follows from the intent");
    }
    const soonest = Math.min(
        millis(answer.time.lo, "the signer's time") + 1000 * need.valid_secs,
        millis(answer.intent.expires, "the intent's expiry"),
    );
    if (millis(last[1], "the expiry") > soonest) {
        throw new Mismatch("the signer's text would hold for longer than the need says");
    }
    return here;
}
