//! The one place with `unsafe`: vector kernels that classify a block of text, and the trusted assembly of
//! string arrays whose bytes were validated before.
//!
//! A kernel turns 64 bytes into three 64-bit masks: *stops* (bytes that can end a run of plain text),
//! *newlines*, and *high* bytes (those that are not ASCII). The rest of the crate then asks those masks where a string, a field or a line ends, and needs
//! no vector instruction of its own. The best kernel that the processor has is chosen at run time.

#![allow(unsafe_code)]

use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use std::sync::Arc;

/// Bytes that a kernel looks at in one step.
pub(crate) const STEP: usize = 64;

/// Which bytes are stops: any of `equal`, and every byte below `below`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stops {
    pub(crate) equal: [u8; 3],
    pub(crate) below: u8,
}

impl Stops {
    /// What can end a JSON string, or must not stand in one: the quote, the backslash and control characters.
    pub(crate) const JSON: Stops = Stops { equal: [b'"', b'\\', b'"'], below: 0x20 };
}

/// What 64 bytes hold; bit n is byte n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Masks {
    pub(crate) stops: u64,
    pub(crate) newlines: u64,
    pub(crate) high: u64,
}

/// Where the masks of all steps go, one of each kind for every step.
#[derive(Debug)]
pub(crate) struct Out<'a> {
    pub(crate) stops: &'a mut [u64],
    pub(crate) newlines: &'a mut [u64],
    pub(crate) high: &'a mut [u64],
}

impl Out<'_> {
    #[inline(always)]
    fn each(&mut self) -> impl Iterator<Item = (&mut u64, &mut u64, &mut u64)> {
        let pairs = self.stops.iter_mut().zip(self.newlines.iter_mut());
        pairs.zip(self.high.iter_mut()).map(|((stops, newlines), high)| (stops, newlines, high))
    }
}

/// Classifies whole steps. Returns whether all bytes were ASCII.
pub(crate) fn classify(steps: &[[u8; STEP]], set: Stops, out: Out<'_>) -> bool {
    assert!([&*out.stops, out.newlines, out.high].iter().all(|masks| masks.len() == steps.len()));
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512bw") {
            // SAFETY: the feature was just detected.
            return unsafe { x86::classify_avx512(steps, set, out) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            return unsafe { x86::classify_avx2(steps, set, out) };
        }
    }
    classify_portable(steps, set, out)
}

/// Runs `work` compiled for the bit-manipulation instructions, if the processor has them: finding and shifting bits,
/// which is what walking along an index comes to, takes about half the instructions then.
#[inline]
pub(crate) fn with_bit_instructions<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("lzcnt") {
        // SAFETY: the features were just detected.
        return unsafe { x86::with_bmi(work) };
    }
    work()
}

/// The kernel for every other processor, and the reference for the tests.
pub(crate) fn classify_portable(steps: &[[u8; STEP]], set: Stops, mut out: Out<'_>) -> bool {
    let mut any = 0;
    for (step, (stops, newlines, high)) in steps.iter().zip(out.each()) {
        let masks = masks_portable(step, set);
        (*stops, *newlines, *high) = (masks.stops, masks.newlines, masks.high);
        any |= masks.high;
    }
    any == 0
}

