//! Shapes: what lines have looked like so far, as a tree of literal bytes and values, so that the next line is
//! read by comparing it with what is expected and stepping from value to value.
//!
//! Lines of one producer have the same keys in the same order. A line that was scanned in general leaves its
//! trace here: the literal bytes between values become nodes, and where two lines first diverge the tree
//! branches. Reading a line along the tree is exact, not a guess: a literal must match byte by byte and a value
//! must be valid, or the line goes back to the general scanner. So the tree changes the speed and nothing else.

use super::plan::Plan;
use super::row::{Outcome, Step, Then, Trace};
use super::scan::{Scanner, after};
use crate::span::{Kind, Span};

/// Nodes of one tree. Data without any regularity stops teaching it here.
const NODES_MAX: usize = 2048;

/// Literal bytes of one tree.
const LITERAL_BYTES_MAX: usize = 1 << 20;

/// After so many lines that the full tree did not know, it is thrown away and learns anew.
const FORGET_AFTER_MISSES: usize = 4096;

/// A sibling that was chosen so often, but does not come first, moves forward by one.
const PROMOTE_EVERY: u32 = 32;

const NONE: u16 = u16::MAX;

/// Bytes of a literal that stand in the node itself.
const HEAD: usize = 16;

/// A literal and what follows it, in one cache line.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
struct Node {
    /// The first bytes of the literal, zero-padded, and which of them count.
    head: u128,
    mask: u128,
    /// The literal in the tree's bytes.
    start: u32,
    length: u32,
    child: u16,
    sibling: u16,
    slot: u16,
    /// Number of the list of objects noted here.
    presence: u16,
    depth: u8,
    flags: u8,
}

/// A value follows the literal.
const VALUE: u8 = 1;
/// The value may be an object.
const OBJECT: u8 = 2;
/// A slot that is filled here has a prefilter.
const FILTERED: u8 = 4;
/// Nothing more is wanted from the line.
const DONE: u8 = 8;
/// Nothing more is wanted from a line that is filtered away.
const MAX_DONE: u8 = 16;
/// The line's object is closed here.
const END: u8 = 32;
/// Objects are noted here.
const PRESENCE: u8 = 64;

impl Node {
    #[inline]
    fn is(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }
}

/// The tree of shapes.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    nodes: Vec<Node>,
    literals: Vec<u8>,
    presence: Vec<Vec<(u16, Kind)>>,
    misses: usize,
    promotions: u32,
}

/// What a line along the tree came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// It is as expected.
    Known(Outcome),
    /// It must be scanned in general.
    Unknown,
}

impl Shapes {
    /// Reads the line at `start` along the tree and notes the spans of its values in `row`.
    #[inline(always)]
    pub(crate) fn walk(&mut self, scanner: Scanner<'_>, plan: &Plan, start: usize, row: &mut [Span]) -> Walk {
        let mut at = start;
        let mut id = if self.nodes.is_empty() { NONE } else { 0 };
        let mut filtered = false;
        loop {
            let Some((matched, node)) = self.matching(id, scanner.block, at) else { return Walk::Unknown };
            at += node.length as usize;
            if node.is(PRESENCE) {
                let noted = &self.presence[node.presence as usize];
                noted.iter().for_each(|(slot, kind)| row[*slot as usize] = Span::new(*kind, 0, 0));
                filtered |= node.is(FILTERED) && !passes(plan, noted, row, scanner.block);
            }
            if node.is(VALUE) {
                let Some((span, end)) = value(scanner, node, at) else { return Walk::Unknown };
                row[node.slot as usize] = span;
                at = end;
                if node.is(FILTERED) && (node.slot as usize) < plan.slots {
                    let Some(pass) = plan.filters.pass(node.slot as usize, span, scanner.block) else {
                        return Walk::Unknown;
                    };
                    filtered |= !pass;
                }
            }
            if node.is(DONE | MAX_DONE) && (filtered || node.is(DONE)) {
                let goes_on = if node.is(END) { at == scanner.end } else { scanner.goes_on(at) };
                if !goes_on {
                    return Walk::Unknown;
                }
                return Walk::Known(if filtered { Outcome::Filtered } else { Outcome::Row });
            }
            let next = node.child;
            if matched != id {
                self.promote(id, matched);
            }
            id = next;
        }
    }

    /// The first of the siblings from `id` on whose literal stands at `at`.
    #[inline]
    fn matching(&self, id: u16, block: &[u8], at: usize) -> Option<(u16, &Node)> {
        let mut id = id;
        loop {
            let node = self.nodes.get(id as usize)?;
            if self.is_at(node, block, at) {
                return Some((id, node));
            }
            id = node.sibling;
        }
    }

