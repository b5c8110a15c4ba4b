//! The stored form of HyperLogLog: that of Apache DataSketches, serial version 1.
//!
//! | bytes | list (< 8 coupons) | set | registers |
//! |---|---|---|---|
//! | 0 | 2, the header in 4-byte words | 3 | 10 |
//! | 1 | 1, the serial version | 1 | 1 |
//! | 2 | 7, the family HLL | 7 | 7 |
//! | 3 | the precision | the precision | the precision |
//! | 4 | 3, log2 of the places | log2 of the places | 0 |
//! | 5 | flags: 4 empty, 8 compact | 8 | 8; 16, the order is unknown |
//! | 6 | the number of coupons | 0 | the least value (0 for 8-bit registers) |
//! | 7 | mode 0 + 4·type | mode 1 + 4·type | mode 2 + 4·type; type 0, 1, 2 for 4, 6, 8 bits |
//! | 8 | coupons, 4 bytes each | 4: their number; coupons | three floats: HIP's count (0), Σ2⁻ᵛ for v < 32, Σ2⁻ᵛ for others |
//! | 32 | | | 4: registers that are 0; 4: exceptions (0); registers |
//!
//! Registers are written with 8 bits and read with 4, 6 or 8.

use super::hll::{HLL_PRECISION, Hll, SLOT_BITS, State};
use super::hll_estimate::REGISTER_MAX;
use crate::codec::Reader;
use crate::int_set::IntSet;
use fleuve_base::Result;

const WHAT: &str = "stored HyperLogLog summary";
const SERIAL_VERSION: u8 = 1;
const FAMILY: u8 = 7;

const EMPTY: u8 = 4;
const COMPACT: u8 = 8;
const OUT_OF_ORDER: u8 = 16;

const LIST: u8 = 0;
const SET: u8 = 1;
const REGISTERS: u8 = 2;
const FOUR_BITS: u8 = 0;
const SIX_BITS: u8 = 1;
const EIGHT_BITS: u8 = 2;

/// A list has this many places.
const LG_LIST: u8 = 3;
/// A set has at least this many places.
const LG_SET_MIN: u8 = 5;
/// From this value on, the sum of 2⁻ᵛ is kept apart, where it is not lost beside the other.
const LARGE_VALUE: u8 = 32;

impl Hll {
    /// The stored form, as Apache DataSketches defines it for its HLL_8 sketch.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.state {
            State::Sparse(coupons) => self.write_coupons(coupons),
            State::Dense(registers) => self.write_registers(registers),
        }
    }

    fn write_coupons(&self, coupons: &IntSet<u32>) -> Vec<u8> {
        let count = coupons.len();
        let list = count < 1 << LG_LIST;
        let lg_places = if list { LG_LIST } else { lg_places(count) };
        let flags = COMPACT | if count == 0 { EMPTY } else { 0 };
        let (words, mode, listed) = if list { (2, LIST, count as u8) } else { (3, SET, 0) };
        let mode = mode | EIGHT_BITS << 2;
        let mut bytes = vec![words, SERIAL_VERSION, FAMILY, self.precision, lg_places, flags, listed, mode];
        if !list {
            bytes.extend((count as u32).to_le_bytes());
        }
        coupons.sorted().iter().for_each(|coupon| bytes.extend(coupon.to_le_bytes()));
        bytes
    }

    fn write_registers(&self, registers: &[u8]) -> Vec<u8> {
        let mode = REGISTERS | EIGHT_BITS << 2;
        let mut bytes = vec![10, SERIAL_VERSION, FAMILY, self.precision, 0, COMPACT | OUT_OF_ORDER, 0, mode];
        let sum = |large: bool| {
            let values = registers.iter().filter(|value| (**value >= LARGE_VALUE) == large);
            values.fold(0.0, |sum, value| sum + (-f64::from(*value)).exp2())
        };
        [0.0, sum(false), sum(true)].iter().for_each(|float| bytes.extend(float.to_le_bytes()));
        let zeros = registers.iter().filter(|value| **value == 0).count() as u32;
        bytes.extend(zeros.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(registers);
        bytes
    }

    /// Reads the stored form of Apache DataSketches, whichever of HLL_4, HLL_6 and HLL_8 it is.
    ///
    /// # Errors
    /// If the bytes are not such a form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, WHAT);
        let [words, version, family, precision, lg_places, flags, state, mode] = reader.array::<8>()?;
        reader.demand(family == FAMILY, "they are of another family")?;
        reader.demand(version == SERIAL_VERSION, "their version is unknown")?;
        reader.demand(HLL_PRECISION.contains(&precision), "the precision is out of range")?;
        let mut summary = Hll::new(precision)?;
        let header = Header { lg_places, compact: flags & COMPACT != 0, state };
        match (mode & 3, words) {
            (LIST, 2) => summary.read_coupons(reader, usize::from(state), &header)?,
            (SET, 3) => {
                let count = reader.u32()? as usize;
                summary.read_coupons(reader, count, &header)?;
            }
            (REGISTERS, 10) => {
                let registers = read_registers(reader, precision, mode >> 2 & 3, &header)?;
                summary.state = State::Dense(registers.into_boxed_slice());
            }
            _ => return Err(reader.damaged("their mode is unknown")),
        }
        Ok(summary)
    }

    fn read_coupons(&mut self, mut reader: Reader<'_>, count: usize, header: &Header) -> Result<()> {
        reader.demand(header.lg_places <= self.precision.max(LG_LIST), "there are too many places for coupons")?;
        let places = 1 << header.lg_places;
        reader.demand(count <= places, "there are more coupons than places")?;
        let stored = if header.compact || count == 0 { count } else { places };
        for _ in 0..stored {
            let coupon = reader.u32()?;
            if coupon != 0 {
                reader.demand(coupon >> SLOT_BITS != 0, "a coupon has no value")?;
                self.insert(coupon);
            }
        }
        Ok(())
    }
}

