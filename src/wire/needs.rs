//! The lists of what is lacking, in NAK and CONFIRM.

use super::fields::{Put, Reader};
use super::{MAX_NEEDS, MAX_SYMBOL, Need, Needs, WireError};
use crate::ids::{BlockNo, ShortCodingId, SymbolNo};
use crate::symbol_set::SymbolSet;

const BLOCKS: u8 = 0;
const COUNT: u8 = 1;
const BITMAP: u8 = 2;
const RANGES: u8 = 3;

/// Kind and block.
const ENTRY_LEN: usize = 5;
/// Kind, block, first symbol, byte count.
const BITMAP_LEN: usize = ENTRY_LEN + 4;
/// Kind, block, item count.
const RANGES_LEN: usize = ENTRY_LEN + 1;

/// In an item of ranges: a second symbol follows, the last of the run.
const RUN: u16 = 0x8000;

/// How a set of symbols is best written.
enum Form {
    /// So many bytes of bits, from the first symbol on.
    Bitmap { first: SymbolNo, bytes: u16 },
    /// So many items, of one or two symbols, in so many bytes.
    Ranges { items: u8, bytes: usize },
}

impl Form {
    fn of(set: &SymbolSet) -> Form {
        let (mut items, mut item_bytes, mut end) = (0_usize, 0, 0);
        for range in set.ranges() {
            items += 1;
            item_bytes += if range.len() == 1 { 2 } else { 4 };
            end = range.end;
        }
        let first = set.first().unwrap_or(0);
        let bytes = end.saturating_sub(first).div_ceil(8);
        match u8::try_from(items) {
            Ok(items) if RANGES_LEN + item_bytes <= BITMAP_LEN + usize::from(bytes) => {
                Form::Ranges {
                    items,
                    bytes: item_bytes,
                }
            }
            _ => Form::Bitmap { first, bytes },
        }
    }
}

impl Need {
    /// Bytes that it takes on the wire: 9 for blocks, 7 for a count, 8 or more for symbols.
    pub fn encoded_len(&self) -> usize {
        match self {
            Need::Blocks { .. } => ENTRY_LEN + 4,
            Need::Count { .. } => ENTRY_LEN + 2,
            Need::Symbols { missing, .. } => match Form::of(missing) {
                Form::Bitmap { bytes, .. } => BITMAP_LEN + usize::from(bytes),
                Form::Ranges { bytes, .. } => RANGES_LEN + bytes,
            },
        }
    }

    /// The first block that it speaks of.
    pub fn first_block(&self) -> BlockNo {
        match *self {
            Need::Blocks { first, .. } => first,
            Need::Count { block, .. } | Need::Symbols { block, .. } => block,
        }
    }

    /// One past the last block that it speaks of; 2^32 at most.
    fn end(&self) -> u64 {
        let count = match *self {
            Need::Blocks { count, .. } => u64::from(count),
            _ => 1,
        };
        u64::from(self.first_block()) + count
    }

    fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Need::Blocks { first, count } => {
                out.put_u8(BLOCKS);
                out.put_u32(first);
                out.put_u32(count);
            }
            Need::Count { block, lacking } => {
                out.put_u8(COUNT);
                out.put_u32(block);
                out.put_u16(lacking);
            }
            Need::Symbols { block, ref missing } => write_symbols(block, missing, out),
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Need, WireError> {
        let kind = r.u8()?;
        let block = r.u32()?;
        match kind {
            BLOCKS => {
                let need = Need::Blocks {
                    first: block,
                    count: r.u32_from(1)?,
                };
                if need.end() > 1 << 32 {
                    Err(WireError::Range)
                } else {
                    Ok(need)
                }
            }
            COUNT => match r.u16()? {
                0 => Err(WireError::Range),
                lacking => Ok(Need::Count { block, lacking }),
            },
            BITMAP => Ok(Need::Symbols {
                block,
                missing: read_bitmap(r)?,
            }),
            RANGES => Ok(Need::Symbols {
                block,
                missing: read_ranges(r)?,
            }),
            _ => Err(WireError::Range),
        }
    }
}

