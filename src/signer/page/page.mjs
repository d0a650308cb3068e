// The approval page: what waits for people, what it says, and what they say of it.

import { assertion, enrolled } from "./passkey.mjs";
import { Mismatch, agreed, counts } from "./text.mjs";

const main = document.querySelector("main");

/** How often somebody went to another place. */
let visits = 0;

/** An element with a text or children. Nothing of what the signer says is ever read as HTML. */
function element(tag, content = [], attributes = {}) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
        made.setAttribute(key, value);
    }
    made.append(...[content].flat());
    return made;
}

/** The signer's answer; what it says where it refuses. */
async function ask(path, body) {
    const request = body && {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
    };
    const answer = await fetch(path, { cache: "no-store", redirect: "error", ...request });
    const said = await answer.json();
    if (!answer.ok) {
        throw new Error(said.detail ?? said.title ?? `the signer answers ${answer.status}`);
    }
    return said;
}

function show(...content) {
    main.replaceChildren(...content);
}

/** Says why nothing can be done, in words that nobody overlooks. */
function refuse(error) {
    const loud = error instanceof Mismatch;
    const heading = loud ? "Do not approve this" : "That was not done";
    const words = [element("h2", heading), element("p", `${error.message}.`)];
    if (loud) {
        words.push(element("p", "What the signer shows does not hold together. Tell those who run it, by other means than this page."));
    }
    show(element("section", words, { class: "refused", role: "alert", id: loud ? "mismatch" : "failure" }), back());
}

/** Shows what comes of it, or why nothing does: not to somebody who looks at another place by then. */
async function shown(content) {
    const visit = visits;
    const here = (display) => (of) => visit === visits && display(of);
    await content.then(here((of) => show(...of)), here(refuse));
}

function back() {
    return element("p", element("a", "All that waits", { href: "#" }));
}

/** The path of an intent's place in the API. */
function placeOf(id) {
    return `/v1/intents/${id.split("/").map(encodeURIComponent).join("/")}`;
}

/** All that waits for people. */
async function list() {
    const { intents, more } = await ask("/v1/intents");
    const rows = intents.map(({ intent, asked_by: askedBy }) => {
        const id = `${intent.source}/${intent.id}`;
        return element("tr", [
            element("td", element("a", id, { href: `#${id}` })),
            element("td", `${intent.amount} base units of ${intent.asset}`),
            element("td", askedBy.join(", ")),
            element("td", intent.expires),
        ]);
    });
    const heads = ["intent", "amount", "asked for by", "expires"].map((head) => element("th", head));
    const table = element("table", [element("thead", element("tr", heads)), element("tbody", rows)]);
    const nothing = element("p", "Nothing waits for anybody.", { id: "nothing" });
    const rest = more ? [element("p", "More waits than is shown.")] : [];
    const others = await transactions();
    const waits = intents.length > 0 ? [table] : [];
    const all = [...waits, ...rest, ...others];
    return [element("h2", "What waits for people"), ...(all.length > 0 ? all : [nothing])];
}

/** Transactions that pay no intent. This page does not decode them, and so signs nothing about them. */
async function transactions() {
    const { transactions: listed, more } = await ask("/v1/transactions");
    if (listed.length === 0) {
        return [];
    }
    const rows = listed.map(({ entry, client, request_id: id, asked_by: askedBy, expires }) => element("tr", [
        element("td", `strongroom approve --transaction ${entry}`),
        element("td", `${id} of ${client}`),
        element("td", askedBy.join(", ")),
        element("td", expires),
    ]));
    const heads = ["approve with", "request", "asked for by", "expires"].map((head) => element("th", head));
    const words = "These pay no intent. This page does not decode transactions, and no passkey counts for one.";
    return [element("section", [
        element("h3", "Transactions"),
        element("p", words),
        element("table", [element("thead", element("tr", heads)), element("tbody", rows)]),
        ...(more ? [element("p", "More waits than is shown.")] : []),
    ], { id: "transactions" })];
}