    #[inline]
    fn is_at(&self, node: &Node, block: &[u8], at: usize) -> bool {
        let Some(found) = block.get(at..at + HEAD).and_then(|bytes| bytes.first_chunk::<HEAD>()) else { return false };
        if (u128::from_le_bytes(*found) ^ node.head) & node.mask != 0 {
            return false;
        }
        node.length as usize <= HEAD || self.rest_is_at(node, block, at)
    }

    /// Whether the literal, which begins at `at`, goes on after its head as it should. Some steps of 16 bytes, the last
    /// of which overlaps the one before, beat a call of `memcmp`.
    #[inline]
    fn rest_is_at(&self, node: &Node, block: &[u8], at: usize) -> bool {
        let literal = self.literal(node);
        let Some(found) = block.get(at..at + literal.len()) else { return false };
        let same = |one: &[u8; HEAD], other: &[u8; HEAD]| u128::from_le_bytes(*one) == u128::from_le_bytes(*other);
        let ends = literal.last_chunk().zip(found.last_chunk());
        let middle = literal.as_chunks::<HEAD>().0.iter().zip(found.as_chunks::<HEAD>().0);
        ends.is_some_and(|(one, other)| same(one, other)) && middle.skip(1).all(|(one, other)| same(one, other))
    }

    fn literal(&self, node: &Node) -> &[u8] {
        &self.literals[node.start as usize..][..node.length as usize]
    }

    /// Now and then moves a sibling that was chosen before the one that it follows.
    #[inline]
    fn promote(&mut self, first: u16, chosen: u16) {
        self.promotions += 1;
        if self.promotions.is_multiple_of(PROMOTE_EVERY) {
            self.swap_forward(first, chosen);
        }
    }

    #[cold]
    fn swap_forward(&mut self, first: u16, chosen: u16) {
        let mut before = first;
        while self.nodes[before as usize].sibling != chosen {
            before = self.nodes[before as usize].sibling;
        }
        // An empty literal matches everything, so it stays behind all others.
        if self.nodes[chosen as usize].length == 0 {
            return;
        }
        // The nodes change places, contents and all; only their links to the next sibling stay.
        self.nodes.swap(before as usize, chosen as usize);
        let (front, back) = (self.nodes[before as usize].sibling, self.nodes[chosen as usize].sibling);
        self.nodes[before as usize].sibling = back;
        self.nodes[chosen as usize].sibling = front;
    }

    /// Learns the line that was just scanned.
    pub(crate) fn learn(&mut self, trace: &Trace, block: &[u8], plan: &Plan) {
        self.misses += 1;
        if trace.useless || trace.steps.is_empty() {
            return;
        }
        if self.nodes.len() + 2 * trace.steps.len() > NODES_MAX || self.literals.len() > LITERAL_BYTES_MAX {
            if self.misses >= FORGET_AFTER_MISSES {
                *self = Shapes::default();
            }
            return;
        }
        let mut parent = None;
        for step in &trace.steps {
            let id = self.insert(parent, step, block, plan);
            parent = Some(id);
        }
    }

    /// The node for a step among the children of `parent`, found or made.
    fn insert(&mut self, parent: Option<u16>, step: &Step, block: &[u8], plan: &Plan) -> u16 {
        let literal = &block[step.literal.0..step.literal.1];
        let mut id = self.first_child(parent);
        while let Some(node) = self.nodes.get(id as usize) {
            let shared = shared_prefix(self.literal(node), literal);
            if shared == literal.len() && shared == node.length as usize && self.follows(node, step) {
                self.nodes[id as usize].flags |= flag(DONE, step.done) | flag(MAX_DONE, step.max_done);
                return id;
            }
            if shared > 0 {
                if shared < node.length as usize || node.is(VALUE | DONE) {
                    self.split(id, shared);
                }
                let rest = Step { literal: (step.literal.0 + shared, step.literal.1), ..step.clone() };
                return self.insert(Some(id), &rest, block, plan);
            }
            id = node.sibling;
        }
        self.add(parent, step, literal, plan)
    }

    /// Whether what follows the node's literal is what follows the step's.
    fn follows(&self, node: &Node, step: &Step) -> bool {
        let then = match step.then {
            Then::Nothing => !node.is(VALUE),
            Then::Value { slot, object, .. } => node.is(VALUE) && node.slot == slot && node.is(OBJECT) == object,
        };
        let presence: &[_] = if node.is(PRESENCE) { &self.presence[node.presence as usize] } else { &[] };
        then && presence == step.presence && (node.is(END) || !step.end)
    }

