//! Functions over strings.

mod search;
mod shape;

pub(super) use search::FUNCTIONS as SEARCH;
pub(super) use shape::FUNCTIONS as SHAPE;

/// The position of the `count`-th character; the end if there are fewer.
#[inline]
fn position_of_char(text: &str, count: usize) -> usize {
    text.char_indices().nth(count).map_or(text.len(), |(position, _)| position)
}

/// The number of characters: of bytes that do not continue one.
#[inline]
fn char_count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte as i8) >= -0x40).count()
}