/** One intent, and what can be said of it. */
async function intent(id) {
    const answer = await ask(placeOf(id));
    if (`${answer.intent.source}/${answer.intent.id}` !== id) {
        throw new Mismatch("the signer shows another intent than the one that was asked for");
    }
    const sections = [];
    for (const need of answer.needs) {
        sections.push(await asked(answer, need));
    }
    const none = element("p", "Nothing asks for people before it is paid.");
    return [element("h2", id), back(), ...(sections.length > 0 ? sections : [none])];
}

/** A need: who is asked, who said what, and the two texts. */
async function asked(answer, need) {
    const texts = { approve: await agreed(answer, need, "approve"), reject: await agreed(answer, need, "reject") };
    const said = (need.decided ?? []).map((one) => element("li", `${one.person}: ${one.says}, until ${one.expires}`));
    const heading = `${need.threshold} of ${need.people.join(", ")}, for ${need.asked_by.join(", ")}`;
    return element("section", [
        element("h3", heading),
        ...(said.length > 0 ? [element("ul", said)] : []),
        ...choices(answer, need, texts),
    ], { class: "need" });
}

function choices(answer, need, texts) {
    if (answer.closed_by !== undefined) {
        return [element("p", "It was rejected for ever.")];
    }
    if (!counts(need)) {
        return [text(texts.approve), element("p", "No passkey counts for this need. Use strongroom approve.")];
    }
    if (answer.approval_page !== location.origin) {
        const named = answer.approval_page ?? "none";
        throw new Mismatch(`the bundle names another approval page than this one: ${named}`);
    }
    return Object.entries(texts).map(([says, of]) => choice(answer, says, of));
}

function text(of) {
    return element("pre", of);
}

/** One of the two texts, behind its word, with the button that signs it. */
function choice(answer, says, of) {
    const word = says === "approve" ? "Approve" : "Reject";
    const button = element("button", `${word} with a passkey`, { type: "button", class: says });
    button.addEventListener("click", () => {
        button.disabled = true;
        shown(send(answer, of));
    });
    const made = element("details", [element("summary", `${word}: read what you sign`), text(of), button]);
    made.open = says === "approve";
    return made;
}

async function send(answer, statement) {
    const id = `${answer.intent.source}/${answer.intent.id}`;
    const passkey = await assertion(statement);
    await ask(`${placeOf(id)}/approvals`, { statement, passkey });
    const taken = element("p", "The signer has taken it.", { class: "taken", role: "status", id: "taken" });
    return [taken, ...await intent(id)];
}

/** A new passkey, and the lines for the bundle. */
function enrolment() {
    const person = element("input", [], { name: "person", required: "", pattern: "[a-z0-9._\\-]{1,64}", autocomplete: "off", id: "person" });
    const form = element("form", [
        element("label", ["Your name in the bundle ", person]),
        element("button", "Make a passkey", { id: "make" }),
    ]);
    form.addEventListener("submit", (event) => {
        event.preventDefault();
        shown(enrol(person.value));
    });
    show(
        element("h2", "A new passkey"),
        element("p", "It counts for nothing before officers have signed a bundle with its line. Bring them the line by a way on which they know that it is yours."),
        form,
    );
}

async function enrol(person) {
    const line = await enrolled(person);
    const lines = `[approval_page]\norigin = "${location.origin}"\n\n[[person]]\nname = "${person}"\npasskeys = ["${line}"]\n`;
    return [
        element("h2", "The lines for the bundle"),
        element("p", "The signer was told nothing of it."),
        element("pre", lines, { id: "lines" }),
        back(),
    ];
}

/** What the address names: an intent, the enrolment, or all that waits. */
function route() {
    visits += 1;
    const place = decodeURIComponent(location.hash.slice(1));
    if (place === "enrol") {
        enrolment();
    } else {
        shown(place === "" ? list() : intent(place));
    }
}

document.querySelector("#find").addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = document.querySelector("#id").value;
});
addEventListener("hashchange", route);
route();