fn write_symbols(block: BlockNo, missing: &SymbolSet, out: &mut Vec<u8>) {
    match Form::of(missing) {
        Form::Bitmap { first, bytes } => {
            out.put_u8(BITMAP);
            out.put_u32(block);
            out.put_u16(first);
            out.put_u16(bytes);
            let at = out.len();
            out.resize(at + usize::from(bytes), 0);
            for symbol in missing.iter() {
                let bit = usize::from(symbol - first);
                out[at + bit / 8] |= 0x80 >> (bit % 8);
            }
        }
        Form::Ranges { items, .. } => {
            out.put_u8(RANGES);
            out.put_u32(block);
            out.put_u8(items);
            for range in missing.ranges() {
                if range.len() == 1 {
                    out.put_u16(range.start);
                } else {
                    out.put_u16(range.start | RUN);
                    out.put_u16(range.end - 1);
                }
            }
        }
    }
}

fn read_bitmap(r: &mut Reader<'_>) -> Result<SymbolSet, WireError> {
    let first = r.u16()?;
    let bytes = r.u16()?;
    let bits = r.take(usize::from(bytes))?;
    if first > MAX_SYMBOL || usize::from(bytes) > usize::from(MAX_SYMBOL - first) / 8 + 1 {
        return Err(WireError::Range);
    }
    let mut set = SymbolSet::new();
    let mut symbol = first;
    for &byte in bits {
        for bit in 0..8 {
            if byte & 0x80 >> bit != 0 {
                if symbol > MAX_SYMBOL {
                    return Err(WireError::Range);
                }
                set.insert(symbol);
            }
            symbol += 1;
        }
    }
    if set.is_empty() {
        Err(WireError::Range)
    } else {
        Ok(set)
    }
}

fn read_ranges(r: &mut Reader<'_>) -> Result<SymbolSet, WireError> {
    let items = r.u8()?;
    let mut set = SymbolSet::new();
    let mut from = 0;
    for _ in 0..items {
        let item = r.u16()?;
        let first = item & !RUN;
        let last = if item & RUN == 0 { first } else { r.u16()? };
        if first > last || last > MAX_SYMBOL {
            return Err(WireError::Range);
        }
        if first < from {
            return Err(WireError::Order);
        }
        from = last + 1;
        set.insert_range(first..from);
    }
    if items == 0 {
        Err(WireError::Range)
    } else {
        Ok(set)
    }
}

impl Needs {
    /// Bytes that it takes on the wire without any entry: coding and number of entries.
    pub const EMPTY_LEN: usize = 10;

    /// Bytes that it takes on the wire.
    ///
    /// To fill a packet up to a budget, start from [`NAK_EMPTY_LEN`](super::NAK_EMPTY_LEN) or
    /// [`CONFIRM_EMPTY_LEN`](super::CONFIRM_EMPTY_LEN) and add each [`Need::encoded_len`]. No packet
    /// has more than [`MAX_NEEDS`] entries.
    pub fn encoded_len(&self) -> usize {
        Needs::EMPTY_LEN + self.entries.iter().map(Need::encoded_len).sum::<usize>()
    }

    /// Whether the entries are in order, say something, and are few enough.
    pub(super) fn is_valid(&self) -> bool {
        let mut from = 0;
        let in_order = self.entries.iter().all(|need| {
            let fits = from <= u64::from(need.first_block()) && need.end() <= 1 << 32;
            from = need.end();
            fits && match need {
                Need::Blocks { count, .. } => *count > 0,
                Need::Count { lacking, .. } => *lacking > 0,
                Need::Symbols { missing, .. } => !missing.is_empty(),
            }
        });
        in_order && self.entries.len() <= MAX_NEEDS
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(self.is_valid(), "needs that nobody would accept: {self:?}");
        out.put_u64(self.coding.0);
        let count = self.entries.len().min(MAX_NEEDS);
        out.put_u16(count as u16);
        for need in &self.entries[..count] {
            need.write(out);
        }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Needs, WireError> {
        let coding = ShortCodingId(r.u64()?);
        let count = usize::from(r.u16()?);
        if count > MAX_NEEDS {
            return Err(WireError::Count);
        }
        let mut entries = Vec::new();
        let mut from = 0;
        for _ in 0..count {
            let need = Need::read(r)?;
            if u64::from(need.first_block()) < from {
                return Err(WireError::Order);
            }
            from = need.end();
            entries.push(need);
        }
        Ok(Needs { coding, entries })
    }
}
