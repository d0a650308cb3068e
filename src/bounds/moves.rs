//! What can be asked for, without end: payments and fees that every statement speaks of alike, and what
//! each of them takes from the limits.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use num_bigint::BigInt;
use num_traits::Zero;
use policy::{Classes, Fact, Group, Need, Selector, SignedBy, Source, Verb};
use tx::{AccountClass, Address, Asset, Chain, Destination, Effect, EffectKind, FeeTerms, Name};

use crate::{
    agreed::is_met,
    alike::{is_no_better_column, is_no_better_fee, joined_columns, joined_fees, without_worse},
    defect::{Defect, seeded},
    destinations::{self, Class, selectors},
    model::{By, Cell, Column, FeeKind, Link, Model, Of, Takes},
    never::Passing,
    question::{Ground, Leaves, Places, Question, amount, number},
    rates::{no_rate, rates},
};

/// So many addresses of a class are looked at one by one where a limit counts them apart.
const COPIES_MAX: usize = 4;

/// A fact that stands for others, with what its fee is like.
struct Asked {
    fact: Fact,
    terms: FeeTerms,
    /// Whether it needs no allow.
    is_built_in: bool,
}

/// Where a payment of a class goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    /// Nowhere.
    Nowhere,
    /// To one address of a class.
    One(usize, usize),
    /// To some address of a class.
    Some(usize),
    /// To an address that nobody was paid at.
    Fresh,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CellKey {
    limit: usize,
    client: Option<Name>,
    source: Option<Option<Name>>,
    account: Option<Name>,
    at: Option<At>,
}

pub(crate) struct Builder<'a> {
    pub(crate) ground: &'a Ground<'a>,
    pub(crate) question: &'a Question,
    pub(crate) chain: Chain,
    /// What leaves by: payments, calls or approvals.
    pub(crate) kind: EffectKind,
    /// The chain's classes of the model.
    pub(crate) classes: Range<usize>,
    pub(crate) places: Places<CellKey>,
    pub(crate) model: Model,
}

/// The model of a question.
pub(crate) fn model(ground: &Ground<'_>, question: &Question) -> Model {
    model_of(ground, question, &[EffectKind::Payment])
}

/// The model of a question, where effects of other kinds were asked about instead of payments, or beside them. Each of
/// another kind is its own transaction, and nobody's intent.
pub(crate) fn model_of(ground: &Ground<'_>, question: &Question, kinds: &[EffectKind]) -> Model {
    let mut builder = builder_of(ground, question, EffectKind::Payment);
    for kind in kinds {
        builder.add_all(*kind);
    }
    builder.model
}

/// The model of nothing yet.
pub(crate) fn begun(ground: &Ground<'_>) -> (Model, Places<CellKey>) {
    let model = Model {
        cells: Vec::new(),
        classes: Vec::new(),
        columns: Vec::new(),
        links: Vec::new(),
        of_fees: false,
        batch: 1,
        hours: ways(ground),
    };
    (model, Places::new())
}

/// The allows by which an effect of a kind passes without people other than the question's, on its chain, each with
/// the first such effect.
pub(crate) fn allowing(
    ground: &Ground<'_>,
    question: &Question,
    kind: EffectKind,
) -> BTreeMap<Name, Passing> {
    let mut builder = builder_of(ground, question, EffectKind::Payment);
    let mut found = BTreeMap::new();
    for (client, account) in builder.askers() {
        for fact in builder.facts(kind, (&client, &account)) {
            for (allow, hours) in builder.allowed_by(&fact) {
                let example = Passing {
                    client: client.clone(),
                    source: fact.source.clone(),
                    effect: fact.effect.clone(),
                    hours,
                };
                // What is nobody's intent is the simpler example.
                let is_as_simple =
                    |known: &Passing| known.source.is_none() || example.source.is_some();
                if !found.get(&allow).is_some_and(is_as_simple) {
                    found.insert(allow, example);
                }
            }
        }
    }
    found
}

fn builder_of<'a>(ground: &'a Ground<'a>, question: &'a Question, kind: EffectKind) -> Builder<'a> {
    let outside = match &question.leaves {
        Leaves::Payments { outside, .. } => outside.as_ref(),
        Leaves::Fees { .. } => None,
    };
    let chain = question.chain();
    let (begun, places) = begun(ground);
    let classes = destinations::classes(ground, chain, outside);
    Builder {
        ground,
        question,
        chain,
        kind,
        classes: 0..classes.len(),
        places,
        model: Model {
            classes,
            of_fees: matches!(question.leaves, Leaves::Fees { .. }),
            batch: (ground.forms.batch)(chain).max(1),
            ..begun
        },
    }
}

