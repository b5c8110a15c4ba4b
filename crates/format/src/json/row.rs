//! The general row scanner: any valid line, any order of keys. What it met it also writes down as a [`Trace`],
//! from which the shapes learn to predict the next lines.

use super::plan::{NodeId, Plan, ROOT};
use super::scan::{DEPTH_MAX, Scanner, Syntax, after};
use crate::column::{Dialect, Source, key_is};
use crate::span::{Kind, Span};

/// Steps of a line that is still worth predicting.
const TRACE_STEPS_MAX: usize = 512;

/// The slot of values that nobody wants: one after the real ones.
pub(crate) fn trash(plan: &Plan) -> u16 {
    plan.slots as u16
}

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All that is wanted was found.
    Row,
    /// The row does not pass the prefilter; what the watermark needs was found.
    Filtered,
}

/// What follows the literal bytes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing: the next step's literal follows, or the line is done.
    Nothing,
    /// A value that goes to a slot.
    Value {
        slot: u16,
        /// Levels of nesting that the value stands at.
        depth: u8,
        /// Whether an object counts as a value here.
        object: bool,
    },
}

/// Some literal bytes of a line and what follows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Where in the block the literal stands.
    pub(crate) literal: (usize, usize),
    pub(crate) then: Then,
    /// Presence of objects to be noted: the slot, and whether it is null.
    pub(crate) presence: Vec<(u16, Kind)>,
    /// Nothing more is wanted from the line.
    pub(crate) done: bool,
    /// Nothing more is wanted from a line that is filtered away.
    pub(crate) max_done: bool,
    /// The line's object is closed here.
    pub(crate) end: bool,
}

/// What the scanner met in one line.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) steps: Vec<Step>,
    presence: Vec<(u16, Kind)>,
    literal: usize,
    /// The line cannot be predicted from this trace.
    pub(crate) useless: bool,
}

/// Which slots have been found in the current line.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    found: Vec<bool>,
    left: usize,
    max_left: usize,
    filtered: bool,
}

/// Why scanning stops before the end of the line.
enum Stop {
    Wrong(Syntax),
    At(Outcome),
}

impl From<Syntax> for Stop {
    fn from(wrong: Syntax) -> Self {
        Stop::Wrong(wrong)
    }
}

/// Scans one line after another.
pub(crate) struct RowScanner<'a> {
    pub(crate) scanner: Scanner<'a>,
    pub(crate) plan: &'a Plan,
    pub(crate) row: &'a mut [Span],
    pub(crate) progress: &'a mut Progress,
    pub(crate) trace: &'a mut Trace,
}