fn masks_portable(step: &[u8; STEP], set: Stops) -> Masks {
    let mut masks = Masks { stops: 0, newlines: 0, high: 0 };
    for (bit, &byte) in step.iter().enumerate() {
        masks.stops |= u64::from(set.equal.contains(&byte) || byte < set.below) << bit;
        masks.newlines |= u64::from(byte == b'\n') << bit;
        masks.high |= u64::from(byte >> 7) << bit;
    }
    masks
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Masks, Out, STEP, Stops};
    use std::arch::x86_64::*;

    /// Bytes that are asked for before their turn. The processor's own prefetching stops at each page's end.
    const AHEAD: usize = 2048;

    #[target_feature(enable = "bmi1,bmi2,lzcnt")]
    pub(super) fn with_bmi<R>(work: impl FnOnce() -> R) -> R {
        work()
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn classify_avx512(steps: &[[u8; STEP]], set: Stops, mut out: Out<'_>) -> bool {
        let equal = set.equal.map(|byte| _mm512_set1_epi8(byte.cast_signed()));
        let below = _mm512_set1_epi8(set.below.cast_signed());
        let newline = _mm512_set1_epi8(b'\n'.cast_signed());
        let mut any = 0;
        for (step, (stops, newlines, high)) in steps.iter().zip(out.each()) {
            _mm_prefetch::<_MM_HINT_T0>(step.as_ptr().wrapping_add(AHEAD).cast());
            // SAFETY: the pointer is to 64 readable bytes; the load needs no alignment.
            let bytes = unsafe { _mm512_loadu_si512(step.as_ptr().cast()) };
            let masks = Masks {
                stops: _mm512_cmpeq_epi8_mask(bytes, equal[0])
                    | _mm512_cmpeq_epi8_mask(bytes, equal[1])
                    | _mm512_cmpeq_epi8_mask(bytes, equal[2])
                    | _mm512_cmplt_epu8_mask(bytes, below),
                newlines: _mm512_cmpeq_epi8_mask(bytes, newline),
                high: _mm512_movepi8_mask(bytes),
            };
            (*stops, *newlines, *high) = (masks.stops, masks.newlines, masks.high);
            any |= masks.high;
        }
        any == 0
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn classify_avx2(steps: &[[u8; STEP]], set: Stops, mut out: Out<'_>) -> bool {
        let mut any = 0;
        for (step, (stops, newlines, high)) in steps.iter().zip(out.each()) {
            _mm_prefetch::<_MM_HINT_T0>(step.as_ptr().wrapping_add(AHEAD).cast());
            let (low_half, high_half) = step.split_at(STEP / 2);
            let low = masks_avx2(low_half, set);
            let upper = masks_avx2(high_half, set);
            *stops = low[0] | upper[0] << 32;
            *newlines = low[1] | upper[1] << 32;
            *high = low[2] | upper[2] << 32;
            any |= *high;
        }
        any == 0
    }

    /// Stops, newlines and high bits of 32 bytes.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn masks_avx2(half: &[u8], set: Stops) -> [u64; 3] {
        assert_eq!(half.len(), STEP / 2);
        // SAFETY: the pointer is to 32 readable bytes (asserted); the load needs no alignment.
        let bytes = unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
        let is = |byte: u8| _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte.cast_signed()));
        // There is no unsigned comparison: x < below exactly when max(x, below) is not x.
        let not_below = _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, _mm256_set1_epi8(set.below.cast_signed())), bytes);
        let equal = _mm256_or_si256(_mm256_or_si256(is(set.equal[0]), is(set.equal[1])), is(set.equal[2]));
        let mask = |vector| u64::from(_mm256_movemask_epi8(vector).cast_unsigned());
        [mask(equal) | (mask(not_below) ^ 0xffff_ffff), mask(is(b'\n')), mask(bytes)]
    }
}

/// Assembles a string array whose values were validated as UTF-8 while they were appended.
///
/// The caller's promise, asserted here only in debug builds since it costs a pass over all bytes: every
/// `offsets[n]..offsets[n + 1]` of `values` is valid UTF-8.
pub(crate) fn string_array(offsets: OffsetBuffer<i32>, values: Vec<u8>, nulls: Option<NullBuffer>) -> ArrayRef {
    debug_assert!(
        StringArray::try_new(offsets.clone(), Buffer::from(values.clone()), nulls.clone()).is_ok(),
        "text columns validate what they append"
    );
    assert!(usize::try_from(*offsets.last().unwrap_or(&0)).is_ok_and(|end| end <= values.len()));
    // SAFETY: `OffsetBuffer` keeps the offsets monotonic, the last one was just checked, and the values are UTF-8
    // by the promise above.
    Arc::new(unsafe { StringArray::new_unchecked(offsets, Buffer::from(values), nulls) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_kernel_agrees_with_the_portable_one(bytes in proptest::collection::vec(any::<u8>(), 256..=256),
                                                     equal in any::<[u8; 3]>(), below in 0u8..64) {
            let set = Stops { equal, below };
            let steps: Vec<[u8; STEP]> = bytes.chunks(STEP).map(|c| c.try_into().expect("64 bytes")).collect();
            let (mut stops, mut newlines, mut high) = ([0; 4], [0; 4], [0; 4]);
            let out = Out { stops: &mut stops, newlines: &mut newlines, high: &mut high };
            let ascii = classify_portable(&steps, set, out);
            prop_assert_eq!(ascii, bytes.is_ascii());
            #[cfg(target_arch = "x86_64")]
            for (kernel, name) in kernels() {
                let (mut s, mut n, mut h) = ([0; 4], [0; 4], [0; 4]);
                let out = Out { stops: &mut s, newlines: &mut n, high: &mut h };
                prop_assert_eq!(kernel(&steps, set, out), ascii, "{}", name);
                prop_assert_eq!((s, n, h), (stops, newlines, high), "{}", name);
            }
        }
    }

    type Kernel = fn(&[[u8; STEP]], Stops, Out<'_>) -> bool;

    #[cfg(target_arch = "x86_64")]
    fn kernels() -> Vec<(Kernel, &'static str)> {
        let mut all: Vec<(Kernel, &'static str)> = vec![(classify, "chosen")];
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            all.push((|b, s, o| unsafe { x86::classify_avx2(b, s, o) }, "avx2"));
        }
        if is_x86_feature_detected!("avx512bw") {
            // SAFETY: the feature was just detected.
            all.push((|b, s, o| unsafe { x86::classify_avx512(b, s, o) }, "avx512"));
        }
        all
    }
}