/// Every way in which the hours that statements name can be open; what is open together never is, too.
fn ways(ground: &Ground<'_>) -> Vec<BTreeSet<Name>> {
    let named = selectors(ground.policy)
        .flat_map(|one| [&one.hours, &one.hours_except])
        .flatten()
        .flatten();
    let named: BTreeSet<&Name> = named.collect();
    let mut ways = vec![BTreeSet::new()];
    for name in named {
        let with = ways.iter().cloned().map(|mut way: BTreeSet<Name>| {
            way.insert(name.clone());
            way
        });
        let with: Vec<_> = with.collect();
        ways.extend(with);
    }
    ways
}

/// Whether a statement speaks while these hours are open.
fn speaks(selector: &Selector, open: &BTreeSet<Name>) -> bool {
    let any = |hours: &BTreeSet<Name>| !hours.is_disjoint(open);
    selector.hours.as_ref().is_none_or(any) && !selector.hours_except.as_ref().is_some_and(any)
}

impl Builder<'_> {
    fn of_chain(&self) -> &[Class] {
        let classes = self.model.classes.get(self.classes.clone());
        classes.unwrap_or_default()
    }

    fn askers(&self) -> Vec<(Name, Name)> {
        let payers = self.ground.payers(self.chain);
        let asks = |name: &Name| {
            let asking = self.question.clients.as_ref();
            asking.is_none_or(|clients| clients.contains(name))
        };
        let clients = self.ground.policy.clients.iter();
        let clients = clients.filter(|(name, of)| of.verbs.contains(&Verb::Sign) && asks(name));
        let pairs = clients.flat_map(|(name, of)| {
            let accounts = of
                .accounts
                .iter()
                .filter(|account| payers.contains(account));
            accounts.map(|account| (name.clone(), account.clone()))
        });
        pairs.collect()
    }

    /// What can be asked of effects of a kind.
    pub(crate) fn add_all(&mut self, kind: EffectKind) {
        self.kind = kind;
        for (client, account) in self.askers() {
            self.add(&client, &account);
        }
    }

    /// What a client can ask of an account.
    fn add(&mut self, client: &Name, account: &Name) {
        let sources = self.ground.policy.sources.iter();
        let sources = sources.filter(|(_, source): &(_, &Source)| source.clients.contains(client));
        let sources: Vec<Name> = sources.map(|(name, _)| name.clone()).collect();
        let mut kinds: Vec<Of> = sources.iter().cloned().map(Of::One).collect();
        if self.model.batch > 1 && sources.len() > 1 {
            kinds.push(Of::Several);
        }
        if self.kind != EffectKind::Payment {
            kinds = vec![Of::Nobody];
        } else if self.model.of_fees {
            kinds.push(Of::Nobody);
        }
        let links = kinds.into_iter().map(|of| self.link(client, account, of));
        let links: Vec<Link> = links.collect::<Vec<_>>();
        // Where a fee of nothing takes from nothing, no transaction takes anything.
        let free: BTreeSet<Of> = match self.model.of_fees {
            true => BTreeSet::new(),
            false => links
                .iter()
                .filter(|link| link.is_free(&self.model.hours))
                .map(|link| link.of.clone())
                .collect(),
        };
        let all_free = sources
            .iter()
            .all(|source| free.contains(&Of::One(source.clone())));
        for link in links {
            if link.fees.is_empty() || (link.of == Of::Several && all_free) {
                continue;
            }
            let number = self.model.links.len();
            let paying = match &link.of {
                // Nothing tells what is nobody's apart: any name will do.
                Of::Nobody if self.kind != EffectKind::Payment => vec![account.clone()],
                Of::Nobody => Vec::new(),
                Of::One(source) => vec![source.clone()],
                Of::Several => sources.clone(),
            };
            let is_mixed = link.of == Of::Several;
            let is_free = free.contains(&link.of) && !is_mixed;
            self.model.links.push(link);
            for source in paying {
                let link = (!is_free).then_some(number);
                self.columns((client, account, &source), (link, is_mixed));
            }
        }
    }

    fn link(&mut self, client: &Name, account: &Name, of: Of) -> Link {
        let mut fees: Vec<FeeKind> = Vec::new();
        let source = match &of {
            Of::One(source) => Some(source.clone()),
            Of::Nobody | Of::Several => None,
        };
        let cancels = of == Of::Nobody
            && self.kind == EffectKind::Payment
            && matches!(self.chain, Chain::Evm(_));
        for rate in rates(self.ground.policy) {
            for (least, most) in self.bands(&Asset::native(self.chain), BigInt::zero()) {
                let (lowest, highest) = rate.amounts((self.ground.forms.size)(self.chain));
                let least = least.max(lowest);
                let most = highest.map_or(most.clone(), |highest| most.min(highest));
                if least > most {
                    continue;
                }
                let asked = Asked {
                    fact: self.fee((client, account), (&least, source.clone())),
                    terms: rate.terms(self.chain),
                    is_built_in: cancels,
                };
                for way in 0..self.model.hours.len() {
                    if let Some((takes, most)) = self.takes(&asked, (At::Nowhere, &most), way)
                        && least <= most
                    {
                        let when = BTreeSet::from([way]);
                        fees.push(FeeKind {
                            least: least.clone(),
                            most,
                            takes,
                            when,
                        });
                    }
                }
            }
        }
        let fees = without_worse(fees, joined_fees, is_no_better_fee);
        let (client, account) = (client.clone(), account.clone());
        Link {
            client,
            account,
            of,
            fees,
        }
    }

    /// The payments of a client's request for a source.
    fn columns(
        &mut self,
        (client, account, source): (&Name, &Name, &Name),
        link: (Option<usize>, bool),
    ) {
        let apart = self.ground.policy.limits.iter();
        let apart = apart.filter(|limit| limit.says.group.contains(&Group::Destination));
        let is_apart = apart.count() > 0;
        let asset = match &self.question.leaves {
            Leaves::Payments { asset, .. } => vec![asset.clone()],
            // Of whatever is paid on the chain, the fee is the same.
            Leaves::Fees { .. } => self.assets(),
        };
        let mut columns = Vec::new();
        let classes: Vec<Class> = self.of_chain().to_vec();
        for (class, of) in self.classes.clone().zip(classes) {
            let places = match (is_apart, of.endless, of.addresses.len()) {
                (true, true, _) => vec![At::Fresh],
                (true, false, count) if count <= COPIES_MAX => {
                    (0..count).map(|copy| At::One(class, copy)).collect()
                }
                _ => vec![At::Some(class)],
            };
            for asset in &asset {
                for at in &places {
                    let origin = (client, account, source);
                    columns.extend(self.of_class(origin, (class, &of), (asset, *at, link)));
                }
            }
        }
        self.model.columns.extend(columns);
        let columns = std::mem::take(&mut self.model.columns);
        self.model.columns = without_worse(columns, joined_columns, is_no_better_column);
    }

    fn of_class(
        &mut self,
        (client, account, source): (&Name, &Name, &Name),
        (class, of): (usize, &Class),
        (asset, at, (link, is_mixed)): (&Asset, At, (Option<usize>, bool)),
    ) -> Vec<Column> {
        let copy = match at {
            At::One(_, copy) => Some(copy),
            _ => None,
        };
        let to = of
            .addresses
            .get(copy.unwrap_or(0))
            .or_else(|| of.addresses.first());
        let Some(to) = to.cloned() else {
            return Vec::new();
        };
        let mut columns = Vec::new();
        for (least, most) in self.bands(asset, of.least.into()) {
            let asked = Asked {
                fact: self.payment((client, account, source), asset, (&to, of, &least)),
                terms: no_rate(self.chain),
                is_built_in: false,
            };
            for way in 0..self.model.hours.len() {
                if let Some((takes, most)) = self.takes(&asked, (at, &most), way)
                    && least <= most
                {
                    columns.push(Column {
                        client: client.clone(),
                        account: account.clone(),
                        source: source.clone(),
                        class,
                        copy,
                        least: least.clone(),
                        most,
                        is_asked: self.is_asked(of),
                        takes,
                        link,
                        is_mixed,
                        when: [way].into(),
                    });
                }
            }
        }
        columns
    }

    fn payment(
        &self,
        (client, account, source): (&Name, &Name, &Name),
        asset: &Asset,
        (to, of, least): (&Address, &Class, &BigInt),
    ) -> Fact {
        let effect = Effect {
            kind: self.kind,
            account: account.clone(),
            asset: asset.clone(),
            amount: amount(least),
            to: Some(Destination {
                address: to.clone(),
                own: None,
            }),
            tag: None,
            call: None,
        };
        let source = (self.kind == EffectKind::Payment).then(|| source.clone());
        self.fact(client, source, (&of.books, effect))
    }

    fn fee(
        &self,
        (client, account): (&Name, &Name),
        (least, source): (&BigInt, Option<Name>),
    ) -> Fact {
        let effect = Effect {
            kind: EffectKind::Fee,
            account: account.clone(),
            asset: Asset::native(self.chain),
            amount: amount(least),
            to: None,
            tag: None,
            call: None,
        };
        self.fact(client, source, (&BTreeSet::new(), effect))
    }

    fn fact(
        &self,
        client: &Name,
        source: Option<Name>,
        (books, effect): (&BTreeSet<Name>, Effect),
    ) -> Fact {
        let account = self.ground.policy.accounts.get(&effect.account);
        Fact {
            client: client.clone(),
            source,
            intent: None,
            classes: Classes {
                account: account.map_or(AccountClass::Retired, |account| account.class),
                books: books.clone(),
                books_cooling: BTreeSet::new(),
                arguments: BTreeMap::new(),
                first_paid: None,
                hours: BTreeSet::new(),
                hours_surely: BTreeSet::new(),
            },
            signed_by: SignedBy::default(),
            reference: None,
            dead: BTreeSet::new(),
            effect,
        }
    }

    /// The own addresses of the chain: those of keys, and those that are signed for elsewhere.
    fn own_addresses(&self) -> BTreeSet<Address> {
        let keys = self.ground.registry.keys();
        let keys = keys.filter_map(|key| key.public.address(self.chain));
        let accounts = self.ground.policy.accounts.values();
        let elsewhere = accounts.flat_map(|account| account.addresses.iter().cloned());
        keys.chain(elsewhere.filter(|one| one.chain() == self.chain))
            .collect()
    }

    /// One fact of each that statements tell apart, of a kind, whoever it is of and wherever it goes.
    fn facts(&self, kind: EffectKind, (client, account): (&Name, &Name)) -> Vec<Fact> {
        let sources = self.ground.policy.sources.iter();
        let sources = sources.filter(|(_, source)| source.clients.contains(client));
        let sources = sources.map(|(name, _)| Some(name.clone()));
        let sources: Vec<Option<Name>> = [None].into_iter().chain(sources).collect();
        let mut places = vec![(None, BTreeSet::new())];
        for class in self.of_chain() {
            let to = class.addresses.first().cloned();
            places.push((to, class.books.clone()));
        }
        let own = self.own_addresses().into_iter();
        places.extend(own.map(|to| (Some(to), BTreeSet::new())));
        let mut facts = Vec::new();
        for asset in self.assets() {
            for (least, _) in self.bands(&asset, BigInt::zero()) {
                for ((to, books), source) in places.iter().flat_map(|to| {
                    let with = sources.iter().cloned().map(move |source| (to, source));
                    with.collect::<Vec<_>>()
                }) {
                    let to = to.clone().map(|address| Destination {
                        own: self.ground.registry.own(&address).cloned(),
                        address,
                    });
                    let effect = Effect {
                        kind,
                        account: account.clone(),
                        asset: asset.clone(),
                        amount: amount(&least),
                        to,
                        tag: None,
                        call: None,
                    };
                    facts.push(self.fact(client, source, (books, effect)));
                }
            }
        }
        facts
    }

    /// The allows of a fact that no deny, no limit of nothing and no need speaks against, with the hours in which
    /// they are.
    fn allowed_by(&mut self, fact: &Fact) -> BTreeMap<Name, BTreeSet<Name>> {
        let (most, terms) = (number(fact.effect.amount), no_rate(self.chain));
        let asked = Asked {
            fact: fact.clone(),
            terms,
            is_built_in: false,
        };
        let mut found = BTreeMap::new();
        for way in 0..self.model.hours.len() {
            if self
                .takes(&asked, (At::Fresh, &most), way)
                .is_some_and(|(_, left)| left >= most)
            {
                let open = self.model.hours.get(way).cloned().unwrap_or_default();
                let allows = self.ground.policy.allows.iter().filter(|one| {
                    speaks(&one.selector, &open) && one.selector.lets(&asked.fact, &asked.terms)
                });
                for allow in allows {
                    found
                        .entry(allow.name.clone())
                        .or_insert_with(|| open.clone());
                }
            }
        }
        found
    }

    fn is_asked(&self, of: &Class) -> bool {
        match &self.question.leaves {
            // Whom a spender sends it to, nobody sees.
            Leaves::Payments { .. } if self.kind == EffectKind::Approval => true,
            Leaves::Payments { outside, .. } => {
                !outside.as_ref().is_some_and(|book| of.books.contains(book))
            }
            Leaves::Fees { .. } => false,
        }
    }

    fn assets(&self) -> Vec<Asset> {
        let units = self
            .ground
            .policy
            .assets
            .values()
            .map(|unit| unit.asset.clone());
        let of_chain = units.filter(|asset| asset.chain == self.chain);
        let assets: BTreeSet<Asset> = of_chain.chain([Asset::native(self.chain)]).collect();
        assets.into_iter().collect()
    }

    /// What the fact takes, and the most that one such fact can have; nothing where it is not signed without
    /// other people.
    fn takes(
        &mut self,
        asked: &Asked,
        (at, most): (At, &BigInt),
        way: usize,
    ) -> Option<(Takes, BigInt)> {
        let policy = self.ground.policy;
        let open = self.model.hours.get(way)?.clone();
        let speaks = |selector: &Selector| {
            speaks(selector, &open) && selector.speaks_of(&asked.fact, &asked.terms)
        };
        let lets =
            |selector: &Selector| speaks(selector) && selector.lets(&asked.fact, &asked.terms);
        let allowed = asked.is_built_in || policy.allows.iter().any(|one| lets(&one.selector));
        let denied = policy.denies.iter().any(|one| speaks(&one.selector));
        let unmet = |need: &Need| !is_met(need, &self.question.people) && !seeded(Defect::Needs);
        let mut requires = policy.requires.iter();
        let waits = requires.any(|one| speaks(&one.selector) && unmet(&one.says.need));
        if !allowed || denied || waits {
            return None;
        }
        let mut takes = Takes::new();
        let mut most = most.clone();
        for (place, limit) in policy.limits.iter().enumerate() {
            // Whoever may carry an attempt over a limit is not bounded by it.
            let carried = limit.says.over.as_ref().is_some_and(|need| !unmet(need));
            if carried || !speaks(&limit.selector) {
                continue;
            }
            let Some(by) = By::of(limit.says.measure) else {
                continue;
            };
            let cap = number(limit.says.cap);
            match by {
                By::Amount => most = most.min(cap),
                By::Count if cap.is_zero() => return None,
                By::Count => {}
            }
            if let Some(key) = key(place, &limit.says.group, (&asked.fact, at)) {
                takes.insert((self.cell(key), by));
            }
        }
        Some((takes, most))
    }

    fn cell(&mut self, key: CellKey) -> usize {
        let limit = self.ground.policy.limits.get(key.limit);
        let says = limit.map(|limit| &limit.says);
        let addresses = match key.at {
            Some(At::Some(class)) => self.model.classes.get(class).map(|of| of.addresses.len()),
            _ => None,
        };
        let cap = says.map(|says| number(says.cap)).unwrap_or_default();
        let cell = Cell {
            window_millis: says.map_or(0, |says| says.window_millis),
            cap: cap * addresses.unwrap_or(1),
        };
        let place = self.places.of(key);
        if place == self.model.cells.len() {
            self.model.cells.push(cell);
        }
        place
    }

    /// The amounts from the least on, parted where statements tell them apart.
    fn bands(&self, asset: &Asset, least: BigInt) -> Vec<(BigInt, BigInt)> {
        let about = |one: &&Selector| {
            one.assets
                .as_ref()
                .is_none_or(|assets| assets.contains(asset))
        };
        let edges = selectors(self.ground.policy).filter(about);
        let edges = edges
            .flat_map(|one| [one.amount_max, one.amount_over])
            .flatten();
        let mut edges: BTreeSet<BigInt> = edges.map(number).collect();
        edges.insert(self.ground.forms.most_of(self.chain));
        let mut bands = Vec::new();
        let mut from = least;
        for edge in edges {
            if edge >= from {
                bands.push((from, edge.clone()));
                from = edge + 1;
            }
        }
        bands
    }
}

fn key(limit: usize, groups: &BTreeSet<Group>, (fact, at): (&Fact, At)) -> Option<CellKey> {
    let by_destination = groups.contains(&Group::Destination);
    let apart = |group: &Group| groups.contains(group) && !seeded(Defect::Groups);
    // There is always another address whose group is empty.
    if by_destination && at == At::Fresh {
        return None;
    }
    Some(CellKey {
        limit,
        client: apart(&Group::Client).then(|| fact.client.clone()),
        source: apart(&Group::Source).then(|| fact.source.clone()),
        account: (apart(&Group::Account) && !seeded(Defect::Groups))
            .then(|| fact.effect.account.clone()),
        at: by_destination.then_some(at),
    })
}