impl RowScanner<'_> {
    /// Scans the line that begins at `start` and notes the spans of its wanted values.
    pub(crate) fn line(&mut self, start: usize) -> Result<Outcome, Syntax> {
        self.begin(start);
        let stopped = match self.document(start) {
            Ok(outcome) => return Ok(outcome),
            Err(stopped) => stopped,
        };
        match stopped {
            Stop::At(outcome) => Ok(outcome),
            Stop::Wrong(syntax) => Err(syntax),
        }
    }

    fn begin(&mut self, start: usize) {
        let progress = &mut *self.progress;
        progress.found.clear();
        progress.found.resize(self.plan.slots, false);
        progress.left = self.plan.slots;
        progress.max_left = self.plan.max_slots.len();
        progress.filtered = false;
        self.trace.steps.clear();
        self.trace.presence.clear();
        self.trace.literal = start;
        self.trace.useless = false;
    }

    fn document(&mut self, start: usize) -> Result<Outcome, Stop> {
        let open = self.scanner.skip_blanks(start);
        if self.scanner.byte(open) != b'{' {
            return Err(Stop::Wrong(Syntax { position: open, what: "expected a JSON object" }));
        }
        let end = self.object(open, Some(ROOT), 0)?;
        let rest = self.scanner.skip_blanks(end);
        if rest < self.scanner.end {
            return Err(Stop::Wrong(Syntax { position: rest, what: "there is more text after the JSON object" }));
        }
        self.step(end, Then::Nothing);
        if let Some(last) = self.trace.steps.last_mut() {
            (last.done, last.end) = (true, true);
        }
        Ok(self.outcome())
    }

    /// The object whose brace is at `open`; returns the position after it.
    fn object(&mut self, open: usize, node: Option<NodeId>, depth: usize) -> Result<usize, Stop> {
        if depth >= DEPTH_MAX {
            return Err(Stop::Wrong(Syntax {
                position: open,
                what: "objects are nested too deeply (more than 64 levels)",
            }));
        }
        let mut hint = 0;
        let mut at = self.scanner.skip_blanks(open + 1);
        if self.scanner.byte(at) == b'}' {
            self.resolve(node, at + 1)?;
            return Ok(at + 1);
        }
        loop {
            let (key, value) = self.scanner.key(at)?;
            let child = node.and_then(|node| self.child(node, key, &mut hint));
            at = self.member(child, value, depth + 1)?;
            at = self.scanner.skip_blanks(at);
            match self.scanner.byte(at) {
                b',' => at = self.scanner.skip_blanks(at + 1),
                b'}' => break,
                _ => self.scanner.missing(at, "expected `,` or `}`")?,
            }
        }
        self.resolve(node, at + 1)?;
        Ok(at + 1)
    }

    /// The child of this name. Keys mostly come in the order of the last line, so the search begins at `hint`.
    fn child(&self, node: NodeId, key: Span, hint: &mut usize) -> Option<NodeId> {
        let children = &self.plan.node(node).children;
        let source = Source { block: self.scanner.block, index: self.scanner.index, dialect: Dialect::Json };
        let (before, from) = children.split_at((*hint).min(children.len()));
        let mut order = from.iter().chain(before).enumerate();
        let (steps, found) = order.find(|(_, child)| key_is(key, &self.plan.node(**child).name, source))?;
        *hint = (*hint + steps + 1) % children.len().max(1);
        Some(*found)
    }

    /// The value of a key, `depth` levels down; returns the position after it.
    fn member(&mut self, child: Option<NodeId>, value: usize, depth: usize) -> Result<usize, Stop> {
        let first = self.scanner.byte(value);
        let Some(id) = child else {
            if first == b'{' {
                return self.object(value, None, depth);
            }
            return self.value(trash(self.plan), value, depth, false);
        };
        let node = self.plan.node(id);
        if node.children.is_empty() {
            return self.leaf(id, value, depth);
        }
        match first {
            b'{' => self.enter(id, value, depth),
            b'n' => {
                let end = after(self.scanner.value(value, depth)?);
                self.note_presence(id, Kind::Null)?;
                self.resolve(Some(id), end)?;
                Ok(end)
            }
            _ => self.not_an_object(id, value, depth),
        }
    }

    /// A wanted value that is noted as it stands.
    fn leaf(&mut self, id: NodeId, value: usize, depth: usize) -> Result<usize, Stop> {
        let Some(slot) = self.plan.node(id).slot else { return self.value(trash(self.plan), value, depth, true) };
        let span = self.scanner.value(value, depth)?;
        self.put(slot, span)?;
        self.mark(slot);
        self.step_value(value, Then::Value { slot, depth: depth as u8, object: true }, after(span));
        self.stop_if_done(after(span))?;
        Ok(after(span))
    }

    /// A value that goes to the trash slot.
    fn value(&mut self, slot: u16, value: usize, depth: usize, object: bool) -> Result<usize, Stop> {
        let span = self.scanner.value(value, depth)?;
        self.step_value(value, Then::Value { slot, depth: depth as u8, object }, after(span));
        Ok(after(span))
    }

    /// An object whose fields are wanted, one by one.
    fn enter(&mut self, id: NodeId, open: usize, depth: usize) -> Result<usize, Stop> {
        let node = self.plan.node(id);
        if node.whole {
            // Entered and wanted whole: the span needs the object's end first, so this is scanned twice.
            self.trace.useless = true;
            if let Some(slot) = node.slot {
                let span = self.scanner.value(open, depth)?;
                self.put(slot, span)?;
                self.mark(slot);
            }
        } else {
            self.note_presence(id, Kind::Object)?;
        }
        self.object(open, Some(id), depth)
    }

    /// Notes that an object is there or null; not where, since a line that is read by its shape does not know.
    fn note_presence(&mut self, id: NodeId, kind: Kind) -> Result<(), Stop> {
        let Some(slot) = self.plan.node(id).slot else { return Ok(()) };
        self.put(slot, Span::new(kind, 0, 0))?;
        self.mark(slot);
        self.trace.presence.push((slot, kind));
        Ok(())
    }

    /// A number, string or array where an object was to be entered.
    fn not_an_object(&mut self, id: NodeId, value: usize, depth: usize) -> Result<usize, Stop> {
        self.trace.useless = true;
        let span = self.scanner.value(value, depth)?;
        match self.plan.node(id).slot {
            // The column of the row will say what is wrong.
            Some(slot) => self.put(slot, span)?,
            None if self.plan.forgiving => {}
            None => return Err(Stop::Wrong(Syntax { position: value, what: "expected an object (a ROW) here" })),
        }
        self.resolve(Some(id), after(span))?;
        Ok(after(span))
    }

    /// Notes a value and asks the prefilter.
    fn put(&mut self, slot: u16, span: Span) -> Result<(), Stop> {
        self.row[slot as usize] = span;
        match self.plan.filters.pass(slot as usize, span, self.scanner.block) {
            Some(passes) => self.progress.filtered |= !passes,
            None => {
                let what = "this value cannot be compared with the constants that the query filters by";
                return Err(Stop::Wrong(Syntax { position: span.start(), what }));
            }
        }
        Ok(())
    }

    /// Counts a slot as found.
    fn mark(&mut self, slot: u16) {
        let found = &mut self.progress.found[slot as usize];
        if !std::mem::replace(found, true) {
            self.progress.left -= 1;
            self.progress.max_left -= self.plan.max_slots.iter().filter(|max| **max == slot as usize).count();
        }
    }

    /// All slots of a node are found, or can no longer be: its object was closed, or is null.
    fn resolve(&mut self, node: Option<NodeId>, at: usize) -> Result<(), Stop> {
        let Some(node) = node else { return Ok(()) };
        for slot in self.plan.node(node).slots.clone() {
            self.mark(slot);
        }
        // The end of the line's own object is for `document` to check.
        if node == ROOT { Ok(()) } else { self.stop_if_done(at) }
    }

    fn stop_if_done(&mut self, at: usize) -> Result<(), Stop> {
        if self.plan.strict {
            return Ok(());
        }
        let row = self.progress.left == 0;
        if !(row || self.progress.filtered && self.progress.max_left == 0) {
            return Ok(());
        }
        // What follows is not read any more, but the value must have ended here: `3,5` is not 3.
        if !self.scanner.goes_on(at) {
            return Ok(self.scanner.missing(self.scanner.skip_blanks(at), "expected `,` and a key, or `}`")?);
        }
        let ends_with_value = self.trace.literal == at;
        if !ends_with_value {
            self.step(at, Then::Nothing);
        }
        if let Some(last) = self.trace.steps.last_mut() {
            last.done = row;
            last.max_done = self.progress.max_left == 0;
        }
        Err(Stop::At(self.outcome()))
    }

    fn outcome(&self) -> Outcome {
        if self.progress.filtered { Outcome::Filtered } else { Outcome::Row }
    }

    fn step_value(&mut self, value: usize, then: Then, end: usize) {
        self.step(value, then);
        self.trace.literal = end;
    }

    /// Writes down the literal up to `end`, and what follows it.
    fn step(&mut self, end: usize, then: Then) {
        let trace = &mut *self.trace;
        if trace.steps.len() >= TRACE_STEPS_MAX {
            trace.useless = true;
        }
        if trace.useless {
            return;
        }
        let max_done = self.progress.max_left == 0 && !self.plan.strict;
        let presence = std::mem::take(&mut trace.presence);
        trace.steps.push(Step { literal: (trace.literal, end), then, presence, done: false, max_done, end: false });
        trace.literal = end;
    }
}