    fn first_child(&self, parent: Option<u16>) -> u16 {
        match parent {
            Some(parent) => self.nodes[parent as usize].child,
            None if self.nodes.is_empty() => NONE,
            None => 0,
        }
    }

    /// Cuts a node after `shared` bytes of its literal: it keeps those, and a new child takes over the rest.
    fn split(&mut self, id: u16, shared: usize) {
        let rest = self.nodes.len() as u16;
        let old = self.nodes[id as usize].clone();
        let literal = self.literal(&old).to_vec();
        let mut tail = Node { sibling: NONE, start: old.start + shared as u32, ..old.clone() };
        tail.set_literal(&literal[shared..]);
        let mut head = Node { child: rest, flags: 0, ..old };
        head.set_literal(&literal[..shared]);
        self.nodes[id as usize] = head;
        self.nodes.push(tail);
    }

    fn add(&mut self, parent: Option<u16>, step: &Step, literal: &[u8], plan: &Plan) -> u16 {
        let id = self.nodes.len() as u16;
        let mut node = Node::new(step, self.literals.len() as u32, plan);
        if node.is(PRESENCE) {
            node.presence = self.presence.len() as u16;
            self.presence.push(step.presence.clone());
        }
        node.set_literal(literal);
        self.literals.extend_from_slice(literal);
        self.link(parent, id, &mut node);
        self.nodes.push(node);
        id
    }

    /// Puts a new node behind its siblings, but before an empty literal, which matches everything.
    fn link(&mut self, parent: Option<u16>, id: u16, node: &mut Node) {
        let mut at = self.first_child(parent);
        let mut before = None;
        while at != NONE && (node.length == 0 || self.nodes[at as usize].length > 0) {
            before = Some(at);
            at = self.nodes[at as usize].sibling;
        }
        node.sibling = at;
        match (before, parent) {
            (Some(before), _) => self.nodes[before as usize].sibling = id,
            (None, Some(parent)) => self.nodes[parent as usize].child = id,
            // The first node of all.
            (None, None) => {}
        }
    }
}

impl Node {
    fn new(step: &Step, start: u32, plan: &Plan) -> Node {
        let (value, slot, depth) = match step.then {
            Then::Nothing => (0, 0, 0),
            Then::Value { slot, depth, object } => (VALUE | flag(OBJECT, object), slot, depth),
        };
        let mut slots = step.presence.iter().map(|(slot, _)| *slot).chain((value != 0).then_some(slot));
        let filtered = slots.any(|slot| (slot as usize) < plan.slots && plan.filters.concern(slot as usize));
        let ends = flag(DONE, step.done) | flag(MAX_DONE, step.max_done) | flag(END, step.end);
        let flags = value | ends | flag(FILTERED, filtered) | flag(PRESENCE, !step.presence.is_empty());
        let (head, mask, length, child, sibling, presence) = (0, 0, 0, NONE, NONE, 0);
        Node { head, mask, start, length, child, sibling, slot, presence, depth, flags }
    }

    fn set_literal(&mut self, literal: &[u8]) {
        let mut head = [0; HEAD];
        let mut mask = [0; HEAD];
        for (at, byte) in literal.iter().take(HEAD).enumerate() {
            (head[at], mask[at]) = (*byte, 0xff);
        }
        (self.head, self.mask) = (u128::from_le_bytes(head), u128::from_le_bytes(mask));
        self.length = literal.len() as u32;
    }
}

fn flag(flag: u8, set: bool) -> u8 {
    if set { flag } else { 0 }
}

fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The value that a node expects at `at`, and the position after it.
#[inline]
fn value(scanner: Scanner<'_>, node: &Node, at: usize) -> Option<(Span, usize)> {
    match scanner.byte(at) {
        b'"' => scanner.string(at).ok(),
        b'0'..=b'9' | b'-' => {
            let span = scanner.number(at).ok()?;
            Some((span, span.end()))
        }
        _ => rarer_value(scanner, node, at),
    }
}

#[inline(never)]
fn rarer_value(scanner: Scanner<'_>, node: &Node, at: usize) -> Option<(Span, usize)> {
    let first = scanner.byte(at);
    if first == b'{' && !node.is(OBJECT) {
        return None;
    }
    let span = scanner.value(at, node.depth as usize).ok()?;
    Some((span, after(span)))
}

/// Whether the objects noted pass the prefilters on them.
fn passes(plan: &Plan, presence: &[(u16, Kind)], row: &[Span], block: &[u8]) -> bool {
    presence.iter().all(|(slot, _)| plan.filters.pass(*slot as usize, row[*slot as usize], block).unwrap_or(true))
}
