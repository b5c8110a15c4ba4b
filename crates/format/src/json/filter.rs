//! Prefilters: comparisons with constants that are decided on the raw field, before the row is decoded.

use super::options::{Condition, Literal};
use crate::column::{Dialect, boolean_of, long_of};
use crate::escape;
use crate::number;
use crate::span::{Kind, Span};

/// The prefilters of a decoder, by slot.
#[derive(Debug)]
pub(crate) struct Filters {
    by_slot: Vec<SlotFilter>,
    slots: Vec<usize>,
}

/// What must hold for one slot.
#[derive(Debug, Clone, Default)]
struct SlotFilter {
    conditions: Vec<Condition>,
    /// If all that is asked for is one of some small numbers: their digits, as the eight bytes that they are
    /// compared with.
    digits: Option<Vec<u64>>,
}

impl SlotFilter {
    fn add(&mut self, condition: Condition) {
        self.conditions.push(condition);
        self.digits = match &self.conditions[..] {
            [Condition::AnyOf(literals)] => literals.iter().map(small_number).collect(),
            _ => None,
        };
    }
}

/// The digits of a number of at most eight.
fn small_number(literal: &Literal) -> Option<u64> {
    let Literal::Int(value @ 0..=99_999_999) = literal else { return None };
    let mut digits = [0; 8];
    let text = value.to_string();
    digits[..text.len()].copy_from_slice(text.as_bytes());
    Some(u64::from_le_bytes(digits))
}

impl Filters {
    pub(crate) fn new(slots: usize, conditions: impl Iterator<Item = (usize, Condition)>) -> Self {
        let mut filters = Filters { by_slot: vec![SlotFilter::default(); slots], slots: Vec::new() };
        for (slot, condition) in conditions {
            filters.by_slot[slot].add(condition);
            filters.slots.push(slot);
        }
        filters
    }

    /// Whether the slot has a prefilter.
    #[inline]
    pub(crate) fn concern(&self, slot: usize) -> bool {
        !self.by_slot[slot].conditions.is_empty()
    }

    /// Whether the value lets the row pass; `None` if it cannot be compared with the constants.
    #[inline]
    pub(crate) fn pass(&self, slot: usize, span: Span, block: &[u8]) -> Option<bool> {
        let filter = &self.by_slot[slot];
        if let (Some(digits), Some(word)) = (&filter.digits, short_digits(span, block)) {
            return Some(digits.contains(&word));
        }
        all_hold(&filter.conditions, span, block)
    }

    /// Whether every field with a prefilter is there. (A missing one is NULL, which passes nothing.)
    #[inline]
    pub(crate) fn all_present(&self, row: &[Span]) -> bool {
        self.slots.iter().all(|slot| !row[*slot].is_null())
    }
}

/// The digits of a short number without a sign, as [`small_number`] has them.
#[inline]
fn short_digits(span: Span, block: &[u8]) -> Option<u64> {
    let digits = span.len();
    if !span.is(Kind::Integer) || digits > 8 {
        return None;
    }
    let word = number::load8(block, span.start())? << (64 - 8 * digits) >> (64 - 8 * digits);
    (word as u8 != b'-').then_some(word)
}

fn all_hold(conditions: &[Condition], span: Span, block: &[u8]) -> Option<bool> {
    for condition in conditions {
        if !holds(condition, span, block)? {
            return Some(false);
        }
    }
    Some(true)
}

fn holds(condition: &Condition, span: Span, block: &[u8]) -> Option<bool> {
    if span.is_null() {
        return Some(false);
    }
    let Condition::AnyOf(literals) = condition else { return Some(true) };
    let mut any = false;
    for literal in literals {
        any |= equals(literal, span, block)?;
    }
    Some(any)
}

fn equals(literal: &Literal, span: Span, block: &[u8]) -> Option<bool> {
    match literal {
        Literal::Int(value) => long_of(span, block).map(|found| found == *value),
        Literal::Bool(value) => boolean_of(span, block).map(|found| found == *value),
        Literal::Text(text) => Some(text_equals(text, span, block)),
    }
}

fn text_equals(text: &str, span: Span, block: &[u8]) -> bool {
    if span.kind() != Kind::Escaped {
        return span.of(block) == text.as_bytes();
    }
    let mut found = Vec::new();
    escape::unescape(span.of(block), Dialect::Json, &mut found).is_ok() && found == text.as_bytes()
}