/// What all modes have in their first eight bytes.
struct Header {
    lg_places: u8,
    compact: bool,
    /// The least value of the registers, in that mode.
    state: u8,
}

/// The places of a set that is at most three quarters full.
fn lg_places(count: usize) -> u8 {
    let least = (count * 4).div_ceil(3).next_power_of_two().trailing_zeros() as u8;
    least.max(LG_SET_MIN)
}

fn read_registers(mut reader: Reader<'_>, precision: u8, width: u8, header: &Header) -> Result<Vec<u8>> {
    let count = 1usize << precision;
    for _ in 0..3 {
        reader.f64()?;
    }
    let _zeros = reader.u32()?;
    let exceptions = reader.u32()?;
    let registers = match width {
        EIGHT_BITS => reader.take(count)?.to_vec(),
        SIX_BITS => unpack_six(reader.take(count * 3 / 4 + 1)?, count),
        FOUR_BITS => read_four(&mut reader, count, exceptions as usize, header)?,
        _ => return Err(reader.damaged("their registers have an unknown width")),
    };
    reader.demand(registers.iter().all(|value| *value <= REGISTER_MAX), "a register is too large")?;
    Ok(registers)
}

/// Registers of 6 bits, the lowest first.
fn unpack_six(bytes: &[u8], count: usize) -> Vec<u8> {
    let six = |slot: usize| {
        let bit = slot * 6;
        let pair = [bytes[bit / 8], bytes.get(bit / 8 + 1).copied().unwrap_or(0)];
        (u16::from_le_bytes(pair) >> (bit % 8)) as u8 & 63
    };
    (0..count).map(six).collect()
}

/// Registers of 4 bits above a least value; 15 says that the value is among the exceptions, which are coupons.
fn read_four(reader: &mut Reader<'_>, count: usize, exceptions: usize, header: &Header) -> Result<Vec<u8>> {
    const EXCEPTION: u8 = 15;
    let nibbles = reader.take(count / 2)?;
    let nibbles: Vec<u8> = nibbles.iter().flat_map(|pair| [pair & 15, pair >> 4]).collect();
    reader.demand(header.state <= REGISTER_MAX, "the least value is too large")?;
    let mut registers: Vec<u8> = nibbles.iter().map(|nibble| nibble + header.state).collect();
    let stored = match header.lg_places {
        _ if header.compact => exceptions,
        lg_places if lg_places <= 21 => 1 << lg_places,
        _ => return Err(reader.damaged("there are too many places for exceptions")),
    };
    reader.demand(exceptions <= count, "there are more exceptions than registers")?;
    for _ in 0..stored {
        let coupon = reader.u32()?;
        let slot = coupon as usize & (count - 1);
        if coupon != 0 {
            reader.demand(nibbles[slot] == EXCEPTION, "an exception has no register")?;
            registers[slot] = (coupon >> SLOT_BITS) as u8;
        }
    }
    Ok(registers)
}

#[cfg(test)]
mod tests {
    use crate::distinct::Hll;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>, items in 0i64..200, at: usize, byte: u8) {
            let _ = Hll::from_bytes(&bytes);
            let mut summary = Hll::new(8).unwrap();
            (0..items).for_each(|item| summary.update(&item));
            let mut bytes = summary.to_bytes();
            let place = at % bytes.len();
            bytes[place] = byte;
            if let Ok(mut read) = Hll::from_bytes(&bytes) {
                read.update(&1i64);
                read.estimate();
                read.to_bytes();
            }
            prop_assert!(items == 0 || Hll::from_bytes(&summary.to_bytes()[..place]).is_err());
        }
    }
}
